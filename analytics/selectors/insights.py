"""The figures of Insights, from days that were counted already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from django.db import connection
from django.db.models import Max, Min

from analytics.metrics.periods import Period
from analytics.metrics.rates import Rate
from analytics.models import InsightsWatermark, Reach, RecommendationDay
from catalog.models import Store

# A chart has a point per day up to so many days; then one per week, Monday to Sunday.
DAYS_BY_DAY = 92


class Dimension(StrEnum):
    """By what the figures are told apart."""

    PLACEMENT = "placement"
    STRATEGY = "strategy"
    SOURCE = "source"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over some days, of everything or of a slice.

    Attributes
    ----------
    n_impressions
        Recommendations delivered; of sources and categories the places in them.
    n_orders, revenue_minor
        Orders with a credited line, and what those lines brought.
    """

    n_impressions: int = 0
    n_seen: int = 0
    n_clicks: int = 0
    n_empty: int = 0
    n_fallback: int = 0
    diversity_sum: float = 0.0
    n_diversity: int = 0
    novelty_sum: float = 0.0
    n_novelty: int = 0
    n_orders: int = 0
    revenue_minor: int = 0

    @property
    def click_rate(self) -> float | None:
        return self.n_clicks / self.n_seen if self.n_seen else None

    @property
    def diversity(self) -> float | None:
        return self.diversity_sum / self.n_diversity if self.n_diversity else None

    @property
    def novelty(self) -> float | None:
        return self.novelty_sum / self.n_novelty if self.n_novelty else None


NOTHING = Figures()


@dataclass(frozen=True, slots=True)
class Span:
    """Some days that a point of a chart stands for."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class InsightsState:
    """Which days have been counted, and when last; `first_day` is that of the first impression."""

    first_day: date | None
    last_day: date | None
    computed_at: datetime | None


_LISTS = ("n_impressions", "n_seen", "n_clicks", "n_empty", "n_fallback", "diversity_sum",
          "n_diversity", "novelty_sum", "n_novelty")  # fmt: skip
_PLACES = ("n_shown", "n_seen", "n_clicks")
_CREDITED = ("n_orders", "revenue_minor")
_NAMES = {"n_shown": "n_impressions"}

# Table, its columns, its key, and the key of credited lines, which has the same values.
_STRATEGY = (
    "(SELECT strategy_id FROM recommender_strategyversion v"
    " WHERE v.id = strategy_version_id AND v.store_id = %(store)s)"
)
_SHOWN: dict[Dimension | None, tuple[LiteralString, tuple[str, ...], LiteralString]] = {
    None: ("analytics_recommendationday", _LISTS, "NULL::bigint"),
    Dimension.PLACEMENT: ("analytics_recommendationday", _LISTS, "placement_id"),
    Dimension.STRATEGY: ("analytics_recommendationday", _LISTS, _STRATEGY),
    Dimension.SOURCE: ("analytics_sourceday", _PLACES, "source"),
    Dimension.CATEGORY: ("analytics_categoryday", _PLACES, "category"),
}
_OF_DAYS = "WHERE store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s"


def insights_state(*, store: Store) -> InsightsState:
    """Two queries."""
    shown = RecommendationDay.objects.filter(store=store, n_impressions__gt=0)
    days = shown.aggregate(first=Min("day"), last=Max("day"))
    computed_at = (
        InsightsWatermark.objects.filter(store=store).values_list("computed_at", flat=True).first()
    )
    return InsightsState(days["first"], days["last"], computed_at)


def spans_of(period: Period) -> list[Span]:
    """The points of a chart: each day, or each whole week of a longer period. Oldest first."""
    if period.n_days <= DAYS_BY_DAY:
        return [Span(day, day) for day in period.days]
    monday = period.first + timedelta(days=-period.first.weekday() % 7)
    n_weeks = ((period.last - monday).days + 1) // 7
    return [
        Span(monday + timedelta(weeks=n), monday + timedelta(weeks=n, days=6))
        for n in range(n_weeks)
    ]


def spans_before(spans: Sequence[Span]) -> list[Span]:
    """As many points directly before."""
    back = timedelta(days=(spans[-1].last - spans[0].first).days + 1)
    return [Span(span.first - back, span.last - back) for span in spans]


def period_slices(
    *, store: Store, period: Period, dimension: Dimension | None
) -> dict[Any, tuple[Figures, Figures]]:
    """Figures of the period and of the one before by the dimension's keys. Two queries.

    Keys are those of placements and strategies (0 or None: not known), sources and categories as
    they are named ("" for none); without a dimension the only key is None.
    """
    found = _figures(
        store,
        dimension,
        first=period.before.first,
        last=period.last,
        part="CASE WHEN day >= %(split)s THEN 0 ELSE 1 END",
        parameters={"split": period.first},
    )
    keys = dict.fromkeys(key for key, _ in found)
    slices = {key: (found.get((key, 0), NOTHING), found.get((key, 1), NOTHING)) for key in keys}
    if dimension is None:
        slices.setdefault(None, (NOTHING, NOTHING))
    return slices


def span_figures(
    *, store: Store, spans: Sequence[Span], dimension: Dimension | None = None, key: Any = None
) -> list[Figures]:
    """Figures of each point, of one slice or of everything. Two queries."""
    if not spans:
        return []
    width = (spans[0].last - spans[0].first).days + 1
    found = _figures(
        store,
        dimension,
        first=spans[0].first,
        last=spans[-1].last,
        part="(day - %(first)s::date) / %(width)s",
        parameters={"width": width},
        key=key,
    )
    return [found.get((key, number), NOTHING) for number in range(len(spans))]


def _figures(
    store: Store,
    dimension: Dimension | None,
    *,
    first: date,
    last: date,
    part: LiteralString,
    parameters: Mapping[str, object],
    key: Any = None,
) -> dict[tuple[Any, int], Figures]:
    """Figures by key and part; only those of `key` if there is a dimension and a key."""
    table, columns, column = _SHOWN[dimension]
    only = f"AND {column} = %(key)s" if dimension is not None and key is not None else ""
    values = {"store": store.pk, "first": first, "last": last, "key": key, **parameters}
    where = f"{_OF_DAYS} {only}"
    sums = ", ".join(f"sum({name})" for name in columns)
    found: dict[tuple[Any, int], dict[str, Any]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column}, {part}, {sums} FROM {table} {where} GROUP BY 1, 2", values
        )
        for own, number, *row in cursor.fetchall():
            named = zip((_NAMES.get(name, name) for name in columns), row, strict=True)
            found[own, number] = dict(named)
        cursor.execute(
            # Grouped twice: counting distinct pairs would sort them all.
            "SELECT own, part, count(*), sum(revenue_minor) FROM ("
            f"SELECT {column} AS own, {part} AS part, sum(revenue_minor) AS revenue_minor"
            f" FROM analytics_attributedline {where} GROUP BY 1, 2, day, order_key"
            ") AS orders GROUP BY 1, 2",
            values,
        )
        for own, number, *row in cursor.fetchall():
            found.setdefault((own, number), {}).update(zip(_CREDITED, row, strict=True))
    return {place: _typed(row) for place, row in found.items()}


def _typed(row: Mapping[str, Any]) -> Figures:
    """PostgreSQL's sums are decimals."""
    typed: dict[str, Any] = {
        each.name: (float if each.name.endswith("_sum") else int)(row[each.name])
        for each in fields(Figures)
        if row.get(each.name) is not None
    }
    return Figures(**typed)


