"""Jobs that are worked out a slice at a time, and for a while after: `vt:{store}:job:{kind}:…`.

In Valkey, so that any web process can go on with what another one began. Losing one costs a member
another click.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from recommender.stores.client import valkey
from recommender.stores.keys import job_key

TTL_S = 15 * 60

Kind: TypeAlias = Literal["price-tag", "off-policy"]


def job_write(store_id: int, kind: Kind, token: str, part: str, packed: bytes) -> None:
    """Keep a part of a job: what it is, or how far. Raises StoreUnavailable."""
    valkey().call("SET", job_key(store_id, kind, token, part), packed, "EX", TTL_S)


def job_read(store_id: int, kind: Kind, token: str, part: str) -> bytes | None:
    """A part of a job, None if it is gone. Raises StoreUnavailable."""
    found: bytes | None = valkey().call("GET", job_key(store_id, kind, token, part))
    return found
