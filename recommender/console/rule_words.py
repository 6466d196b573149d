"""Rules, segments and their states as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.money import money_text
from catalog.templatetags.console import moment_text
from recommender.models import Placement, Rule
from recommender.selectors.rules import RuleState
from recommender.serving.rules import (
    Boost,
    Bury,
    Condition,
    Exclude,
    Guard,
    IncludeOnly,
    InvalidRuleError,
    Pin,
    Reserve,
    RuleDocument,
    Target,
    Viewed,
    rule_parse,
)
from recommender.serving.segments import (
    Affinity,
    Device,
    HighValue,
    Lapsed,
    New,
    Returning,
    SegmentDocument,
)

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
AVAILABILITY_WORDS = {
    "in_stock": "in stock",
    "out_of_stock": "out of stock",
    "preorder": "to pre-order",
    "backorder": "on back-order",
}
STATE_WORDS = {
    RuleState.ACTIVE: "Active now",
    RuleState.PLANNED: "Planned",
    RuleState.ENDED: "Ended",
    RuleState.PAUSED: "Paused itself",
    RuleState.OFF: "Off",
}
STATE_BADGES = {
    RuleState.ACTIVE: ("good", "good"),
    RuleState.PLANNED: ("active", "clock"),
    RuleState.ENDED: ("", "clock"),
    RuleState.PAUSED: ("warn", "pause"),
    RuleState.OFF: ("", "pause"),
}
PAGE_LABELS = dict(Placement.PageType.choices)


@dataclass(frozen=True, slots=True)
class Names:
    """What keys are called in this store."""

    currency: str
    placements: Mapping[str, str]
    segments: Mapping[str, str]


def rule_sentence(rule: Rule, names: Names) -> str:
    """What a stored rule says; for one that can't be read, that it can't."""
    try:
        document = rule_parse(rule.document)
    except InvalidRuleError as error:
        return f"This rule can't be read: {error}"
    return document_sentence(document, names, starts_at=rule.starts_at, ends_at=rule.ends_at)


def document_sentence(
    document: RuleDocument,
    names: Names,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> str:
    """ "On product pages of Coffee, boost products of brand X × 2, from … until ….\""""
    parts = [*_where(document.condition, names)]
    when = ", ".join(parts)
    does = _does(document, names)
    sentence = f"{when}, {does}" if when else does
    dates = _dates(starts_at, ends_at)
    if dates:
        sentence += f", {dates}"
    if document.guard is not None:
        sentence += f"; pauses itself {_guard(document.guard)}"
    return f"{sentence[0].upper()}{sentence[1:]}."


def target_words(target: Target, names: Names) -> str:
    """ "products of brand X that cost at least £5.00"."""
    parts: list[str] = []
    if target.product_ids:
        parts.append(f"with the id {_any(target.product_ids)}")
    if target.categories:
        parts.append(f"in {_any(target.categories)}")
    if target.brands:
        parts.append(f"of brand {_any(target.brands)}")
    if target.tags:
        parts.append(f"tagged {_any(target.tags)}")
    parts += [f"with {name} {_any(values)}" for name, values in target.attributes.items()]
    if target.availability:
        parts.append(_any([AVAILABILITY_WORDS[each] for each in target.availability]))
    parts += _ranges(target, names)
    if target.same_category:
        parts.append("in the same category as the product in view")
    if target.same_brand:
        parts.append("of the same brand as the product in view")
    if target.price_within_percent is not None:
        parts.append(f"priced within ± {target.price_within_percent:g} % of the product in view")
    if target.compared is not None:
        parts.append(f"{target.compared} than the product in view")
    return f"products {', '.join(parts)}" if parts else "all products"


def _ranges(target: Target, names: Names) -> list[str]:
    def money(minor: float) -> str:
        return money_text(int(minor), names.currency)

    return [
        words
        for words in (
            _range("that cost", target.price_from_minor, target.price_until_minor, money),
            _range("with a stock of", target.stock_from, target.stock_until, _number),
            _range(
                "with a margin of",
                target.margin_from_percent,
                target.margin_until_percent,
                lambda percent: f"{percent:g} %",
            ),
            _range(
                "published",
                target.age_from_days,
                target.age_until_days,
                lambda days: f"{days:g} days ago",
            ),
        )
        if words
    ]


def _does(document: RuleDocument, names: Names) -> str:
    meant = target_words(document.target, names)
    match document.action:
        case IncludeOnly():
            return f"show only {meant}"
        case Exclude():
            return f"never show {meant}"
        case Boost(factor=factor):
            return f"boost {meant} × {factor:g}"
        case Bury(factor=factor):
            return f"bury {meant} ÷ {factor:g}"
        case Pin(product_ids=ids, position=position):
            return f"pin {_and(ids)} to position {position}"
        case Reserve(slots=slots, position=position):
            places = "slot" if slots == 1 else "slots"
            return f"reserve {slots} {places} from position {position} for {meant}"


