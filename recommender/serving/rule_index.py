"""Which rules count for a request, found without looking at those that can't.

Rules are narrowed in the order of how long an answer holds: dates and times of day once a second;
placement, page and product in view once for each page that is looked at; segments, device and
locale with each request, and only for rules that ask for them. What the rules of one condition do
together is combined once and kept. So a request costs few look-ups, however many rules there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from recommender.engine.online.rule_targets import InView, ProductColumns
from recommender.engine.online.rules import Combined, allows, combine, factors_of
from recommender.engine.types import BoolArray, Float32Array, Int32Array
from recommender.selectors.serving_settings import RuleSettings, SegmentSettings
from recommender.serving.recent import Recent
from recommender.serving.rule_compile import (
    RuleProblem,
    ServingRule,
    rule_compile,
    targets_age,
)
from recommender.serving.rules import Condition, InvalidRuleError, Viewed
from recommender.serving.segments import (
    InvalidSegmentError,
    SegmentDocument,
    ShopperSeen,
    segment_parse,
    shopper_in,
    shopper_seen,
)
from recommender.serving.snapshot import CATEGORY_SEPARATOR, CatalogSnapshot

if TYPE_CHECKING:
    from recommender.serving.context import Context

# What a process keeps of rules that share a condition: three bytes per product each.
COMBINED_BYTES = 32_000_000
MIN_COMBINED = 16
# Pages (placement and product in view) whose rules are remembered; each is some 200 bytes.
N_VIEWS = 10_000
# Answers of segments, devices and languages that are remembered for a page.
N_ASKED = 16
# Sets of rules that are on at one moment: one now, others for previews of other moments.
N_MOMENTS = 8
AGE_CHECK_S = 3600


@dataclass(frozen=True, slots=True)
class _View:
    """The rules of one page: those that surely count, and those that ask for more."""

    sure: tuple[tuple[int, ...], ...]
    asked: tuple[tuple[Condition, tuple[int, ...]], ...]
    in_view: InView
    active: ActiveRules | None
    kept: Recent[tuple[tuple[int, ...], ...], ActiveRules] = field(
        default_factory=lambda: Recent(N_ASKED)
    )


@dataclass(frozen=True, slots=True)
class _Moment:
    """The rules whose dates and times of day are now, with the pages looked at meanwhile."""

    groups: tuple[tuple[Condition, tuple[int, ...]], ...]
    views: Recent[tuple[str, str, int, str | None], _View] = field(
        default_factory=lambda: Recent(N_VIEWS)
    )


@dataclass(frozen=True, slots=True)
class ActiveRules:
    """The rules that count for a request. Not to be changed.

    Attributes
    ----------
    rules
        In their order.
    key
        Their ids: what an answer that is kept has to be kept under.
    groups
        What they do, together for those that share a condition.
    placed
        Those that pin or reserve, the first one first.
    scales
        Whether any boosts or buries.
    """

    rules: tuple[ServingRule, ...]
    key: tuple[int, ...]
    groups: tuple[Combined, ...]
    in_view: InView
    columns: ProductColumns
    placed: tuple[ServingRule, ...]
    scales: bool

    def allows(self, rows: Int32Array) -> BoolArray | None:
        """Which of some rows the rules let through; None for all of them."""
        return allows(self.groups, self.columns, self.in_view, rows)

    def factors(self, rows: Int32Array) -> Float32Array:
        """By which the scores of some rows are multiplied."""
        return factors_of(self.groups, self.columns, self.in_view, rows)

    def means(self, rule: ServingRule, rows: Int32Array) -> BoolArray:
        """Which of some rows one rule means; none, if it compares with what isn't in view."""
        effect = rule.effect
        means = effect.holds(rows)
        if effect.relative is not None:
            if not effect.relative.can_compare(self.in_view):
                return np.zeros(len(rows), np.bool_)
            means &= effect.relative.holds(self.columns, self.in_view, rows)
        return means


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
        self._columns = snapshot.columns()
        self._zone = ZoneInfo(time_zone)
        self._starts = np.array([rule.starts_s for rule in rules], np.float64)
        self._ends = np.array([rule.ends_s for rule in rules], np.float64)
        self._clocked = [
            (place, rule.document.condition)
            for place, rule in enumerate(rules)
            if _asks_clock(rule.document.condition)
        ]
        self._effects = [rule.effect for rule in rules]
        self._conditions = [msgspec.json.encode(rule.document.condition) for rule in rules]
        self._ages = targets_age([rule.document for rule in rules])
        self._moments: Recent[tuple[int, ...], _Moment] = Recent(N_MOMENTS)
        self._now: tuple[int, _Moment] | None = None
        # Made in the thread that refreshes, so that no request has to wait for the large ones.
        capacity = max(MIN_COMBINED, COMBINED_BYTES // (3 * len(snapshot) + 1))
        self._combined: Recent[tuple[int, ...], Combined] = Recent(capacity)
        own = [places for _, places in self._moment(compiled_s).groups]
        for places in sorted(own, key=len)[-capacity:]:
            self._combine(places)

    def is_stale(self, now_s: float) -> bool:
        """Whether the ages of products have changed enough to compile again."""
        return self._ages and now_s - self.compiled_s >= AGE_CHECK_S

    def active(self, context: Context, *, slug: str, page_type: str) -> ActiveRules | None:
        """The rules that count for a request, None if there is none."""
        moment = self._moment(context.now_s)
        if not moment.groups:
            return None
        row = context.page_rows[0] if context.page_rows else -1
        key = (slug, page_type, row, context.category)
        view = moment.views.get(key, lambda: self._view(moment, *key))
        if not view.asked:
            return view.active
        shopper = _Shopper(context)
        more = [places for condition, places in view.asked if self._holds(condition, shopper)]
        if not more:
            return view.active
        groups = (*view.sure, *more)
        return view.kept.get(groups, lambda: self._active(groups, view.in_view))

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

    def _grouped(self, places: tuple[int, ...]) -> tuple[tuple[Condition, tuple[int, ...]], ...]:
        """Rules by condition."""
        groups: dict[bytes, list[int]] = {}
        for place in places:
            groups.setdefault(self._conditions[place], []).append(place)
        return tuple((self.rules[own[0]].document.condition, tuple(own)) for own in groups.values())

    def _view(
        self,
        moment: _Moment,
        slug: str,
        page_type: str,
        row: int,
        category: str | None,
    ) -> _View:
        sure: list[tuple[int, ...]] = []
        asked: list[tuple[Condition, tuple[int, ...]]] = []
        for condition, places in moment.groups:
            if not self._page_holds(condition, slug, page_type, row, category):
                continue
            if condition.segments or condition.devices or condition.locales:
                asked.append((condition, places))
            else:
                sure.append(places)
        snapshot = self._snapshot
        in_view = InView(
            categories=snapshot.categories_inside(category) if category else None,
            brand=int(snapshot.brand_codes[row]) if row >= 0 else -1,
            price_minor=int(snapshot.price_minor[row]) if row >= 0 else -1,
        )
        groups = tuple(sure)
        return _View(
            sure=groups,
            asked=tuple(asked),
            in_view=in_view,
            active=self._active(groups, in_view) if groups else None,
        )

    def _active(self, groups: tuple[tuple[int, ...], ...], in_view: InView) -> ActiveRules:
        combined = tuple(map(self._combine, groups))
        rules = tuple(self.rules[place] for place in sorted(chain.from_iterable(groups)))
        placed = sorted(chain.from_iterable(group.placed for group in combined))
        return ActiveRules(
            rules=rules,
            key=tuple(rule.rule_id for rule in rules),
            groups=combined,
            in_view=in_view,
            columns=self._columns,
            placed=tuple(self.rules[place] for place in placed),
            scales=any(group.scales for group in combined),
        )

    def _combine(self, places: tuple[int, ...]) -> Combined:
        n = len(self._snapshot)
        return self._combined.get(places, lambda: combine(self._effects, places, n_items=n))

    def _page_holds(
        self, condition: Condition, slug: str, page_type: str, row: int, category: str | None
    ) -> bool:
        if condition.placements and slug not in condition.placements:
            return False
        if condition.page_types and page_type not in condition.page_types:
            return False
        viewed = condition.viewed
        if viewed.categories and not _is_inside(category, viewed.categories):
            return False
        return not viewed.asks_product or (row >= 0 and self._product_holds(viewed, row))

    def _product_holds(self, viewed: Viewed, row: int) -> bool:
        snapshot = self._snapshot
        if viewed.brands:
            brand = int(snapshot.brand_codes[row])
            if brand < 0 or snapshot.brands.names[brand] not in viewed.brands:
                return False
        price = int(snapshot.price_minor[row])
        low, high = viewed.price_from_minor, viewed.price_until_minor
        if low is not None and price < low:
            return False
        if high is not None and not 0 <= price <= high:
            return False
        facets, own = snapshot.facets, int(snapshot.facet_sets[row])
        if viewed.tags and not facets.with_tag(viewed.tags)[own]:
            return False
        return all(
            facets.with_attribute(name, values)[own] for name, values in viewed.attributes.items()
        )

    def _holds(self, condition: Condition, shopper: _Shopper) -> bool:
        """What only the request can tell: device, locale, segments."""
        request = shopper.context.request
        if condition.devices and request.device not in condition.devices:
            return False
        if condition.locales and not _speaks(request.locale, condition.locales):
            return False
        return not condition.segments or any(
            shopper.is_in(key, self.segments) for key in condition.segments
        )


class _Shopper:
    """Who asks: what is known, and the segments looked at, worked out once for a request."""

    __slots__ = ("_known", "_seen", "context")

    def __init__(self, context: Context) -> None:
        self.context = context
        self._known: dict[str, bool] = {}
        self._seen: list[ShopperSeen | None] = []

    def is_in(self, key: str, segments: Mapping[str, SegmentDocument]) -> bool:
        known = self._known.get(key)
        if known is None:
            segment, context = segments.get(key), self.context
            if not self._seen:
                request = context.request
                profiles = context.models.profiles
                self._seen.append(
                    shopper_seen(request.shopper_id, context.state, profiles, context.snapshot)
                )
            known = self._known[key] = segment is not None and shopper_in(
                segment,
                self._seen[0],
                device=context.request.device,
                snapshot=context.snapshot,
                now_s=context.now_s,
            )
        return known


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


def _is_inside(category: str | None, paths: Sequence[str]) -> bool:
    return category is not None and any(
        category == path or category.startswith(path + CATEGORY_SEPARATOR) for path in paths
    )


def _speaks(locale: str | None, wanted: Sequence[str]) -> bool:
    if locale is None:
        return False
    own = locale.replace("_", "-").casefold()
    return any(
        own == tag or own.startswith(f"{tag}-")
        for tag in (each.replace("_", "-").casefold() for each in wanted)
    )
