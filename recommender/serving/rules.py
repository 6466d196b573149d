"""The document of a rule: a condition, what it does, and the products that it means; validated.

Everything in a condition must hold; of several values of one part, one is enough. The same is true
of a target. Dates aren't part of the document: a rule with dates is a campaign, see `Rule`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

SCHEMA = 1
PAGE_TYPES = ("home", "category", "search", "product", "cart", "confirmation", "other")
DEVICES = ("desktop", "mobile", "tablet")
AVAILABILITIES = ("in_stock", "out_of_stock", "preorder", "backorder")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)]
Attributes = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=80)],
        Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=50)],
    ],
    msgspec.Meta(max_length=10),
]
Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Pieces = Annotated[int, msgspec.Meta(ge=0, le=2_000_000_000)]
Percent = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Factor = Annotated[float, msgspec.Meta(ge=1.1, le=10.0)]
Position = Annotated[int, msgspec.Meta(ge=1, le=50)]
Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]


class InvalidRuleError(ValueError):
    """The document can't be a rule; the message says where and why."""


class Viewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the product in view has to be. A category holds the levels below it, and also counts on
    pages that have a category in view but no product."""

    categories: Names = ()
    brands: Names = ()
    tags: Names = ()
    attributes: Attributes = {}
    price_from_minor: Minor | None = None
    price_until_minor: Minor | None = None

    @property
    def asks_product(self) -> bool:
        """Whether it asks for more than a category."""
        return self != Viewed(categories=self.categories)


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the rule counts; empty is always.

    Attributes
    ----------
    placements, page_types
        By slug, by `Placement.PageType`.
    segments
        Keys of segments that the shopper is in one of.
    locales
        "en" holds "en-GB", too.
    weekdays
        1 is Monday.
    from_time, until_time
        "08:00", in the store's time zone; the end is not included, and may be on the next day.
    """

    placements: Names = ()
    page_types: tuple[str, ...] = ()
    viewed: Viewed = Viewed()
    segments: Names = ()
    devices: tuple[str, ...] = ()
    locales: Names = ()
    weekdays: tuple[Weekday, ...] = ()
    from_time: str | None = None
    until_time: str | None = None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which products the rule means. What isn't known of a product is outside every range.

    Attributes
    ----------
    margin_from_percent, margin_until_percent
        Margin as a share of the price.
    same_category, same_brand, price_within_percent, compared
        Compared with the product in view; where there is none, the rule does nothing.
    """

    categories: Names = ()
    brands: Names = ()
    tags: Names = ()
    attributes: Attributes = {}
    product_ids: Annotated[tuple[Name, ...], msgspec.Meta(max_length=1_000)] = ()
    availability: tuple[str, ...] = ()
    price_from_minor: Minor | None = None
    price_until_minor: Minor | None = None
    stock_from: Pieces | None = None
    stock_until: Pieces | None = None
    margin_from_percent: Percent | None = None
    margin_until_percent: Percent | None = None
    age_from_days: Days | None = None
    age_until_days: Days | None = None
    same_category: bool = False
    same_brand: bool = False
    price_within_percent: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] | None = None
    compared: Literal["cheaper", "dearer"] | None = None

    @property
    def is_relative(self) -> bool:
        """Whether it compares with the product in view."""
        return (
            self.same_category
            or self.same_brand
            or self.price_within_percent is not None
            or self.compared is not None
        )


class IncludeOnly(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="include_only"):
    """Nothing but these products."""


class Exclude(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="exclude"):
    """None of these products."""


class Boost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="boost"):
    """Scores times a factor."""

    factor: Factor


class Bury(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="bury"):
    """Scores divided by a factor."""

    factor: Factor


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin"):
    """These products at a position and those behind it, whatever their scores."""

    product_ids: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=10)]
    position: Position = 1


class Reserve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reserve"):
    """So many slots from a position on are for these products, if there are any."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=20)]
    position: Position = 1


Action: TypeAlias = IncludeOnly | Exclude | Boost | Bury | Pin | Reserve
ACTION_KINDS = ("include_only", "exclude", "boost", "bury", "pin", "reserve")


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a campaign pauses itself: if one of the products that it means falls below.

    Of a target by product ids, or of pins, the least counts; of any other target the sum of the
    stock and the mean of the margins.
    """

    stop_when_stock_below: Pieces | None = None
    stop_when_margin_below: Percent | None = None


class RuleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule says. `schema` is that of this document."""

    action: Action
    target: Target = Target()
    condition: Condition = Condition()
    guard: Guard | None = None
    schema: Literal[1] = 1


def rule_parse(document: Any) -> RuleDocument:
    """Read a stored or submitted document.

    Raises
    ------
    InvalidRuleError
        A field is missing, unknown or out of range, a range is upside down, or no product is meant.
    """
    try:
        parsed = msgspec.convert(document, RuleDocument)
    except msgspec.ValidationError as error:
        raise InvalidRuleError(f"{str(error).replace('Object m', 'M')}.") from error
    _condition_check(parsed.condition)
    target = parsed.target
    for name in target.availability:
        _one_of(name, AVAILABILITIES, "an availability")
    for low, high, words in (
        (target.price_from_minor, target.price_until_minor, "The price"),
        (target.stock_from, target.stock_until, "The stock"),
        (target.margin_from_percent, target.margin_until_percent, "The margin"),
        (target.age_from_days, target.age_until_days, "The age"),
    ):
        _ascending(low, high, words)
    if isinstance(parsed.action, Pin):
        if target != Target():
            raise InvalidRuleError("A pin names its products itself; it has no other target.")
    elif target == Target():
        raise InvalidRuleError("Say which products the rule means: every product is none.")
    if parsed.guard == Guard():
        raise InvalidRuleError("Say below what stock or margin the campaign pauses.")
    if parsed.guard is not None and target.is_relative:
        raise InvalidRuleError(
            "What compares with the product in view has no stock of its own to guard."
        )
    return parsed


def _condition_check(condition: Condition) -> None:
    for name in condition.page_types:
        _one_of(name, PAGE_TYPES, "a kind of page")
    for name in condition.devices:
        _one_of(name, DEVICES, "a device")
    for clock in (condition.from_time, condition.until_time):
        if clock is not None and not _CLOCK.fullmatch(clock):
            raise InvalidRuleError(f"{clock!r} isn't a time of day such as 08:30.")
    if condition.from_time is not None and condition.from_time == condition.until_time:
        raise InvalidRuleError("The time of day begins when it ends: that is never.")
    viewed = condition.viewed
    _ascending(viewed.price_from_minor, viewed.price_until_minor, "The price in view")


def _one_of(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise InvalidRuleError(f"{name!r} isn't {what}; choose of {', '.join(known)}.")


def _ascending(low: float | None, high: float | None, words: str) -> None:
    if low is not None and high is not None and low > high:
        raise InvalidRuleError(f"{words} goes from {low:g} up to {high:g}: nothing is between.")


def rule_json(document: RuleDocument) -> dict[str, Any]:
    """The document as it is stored: without what is as by default."""
    stored: dict[str, Any] = _without_defaults(msgspec.to_builtins(document))
    return {"schema": SCHEMA, **stored}


def _without_defaults(value: Any) -> Any:
    """Without empty lists, tables, nothing and no; numbers and texts stay."""
    if not isinstance(value, dict):
        return list(value) if isinstance(value, tuple) else value
    kept = {key: _without_defaults(each) for key, each in value.items()}
    return {
        key: each
        for key, each in kept.items()
        if key in ("action", "type") or not (each is None or each is False or each in ([], {}))
    }
