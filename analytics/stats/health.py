"""Whether the experiment itself can be believed.

A split that isn't the planned one, arms that differed before the start, shoppers who saw both:
each makes every other number on the page worthless, so they come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Literal, TypeAlias

from analytics.stats.answers import (
    InvalidInputError,
    NotEnoughData,
    Reason,
    require_count,
    require_positive,
)
from analytics.stats.distributions import chi_squared_upper
from analytics.stats.effects import Effect, measure_effect, welch_test
from analytics.stats.summaries import MeanSums

Alarm: TypeAlias = Literal["fine", "amber", "red"]

AMBER_P, RED_P = 0.01, 0.001
CROSSOVER_WARNING = 0.01
# χ² is an approximation that wants this many expected in every cell (Cochran's rule).
_FEWEST_EXPECTED = 5


def alarm_of(p_value: float) -> Alarm:
    """Amber below p = .01, red below .001: checked often, so stricter than a verdict.

    Examples
    --------
    >>> alarm_of(0.02), alarm_of(0.009), alarm_of(0.0009)
    ('fine', 'amber', 'red')
    """
    if p_value < RED_P:
        return "red"
    return "amber" if p_value < AMBER_P else "fine"


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether as many shoppers are in each arm as planned.

    Attributes
    ----------
    expected
        Shoppers per arm at the planned weights, not rounded.
    chi_squared, p_value
        Of one look.
    sequential_p_value
        Holds at every look together; larger than `p_value`.
    alarm
        By `p_value`.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    chi_squared: float
    p_value: float
    sequential_p_value: float
    alarm: Alarm


def sample_ratio(observed: Sequence[int], weights: Sequence[float]) -> SampleRatio | NotEnoughData:
    r"""Test for a sample ratio mismatch.

    $\chi^2 = \sum (o - e)^2 / e$ with k - 1 degrees of freedom.

    Parameters
    ----------
    observed
        Exposed shoppers per arm.
    weights
        Planned shares in the same order, each above 0; they needn't add up to 1.

    Returns
    -------
    SampleRatio | NotEnoughData
        No answer with fewer counts than weights, with one arm, or below 5 expected in an arm.

    Raises
    ------
    InvalidInputError
        Counts below 0, weights not above 0, more counts than weights.

    References
    ----------
    A. Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.

    Examples
    --------
    >>> check = sample_ratio([1000, 1200], [0.5, 0.5])
    >>> round(check.p_value, 9), check.alarm
    (2.0079e-05, 'red')
    >>> sample_ratio([1000], [0.5, 0.5]).words
    '1 arm was counted, 2 have a weight'
    """
    for count in observed:
        require_count("shoppers in an arm", count)
    for weight in weights:
        require_positive("weight", weight)
    if len(observed) > len(weights):
        raise InvalidInputError(f"{len(observed)} arms were counted, {len(weights)} have a weight")
    if len(observed) < len(weights):
        counted = f"{len(observed)} arm{'s were' if len(observed) != 1 else ' was'} counted"
        return NotEnoughData(Reason.MISSING_ARM, f"{counted}, {len(weights)} have a weight")
    if len(weights) < 2:
        return NotEnoughData(Reason.MISSING_ARM, "one arm has nothing to be compared with")
    n, whole = sum(observed), sum(weights)
    expected = tuple(n * weight / whole for weight in weights)
    if min(expected) < _FEWEST_EXPECTED:
        return NotEnoughData(
            Reason.TOO_FEW_SHOPPERS, f"{n} shoppers are too few to judge the split"
        )
    chi_squared = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    p_value = chi_squared_upper(chi_squared, len(weights) - 1)
    return SampleRatio(
        tuple(observed),
        expected,
        chi_squared,
        p_value,
        _sequential_p(observed, [weight / whole for weight in weights]),
        alarm_of(p_value),
    )


# Prior masses on "as planned", in shoppers: splits off by 10 %, 3 % and 1 % are what they look for.
_CONCENTRATIONS = (100.0, 1_000.0, 10_000.0)


def _sequential_p(observed: Sequence[int], shares: Sequence[float]) -> float:
    r"""One over the Bayes factor of "another split" against the planned one.

    Split ~ Dirichlet(c·θ): $BF_c = B(c\theta + o) / (B(c\theta) \prod \theta_j^{o_j})$, a
    martingale under the planned split. So is the mean over several c, which sees a broken split of
    a few hundred shoppers as well as a slight one of many thousands. P(BF ≥ 1/α at any look) ≤ α
    (Ville); the p-value of a look is min(1, 1/BF), and the caller may keep the smallest so far.

    References
    ----------
    M. Lindon, A. Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.
    """
    factors = [_log_factor(observed, shares, mass) for mass in _CONCENTRATIONS]
    largest = max(factors)
    mean = sum(exp(factor - largest) for factor in factors) / len(factors)
    return min(1.0, exp(-largest) / mean)


def _log_factor(observed: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    factor = lgamma(concentration) - lgamma(concentration + sum(observed))
    for count, share in zip(observed, shares, strict=True):
        mass = concentration * share
        factor += lgamma(mass + count) - lgamma(mass) - count * log(share)
    return factor


@dataclass(frozen=True, slots=True)
class Bias:
    """Whether the arms differed before anybody was exposed.

    Attributes
    ----------
    effect
        The "effect" on the past, which should be none; absolute.
    p_value, alarm
        Of Welch's test.
    """

    effect: Effect
    p_value: float
    alarm: Alarm


def pre_exposure_bias(control: MeanSums, treatment: MeanSums) -> Bias | NotEnoughData:
    """Compare the arms' past: the experiment can't have changed it.

    Parameters
    ----------
    control, treatment
        The metric in the 14 days before each shopper's first exposure.

    References
    ----------
    R. Kohavi, D. Tang, Y. Xu, Trustworthy online controlled experiments, 2020, chapter 19.

    Examples
    --------
    >>> pre_exposure_bias(MeanSums(100, 100.0, 200.0), MeanSums(100, 100.0, 200.0)).alarm
    'fine'
    """
    effect = measure_effect(control, treatment, scale="absolute")
    if isinstance(effect, NotEnoughData):
        return effect
    p_value = welch_test(effect).p_value
    return Bias(effect, p_value, alarm_of(p_value))


@dataclass(frozen=True, slots=True)
class Crossover:
    """Shoppers who were seen in more than one arm; they are never counted in any.

    Examples
    --------
    >>> Crossover(12, 1000).rate, Crossover(12, 1000).is_warning
    (0.012, True)
    """

    n_crossed: int
    n_exposed: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_crossed <= self.n_exposed:
            raise InvalidInputError(f"{self.n_crossed} of {self.n_exposed} shoppers crossed over")

    @property
    def rate(self) -> float | None:
        """Share of the exposed shoppers; None before anybody was exposed."""
        return self.n_crossed / self.n_exposed if self.n_exposed else None

    @property
    def is_warning(self) -> bool:
        """At 1 % and above: the shoppers left out are no longer negligible."""
        return self.rate is not None and self.rate >= CROSSOVER_WARNING
