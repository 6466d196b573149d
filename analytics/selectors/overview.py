"""The figures of the overview, from the daily rollups."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, LiteralString

from django.db import connection
from django.db.models import Max, Min

from analytics.metrics.periods import Period
from analytics.models import DailyRollup, RollupWatermark
from catalog.models import Store


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over one or more days.

    Attributes
    ----------
    n_shoppers, n_buyers
        Distinct shoppers of any event, and of a purchase.
    n_visitors, n_converted
        Distinct shoppers with a recorded visit, and those of them who bought on such a day.
    """

    n_events: int = 0
    n_views: int = 0
    n_carts: int = 0
    n_orders: int = 0
    n_units: int = 0
    revenue_minor: int = 0
    n_recommendations: int = 0
    n_recommendation_views: int = 0
    n_recommendation_clicks: int = 0
    n_fallbacks: int = 0
    n_empty: int = 0
    n_shoppers: int = 0
    n_buyers: int = 0
    n_visitors: int = 0
    n_converted: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some days of a chart: one, or a week."""

    first: date
    last: date
    figures: Figures


@dataclass(frozen=True, slots=True)
class RollupState:
    """Which days have been counted, and when last."""

    first_day: date | None
    last_day: date | None
    computed_at: datetime | None


# Distinct counts can't be summed; everything else can.
_DISTINCT = ("n_shoppers", "n_buyers", "n_visitors", "n_converted")
_SUMMED = tuple(f.name for f in fields(Figures) if f.name not in _DISTINCT)
_SUMS = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in _SUMMED)


def rollup_state(*, store: Store) -> RollupState:
    """Two queries."""
    days = DailyRollup.objects.filter(store=store).aggregate(first=Min("day"), last=Max("day"))
    computed_at = (
        RollupWatermark.objects.filter(store=store).values_list("computed_at", flat=True).first()
    )
    return RollupState(days["first"], days["last"], computed_at)


def period_figures(*, store: Store, period: Period) -> tuple[Figures, Figures]:
    """The period and the one before it. Two queries."""
    now, before = _figures_by_part(
        store, "CASE WHEN day >= %(split)s THEN 0 ELSE 1 END", period.before.first, period.last,
        {"split": period.first}, n_parts=2,
    )  # fmt: skip
    return now, before


def day_figures(*, store: Store, day: date) -> Figures:
    """One day, complete or not; a day without a row has no events. Two queries."""
    return _figures_by_part(store, "0", day, day, {}, n_parts=1)[0]


def bucket_figures(*, store: Store, period: Period, bucket_days: int) -> list[Bucket]:
    """The period and the one before it in buckets, oldest first, ending with the period's last day.

    Whole buckets only: what doesn't fill one at the far end is left out, the same number in both
    periods. Days without events are zeros. Two queries.
    """
    n_parts = 2 * (period.n_days // bucket_days)
    first = period.last - timedelta(days=n_parts * bucket_days - 1)
    parts = _figures_by_part(
        store, "(%(last)s - day) / %(bucket)s", first, period.last,
        {"bucket": bucket_days}, n_parts=n_parts,
    )  # fmt: skip
    buckets = []
    for number in reversed(range(n_parts)):
        last = period.last - timedelta(days=number * bucket_days)
        buckets.append(Bucket(last - timedelta(days=bucket_days - 1), last, parts[number]))
    return buckets


def _figures_by_part(
    store: Store,
    part: LiteralString,
    first: date,
    last: date,
    parameters: dict[str, object],
    *,
    n_parts: int,
) -> list[Figures]:
    """Figures of the days from first to last, by an SQL expression from a day to 0 … n_parts-1."""
    values: dict[str, Any] = {"store": store.pk, "first": first, "last": last, **parameters}
    where = "WHERE store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {part}, {_SUMS} FROM analytics_dailyrollup {where} GROUP BY 1", values
        )
        sums = {number: row for number, *row in cursor.fetchall()}
        cursor.execute(
            f"""
            SELECT part, count(*), count(*) FILTER (WHERE bought),
              count(*) FILTER (WHERE visited), count(*) FILTER (WHERE converted)
            FROM (
              SELECT {part} AS part, bool_or(bought) AS bought, bool_or(visited) AS visited,
                bool_or(visited AND bought) AS converted
              FROM analytics_shopperday {where} GROUP BY 1, shopper_id
            ) AS shoppers
            GROUP BY 1
            """,
            values,
        )
        distinct = {number: row for number, *row in cursor.fetchall()}
    return [
        Figures(
            **dict(zip(_SUMMED, sums.get(number, ()), strict=False)),
            **dict(zip(_DISTINCT, distinct.get(number, ()), strict=False)),
        )
        for number in range(n_parts)
    ]
