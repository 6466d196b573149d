"""How often a key or an address may call: counted by the minute in Valkey, one round trip.

Generous: this keeps a runaway script from filling the disk and hits nobody who shops. It counts in
whole minutes, so that at the turn of one twice as much may pass. While Valkey is away nothing is
limited: a shop's events matter more.

Addresses are counted under a keyed hash that changes every day, and forgotten after two minutes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings

from recommender.stores.client import StoreUnavailable, valkey
from recommender.stores.keys import limit_key

WINDOW_S = 60
PUBLISHABLE_PER_WINDOW = 120_000
SECRET_PER_WINDOW = 60_000
# A household, an office or a whole mobile network may share one address.
ADDRESS_PER_WINDOW = 6_000
_DAY_S = 86_400


def retry_after(limits: Mapping[str, int], *, now_s: float) -> int | None:
    """Count one call under each of the names; None if all are within their limits, else the seconds
    until the minute is over.

    One round trip. Within the limits while Valkey is away.
    """
    window = int(now_s) // WINDOW_S
    commands: list[tuple[bytes | str | int | float, ...]] = []
    for name in limits:
        key = limit_key(name, window)
        commands += [("INCR", key), ("EXPIRE", key, 2 * WINDOW_S)]
    if not commands:
        return None
    try:
        counts = valkey().pipeline(commands)[::2]
    except StoreUnavailable:
        return None
    if all(count <= most for count, most in zip(counts, limits.values(), strict=True)):
        return None
    return max(1, (window + 1) * WINDOW_S - int(now_s))


def call_limits(
    *, key_id: int, is_secret: bool, address: str | None, now_s: float
) -> dict[str, int]:
    """What a call counts under. Servers are known by their key; an address adds nothing there."""
    if is_secret:
        return {f"key:{key_id}": SECRET_PER_WINDOW}
    limits = {f"key:{key_id}": PUBLISHABLE_PER_WINDOW}
    if address is not None:
        limits[f"address:{address_pseudonym(address, now_s=now_s)}"] = ADDRESS_PER_WINDOW
    return limits


def client_address(*, peer: str, forwarded_for: str | None) -> str | None:
    """The public address of who is calling; None if it can't be known.

    Behind a proxy the peer is a private address, and the last entry of X-Forwarded-For is what the
    proxy saw. From anywhere else the header is hearsay.
    """
    if _is_public(peer):
        return peer
    last = (forwarded_for or "").rpartition(",")[2].strip()
    return last if last and _is_public(last) else None


def address_pseudonym(address: str, *, now_s: float) -> str:
    """A name for an address that is another one tomorrow, and leads nowhere without our secret."""
    return hashlib.blake2b(
        address.encode(), key=_salt_of(int(now_s) // _DAY_S), digest_size=12
    ).hexdigest()


@lru_cache(maxsize=2)
def _salt_of(day: int) -> bytes:
    return hashlib.blake2b(f"{settings.SECRET_KEY}:{day}".encode(), digest_size=32).digest()


@lru_cache(maxsize=4096)
def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
