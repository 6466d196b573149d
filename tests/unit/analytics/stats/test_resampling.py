"""Capping, bootstrap, interleaving, off-policy replay."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.bootstrap import Bootstrap, bootstrap_effect, bootstrap_metric
from analytics.stats.capping import cap_of, capped_sums
from analytics.stats.interleaving import Preference, Votes, preference_of, votes_of
from analytics.stats.off_policy import Model, Replay, replay
from analytics.stats.summaries import MeanSums

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def test_one_wholesale_order_is_cut_to_the_cap() -> None:
    values = np.append(np.full(9_999, 10.0), 100_000.0)
    cap = cap_of(values)
    assert cap == 10
    capped = capped_sums(values, 10.0)
    assert (capped.n_capped, capped.cut) == (1, 99_990)
    assert capped.sums == MeanSums(10_000, 100_000.0, 1_000_000.0)


def test_a_cap_of_zero_is_no_cap() -> None:
    nothing = cap_of(np.append(np.zeros(100_000), 5.0))
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.TOO_FEW_CONVERSIONS
    assert isinstance(cap_of(np.array([])), NotEnoughData)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.1, 1e6))
def test_capping_takes_off_what_it_says(values: list[float], cap: float) -> None:
    array = np.array(values)
    capped = capped_sums(array, cap)
    assert capped.sums.total + capped.cut == pytest.approx(array.sum())
    assert capped.sums.mean <= cap * (1 + 1e-12)


def mean_of(values: Floats) -> Callable[[Floats], float]:
    return lambda times: float(times @ values / times.sum())


def bootstrapped(values: Floats, seed: int) -> Bootstrap:
    found = bootstrap_metric(mean_of(values), len(values), seed=seed, n_resamples=300)
    assert isinstance(found, Bootstrap)
    return found


def test_the_bootstrap_of_a_mean_agrees_with_the_formula() -> None:
    values = np.random.default_rng(4).exponential(10, 2000)
    found = bootstrapped(values, 8)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 2000**0.5, rel=0.12)
    low, high = found.interval()
    assert found.estimate == pytest.approx(values.mean())
    assert low < found.estimate < high


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    values = np.random.default_rng(4).exponential(10, 100)
    assert bootstrapped(values, 8).interval() == bootstrapped(values, 8).interval()
    assert bootstrapped(values, 8).interval() != bootstrapped(values, 9).interval()


def test_95_per_cent_intervals_hold_the_truth_about_as_often() -> None:
    rng = np.random.default_rng(12)
    held = 0
    for trial in range(100):
        low, high = bootstrapped(rng.exponential(1, 100), trial).interval()
        held += low <= 1 <= high
    # 95 ± 2.2 expected; exponential tails cost a little.
    assert 87 <= held <= 100


def test_a_bootstrapped_lift_finds_what_was_planted() -> None:
    values = np.random.default_rng(4).exponential(10, 1000)
    effect = bootstrap_effect(bootstrapped(values, 1), bootstrapped(values * 1.5, 2))
    assert not isinstance(effect, NotEnoughData)
    assert effect.estimate == pytest.approx(0.5)
    assert 0 < effect.low < 0.5 < effect.high


def test_the_interval_moves_against_the_bias_of_the_resampling() -> None:
    # 30 % of the replicates lie below the estimate: they are too high, so the interval goes down.
    found = Bootstrap(299.5, np.arange(1000.0), 500)
    normal = NormalDist()
    bias = normal.inv_cdf(0.3)
    expected = [normal.cdf(2 * bias - 1.959964) * 999, normal.cdf(2 * bias + 1.959964) * 999]
    assert found.interval() == pytest.approx(tuple(expected), abs=0.01)


def test_what_cant_be_bootstrapped_says_so() -> None:
    few = bootstrap_metric(lambda times: 1.0, 29, seed=1)
    rare = bootstrap_metric(lambda times: float("nan"), 50, seed=1)
    assert isinstance(few, NotEnoughData)
    assert isinstance(rare, NotEnoughData)
    assert (few.reason, rare.reason) == (Reason.TOO_FEW_SHOPPERS, Reason.NO_DENOMINATOR)
    zeros = bootstrapped(np.zeros(50), 1)
    assert isinstance(bootstrap_effect(zeros, zeros), NotEnoughData)
    assert isinstance(bootstrap_effect(zeros, zeros, relative=False), NotEnoughData)
    with pytest.raises(InvalidInputError):
        bootstrap_metric(lambda times: 1.0, 50, seed=1, n_resamples=10)


def preference(votes: Votes) -> Preference:
    found = preference_of(votes)
    assert isinstance(found, Preference)
    return found


def test_interleaving_is_the_published_one() -> None:
    found = preference(Votes(60, 40, 20))
    assert (round(found.share, 5), round(found.p_value, 6)) == (0.08333, 0.056888)
    assert round(preference(Votes(55, 45, 0)).p_value, 6) == 0.368202


def test_a_shopper_is_one_vote_however_much_she_clicks() -> None:
    assert votes_of([(30, 1), (0, 1), (2, 2), (0, 0)]) == Votes(1, 1, 1)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_preference_is_antisymmetric(first: int, second: int, ties: int) -> None:
    one, other = (
        preference_of(Votes(first, second, ties)),
        preference_of(Votes(second, first, ties)),
    )
    if first + second < 6:
        assert isinstance(one, NotEnoughData)
        return
    assert isinstance(one, Preference)
    assert isinstance(other, Preference)
    assert one.share == pytest.approx(-other.share)
    assert one.p_value == other.p_value


def test_votes_below_zero_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        Votes(-1, 0, 0)
    with pytest.raises(InvalidInputError):
        votes_of([(1, -1)])


REWARDS = np.array([1.0, 0.0, 1.0, 0.0])
LOGGED = np.array([0.5, 0.5, 0.25, 0.25])
EVALUATED = np.array([0.8, 0.2, 0.4, 0.6])
MODEL = Model(np.array([0.5, 0.2, 0.4, 0.3]), np.array([0.44, 0.44, 0.36, 0.36]))


def test_replay_is_the_one_worked_by_hand() -> None:
    found = replay(REWARDS, LOGGED, EVALUATED, model=MODEL, min_effective=1)
    assert isinstance(found, Replay)
    assert found.ips.value == pytest.approx(0.8)
    assert round(found.snips.value, 6) == 0.533333
    assert found.dr is not None
    assert found.dr.value == pytest.approx(0.64)
    assert round(found.effective_sample_size, 5) == 3.26087


def test_too_little_overlap_is_an_answer_with_numbers_in_it() -> None:
    nothing = replay(REWARDS, LOGGED, EVALUATED)
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.NO_OVERLAP
    assert "4 slots count like 3" in nothing.words
    n = 100_000
    one_per_cent = np.full(n, 1e-9)
    one_per_cent[:500] = 1.0
    assert isinstance(replay(np.ones(n), np.full(n, 0.5), one_per_cent), NotEnoughData)


def test_the_logging_strategy_itself_is_worth_what_it_earned() -> None:
    rng = np.random.default_rng(2)
    rewards = rng.binomial(1, 0.2, 5000).astype(np.float64)
    propensities = rng.uniform(0.1, 0.9, 5000)
    found = replay(rewards, propensities, propensities)
    assert isinstance(found, Replay)
    assert found.ips.value == found.snips.value == pytest.approx(rewards.mean())
    assert found.effective_sample_size == pytest.approx(5000)


def test_replay_recovers_the_value_of_another_strategy_and_repeats_widen_it() -> None:
    rng = np.random.default_rng(9)
    shows = rng.random(40_000) < 0.5  # logged: product 1 or 0 with even chances
    rewards = (rng.random(40_000) < np.where(shows, 0.3, 0.1)).astype(np.float64)
    logged, evaluated = np.full(40_000, 0.5), np.where(shows, 0.9, 0.1)
    alone = replay(rewards, logged, evaluated)
    assert isinstance(alone, Replay)
    low, high = alone.snips.interval()
    assert low < 0.28 < high
    assert alone.snips.value == pytest.approx(0.28, abs=0.012)
    assert alone.snips.standard_error < alone.ips.standard_error
    twice = replay(
        np.tile(rewards, 2),
        np.tile(logged, 2),
        np.tile(evaluated, 2),
        shoppers=np.tile(np.arange(40_000), 2),
    )
    assert isinstance(twice, Replay)
    assert twice.snips.standard_error == pytest.approx(alone.snips.standard_error, rel=1e-3)


@pytest.mark.parametrize(
    ("logged", "evaluated"), [(0.0, 0.5), (1.5, 0.5), (0.5, -0.1), (float("nan"), 0.5)]
)
def test_propensities_that_are_none_are_refused(logged: float, evaluated: float) -> None:
    with pytest.raises(InvalidInputError):
        replay(np.ones(3), np.full(3, logged), np.full(3, evaluated))
    with pytest.raises(InvalidInputError):
        replay(np.ones(3), np.ones(2), np.ones(3))
