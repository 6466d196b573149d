"""Bootstrap intervals: what they cover, and that they are the same for a seed."""

import numpy as np
import pytest

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.beyond_accuracy import catalog_coverage
from recommender.engine.evaluation.intervals import ratio_estimates, set_estimate
from recommender.engine.evaluation.results import Estimate


def test_an_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        hits = (rng.random(300) < 0.3).astype(np.float64)
        found = ratio_estimates({"hr": hits}, seed=trial, draws=200)["hr"]
        covered += found.low <= 0.3 <= found.high
    # 190 are expected; 200 trials of 95 % lie between 182 and 197 in 99 of 100 worlds, and a
    # percentile bootstrap of 300 queries with 200 draws misses a little more often.
    assert 176 <= covered <= 199


def test_the_width_is_that_of_the_normal_approximation_for_many_queries() -> None:
    values = (np.arange(4000) % 4 == 0) * 1.0
    found = ratio_estimates({"hr": values}, seed=1, draws=1000)["hr"]
    half = 1.96 * np.sqrt(0.25 * 0.75 / 4000)
    assert found.value == 0.25
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)


def test_a_ratio_weighs_slots_and_queries_without_a_value_take_no_part() -> None:
    found = ratio_estimates(
        {"novelty": np.array([6.0, 1.0]), "auc": np.array([np.nan, 0.5])},
        {"novelty": np.array([3.0, 1.0])},
        seed=0,
    )
    assert found["novelty"].value == 7 / 4
    assert found["novelty"].low >= 1
    assert found["novelty"].high <= 2
    assert found["auc"] == Estimate(0.5, 0.5, 0.5)


def test_metrics_that_no_query_has_are_left_out() -> None:
    assert ratio_estimates({"auc": np.array([np.nan])}, seed=0) == {}
    with pytest.raises(InvalidInputError, match="different numbers"):
        ratio_estimates({"a": np.zeros(2), "b": np.zeros(3)}, seed=0)


def test_the_same_seed_draws_the_same_queries_for_every_method() -> None:
    values = np.random.default_rng(0).random(50)
    one = ratio_estimates({"a": values}, seed=3)["a"]
    two = ratio_estimates({"b": values + 1, "c": values}, seed=3)
    assert (two["c"].low, two["c"].high) == pytest.approx((one.low, one.high))
    assert two["b"].low == pytest.approx(one.low + 1)
    assert ratio_estimates({"a": values}, seed=4)["a"] != one


def test_the_interval_of_coverage_lies_around_its_value_though_resamples_cover_less() -> None:
    rows = np.arange(200, dtype=np.int32).reshape(100, 2)

    def coverage(some: np.ndarray) -> float:
        return catalog_coverage(some, n_items=400)

    found = set_estimate(rows, coverage, seed=0)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high
    assert found.high - found.value == pytest.approx(found.value - found.low)
    assert found == set_estimate(rows, coverage, seed=0)
