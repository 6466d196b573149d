"""Keeping the insights true: what recommendations led to, by day.

In the manner of `analytics.services.rollups`: a refresh asks which days were touched by facts that
came in since the last one, and counts those days again. So it may run twice, late, or after a
crash. Some facts reach beyond their day: a click is credited with purchases of the seven days after
it; a view, or a list from before midnight, is looked for on the next day as well.

Which category a product is in, what its content vector is and how known it is are looked up when a
day is counted; a rebuild looks them up anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Greatest

from analytics.models import (
    AttributedLine,
    CategoryDay,
    InsightsWatermark,
    ProductDay,
    ProductMonth,
    Reach,
    RecommendationDay,
    SourceDay,
    TrackingDay,
    TrackingHour,
)
from analytics.services.insights_counting import ATTRIBUTION_DAYS, days_count, lines_attribute
from analytics.services.insights_lists import known_forget, lists_measure, reach_measure
from analytics.services.rollups import (
    EVENT_OVERLAP,
    IMPRESSION_OVERLAP,
    RefreshedDays,
)
from catalog.models import EventType, ShopperLink, Store

# Two refreshes of one store at a time would both be right, but one would wait on each row.
_LOCK_CLASS = 0x696E7369  # "insi"
# A year of events at once would be sorted on disk.
_CHUNK_DAYS = 31
_BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


def insights_refresh(
    *, store: Store, now: datetime, since: datetime | None = None
) -> RefreshedDays:
    """Count again each day touched since the last refresh; the first refresh counts all days.

    One transaction. `since` looks back further than the watermark: for an import that was open for
    long.
    """
    with transaction.atomic():
        _lock(store)
        watermark = InsightsWatermark.objects.filter(store=store).first()
        if watermark is None or watermark.time_zone != store.time_zone:
            return _rebuild(store, now)
        touched = _touched(
            store,
            events_since=_earlier(watermark.events_received_at, EVENT_OVERLAP, since),
            impressions_since=_earlier(
                watermark.impressions_delivered_at, IMPRESSION_OVERLAP, since
            ),
            links_since=_earlier(watermark.links_changed_at, EVENT_OVERLAP, since),
        )
        _count(store, touched)
        watermark.events_received_at = touched.received_at or watermark.events_received_at
        watermark.impressions_delivered_at = (
            touched.delivered_at or watermark.impressions_delivered_at
        )
        watermark.links_changed_at = touched.linked_at or watermark.links_changed_at
        watermark.computed_at = now
        watermark.save()
    return _refreshed(touched.days)


def insights_rebuild(*, store: Store, now: datetime) -> RefreshedDays:
    """Throw the store's days away and count all of them: after facts were deleted."""
    with transaction.atomic():
        _lock(store)
        return _rebuild(store, now)


def _rebuild(store: Store, now: datetime) -> RefreshedDays:
    for model in (
        RecommendationDay, SourceDay, CategoryDay, ProductDay, ProductMonth, Reach, AttributedLine,
        TrackingHour, TrackingDay,
    ):  # fmt: skip
        model.objects.filter(store=store).delete()
    known_forget()
    touched = _touched(store, events_since=None, impressions_since=None, links_since=None)
    _count(store, touched)
    InsightsWatermark.objects.update_or_create(
        store=store,
        defaults={
            "time_zone": store.time_zone,
            "events_received_at": touched.received_at,
            "impressions_delivered_at": touched.delivered_at,
            "links_changed_at": touched.linked_at,
            "computed_at": now,
        },
    )
    return _refreshed(touched.days)


def _refreshed(days: list[date]) -> RefreshedDays:
    return RefreshedDays(len(days), min(days, default=None), max(days, default=None))


def _lock(store: Store) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, store.pk])


def _earlier(mark: datetime | None, overlap: timedelta, since: datetime | None) -> datetime | None:
    """The moment to look back to; None means to the beginning."""
    if mark is None:
        return None
    return min(mark - overlap, since) if since else mark - overlap


