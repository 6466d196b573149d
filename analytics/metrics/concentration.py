"""How the catalog's share of attention is spread over its products."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def gini(counts: Array) -> float:
    r"""Gini index of how often each product was shown: $\sum (2i - n - 1) x_{(i)} / (n \sum x)$.

    Parameters
    ----------
    counts : n ≥ 1 numbers ≥ 0
        Of **all** products of the catalog: those never shown are the point of it.

    Returns
    -------
    float
        0 (all alike) to (n - 1)/n (one takes everything); NaN if nothing was shown.

    References
    ----------
    D. Fleder, K. Hosanagar, Blockbuster culture's next rise or fall, Management Science 55, 2009.

    Notes
    -----
    Cost: one sort of the products shown; zeros only shift the ranks.

    Examples
    --------
    >>> round(gini(np.array([1, 2, 3, 4, 5])), 5), gini(np.array([0, 0, 0, 10]))
    (0.26667, 0.75)
    """
    n = len(counts)
    shown = np.sort(counts[counts > 0]).astype(np.float64)
    total = shown.sum()
    if not total:
        return float("nan")
    rank = np.arange(n - len(shown) + 1, n + 1)
    return float(((2 * rank - n - 1) * shown).sum() / (n * total))


def catalog_coverage(counts: Array) -> float:
    """Share of the products that were shown at all; NaN without a catalog.

    Examples
    --------
    >>> catalog_coverage(np.array([1, 2, 1, 0, 2]))
    0.8
    """
    return float((counts > 0).mean()) if len(counts) else float("nan")


def distributional_coverage(counts: Array) -> float:
    r"""Entropy of what was shown: $-\sum p \log_2 p$ bits; NaN if nothing was.

    2 to its power is how many products, all shown alike, would be as varied.

    Examples
    --------
    >>> round(distributional_coverage(np.array([1, 2, 1, 0, 2])), 4)
    1.9183
    """
    shown = counts[counts > 0]
    if not len(shown):
        return float("nan")
    share = shown / shown.sum()
    return float(-(share * np.log2(share)).sum())
