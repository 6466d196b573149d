"""Choosing the best of many scores, with one rule for ties everywhere: the smaller row first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.types import Candidates, Float32Array, Int32Array, Int64Array

SHORT = 400
"""Up to here sorting everything is cheaper than first finding what is worth sorting."""
HEAPS = 4
"""Times the limit. More leave less to sort, and are more to look through themselves."""
LEAST_HEIGHT = 4
"""Below it heaps don't pay."""


def best_positions(scores: npt.NDArray[np.floating], limit: int) -> Int64Array:
    """Positions of the largest scores, descending; ties by ascending position.

    A bound leaves few scores to sort, so the cost is O(n + m log m) with m of the size of `limit`,
    instead of O(n log n), however many scores are the same.

    Parameters
    ----------
    scores : float[n]
        No NaN.
    limit : int
        Zero or less gives an empty answer.

    Returns
    -------
    int64[min(n, limit)]

    Examples
    --------
    >>> best_positions(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist()
    [1, 3, 2]
    """
    n = len(scores)
    if limit <= 0 or n == 0:
        return np.empty(0, np.int64)
    if limit >= n or n <= SHORT:
        return np.argsort(-scores, kind="stable")[:limit]
    bound = _bound(scores, limit)
    above = np.flatnonzero(scores > bound)
    found: Int64Array = above[np.argsort(-scores[above], kind="stable")[:limit]]
    if len(found) == limit:
        return found
    return np.concatenate([found, np.flatnonzero(scores == bound)[: limit - len(found)]])


def _bound(scores: npt.NDArray[np.floating], limit: int) -> float:
    """A number that at least `limit` scores reach, and hardly more exceed.

    The scores are dealt into a few times as many heaps: each of the `limit` heaps with the largest
    maxima holds one that reaches the smallest of them. A partition of the scores themselves
    would be exact, and takes a hundred times as long where most of them are the same, as those of
    products are that a history says nothing about.
    """
    n_heaps = HEAPS * limit
    height = len(scores) // n_heaps
    if height < LEAST_HEIGHT:
        # Negated: the largest are few, and the many that are the same lie behind them.
        return -float(np.partition(-scores, limit - 1)[limit - 1])
    maxima = scores[: height * n_heaps].reshape(height, n_heaps).max(axis=0)
    return float(np.sort(maxima)[n_heaps - limit])


def best_rows(
    rows: npt.NDArray[np.integer], scores: npt.NDArray[np.floating], limit: int
) -> Int64Array:
    """Positions of the largest scores, descending; ties by ascending `rows`, in whatever order.

    Examples
    --------
    >>> best_rows(np.array([9, 4, 6]), np.array([1.0, 1.0, 2.0]), 2).tolist()
    [2, 1]
    """
    n = len(scores)
    if limit <= 0 or n == 0:
        return np.empty(0, np.int64)
    if limit < n:
        bound = _bound(scores, limit)
        kept = np.flatnonzero(scores > bound)
        if len(kept) < limit:
            kept = np.flatnonzero(scores >= bound)
    else:
        kept = np.arange(n)
    order = np.lexsort((rows[kept], -scores[kept]))[:limit]
    found: Int64Array = kept[order]
    return found


def sum_by_row(
    rows: npt.NDArray[np.integer],
    values: npt.NDArray[np.floating],
    because: npt.NDArray[np.integer],
    *,
    limit: int,
) -> Candidates:
    """Add up contributions per item and keep the best positive sums.

    Parameters
    ----------
    rows : int[n]
        Item row of each contribution, not negative, any order.
    values : float[n]
    because : int[n]
        What each contribution started from; of an item's contributions the largest one is named,
        the first of equal ones.
    limit : int

    Returns
    -------
    Candidates
        Items whose sum is above 0.

    Notes
    -----
    One sort of the contributions, O(n log n), never anything as long as the catalog.

    Examples
    --------
    >>> found = sum_by_row(np.array([5, 2, 5]), np.array([1.0, 4.0, 2.0]), np.array([0, 1, 2]),
    ...                    limit=9)
    >>> found.rows.tolist(), found.scores.tolist(), found.because.tolist()
    ([2, 5], [4.0, 3.0], [1, 2])
    """
    if limit <= 0 or len(rows) == 0:
        return Candidates.empty()
    order = np.argsort(rows, kind="stable")
    grouped = rows[order]
    is_start = np.empty(len(grouped), np.bool_)
    is_start[0] = True
    np.not_equal(grouped[1:], grouped[:-1], out=is_start[1:])
    starts = np.flatnonzero(is_start)
    contributions = values[order]
    sums = np.add.reduceat(contributions, starts)
    # Groups ascend by row, so a position is as good a tie-breaker as the row itself.
    best = best_positions(sums, min(limit, len(sums)))
    best = best[sums[best] > 0]
    group_of = np.cumsum(is_start) - 1
    largest = np.flatnonzero(contributions == np.maximum.reduceat(contributions, starts)[group_of])
    first_largest = largest[np.searchsorted(largest, starts[best])]
    chosen: Int32Array = because[order[first_largest]].astype(np.int32)
    scores: Float32Array = sums[best].astype(np.float32)
    return Candidates(grouped[starts[best]].astype(np.int32), scores, chosen)


def ragged_positions(
    starts: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]
) -> Int64Array:
    """Positions of many slices, one after the other, without a loop.

    Examples
    --------
    >>> ragged_positions(np.array([10, 4]), np.array([2, 3])).tolist()
    [10, 11, 4, 5, 6]
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    shifts = starts - (ends - lengths)
    found: Int64Array = np.arange(total, dtype=np.int64) + np.repeat(shifts, lengths)
    return found
