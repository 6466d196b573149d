"""How many shoppers are in a segment now, counted in PostgreSQL.

The definitions are those of `recommender.serving.segments`; a test holds both to the same answer.
What a linked guest did counts as done by the customer, and the two count once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Q

from catalog.models import EventType, Product, Store
from catalog.models.products import CATEGORY_SEPARATOR
from recommender.engine.types import SECONDS_PER_DAY, BoolArray, Int64Array
from recommender.models import Impression
from recommender.selectors.shopper_spending import VALUE_DAYS, shopper_spending
from recommender.selectors.training_data import TELLING, copy_binary, shopper_links

# As far back as training looks.
HISTORY_DAYS = 730
# Devices aren't part of events: they are counted in what was delivered lately.
DEVICE_DAYS = 30
# What a shopper's list of recent events holds; see `SESSION_TYPES` and `LIKING_TYPES`.
SEEN_TYPES = (
    EventType.VIEW_ITEM,
    EventType.SELECT_ITEM,
    EventType.ADD_TO_CART,
    EventType.REMOVE_FROM_CART,
    EventType.ADD_TO_WISHLIST,
    EventType.PURCHASE,
    EventType.RATE_ITEM,
    EventType.HIDE_ITEM,
    EventType.RECOMMENDATION_CLICK,
)
LIKING_TYPES = tuple(
    kind for kind in SEEN_TYPES if kind not in (EventType.REMOVE_FROM_CART, EventType.HIDE_ITEM)
)
THIS_VISIT_S = 4 * 3600


@dataclass(frozen=True, slots=True)
class SegmentSizes:
    """Shoppers by key of the segment, of so many who did anything within `HISTORY_DAYS`."""

    sizes: Mapping[str, int]
    n_shoppers: int


@dataclass(frozen=True, slots=True)
class _People:
    """Everybody who did something, one line each; times are Unix seconds, 0 for never."""

    ids: Int64Array
    first_s: Int64Array
    last_before_visit_s: Int64Array
    last_bought_s: Int64Array


def segment_sizes(
    *, store: Store, documents: Mapping[str, Mapping[str, Any]], now: datetime
) -> SegmentSizes:
    """Sizes by key. One query for all, one more for spending, and one for each affinity and device.

    A document is one that `segment_parse` has read and `segment_json` has written.
    """
    now_s = int(now.timestamp())
    people = _people(store.pk, now_s)
    sizes = {}
    for key, document in documents.items():
        kind = document["type"]
        if kind == "device":
            sizes[key] = _on_device(store, document["devices"], now)
        elif kind == "affinity":
            sizes[key] = _with_affinity(store, document, now)
        elif kind == "high_value":
            sizes[key] = _of_value(store, people, document, now_s)
        else:
            sizes[key] = int(_by_times(people, document, now_s).sum())
    return SegmentSizes(sizes, len(people.ids))


def _by_times(people: _People, document: Mapping[str, Any], now_s: int) -> BoolArray:
    """New, returning and lapsed."""
    kind = document["type"]
    cutoff_s = now_s - document["days"] * SECONDS_PER_DAY
    if kind == "new":
        newer: BoolArray = people.first_s >= cutoff_s
        return newer
    if kind == "returning":
        older: BoolArray = people.first_s < cutoff_s
        return older
    bought = document.get("since") == "purchase"
    last_s = people.last_bought_s if bought else people.last_before_visit_s
    lapsed: BoolArray = (last_s > 0) & (last_s < cutoff_s)
    return lapsed


def _people(store_id: int, now_s: int) -> _People:
    epoch = "extract(epoch FROM {})::int8"
    last = "coalesce(" + epoch.format("max(occurred_at) FILTER (WHERE {})") + ", 0)"
    raw = copy_binary(
        f"SELECT shopper_id, {epoch.format('min(occurred_at)')},"
        f" {last.format('occurred_at < to_timestamp(%s)')}, {last.format('type = %s')}"
        " FROM catalog_event WHERE store_id = %s AND occurred_at >= to_timestamp(%s)"
        f" AND type = ANY(%s) AND {TELLING} GROUP BY shopper_id",
        [
            now_s - THIS_VISIT_S,
            int(EventType.PURCHASE),
            store_id,
            now_s - HISTORY_DAYS * SECONDS_PER_DAY,
            [int(kind) for kind in SEEN_TYPES],
        ],
        (
            ("shopper_id", ">i8"),
            ("first_s", ">i8"),
            ("last_before_visit_s", ">i8"),
            ("last_bought_s", ">i8"),
        ),
    )
    ids, places = np.unique(
        shopper_links(store_id=store_id).people(raw["shopper_id"]), return_inverse=True
    )
    first_s = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first_s, places, raw["first_s"].astype(np.int64))
    before, bought = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    np.maximum.at(before, places, raw["last_before_visit_s"].astype(np.int64))
    np.maximum.at(bought, places, raw["last_bought_s"].astype(np.int64))
    return _People(ids, first_s, before, bought)


def _of_value(store: Store, people: _People, document: Mapping[str, Any], now_s: int) -> int:
    place = VALUE_DAYS.index(document["days"])
    found = shopper_spending(store_id=store.pk, now_s=now_s, shopper_ids=people.ids)
    enough = np.zeros(len(people.ids), np.bool_)
    if document.get("orders") is not None:
        enough |= found.orders[:, place] >= document["orders"]
    if document.get("spend_minor") is not None:
        enough |= found.spend_minor[:, place] >= document["spend_minor"]
    return int(enough.sum())


def _with_affinity(store: Store, document: Mapping[str, Any], now: datetime) -> int:
    about = Q(brand__in=document.get("brands", ()))
    for path in document.get("categories", ()):
        about |= Q(category_path=path) | Q(category_path__startswith=path + CATEGORY_SEPARATOR)
    products = list(Product.objects.filter(about, store=store).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT shopper_id, product_id FROM catalog_event"
            " WHERE store_id = %s AND occurred_at >= %s AND type = ANY(%s)"
            f" AND product_id = ANY(%s) AND {TELLING}",
            [
                store.pk,
                now - timedelta(days=document["days"]),
                [int(kind) for kind in LIKING_TYPES],
                products,
            ],
        )
        pairs = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    pairs[:, 0] = shopper_links(store_id=store.pk).people(pairs[:, 0])
    _, counts = np.unique(np.unique(pairs, axis=0)[:, 0], return_counts=True)
    return int((counts >= document["products"]).sum())


def _on_device(store: Store, devices: list[str], now: datetime) -> int:
    delivered = Impression.objects.filter(
        store=store,
        delivered_on__gte=(now - timedelta(days=DEVICE_DAYS)).date(),
        device__in=devices,
        shopper_external_id__isnull=False,
    )
    return delivered.values("shopper_external_id").distinct().count()
