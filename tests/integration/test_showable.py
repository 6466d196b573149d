"""Which products may be shown at all is said once, in two languages, and everybody means the same."""

from __future__ import annotations

from itertools import product as combinations

import numpy as np
import pytest
from django.utils import timezone

from catalog.models import Product, Store
from catalog.selectors.product_list import STATES
from catalog.selectors.showable import SHOWABLE, n_of_catalog, showable_ids
from recommender.selectors.catalog_rows import catalog_rows
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply
from tests.factories import make_product

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(store: Store, other_store: Store) -> Store:
    """A product for every combination of what counts."""
    for number, (availability, stock, hidden, deleted_at, price) in enumerate(
        combinations(
            Product.Availability.values,
            (None, 0, 3),
            (False, True),
            (None, timezone.now()),
            (None, 500),
        )
    ):
        make_product(
            store,
            f"p{number}",
            availability=availability,
            stock_count=stock,
            hidden=hidden,
            deleted_at=deleted_at,
            price_minor=price,
        )
    make_product(other_store, "p0")
    return store


def test_members_figures_and_serving_mean_the_same_products(shelf: Store) -> None:
    products = Product.objects.filter(store=shelf)
    by_hand = {
        each.pk
        for each in products
        if each.is_available and not each.hidden and each.deleted_at is None and each.price_minor
    }
    # In stock, for preorder or for backorder; with stock or without a count.
    assert len(by_hand) == 3 * 2

    ids = showable_ids(store_id=shelf.pk)
    assert ids.tolist() == sorted(by_hand)
    assert set(products.filter(SHOWABLE).values_list("pk", flat=True)) == by_hand
    listed = products.filter(STATES["available"][1], deleted_at=None)
    assert set(listed.values_list("pk", flat=True)) == by_hand

    rows = [row for block in catalog_rows(store_id=shelf.pk) for row in block]
    snapshot = snapshot_apply(CatalogSnapshot.empty(), rows)
    assert set(snapshot.product_ids[snapshot.eligible].tolist()) == by_hand


def test_what_was_shown_counts_though_it_may_not_be_any_more(store: Store) -> None:
    nothing = showable_ids(store_id=store.pk)
    assert len(nothing) == 0
    assert n_of_catalog(nothing, np.array([7])) == 1
    assert n_of_catalog(np.array([7, 8]), np.array([8])) == 2
