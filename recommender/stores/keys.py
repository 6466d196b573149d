"""The names of all keys in Valkey, in one place: `vt:{store_id}:…`, `vt:limit:…`."""

from __future__ import annotations

PREFIX = "vt"


def session_key(store_id: int, shopper_external_id: str) -> str:
    """The recent events of a shopper. A list."""
    return f"{PREFIX}:{store_id}:session:{shopper_external_id}"


def limit_key(name: str, window: int) -> str:
    """How often somebody called in a window of time. A number."""
    return f"{PREFIX}:limit:{name}:{window}"


def job_key(store_id: int, kind: str, token: str, part: str) -> str:
    """A job that is being worked out in slices: what it is, or how far. JSON."""
    return f"{PREFIX}:{store_id}:job:{kind}:{token}:{part}"


def plan_history_key(store_id: int, day: str, token: str) -> str:
    """What past shoppers did on some placements, as of a day. JSON."""
    return f"{PREFIX}:{store_id}:plan:{day}:{token}"
