"""How often a key or an address may call: counted by the minute, in the process and in Valkey.

Generous: this keeps a runaway script from filling the disk and hits nobody who shops. It counts in
whole minutes, so that at the turn of one twice as much may pass. A process tells Valkey of its calls
by the half percent of a limit, not one by one: most calls cost no round trip, and with several
processes a few percent more may pass. While Valkey is away nothing is limited: a shop's events
matter more.

Addresses are counted under a keyed hash that changes every day, and forgotten after two minutes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from catalog.memory import Bounded
from recommender.stores.client import StoreUnavailable, valkey
from recommender.stores.keys import limit_key

WINDOW_S = 60
# A process tells Valkey after so many parts of a limit; near the limit with every call.
STEPS = 200
MAX_REMEMBERED = 20_000
_DAY_S = 86_400


@dataclass(slots=True)
class _Count:
    """Calls of one minute: those that Valkey doesn't know of yet, and what it last said of all."""

    window: int
    untold: int = 0
    total: int = 0


_counts: Bounded[str, _Count] = Bounded(MAX_REMEMBERED, 2 * WINDOW_S)


def retry_after(limits: Mapping[str, int], *, now_s: float) -> int | None:
    """Count one call under each of the names; None if all are within their limits, else the seconds
    until the minute is over.

    At most one round trip, mostly none; none either once a limit is passed.
    """
    window = int(now_s) // WINDOW_S
    wait_s = max(1, (window + 1) * WINDOW_S - int(now_s))
    to_tell: list[tuple[str, int, _Count]] = []
    for name, most in limits.items():
        count = _counts.get(name)
        if count is None or count.window != window:
            count = _Count(window)
            _counts.put(name, count)
        if count.total > most:
            return wait_s
        count.untold += 1
        if count.untold >= most // STEPS or count.total + count.untold > most:
            to_tell.append((name, most, count))
    if not to_tell:
        return None
    commands: list[tuple[bytes | str | int | float, ...]] = []
    for name, _, count in to_tell:
        key = limit_key(name, window)
        # Another thread may count at the same time: what it adds from here on waits for the next.
        count.untold, told = 0, count.untold
        commands += [("INCRBY", key, told), ("EXPIRE", key, 2 * WINDOW_S)]
    try:
        totals = valkey().pipeline(commands)[::2]
    except StoreUnavailable:
        return None
    passed = False
    for (_, most, count), total in zip(to_tell, totals, strict=True):
        count.total = int(total)
        passed = passed or count.total > most
    return wait_s if passed else None


def limiter_forget() -> None:
    """Forget this process's own counts; for tests."""
    _counts.clear()


def call_limits(
    *, key_id: int, is_secret: bool, address: str | None, now_s: float
) -> dict[str, int]:
    """What a call counts under. Servers are known by their key; an address adds nothing there."""
    if is_secret:
        return {f"key:{key_id}": settings.SECRET_CALLS_PER_MINUTE}
    limits = {f"key:{key_id}": settings.PUBLISHABLE_CALLS_PER_MINUTE}
    if address is not None:
        pseudonym = address_pseudonym(address, now_s=now_s)
        limits[f"address:{pseudonym}"] = settings.ADDRESS_CALLS_PER_MINUTE
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
