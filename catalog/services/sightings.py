"""Who was seen when, without asking PostgreSQL about the same shopper with each of her events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from catalog.memory import Bounded
from catalog.services.shoppers import shoppers_upsert

# As long as `last_seen_at` may lag behind.
FRESH_S = 60.0
MAX_REMEMBERED = 20_000

Seen = Mapping[str, tuple[datetime, datetime]]


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A row of the table, and the times up to which it needs no change."""

    shopper_id: int
    first_at: datetime
    last_at: datetime


_remembered: Bounded[tuple[int, str], _Sighting] = Bounded(MAX_REMEMBERED, FRESH_S)


def shoppers_known(*, store_id: int, seen: Seen) -> dict[str, int]:
    """The ids of those whose rows this process wrote or read within the last minute. No query.

    A row may have been erased meanwhile by another process: whoever stores under these ids makes
    sure that they still exist, and calls `shoppers_forget` if not.
    """
    known = {}
    for external_id, (first_at, last_at) in seen.items():
        sighting = _remembered.get((store_id, external_id))
        if (
            sighting is not None
            and sighting.first_at <= first_at
            and (last_at - sighting.last_at).total_seconds() <= FRESH_S
        ):
            known[external_id] = sighting.shopper_id
    return known


def shoppers_note(*, store_id: int, seen: Seen) -> dict[str, int]:
    """Write down when shoppers were seen, and return their ids. One statement, none for nobody.

    Call `shoppers_remember` with them after the commit.
    """
    return shoppers_upsert(store_id=store_id, seen=seen)


def shoppers_remember(*, store_id: int, seen: Seen, shopper_ids: Mapping[str, int]) -> None:
    """Keep the ids of rows that are committed."""
    for external_id, shopper_id in shopper_ids.items():
        first_at, last_at = seen[external_id]
        _remembered.put((store_id, external_id), _Sighting(shopper_id, first_at, last_at))


def shoppers_forget(*, store_id: int, external_ids: Mapping[str, int]) -> None:
    """Ask PostgreSQL about these again."""
    for external_id in external_ids:
        _remembered.drop((store_id, external_id))


def shoppers_all_exist(*, store_id: int, shopper_ids: Mapping[str, int]) -> bool:
    """Whether none of them was erased meanwhile. One query, none for nobody."""
    if not shopper_ids:
        return True
    # The list as PostgreSQL writes it: the driver would take longer over it than the query.
    ids = "{" + ",".join(map(str, set(shopper_ids.values()))) + "}"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM catalog_shopper WHERE id = ANY(%s::bigint[]) AND store_id = %s",
            (ids, store_id),
        )
        (n_found,) = cursor.fetchone() or (0,)
    return bool(n_found == len(set(shopper_ids.values())))
