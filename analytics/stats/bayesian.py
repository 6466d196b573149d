"""Chance to win and what a wrong decision would cost.

The same effect and standard error as everywhere, read as a posterior. Shown beside the verdict, and
never the reason for it: a chance to win that is looked at daily crosses 95 % by itself too often.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special

from analytics.stats.answers import require_finite, require_positive, require_share
from analytics.stats.distributions import normal_cdf, normal_density, normal_quantile
from analytics.stats.effects import Effect
from analytics.stats.summaries import Proportion

# Below as many conversions in an arm the normal approximation is replaced by the Beta posterior.
SMALL_COUNT = 25


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed about a lift before the experiment: normal with this mean and deviation.

    Examples
    --------
    >>> Prior(0.0, 0.3).on_absolute_scale(control_mean=-10.0)
    Prior(mean=0.0, deviation=3.0)
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        require_finite("prior mean", self.mean)
        require_positive("prior deviation", self.deviation)

    def on_absolute_scale(self, *, control_mean: float) -> Prior:
        """The same belief in the metric's unit: both times the control mean's size."""
        size = abs(control_mean)
        return Prior(self.mean * size, self.deviation * size)


# Says that nine of ten lifts lie within ±50 %: enough to calm the first days, little later.
WEAK_PRIOR = Prior(0.0, 0.3)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed about an effect now: normal, on the effect's scale.

    Attributes
    ----------
    mean, deviation
        deviation > 0.

    Examples
    --------
    >>> Posterior(0.01, 4.5e-9).loss_if_kept, Posterior(0.01, 4.5e-9).loss_if_shipped
    (0.01, 0.0)
    """

    mean: float
    deviation: float

    @property
    def chance_to_win(self) -> float:
        """Φ(mean / deviation): the probability that the effect is above 0."""
        return normal_cdf(self.mean / self.deviation)

    @property
    def loss_if_shipped(self) -> float:
        """Expected loss of shipping the variant: what it costs, times how likely, if it is worse.

        sd·φ(z) - mean·(1 - Φ(z)) with z = mean / sd, ≥ 0.
        """
        z = self.mean / self.deviation
        return max(self.deviation * normal_density(z) - self.mean * normal_cdf(-z), 0.0)

    @property
    def loss_if_kept(self) -> float:
        """Expected loss of keeping the control: sd·φ(z) + mean·Φ(z), ≥ 0."""
        z = self.mean / self.deviation
        return max(self.deviation * normal_density(z) + self.mean * normal_cdf(z), 0.0)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central range that holds the effect with probability `level`."""
        require_share("level", level)
        width = normal_quantile((1 + level) / 2) * self.deviation
        return self.mean - width, self.mean + width


def posterior_of(effect: Effect, prior: Prior | None = None) -> Posterior:
    r"""The posterior of an effect.

    $\mu = (\mu_0/\sigma_0^2 + \Delta/se^2) / (1/\sigma_0^2 + 1/se^2)$,
    $\sigma^2 = 1/(1/\sigma_0^2 + 1/se^2)$.

    Parameters
    ----------
    prior
        On the effect's scale; None is flat: the effect and its standard error as they are.

    References
    ----------
    A. Gelman et al., Bayesian data analysis, third edition, section 2.5; losses as in C. Stucchio,
    Bayesian A/B testing at VWO, 2015.

    Examples
    --------
    >>> from analytics.stats.effects import measure_effect
    >>> posterior = posterior_of(measure_effect(Proportion(100, 49), Proportion(100, 51)))
    >>> round(posterior.chance_to_win, 5), round(posterior.loss_if_shipped, 5)
    (0.60918, 0.04058)
    """
    if prior is None:
        return Posterior(effect.estimate, effect.standard_error)
    of_prior = 1 / prior.deviation**2
    of_data = 1 / effect.standard_error**2
    mean = (prior.mean * of_prior + effect.estimate * of_data) / (of_prior + of_data)
    return Posterior(mean, sqrt(1 / (of_prior + of_data)))


def chance_of_higher_rate(control: Proportion, treatment: Proportion) -> float:
    r"""The probability that the treatment's rate is above the control's, exact for any counts.

    Both rates Beta(1 + successes, 1 + failures), that is, flat before:
    $P(p_T > p_C) = \sum_{i=0}^{\alpha_T-1} B(\alpha_C + i, \beta_C + \beta_T) /
    ((\beta_T + i) B(1 + i, \beta_T) B(\alpha_C, \beta_C))$.
    Cost: one term per success of the treatment.

    Returns
    -------
    float
        0 … 1; 0.5 without shoppers, because nothing is known.

    References
    ----------
    E. Miller, Formulas for Bayesian A/B testing, 2015; checked against numerical integration.

    Examples
    --------
    >>> round(chance_of_higher_rate(Proportion(100, 40), Proportion(100, 50)), 6)
    0.921426
    """
    a_control, b_control = 1 + control.successes, 1 + control.n - control.successes
    a_treatment, b_treatment = 1 + treatment.successes, 1 + treatment.n - treatment.successes
    i = np.arange(a_treatment, dtype=np.float64)
    terms = np.exp(
        special.betaln(a_control + i, float(b_control + b_treatment))
        - np.log(b_treatment + i)
        - special.betaln(1 + i, float(b_treatment))
        - special.betaln(float(a_control), float(b_control))
    )
    return min(float(terms.sum()), 1.0)


def is_small(control: Proportion, treatment: Proportion) -> bool:
    """Whether an arm has fewer than `SMALL_COUNT` conversions.

    Examples
    --------
    >>> is_small(Proportion(1000, 24), Proportion(1000, 400))
    True
    """
    return min(control.successes, treatment.successes) < SMALL_COUNT
