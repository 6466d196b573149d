"""How many shoppers a question needs, and how small an effect they can show.

All figures are per look at the planned end; a confidence sequence that is looked at in between can
only find more. Sizes are shoppers per arm unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from analytics.stats.answers import (
    InvalidInputError,
    NotEnoughData,
    Reason,
    require_finite,
    require_positive,
    require_share,
)
from analytics.stats.distributions import (
    normal_cdf,
    normal_quantile,
    t_noncentral_cdf,
    t_quantile,
)
from analytics.stats.effects import Scale, difference_variance, lift_variance


@dataclass(frozen=True, slots=True)
class Baseline:
    """A metric as it is without the experiment, from the store's own history.

    Attributes
    ----------
    mean
        Not 0.
    variance
        Per shopper, above 0.

    Examples
    --------
    >>> Baseline.of_rate(0.1)
    Baseline(mean=0.1, variance=0.09000000000000001)
    """

    mean: float
    variance: float

    def __post_init__(self) -> None:
        require_finite("mean", self.mean)
        require_positive("variance", self.variance)
        if self.mean == 0:
            raise InvalidInputError("mean is 0: nothing to be relative to")

    @classmethod
    def of_rate(cls, rate: float) -> Baseline:
        """A share of shoppers, 0 < rate < 1: variance p(1 - p)."""
        require_share("rate", rate)
        return cls(rate, rate * (1 - rate))


def power_at(effect: float, standard_error: float, *, critical: float) -> float:
    r"""Probability of a significant result on either side.

    $1 - \Phi(c - \Delta/\sigma) + \Phi(-c - \Delta/\sigma)$ with c the critical value in
    standard errors: $z_{1-\alpha/2}$, or the sequence's half-width over σ.

    Examples
    --------
    >>> round(power_at(0.0, 1.0, critical=1.959963984540054), 6)
    0.05
    """
    z = effect / standard_error
    return normal_cdf(z - critical) + normal_cdf(-critical - z)


def power_of(
    baseline: Baseline,
    lift: float,
    *,
    n_control: float,
    n_treatment: float,
    alpha: float = 0.05,
    scale: Scale = "relative",
    treatment_variance: float | None = None,
) -> float:
    r"""Probability that Welch's test finds a lift that is there.

    With $\sigma^2 = s^2/(n_T\mu^2) + s^2(1+\Delta)^2/n_C\mu^2$, the delta method's variance **at
    the alternative**.

    Parameters
    ----------
    lift
        Relative: 0.05 is +5 %.
    scale
        On which the test is made. For a rise the absolute test finds more than the relative one:
        dividing by the control's mean adds its noise times (1 + lift)². The relative figure errs on
        the safe side: from 5 % to 5.5 % with 31,234 per arm it says 76 %, simulated it is 78 %.
    treatment_variance
        The control's if None (as GrowthBook's calculator has it).

    Returns
    -------
    float
        At least alpha up to rounding, at most 1.

    Examples
    --------
    >>> round(power_of(Baseline.of_rate(0.1), 0.05, n_control=1500, n_treatment=1500), 4)
    0.073
    """
    require_share("alpha", alpha)
    require_positive("n_control", n_control)
    require_positive("n_treatment", n_treatment)
    after = baseline.variance if treatment_variance is None else treatment_variance
    require_positive("treatment variance", after)
    mean = baseline.mean
    if scale == "relative":
        variance = lift_variance(
            mean, baseline.variance, n_control, mean * (1 + lift), after, n_treatment
        )
        effect = lift
    else:
        variance = difference_variance(baseline.variance, n_control, after, n_treatment)
        effect = lift * mean
    return power_at(effect, sqrt(variance), critical=normal_quantile(1 - alpha / 2))


def smallest_lift(
    baseline: Baseline,
    *,
    n_control: float,
    n_treatment: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | NotEnoughData:
    r"""The smallest relative lift that is found with the wanted power.

    Solves $\Delta = (z_{1-\alpha/2} + z_{power})\,\sigma(\Delta)$ with σ as in `power_of`: with
    $a = z^2 s^2/(n_T \mu^2)$ and $b = z^2 s^2/(n_C \mu^2)$,
    $\Delta = (b + \sqrt{b^2 + (1-b)(a+b)}) / (1 - b)$.

    Returns
    -------
    float | NotEnoughData
        Positive. Nothing if b ≥ 1: with so few shoppers no lift, however large, is found reliably.

    Examples
    --------
    >>> round(smallest_lift(Baseline.of_rate(0.1), n_control=1500, n_treatment=1500), 5)
    0.36767
    """
    z = _z_sum(alpha, power)
    require_positive("n_control", n_control)
    require_positive("n_treatment", n_treatment)
    unit = z * z * baseline.variance / baseline.mean**2
    a, b = unit / n_treatment, unit / n_control
    if b >= 1:
        words = f"{n_control:.0f} shoppers in the control arm can't show any lift; {ceil(unit)} can"
        return NotEnoughData(Reason.OUT_OF_REACH, words)
    return (b + sqrt(b * b + (1 - b) * (a + b))) / (1 - b)


def shoppers_for_lift(
    baseline: Baseline,
    lift: float,
    *,
    weights: tuple[float, float] = (0.5, 0.5),
    alpha: float = 0.05,
    power: float = 0.8,
) -> tuple[int, int]:
    r"""Shoppers (control, treatment) with which a relative lift is found.

    The inverse of `smallest_lift`:
    $N = (z_{1-\alpha/2} + z_{power})^2 (s^2/\mu^2) (1/w_T + (1+\Delta)^2/w_C) / \Delta^2$.

    Parameters
    ----------
    lift
        Relative, not 0; a fall of 5 % is -0.05.
    weights
        Shares of control and treatment, in any unit.

    Examples
    --------
    >>> shoppers_for_lift(Baseline.of_rate(0.05), 0.1)
    (32958, 32958)
    """
    z = _z_sum(alpha, power)
    require_finite("lift", lift)
    if lift == 0:
        raise InvalidInputError("a lift of 0 can't be found with any number of shoppers")
    for weight in weights:
        require_positive("weight", weight)
    control, treatment = (weight / sum(weights) for weight in weights)
    spread = baseline.variance / baseline.mean**2
    total = z * z * spread * (1 / treatment + (1 + lift) ** 2 / control) / lift**2
    return ceil(total * control), ceil(total * treatment)


def shoppers_for_rates(
    rate: float, difference: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    r"""Shoppers per arm with which a change of a share is found by a test of absolute shares.

    $((z_{1-\alpha/2}\sqrt{2p(1-p)} + z_{power}\sqrt{p(1-p) + (p+\delta)(1-p-\delta)})/\delta)^2$.

    Parameters
    ----------
    rate
        p, 0 < p < 1.
    difference
        δ in absolute terms, 0 < p + δ < 1, not 0.

    Returns
    -------
    int
        Rounded to the nearest, as E. Miller's calculator does.

    References
    ----------
    E. Miller, Sample size calculator, evanmiller.org/ab-testing.

    Examples
    --------
    >>> shoppers_for_rates(0.2, 0.05)
    1030
    """
    require_share("rate", rate)
    require_share("rate + difference", rate + difference)
    if difference == 0:
        raise InvalidInputError("a difference of 0 can't be found with any number of shoppers")
    _z_sum(alpha, power)
    before = rate * (1 - rate)
    after = (rate + difference) * (1 - rate - difference)
    wanted = normal_quantile(1 - alpha / 2) * sqrt(2 * before)
    return round(((wanted + normal_quantile(power) * sqrt(before + after)) / difference) ** 2)


def shoppers_for_difference(
    variance: float, difference: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    r"""Shoppers per arm with which a difference of means is found: $2 s^2 z^2/\delta^2$.

    Parameters
    ----------
    variance
        Per shopper, the same in both arms.
    difference
        In the metric's unit, not 0.

    References
    ----------
    J. Cohen, Statistical power analysis for the behavioral sciences, 1988, 2.4.

    Examples
    --------
    >>> 2 * shoppers_for_difference(100.0, 0.3, power=0.85)
    39904
    """
    require_positive("variance", variance)
    require_finite("difference", difference)
    if difference == 0:
        raise InvalidInputError("a difference of 0 can't be found with any number of shoppers")
    return ceil(2 * variance * (_z_sum(alpha, power) / difference) ** 2)


def shoppers_for_effect_size(size: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    r"""Shoppers per arm for Student's t test of two equal arms, by the noncentral t distribution.

    Smallest n with $P(|T_{2n-2,\,d\sqrt{n/2}}| > t_{1-\alpha/2,2n-2}) \ge power$, by bisection.

    Parameters
    ----------
    size
        Cohen's d: the difference in standard deviations, above 0.

    Returns
    -------
    float
        Not rounded; round up. Matters below a hundred shoppers, where the normal is optimistic.

    Examples
    --------
    >>> round(shoppers_for_effect_size(0.5), 2)
    63.77
    """
    require_positive("size", size)
    normal = 2 * (_z_sum(alpha, power) / size) ** 2

    def found(n: float) -> float:
        degrees, shift = 2 * n - 2, size * sqrt(n / 2)
        critical = t_quantile(1 - alpha / 2, degrees)
        below = t_noncentral_cdf(-critical, degrees, shift)
        return 1 - t_noncentral_cdf(critical, degrees, shift) + below

    low, high = 1.01, normal + 10
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return high


def _z_sum(alpha: float, power: float) -> float:
    require_share("alpha", alpha)
    require_share("power", power)
    if power <= alpha:
        raise InvalidInputError(f"power {power!r} isn't above alpha {alpha!r}")
    return normal_quantile(1 - alpha / 2) + normal_quantile(power)
