"""Effects, their intervals and p-values; published figures to the digits given."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.cuped import PairedSums, measure_adjusted, theta_of
from analytics.stats.cuped_ratio import PairedRatioSums, measure_adjusted_ratio
from analytics.stats.effects import (
    Effect,
    Scale,
    TestResult,
    difference_variance,
    lift_variance,
    measure_effect,
    relative_difference,
    welch_test,
)
from analytics.stats.summaries import MeanSums, Proportion, RatioSums, Sums

# GrowthBook, packages/stats/tests/frequentist/test_tests.py
A = MeanSums(3407, 1396.87, 52377.9767)
A_3000 = MeanSums(3000, 1396.87, 52377.9767)
B = MeanSums(3461, 2422.7, 134698.29)


def effect_of(control: Sums, treatment: Sums, scale: Scale = "relative") -> Effect:
    effect = measure_effect(control, treatment, scale=scale)
    assert isinstance(effect, Effect)
    return effect


def rounded(effect: Effect, result: TestResult) -> tuple[float, ...]:
    figures = (effect.estimate, effect.standard_error, result.low, result.high, result.p_value)
    return tuple(round(figure, 5) for figure in figures)


def test_the_relative_effect_on_a_mean_is_the_published_one() -> None:
    effect = effect_of(A, B)
    assert rounded(effect, welch_test(effect)) == (0.70732, 0.37879, -0.03526, 1.44989, 0.06191)


def test_the_absolute_effect_on_a_mean_is_the_published_one() -> None:
    effect = effect_of(A, B, "absolute")
    assert rounded(effect, welch_test(effect)) == (0.29, 0.12478, 0.04538, 0.53462, 0.02016)


def test_the_relative_effect_on_a_proportion_is_the_published_one() -> None:
    effect = effect_of(Proportion(28, 14), Proportion(30, 16))
    assert rounded(effect, welch_test(effect)) == (0.06667, 0.27170, -0.47767, 0.61101, 0.80707)


def test_one_sided_tests_are_the_published_ones() -> None:
    relative, absolute = effect_of(A_3000, B), effect_of(A_3000, B, "absolute")
    greater = welch_test(relative, side="greater")
    assert rounded(relative, greater)[::2] == (0.50336, -0.04514, 0.06558)
    assert greater.high == inf
    on_absolute = welch_test(absolute, side="greater")
    assert rounded(absolute, on_absolute)[::2] == (0.23438, 0.02079, 0.03554)
    less = welch_test(relative, side="less")
    assert less.low == -inf
    assert (round(less.high, 5), round(less.p_value, 5)) == (1.05186, 0.93442)
    assert round(welch_test(absolute, side="less").high, 5) == 0.44796


def test_a_variance_that_nobody_can_have_is_not_enough_data_and_not_p_of_1() -> None:
    nothing = measure_effect(MeanSums(2, 1396.87, 52377.9767), B)
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.NO_SPREAD


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        (Proportion(0, 0), Proportion(9, 4), Reason.NO_SHOPPERS),
        (Proportion(1, 1), Proportion(9, 4), Reason.TOO_FEW_SHOPPERS),
        (Proportion(9, 4), Proportion(9, 0), Reason.NO_SPREAD),
        (Proportion(9, 9), Proportion(9, 4), Reason.NO_SPREAD),
        (MeanSums(2, 0.0, 2.0), MeanSums(2, 1.0, 1.0), Reason.NO_BASELINE),
        (RatioSums(9, 0, 0, 0, 0, 0), RatioSums(9, 3, 3, 9, 11, 3), Reason.NO_DENOMINATOR),
    ],
)
def test_what_is_missing_for_an_effect_is_said(
    control: Sums, treatment: Sums, reason: Reason
) -> None:
    nothing = measure_effect(control, treatment)
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == reason


def test_sums_of_two_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="Proportion against MeanSums"):
        measure_effect(Proportion(9, 4), B)


def test_a_rise_from_a_negative_mean_is_a_rise() -> None:
    assert relative_difference(-10, -5) == 0.5
    assert relative_difference(-10, -15) == -0.5
    assert relative_difference(-2, 3) == 2.5


def test_the_delta_methods_variances_are_the_published_ones() -> None:
    assert round(difference_variance(2, 4, 0.5, 15), 5) == 0.53333
    assert round(lift_variance(7, 2, 4, 5, 0.5, 15), 5) == 0.00589


def test_the_effect_on_a_ratio_is_the_published_one() -> None:
    effect = effect_of(
        RatioSums(100, 270, 848.79, 510, 810, -900), RatioSums(120, 300, 869, 500, 800, -905)
    )
    assert round(effect.estimate, 9) == 0.133333333
    assert round(welch_test(effect).p_value, 9) == 0.610663339


def test_a_ratio_of_something_to_one_per_shopper_is_the_mean() -> None:
    as_ratio = effect_of(
        RatioSums(3407, A.total, A.squares, 3407, 3407, A.total),
        RatioSums(3461, B.total, B.squares, 3461, 3461, B.total),
    )
    as_mean = effect_of(A, B)
    assert as_ratio.estimate == pytest.approx(as_mean.estimate, rel=1e-12)
    assert as_ratio.standard_error == pytest.approx(as_mean.standard_error, rel=1e-12)


def test_the_effect_after_cuped_is_the_published_one() -> None:
    control = PairedSums(3001, 300, 600, 210, 415, -20)
    treatment = PairedSums(3000, 222, 555, 120, 405, -10)
    adjusted = measure_adjusted(control, treatment)
    assert not isinstance(adjusted, NotEnoughData)
    assert round(adjusted.effect.estimate, 9) == -0.281707154
    assert round(welch_test(adjusted.effect).p_value, 9) == 0.003732549
    assert round(adjusted.effect.control_mean, 9) == 0.099966678
    assert adjusted.effect.treatment_mean == 0.074
    assert round(adjusted.theta, 6) == -0.073212


def symmetric(
    diagonal: list[float], above: dict[tuple[int, int], float]
) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(diagonal[i] if i == j else above[min(i, j), max(i, j)] for j in range(4))
        for i in range(4)
    )


def test_the_effect_on_a_ratio_after_cuped_is_the_published_one() -> None:
    control = PairedRatioSums(
        100,
        (485.112236689623, 679.9093275844917, 192.59138069991536, 290.1398399750233),
        symmetric(
            [2715.484666118136, 4939.424001640236, 460.076026390857, 920.9461385038898],
            {
                (0, 1): 3602.146836776702,
                (0, 2): 1113.6215759318352,
                (0, 3): 1559.2878434944676,
                (1, 2): 1460.3181079276983,
                (1, 3): 2130.9404074446747,
                (2, 3): 634.239482353647,
            },
        ),
    )
    treatment = PairedRatioSums(
        100,
        (514.7757826608777, 705.4090874383759, 206.94157227402536, 302.54389139107326),
        symmetric(
            [2994.897482705013, 5291.36604146392, 514.2903702246757, 994.4506208125663],
            {
                (0, 1): 3918.1561431600717,
                (0, 2): 1237.0953021125997,
                (0, 3): 1701.0287270040265,
                (1, 2): 1604.0759503266522,
                (1, 3): 2292.081739775257,
                (2, 3): 698.4173425817908,
            },
        ),
    )
    adjusted = measure_adjusted_ratio(control, treatment)
    assert not isinstance(adjusted, NotEnoughData)
    figures = rounded(adjusted.effect, welch_test(adjusted.effect))
    assert figures == (-0.00070, 0.00391, -0.00841, 0.00700, 0.85771)
    assert adjusted.variance_removed > 0


def paired(y: np.ndarray, x: np.ndarray) -> PairedSums:
    return PairedSums(
        len(y), float(y.sum()), float(y @ y), float(x.sum()), float(x @ x), float(x @ y)
    )


def test_theta_of_zero_is_welch() -> None:
    control = PairedSums(3001, 300, 600, 210, 415, -20)
    treatment = PairedSums(3000, 222, 555, 120, 405, -10)
    scales: tuple[Scale, ...] = ("relative", "absolute")
    for scale in scales:
        adjusted = measure_adjusted(control, treatment, scale=scale, theta=0.0)
        assert not isinstance(adjusted, NotEnoughData)
        plain = effect_of(control.now, treatment.now, scale)
        assert adjusted.effect.estimate == pytest.approx(plain.estimate, rel=1e-12)
        assert adjusted.effect.standard_error == pytest.approx(plain.standard_error, rel=1e-12)
        assert adjusted.effect.degrees_of_freedom == pytest.approx(plain.degrees_of_freedom)
        assert adjusted.variance_removed == pytest.approx(0, abs=1e-12)


def test_a_past_without_spread_changes_nothing() -> None:
    control = PairedSums(3001, 300, 600, 0, 0, 0)
    treatment = PairedSums(3000, 222, 555, 0, 0, 0)
    assert theta_of(control, treatment) == 0.0


def test_cuped_removes_the_square_of_the_correlation() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(10, 2, 40_000)
    y = 5 + 0.8 * (x - 10) / 2 + 0.6 * rng.normal(size=40_000)
    adjusted = measure_adjusted(
        paired(y[:20_000], x[:20_000]), paired(y[20_000:], x[20_000:]), scale="absolute"
    )
    assert not isinstance(adjusted, NotEnoughData)
    assert adjusted.variance_removed == pytest.approx(0.64, abs=0.02)


arms = st.tuples(st.integers(50, 5000), st.floats(0.05, 0.95)).map(
    lambda pair: Proportion(pair[0], max(1, min(pair[0] - 1, int(pair[0] * pair[1]))))
)


@given(arms, arms, st.floats(1e-3, 1e3))
def test_lifts_know_no_currency(control: Proportion, treatment: Proportion, rate: float) -> None:
    effect = effect_of(control.sums, treatment.sums)
    in_cents = [
        MeanSums(arm.n, arm.successes * rate, arm.successes * rate * rate)
        for arm in (control, treatment)
    ]
    exchanged = effect_of(in_cents[0], in_cents[1])
    assert exchanged.estimate == pytest.approx(effect.estimate, rel=1e-9, abs=1e-12)
    assert exchanged.standard_error == pytest.approx(effect.standard_error, rel=1e-9)
    assert welch_test(exchanged).p_value == pytest.approx(welch_test(effect).p_value, rel=1e-6)


@given(arms, arms, st.integers(2, 20))
def test_intervals_shrink_with_the_root_of_n(
    control: Proportion, treatment: Proportion, times: int
) -> None:
    effect = effect_of(control, treatment)
    more = effect_of(
        Proportion(control.n * times, control.successes * times),
        Proportion(treatment.n * times, treatment.successes * times),
    )
    assert more.estimate == pytest.approx(effect.estimate, abs=1e-12)
    assert more.standard_error == pytest.approx(effect.standard_error / times**0.5, rel=1e-9)
    few, many = welch_test(effect), welch_test(more)
    assert many.high - many.low < few.high - few.low


@given(arms, arms)
def test_the_interval_leaves_out_0_exactly_when_p_is_below_alpha(
    control: Proportion, treatment: Proportion
) -> None:
    result = welch_test(effect_of(control, treatment))
    assume(abs(result.p_value - 0.05) > 1e-9)
    assert (result.low > 0 or result.high < 0) == (result.p_value < 0.05) == result.is_significant


@given(arms, arms)
def test_the_two_one_sided_p_values_add_up_to_1(control: Proportion, treatment: Proportion) -> None:
    effect = effect_of(control, treatment)
    greater, less = welch_test(effect, side="greater"), welch_test(effect, side="less")
    assert greater.p_value + less.p_value == pytest.approx(1)


@given(st.lists(st.floats(0, 100), min_size=3, max_size=40), st.integers(1, 2))
def test_sums_of_parts_add_up_to_the_sums_of_the_whole(values: list[float], cut: int) -> None:
    def sums(part: list[float]) -> MeanSums:
        return MeanSums(len(part), sum(part), sum(value * value for value in part))

    whole, parts = sums(values), sums(values[:cut]) + sums(values[cut:])
    assert parts.n == whole.n
    assert parts.total == pytest.approx(whole.total)
    assert whole.variance == pytest.approx(np.var(values, ddof=1), abs=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Proportion(3, 4),
        lambda: Proportion(-1, 0),
        lambda: MeanSums(3, float("nan"), 1.0),
        lambda: MeanSums(0, 1.0, 1.0),
        lambda: RatioSums(3, 1.0, float("inf"), 1.0, 1.0, 1.0),
        lambda: PairedSums(3, 1.0, 1.0, float("nan"), 1.0, 1.0),
        lambda: PairedRatioSums(3, (1.0, 2.0), ((1.0,),)),
        lambda: welch_test(effect_of(A, B), alpha=1.5),
    ],
)
def test_impossible_sums_are_refused(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]
