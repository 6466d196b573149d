"""Keeping track of who was seen when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.db import connection

# `last_seen_at` is written at most this often: each write costs entries in three indexes, and
# a row that every post would touch is a row that every post would wait for.
_UPSERT = """
WITH seen AS (
    SELECT * FROM json_to_recordset(%(seen)s::json)
        AS seen (external_id text, first_at timestamptz, last_at timestamptz)
), known AS (
    SELECT shopper.external_id, shopper.id
    FROM catalog_shopper AS shopper JOIN seen USING (external_id)
    WHERE shopper.store_id = %(store_id)s
      AND shopper.first_seen_at <= seen.first_at
      AND shopper.last_seen_at >= seen.last_at - interval '1 minute'
), upserted AS (
    INSERT INTO catalog_shopper AS shopper
        (store_id, external_id, first_seen_at, last_seen_at, profile)
    SELECT %(store_id)s, seen.external_id, seen.first_at, seen.last_at, '{}'
    FROM seen
    WHERE NOT EXISTS (SELECT FROM known WHERE known.external_id = seen.external_id)
    ORDER BY seen.external_id
    ON CONFLICT (store_id, external_id) DO UPDATE SET
        first_seen_at = least(shopper.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(shopper.last_seen_at, excluded.last_seen_at)
    RETURNING shopper.external_id, shopper.id
)
SELECT external_id, id FROM known UNION ALL SELECT external_id, id FROM upserted
"""


def shoppers_upsert(
    *, store_id: int, seen: Mapping[str, tuple[datetime, datetime]]
) -> dict[str, int]:
    """Note when shoppers were seen (first, last) and return their ids by external id.

    One statement. Rows are taken in the order of their names, so that two posts with the same
    shoppers wait for each other instead of blocking each other for good.
    """
    if not seen:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "store_id": store_id,
                # As JSON: the driver takes longer over three arrays than PostgreSQL over the rows.
                "seen": msgspec.json.encode(
                    [
                        {"external_id": external_id, "first_at": first, "last_at": last}
                        for external_id, (first, last) in seen.items()
                    ]
                ).decode(),
            },
        )
        return dict(cursor.fetchall())
