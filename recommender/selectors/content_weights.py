"""What makes the products of a store similar: the weights of text, attributes and own vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from catalog.models import Store
from recommender.models import ContentWeights

Weights: TypeAlias = Mapping[str, int]
"""A weight from 0 to 100 for every name of `PARTS`."""

PARTS = ("text", "attributes", "own_vectors")
MAX_WEIGHT = 100
# Whoever sends vectors for most of the catalog means them to count, beside the text.
AUTOMATIC = {"text": 100, "attributes": 0, "own_vectors": 50}


def content_weights_row(*, store_id: int) -> ContentWeights | None:
    """What a member has chosen; None: it is left to `weights_automatic`. One query."""
    return ContentWeights.objects.filter(store_id=store_id).select_related("updated_by").first()


def weights_of(row: ContentWeights) -> Weights:
    """The chosen weights by the name of the part."""
    return {name: getattr(row, name) for name in PARTS}


def weights_automatic(*, n_products: int, n_own: int) -> Weights:
    """What counts where nobody has chosen: the text, and half as much own vectors, if at least half
    of the products have one.

    Examples
    --------
    >>> weights_automatic(n_products=10, n_own=4), weights_automatic(n_products=10, n_own=5)
    ({'text': 100, 'attributes': 0, 'own_vectors': 0}, {'text': 100, 'attributes': 0, 'own_vectors': 50})
    """
    if 0 < n_products <= 2 * n_own:
        return dict(AUTOMATIC)
    return {**AUTOMATIC, "own_vectors": 0}


def changed_us(row: ContentWeights | None) -> int:
    """When the weights were chosen, Unix microseconds; 0 if nobody ever did, or took it back."""
    return 0 if row is None else round(row.updated_at.timestamp() * 1_000_000)


def content_versions(*, store_id: int) -> tuple[int, int] | None:
    """What tells whether content has to be looked at again: the number that every change of a
    product raises, and `changed_us`. None if the store is gone. One query."""
    store = Store.objects.filter(pk=store_id).select_related("content_weights").first()
    if store is None:
        return None
    return store.catalog_version, changed_us(getattr(store, "content_weights", None))
