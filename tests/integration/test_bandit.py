"""A bandit: what it learns from, when it shifts, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from analytics import tasks
from analytics.models import Participant, ParticipantDay
from analytics.results.verdicts import reward_sums
from analytics.selectors.bandit_arms import bandit_arms, bandits_due
from analytics.selectors.experiment_facts import experiment_facts
from analytics.services.bandit import bandit_learn
from analytics.stats.summaries import MeanSums, Proportion, RatioSums
from catalog.models import Store
from recommender.models import Experiment, ExperimentPhase
from recommender.services.experiments import experiment_pause
from tests.factories import NOON, make_experiment

NOW = NOON + timedelta(days=5)


@pytest.fixture
def bandit(store: Store) -> Experiment:
    return make_experiment(store, kind="bandit", started_at=NOON)


def people(
    experiment: Experiment, key: str, n: int, n_buyers: int, *, later: int = 0, **fields: Any
) -> None:
    """Persons of an arm, of whom some buy for 10.00 so many days after exposure."""
    variant = experiment.variants.get(key=key)
    first = Participant.objects.filter(experiment=experiment).count()
    names = [f"{key}-{first + number}" for number in range(n)]
    common = {"store_id": experiment.store_id, "experiment": experiment}
    flags = {"is_crossover": False, "is_bot": False, "is_returning": False, **fields}
    Participant.objects.bulk_create(
        Participant(
            **common,
            person=name,
            variant_id=variant.pk,
            exposed_at=NOON,
            day=NOON.date(),
            **flags,
        )
        for name in names
    )
    ParticipantDay.objects.bulk_create(
        ParticipantDay(
            **common,
            person=name,
            day=NOON.date() + timedelta(days=later),
            n_orders=1,
            revenue_minor=1_000,
            n_clicks=1,
            n_seen=4,
        )
        for name in names[:n_buyers]
    )


def weights(experiment: Experiment) -> list[float]:
    return [variant.weight for variant in experiment.variants.order_by("position")]


def test_traffic_goes_to_what_sells_and_the_loser_keeps_a_hundredth(bandit: Experiment) -> None:
    people(bandit, "a", 500, 20)
    people(bandit, "b", 500, 80)
    step = bandit_learn(experiment=bandit, now=NOW)
    assert step.shifted
    assert (step.n_shoppers, step.winner, step.waiting) == ((500, 500), "b", "")
    assert weights(bandit) == pytest.approx([0.01, 0.99], abs=1e-4)
    last = bandit.phases.get(ended_at=None)
    assert (last.cause, last.started_at) == ("bandit", NOW)
    assert last.weights == weights(bandit)
    # The member ends it: the shares go on being learned.
    bandit.refresh_from_db()
    assert bandit.state == Experiment.State.RUNNING


@pytest.mark.parametrize(
    "goal", ["conversion_rate", "revenue_per_shopper", "average_order_value", "click_rate"]
)
def test_the_page_judges_what_the_weights_are_learned_from(store: Store, goal: str) -> None:
    bandit = make_experiment(store, kind="bandit", started_at=NOON, primary_metric=goal)
    people(bandit, "a", 300, 20)
    people(bandit, "b", 300, 30, later=1)
    people(bandit, "b", 100, 90, later=2)
    people(bandit, "a", 50, 50, is_crossover=True)
    people(bandit, "a", 40, 40, is_bot=True)
    page = reward_sums(experiment_facts(experiment=bandit, now=NOW))
    assert page == bandit_arms(experiment=bandit)
    assert [arm.n for arm in page] == [350, 400]


def test_it_learns_once_an_hour(bandit: Experiment) -> None:
    people(bandit, "a", 500, 20)
    people(bandit, "b", 500, 30)
    assert bandits_due(now=NOW).get() == bandit
    bandit_learn(experiment=bandit, now=NOW)
    people(bandit, "a", 100, 90)
    assert not bandits_due(now=NOW + timedelta(minutes=5))
    assert bandits_due(now=NOW + timedelta(hours=1)).get() == bandit
    step = bandit_learn(experiment=bandit, now=NOW + timedelta(hours=1))
    assert step.shifted
    assert bandit.phases.filter(cause="bandit").count() == 2


def test_nothing_shifts_before_each_arm_has_a_hundred_shoppers(bandit: Experiment) -> None:
    people(bandit, "a", 99, 1)
    people(bandit, "b", 900, 500)
    step = bandit_learn(experiment=bandit, now=NOW)
    assert (step.shifted, step.chances, step.winner) == (False, None, None)
    assert step.waiting == "99 of 100 shoppers in the smallest arm"
    assert weights(bandit) == [1.0, 1.0]
    people(bandit, "a", 1, 0)
    assert bandit_learn(experiment=bandit, now=NOW).shifted


def test_arms_that_are_alike_keep_their_shares(bandit: Experiment) -> None:
    for key in "ab":
        people(bandit, key, 400, 40)
    step = bandit_learn(experiment=bandit, now=NOW)
    assert not step.shifted
    assert step.chances == pytest.approx((0.5, 0.5))
    assert bandit.phases.count() == 1


def test_machines_are_left_out_and_who_was_moved_counts_in_the_first_arm(
    bandit: Experiment,
) -> None:
    people(bandit, "a", 10, 5)
    people(bandit, "a", 10, 10, is_crossover=True)
    people(bandit, "a", 10, 10, is_bot=True)
    assert bandit_arms(experiment=bandit) == [Proportion(20, 15), Proportion(0, 0)]


def test_everybody_has_the_same_time_to_buy(bandit: Experiment) -> None:
    people(bandit, "a", 10, 4, later=1)
    people(bandit, "b", 10, 4, later=2)
    assert bandit_arms(experiment=bandit) == [Proportion(10, 4), Proportion(10, 0)]


def test_each_goal_is_summed_as_the_results_sum_it(bandit: Experiment) -> None:
    people(bandit, "a", 10, 4)
    expected = {
        "revenue_per_shopper": MeanSums(10, 4_000.0, 4_000_000.0),
        "average_order_value": RatioSums(10, 4_000.0, 4_000_000.0, 4.0, 4.0, 4_000.0),
        "click_rate": RatioSums(10, 4.0, 4.0, 16.0, 64.0, 16.0),
        "add_to_cart_rate": Proportion(10, 0),
    }
    empty = {
        "revenue_per_shopper": MeanSums(0, 0.0, 0.0),
        "average_order_value": RatioSums(0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "click_rate": RatioSums(0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "add_to_cart_rate": Proportion(0, 0),
    }
    for goal, sums in expected.items():
        bandit.primary_metric = goal
        assert bandit_arms(experiment=bandit) == [sums, empty[goal]]


def test_one_wholesale_order_does_not_take_the_traffic(bandit: Experiment) -> None:
    bandit.primary_metric = "revenue_per_shopper"
    people(bandit, "a", 2_000, 1_500)
    people(bandit, "b", 10, 10)
    ParticipantDay.objects.filter(person__startswith="b", n_orders=1).update(revenue_minor=10**9)
    ParticipantDay.objects.filter(person__startswith="b").exclude(
        person=ParticipantDay.objects.filter(person__startswith="b").order_by("person")[0].person
    ).update(revenue_minor=1_000)
    (_, b) = bandit_arms(experiment=bandit)
    assert b.mean < 10**7


def test_other_kinds_and_paused_ones_are_left_alone_and_stores_apart(
    store: Store, other_store: Store, bandit: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        tasks.learn_bandit, "apply_async", lambda args, expires: asked.append(args[0])
    )
    test = make_experiment(store)
    theirs = make_experiment(other_store, kind="bandit")
    for experiment in (test, bandit, theirs):
        people(experiment, "a", 200, 10)
        people(experiment, "b", 200, 60)
    experiment_pause(experiment=bandit, actor=None, now=NOW)
    tasks.learn_bandit_weights()
    assert asked == [theirs.pk]
    for experiment in (test, bandit, theirs, theirs):
        tasks.learn_bandit(experiment.pk)
    assert weights(test) == weights(bandit) == [1.0, 1.0]
    assert weights(theirs)[1] > 0.98
    assert list(
        ExperimentPhase.objects.filter(cause="bandit").values_list("store_id", flat=True)
    ) == [other_store.pk]
