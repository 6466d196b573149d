"""Impressions on their way into the table: each once, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone
from prometheus_client import REGISTRY

from catalog.models import Store
from recommender.models import Exposure, Impression, Placement
from recommender.services import impression_log
from recommender.services.erasure import shopper_erase
from recommender.services.impression_log import Delivered, ImpressionLog
from recommender.services.impressions import (
    ExposureRow,
    ImpressionRow,
    exposures_store,
    impression_lines_store,
    impressions_store,
)
from recommender.serving.placement import Exposed, ServingExperiment, ServingVariant
from recommender.serving.request import Recommendation, RecommendationRequest

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


def exposure(
    store: Store, shopper: str, variant_id: int = 2, at: datetime | None = None
) -> ExposureRow:
    return ExposureRow(store.pk, 1, shopper, variant_id, at or timezone.now(), 0.5, uuid4())


@pytest.mark.parametrize("refused", ["x" * 129, "nul\x00"])
def test_an_exposure_that_can_not_be_stored_keeps_no_other_from_being(
    store: Store, refused: str
) -> None:
    rows = [exposure(store, "a"), exposure(store, refused), exposure(store, "b")]
    assert exposures_store(rows=rows) == 2
    assert exposures_store(rows=rows) == 0
    assert set(Exposure.objects.values_list("shopper_external_id", flat=True)) == {"a", "b"}


def test_of_several_answers_the_earliest_exposed_in_whatever_order_they_arrive(
    store: Store,
) -> None:
    noon = timezone.now()
    early, late = noon - timedelta(seconds=3), noon + timedelta(seconds=3)
    first = exposure(store, "me", 7, early)
    assert exposures_store(rows=[exposure(store, "me", 2, late), exposure(store, "me", 3, noon)])
    assert Exposure.objects.get().variant_id == 3
    assert exposures_store(rows=[first]) == 1
    assert exposures_store(rows=[exposure(store, "me", 2, noon), first]) == 0
    [known] = Exposure.objects.all()
    assert (known.variant_id, known.exposed_at) == (7, early)
    assert known.recommendation_id == first.recommendation_id


# ---------------------------------------------------------------------------- the buffer


def delivered(store: Store, shopper: str = "me") -> Delivered:
    """An answer with nothing in it, by which the shopper takes part in an experiment."""
    placement = Placement.objects.filter(store=store).first()
    assert placement is not None
    variant = ServingVariant(2, "a", None)
    experiment = ServingExperiment(1, "test", "seed", ((0.0, 1.0),), (variant,))
    recommendation = Recommendation(
        recommendation_id=uuid4(),
        placement_slug=placement.slug,
        placement_id=placement.pk,
        strategy_version_id=placement.strategy_version_id,
        experiment=experiment,
        variant=variant,
        title="",
        rows=[],
        sources=[],
        scores=[],
        propensities=[],
        fallback=None,
        reason=None,
        took_us=900,
        exposures=(Exposed(experiment, variant, 0.5),),
    )
    request = RecommendationRequest(shopper_id=shopper)
    return Delivered(store.pk, time.time(), request, recommendation, [])


def test_who_is_erased_and_comes_back_is_exposed_again(store: Store) -> None:
    clock = [0.0]
    log = ImpressionLog(clock=lambda: clock[0])
    for _ in range(2):
        log.append(delivered(store))
        log.flush()
    assert Exposure.objects.count() == 1
    assert shopper_erase(store=store, external_id="me") is not None
    assert Exposure.objects.count() == 0
    clock[0] += 61
    back = delivered(store)
    log.append(back)
    log.flush()
    assert Exposure.objects.get().recommendation_id == back.recommendation.recommendation_id


def test_a_full_buffer_keeps_the_newest_and_counts_what_it_drops(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impression_log, "CAPACITY", 6)
    monkeypatch.setattr(impression_log, "BLOCK", 4)
    log, answers = ImpressionLog(), [delivered(store, f"shopper-{n}") for n in range(11)]

    def n_dropped() -> float:
        return REGISTRY.get_sample_value("vitrine_impressions_dropped_total") or 0.0

    def away(*, lines: Sequence[str]) -> int:
        # While it is waited for, shoppers go on.
        for answer in answers[8:]:
            log.append(answer)
        raise OperationalError("away")

    before = n_dropped()
    for answer in answers[:8]:
        log.append(answer)
    assert (len(log), n_dropped() - before) == (6, 2)
    monkeypatch.setattr(impression_log, "impression_lines_store", away)
    with pytest.raises(OperationalError):
        log.flush()
    assert (len(log), n_dropped() - before) == (6, 5)
    monkeypatch.setattr(impression_log, "impression_lines_store", impression_lines_store)
    assert log.flush() == 6
    newest = {answer.recommendation.recommendation_id for answer in answers[5:]}
    assert logged() == newest


def logged() -> set[UUID]:
    return set(Impression.objects.values_list("recommendation_id", flat=True))
