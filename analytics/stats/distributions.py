"""The distributions that the statistics stand on, one number at a time.

Thin typed names over ``scipy.special``, which is what ``scipy.stats`` calls underneath, without its
import time, memory and checks at every call. Upper tails are computed as tails, never as
``1 - cdf``: a p-value of 10⁻⁴⁴ is not 0.
"""

from __future__ import annotations

from math import exp, pi, sqrt

from scipy import special


def normal_cdf(z: float) -> float:
    """Share of a standard normal distribution below `z`.

    Examples
    --------
    >>> normal_cdf(0.0), round(normal_cdf(1.959963984540054), 12)
    (0.5, 0.975)
    """
    return float(special.ndtr(z))


def normal_density(z: float) -> float:
    """Density of the standard normal distribution at `z`.

    Examples
    --------
    >>> round(normal_density(0.0), 6)
    0.398942
    """
    return exp(-z * z / 2) / sqrt(2 * pi)


def normal_quantile(share: float) -> float:
    """The z below which `share` of a standard normal distribution lies; 0 < share < 1.

    Examples
    --------
    >>> round(normal_quantile(0.975), 6)
    1.959964
    """
    return float(special.ndtri(share))


def t_upper(t: float, degrees_of_freedom: float) -> float:
    """Share of Student's t distribution above `t`.

    Examples
    --------
    >>> t_upper(0.0, 5.0), t_upper(40.0, 100.0) > 0
    (0.5, True)
    """
    return float(special.stdtr(degrees_of_freedom, -t))


def t_quantile(share: float, degrees_of_freedom: float) -> float:
    """The t below which `share` of Student's t distribution lies.

    Examples
    --------
    >>> round(t_quantile(0.975, 10.0), 6)
    2.228139
    """
    return float(special.stdtrit(degrees_of_freedom, share))


def t_noncentral_cdf(t: float, degrees_of_freedom: float, noncentrality: float) -> float:
    """Share of the noncentral t distribution below `t`.

    Examples
    --------
    >>> round(t_noncentral_cdf(0.0, 10.0, 0.0), 6)
    0.5
    """
    return float(special.nctdtr(degrees_of_freedom, noncentrality, t))


def chi_squared_upper(chi_squared: float, degrees_of_freedom: int) -> float:
    """Share of a χ² distribution above `chi_squared`.

    Examples
    --------
    >>> round(chi_squared_upper(3.841458820694124, 1), 6)
    0.05
    """
    return float(special.chdtrc(degrees_of_freedom, chi_squared))


def binomial_upper(successes: int, trials: int, share: float) -> float:
    """Probability of at least `successes` in `trials`.

    Examples
    --------
    >>> binomial_upper(0, 5, 0.5), binomial_upper(5, 5, 0.5)
    (1.0, 0.03125)
    """
    if successes <= 0:
        return 1.0
    return float(special.bdtrc(successes - 1, trials, share))
