"""Making and revoking API keys."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from catalog.models import ApiKey, Store, User
from catalog.selectors.keys import key_digest, keys_forget
from catalog.services.audit import audit_record

BASE62 = string.digits + string.ascii_letters
N_RANDOM = 32  # characters: 190 bits
N_PREFIX = 8  # shown in lists: enough to recognise a key by, far too little to guess it


class OriginRefused(ValueError):
    """A web origin that no browser would ever send."""


def api_key_create(
    *,
    store: Store,
    kind: str,
    name: str,
    origins: Sequence[str] = (),
    actor: User | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text. A secret key's text is never seen again."""
    kind = ApiKey.Kind(kind)
    text = f"{kind.value}_{''.join(secrets.choice(BASE62) for _ in range(N_RANDOM))}"
    with transaction.atomic():
        key = ApiKey.objects.create(
            store=store,
            kind=kind,
            name=name.strip(),
            digest=key_digest(text),
            prefix=text[:N_PREFIX],
            publishable=text if kind == ApiKey.Kind.PUBLISHABLE else "",
            origins=[origin_normalise(origin) for origin in origins],
        )
        audit_record(
            store=store,
            actor=actor,
            action="key.create",
            subject=key.name,
            subject_key=key.prefix,
            after={"kind": key.get_kind_display(), "origins": key.origins},
        )
        # This process may have remembered that the key doesn't exist.
        transaction.on_commit(keys_forget)
    return key, text


def api_key_revoke(*, store: Store, key_id: int, actor: User | None = None) -> ApiKey:
    """Refuse the key from now on: at once in this process, within 5 seconds in the others.

    Revoking twice keeps the first time. Raises ApiKey.DoesNotExist for a key of another store.
    """
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(store=store, pk=key_id)
        if key.revoked_at is None:
            key.revoked_at = timezone.now()
            key.save(update_fields=["revoked_at"])
            audit_record(
                store=store,
                actor=actor,
                action="key.revoke",
                subject=key.name,
                subject_key=key.prefix,
                before={"kind": key.get_kind_display(), "origins": key.origins},
            )
        transaction.on_commit(keys_forget)
    return key


def origin_normalise(origin: str) -> str:
    """An origin as browsers send it: scheme, host, port unless it is the usual one.

    >>> origin_normalise("HTTPS://Shop.Example.com:443/")
    'https://shop.example.com'
    """
    parts = urlsplit(origin.strip())
    usual_port = {"http": 80, "https": 443}.get(parts.scheme)
    if usual_port is None or not parts.hostname or parts.path.strip("/") or parts.query:
        raise OriginRefused(f"{origin!r} isn't an origin such as https://shop.example.com")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, usual_port) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
