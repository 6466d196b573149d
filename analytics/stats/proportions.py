"""Two shares side by side: the pooled z test and Newcombe's interval.

For counts of shoppers where nothing else is known, such as the funnel. Verdicts use
`analytics.stats.effects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from analytics.metrics.rates import Z_95, wilson_interval
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.distributions import normal_cdf
from analytics.stats.summaries import Proportion


@dataclass(frozen=True, slots=True)
class ZTest:
    """z and the two-sided p-value."""

    z: float
    p_value: float


def pooled_z_test(control: Proportion, treatment: Proportion) -> ZTest | NotEnoughData:
    r"""Test of equal shares.

    $z = (p_T - p_C) / \sqrt{p(1-p)(1/n_C + 1/n_T)}$ with p of both arms together.

    References
    ----------
    J. L. Fleiss, B. Levin, M. C. Paik, Statistical methods for rates and proportions, 2003, 3.1.

    Examples
    --------
    >>> test = pooled_z_test(Proportion(10000, 500), Proportion(10000, 550))
    >>> round(test.z, 6), round(test.p_value, 6)
    (1.585206, 0.11292)
    """
    if not (control.n and treatment.n):
        return NotEnoughData(Reason.NO_SHOPPERS, "an arm has no shopper yet")
    both = control + treatment
    if both.variance == 0:
        return NotEnoughData(Reason.NO_SPREAD, f"all {both.n} shoppers did the same")
    z = (treatment.mean - control.mean) / sqrt(both.variance * (1 / control.n + 1 / treatment.n))
    return ZTest(z, 2 * normal_cdf(-abs(z)))


def newcombe_interval(
    first: Proportion, second: Proportion, *, z: float = Z_95
) -> tuple[float, float] | NotEnoughData:
    r"""Interval of the difference of two shares, first - second, within -1 … 1.

    From the Wilson intervals (l, u) of both:
    $d - \sqrt{(p_1-l_1)^2 + (u_2-p_2)^2}$ and $d + \sqrt{(u_1-p_1)^2 + (p_2-l_2)^2}$.

    References
    ----------
    R. G. Newcombe, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17, 1998, method 10.

    Examples
    --------
    >>> low, high = newcombe_interval(Proportion(70, 56), Proportion(80, 48))
    >>> round(low, 6), round(high, 6)
    (0.052431, 0.333873)
    """
    if not (first.n and second.n):
        return NotEnoughData(Reason.NO_SHOPPERS, "an arm has no shopper yet")
    low_1, high_1 = wilson_interval(first.successes, first.n, z)
    low_2, high_2 = wilson_interval(second.successes, second.n, z)
    difference = first.mean - second.mean
    return (
        difference - sqrt((first.mean - low_1) ** 2 + (high_2 - second.mean) ** 2),
        difference + sqrt((high_1 - first.mean) ** 2 + (second.mean - low_2) ** 2),
    )
