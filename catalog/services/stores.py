"""Opening a store."""

from __future__ import annotations

import secrets
import zoneinfo

from django.db import transaction
from django.utils.text import slugify

from catalog.models import ApiKey, Member, Store, User
from catalog.services.audit import audit_record
from catalog.services.keys import api_key_create


class StoreRefused(ValueError):
    """A store that can't be opened like this; the text says why."""


def store_create(
    *,
    name: str,
    slug: str | None = None,
    currency: str = "USD",
    locale: str = "en",
    time_zone: str = "UTC",
    is_demo: bool = False,
    owner: User | None,
) -> Store:
    """Open a store with a signing secret, a publishable key for its pages, and its owner.

    One transaction. Without `slug` a free one is made from the name; a slug that is given and
    taken is refused.
    """
    name = name.strip()
    currency = currency.strip().upper()
    if not name:
        raise StoreRefused("A store needs a name.")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise StoreRefused(f"{currency!r} isn't an ISO 4217 currency code such as EUR.")
    if time_zone not in zoneinfo.available_timezones():
        raise StoreRefused(f"{time_zone!r} isn't a time zone such as Europe/Berlin.")
    with transaction.atomic():
        store = Store.objects.create(
            slug=_free_slug(name) if slug is None else _given_slug(slug),
            name=name,
            currency=currency,
            locale=locale,
            time_zone=time_zone,
            signing_secret=secrets.token_bytes(32),
            is_demo=is_demo,
        )
        audit_record(
            store=store,
            actor=owner,
            action="store.create",
            subject=name,
            subject_key=store.slug,
            after={"currency": currency, "locale": locale, "time zone": time_zone},
        )
        api_key_create(store=store, kind=ApiKey.Kind.PUBLISHABLE, name="Web pages", actor=owner)
        if owner is not None:
            Member.objects.create(store=store, user=owner, role=Member.Role.OWNER)
    return store


def _given_slug(slug: str) -> str:
    if slug != slugify(slug) or not slug or len(slug) > 60:
        raise StoreRefused(f"{slug!r} isn't a slug of at most 60 small letters, digits, hyphens.")
    if Store.objects.filter(slug=slug).exists():
        raise StoreRefused(f"A store {slug!r} exists already.")
    return slug


def _free_slug(name: str) -> str:
    stem = slugify(name)[:50] or "store"
    taken = set(Store.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    number, slug = 1, stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug
