"""Chance to win and expected loss; published figures to the digits given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.bayesian import (
    WEAK_PRIOR,
    Posterior,
    chance_of_higher_rate,
    is_small,
    posterior_of,
)
from analytics.stats.effects import Effect, measure_effect
from analytics.stats.summaries import MeanSums, Proportion, Sums


def posterior(control: Sums, treatment: Sums) -> Posterior:
    effect = measure_effect(control, treatment)
    assert isinstance(effect, Effect)
    return posterior_of(effect)


def test_the_posterior_of_a_proportion_is_the_published_one() -> None:
    found = posterior(Proportion(100, 49), Proportion(100, 51))
    assert round(found.mean, 5) == 0.04082
    assert tuple(round(bound, 5) for bound in found.interval()) == (-0.24779, 0.32943)
    assert round(found.chance_to_win, 5) == 0.60918
    assert round(found.loss_if_kept, 4) == 0.0814
    assert round(found.loss_if_shipped, 5) == 0.04058


def test_the_posterior_of_a_mean_is_the_published_one() -> None:
    found = posterior(MeanSums(10, 100, 1002.25), MeanSums(10, 105, 1111.5))
    assert round(found.mean, 5) == 0.05
    assert round(found.deviation, 5) == 0.03572
    assert tuple(round(bound, 5) for bound in found.interval()) == (-0.02, 0.12)
    assert round(found.chance_to_win, 5) == 0.91923
    assert round(found.loss_if_kept, 5) == 0.05131
    assert round(found.loss_if_shipped, 5) == 0.00131


def test_losses_of_a_nearly_certain_effect_dont_overflow() -> None:
    up, down = Posterior(0.01, 4.5e-9), Posterior(-0.01, 4.5e-9)
    assert (up.loss_if_kept, up.loss_if_shipped) == (0.01, 0)
    assert (down.loss_if_kept, down.loss_if_shipped) == (0, 0.01)


def test_without_shoppers_there_is_no_posterior_and_rates_are_even() -> None:
    nothing = measure_effect(Proportion(0, 0), Proportion(0, 0))
    assert isinstance(nothing, NotEnoughData)
    assert nothing.reason == Reason.NO_SHOPPERS
    assert chance_of_higher_rate(Proportion(0, 0), Proportion(0, 0)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("control", "treatment", "expected"),
    [
        (Proportion(100, 40), Proportion(100, 50), 0.921426),
        (Proportion(1000, 100), Proportion(1000, 120), 0.923183),
        (Proportion(10000, 200), Proportion(10000, 250), 0.991423),
    ],
)
def test_the_chance_of_a_higher_rate_is_the_integral(
    control: Proportion, treatment: Proportion, expected: float
) -> None:
    chance = chance_of_higher_rate(control, treatment)
    assert round(chance, 6) == expected
    u = (np.arange(20_000) + 0.5) / 20_000
    at = special.betaincinv(1 + treatment.successes, 1 + treatment.n - treatment.successes, u)
    by_integration = special.betainc(
        1 + control.successes, 1 + control.n - control.successes, at
    ).mean()
    assert chance == pytest.approx(by_integration, abs=1e-6)


counts = st.integers(1, 300).flatmap(
    lambda n: st.integers(0, n).map(lambda successes: Proportion(n, successes))
)


@given(counts, counts)
def test_one_of_two_rates_is_the_higher(a: Proportion, b: Proportion) -> None:
    assert chance_of_higher_rate(a, b) + chance_of_higher_rate(b, a) == pytest.approx(1, abs=1e-9)


@given(st.floats(-1, 1), st.floats(1e-4, 1))
def test_losses_differ_by_the_effect_and_a_prior_pulls_towards_itself(
    mean: float, deviation: float
) -> None:
    found = Posterior(mean, deviation)
    assert found.loss_if_kept - found.loss_if_shipped == pytest.approx(mean, abs=1e-9)
    effect = Effect("relative", mean, deviation, 100.0, 100, 100, 1.0, 1.0)
    calmed = posterior_of(effect, WEAK_PRIOR)
    assert abs(calmed.mean) <= abs(mean)
    assert calmed.deviation < deviation


def test_small_counts_are_known() -> None:
    assert is_small(Proportion(1000, 24), Proportion(1000, 30))
    assert not is_small(Proportion(1000, 25), Proportion(1000, 30))
