"""Reading events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection


class RecentEvent(NamedTuple):
    """One product in one event of a shopper."""

    occurred_at: datetime
    type: int
    product_id: int
    quantity: int


# The index (store, shopper, -occurred_at) gives each shopper's newest lines without a sort.
_RECENT = """
SELECT shopper.external_id, recent.occurred_at, recent.type, recent.product_id, recent.quantity
FROM catalog_shopper AS shopper
CROSS JOIN LATERAL (
    SELECT occurred_at, type, product_id, quantity
    FROM catalog_event
    WHERE store_id = %(store_id)s AND shopper_id = shopper.id
      AND product_id IS NOT NULL AND type = ANY(%(types)s)
      AND occurred_at >= %(since)s
    ORDER BY occurred_at DESC
    LIMIT %(limit)s
) AS recent
WHERE shopper.store_id = %(store_id)s AND shopper.external_id = ANY(%(external_ids)s)
"""


def shoppers_recent_events(
    *,
    store_id: int,
    external_ids: Sequence[str],
    types: Iterable[int],
    since: datetime,
    limit: int,
) -> dict[str, list[RecentEvent]]:
    """The last `limit` products of each shopper's events, oldest first. One query.

    Every shopper that was asked for is in the answer, an unknown one with an empty list.
    """
    found: dict[str, list[RecentEvent]] = {external_id: [] for external_id in external_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            _RECENT,
            {
                "store_id": store_id,
                "external_ids": list(found),
                "types": [int(kind) for kind in types],
                "since": since,
                "limit": limit,
            },
        )
        for external_id, *event in cursor.fetchall():
            found[external_id].append(RecentEvent(*event))
    for events in found.values():
        events.sort(key=lambda event: event.occurred_at)
    return found
