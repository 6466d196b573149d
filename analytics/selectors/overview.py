"""The figures of the overview, from the daily rollups."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Max, Min

from analytics.metrics.periods import Period
from analytics.models import DailyRollup, RollupWatermark
from catalog.models import Store


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over one or more days; shoppers and buyers are distinct over all of them."""

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
_SUMMED = tuple(f.name for f in fields(Figures) if f.name not in ("n_shoppers", "n_buyers"))
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
    parameters = {
        "store": store.pk,
        "first": period.first,
        "last": period.last,
        "before": period.before.first,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT day >= %(first)s, {_SUMS} FROM analytics_dailyrollup"
            " WHERE store_id = %(store)s AND day BETWEEN %(before)s AND %(last)s GROUP BY 1",
            parameters,
        )
        sums = {is_now: row for is_now, *row in cursor.fetchall()}
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE seen), count(*) FILTER (WHERE bought),
              count(*) FILTER (WHERE seen_before), count(*) FILTER (WHERE bought_before)
            FROM (
              SELECT bool_or(day >= %(first)s) AS seen,
                bool_or(day >= %(first)s AND bought) AS bought,
                bool_or(day < %(first)s) AS seen_before,
                bool_or(day < %(first)s AND bought) AS bought_before
              FROM analytics_shopperday
              WHERE store_id = %(store)s AND day BETWEEN %(before)s AND %(last)s
              GROUP BY shopper_id
            ) AS shoppers
            """,
            parameters,
        )
        n_seen, n_bought, n_seen_before, n_bought_before = cursor.fetchone() or (0, 0, 0, 0)
    return (
        _figures(sums.get(True), n_seen, n_bought),
        _figures(sums.get(False), n_seen_before, n_bought_before),
    )


def day_figures(*, store: Store, day: date) -> Figures:
    """One day, complete or not; a day without a row has no events. One query."""
    row = DailyRollup.objects.filter(store=store, day=day).values_list(
        *_SUMMED, "n_shoppers", "n_buyers"
    )
    for found in row:
        return _figures(list(found[:-2]), *found[-2:])
    return Figures()


def bucket_figures(*, store: Store, period: Period, bucket_days: int) -> list[Bucket]:
    """The period and the one before it in buckets, oldest first, ending with the period's last day.

    Whole buckets only: what doesn't fill one at the far end is left out, the same number in both
    periods. Days without events are zeros. One query, two for buckets of several days.
    """
    n_buckets = period.n_days // bucket_days
    sums: dict[int, list[int]] = {}
    shoppers: dict[int, tuple[int, int]] = {}
    parameters = {
        "store": store.pk,
        "last": period.last,
        "first": period.last - timedelta(days=2 * n_buckets * bucket_days - 1),
        "bucket": bucket_days,
    }
    where = "WHERE store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (%(last)s - day) / %(bucket)s, {_SUMS}, sum(n_shoppers)::bigint,"
            f" sum(n_buyers)::bigint FROM analytics_dailyrollup {where} GROUP BY 1",
            parameters,
        )
        for number, *row in cursor.fetchall():
            sums[number], shoppers[number] = row[:-2], (row[-2], row[-1])
        if bucket_days > 1:
            cursor.execute(
                f"""
                SELECT number, count(*), count(*) FILTER (WHERE bought)
                FROM (
                  SELECT (%(last)s - day) / %(bucket)s AS number, bool_or(bought) AS bought
                  FROM analytics_shopperday {where} GROUP BY 1, shopper_id
                ) AS shoppers
                GROUP BY 1
                """,
                parameters,
            )
            shoppers = {number: (seen, bought) for number, seen, bought in cursor.fetchall()}
    buckets = []
    for number in reversed(range(2 * n_buckets)):
        last = period.last - timedelta(days=number * bucket_days)
        figures = _figures(sums.get(number), *shoppers.get(number, (0, 0)))
        buckets.append(Bucket(last - timedelta(days=bucket_days - 1), last, figures))
    return buckets


def _figures(row: list[int] | None, n_shoppers: int, n_buyers: int) -> Figures:
    summed = dict(zip(_SUMMED, row, strict=True)) if row else {}
    return Figures(**summed, n_shoppers=n_shoppers, n_buyers=n_buyers)
