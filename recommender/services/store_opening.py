"""Opening a store that can recommend: with its owner, a key, and the usual placements."""

from __future__ import annotations

from django.db import transaction

from catalog.models import Store, User
from catalog.services.stores import store_create
from recommender.services.strategies import store_recipes_install


def store_open(
    *, name: str, slug: str | None, currency: str, locale: str, time_zone: str, owner: User
) -> Store:
    """Create a store with its usual placements, in one transaction. Raises StoreRefused."""
    with transaction.atomic():
        store = store_create(
            name=name,
            slug=slug,
            currency=currency,
            locale=locale,
            time_zone=time_zone,
            owner=owner,
        )
        store_recipes_install(store=store)
    return store
