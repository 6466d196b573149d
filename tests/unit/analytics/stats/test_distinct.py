"""Catalog coverage with its interval."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.distinct import Coverage, coverage_effect, coverage_of

N_PRODUCTS, N_SHOPPERS, PER_LIST = 2000, 1000, 6


def shown(rng: np.random.Generator, bundle: int) -> Coverage:
    """Lists of six by Zipf popularity, in bundles that are always shown together."""
    popularity = 1 / np.arange(1, N_PRODUCTS // bundle + 1)
    size = (N_SHOPPERS, PER_LIST // bundle)
    first = rng.choice(len(popularity), size=size, p=popularity / popularity.sum())
    products = (first[:, :, None] * bundle + np.arange(bundle)).reshape(-1)
    shoppers = np.repeat(np.arange(N_SHOPPERS), PER_LIST)
    coverage = coverage_of(shoppers, products, n_products=N_PRODUCTS)
    assert isinstance(coverage, Coverage)
    return coverage


@pytest.mark.parametrize("bundle", [1, 3])
def test_95_per_cent_intervals_hold_the_expected_coverage_about_as_often(bundle: int) -> None:
    rng = np.random.default_rng(30 + bundle)
    trials = [shown(rng, bundle) for _ in range(250)]
    expected = np.mean([trial.share for trial in trials])
    held = np.mean([low <= expected <= high for low, high in (t.interval() for t in trials)])
    assert 0.92 <= held <= 0.98


def test_repeats_for_the_same_shopper_count_once() -> None:
    shoppers, products = np.arange(300), np.arange(300) % 70
    once = coverage_of(shoppers, products, n_products=100)
    twice = coverage_of(np.tile(shoppers, 2), np.tile(products, 2), n_products=100)
    assert once == twice


def test_a_catalog_that_is_shown_many_times_over_has_no_spread() -> None:
    everything = coverage_of(
        np.repeat(np.arange(500), 10), np.tile(np.arange(10), 500), n_products=10
    )
    assert isinstance(everything, Coverage)
    assert everything.share == 1
    assert everything.interval() == (1, 1)
    nothing = coverage_effect(everything, everything)
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.NO_SPREAD


def test_arms_of_different_size_are_not_compared() -> None:
    nothing = coverage_effect(Coverage(500, 2000, 1000, 9.0), Coverage(900, 2000, 9000, 9.0))
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.UNEQUAL_ARMS


def test_few_shoppers_have_no_coverage_and_impossible_slots_are_refused() -> None:
    assert isinstance(coverage_of(np.arange(99), np.arange(99), n_products=100), NotEnoughData)
    with pytest.raises(InvalidInputError):
        coverage_of(np.arange(200), np.arange(200), n_products=100)
    with pytest.raises(InvalidInputError):
        coverage_of(np.arange(200), np.arange(100), n_products=100)
