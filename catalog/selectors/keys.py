"""From the text of an API key to the store it opens.

A key is looked up by its SHA-256 digest, so that neither a copy of the table nor the timing of the
lookup gives it away. Answers are kept in the process for `FRESH_S` seconds: a revoked key is
refused within that time. While PostgreSQL is away, what was known goes on being believed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from hashlib import sha256

from django.db import InterfaceError, OperationalError

from catalog.models import ApiKey, Store

FRESH_S = 4.0
# Between two attempts to reach a database that is away; otherwise each request would wait for it.
RETRY_S = 1.0
# Wrong keys are remembered too. Beyond so many entries the wrong ones are thrown away.
MAX_REMEMBERED = 10_000


class KeysUnavailable(Exception):
    """PostgreSQL is away and this key isn't known to the process."""


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """What a request may do, and for which store."""

    key_id: int
    kind: str
    origins: frozenset[str]
    store_id: int
    store_slug: str
    currency: str
    signing_secret: bytes
    store_is_demo: bool

    @property
    def is_secret(self) -> bool:
        return self.kind == "sk"


@dataclass(slots=True)
class _Remembered:
    key: ResolvedKey | None
    fresh_until: float


_remembered: dict[bytes, _Remembered] = {}
_lookup = threading.Lock()


def key_digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def api_key_resolve(key: str) -> ResolvedKey | None:
    """The key's store and rights; None if there is no such key or it was revoked.

    At most one query, and mostly none. Raises KeysUnavailable if the database is away and the key
    was never seen by this process.
    """
    digest = key_digest(key)
    known = _remembered.get(digest)
    if known is not None and time.monotonic() < known.fresh_until:
        return known.key
    # One thread asks the database. The others go on with what was true a moment ago; a thread
    # that knows nothing yet asks for itself.
    first = _lookup.acquire(blocking=False)
    try:
        if not first and known is not None:
            return known.key
        return _look_up(digest, known)
    finally:
        if first:
            _lookup.release()


def keys_forget() -> None:
    """Ask the database again for every key: after a change made by this process, and in tests."""
    _remembered.clear()


def publishable_key(store: Store) -> str:
    """The key for the store's pages: its newest publishable one. Raises ApiKey.DoesNotExist."""
    return (
        ApiKey.objects.filter(store=store, kind=ApiKey.Kind.PUBLISHABLE, revoked_at__isnull=True)
        .order_by("-created_at", "-pk")
        .values_list("publishable", flat=True)[:1]
        .get()
    )


def api_keys_of(*, store: Store) -> list[ApiKey]:
    """All keys of a store for its settings page, the revoked ones last."""
    keys = ApiKey.objects.filter(store=store).order_by("kind", "-created_at")
    return sorted(keys, key=lambda key: key.revoked_at is not None)


def _look_up(digest: bytes, known: _Remembered | None) -> ResolvedKey | None:
    try:
        row = (
            ApiKey.objects.filter(digest=digest, revoked_at__isnull=True)
            .select_related("store")
            .first()
        )
    except (OperationalError, InterfaceError) as error:
        if known is None:
            raise KeysUnavailable from error
        known.fresh_until = time.monotonic() + RETRY_S
        return known.key
    key = None if row is None else _resolved(row)
    if len(_remembered) >= MAX_REMEMBERED:
        _forget_wrong_keys()
    _remembered[digest] = _Remembered(key, time.monotonic() + FRESH_S)
    return key


def _forget_wrong_keys() -> None:
    for digest, entry in list(_remembered.items()):
        if entry.key is None:
            _remembered.pop(digest, None)


def _resolved(row: ApiKey) -> ResolvedKey:
    return ResolvedKey(
        key_id=row.pk,
        kind=row.kind,
        origins=frozenset(row.origins),
        store_id=row.store_id,
        store_slug=row.store.slug,
        currency=row.store.currency,
        signing_secret=bytes(row.store.signing_secret),
        store_is_demo=row.store.is_demo,
    )
