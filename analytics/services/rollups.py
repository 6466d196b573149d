"""Keeping the daily rollups true.

A refresh asks which days of the store were touched by events received, or impressions delivered,
since the last one, and counts those days again from the facts. So it may run twice, late, or after
a crash: the result is the same. An event that arrives late changes the day it happened on.

Answers are counted by the hour, and the answers of days from their hours.

Days are those of the store's time zone. Changing it makes the next refresh count everything anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from analytics.models import AnswerHour, DailyRollup, RollupWatermark, ShopperDay
from catalog.models import Erasure, EventType, Store
from recommender.serving.trace import Reason

# An event is stamped before its transaction commits, and several processes stamp: what became
# visible after the last look may carry a time this far before that look. Imports that stay open
# longer call `rollups_refresh(..., since=start)` when they are done.
EVENT_OVERLAP = timedelta(minutes=2)
# Web processes write impressions behind the answer, and keep them while PostgreSQL is away.
IMPRESSION_OVERLAP = timedelta(hours=1)

# Two refreshes of one store at a time would both be right, but one would wait on each row.
_LOCK_CLASS = 0x726F6C6C  # "roll"


@dataclass(frozen=True, slots=True)
class RefreshedDays:
    """What a refresh counted: how many days, the first and the last (None: there was no news)."""

    n_days: int
    first: date | None
    last: date | None

    @classmethod
    def of(cls, days: Collection[date]) -> RefreshedDays:
        return cls(len(days), min(days, default=None), max(days, default=None))


def rollups_refresh(
    *,
    store: Store,
    now: datetime,
    since: datetime | None = None,
    delivered_since: datetime | None = None,
) -> RefreshedDays:
    """Count again each day touched since the last refresh; the first refresh counts all days.

    One transaction. `since` looks back further than the last refresh: for an import that was open
    for long; `delivered_since` only for impressions: for a replay, which delivers in the past.
    """
    with transaction.atomic():
        _lock(store)
        watermark = RollupWatermark.objects.filter(store=store).first()
        if watermark is None or watermark.time_zone != store.time_zone:
            return _rebuild(store, now)
        looked_at = watermark.computed_at
        events_since = look_back(watermark.events_received_at and looked_at, EVENT_OVERLAP, since)
        impressions_since = look_back(
            watermark.impressions_delivered_at and looked_at,
            IMPRESSION_OVERLAP,
            since,
            delivered_since,
        )
        touched = _touched(store, events_since, impressions_since)
        delivered_at = touched.delivered_at or watermark.impressions_delivered_at
        days = sorted({*touched.days, *days_erased(store, since=watermark.computed_at)})
        _count(store, days, until=delivered_at, now=now)
        watermark.events_received_at = touched.received_at or watermark.events_received_at
        watermark.impressions_delivered_at = delivered_at
        watermark.computed_at = now
        watermark.save()
    return RefreshedDays.of(days)


def days_erased(store: Store, *, since: datetime) -> set[date]:
    """The days on which somebody did something who was erased since the last look."""
    erasures = Erasure.objects.filter(store=store, erased_at__gt=since - EVENT_OVERLAP)
    return {day for days in erasures.values_list("days", flat=True) for day in days}


def rollups_rebuild(*, store: Store, now: datetime) -> RefreshedDays:
    """Throw the store's days away and count all of them: after facts were deleted."""
    with transaction.atomic():
        _lock(store)
        return _rebuild(store, now)


def _rebuild(store: Store, now: datetime) -> RefreshedDays:
    DailyRollup.objects.filter(store=store).delete()
    ShopperDay.objects.filter(store=store).delete()
    AnswerHour.objects.filter(store=store).delete()
    touched = _touched(store, None, None)
    _count(store, touched.days, until=touched.delivered_at, now=now)
    RollupWatermark.objects.update_or_create(
        store=store,
        defaults={
            "time_zone": store.time_zone,
            "events_received_at": touched.received_at,
            "impressions_delivered_at": touched.delivered_at,
            "computed_at": now,
        },
    )
    return RefreshedDays.of(touched.days)


