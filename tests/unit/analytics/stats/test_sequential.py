"""Confidence sequences; published figures to the digits given."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.stats.answers import InvalidInputError
from analytics.stats.effects import Effect, measure_effect, welch_test
from analytics.stats.sequential import sequence_test
from analytics.stats.summaries import MeanSums, Proportion

A = MeanSums(3000, 1396.87, 52377.9767)
B = MeanSums(3461, 2422.7, 134698.29)


def effect_on_means(**scale: str) -> Effect:
    effect = measure_effect(A, B, **scale)  # type: ignore[arg-type]
    assert isinstance(effect, Effect)
    return effect


def test_the_sequence_on_a_mean_is_the_published_one() -> None:
    effect = effect_on_means()
    result = sequence_test(effect, planned_shoppers=1000)
    assert round(effect.estimate, 5) == 0.50336
    assert round(effect.standard_error, 5) == 0.33341
    assert (round(result.low, 5), round(result.high, 5)) == (-0.55844, 1.56516)
    assert result.p_value == 1


def test_the_sequence_on_a_proportion_is_the_published_one() -> None:
    effect = measure_effect(Proportion(3000, 1396), Proportion(3461, 2422))
    assert isinstance(effect, Effect)
    result = sequence_test(effect, planned_shoppers=5000)
    assert round(effect.estimate, 5) == 0.50386
    assert (round(result.low, 5), round(result.high, 5)) == (0.40098, 0.60675)
    # Not 0: the tail is computed as a tail.
    assert result.p_value == pytest.approx(5.2e-44, rel=0.01)


def test_the_one_sided_sequence_is_the_published_one() -> None:
    result = sequence_test(effect_on_means(), planned_shoppers=5000, side="greater")
    assert (round(result.low, 5), result.high) == (-0.42356, inf)
    # The source searches α up to 0.4999 and stops there; the closed form goes on.
    assert min(result.p_value, 0.4999) == 0.4999
    absolute = sequence_test(
        effect_on_means(scale="absolute"), planned_shoppers=5000, side="greater"
    )
    assert round(absolute.low, 8) == -0.12656844
    # The source bisects until the bound is near 0; this is the root itself.
    assert absolute.p_value == pytest.approx(0.46316491943359384, abs=2e-4)
    less = sequence_test(effect_on_means(), planned_shoppers=5000, side="less")
    assert (less.low, round(less.high, 5)) == (-inf, 1.43029)
    assert less.p_value == 1


def test_the_sequence_is_narrowest_at_the_planned_size() -> None:
    effect = effect_on_means()

    def width(planned: float) -> float:
        result = sequence_test(effect, planned_shoppers=planned)
        return result.high - result.low

    assert width(6461) < width(10_000) < width(10)


effects = st.builds(
    Effect,
    st.just("relative"),
    st.floats(-1, 1),
    st.floats(1e-3, 1),
    st.just(5000.0),
    st.integers(100, 100_000),
    st.integers(100, 100_000),
    st.just(1.0),
    st.just(1.0),
)


@given(effects, st.floats(100, 1e6), st.floats(0.001, 0.2))
def test_looking_often_costs_width_and_the_interval_agrees_with_p(
    effect: Effect, planned: float, alpha: float
) -> None:
    sequence = sequence_test(effect, planned_shoppers=planned, alpha=alpha)
    fixed = welch_test(effect, alpha=alpha)
    assert sequence.high - sequence.low > fixed.high - fixed.low
    if abs(sequence.p_value - alpha) > 1e-9:
        assert (sequence.low > 0 or sequence.high < 0) == (sequence.p_value < alpha)


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 100), (1.0, 100), (0.05, 0), (0.05, inf)])
def test_levels_and_sizes_that_are_none_are_refused(alpha: float, planned: float) -> None:
    with pytest.raises(InvalidInputError):
        sequence_test(effect_on_means(), planned_shoppers=planned, alpha=alpha)
