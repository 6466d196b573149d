"""CUPED for ratio metrics, such as clicks per impression: take out the ratio of the time before.

Four sums per shopper instead of two, so the delta method runs over four means.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason, require_count
from analytics.stats.cuped import Adjusted
from analytics.stats.effects import Effect, missing_for_effect, welch_degrees
from analytics.stats.summaries import RatioSums, covariance, spread

Float64Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedRatioSums:
    """Sums of a ratio metric and of its past.

    Attributes
    ----------
    n : shoppers, ≥ 0.
    totals : (4,) sums of numerator, denominator, numerator before, denominator before.
    products : (4, 4) sums of their products, in the same order; symmetric, squares on the diagonal.

    Raises
    ------
    InvalidInputError
        Another shape, or products that aren't symmetric.

    Examples
    --------
    >>> products = ((5.0, 16.0, 2.0, 9.0), (16.0, 52.0, 6.0, 28.0))
    >>> products += ((2.0, 6.0, 1.0, 4.0), (9.0, 28.0, 4.0, 20.0))
    >>> PairedRatioSums(2, (3.0, 10.0, 1.0, 6.0), products).now.mean
    0.3
    """

    n: int
    totals: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        require_count("n", self.n)
        shape = (len(self.totals), tuple(len(row) for row in self.products))
        if shape != (4, (4, 4, 4, 4)):
            raise InvalidInputError(f"sums of shape {shape}, not 4 and 4 × 4")
        for i in range(4):
            for j in range(i):
                if self.products[i][j] != self.products[j][i]:
                    raise InvalidInputError(
                        f"Σ of products {i}, {j} is {self.products[i][j]} and {self.products[j][i]}"
                    )

    @property
    def now(self) -> RatioSums:
        """The metric alone."""
        return RatioSums(
            self.n,
            self.totals[0],
            self.products[0][0],
            self.totals[1],
            self.products[1][1],
            self.products[0][1],
        )

    @property
    def means(self) -> Float64Array:
        """(4,) per shopper."""
        return np.array(self.totals) / self.n

    @property
    def covariances(self) -> Float64Array:
        """(4, 4) with n - 1."""
        rows = [
            [
                spread(self.n, self.totals[i], self.products[i][i])
                if i == j
                else covariance(self.n, self.totals[i], self.totals[j], self.products[i][j])
                for j in range(4)
            ]
            for i in range(4)
        ]
        return np.array(rows)


def measure_adjusted_ratio(
    control: PairedRatioSums, treatment: PairedRatioSums
) -> Adjusted | NotEnoughData:
    r"""The relative lift of a ratio metric, with the ratio of the past taken out.

    With $R = \bar m/\bar d$ now and $R'$ before, the estimate is
    $((R_T - \theta R'_T) - (R_C - \theta R'_C))/|R_C|$; its variance is
    $\nabla^T \Lambda \nabla / n$ of each arm, Λ the 4 × 4 covariances of (m, d, m', d').
    $\theta = -(g_C + g_T)/(h_C + h_T)$ with g the covariance and h the variance of the two
    linearised ratios. Without a past denominator in both arms there is nothing to adjust with.

    References
    ----------
    Deng et al., WSDM 2013 and KDD 2018; the gradient as in GrowthBook's gbstats 0.9.
    """
    missing = missing_for_effect(control.now, treatment.now, scale="relative")
    if missing is not None:
        return missing
    if not (control.totals[3] and treatment.totals[3]):
        return NotEnoughData(Reason.NO_DENOMINATOR, "nothing to divide by in the time before")
    theta = _ratio_theta(control, treatment)
    baseline = control.now.mean
    gaps = [arm.now.mean - theta * arm.totals[2] / arm.totals[3] for arm in (control, treatment)]
    difference = gaps[1] - gaps[0]
    c_gradient, t_gradient = _gradient(control, theta), _gradient(treatment, theta)
    c_adjusted = float(c_gradient @ control.covariances @ c_gradient)
    t_adjusted = float(t_gradient @ treatment.covariances @ t_gradient)
    # The control's own ratio is also what is divided by.
    lift_gradient = -c_gradient
    lift_gradient[:2] *= 1 + difference / baseline
    variance = (
        t_adjusted / treatment.n
        + float(lift_gradient @ control.covariances @ lift_gradient) / control.n
    ) / baseline**2
    if min(c_adjusted, t_adjusted, variance) <= 0:
        return NotEnoughData(Reason.NO_SPREAD, "the past leaves no spread to judge by")
    effect = Effect(
        "relative",
        difference / abs(baseline),
        sqrt(variance),
        welch_degrees(c_adjusted, control.n, t_adjusted, treatment.n),
        control.n,
        treatment.n,
        baseline,
        treatment.now.mean,
    )
    ratio = treatment.now.mean / baseline
    plain = (
        treatment.now.variance / treatment.n + control.now.variance * ratio**2 / control.n
    ) / baseline**2
    return Adjusted(effect, theta, 1 - variance / plain)


def _gradient(arm: PairedRatioSums, theta: float) -> Float64Array:
    """(4,) derivatives of R - θR' by the four means."""
    m, d, m_before, d_before = arm.means
    return np.array([1 / d, -m / d**2, -theta / d_before, theta * m_before / d_before**2])


def _ratio_theta(control: PairedRatioSums, treatment: PairedRatioSums) -> float:
    together = before = 0.0
    for arm in (control, treatment):
        gradient, covariances = _gradient(arm, 1.0), arm.covariances
        together += float(gradient[2:] @ covariances[2:, :2] @ gradient[:2])
        before += float(gradient[2:] @ covariances[2:, 2:] @ gradient[2:])
    return -together / before if before > 0 else 0.0
