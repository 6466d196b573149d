"""The recent events of a shopper, from PostgreSQL back into Valkey."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from catalog.selectors.events import shoppers_recent_events
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import (
    N_ENTRIES,
    SESSION_TYPES,
    TTL_S,
    SessionEntry,
    SessionState,
    sessions_restore,
)


def sessions_rebuild(
    *, store_id: int, shopper_external_ids: Sequence[str]
) -> dict[str, SessionState]:
    """Build the lists of shoppers again from their last events, and return the states.

    One query and one round trip for all of them. A shopper without events gets a blank list, so
    that the next request doesn't ask PostgreSQL again. If Valkey is away the states are returned
    all the same. Raises OperationalError or InterfaceError if PostgreSQL is away.
    """
    recent = shoppers_recent_events(
        store_id=store_id,
        external_ids=shopper_external_ids,
        types=SESSION_TYPES,
        since=datetime.now(UTC) - timedelta(seconds=TTL_S),
        limit=N_ENTRIES,
    )
    entries = {
        shopper: [
            SessionEntry(int(at.timestamp()), kind, product_id, quantity)
            for at, kind, product_id, quantity in events
        ]
        for shopper, events in recent.items()
    }
    # The client reports that Valkey is away; the states are right without it.
    with suppress(StoreUnavailable):
        sessions_restore(store_id, entries)
    return {shopper: SessionState.of(own) for shopper, own in entries.items()}