def _lock(store: Store) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, store.pk])


def look_back(
    looked_at: datetime | None, overlap: timedelta, *further: datetime | None
) -> datetime | None:
    """The moment from which on something may be news; None: all of it is, there was nothing yet.

    Counted from the time of the last look, not from the newest stamp it saw: that of a large import
    would have it counted again by every look until something else comes in.
    """
    if looked_at is None:
        return None
    return min([looked_at - overlap, *(each for each in further if each is not None)])


_TOUCHED = """
SELECT (occurred_at AT TIME ZONE %(zone)s)::date, max(received_at)
FROM catalog_event
WHERE store_id = %(store)s AND received_at > %(events_since)s
GROUP BY 1
"""

_TOUCHED_BY_IMPRESSIONS = """
SELECT (delivered_at AT TIME ZONE %(zone)s)::date, max(delivered_at)
FROM recommender_impression
WHERE store_id = %(store)s AND delivered_at > %(impressions_since)s
GROUP BY 1
"""

_BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class _Touched:
    """Days with news, and the newest event and impression among it."""

    days: list[date]
    received_at: datetime | None
    delivered_at: datetime | None


def _touched(
    store: Store, events_since: datetime | None, impressions_since: datetime | None
) -> _Touched:
    parameters: dict[str, Any] = {
        "store": store.pk,
        "zone": store.time_zone,
        "events_since": events_since or _BEGINNING,
        "impressions_since": impressions_since or _BEGINNING,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED, parameters)
        by_events: dict[date, datetime] = dict(cursor.fetchall())
        cursor.execute(_TOUCHED_BY_IMPRESSIONS, parameters)
        by_impressions: dict[date, datetime] = dict(cursor.fetchall())
    return _Touched(
        days=sorted(by_events.keys() | by_impressions.keys()),
        received_at=max(by_events.values(), default=None),
        delivered_at=max(by_impressions.values(), default=None),
    )


_FORGET_ANSWERS = """
DELETE FROM analytics_answerhour
WHERE store_id = %(store)s AND (hour AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
  AND hour >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND hour < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
"""

# Answers that are alike in all of it are one row. None after the newest impression that the
# watermark will know: whoever reads the hours counts those from the impressions, and nothing twice.
_COUNT_ANSWERS = """
INSERT INTO analytics_answerhour
  (store_id, hour, placement_id, strategy_version_id, n_products, fallback, reason, rule_id, n)
SELECT %(store)s, date_trunc('hour', delivered_at, %(zone)s), placement_id, strategy_version_id,
  cardinality(product_ids), fallback, reason, rule_id, count(*)
FROM recommender_impression
WHERE store_id = %(store)s
  AND (delivered_at AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
  AND delivered_on BETWEEN %(first)s::date - 1 AND %(last)s::date + 1
  AND delivered_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND delivered_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  AND delivered_at <= %(until)s
GROUP BY 2, 3, 4, 5, 6, 7, 8
"""

