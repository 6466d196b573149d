"""Bestsellers, what is taking off, and what was just looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.selection import best_positions, best_rows
from recommender.engine.types import NO_ROW, BoolArray, Candidates, Float32Array


def top_scored(
    scores: Float32Array,
    *,
    limit: int,
    eligible: BoolArray | None = None,
    ranking: npt.NDArray[np.int32] | None = None,
) -> Candidates:
    """The best of a score per item.

    Parameters
    ----------
    scores : float32[n_items]
    limit : int
    eligible : bool[n_items] or None
        Items that may be an answer.
    ranking : int32[r] or None
        Rows by descending score, made once by `rank_all`. With it a call walks down the ranking
        until it has enough, instead of looking at the whole catalog.

    Returns
    -------
    Candidates
        Items with a positive score, `because` -1.

    Examples
    --------
    >>> top_scored(np.array([0.0, 2.0, 5.0, 2.0], np.float32), limit=3).rows.tolist()
    [2, 1, 3]
    """
    if limit <= 0:
        return Candidates.empty()
    values = np.asarray(scores)
    if ranking is None:
        masked = values if eligible is None else np.where(eligible, values, np.float32(0))
        rows = best_positions(masked, limit).astype(np.int32)
        rows = rows[masked[rows] > 0]
    else:
        rows = _first_eligible(np.asarray(ranking), eligible, limit)
    return _without_reason(rows.astype(np.int32), values)


def rank_all(scores: Float32Array) -> npt.NDArray[np.int32]:
    """Rows of all items with a positive score, best first; ties by ascending row."""
    values = np.asarray(scores)
    rows = np.flatnonzero(values > 0)
    return rows[np.argsort(-values[rows], kind="stable")].astype(np.int32)


def top_in_group(
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
    scores: Float32Array,
    groups: npt.ArrayLike,
    *,
    limit: int,
    eligible: BoolArray | None = None,
) -> Candidates:
    """The best of one or several categories.

    Parameters
    ----------
    offsets, rows
        Leaders per category, as `offline.popularity.category_leaders` makes them.
    scores : float32[n_items]
        The same scores that the leaders were made from.
    groups : int or int32[g]
        Category codes; unknown ones are skipped.
    limit : int
    eligible : bool[n_items] or None

    Returns
    -------
    Candidates
        `because` is -1. Empty if no category is known.

    Examples
    --------
    >>> top_in_group(np.array([0, 2, 3]), np.array([4, 1, 0], np.int32),
    ...              np.array([1, 2, 0, 0, 3], np.float32), 0, limit=1).rows.tolist()
    [4]
    """
    codes = np.atleast_1d(np.asarray(groups, dtype=np.int64))
    codes = codes[(codes >= 0) & (codes < len(offsets) - 1)]
    parts = [np.asarray(rows)[offsets[code] : offsets[code + 1]] for code in codes.tolist()]
    if not parts or limit <= 0:
        return Candidates.empty()
    found = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
    if eligible is not None:
        found = found[eligible[found]]
    values = np.asarray(scores)
    return _without_reason(found[best_rows(found, values[found], limit)], values)


def recently_viewed(
    rows: npt.ArrayLike, *, limit: int, eligible: BoolArray | None = None
) -> Candidates:
    """The items of a list of views, newest first, each once.

    Parameters
    ----------
    rows : int32[n]
        Views, oldest to newest; negative rows are skipped.

    Returns
    -------
    Candidates
        Scores are ``1 / position``; `because` is the item itself.

    Examples
    --------
    >>> recently_viewed([3, 7, 3, 5], limit=2).rows.tolist()
    [5, 3]
    """
    newest = np.asarray(rows, dtype=np.int64).reshape(-1)[::-1]
    allowed = newest[newest >= 0]
    if eligible is not None:
        allowed = allowed[allowed < len(eligible)]
        allowed = allowed[eligible[allowed]]
    kept = list(dict.fromkeys(allowed.tolist()))[: max(limit, 0)]
    found = np.array(kept, dtype=np.int32)
    scores = (1.0 / np.arange(1, len(found) + 1)).astype(np.float32)
    return Candidates(found, scores, found)


def _first_eligible(
    ranking: npt.NDArray[np.int32], eligible: BoolArray | None, limit: int
) -> npt.NDArray[np.int32]:
    """The first rows of a ranking that are allowed, looking no further than needed."""
    if eligible is None:
        return ranking[:limit]
    window = max(4 * limit, 256)
    kept: list[npt.NDArray[np.int32]] = []
    found = 0
    for start in range(0, len(ranking), window):
        part = ranking[start : start + window]
        part = part[eligible[part]]
        kept.append(part)
        found += len(part)
        if found >= limit:
            break
    return np.concatenate(kept)[:limit] if kept else ranking[:0]


def _without_reason(rows: npt.NDArray[np.int32], values: Float32Array) -> Candidates:
    return Candidates(rows, values[rows].astype(np.float32), np.full(len(rows), NO_ROW, np.int32))
