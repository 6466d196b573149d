"""Impressions on their way into the table: each once, whatever happens in between."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from django.utils import timezone

from catalog.models import Store
from recommender.models import Exposure, Impression, Placement
from recommender.services.impressions import (
    ExposureRow,
    ImpressionRow,
    exposures_store,
    impressions_store,
)

pytestmark = pytest.mark.django_db


def row(store: Store) -> ImpressionRow:
    placement = Placement.objects.filter(store=store).first()
    assert placement is not None
    return ImpressionRow(
        store_id=store.pk,
        recommendation_id=uuid4(),
        delivered_at_s=time.time(),
        placement_id=placement.pk,
        strategy_version_id=placement.strategy_version_id,
        experiment_id=None,
        variant_id=None,
        shopper_external_id="me",
        session_id=None,
        product_ids=[1, 2],
        sources=["trending", "trending"],
        propensities=[1.0, 1.0],
        fallback=None,
        reason=None,
        device=None,
        took_us=900,
    )


def test_a_block_that_arrived_already_is_stored_once(store: Store) -> None:
    first, second, late = row(store), row(store), row(store)
    assert impressions_store(rows=[first, second]) == 2
    assert impressions_store(rows=[first, late, second]) == 1
    assert Impression.objects.filter(store=store).count() == 3


def exposure(store: Store, shopper: str) -> ExposureRow:
    return ExposureRow(store.pk, 1, shopper, 2, timezone.now())


@pytest.mark.parametrize("refused", ["x" * 129, "nul\x00"])
def test_an_exposure_that_can_not_be_stored_keeps_no_other_from_being(
    store: Store, refused: str
) -> None:
    rows = [exposure(store, "a"), exposure(store, refused), exposure(store, "b")]
    assert exposures_store(rows=rows) == 2
    assert exposures_store(rows=rows) == 0
    assert set(Exposure.objects.values_list("shopper_external_id", flat=True)) == {"a", "b"}
