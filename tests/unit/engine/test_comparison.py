"""The aggregation behind the price tag of a change: worked out by hand, and against an oracle."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.comparison import (
    Tally,
    compare,
    list_diversity,
    tally_add,
    tally_merge,
)

UNKNOWN = (None, None)


def test_a_tally_by_hand() -> None:
    tally = Tally()
    tally_add(tally, [1, 2, 3], [1, 2, 4], n_minimum=(2, 2), diversity=(0.4, 0.6))
    tally_add(tally, [1, 2], [1, 2], n_minimum=(2, 2), diversity=(0.2, 0.2))
    tally_add(tally, [5], [], n_minimum=(2, 2), diversity=UNKNOWN)
    found = compare(
        tally,
        price_minor={1: 100, 2: 200, 3: 300, 4: 900},
        margin_minor={1: 50},
        n_eligible=10,
    )
    assert (found.n, found.n_changed) == (3, 2)
    assert found.changed_rate == pytest.approx(2 / 3)
    assert found.now.empty_rate == 0.0
    assert found.then.empty_rate == found.now.short_rate == found.then.short_rate == 1 / 3
    # Product 5 has no price and is left out: (100 + 200 + 300 + 100 + 200) / 5.
    assert found.now.mean_price_minor == 180
    assert found.then.mean_price_minor == (100 + 200 + 900 + 100 + 200) / 5
    assert found.now.mean_margin_minor == 50
    assert found.now.margin_known_rate == pytest.approx(2 / 6)
    assert found.now.diversity == pytest.approx(0.3)
    assert found.then.diversity == pytest.approx(0.4)
    assert (found.now.coverage, found.then.coverage) == (0.4, 0.3)
    assert (found.appear, found.vanish) == ([(4, 1)], [(3, 1), (5, 1)])


def test_nothing_known_is_none_and_not_zero() -> None:
    found = compare(Tally(), price_minor={}, margin_minor={}, n_eligible=0)
    assert found.changed_rate is None
    assert (found.now.mean_price_minor, found.now.diversity, found.now.coverage) == (None,) * 3


def test_another_order_is_a_change_and_nothing_appears() -> None:
    tally = Tally()
    tally_add(tally, [1, 2], [2, 1], n_minimum=(1, 1), diversity=UNKNOWN)
    found = compare(tally, price_minor={}, margin_minor={}, n_eligible=2)
    assert (found.n_changed, found.appear, found.vanish) == (1, [], [])


answers = st.lists(st.integers(1, 12), max_size=6, unique=True)


@given(st.lists(st.tuples(answers, answers), max_size=12), st.integers(0, 12))
def test_a_sample_in_slices_is_the_same_sample(
    requests: list[tuple[list[int], list[int]]], cut: int
) -> None:
    def tallied(part: list[tuple[list[int], list[int]]]) -> Tally:
        tally = Tally()
        for now, then in part:
            tally_add(tally, now, then, n_minimum=(3, 2), diversity=(0.5, None))
        return tally

    whole, merged = tallied(requests), tally_merge(tallied(requests[:cut]), tallied(requests[cut:]))
    assert merged == whole
    assert sum(whole.now.exposure.values()) == sum(len(now) for now, _ in requests)
    assert whole.now.n_empty <= whole.now.n_short <= whole.n


@given(st.integers(2, 7), st.integers(1, 5), st.integers(0, 1_000))
def test_diversity_is_the_mean_over_all_pairs(n: int, d: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, d))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    slow = np.mean([1 - a @ b for a, b in combinations(vectors.astype(np.float64), 2)])
    assert list_diversity(vectors) == pytest.approx(slow, abs=1e-5)


def test_products_without_a_vector_are_left_out_of_the_diversity() -> None:
    vectors = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    assert list_diversity(vectors) == 0.0
    assert list_diversity(vectors[:2]) is None
