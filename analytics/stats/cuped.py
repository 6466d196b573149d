"""CUPED: take out what was known about the shoppers before the experiment.

A shopper who bought a lot before buys a lot after. Subtracting θ times what she did in the 14 days
before her first exposure leaves the effect as it is (both arms had the same past, in expectation)
and removes the part of the spread that the past explains: the same answer from fewer shoppers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from analytics.stats.answers import NotEnoughData, Reason, require_count, require_finite
from analytics.stats.effects import Effect, Scale, missing_for_effect, welch_degrees
from analytics.stats.summaries import MeanSums, covariance


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Sums of a metric y and of its past x, per shopper.

    Attributes
    ----------
    n : shoppers, ≥ 0, also those without a past (their x is 0).
    total, squares : Σy, Σy².
    past_total, past_squares : Σx, Σx²; x must end before the shopper's first exposure.
    product : Σxy.

    Examples
    --------
    >>> PairedSums(3, 6.0, 14.0, 3.0, 5.0, 8.0).covariance
    1.0
    """

    n: int
    total: float
    squares: float
    past_total: float
    past_squares: float
    product: float

    def __post_init__(self) -> None:
        require_count("n", self.n)
        for name in ("total", "squares", "past_total", "past_squares", "product"):
            require_finite(name, getattr(self, name))

    @property
    def now(self) -> MeanSums:
        """The metric alone."""
        return MeanSums(self.n, self.total, self.squares)

    @property
    def past(self) -> MeanSums:
        """Its past alone."""
        return MeanSums(self.n, self.past_total, self.past_squares)

    @property
    def covariance(self) -> float:
        """cov(x, y) with n - 1."""
        return covariance(self.n, self.total, self.past_total, self.product)

    def __add__(self, other: PairedSums) -> PairedSums:
        return PairedSums(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            self.past_total + other.past_total,
            self.past_squares + other.past_squares,
            self.product + other.product,
        )


@dataclass(frozen=True, slots=True)
class Adjusted:
    """An effect with the past taken out.

    Attributes
    ----------
    effect
        Its two means are the unadjusted ones: people compare them with other reports.
    theta
        How much of the past was subtracted; 0 if the past says nothing (then it is Welch's effect).
    variance_removed
        Share of the variance of the difference that is gone, at most 1; as good as
        1 / (1 - share) times the shoppers. Below 0 in the rare case that one θ fits neither arm.
    """

    effect: Effect
    theta: float
    variance_removed: float


def theta_of(control: PairedSums, treatment: PairedSums) -> float:
    r"""How much of the past to subtract.

    $\theta = \mathrm{cov}(Y, X) / \mathrm{var}(X)$ over both arms together (their sums added): one
    θ for both, or the adjustment itself would be an effect. 0 if either has no spread.

    Examples
    --------
    >>> control = PairedSums(3001, 300, 600, 210, 415, -20)
    >>> round(theta_of(control, PairedSums(3000, 222, 555, 120, 405, -10)), 6)
    -0.073212
    """
    both = control + treatment
    if both.now.variance <= 0 or both.past.variance <= 0:
        return 0.0
    return both.covariance / both.past.variance


def measure_adjusted(
    control: PairedSums,
    treatment: PairedSums,
    *,
    scale: Scale = "relative",
    theta: float | None = None,
) -> Adjusted | NotEnoughData:
    r"""The effect on a mean, with the past taken out.

    $\bar Y^{adj} = \bar Y - \theta \bar X$ and $s^2_{adj} = s^2_Y + \theta^2 s^2_X - 2\theta\,cov$.
    The relative lift divides by the **unadjusted** control mean; its variance is the delta method's
    for $(\bar Y_T - \theta \bar X_T - \bar Y_C + \theta \bar X_C)/|\bar Y_C|$:
    $s^2_{adj,T}/(n_T \bar Y_C^2) + [s^2_{Y,C}\bar Y_T^2/\bar Y_C^2 - 2\theta c_C \bar Y_T/\bar Y_C
    + \theta^2 s^2_{X,C}]/(n_C \bar Y_C^2)$.

    Parameters
    ----------
    theta
        `theta_of` both arms if None. 0 gives Welch's effect.

    References
    ----------
    A. Deng, Y. Xu, R. Kohavi, T. Walker, Improving the sensitivity of online controlled experiments
    by utilizing pre-experiment data, WSDM 2013; relative variance as in GrowthBook's gbstats.

    Examples
    --------
    >>> adjusted = measure_adjusted(
    ...     PairedSums(3001, 300, 600, 210, 415, -20), PairedSums(3000, 222, 555, 120, 405, -10)
    ... )
    >>> round(adjusted.effect.estimate, 9)
    -0.281707154
    """
    missing = missing_for_effect(control.now, treatment.now, scale=scale)
    if missing is not None:
        return missing
    if theta is None:
        theta = theta_of(control, treatment)
    require_finite("theta", theta)
    c_now, t_now = control.now, treatment.now
    c_variance, t_variance = (
        _adjusted_variance(control, theta),
        _adjusted_variance(treatment, theta),
    )
    if min(c_variance, t_variance) <= 0:
        return NotEnoughData(Reason.NO_SPREAD, "the past leaves no spread to judge by")
    difference = t_now.mean - c_now.mean - theta * (treatment.past.mean - control.past.mean)
    if scale == "relative":
        baseline = c_now.mean
        ratio = t_now.mean / baseline
        estimate = difference / abs(baseline)
        of_control = (
            c_now.variance * ratio**2
            - 2 * theta * control.covariance * ratio
            + theta**2 * control.past.variance
        )
        variance = (t_variance / treatment.n + of_control / control.n) / baseline**2
        plain = (t_now.variance / treatment.n + c_now.variance * ratio**2 / control.n) / baseline**2
    else:
        estimate = difference
        variance = c_variance / control.n + t_variance / treatment.n
        plain = c_now.variance / control.n + t_now.variance / treatment.n
    if variance <= 0:
        return NotEnoughData(Reason.NO_SPREAD, "the past leaves no spread to judge by")
    effect = Effect(
        scale,
        estimate,
        sqrt(variance),
        welch_degrees(c_variance, control.n, t_variance, treatment.n),
        control.n,
        treatment.n,
        c_now.mean,
        t_now.mean,
    )
    return Adjusted(effect, theta, 1 - variance / plain)


def _adjusted_variance(arm: PairedSums, theta: float) -> float:
    return arm.now.variance + theta**2 * arm.past.variance - 2 * theta * arm.covariance
