"""Reading events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection

from catalog.models import EventType
from catalog.prepared import rows_of_prepared


class RecentEvent(NamedTuple):
    """One product in one event of a shopper."""

    occurred_at: datetime
    type: int
    product_id: int
    quantity: int


class RecentSearch(NamedTuple):
    """What a shopper searched for."""

    occurred_at: datetime
    query: str


@dataclass(slots=True)
class ShopperPast:
    """What a shopper did lately, oldest first, and everything that they ever hid.

    `is_linked` tells that the shopper is one of several ids of a person.
    """

    events: list[RecentEvent] = field(default_factory=list)
    searches: list[RecentSearch] = field(default_factory=list)
    is_linked: bool = False


# The clock of a sender may be ahead.
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)

# The index (store, shopper, -occurred_at) gives each shopper's newest lines without a sort; what
# was hidden has an index of its own, for it may be years ago.
# Planning this over all partitions takes ten times as long as the rest: it is prepared.
_PAST = f"""
SELECT shopper.external_id, past.occurred_at, past.type, past.product_id, past.quantity, past.query
FROM catalog_shopper AS shopper
CROSS JOIN LATERAL (
    (SELECT occurred_at, type, product_id, quantity, NULL::text AS query
     FROM catalog_event
     WHERE store_id = %(store_id)s AND shopper_id = shopper.id
       AND product_id IS NOT NULL AND type = ANY(%(types)s::smallint[]) AND NOT is_bot
       AND occurred_at >= %(since)s AND occurred_at <= %(until)s
     ORDER BY occurred_at DESC
     LIMIT %(limit)s)
    UNION
    (SELECT occurred_at, type, product_id, quantity, NULL
     FROM catalog_event
     WHERE store_id = %(store_id)s AND shopper_id = shopper.id
       AND type = {int(EventType.HIDE_ITEM)} AND product_id IS NOT NULL AND NOT is_bot
       AND occurred_at <= %(until)s
     ORDER BY occurred_at DESC
     LIMIT %(n_hidden)s)
    UNION ALL
    (SELECT occurred_at, type, NULL, 1, query
     FROM catalog_event
     WHERE store_id = %(store_id)s AND shopper_id = shopper.id
       AND type = {int(EventType.SEARCH)} AND query IS NOT NULL AND line = 0 AND NOT is_bot
       AND occurred_at >= %(since)s AND occurred_at <= %(until)s
     ORDER BY occurred_at DESC
     LIMIT %(n_searches)s)
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL
    WHERE EXISTS (
        SELECT FROM catalog_shopperlink AS link
        WHERE link.store_id = %(store_id)s AND link.undone_at IS NULL
          AND (link.shopper_id = shopper.id OR link.customer_id = shopper.id)
    )
) AS past
WHERE shopper.store_id = %(store_id)s AND shopper.external_id = ANY(%(external_ids)s)
"""


def shoppers_past(
    *,
    store_id: int,
    external_ids: Sequence[str],
    types: Iterable[int],
    since: datetime,
    limit: int,
    n_hidden: int,
    n_searches: int,
    until: datetime = FOR_EVER,
) -> dict[str, ShopperPast]:
    """The last `limit` products of each shopper's events, what they hid, and their last searches.

    Every shopper that was asked for is in the answer, an unknown one with an empty past. What the
    other ids of a person did is not looked for, nor what machines did. `until` looks back from a
    moment in the past. One query.
    """
    found: dict[str, ShopperPast] = {external_id: ShopperPast() for external_id in external_ids}
    rows = rows_of_prepared(
        _PAST,
        {
            "store_id": store_id,
            "external_ids": list(found),
            "types": [int(kind) for kind in types],
            "since": since,
            "until": until,
            "limit": limit,
            "n_hidden": n_hidden,
            "n_searches": n_searches,
        },
    )
    for external_id, at, kind, product_id, quantity, query in rows:
        past = found[external_id]
        if at is None:
            past.is_linked = True
        elif query is not None:
            past.searches.append(RecentSearch(at, query))
        else:
            past.events.append(RecentEvent(at, kind, product_id, quantity))
    for past in found.values():
        past.events.sort(key=lambda event: event.occurred_at)
        past.searches.sort(key=lambda search: search.occurred_at)
    return found


_ACTIVE_SINCE = """
SELECT store.id, shopper.external_id
FROM catalog_store AS store
CROSS JOIN LATERAL (
    SELECT DISTINCT shopper_id FROM catalog_event
    WHERE store_id = store.id AND received_at >= %(since)s
    UNION
    SELECT unnest(ARRAY[shopper_id, customer_id]) FROM catalog_shopperlink
    WHERE store_id = store.id AND (linked_at >= %(since)s OR undone_at >= %(since)s)
) AS active
JOIN catalog_shopper AS shopper ON shopper.id = active.shopper_id AND shopper.store_id = store.id
"""


def shoppers_changed_since(*, since: datetime) -> dict[int, list[str]]:
    """By store: whose events came in, or who was linked or unlinked, since a moment. One query."""
    changed: dict[int, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ACTIVE_SINCE, {"since": since})
        for store_id, external_id in cursor.fetchall():
            changed.setdefault(store_id, []).append(external_id)
    return changed
