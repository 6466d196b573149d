"""The shopper's recent state for a request: Valkey, or PostgreSQL once when Valkey has forgotten."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from recommender.services.session_mending import sessions_mend
from recommender.services.session_rebuild import DATABASE_REST, sessions_rebuild
from recommender.stores.session_state import NO_STATE, OUTAGE, SessionState, session_read


def session_state(*, store_id: int, shopper_id: str | None) -> SessionState:
    """One round trip. A shopper that Valkey doesn't know costs one query, once.

    After an outage, what Valkey kept is not believed before it is mended. With PostgreSQL away as
    well it is better than nothing; and a shopper that Valkey doesn't know counts as new, for which
    PostgreSQL is asked once a second, not with every request.
    """
    if shopper_id is None:
        return NO_STATE
    state = session_read(store_id, shopper_id)
    if OUTAGE.since_s is not None and state.available and sessions_mend():
        state = session_read(store_id, shopper_id)
    trusted = state.found and OUTAGE.since_s is None
    if trusted or not state.available or DATABASE_REST.rests():
        return state
    try:
        rebuilt = sessions_rebuild(store_id=store_id, shopper_external_ids=[shopper_id])
    except (DatabaseError, InterfaceError):
        DATABASE_REST.begin()
        return state
    return rebuilt[shopper_id]