def _where(condition: Condition, names: Names) -> list[str]:
    parts: list[str] = []
    if condition.placements:
        known = [names.placements.get(slug, slug) for slug in condition.placements]
        parts.append(f"in {_any([f'“{each}”' for each in known])}")
    viewed = _viewed(condition.viewed, names)
    if condition.page_types:
        pages = _any([str(PAGE_LABELS.get(page, page)).lower() for page in condition.page_types])
        parts.append(f"on {pages} pages {viewed}".rstrip())
    elif viewed:
        parts.append(f"where the product in view is {viewed}")
    if condition.segments:
        known = [names.segments.get(key, key) for key in condition.segments]
        parts.append(f"for shoppers in {_any([f'“{each}”' for each in known])}")
    if condition.devices:
        parts.append(f"on {_any(condition.devices)}")
    if condition.locales:
        parts.append(f"in the language {_any(condition.locales)}")
    if condition.weekdays:
        parts.append(f"on {_any([WEEKDAYS[day - 1] for day in sorted(condition.weekdays)])}")
    if condition.from_time or condition.until_time:
        start, end = condition.from_time or "midnight", condition.until_time or "midnight"
        parts.append(f"between {start} and {end}")
    return parts


def _viewed(viewed: Viewed, names: Names) -> str:
    parts: list[str] = []
    if viewed.categories:
        parts.append(f"of {_any(viewed.categories)}")
    if viewed.brands:
        parts.append(f"of brand {_any(viewed.brands)}")
    if viewed.tags:
        parts.append(f"tagged {_any(viewed.tags)}")
    parts += [f"with {name} {_any(values)}" for name, values in viewed.attributes.items()]
    price = _range(
        "priced",
        viewed.price_from_minor,
        viewed.price_until_minor,
        lambda minor: money_text(int(minor), names.currency),
    )
    return ", ".join([*parts, price] if price else parts)


def _dates(starts_at: datetime | None, ends_at: datetime | None) -> str:
    start = f"from {moment_text(starts_at)}" if starts_at is not None else ""
    end = f"until {moment_text(ends_at)}" if ends_at is not None else ""
    return " ".join(part for part in (start, end) if part)


def _guard(guard: Guard) -> str:
    parts = []
    if guard.stop_when_stock_below is not None:
        parts.append(f"below a stock of {guard.stop_when_stock_below:,}")
    if guard.stop_when_margin_below is not None:
        parts.append(f"below a margin of {guard.stop_when_margin_below:g} %")
    return " or ".join(parts)


def segment_sentence(segment: SegmentDocument, currency: str) -> str:
    """Who is in a segment."""
    match segment:
        case New(days=days):
            return f"Seen for the first time within the last {_days(days)}."
        case Returning(days=days):
            return f"Seen before the last {_days(days)}."
        case HighValue(days=days, orders=orders, spend_minor=spend):
            parts = []
            if orders is not None:
                parts.append(f"{orders:,} order{'' if orders == 1 else 's'} or more")
            if spend is not None:
                parts.append(f"{money_text(spend, currency)} or more")
            return f"With {' or '.join(parts)} in the last {_days(days)}."
        case Lapsed(days=days, since="purchase"):
            return f"Bought before, but not within the last {_days(days)}."
        case Lapsed(days=days):
            return (
                f"Visited before, but not within the last {_days(days)}; this visit doesn't count."
            )
        case Affinity(categories=categories, brands=brands, products=n, days=days):
            liked = _any([*categories, *(f"brand {brand}" for brand in brands)])
            return (
                f"Dealt with at least {n:,} different product{'' if n == 1 else 's'}"
                f" of {liked} in the last {_days(days)}."
            )
        case Device(devices=devices):
            return f"On {_any(devices)} right now."


def _days(days: int) -> str:
    return "24 hours" if days == 1 else f"{days:,} days"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _range(words: str, low: float | None, high: float | None, text: object) -> str:
    assert callable(text)
    if low is not None and high is not None:
        return f"{words} {text(low)} to {text(high)}"
    if low is not None:
        return f"{words} at least {text(low)}"
    return f"{words} at most {text(high)}" if high is not None else ""


def _any(names: Sequence[str]) -> str:
    return _listed(names, "or")


def _and(names: Iterable[str]) -> str:
    return _listed(list(names), "and")


def _listed(names: Sequence[str], word: str) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} {word} {len(names) - 3} others"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
