"""Shares, with what they are shares of."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# The 97.5 % quantile of the standard normal distribution: a two-sided 95 % interval.
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of counted things.

    Attributes
    ----------
    numerator, denominator
        0 ≤ numerator; the numerator of a ratio such as clicks per view may exceed the denominator.

    Examples
    --------
    >>> Rate(3, 4).value, Rate(0, 0).value
    (0.75, None)
    """

    numerator: int
    denominator: int

    @property
    def value(self) -> float | None:
        """The share; None (not zero) when there was nothing to take a share of."""
        return self.numerator / self.denominator if self.denominator else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """`wilson_interval` of the share; None without a denominator or above 1."""
        if not self.denominator or self.numerator > self.denominator:
            return None
        return wilson_interval(self.numerator, self.denominator)


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    r"""The range in which the share behind a count probably lies.

    Wilson's score interval: the values p for which the observed share is not surprising,
    $(\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}) / (1 + z^2/n)$. Unlike the textbook
    interval it stays within 0 and 1 and is honest for 0 successes.

    Parameters
    ----------
    successes, trials
        0 ≤ successes ≤ trials, trials ≥ 1.
    z
        Quantile of the standard normal distribution.

    Returns
    -------
    (float, float)
        Lower and upper bound, 0 ≤ lower ≤ share ≤ upper ≤ 1.

    Raises
    ------
    ValueError
        Counts that are none.

    References
    ----------
    E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22, 1927.

    Examples
    --------
    >>> [round(bound, 4) for bound in wilson_interval(10, 100)]
    [0.0552, 0.1744]
    >>> wilson_interval(0, 10)[0]
    0.0
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no share")
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At the ends the bound is exactly 0 or 1; the arithmetic would leave dust.
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == trials else (middle + spread) / scale
    return low, high
