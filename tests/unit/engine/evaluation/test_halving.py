"""Choosing parameters by successive halving, on methods whose best setting is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.halving import choose, part_of
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Family, Method, Model, Need, number
from recommender.engine.methods.inputs import Purchases, Query, Ratings, Training
from recommender.engine.types import Candidates

NOTHING = np.empty(0, np.int32)
N_QUERIES = 90


class Ladder(Model):
    """Right for as many queries as its parameters are near (3, 1)."""

    def __init__(self, quality: float) -> None:
        self.quality = quality

    def recommend(self, query: Query, limit: int) -> Candidates:
        right = query.rows[0] % 10 < self.quality
        row = np.array([0 if right else 1], np.int32)
        return Candidates(row, np.ones(1, np.float32), np.full(1, -1, np.int32))


class Clock:
    """Tells a second more after every fit of so long."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ladder(clock: Clock, *, fit_s: float = 0.0, log: list[Any] | None = None) -> Method:
    def fit(training: Training, parameters: Mapping[str, Any], _seed: int) -> Model:
        clock.now += fit_s * training.shoppers["any"].shape[0] / 40
        if log is not None:
            log.append(training.shoppers["any"].shape[0])
        a, b = number(parameters, "a"), number(parameters, "b")
        if a == 6:
            raise InvalidInputError("six is impossible")
        return Ladder(10 - abs(a - 3) - 3 * abs(b - 1))

    return Method(
        key="ladder",
        title="Ladder",
        family=Family.LINEAR,
        needs=frozenset({Need.SHOPPERS}),
        fit=fit,
        defaults={"a": 0, "b": 0, "still": 1},
        grid={"a": (0, 1, 2, 3, 4, 5, 6), "b": (0, 1, 2), "still": (1,)},
        because="",
        otherwise="",
    )


@pytest.fixture
def task() -> Task:
    shoppers = csr_matrix(np.ones((40, 100), np.float32))
    queries = [Query(np.array([i], np.int32), removed=NOTHING) for i in range(N_QUERIES)]
    right = [np.zeros(1, np.int32)] * N_QUERIES
    return Task("top-n", Training(100, shoppers={"any": shoppers}), queries, right, ("hr@20",))


def test_the_best_setting_is_found_where_time_allows(task: Task) -> None:
    clock = Clock()
    found = choose(task, ladder(clock), fixed={}, seed=0, clock=clock, budget_s=60)
    assert (found.parameters["a"], found.parameters["b"]) == (3, 1)
    assert found.score == 1.0
    assert found.tried > 2
    again = choose(task, ladder(Clock()), fixed={}, seed=0, clock=Clock(), budget_s=60)
    assert again == found


def test_what_is_named_is_left_alone(task: Task) -> None:
    clock = Clock()
    found = choose(task, ladder(clock), fixed={"a": 5}, seed=0, clock=clock, budget_s=60)
    assert found.parameters == {"a": 5, "b": 1, "still": 1}


def test_without_time_or_a_grid_the_defaults_hold(task: Task) -> None:
    clock = Clock()
    method = ladder(clock)
    assert choose(task, method, fixed={}, seed=0, clock=clock, budget_s=0).tried == 0
    named = {"a": 1, "b": 2}
    found = choose(task, method, fixed=named, seed=0, clock=clock, budget_s=60)
    assert (found.parameters, found.tried, found.score) == ({**named, "still": 1}, 0, None)


@pytest.mark.parametrize("fit_s", [1.0, 4.0, 15.0, 70.0])
def test_the_budget_holds_but_for_the_comparison_that_has_begun(task: Task, fit_s: float) -> None:
    clock = Clock()
    found = choose(task, ladder(clock, fit_s=fit_s), fixed={}, seed=1, clock=clock, budget_s=60)
    assert clock.now <= max(60.0, fit_s)
    # Cheap fits find the best setting; where few are affordable, the default is kept.
    assert (found.parameters["a"], found.parameters["b"]) == ((3, 1) if fit_s <= 4 else (0, 0))


def test_dear_fits_are_compared_on_parts_of_the_training_first(task: Task) -> None:
    log: list[int] = []
    clock = Clock()
    method = ladder(clock, fit_s=7.0, log=log)
    choose(task, method, fixed={}, seed=1, clock=clock, budget_s=60)
    assert {10, 20, 40} <= set(log)
    assert log[0] == 40


def test_a_search_can_be_stopped_from_outside(task: Task) -> None:
    def stop(tried: int) -> None:
        if tried == 4:
            raise InterruptedError

    log: list[int] = []
    clock = Clock()
    method = ladder(clock, log=log)
    with pytest.raises(InterruptedError):
        choose(task, method, fixed={}, seed=0, clock=clock, budget_s=60, tell=stop)
    assert len(log) == 4


def test_a_part_of_the_training_keeps_shoppers_whole() -> None:
    shoppers = np.repeat(np.arange(10, dtype=np.int32), 3)
    items = np.tile(np.arange(3, dtype=np.int32), 10)
    matrix = csr_matrix((np.ones(30, np.float32), (shoppers, items)), shape=(10, 3))
    whole = Training(
        3,
        baskets=matrix,
        shoppers={"purchase": matrix},
        purchases=Purchases(shoppers, items, np.arange(30)),
        ratings=Ratings(shoppers, items, np.ones(30, np.float32)),
    )
    part = part_of(whole, share=0.4, seed=0)
    assert part.purchases is not None
    assert part.ratings is not None
    assert part.baskets is not None
    assert part.shoppers["purchase"].shape == part.baskets.shape == (4, 3)
    assert np.bincount(part.purchases.shopper_rows).tolist() == [3] * 4
    assert np.bincount(part.ratings.shopper_rows).tolist() == [3] * 4
    assert part.n_items == 3
