"""Price tags of changes while they are worked out, and for a while after: `vt:{store}:price-tag:…`.

In Valkey, so that any web process can go on with what another one began. Losing one costs a member
another click.
"""

from __future__ import annotations

from recommender.stores.client import valkey
from recommender.stores.keys import price_tag_key

TTL_S = 15 * 60


def price_tag_write(store_id: int, token: str, part: str, packed: bytes) -> None:
    """Keep a part of a price tag. Raises StoreUnavailable."""
    valkey().call("SET", price_tag_key(store_id, token, part), packed, "EX", TTL_S)


def price_tag_read(store_id: int, token: str, part: str) -> bytes | None:
    """A part of a price tag, None if it is gone. Raises StoreUnavailable."""
    found: bytes | None = valkey().call("GET", price_tag_key(store_id, token, part))
    return found
