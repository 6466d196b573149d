"""What is wrong with a store's rules: those that never do anything, and those that quarrel.

Judged on the catalog that serves now, without asking the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from recommender.engine.online.rules import Does, Effect
from recommender.engine.types import BoolArray
from recommender.models import Rule
from recommender.selectors.rules import RuleState, rule_state
from recommender.selectors.serving_settings import RuleSettings
from recommender.serving.rule_compile import ServingRule, rule_compile
from recommender.serving.rules import Condition, InvalidRuleError
from recommender.serving.runtime import StoreRuntime
from recommender.serving.snapshot import CATEGORY_SEPARATOR


class FindingKind(StrEnum):
    BROKEN = "broken"
    DEAD = "dead"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a rule that a member should know. `other_id` is the rule it is about, too."""

    rule_id: int
    kind: FindingKind
    words: str
    other_id: int | None = None


@dataclass(frozen=True, slots=True)
class Meant:
    """Products that a rule means now, and those of them that may be shown."""

    n: int
    n_shown: int


@dataclass(frozen=True, slots=True)
class _Judged:
    rule: Rule
    serving: ServingRule
    mask: BoolArray
    compares: bool


def rule_findings(
    rules: Sequence[Rule], runtime: StoreRuntime | None, *, now: datetime
) -> list[Finding]:
    """Findings about the rules that are on, in their order. O(rules²) on a few arrays.

    None for a store that this process doesn't serve: nothing can be said.
    """
    if runtime is None:
        return []
    findings: list[Finding] = []
    judged: list[_Judged] = []
    for rule in rules:
        state = rule_state(rule, now=now)
        if state is RuleState.ENDED:
            findings.append(
                Finding(rule.pk, FindingKind.DEAD, "It has ended and does nothing any more.")
            )
        if state not in (RuleState.ACTIVE, RuleState.PLANNED):
            continue
        try:
            judged.append(_judge(rule, runtime, now))
        except InvalidRuleError as error:
            findings.append(Finding(rule.pk, FindingKind.BROKEN, f"It is left out. {error}"))
    for own in judged:
        findings += _alone(own, runtime)
        for other in judged:
            if other is not own:
                findings += _together(own, other, runtime)
    places = {rule.pk: place for place, rule in enumerate(rules)}
    return sorted(findings, key=lambda finding: places[finding.rule_id])


def rule_meant(document: object, runtime: StoreRuntime, *, now: datetime) -> Meant:
    """How many products a document means now. Raises InvalidRuleError."""
    stored = RuleSettings(0, "", document)  # type: ignore[arg-type]
    serving = _compile(stored, runtime, now)
    mask = _mask(serving.effect, len(runtime.snapshot))
    return Meant(int(mask.sum()), int((mask & runtime.snapshot.eligible).sum()))


def _judge(rule: Rule, runtime: StoreRuntime, now: datetime) -> _Judged:
    serving = _compile(RuleSettings(rule.pk, rule.name, rule.document), runtime, now)
    mask = _mask(serving.effect, len(runtime.snapshot))
    return _Judged(rule, serving, mask, serving.effect.relative is not None)


def _compile(stored: RuleSettings, runtime: StoreRuntime, now: datetime) -> ServingRule:
    return rule_compile(
        stored,
        runtime.snapshot,
        placements=[placement.slug for placement in runtime.settings.placements],
        segments=[segment.key for segment in runtime.settings.segments],
        now_s=int(now.timestamp()),
    )


def _mask(effect: Effect, n: int) -> BoolArray:
    """What a rule means; for one that compares, what it could mean at most."""
    if effect.does is Does.PIN:
        mask = np.zeros(n, np.bool_)
        mask[effect.rows] = True
        return mask
    static = effect.mask(n)
    return np.ones(n, np.bool_) if static is None else static


def _alone(own: _Judged, runtime: StoreRuntime) -> list[Finding]:
    n, shown = int(own.mask.sum()), own.mask & runtime.snapshot.eligible
    if own.serving.effect.does is Does.EXCLUDE or shown.any():
        return []
    words = f"None of its {n:,} products may be shown: out of stock, hidden or without a price."
    if own.serving.effect.does is Does.INCLUDE_ONLY:
        words += " Where it counts, nothing is shown at all."
    return [Finding(own.rule.pk, FindingKind.DEAD, words)]


