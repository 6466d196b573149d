"""How many different products shoppers were shown, with its interval: catalog coverage.

A count of distinct things can't be bootstrapped: a resample holds 63 % of the shoppers and sees
fewer products every time. It has a formula instead, from how many products were shown to exactly
one shopper, to two, to three.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason, require_share
from analytics.stats.distributions import normal_quantile
from analytics.stats.effects import Effect, lift_variance, relative_difference

Int64Array: TypeAlias = npt.NDArray[np.int64]

MIN_SHOPPERS = 100
# More shoppers are shown more products; a twentieth more adds a per cent or two.
LARGEST_DIFFERENCE_OF_SIZE = 0.05
# Terms of the alternating sum that are kept; later ones are noise around nothing.
_TERMS = 9
_DUST = 1e-12


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of the catalog that so many shoppers were shown.

    Attributes
    ----------
    n_distinct, n_products
        Shown to anybody; in the catalog.
    n_shoppers
        Who were shown anything.
    standard_error
        Of `n_distinct`, as another group of as many shoppers would vary it.
    """

    n_distinct: int
    n_products: int
    n_shoppers: int
    standard_error: float

    @property
    def share(self) -> float:
        """n_distinct / n_products."""
        return self.n_distinct / self.n_products

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of the share, within 0 … 1."""
        require_share("level", level)
        width = normal_quantile((1 + level) / 2) * self.standard_error / self.n_products
        return max(self.share - width, 0.0), min(self.share + width, 1.0)


def coverage_of(
    shoppers: Int64Array, products: Int64Array, *, n_products: int
) -> Coverage | NotEnoughData:
    r"""Catalog coverage of one arm.

    A product that λ shoppers are shown on average is missed with probability $e^{-\lambda}$, so the
    count varies with $\sum e^{-\lambda}(1 - e^{-\lambda})$: exactly the number of **new** products
    that as many shoppers again would be shown. Good and Toulmin estimate it without knowing any λ:
    $f_1 - f_2 + f_3 - \dots$ with $f_k$ the products shown to exactly k shoppers, smoothed by
    Efron and Thisted with P(B(9, ½) ≥ k); at least $\sum e^{-c}(1 - e^{-c})$ over the counts
    c. Products that come in bundles vary together: times the variance of "products that only I was
    shown" over shoppers, divided by its mean, if above 1.

    Parameters
    ----------
    shoppers, products : int64[m]
        Of every shown slot; numbered from 0, products below `n_products`; repeats count once.
    n_products
        In the catalog, ≥ 1.

    Returns
    -------
    Coverage | NotEnoughData
        No answer below 100 shoppers.

    Raises
    ------
    InvalidInputError
        Arrays of different lengths, numbers out of range.

    References
    ----------
    I. J. Good, G. H. Toulmin, The number of new species, and the increase in population coverage,
    when a sample is increased, Biometrika 43, 1956; B. Efron, R. Thisted, Estimating the number of
    unseen species, Biometrika 63, 1976.

    Notes
    -----
    Cost: one sort of m pairs. Simulated coverage of the 95 % interval: 92 … 98 %, from single
    products with Zipf popularity to whole lists shown together.

    Examples
    --------
    >>> coverage = coverage_of(np.arange(200), np.arange(200) % 50, n_products=80)
    >>> coverage.n_distinct, coverage.share
    (50, 0.625)
    """
    if len(shoppers) != len(products) or n_products < 1:
        raise InvalidInputError(
            f"{len(shoppers)} shoppers, {len(products)} products shown of {n_products}"
        )
    if len(products) and not (products.min() >= 0 and products.max() < n_products):
        raise InvalidInputError(f"products {products.min()} … {products.max()} of {n_products}")
    ids, rows = np.unique(shoppers, return_inverse=True)
    n = len(ids)
    if n < MIN_SHOPPERS:
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, f"{n} of {MIN_SHOPPERS} shoppers")
    # With counts it sorts; without, NumPy hashes, which takes ten times as long.
    pairs, _ = np.unique(rows.astype(np.int64) * n_products + products, return_counts=True)
    rows, shown = pairs // n_products, pairs % n_products
    counts = np.bincount(shown, minlength=n_products)
    once = np.bincount(rows[counts[shown] == 1], minlength=n)
    bundles = float(once.var(ddof=1) / once.mean()) if once.any() else 1.0
    variance = max(_unseen(counts), _plug_in(counts)) * max(bundles, 1.0)
    # A millionth of a product is what the exponentials leave when everything was shown to everybody.
    error = sqrt(variance) if variance > _DUST else 0.0
    return Coverage(int((counts > 0).sum()), n_products, n, error)


def coverage_effect(control: Coverage, treatment: Coverage) -> Effect | NotEnoughData:
    """The relative lift of catalog coverage, for guardrails.

    Returns
    -------
    Effect | NotEnoughData
        Nothing if the arms' sizes differ by more than 5 %: more shoppers are shown more products,
        whatever the strategy. Give this function equally many shoppers of each arm.

    Examples
    --------
    >>> effect = coverage_effect(Coverage(500, 2000, 5000, 9.0), Coverage(550, 2000, 5000, 9.0))
    >>> round(effect.estimate, 6), round(effect.standard_error, 4)
    (0.1, 0.0268)
    """
    small, large = sorted([control.n_shoppers, treatment.n_shoppers])
    if large > small * (1 + LARGEST_DIFFERENCE_OF_SIZE):
        words = f"{small} shoppers can't be compared with {large}: more are shown more products"
        return NotEnoughData(Reason.UNEQUAL_ARMS, words)
    if not (control.standard_error and treatment.standard_error):
        return NotEnoughData(Reason.NO_SPREAD, "every product was shown many times over")
    variance = lift_variance(
        control.n_distinct,
        control.standard_error**2,
        1,
        treatment.n_distinct,
        treatment.standard_error**2,
        1,
    )
    return Effect(
        "relative",
        relative_difference(control.n_distinct, treatment.n_distinct),
        sqrt(variance),
        float(small + large - 2),
        control.n_shoppers,
        treatment.n_shoppers,
        control.share,
        treatment.share,
    )


def _unseen(counts: Int64Array) -> float:
    """Products that as many shoppers again would add."""
    k = np.arange(1, _TERMS + 1)
    exactly = np.bincount(counts[counts > 0], minlength=_TERMS + 1)[1 : _TERMS + 1]
    kept = special.bdtrc(k - 1.0, _TERMS, 0.5)
    return float(((-1.0) ** (k + 1) * kept * exactly).sum())


def _plug_in(counts: Int64Array) -> float:
    missed = np.exp(-counts[counts > 0].astype(np.float64))
    return float((missed * (1 - missed)).sum())
