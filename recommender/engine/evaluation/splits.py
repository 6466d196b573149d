"""What a model may learn from, and what it is asked about."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import SECONDS_PER_DAY, BoolArray, Int64Array


def before_and_after(times_s: npt.ArrayLike, *, days: float) -> tuple[BoolArray, BoolArray, int]:
    """Cut a log so many days before its last entry.

    Parameters
    ----------
    times_s : int64[n]
    days : float > 0
        Of a log that is shorter than twice as long, the last fifth is cut off instead.

    Returns
    -------
    before, after : bool[n]
        An entry at the very time of the cut is after it.
    cut_s : int

    Raises
    ------
    EmptyInputError
        If there is no entry on one of the sides.

    Examples
    --------
    >>> before, after, cut_s = before_and_after([0, 50 * 86_400, 100 * 86_400], days=30)
    >>> before.tolist(), cut_s // 86_400
    ([True, True, False], 70)
    """
    times = np.asarray(times_s, np.int64)
    if not len(times):
        raise EmptyInputError("there is nothing to split")
    span = int(times.max() - times.min())
    length = min(days * SECONDS_PER_DAY, span / 5 if span < 2 * days * SECONDS_PER_DAY else np.inf)
    cut_s = int(times.max() - length)
    before = times < cut_s
    if before.all() or not before.any():
        raise EmptyInputError("all entries have the same time, so there is no before and after")
    return before, ~before, cut_s


def hold_out(group_rows: npt.ArrayLike, *, share: float, seed: int, at_least: int = 1) -> BoolArray:
    """A random share of the lines of every group.

    Parameters
    ----------
    group_rows : int[n]
    share : float in 0..1
        Of a group of m lines ``floor(share * m)`` are held out.
    seed : int
    at_least : int
        Groups of more than this many lines lose at least this many.

    Returns
    -------
    bool[n]

    Examples
    --------
    >>> hold_out([0, 0, 0, 0, 0, 1], share=.2, seed=0).sum()
    np.int64(1)
    """
    groups = np.asarray(group_rows, np.int64)
    if not len(groups):
        return np.zeros(0, np.bool_)
    order = np.lexsort((np.random.default_rng(seed).random(len(groups)), groups))
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(groups)) - starts[groups[order]]
    wanted = np.floor(share * sizes).astype(np.int64)
    wanted = np.where(sizes > at_least, np.maximum(wanted, at_least), 0)
    out = np.zeros(len(groups), np.bool_)
    out[order] = place < wanted[groups[order]]
    return out


def sample_positions(n: int, *, at_most: int, seed: int) -> Int64Array:
    """So many of n positions, ascending; all of them if there aren't more.

    Examples
    --------
    >>> sample_positions(3, at_most=5, seed=0).tolist()
    [0, 1, 2]
    """
    if n <= at_most:
        return np.arange(n, dtype=np.int64)
    chosen = np.random.default_rng(seed).choice(n, at_most, replace=False)
    return np.sort(chosen).astype(np.int64)
