"""An experiment on a placement, as shoppers meet it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from catalog.models import Store
from recommender.engine.errors import InvalidInputError
from recommender.models import Experiment, Exposure, Impression, Placement, StrategyVersion
from recommender.services.experiments import (
    Arm,
    ExperimentRefused,
    experiment_create,
    experiment_pause,
    experiment_start,
    experiment_stop,
)
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.strategies import strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOPPERS = [f"shopper-{n}" for n in range(40)]


@pytest.fixture
def placement(store: Store) -> Placement:
    for n in range(6):
        make_product(store, f"tea-{n}", published_at=NOW)
    return Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug="home-trending"
    )


def another_version(placement: Placement) -> StrategyVersion:
    return strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 1}]},
    )


@pytest.fixture
def experiment(placement: Placement) -> Experiment:
    return experiment_create(
        placement=placement,
        key="newer",
        name="Newer products",
        arms=[
            Arm("a", "As it is", placement.strategy_version),
            Arm("b", "New arrivals", another_version(placement)),
        ],
    )


def variants_shown(store: Store) -> dict[str, str | None]:
    RUNTIMES.refresh()
    shown = {}
    for shopper in SHOPPERS:
        answer = recommend(
            store_id=store.pk,
            request=RecommendationRequest(shopper_id=shopper),
            placements=[PlacementRequest(slug="home-trending")],
        ).recommendations[0]
        shown[shopper] = answer.variant.key if answer.variant is not None else None
    IMPRESSIONS.flush()
    return shown


def test_a_draft_divides_nobody(store: Store, experiment: Experiment) -> None:
    assert set(variants_shown(store).values()) == {None}
    assert not Exposure.objects.filter(store_id=store.pk).exists()


def test_shoppers_are_divided_and_stay_where_they_are(store: Store, experiment: Experiment) -> None:
    experiment_start(experiment=experiment, now=NOW)
    first = variants_shown(store)
    assert set(first.values()) == {"a", "b"}
    assert variants_shown(store) == first


def test_what_is_shown_is_the_variants_strategy_and_is_logged_with_it(
    store: Store, experiment: Experiment
) -> None:
    experiment_start(experiment=experiment, now=NOW)
    shown = variants_shown(store)
    versions = {v.key: v.strategy_version_id for v in experiment.variants.all()}
    numbers = {v.pk: v.key for v in experiment.variants.all()}
    for impression in Impression.objects.filter(store_id=store.pk):
        assert impression.experiment_id == experiment.pk
        key = numbers[impression.variant_id or 0]
        assert shown[impression.shopper_external_id or ""] == key
        assert impression.strategy_version_id == versions[key]


def test_everybody_is_exposed_once_in_either_arm_and_keeps_the_first_time(
    store: Store, experiment: Experiment
) -> None:
    experiment_start(experiment=experiment, now=NOW)
    shown = variants_shown(store)
    numbers = {v.pk: v.key for v in experiment.variants.all()}
    before = {
        row.shopper_external_id: (numbers[row.variant_id], row.exposed_at)
        for row in Exposure.objects.filter(store_id=store.pk, experiment_id=experiment.pk)
    }
    assert {shopper: key for shopper, (key, _) in before.items()} == shown
    # Another process doesn't know who is written down already.
    variants_shown(store)
    IMPRESSIONS._exposed.clear()
    variants_shown(store)
    after = {
        row.shopper_external_id: (numbers[row.variant_id], row.exposed_at)
        for row in Exposure.objects.filter(store_id=store.pk, experiment_id=experiment.pk)
    }
    assert after == before


def test_a_visitor_without_an_id_takes_no_part(store: Store, experiment: Experiment) -> None:
    experiment_start(experiment=experiment, now=NOW)
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(),
        placements=[PlacementRequest(slug="home-trending")],
    )
    assert page.recommendations[0].variant is None
    assert page.recommendations[0].strategy_version_id == (experiment.placement.strategy_version_id)


def test_coverage_leaves_the_others_with_the_placements_own_strategy(
    store: Store, placement: Placement
) -> None:
    half = experiment_create(
        placement=placement,
        key="half",
        name="Half",
        coverage=0.5,
        arms=[
            Arm("a", "A", placement.strategy_version),
            Arm("b", "B", another_version(placement)),
        ],
    )
    experiment_start(experiment=half, now=NOW)
    assert set(variants_shown(store).values()) == {None, "a", "b"}


def test_paused_and_stopped_experiments_divide_nobody(store: Store, experiment: Experiment) -> None:
    experiment_start(experiment=experiment, now=NOW)
    first = variants_shown(store)
    experiment_pause(experiment=experiment)
    assert set(variants_shown(store).values()) == {None}
    experiment_start(experiment=experiment, now=NOW)
    assert variants_shown(store) == first
    experiment_stop(experiment=experiment, now=NOW)
    assert set(variants_shown(store).values()) == {None}
    with pytest.raises(ExperimentRefused, match="Stopped"):
        experiment_start(experiment=experiment, now=NOW)


def test_a_second_experiment_on_the_placement_has_to_wait(
    store: Store, placement: Placement, experiment: Experiment
) -> None:
    experiment_start(experiment=experiment, now=NOW)
    arms = [Arm(k, k, placement.strategy_version) for k in "ab"]
    second = experiment_create(placement=placement, key="second", name="Second", arms=arms)
    with pytest.raises(ExperimentRefused, match="Another experiment"):
        experiment_start(experiment=second, now=NOW)
    second.refresh_from_db()
    assert second.state == Experiment.State.DRAFT


def test_what_can_not_be_compared_is_refused_and_nothing_is_made(
    placement: Placement, other_store: Store
) -> None:
    theirs = Placement.objects.get(store=other_store, slug="home-trending").strategy_version
    one = Arm("a", "A", placement.strategy_version)
    with pytest.raises(ExperimentRefused, match="two variants"):
        experiment_create(placement=placement, key="x", name="X", arms=[one])
    with pytest.raises(ExperimentRefused, match="another store"):
        experiment_create(placement=placement, key="x", name="X", arms=[one, Arm("b", "B", theirs)])
    with pytest.raises(InvalidInputError):
        experiment_create(placement=placement, key="x", name="X", arms=[one, one], coverage=2.0)
    assert not Experiment.objects.exists()


def test_the_answer_names_experiment_and_variant(
    store: Store, experiment: Experiment, publishable_key: str, client: Client
) -> None:
    experiment_start(experiment=experiment, now=NOW)
    RUNTIMES.refresh()
    answer = client.get(
        "/v1/placements/home-trending/recommendations?shopper_id=shopper-1",
        headers={"Authorization": f"Bearer {publishable_key}"},
    ).json()
    assert answer["experiment"]["key"] == "newer"
    assert answer["experiment"]["variant"] in ("a", "b")
