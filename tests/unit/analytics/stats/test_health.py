"""Split, past, crossover, guardrails, many questions at once, shares; published figures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.metrics.rates import wilson_interval
from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.effects import Effect
from analytics.stats.guardrails import check_guardrail, guardrail_from_bounds
from analytics.stats.health import Bias, Crossover, SampleRatio, pre_exposure_bias, sample_ratio
from analytics.stats.multiple import benjamini_hochberg, holm
from analytics.stats.proportions import ZTest, newcombe_interval, pooled_z_test
from analytics.stats.summaries import MeanSums, Proportion


def split(observed: list[int], weights: list[float]) -> SampleRatio:
    found = sample_ratio(observed, weights)
    assert isinstance(found, SampleRatio)
    return found


def test_sample_ratios_are_the_published_ones() -> None:
    assert round(split([1000, 1200], [0.5, 0.5]).p_value, 9) == 0.000020079
    assert round(split([310, 98], [0.75, 0.25]).p_value, 9) == 0.647434186
    classic = split([821_588, 815_482], [0.5, 0.5])
    assert round(classic.chi_squared, 3) == 22.774
    assert classic.p_value == pytest.approx(1.82e-6, rel=0.003)
    assert classic.alarm == "red"


def test_a_missing_arm_is_not_enough_data_and_an_empty_one_is_an_alarm() -> None:
    nothing = sample_ratio([1000], [0.5, 0.5])
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.MISSING_ARM
    assert split([1000, 0], [0.5, 0.5]).alarm == "red"


def test_a_split_of_few_shoppers_is_not_judged() -> None:
    nothing = sample_ratio([9, 0], [0.5, 0.5])
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.TOO_FEW_SHOPPERS


def test_weights_neednt_add_up_to_1() -> None:
    assert split([310, 98], [3, 1]).p_value == pytest.approx(split([310, 98], [0.75, 0.25]).p_value)


def test_looking_at_the_split_a_hundred_times_raises_no_false_alarm() -> None:
    rng = np.random.default_rng(11)
    alarms = {"fixed": 0, "sequential": 0}
    for _ in range(100):
        first = np.cumsum(rng.binomial(200, 0.5, 100))
        looks = [split([int(a), 200 * (i + 1) - int(a)], [1, 1]) for i, a in enumerate(first)]
        alarms["fixed"] += any(look.p_value < 0.01 for look in looks)
        alarms["sequential"] += any(look.sequential_p_value < 0.01 for look in looks)
    assert alarms["sequential"] <= 3 < alarms["fixed"]


def test_the_sequential_p_value_is_one_over_bets_on_the_next_shopper() -> None:
    # Polya's urns: before each shopper, bet by the counts so far and imaginary ones to start with.
    observed, wealth = [5100, 4700], []
    for imaginary in (100.0, 1_000.0, 10_000.0):
        urn, log_wealth = [imaginary / 2, imaginary / 2], 0.0
        for arm, count in enumerate(observed):
            for _ in range(count):
                log_wealth += np.log(urn[arm] / sum(urn) / 0.5)
                urn[arm] += 1
        wealth.append(np.exp(log_wealth))
    assert split(observed, [1, 1]).sequential_p_value == pytest.approx(1 / np.mean(wealth))


def test_a_planted_split_error_is_found_sequentially_too() -> None:
    assert split([51_500, 48_500], [1, 1]).sequential_p_value < 0.001
    # A small shop's too, while it runs.
    assert split([400, 280], [1, 1]).sequential_p_value < 0.001
    assert split([400, 400], [1, 1]).sequential_p_value == 1


@pytest.mark.parametrize(
    ("observed", "weights"), [([1, -1], [1, 1]), ([1, 2], [1, 0]), ([1, 2, 3], [1, 1])]
)
def test_impossible_splits_are_refused(observed: list[int], weights: list[float]) -> None:
    with pytest.raises(InvalidInputError):
        sample_ratio(observed, weights)


def test_a_planted_bias_of_the_past_is_red_and_none_is_fine() -> None:
    rng = np.random.default_rng(3)
    past = rng.exponential(10, 20_000)

    def sums(values: np.ndarray) -> MeanSums:
        return MeanSums(len(values), float(values.sum()), float(values @ values))

    same = pre_exposure_bias(sums(past[:10_000]), sums(past[10_000:]))
    moved = pre_exposure_bias(sums(past[:10_000]), sums(past[10_000:] * 1.1))
    assert isinstance(same, Bias)
    assert isinstance(moved, Bias)
    assert (same.alarm, moved.alarm) == ("fine", "red")


def test_a_past_without_spread_isnt_judged() -> None:
    assert isinstance(pre_exposure_bias(MeanSums(9, 0, 0), MeanSums(9, 0, 0)), NotEnoughData)


def test_crossover_warns_at_one_per_cent() -> None:
    assert Crossover(10, 1000).is_warning
    assert not Crossover(9, 1000).is_warning
    assert Crossover(0, 0).rate is None
    with pytest.raises(InvalidInputError):
        Crossover(2, 1)


def test_adjusted_p_values_are_the_published_ones() -> None:
    adjusted = holm([0.01, 0.04, 0.03, 0.005, 0.55, 0.6])
    assert [round(p, 9) for p in adjusted] == [0.05, 0.12, 0.12, 0.03, 1, 1]
    assert [round(p, 9) for p in holm([0.025, 0.03])] == [0.05, 0.05]
    assert [round(p, 9) for p in benjamini_hochberg([0.025, 0.03])] == [0.03, 0.03]
    assert holm([]) == ()


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(p_values)
def test_adjusting_keeps_the_order_and_holm_is_the_stricter(raw: list[float]) -> None:
    strict, mild = holm(raw), benjamini_hochberg(raw)
    for adjusted in (strict, mild):
        order = sorted(range(len(raw)), key=lambda i: raw[i])
        assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))
    for i, p in enumerate(raw):
        assert p <= mild[i] + 1e-15
        assert mild[i] <= strict[i] + 1e-12
        assert strict[i] <= min(1, p * len(raw)) + 1e-15


@given(p_values, st.randoms(use_true_random=False))
def test_adjusting_doesnt_depend_on_the_order_given(raw: list[float], random: object) -> None:
    shuffled = sorted(raw)
    assert sorted(holm(raw)) == sorted(holm(shuffled))
    assert sorted(benjamini_hochberg(raw)) == sorted(benjamini_hochberg(shuffled))


def test_a_p_value_above_1_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"1\.2"):
        holm([0.1, 1.2])


def loss(estimate: float, standard_error: float) -> Effect:
    return Effect("relative", estimate, standard_error, 1e6, 1000, 1000, 1.0, 1 + estimate)


def test_a_guardrail_is_safe_only_when_the_margin_is_ruled_out() -> None:
    # The bound is 1.645 standard errors below the estimate.
    assert check_guardrail(loss(-0.003, 0.01), margin=0.02).state == "safe"
    assert check_guardrail(loss(-0.004, 0.01), margin=0.02).state == "unclear"
    assert check_guardrail(loss(-0.05, 0.01), margin=0.02).state == "harmed"
    assert check_guardrail(loss(-0.01, 0.001), margin=0.02).state == "safe"
    worst = check_guardrail(loss(0, 0.01), margin=0.02).worst
    assert worst == pytest.approx(-0.01644854, abs=1e-7)


def test_where_less_is_better_signs_are_turned() -> None:
    slower = loss(0.05, 0.01)
    assert check_guardrail(slower, margin=0.02, higher_is_better=False).state == "harmed"
    assert check_guardrail(slower, margin=0.02).state == "safe"


def test_margins_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        guardrail_from_bounds(-1, 1, margin=0)


@pytest.mark.parametrize(
    ("control", "treatment", "z", "p_value"),
    [
        (Proportion(10000, 500), Proportion(10000, 550), 1.585206, 0.112920),
        (Proportion(20000, 1000), Proportion(20000, 1100), 2.241820, 0.024973),
        (Proportion(100, 40), Proportion(100, 50), 1.421338, 0.155218),
    ],
)
def test_the_pooled_test_is_that_of_statsmodels(
    control: Proportion, treatment: Proportion, z: float, p_value: float
) -> None:
    found = pooled_z_test(control, treatment)
    assert isinstance(found, ZTest)
    assert (round(found.z, 6), round(found.p_value, 6)) == (z, p_value)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(10, 100, (0.055229, 0.174366)), (0, 50, (0, 0.071348)), (81, 263, (0.255289, 0.366210))],
)
def test_wilsons_interval_is_the_published_one(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    assert tuple(round(bound, 6) for bound in wilson_interval(successes, trials)) == expected


def test_newcombes_interval_is_the_published_one() -> None:
    interval = newcombe_interval(Proportion(70, 56), Proportion(80, 48))
    assert not isinstance(interval, NotEnoughData)
    assert tuple(round(bound, 6) for bound in interval) == (0.052431, 0.333873)


def test_shares_of_nobody_or_of_everybody_have_no_test() -> None:
    assert isinstance(pooled_z_test(Proportion(0, 0), Proportion(5, 1)), NotEnoughData)
    assert isinstance(pooled_z_test(Proportion(5, 0), Proportion(5, 0)), NotEnoughData)
    assert isinstance(newcombe_interval(Proportion(0, 0), Proportion(5, 1)), NotEnoughData)