@dataclass(frozen=True, slots=True)
class _Touched:
    """Days with news, and the newest event, impression and change of a link among it."""

    days: list[date]
    received_at: datetime | None
    delivered_at: datetime | None
    linked_at: datetime | None


_TOUCHED_BY_EVENTS = """
SELECT (occurred_at AT TIME ZONE %(zone)s)::date, max(received_at)
FROM catalog_event
WHERE store_id = %(store)s AND received_at > %(since)s
GROUP BY 1
"""

_TOUCHED_BY_IMPRESSIONS = """
SELECT (delivered_at AT TIME ZONE %(zone)s)::date, max(delivered_at)
FROM recommender_impression
WHERE store_id = %(store)s AND delivered_at > %(since)s
GROUP BY 1
"""

# Whoever was linked, or isn't any more, may be credited with other clicks on every day they bought.
_TOUCHED_BY_LINKS = f"""
WITH changed AS (
  SELECT shopper_id, customer_id FROM catalog_shopperlink
  WHERE store_id = %(store)s AND greatest(linked_at, undone_at) > %(since)s
)
SELECT DISTINCT (occurred_at AT TIME ZONE %(zone)s)::date
FROM catalog_event
WHERE store_id = %(store)s AND type = {EventType.PURCHASE.value} AND shopper_id IN (
  SELECT shopper_id FROM changed UNION SELECT customer_id FROM changed
  UNION SELECT link.shopper_id FROM catalog_shopperlink link
    JOIN changed ON changed.customer_id = link.customer_id WHERE link.store_id = %(store)s
)
"""


def _touched(
    store: Store,
    *,
    events_since: datetime | None,
    impressions_since: datetime | None,
    links_since: datetime | None,
) -> _Touched:
    parameters: dict[str, Any] = {"store": store.pk, "zone": store.time_zone}
    links = ShopperLink.objects.filter(store=store)
    linked_at = links.aggregate(at=Max(Greatest("linked_at", "undone_at")))["at"]
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED_BY_EVENTS, parameters | {"since": events_since or _BEGINNING})
        by_events: dict[date, datetime] = dict(cursor.fetchall())
        cursor.execute(
            _TOUCHED_BY_IMPRESSIONS, parameters | {"since": impressions_since or _BEGINNING}
        )
        by_impressions: dict[date, datetime] = dict(cursor.fetchall())
        by_links: set[date] = set()
        # The first count looks at every order anyway.
        if linked_at is not None and events_since is not None:
            cursor.execute(_TOUCHED_BY_LINKS, parameters | {"since": links_since or _BEGINNING})
            by_links = {day for (day,) in cursor.fetchall()}
    return _Touched(
        days=sorted(by_events.keys() | by_impressions.keys() | by_links),
        received_at=max(by_events.values(), default=None),
        delivered_at=max(by_impressions.values(), default=None),
        linked_at=linked_at,
    )


def _within(days: list[date], n_days: int) -> list[date]:
    """The days, and as many after each, oldest first."""
    return sorted({day + timedelta(days=n) for day in days for n in range(n_days + 1)})


def _count(store: Store, touched: _Touched) -> None:
    with connection.cursor() as cursor:
        # A month of events is grouped in memory; the usual few megabytes would send it to disk.
        cursor.execute("SET LOCAL work_mem = '128MB'")
    days = _within(touched.days, 1)
    for chunk in _chunks(days):
        days_count(store=store, days=chunk)
        lists_measure(store=store, days=chunk)
    for chunk in _chunks(_within(touched.days, ATTRIBUTION_DAYS)):
        lines_attribute(store=store, days=chunk)
    reach_measure(store=store, days=days)


def _chunks(days: list[date]) -> Iterator[list[date]]:
    """Days of a month or so at a time, however far apart."""
    chunk: list[date] = []
    for day in days:
        if chunk and (day - chunk[0]).days >= _CHUNK_DAYS:
            yield chunk
            chunk = []
        chunk.append(day)
    if chunk:
        yield chunk
