"""From the documents of a store's rules to what a request reads: once per catalog and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.engine.online.rule_targets import OPEN, RelativeTarget, Span, StaticTarget
from recommender.engine.online.rules import Does, Effect
from recommender.engine.types import BoolArray, Int32Array
from recommender.selectors.serving_settings import RuleSettings
from recommender.serving.rules import (
    AVAILABILITIES,
    Boost,
    Bury,
    Condition,
    IncludeOnly,
    InvalidRuleError,
    Pin,
    Reserve,
    RuleDocument,
    Target,
    rule_parse,
)
from recommender.serving.snapshot import CatalogSnapshot


@dataclass(frozen=True, slots=True)
class ServingRule:
    """A rule on one catalog. `starts_s` and `ends_s` are Unix seconds; the end isn't included."""

    rule_id: int
    name: str
    document: RuleDocument
    effect: Effect
    starts_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """A rule that is left out, and why; for members."""

    rule_id: int
    name: str
    words: str


def rule_compile(
    stored: RuleSettings,
    snapshot: CatalogSnapshot,
    *,
    placements: Iterable[str],
    segments: Iterable[str],
    now_s: int,
) -> ServingRule:
    """One rule.

    Raises
    ------
    InvalidRuleError
        The document can't be read, or names only what is gone.
    """
    document = rule_parse(stored.document)
    condition = document.condition
    _named(condition.placements, placements, "There is no placement")
    _named(condition.segments, segments, "There is no segment")
    _viewed_check(condition, snapshot)
    effect = effect_of(document, snapshot, now_s=now_s)
    return ServingRule(
        rule_id=stored.rule_id,
        name=stored.name,
        document=document,
        effect=effect,
        starts_s=-np.inf if stored.starts_s is None else stored.starts_s,
        ends_s=np.inf if stored.ends_s is None else stored.ends_s,
    )


def effect_of(document: RuleDocument, snapshot: CatalogSnapshot, *, now_s: int) -> Effect:
    """What a rule does on a catalog.

    Raises InvalidRuleError if no product of the catalog is meant, so that one that is gone can't
    empty a page.
    """
    action, target = document.action, document.target
    if isinstance(action, Pin):
        rows = snapshot.rows_of_external(action.product_ids)
        if not rows:
            raise InvalidRuleError(
                f"The catalog has no product {', '.join(action.product_ids)} to pin."
            )
        return Effect(Does.PIN, rows=np.array(rows, np.int32), position=action.position)
    static = static_target(target, snapshot)
    packed = None
    if not static.is_everything:
        mask = static.mask(snapshot.columns(), now_s=now_s)
        if not mask.any():
            raise InvalidRuleError("No product of the catalog is meant.")
        packed = np.packbits(mask)
    relative = relative_target(target) if target.is_relative else None
    match action:
        case Boost(factor=factor):
            return Effect(Does.SCALE, packed, relative, factor=factor)
        case Bury(factor=factor):
            return Effect(Does.SCALE, packed, relative, factor=1 / factor)
        case Reserve(slots=slots, position=position):
            return Effect(Does.RESERVE, packed, relative, position=position, slots=slots)
        case IncludeOnly():
            return Effect(Does.INCLUDE_ONLY, packed, relative)
        case _:
            return Effect(Does.EXCLUDE, packed, relative)


def target_mask(target: Target, snapshot: CatalogSnapshot, *, now_s: int) -> BoolArray:
    """Which products a target means whatever is in view, those that may not be shown included."""
    return static_target(target, snapshot).mask(snapshot.columns(), now_s=now_s)


def static_target(target: Target, snapshot: CatalogSnapshot) -> StaticTarget:
    """The part of a target that is the same for every request, in the codes of a catalog."""
    facets = [snapshot.facets.with_tag(target.tags)] if target.tags else []
    facets += [
        snapshot.facets.with_attribute(name, values) for name, values in target.attributes.items()
    ]
    return StaticTarget(
        rows=(
            np.array(snapshot.rows_of_external(target.product_ids), np.int32)
            if target.product_ids
            else None
        ),
        categories=categories_inside(target.categories, snapshot) if target.categories else None,
        brands=_brand_codes(target.brands, snapshot) if target.brands else None,
        facets=tuple(facets),
        availability=(
            np.array([AVAILABILITIES.index(name) for name in target.availability], np.int8)
            if target.availability
            else None
        ),
        price=_span(target.price_from_minor, target.price_until_minor),
        stock=_span(target.stock_from, target.stock_until),
        margin=_span(target.margin_from_percent, target.margin_until_percent),
        age_days=_span(target.age_from_days, target.age_until_days),
    )


def relative_target(target: Target) -> RelativeTarget:
    """The part of a target that compares with what is in view."""
    within = target.price_within_percent
    return RelativeTarget(
        same_category=target.same_category,
        same_brand=target.same_brand,
        price_within=None if within is None else within / 100,
        compared={"cheaper": -1, "dearer": 1, None: 0}[target.compared],
    )


def categories_inside(paths: Iterable[str], snapshot: CatalogSnapshot) -> BoolArray:
    """Which categories are one of these or below one, bool[n_categories + 1], the last one False."""
    masks = [snapshot.categories_inside(path) for path in paths]
    # A catalog that is being read meanwhile may have given new codes between two of them.
    inside = np.zeros(max(map(len, masks)), np.bool_)
    for mask in masks:
        inside[: len(mask) - 1] |= mask[:-1]
    return inside


def targets_age(documents: Sequence[RuleDocument]) -> bool:
    """Whether anything depends on the age of products, which changes by itself."""
    return any(
        each.target.age_from_days is not None or each.target.age_until_days is not None
        for each in documents
    )


def _named(wanted: Sequence[str], known: Iterable[str], words: str) -> None:
    if wanted and set(wanted).isdisjoint(known):
        raise InvalidRuleError(f"{words} {', '.join(wanted)}.")


def _viewed_check(condition: Condition, snapshot: CatalogSnapshot) -> None:
    viewed = condition.viewed
    if viewed.categories and not categories_inside(viewed.categories, snapshot).any():
        raise InvalidRuleError(f"No product is in the category {', '.join(viewed.categories)}.")
    if viewed.brands and not len(_brand_codes(viewed.brands, snapshot)):
        raise InvalidRuleError(f"No product is of the brand {', '.join(viewed.brands)}.")


def _brand_codes(names: Iterable[str], snapshot: CatalogSnapshot) -> Int32Array:
    find: Mapping[str, int] = snapshot.brands.code_of
    return np.array([find[name] for name in names if name in find], np.int32)


def _span(low: float | None, high: float | None) -> Span:
    return OPEN if low is None and high is None else Span(low, high)
