"""Keeping track of who was seen when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from catalog.prepared import rows_of_prepared

# `last_seen_at` is written at most this often: each write costs entries in three indexes, and
# a row that every post would touch is a row that every post would wait for.
NOTE_SHOPPERS = """
seen AS (
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
    -- A row that nobody has ever changed or locked: this statement made it.
    RETURNING shopper.external_id, shopper.id, shopper.xmax = 0 AS is_new
), noted AS MATERIALIZED (
    SELECT external_id, id, false AS is_new FROM known
    UNION ALL SELECT external_id, id, is_new FROM upserted
)
"""
_UPSERT = f"WITH {NOTE_SHOPPERS} SELECT external_id, id FROM noted"


def shoppers_upsert(
    *, store_id: int, seen: Mapping[str, tuple[datetime, datetime]]
) -> dict[str, int]:
    """Note when shoppers were seen (first, last) and return their ids by external id.

    One statement. Rows are taken in the order of their names, so that two posts with the same
    shoppers wait for each other instead of blocking each other for good.
    """
    if not seen:
        return {}
    parameters = {"store_id": store_id, "seen": seen_as_json(seen)}
    return dict(rows_of_prepared(_UPSERT, parameters))


def seen_as_json(seen: Mapping[str, tuple[datetime, datetime]]) -> str:
    """The shoppers for `NOTE_SHOPPERS`.

    As JSON: the driver takes longer over three arrays than PostgreSQL over the rows.
    """
    return msgspec.json.encode(
        [
            {"external_id": external_id, "first_at": first, "last_at": last}
            for external_id, (first, last) in seen.items()
        ]
    ).decode()