# One look at each line of the days in question: `events` has a row per event, whatever its lines.
# What machines did doesn't count, and whoever is held out got no recommendation. The bounds let
# PostgreSQL use its indexes; the list says which of the days between them count. An order that is
# reported twice (the confirmation page was loaded again: another event, the same order id) is one
# order of its day.
_COUNT = f"""
WITH events AS MATERIALIZED (
  SELECT (occurred_at AT TIME ZONE %(zone)s)::date AS day, type, event_id, shopper_id, order_id,
    sum(quantity) AS n_units,
    sum(coalesce(value_minor, price_minor * quantity, 0)) AS value_minor
  FROM catalog_event
  WHERE store_id = %(store)s AND NOT is_bot
    AND occurred_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
    AND occurred_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  GROUP BY 1, 2, 3, 4, 5
), days AS (
  SELECT unnest(%(days)s::date[]) AS day
), by_event AS (
  SELECT day,
    count(*) AS n_events,
    count(*) FILTER (WHERE type = {EventType.VIEW_ITEM.value}) AS n_views,
    count(*) FILTER (WHERE type = {EventType.ADD_TO_CART.value}) AS n_carts,
    count(*) FILTER (WHERE type = {EventType.RECOMMENDATION_VIEW.value}) AS n_seen,
    count(*) FILTER (WHERE type = {EventType.RECOMMENDATION_CLICK.value}) AS n_clicks
  FROM events JOIN days USING (day)
  GROUP BY day
), orders AS (
  SELECT DISTINCT ON (day, coalesce(order_id, event_id::text)) day, n_units, value_minor
  FROM events JOIN days USING (day)
  WHERE type = {EventType.PURCHASE.value}
  ORDER BY day, coalesce(order_id, event_id::text), event_id
), by_order AS (
  SELECT day, count(*) AS n_orders, sum(n_units) AS n_units, sum(value_minor) AS revenue_minor
  FROM orders
  GROUP BY day
), shopper_days AS (
  INSERT INTO analytics_shopperday (store_id, day, shopper_id, visited, bought)
  SELECT %(store)s, day, shopper_id,
    bool_or(type <> {EventType.PURCHASE.value}), bool_or(type = {EventType.PURCHASE.value})
  FROM events JOIN days USING (day)
  GROUP BY day, shopper_id
  RETURNING day, bought
), by_shopper AS (
  SELECT day, count(*) AS n_shoppers, count(*) FILTER (WHERE bought) AS n_buyers
  FROM shopper_days
  GROUP BY day
), by_impression AS (
  SELECT (hour AT TIME ZONE %(zone)s)::date AS day,
    sum(n)::bigint AS n_recommendations,
    (sum(n) FILTER (WHERE fallback IS NOT NULL))::bigint AS n_fallbacks,
    (sum(n) FILTER (WHERE n_products = 0))::bigint AS n_empty
  FROM analytics_answerhour
  WHERE store_id = %(store)s AND reason IS DISTINCT FROM '{Reason.HELD_OUT}'
    AND hour >= %(first)s::timestamp AT TIME ZONE %(zone)s
    AND hour < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  GROUP BY 1
)
SELECT day, coalesce(n_events, 0), coalesce(n_views, 0), coalesce(n_carts, 0),
  coalesce(n_orders, 0), coalesce(n_units, 0), coalesce(n_shoppers, 0), coalesce(n_buyers, 0),
  coalesce(revenue_minor, 0), coalesce(n_recommendations, 0), coalesce(n_seen, 0),
  coalesce(n_clicks, 0), coalesce(n_fallbacks, 0), coalesce(n_empty, 0)
FROM days
  LEFT JOIN by_event USING (day)
  LEFT JOIN by_order USING (day)
  LEFT JOIN by_shopper USING (day)
  LEFT JOIN by_impression USING (day)
"""

_DAY_COLUMNS = (
    "day", "n_events", "n_views", "n_carts", "n_orders", "n_units", "n_shoppers", "n_buyers",
    "revenue_minor", "n_recommendations", "n_recommendation_views", "n_recommendation_clicks",
    "n_fallbacks", "n_empty",
)  # fmt: skip


def _count(store: Store, days: list[date], *, until: datetime | None, now: datetime) -> None:
    """Count some days again, answers that were delivered after `until` left out (None: there are none)."""
    if not days:
        return
    parameters: dict[str, Any] = {
        "store": store.pk,
        "zone": store.time_zone,
        "days": days,
        "first": min(days),
        "last": max(days),
        "until": until,
    }
    ShopperDay.objects.filter(store=store, day__in=days).delete()
    DailyRollup.objects.filter(store=store, day__in=days).delete()
    with connection.cursor() as cursor:
        # A year of events is grouped in memory; the usual few megabytes would send it to disk.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(_FORGET_ANSWERS, parameters)
        cursor.execute(_COUNT_ANSWERS, parameters)
        cursor.execute(_COUNT, parameters)
        rows = cursor.fetchall()
    DailyRollup.objects.bulk_create(
        DailyRollup(store=store, computed_at=now, **dict(zip(_DAY_COLUMNS, row, strict=True)))
        for row in rows
    )
