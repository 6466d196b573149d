"""Power, sample size, duration, progress; published figures to the digits given."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.bayesian import Prior
from analytics.stats.effects import Effect, measure_effect, welch_test
from analytics.stats.planning import (
    Duration,
    Week,
    duration_of,
    extra_sample_factor,
    impact_per_day,
    plan_weeks,
    progress_of,
)
from analytics.stats.power import (
    Baseline,
    power_of,
    shoppers_for_difference,
    shoppers_for_effect_size,
    shoppers_for_lift,
    shoppers_for_rates,
    smallest_lift,
)
from analytics.stats.summaries import MeanSums, Proportion

RATE, REVENUE = Baseline.of_rate(0.1), Baseline(0.1, 0.5)


def weeks(baseline: Baseline, lift: float) -> tuple[Week, ...]:
    return plan_weeks(baseline, lift, shoppers_per_week=4500, n_arms=3, n_weeks=9)


@pytest.mark.parametrize(
    ("baseline", "lift", "power", "smallest"),
    [
        (
            RATE,
            0.05,
            (0.073, 0.0965, 0.1204, 0.14458, 0.16895, 0.19342, 0.21791, 0.24235, 0.26666),
            (0.36767, 0.24505, 0.19525, 0.16673, 0.14774, 0.13394, 0.12336, 0.11491, 0.10796),
        ),
        (
            REVENUE,
            0.3,
            (0.17053, 0.29389, 0.41122, 0.51749, 0.61037, 0.68938, 0.75513, 0.80886, 0.85213),
            (1.26769, 0.71941, 0.54299, 0.4506, 0.39208, 0.35099, 0.32018, 0.29603, 0.27647),
        ),
    ],
)
def test_the_planners_table_is_the_published_one(
    baseline: Baseline, lift: float, power: tuple[float, ...], smallest: tuple[float, ...]
) -> None:
    rows = weeks(baseline, lift)
    assert tuple(round(row.power, 5) for row in rows) == power
    assert tuple(round(float(row.smallest_lift), 5) for row in rows) == smallest  # type: ignore[arg-type]


def test_the_first_week_with_enough_power_is_the_published_one() -> None:
    assert next(row.week for row in weeks(REVENUE, 0.3) if row.power >= 0.8) == 8
    assert not [row for row in weeks(RATE, 0.05) if row.power >= 0.8]


@pytest.mark.parametrize(
    ("planned", "prior", "factor"),
    [(None, None, 25.457), (5000, None, 55.668), (None, Prior(0.05, 0.001**0.5), 13.940)],
)
def test_the_sample_still_to_come_is_the_published_one(
    planned: float | None, prior: Prior | None, factor: float
) -> None:
    effect = measure_effect(MeanSums(500, 500, 1500), MeanSums(500, 525, 1551.25))
    assert isinstance(effect, Effect)
    found = extra_sample_factor(effect, 0.05, planned_shoppers=planned, prior=prior)
    assert not isinstance(found, NotEnoughData)
    assert round(found, 3) == factor


def test_a_sample_that_is_enough_needs_nothing_more_and_dust_is_never_found() -> None:
    effect = Effect("relative", 0.0, 0.01, 1e4, 5000, 5000, 1.0, 1.0)
    assert extra_sample_factor(effect, 0.05) == 0
    beyond = extra_sample_factor(effect, 1e-8)
    assert isinstance(beyond, NotEnoughData)
    assert beyond.reason == Reason.OUT_OF_REACH


@pytest.mark.parametrize(
    ("rate", "difference", "n"),
    [
        (0.20, 0.05, 1_030),
        (0.05, 0.005, 30_244),
        (0.02, 0.004, 19_784),
        (0.10, 0.02, 3_623),
        (0.03, 0.003, 51_486),
    ],
)
def test_sizes_for_rates_are_those_of_evan_millers_calculator(
    rate: float, difference: float, n: int
) -> None:
    assert shoppers_for_rates(rate, difference) == n


@pytest.mark.parametrize(
    ("variance", "difference", "alpha", "power", "total", "tolerance"),
    [
        (100, 0.3, 0.05, 0.85, 39_906, 0.005),
        (0.34 * 0.66, 0.003, 0.05, 0.85, 897_348, 0.005),
        (0.34 * 0.66, 0.1, 0.05, 0.85, 795, 0.015),
        (0.34 * 0.66, 0.003, 0.14, 0.85, 630_710, 0.005),
        (0.34 * 0.66, 0.003, 0.14, 0.67, 366_424, 0.005),
    ],
)
def test_sizes_for_differences_are_those_of_gpower(
    variance: float, difference: float, alpha: float, power: float, total: int, tolerance: float
) -> None:
    n = 2 * shoppers_for_difference(variance, difference, alpha=alpha, power=power)
    assert n == pytest.approx(total, rel=tolerance)


@pytest.mark.parametrize(("size", "exact"), [(0.5, 63.77), (0.2, 393.41)])
def test_sizes_for_the_t_test_are_those_of_statsmodels(size: float, exact: float) -> None:
    n = shoppers_for_effect_size(size)
    assert round(n, 2) == exact
    assert ceil(n) == ceil(exact)


def test_five_to_five_and_a_half_per_cent_takes_31_234_per_arm_on_the_absolute_scale() -> None:
    baseline, after = Baseline.of_rate(0.05), 0.055 * 0.945

    def power(scale: str) -> float:
        return power_of(
            baseline,
            0.1,
            n_control=31_234,
            n_treatment=31_234,
            scale=scale,  # type: ignore[arg-type]
            treatment_variance=after,
        )

    assert round(power("absolute"), 3) == 0.8
    # The relative test of a rise finds less: its variance grows with the lift.
    assert round(power("relative"), 3) == 0.761


def test_the_planned_size_finds_the_lift_as_often_as_promised() -> None:
    """4,000 simulated tests of one look; the band is three standard errors wide."""
    n, tests = 31_234, 4000
    found = 0
    for control, treatment in np.random.default_rng(31).binomial(n, [0.05, 0.055], (tests, 2)):
        effect = measure_effect(
            Proportion(n, int(control)), Proportion(n, int(treatment)), scale="absolute"
        )
        assert isinstance(effect, Effect)
        found += welch_test(effect).is_significant
    assert found / tests == pytest.approx(0.8, abs=0.019)


lifts = st.floats(0.01, 0.3)
baselines = st.tuples(st.floats(0.01, 100), st.floats(1, 10)).map(
    lambda pair: Baseline(pair[0], (pair[0] * pair[1]) ** 2)
)


@given(baselines, lifts, st.floats(0.6, 0.95), st.floats(0.1, 0.9))
def test_size_smallest_lift_and_power_are_each_others_inverse(
    baseline: Baseline, lift: float, power: float, share: float
) -> None:
    control, treatment = shoppers_for_lift(baseline, lift, weights=(1 - share, share), power=power)
    smallest = smallest_lift(baseline, n_control=control, n_treatment=treatment, power=power)
    assert not isinstance(smallest, NotEnoughData)
    # Whole shoppers: a little better than asked.
    assert smallest <= lift * (1 + 1e-9)
    assert smallest == pytest.approx(lift, rel=0.06)
    found = power_of(baseline, lift, n_control=control, n_treatment=treatment)
    assert power - 1e-9 <= found <= power + 0.06


@given(baselines, lifts, st.integers(100, 10**6))
def test_power_grows_with_shoppers_and_starts_at_alpha(
    baseline: Baseline, lift: float, n: int
) -> None:
    few = power_of(baseline, lift, n_control=n, n_treatment=n)
    many = power_of(baseline, lift, n_control=2 * n, n_treatment=2 * n)
    assert 0.05 - 1e-9 <= few <= many <= 1
    assert power_of(baseline, 0.0, n_control=n, n_treatment=n) == pytest.approx(0.05)


def test_so_few_shoppers_show_no_lift_at_all() -> None:
    nothing = smallest_lift(REVENUE, n_control=100, n_treatment=100)
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.OUT_OF_REACH


def test_a_duration_is_at_least_a_week_and_unknown_without_traffic() -> None:
    assert duration_of(60_000, shoppers_per_day=5_100) == Duration(60_000, 12, 2)
    assert duration_of(100, shoppers_per_day=5_100) == Duration(100, 7, 1)
    assert isinstance(duration_of(100, shoppers_per_day=0), NotEnoughData)


def test_progress_is_the_share_of_the_shoppers_needed() -> None:
    assert progress_of(0.08, 0.04) == 0.25
    assert progress_of(0.01, 0.04) == 1


def test_impact_is_scaled_to_all_traffic() -> None:
    effect = Effect("relative", 0.25, 0.1, 99.0, 1000, 1000, 2.0, 2.5)
    assert impact_per_day(effect, traffic_share=0.25, days=10) == 200


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Baseline(0.0, 1.0),
        lambda: Baseline(1.0, 0.0),
        lambda: Baseline.of_rate(1.0),
        lambda: shoppers_for_lift(RATE, 0.0),
        lambda: shoppers_for_rates(0.98, 0.03),
        lambda: shoppers_for_difference(1.0, 0.0),
        lambda: smallest_lift(RATE, n_control=10, n_treatment=10, alpha=0.5, power=0.4),
        lambda: power_of(RATE, 0.1, n_control=0, n_treatment=10),
        lambda: plan_weeks(RATE, 0.1, shoppers_per_week=100, n_arms=1, n_weeks=2),
        lambda: duration_of(10, shoppers_per_day=-1),
    ],
)
def test_impossible_questions_are_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        ask()
