"""Sufficient sums of one arm of an experiment.

The unit of every sum is the **shopper**, because shoppers were randomised: `n` counts shoppers,
Σ and Σ² run over one number per shopper. The database adds; nothing here sees a single shopper.
Sums of two sets of shoppers are added with ``+`` (days, segments, batches).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from analytics.stats.answers import InvalidInputError, require_count, require_finite


def spread(n: int, total: float, squares: float) -> float:
    r"""Sample variance from sums.

    $s^2 = (\sum y^2 - (\sum y)^2/n) / (n-1)$; 0 for fewer than two shoppers.

    The subtraction cancels when the mean is large against the spread: with float64 and a mean
    10⁴ times the standard deviation eight digits remain, which is enough for money and counts.
    Sums that no numbers can have (Σy² below (Σy)²/n) come out negative, and every test answers
    them with *not enough data*: it can't tell a rounding error from a mistake in the sums.

    Examples
    --------
    >>> spread(3, 6.0, 14.0)
    1.0
    """
    if n < 2:
        return 0.0
    return (squares - total * total / n) / (n - 1)


def covariance(n: int, total_a: float, total_b: float, product: float) -> float:
    r"""Sample covariance from sums: $(\sum ab - \sum a \sum b / n) / (n-1)$; 0 for n < 2.

    Examples
    --------
    >>> covariance(3, 6.0, 12.0, 28.0)
    2.0
    """
    if n < 2:
        return 0.0
    return (product - total_a * total_b / n) / (n - 1)


@dataclass(frozen=True, slots=True)
class MeanSums:
    """Sums of one number per shopper, such as revenue.

    Attributes
    ----------
    n : shoppers, ≥ 0.
    total : Σy, in the unit of y.
    squares : Σy², in that unit squared.

    Raises
    ------
    InvalidInputError
        Sums that no shoppers can have.

    Examples
    --------
    >>> arm = MeanSums(n=3, total=6.0, squares=14.0)
    >>> arm.mean, arm.variance
    (2.0, 1.0)
    >>> arm + arm
    MeanSums(n=6, total=12.0, squares=28.0)
    """

    n: int
    total: float
    squares: float

    def __post_init__(self) -> None:
        require_count("n", self.n)
        require_finite("total", self.total)
        require_finite("squares", self.squares)
        if self.n == 0 and (self.total or self.squares):
            raise InvalidInputError(f"no shoppers, but a total of {self.total}, {self.squares}")

    @property
    def mean(self) -> float:
        """ȳ = Σy/n; 0 without shoppers, which every test refuses before it looks."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """s² with n - 1."""
        return spread(self.n, self.total, self.squares)

    def __add__(self, other: MeanSums) -> MeanSums:
        return MeanSums(self.n + other.n, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many shoppers did it at least once.

    Attributes
    ----------
    n : shoppers, ≥ 0.
    successes : 0 ≤ successes ≤ n.

    Raises
    ------
    InvalidInputError
        Counts that are none.

    Examples
    --------
    >>> Proportion(n=10, successes=2).variance
    0.16000000000000003
    """

    n: int
    successes: int

    def __post_init__(self) -> None:
        require_count("n", self.n)
        if not 0 <= self.successes <= self.n:
            raise InvalidInputError(f"{self.successes} of {self.n} shoppers")

    @property
    def mean(self) -> float:
        """p = successes / n; 0 without shoppers."""
        return self.successes / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """p(1 - p): the maximum likelihood form, without n - 1, as GrowthBook has it."""
        return self.mean * (1 - self.mean)

    @property
    def sums(self) -> MeanSums:
        """The same as sums of zeros and ones."""
        return MeanSums(self.n, float(self.successes), float(self.successes))

    def __add__(self, other: Proportion) -> Proportion:
        return Proportion(self.n + other.n, self.successes + other.successes)


@dataclass(frozen=True, slots=True)
class RatioSums:
    r"""Sums of two numbers per shopper whose ratio is the metric: clicks per impression, €/order.

    Shoppers, not impressions, were randomised, and a shopper's impressions resemble each other;
    so the variance of the ratio R = Σm/Σd comes from the delta method over shoppers:
    $s^2_R = s^2_m/\bar d^2 + s^2_d \bar m^2/\bar d^4 - 2\,\mathrm{cov}(m,d)\,\bar m/\bar d^3$.

    Attributes
    ----------
    n : shoppers, ≥ 0.
    numerator, numerator_squares : Σm, Σm².
    denominator, denominator_squares : Σd, Σd².
    product : Σmd.

    References
    ----------
    A. Deng, U. Knoblich, J. Lu, Applying the delta method in metric analytics, KDD 2018, section 3.

    Examples
    --------
    >>> clicks = RatioSums(2, 3.0, 5.0, 10.0, 52.0, 16.0)  # 1 of 4 impressions, 2 of 6
    >>> clicks.mean, round(clicks.variance, 6)
    (0.3, 0.0032)
    """

    n: int
    numerator: float
    numerator_squares: float
    denominator: float
    denominator_squares: float
    product: float

    def __post_init__(self) -> None:
        require_count("n", self.n)
        for name in ("numerator", "numerator_squares", "denominator", "product"):
            require_finite(name, getattr(self, name))
        require_finite("denominator_squares", self.denominator_squares)

    @property
    def mean(self) -> float:
        """R = Σm/Σd; 0 without a denominator, which every test refuses before it looks."""
        return self.numerator / self.denominator if self.denominator else 0.0

    @property
    def variance(self) -> float:
        """s²_R, of which s²_R / n is the variance of R."""
        if self.n < 2 or not self.denominator:
            return 0.0
        m = self.numerator / self.n
        d = self.denominator / self.n
        together = covariance(self.n, self.numerator, self.denominator, self.product)
        return (
            spread(self.n, self.numerator, self.numerator_squares) / d**2
            + spread(self.n, self.denominator, self.denominator_squares) * m**2 / d**4
            - 2 * together * m / d**3
        )

    def __add__(self, other: RatioSums) -> RatioSums:
        return RatioSums(
            self.n + other.n,
            self.numerator + other.numerator,
            self.numerator_squares + other.numerator_squares,
            self.denominator + other.denominator,
            self.denominator_squares + other.denominator_squares,
            self.product + other.product,
        )


Sums: TypeAlias = MeanSums | Proportion | RatioSums