def _together(own: _Judged, other: _Judged, runtime: StoreRuntime) -> list[Finding]:
    """What `other` does to `own`. Each pair is looked at from both sides."""
    if not _may_meet(own.serving, other.serving):
        return []
    found = _shadow(own, other, runtime)
    first = own.rule.position <= other.rule.position and own.rule.pk < other.rule.pk
    a, b = own.serving.effect, other.serving.effect
    if not first:
        return found
    if a.does is Does.PIN and b.does is Does.PIN and _same_places(a, b):
        words = (
            f"It pins to position {b.position}, as “{other.rule.name}” does: the first one wins."
        )
        found.append(Finding(own.rule.pk, FindingKind.CONFLICT, words, other.rule.pk))
    opposite = a.does is b.does is Does.SCALE and (a.factor > 1) != (b.factor > 1)
    if opposite and a.relative == b.relative and np.array_equal(own.mask, other.mask):
        words = f"One boosts and the other buries the same products: this and “{other.rule.name}”."
        found.append(Finding(own.rule.pk, FindingKind.CONFLICT, words, other.rule.pk))
    return found


def _shadow(own: _Judged, other: _Judged, runtime: StoreRuntime) -> list[Finding]:
    """Whether an include or exclude leaves nothing of what another rule means."""
    does = other.serving.effect.does
    if does not in (Does.EXCLUDE, Does.INCLUDE_ONLY) or other.compares:
        return []
    if own.serving.effect.does is Does.EXCLUDE:
        return []
    shown = own.mask & runtime.snapshot.eligible
    kept = shown & (~other.mask if does is Does.EXCLUDE else other.mask)
    n, n_kept = int(shown.sum()), int(kept.sum())
    verb = "excludes" if does is Does.EXCLUDE else "lets only others be shown than"
    if own.serving.effect.does is Does.PIN:
        if n_kept == n:
            return []
        ids = runtime.snapshot.external_ids
        gone = [
            ids[row] for row in own.serving.effect.rows.tolist() if shown[row] and not kept[row]
        ]
        words = f"“{other.rule.name}” {verb} what it pins: {', '.join(gone[:5])}."
        return [Finding(own.rule.pk, FindingKind.CONFLICT, words, other.rule.pk)]
    if n == 0 or n_kept or not _covers(other.serving, own.serving):
        return []
    words = f"It does nothing: “{other.rule.name}” {verb} all of its {n:,} products."
    return [Finding(own.rule.pk, FindingKind.DEAD, words, other.rule.pk)]


def _same_places(a: Effect, b: Effect) -> bool:
    return a.position < b.position + len(b.rows) and b.position < a.position + len(a.rows)


def _may_meet(a: ServingRule, b: ServingRule) -> bool:
    """Whether both may count for one request, as far as dates and conditions tell."""
    if a.starts_s >= b.ends_s or b.starts_s >= a.ends_s:
        return False
    one, two = a.document.condition, b.document.condition
    if not _categories_meet(one.viewed.categories, two.viewed.categories):
        return False
    return all(
        not mine or not theirs or not set(mine).isdisjoint(theirs)
        for mine, theirs in zip(_lists(one), _lists(two), strict=True)
    )


def _covers(a: ServingRule, b: ServingRule) -> bool:
    """Whether `a` surely counts whenever `b` does."""
    if a.starts_s > b.starts_s or a.ends_s < b.ends_s:
        return False
    one, two = a.document.condition, b.document.condition
    if one == two:
        return True
    if one.viewed != type(one.viewed)() or one.from_time or one.until_time:
        return False
    return all(
        not mine or (bool(theirs) and set(theirs) <= set(mine))
        for mine, theirs in zip(_lists(one), _lists(two), strict=True)
    )


def _lists(condition: Condition) -> tuple[Sequence[object], ...]:
    return (
        condition.placements,
        condition.page_types,
        condition.segments,
        condition.devices,
        condition.weekdays,
        condition.viewed.brands,
    )


def _categories_meet(one: Sequence[str], two: Sequence[str]) -> bool:
    if not one or not two:
        return True
    return any(
        a == b or a.startswith(b + CATEGORY_SEPARATOR) or b.startswith(a + CATEGORY_SEPARATOR)
        for a in one
        for b in two
    )
