"""The shopper's recent state for a request: Valkey, or PostgreSQL once when Valkey has forgotten."""

from __future__ import annotations

from datetime import datetime

from django.db import DatabaseError, InterfaceError, connection

from recommender.services.session_mending import sessions_mend
from recommender.services.session_rebuild import DATABASE_REST, sessions_rebuild
from recommender.stores.session_state import NO_STATE, OUTAGE, SessionState, session_read


def session_state(
    *, store_id: int, shopper_id: str | None, at: datetime | None = None
) -> SessionState:
    """One round trip. A shopper that Valkey doesn't know costs one query, once.

    After an outage, what Valkey kept is not believed before it is mended. With PostgreSQL away as
    well it is better than nothing; and a shopper that Valkey doesn't know counts as new, for which
    PostgreSQL is asked once a second, not with every request; nor while it keeps another request
    waiting. `at` is the moment up to which a past that is played again is known.
    """
    if shopper_id is None:
        return NO_STATE
    state = session_read(store_id, shopper_id)
    if OUTAGE.since_s is not None and state.available and sessions_mend():
        state = session_read(store_id, shopper_id)
    trusted = state.found and OUTAGE.since_s is None
    if trusted or not state.available or DATABASE_REST.rests():
        return state
    had_connection = connection.connection is not None
    try:
        return _rebuilt(store_id, shopper_id, at)
    except (DatabaseError, InterfaceError):
        connection.close()
        if not had_connection:
            return state
    # The connection may have been dead since PostgreSQL was restarted, hours ago.
    try:
        return _rebuilt(store_id, shopper_id, at)
    except (DatabaseError, InterfaceError):
        return state


def _rebuilt(store_id: int, shopper_id: str, at: datetime | None) -> SessionState:
    with DATABASE_REST.attempt():
        states = sessions_rebuild(store_id=store_id, shopper_external_ids=[shopper_id], until=at)
    return states[shopper_id]
