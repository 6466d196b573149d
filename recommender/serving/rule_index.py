"""Which rules count for a request, found without looking at those that can't.

Rules are narrowed in the order of how long an answer holds: dates and times of day once a second;
placement, page and what is in view once for each kind of page (`rule_pages`); segments, device and
locale with each request, and only where rules ask for them. What the rules that are left do
together is combined once and kept (`rule_tables`). So a request costs few look-ups, however many
rules there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from recommender.engine.online.rule_targets import InView
from recommender.engine.online.rules import allows, factors_of
from recommender.engine.types import BoolArray, Float32Array, Int32Array
from recommender.selectors.serving_settings import RuleSettings, SegmentSettings
from recommender.serving.recent import Recent
from recommender.serving.rule_compile import (
    RuleProblem,
    ServingRule,
    rule_compile,
    targets_age,
)
from recommender.serving.rule_pages import Page, PageConditions
from recommender.serving.rule_tables import Plan, RuleTables
from recommender.serving.rules import Condition, InvalidRuleError
from recommender.serving.segments import (
    InvalidSegmentError,
    SegmentDocument,
    segment_parse,
    shopper_in,
    shopper_seen,
)
from recommender.serving.snapshot import CatalogSnapshot

if TYPE_CHECKING:
    from recommender.serving.context import Context

# Kinds of pages whose rules are remembered; each is some 500 bytes.
N_PAGES = 5_000
# Answers of segments, devices and languages that are remembered for a kind of page.
N_ASKED = 32
# Sets of rules that are on at one moment: one now, others for previews of other moments.
N_MOMENTS = 8
AGE_CHECK_S = 3600


class ActiveRules:
    """The rules that count for a request, with what is in view. Not to be changed.

    `rules`, `key`, `placed` and `scales` are those of the plan.
    """

    __slots__ = ("_combined", "_tables", "in_view", "key", "placed", "rules", "scales")

    def __init__(self, plan: Plan, tables: RuleTables, in_view: InView) -> None:
        self.rules = plan.rules
        self.key = plan.key
        self.placed = plan.placed
        self.scales = plan.scales
        self.in_view = in_view
        self._combined = plan.combined
        self._tables = tables

    def allows(self, rows: Int32Array) -> BoolArray | None:
        """Which of some rows the rules let through; None for all of them."""
        tables = self._tables
        return allows(self._combined, tables.sets, tables.columns, self.in_view, rows)

    def factors(self, rows: Int32Array) -> Float32Array | None:
        """By which the scores of some rows are multiplied, None by nothing."""
        tables = self._tables
        return factors_of(self._combined, tables.sets, tables.columns, self.in_view, rows)

    def means(self, rule: ServingRule, rows: Int32Array) -> BoolArray:
        """Which of some rows one rule means; none, if it compares with what isn't in view."""
        means, relative = self._tables.means(rule, rows), rule.effect.relative
        if relative is None:
            return means
        if not relative.can_compare(self.in_view):
            return np.zeros(len(rows), np.bool_)
        return means & relative.holds(self._tables.columns, self.in_view, rows)

    def ranked(self, rule: ServingRule, ranking: Int32Array) -> Int32Array:
        """What a rule may mean of a ranking, in its order; `means` says it of those that compare."""
        return self._tables.ranked(rule, ranking)


