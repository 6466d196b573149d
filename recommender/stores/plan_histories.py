"""What the planner has read of a store's past, kept for a day: `vt:{store}:plan:{day}:…`.

It is asked again with every key that is pressed in the editor. Losing it costs one slow look.
"""

from __future__ import annotations

from recommender.stores.client import valkey
from recommender.stores.keys import plan_history_key

TTL_S = 86_400


def plan_history_write(store_id: int, day: str, token: str, packed: bytes) -> None:
    """Keep what was read as of a day. Raises StoreUnavailable."""
    valkey().call("SET", plan_history_key(store_id, day, token), packed, "EX", TTL_S)


def plan_history_read(store_id: int, day: str, token: str) -> bytes | None:
    """What was kept, None if nothing was. Raises StoreUnavailable."""
    found: bytes | None = valkey().call("GET", plan_history_key(store_id, day, token))
    return found
