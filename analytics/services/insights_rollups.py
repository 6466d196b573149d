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
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

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
from analytics.services.insights_counting import (
    ATTRIBUTION_DAYS,
    REPEATED_DAYS,
    days_count,
    lines_attribute,
)
from analytics.services.insights_lists import (
    known_forget,
    lists_measure,
    months_sum,
    reach_measure,
)
from analytics.services.rollups import (
    EVENT_OVERLAP,
    IMPRESSION_OVERLAP,
    RefreshedDays,
    days_erased,
    look_back,
)
from catalog.models import EventType, ShopperLink, Store

# Two refreshes of one store at a time would both be right, but one would wait on each row.
_LOCK_CLASS = 0x696E7369  # "insi"
# A year of events at once would be sorted on disk.
_CHUNK_DAYS = 31
# Days without news in between that are read along rather than that the rest is read twice.
_GAP_DAYS = 3
_BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


def insights_refresh(
    *,
    store: Store,
    now: datetime,
    since: datetime | None = None,
    delivered_since: datetime | None = None,
) -> RefreshedDays:
    """Count again each day touched since the last refresh; the first refresh counts all days.

    One transaction. `since` and `delivered_since` as in `rollups_refresh`.
    """
    with transaction.atomic():
        _lock(store)
        watermark = InsightsWatermark.objects.filter(store=store).first()
        if watermark is None or watermark.time_zone != store.time_zone:
            return _rebuild(store, now)
        looked_at = watermark.computed_at
        touched = _touched(
            store,
            events_since=look_back(
                watermark.events_received_at and looked_at, EVENT_OVERLAP, since
            ),
            impressions_since=look_back(
                watermark.impressions_delivered_at and looked_at,
                IMPRESSION_OVERLAP,
                since,
                delivered_since,
            ),
            links_since=look_back(watermark.links_changed_at and looked_at, EVENT_OVERLAP, since),
        )
        erased = days_erased(store, since=watermark.computed_at)
        touched = replace(touched, days=sorted({*touched.days, *erased}))
        _count(store, touched, now=now, looked_at=looked_at)
        watermark.events_received_at = touched.received_at or watermark.events_received_at
        watermark.impressions_delivered_at = (
            touched.delivered_at or watermark.impressions_delivered_at
        )
        watermark.links_changed_at = touched.linked_at or watermark.links_changed_at
        watermark.computed_at = now
        watermark.save()
    return RefreshedDays.of(touched.days)


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
    _count(store, touched, now=now, looked_at=None)
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
    return RefreshedDays.of(touched.days)


def _lock(store: Store) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, store.pk])


@dataclass(frozen=True, slots=True)
class _Touched:
    """Days with news, and the newest event, impression and change of a link among it.

    Attributes
    ----------
    sold
        Days whose orders alone have to be looked at again.
    """

    days: list[date]
    sold: list[date]
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

# Later reports of orders that came in: the order may be one of an earlier day now.
_TOUCHED_BY_ORDERS = f"""
SELECT DISTINCT (again.occurred_at AT TIME ZONE %(zone)s)::date
FROM catalog_event new
  LEFT JOIN catalog_shopperlink link
    ON link.store_id = %(store)s AND link.shopper_id = new.shopper_id AND link.undone_at IS NULL
  CROSS JOIN LATERAL (
    SELECT coalesce(link.customer_id, new.shopper_id) AS shopper_id
    UNION SELECT own.shopper_id FROM catalog_shopperlink own
    WHERE own.store_id = %(store)s AND own.undone_at IS NULL
      AND own.customer_id = coalesce(link.customer_id, new.shopper_id)
  ) AS member
  JOIN catalog_event again
    ON again.store_id = %(store)s AND again.shopper_id = member.shopper_id
      AND again.order_id = new.order_id AND again.occurred_at
        BETWEEN new.occurred_at AND new.occurred_at + interval '{REPEATED_DAYS} days'
WHERE new.store_id = %(store)s AND new.received_at > %(since)s
  AND new.type = {EventType.PURCHASE.value} AND again.type = {EventType.PURCHASE.value}
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
        by_orders: set[date] = set()
        if by_events and events_since is not None:
            cursor.execute(_TOUCHED_BY_ORDERS, parameters | {"since": events_since})
            by_orders = {day for (day,) in cursor.fetchall()}
    return _Touched(
        days=sorted(by_events.keys() | by_impressions.keys() | by_links),
        sold=sorted(by_orders),
        received_at=max(by_events.values(), default=None),
        delivered_at=max(by_impressions.values(), default=None),
        linked_at=linked_at,
    )


def _within(days: list[date], n_days: int) -> list[date]:
    """The days, and as many after each, oldest first."""
    return sorted({day + timedelta(days=n) for day in days for n in range(n_days + 1)})


def _count(store: Store, touched: _Touched, *, now: datetime, looked_at: datetime | None) -> None:
    with connection.cursor() as cursor:
        # A month of events is grouped in memory; the usual few megabytes would send it to disk.
        cursor.execute("SET LOCAL work_mem = '128MB'")
    days = _within(touched.days, 1)
    for chunk in _chunks(days):
        days_count(store=store, days=chunk)
        lists_measure(store=store, days=chunk)
    sold = sorted({*_within(touched.days, ATTRIBUTION_DAYS), *touched.sold})
    for chunk in _chunks(sold):
        lines_attribute(store=store, days=chunk)
    zone = ZoneInfo(store.time_zone)
    months_sum(
        store=store,
        days=days,
        looked_on=looked_at and looked_at.astimezone(zone).date(),
        today=now.astimezone(zone).date(),
    )
    reach_measure(store=store, days=days)


def _chunks(days: list[date]) -> Iterator[list[date]]:
    """Days that lie together, a month or so at a time: all between the ends is read."""
    chunk: list[date] = []
    for day in days:
        if chunk and ((day - chunk[0]).days >= _CHUNK_DAYS or (day - chunk[-1]).days > _GAP_DAYS):
            yield chunk
            chunk = []
        chunk.append(day)
    if chunk:
        yield chunk
