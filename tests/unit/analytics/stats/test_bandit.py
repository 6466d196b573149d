"""Thompson weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.stats.answers import InvalidInputError, Reason
from analytics.stats.bandit import chances_to_be_best, thompson_weights
from analytics.stats.bayesian import chance_of_higher_rate
from analytics.stats.summaries import MeanSums, Proportion

arms = st.lists(
    st.tuples(st.integers(100, 3000), st.floats(0, 1)).map(
        lambda pair: Proportion(pair[0], int(pair[0] * pair[1]))
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=25)
@given(arms)
def test_weights_are_a_split_above_the_floor_in_the_order_of_the_chances(
    given_arms: list[Proportion],
) -> None:
    even = [1 / len(given_arms)] * len(given_arms)
    split = thompson_weights(given_arms, even)
    assert split.chances is not None
    assert sum(split.weights) == pytest.approx(1)
    assert min(split.weights) >= 0.01 - 1e-12
    assert np.argmax(split.weights) == np.argmax(split.chances)
    assert (split.winner is not None) == (max(split.chances) >= 0.95)


def test_two_arms_agree_with_the_exact_chance() -> None:
    a, b = Proportion(1000, 100), Proportion(1000, 120)
    assert chances_to_be_best([a, b])[1] == pytest.approx(chance_of_higher_rate(a, b), abs=1e-5)


def test_three_arms_agree_with_drawing() -> None:
    given_arms = [MeanSums(500, 500, 1500), MeanSums(500, 525, 1551), MeanSums(300, 330, 900)]
    rng = np.random.default_rng(1)
    draws = np.array(
        [rng.normal(arm.mean, (arm.variance / arm.n) ** 0.5, 200_000) for arm in given_arms]
    )
    drawn = np.bincount(draws.argmax(axis=0), minlength=3) / 200_000
    assert chances_to_be_best(given_arms) == pytest.approx(tuple(drawn), abs=0.005)


def test_equal_arms_share_equally() -> None:
    chances = chances_to_be_best([Proportion(500, 50)] * 4)
    assert chances == pytest.approx((0.25,) * 4, abs=1e-6)


def test_nothing_is_shifted_below_a_hundred_shoppers_per_arm() -> None:
    split = thompson_weights([Proportion(99, 0), Proportion(5000, 2500)], [0.7, 0.3])
    assert split.weights == (0.7, 0.3)
    assert split.winner is None
    assert split.waiting is not None
    assert split.waiting.reason == Reason.TOO_FEW_SHOPPERS


def test_revenue_of_nobody_has_no_spread_and_waits() -> None:
    split = thompson_weights([MeanSums(500, 0, 0), MeanSums(500, 10, 90)], [0.5, 0.5])
    assert split.waiting is not None
    assert split.waiting.reason == Reason.NO_SPREAD


def test_a_clear_winner_gets_all_but_the_floors() -> None:
    split = thompson_weights(
        [Proportion(2000, 100), Proportion(2000, 400), Proportion(2000, 90)], [0.4, 0.3, 0.3]
    )
    assert split.winner == 1
    assert split.weights == pytest.approx((0.01, 0.98, 0.01), abs=1e-6)


@pytest.mark.parametrize(
    ("count", "current", "floor"),
    [(1, [1.0], 0.01), (2, [1.0], 0.01), (2, [0.5, 0.6], 0.01), (2, [0.5, 0.5], 0.5)],
)
def test_impossible_splits_are_refused(count: int, current: list[float], floor: float) -> None:
    with pytest.raises(InvalidInputError):
        thompson_weights([Proportion(500, 50)] * count, current, floor=floor)
