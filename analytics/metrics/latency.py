"""Response times as counts in bins that grow by a twentieth: days and processes can be added up."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]

_FIRST_US = 20.0
_GROWTH = 1.05
N_BINS = 280
# Bin i holds what is below edge i and not below edge i - 1; the last one everything from some 16 s.
LATENCY_EDGES_US = _FIRST_US * _GROWTH ** np.arange(N_BINS - 1)
_Z_95 = 1.959963984540054


def latency_bins(took_us: npt.NDArray[np.int64]) -> Int64Array:
    """The bin of each time, 0 … N_BINS - 1.

    Examples
    --------
    >>> latency_bins(np.array([5, 20, 21, 10**9])).tolist()
    [0, 1, 2, 279]
    """
    return np.searchsorted(LATENCY_EDGES_US, took_us, side="right")


def latency_counts(took_us: npt.NDArray[np.int64]) -> Int64Array:
    """How many times lie in each bin, int64[N_BINS]."""
    return np.bincount(latency_bins(took_us), minlength=N_BINS).astype(np.int64)


def latency_quantile(counts: Int64Array, q: float) -> float | None:
    """The time in ms within which a share q of the answers were computed; None without answers.

    Within its bin as if times lay evenly on a logarithmic scale: at most 5 % off.

    Examples
    --------
    >>> counts = latency_counts(np.full(1000, 2_000))
    >>> 1.9 < latency_quantile(counts, 0.95) < 2.1
    True
    """
    n = int(counts.sum())
    return _at_rank(counts, q * n) if n else None


def latency_interval(counts: Int64Array, q: float, z: float = _Z_95) -> tuple[float, float] | None:
    r"""The interval of a quantile by order statistics: ranks $nq \pm z \sqrt{nq(1 - q)}$, in ms.

    No assumption on the distribution. None where the upper rank doesn't exist yet: for the 95th
    percentile below 77 answers.

    References
    ----------
    W. J. Conover, Practical nonparametric statistics, 3rd edition, section 3.2.
    """
    n = int(counts.sum())
    half = z * sqrt(n * q * (1 - q))
    low, high = n * q - half, n * q + half
    if not n or low < 0 or high > n:
        return None
    return _at_rank(counts, low), _at_rank(counts, high)


def _at_rank(counts: Int64Array, rank: float) -> float:
    below = np.cumsum(counts)
    # The first bin that reaches the rank.
    i = min(int(np.searchsorted(below, rank, side="left")), N_BINS - 1)
    start_us = LATENCY_EDGES_US[i - 1] if i else _FIRST_US / _GROWTH
    end_us = LATENCY_EDGES_US[i] if i < N_BINS - 1 else LATENCY_EDGES_US[-1] * _GROWTH
    before = int(below[i] - counts[i])
    within = (rank - before) / counts[i] if counts[i] else 1.0
    return exp(log(start_us) + within * (log(end_us) - log(start_us))) / 1000