def reach_of(*, store: Store, spans: Sequence[Span]) -> list[Reach | None]:
    """How much of the catalog each point has shown; None where nothing was. One query."""
    if not spans:
        return []
    step = Reach.Step.DAY if spans[0].first == spans[0].last else Reach.Step.WEEK
    found = {
        each.first: each
        for each in Reach.objects.filter(
            store=store, step=step, first__range=(spans[0].first, spans[-1].first)
        )
    }
    return [found.get(span.first) for span in spans]


def credited_revenue(*, store: Store, first: date, last: date) -> int:
    """Revenue of all credited lines of some days, in minor units. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(revenue_minor), 0)::bigint FROM analytics_attributedline {_OF_DAYS}",
            {"store": store.pk, "first": first, "last": last},
        )
        return int(cursor.fetchone()[0])


def visit_conversion(*, store: Store, spans: Sequence[Span]) -> list[Rate]:
    """Visits with an order of all visits, of each point; a visit is a shopper on a day. One query."""
    if not spans:
        return []
    width = (spans[0].last - spans[0].first).days + 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (day - %(first)s::date) / %(width)s, count(*) FILTER (WHERE bought), count(*)"
            f" FROM analytics_shopperday {_OF_DAYS} AND visited GROUP BY 1",
            {
                "store": store.pk,
                "first": spans[0].first,
                "last": spans[-1].last,
                "width": width,
            },
        )
        found = {number: Rate(bought, n) for number, bought, n in cursor.fetchall()}
    return [found.get(number, Rate(0, 0)) for number in range(len(spans))]