# What rules do for all requests alike; or their places, where something is compared with what is in
# view. No rule at all is no places.
_Found: TypeAlias = ActiveRules | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _PageRules:
    """The rules of a kind of page: those that surely count, and those that ask the request."""

    sure: tuple[int, ...]
    asked: tuple[tuple[Condition, tuple[int, ...]], ...]
    device: bool
    locale: bool
    segments: tuple[str, ...]
    found: dict[tuple[object, ...], _Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Moment:
    """The rules whose dates and times of day are now, by number of their condition, with the pages
    looked at meanwhile."""

    groups: tuple[tuple[int, tuple[int, ...]], ...]
    pages: Recent[Page, _PageRules] = field(default_factory=lambda: Recent(N_PAGES))


class ServingRules:
    """A store's rules on one catalog.

    Attributes
    ----------
    rules
        Those that can serve, in their order.
    problems
        Those that can't, with the reason.
    """

    def __init__(
        self,
        rules: Sequence[ServingRule],
        problems: Sequence[RuleProblem],
        *,
        segments: Mapping[str, SegmentDocument],
        snapshot: CatalogSnapshot,
        time_zone: str,
        compiled_s: int,
    ) -> None:
        self.rules = tuple(rules)
        self.problems = tuple(problems)
        self.segments = segments
        self.compiled_s = compiled_s
        self._snapshot = snapshot
        self._zone = ZoneInfo(time_zone)
        self._starts = np.array([rule.starts_s for rule in rules], np.float64)
        self._ends = np.array([rule.ends_s for rule in rules], np.float64)
        self._clocked = [
            (place, rule.document.condition)
            for place, rule in enumerate(rules)
            if _asks_clock(rule.document.condition)
        ]
        # By what they say: conditions hold tables, which can't be keys.
        numbers: dict[bytes, int] = {}
        self._conditions: list[Condition] = []
        self._condition_of: list[int] = []
        for rule in rules:
            condition = rule.document.condition
            number = numbers.setdefault(msgspec.json.encode(condition), len(numbers))
            if number == len(self._conditions):
                self._conditions.append(condition)
            self._condition_of.append(number)
        self._pages = PageConditions(self._conditions, snapshot, now_s=compiled_s)
        self._tables = RuleTables(rules, snapshot)
        self._ages = targets_age([rule.document for rule in rules])
        self._moments: Recent[tuple[int, ...], _Moment] = Recent(N_MOMENTS)
        self._now: tuple[int, _Moment] | None = None

    def is_stale(self, now_s: float) -> bool:
        """Whether the ages of products have changed enough to compile again."""
        return self._ages and now_s - self.compiled_s >= AGE_CHECK_S

    def active(self, context: Context, *, slug: str, page_type: str) -> ActiveRules | None:
        """The rules that count for a request, None if there is none."""
        moment = self._moment(context.now_s)
        if not moment.groups:
            return None
        row = context.page_rows[0] if context.page_rows else -1
        page = self._pages.page(slug, page_type, row, context.category)
        rules = moment.pages.get(page, lambda: self._page_rules(moment, page))
        request = context.request
        asked = (
            request.device if rules.device else None,
            request.locale if rules.locale else None,
            _answers(context, rules.segments, self.segments) if rules.segments else (),
        )
        found = rules.found.get(asked)
        if found is None:
            found = self._find(rules, *asked)
            if len(rules.found) >= N_ASKED:
                rules.found.clear()
            rules.found[asked] = found
        if isinstance(found, ActiveRules):
            return found
        if not found:
            return None
        return ActiveRules(self._tables.plan(found), self._tables, self._in_view(context, row))

    def _moment(self, now_s: int) -> _Moment:
        known = self._now
        if known is not None and known[0] == now_s:
            return known[1]
        on = (self._starts <= now_s) & (self._ends > now_s)
        if self._clocked:
            local = datetime.fromtimestamp(now_s, self._zone)
            for place, condition in self._clocked:
                if on[place] and not _clock_holds(condition, local):
                    on[place] = False
        places = tuple(on.nonzero()[0].tolist())
        moment = self._moments.get(places, lambda: _Moment(self._grouped(places)))
        self._now = (now_s, moment)
        return moment

    def _grouped(self, places: tuple[int, ...]) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Rules by condition."""
        groups: dict[int, list[int]] = {}
        for place in places:
            groups.setdefault(self._condition_of[place], []).append(place)
        return tuple((number, tuple(own)) for number, own in groups.items())

    def _page_rules(self, moment: _Moment, page: Page) -> _PageRules:
        sure: list[int] = []
        asked: list[tuple[Condition, tuple[int, ...]]] = []
        for number, places in moment.groups:
            if not self._pages.holds(number, page):
                continue
            condition = self._conditions[number]
            if condition.segments or condition.devices or condition.locales:
                asked.append((condition, places))
            else:
                sure += places
        return _PageRules(
            sure=tuple(sure),
            asked=tuple(asked),
            device=any(condition.devices for condition, _ in asked),
            locale=any(condition.locales for condition, _ in asked),
            segments=tuple(dict.fromkeys(key for each, _ in asked for key in each.segments)),
        )

    def _find(
        self,
        rules: _PageRules,
        device: str | None,
        locale: str | None,
        answers: tuple[bool, ...],
    ) -> _Found:
        """The rules of a page for who asks so."""
        segments = {key for key, holds in zip(rules.segments, answers, strict=True) if holds}
        places = list(rules.sure)
        for condition, own in rules.asked:
            if (
                (not condition.devices or device in condition.devices)
                and (not condition.locales or _speaks(locale, condition.locales))
                and (not condition.segments or not segments.isdisjoint(condition.segments))
            ):
                places += own
        if not places:
            return ()
        found = tuple(sorted(places))
        plan = self._tables.plan(found)
        return found if plan.compares else ActiveRules(plan, self._tables, InView())

    def _in_view(self, context: Context, row: int) -> InView:
        snapshot, category = self._snapshot, context.category
        return InView(
            categories=snapshot.categories_inside(category) if category else None,
            brand=int(snapshot.brand_codes[row]) if row >= 0 else -1,
            price_minor=int(snapshot.price_minor[row]) if row >= 0 else -1,
        )


def _answers(
    context: Context, keys: Sequence[str], segments: Mapping[str, SegmentDocument]
) -> tuple[bool, ...]:
    """Whether who asks is in each of some segments; a segment that is gone has nobody in it."""
    request, snapshot = context.request, context.snapshot
    seen = shopper_seen(request.shopper_id, context.state, context.models.profiles, snapshot)
    return tuple(
        [
            key in segments
            and shopper_in(
                segments[key],
                seen,
                device=request.device,
                snapshot=snapshot,
                now_s=context.now_s,
            )
            for key in keys
        ]
    )


def rules_compile(
    rules: Sequence[RuleSettings],
    segments: Sequence[SegmentSettings],
    snapshot: CatalogSnapshot,
    *,
    placements: Sequence[str],
    time_zone: str,
    now_s: float,
) -> ServingRules | None:
    """A store's rules on a catalog, None without any.

    A rule that can't be read, or names only what is gone, is left out and told in `problems`. Costs
    some 0.2 ms per rule and 100,000 products.
    """
    if not rules:
        return None
    known = segments_parse(segments)
    compiled: list[ServingRule] = []
    problems: list[RuleProblem] = []
    for stored in rules:
        try:
            compiled.append(
                rule_compile(
                    stored,
                    snapshot,
                    placements=placements,
                    segments=known,
                    now_s=int(now_s),
                )
            )
        except InvalidRuleError as error:
            problems.append(RuleProblem(stored.rule_id, stored.name, str(error)))
    return ServingRules(
        compiled,
        problems,
        segments=known,
        snapshot=snapshot,
        time_zone=time_zone,
        compiled_s=int(now_s),
    )


def segments_parse(segments: Sequence[SegmentSettings]) -> dict[str, SegmentDocument]:
    """By key; what can't be read is left out, and nobody is in it."""
    known = {}
    for stored in segments:
        try:
            known[stored.key] = segment_parse(stored.document)
        except InvalidSegmentError:
            continue
    return known


def _asks_clock(condition: Condition) -> bool:
    return bool(condition.weekdays or condition.from_time or condition.until_time)


def _clock_holds(condition: Condition, local: datetime) -> bool:
    if condition.weekdays and local.isoweekday() not in condition.weekdays:
        return False
    now = f"{local:%H:%M}"
    start, end = condition.from_time or "00:00", condition.until_time or "24:00"
    if start < end:
        return start <= now < end
    return now >= start or now < end


def _speaks(locale: str | None, wanted: Sequence[str]) -> bool:
    if locale is None:
        return False
    own = locale.replace("_", "-").casefold()
    return any(
        own == tag or own.startswith(f"{tag}-")
        for tag in (each.replace("_", "-").casefold() for each in wanted)
    )
