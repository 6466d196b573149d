"""The shopper's recent state for a request: Valkey, or PostgreSQL once when Valkey has forgotten."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from recommender.services.session_rebuild import sessions_rebuild
from recommender.stores.session_state import NO_STATE, SessionState, session_read


def session_state(*, store_id: int, shopper_id: str | None) -> SessionState:
    """One round trip. A shopper that Valkey doesn't know costs one query, once.

    With PostgreSQL away as well, the shopper counts as new.
    """
    if shopper_id is None:
        return NO_STATE
    state = session_read(store_id, shopper_id)
    if state.found or not state.available:
        return state
    try:
        rebuilt = sessions_rebuild(store_id=store_id, shopper_external_ids=[shopper_id])
    except (DatabaseError, InterfaceError):
        return state
    return rebuilt[shopper_id]
