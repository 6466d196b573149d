"""How sure a mean over queries is: percentile bootstrap, the queries being drawn again.

A metric is a ratio of two sums over queries: of per-query values over the number of queries, of
slots, or of squared errors over ratings. So that a console can show hundreds of intervals at once,
every draw is one vector of counts (how often each query was drawn, a multinomial), and all metrics
of a method are one product with it: O(draws · n · m). The same seed and the same n draw the same
queries for every method, so that the intervals of two methods shake alike.

Coverage and Gini are no sums: a resample has only 63 % of the distinct queries, so it covers less
than the whole did, and a percentile interval would lie below the estimate. For them the *spread* of
the resamples is taken, and laid around the estimate.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.results import Estimate
from recommender.engine.types import Float64Array, Int32Array, Int64Array

DRAWS = 500
SET_DRAWS = 100
LEVELS = (2.5, 97.5)
HALF_WIDTH = 1.959964
"""Standard errors on each side that hold 95 % of a normal."""


def resamples(n: int, *, draws: int, seed: int) -> Iterator[Int64Array]:
    """How often each of n queries is drawn, ``draws`` times; each sums to n.

    Examples
    --------
    >>> [int(counts.sum()) for counts in resamples(5, draws=3, seed=0)]
    [5, 5, 5]
    """
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(n, size=n), minlength=n)


def ratio_estimates(
    numerators: Mapping[str, Float64Array],
    denominators: Mapping[str, Float64Array] | None = None,
    *,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Estimate]:
    """Sums of numerators over sums of denominators, with their 95 % intervals.

    Parameters
    ----------
    numerators : dict of float64[n]
        One value per query; NaN where the query has none.
    denominators : dict of float64[n] or None
        What a name lacks here is a plain mean over the queries that have a value.
    seed : int
    draws : int >= 1

    Returns
    -------
    dict of Estimate
        Without the names that no query has a value of.

    Raises
    ------
    InvalidInputError
        If the arrays differ in length.

    Examples
    --------
    >>> ratio_estimates({"hr": np.array([1.0, 1.0])}, seed=0)
    {'hr': Estimate(value=1.0, low=1.0, high=1.0)}
    """
    lengths = {len(values) for values in numerators.values()}
    if len(lengths) > 1:
        raise InvalidInputError(f"the metrics are of different numbers of queries: {lengths}")
    tops: list[Float64Array] = []
    bottoms: list[Float64Array] = []
    names: list[str] = []
    for name, values in numerators.items():
        there = np.isfinite(values)
        weights = (denominators or {}).get(name, np.ones(len(values)))
        if not (weights[there] > 0).any():
            continue
        names.append(name)
        tops.append(np.where(there, values, 0.0))
        bottoms.append(np.where(there, weights, 0.0))
    if not names:
        return {}
    both = np.stack([*tops, *bottoms], axis=1)
    whole = both.sum(axis=0)
    drawn = np.array([counts @ both for counts in resamples(len(both), draws=draws, seed=seed)])
    m = len(names)
    values = whole[:m] / whole[m:]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = drawn[:, :m] / drawn[:, m:]
    low, high = np.nanpercentile(ratios, LEVELS, axis=0)
    return {
        name: Estimate(float(values[i]), float(low[i]), float(high[i]))
        for i, name in enumerate(names)
    }


def square_root(estimate: Estimate) -> Estimate:
    """Of a mean square the root, of its interval too: the root keeps the order of the draws.

    Examples
    --------
    >>> square_root(Estimate(4.0, 1.0, 9.0))
    Estimate(value=2.0, low=1.0, high=3.0)
    """
    return Estimate(estimate.value**0.5, estimate.low**0.5, estimate.high**0.5)


def set_estimate(
    rows: Int32Array,
    measure: Callable[[Int32Array], float],
    *,
    seed: int,
    draws: int = SET_DRAWS,
) -> Estimate:
    """A measure of all lists together, of which each draw takes other lists.

    Parameters
    ----------
    rows : int32[n, k]
        Lists, one per query.
    measure : function of int32[n, k] to a number in 0..1
    seed : int
    draws : int >= 2

    Returns
    -------
    Estimate
        ``value ± 1.96`` standard deviations of the draws, within 0..1; see the module for why.
    """
    n = len(rows)
    rng = np.random.default_rng(seed)
    drawn = [measure(rows[rng.integers(n, size=n)]) for _ in range(draws)]
    value, half = measure(rows), HALF_WIDTH * float(np.std(drawn, ddof=1))
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))
