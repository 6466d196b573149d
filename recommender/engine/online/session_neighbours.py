"""What did shoppers who did this just now do next? Session k-nearest-neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.selection import best_positions, ragged_positions, sum_by_row
from recommender.engine.types import SECONDS_PER_DAY, Candidates, Float32Array, SessionIndex

MAX_AGES = 64
"""Session and age share one sort key; 6 bits of it are the age."""


def session_neighbours(
    index: SessionIndex,
    session_rows: npt.ArrayLike,
    *,
    limit: int,
    k: int = 200,
    sample_size: int = 1000,
    position_decay: float = 0.8,
    step_decay: float = 0.7,
    idf_weight: float = 0.0,
    recency_half_life_days: float | None = None,
    now_s: int | None = None,
    max_session_items: int = 20,
    exclude_session: bool = False,
) -> Candidates:
    """Score items by the past sessions that resemble the one that is going on.

    1. Of the sessions that share an item with this one, the `sample_size` most recent are looked
       at.
    2. Their similarity is the sum over shared items of the item's position weight
       ``position_decay ** (number of distinct items since)``.
    3. The `k` most similar vote for their items with
       ``similarity * step_decay ** (distance to the newest shared item - 1)
       * recency * (1 + idf_weight * idf(item))``.

    Costs O(p log p) with p the postings of the session's items, whatever the size of the catalog.

    Parameters
    ----------
    index : SessionIndex
    session_rows : int32[n]
        Item rows, oldest to newest; a repeated item counts at its newest position, negative and
        unknown rows are skipped, and only the newest `max_session_items` (at most 64) are used.
    limit : int
    k, sample_size : int
        Neighbours that vote, and sessions that may become neighbours.
    position_decay : float in 0..1
        1 lets all items of the session count alike.
    step_decay : float in 0..1
        1 ignores where in the neighbouring session an item stands.
    idf_weight : float >= 0
        How much rare items are preferred.
    recency_half_life_days : float or None
        Age at which a neighbouring session counts half, from `now_s`. ``None``: age is ignored.
    now_s : int or None
        Unix seconds; ``None`` means the time of the newest session.
    exclude_session : bool
        Whether the session's own items are left out of the answer.

    Returns
    -------
    Candidates
        `because` is the newest item that the session shares with the neighbour that gave the
        largest vote. Empty if no item of the session is known.

    Notes
    -----
    Of the family of V-SKNN and V-STAN (M. Ludewig, D. Jannach, "Evaluation of session-based
    recommendation algorithms", 2018), with the index of VMIS-kNN (B. Kersbergen et al., "Serenade",
    SIGMOD 2022).

    Examples
    --------
    >>> from recommender.engine.offline.session_index import build_session_index
    >>> index = build_session_index([0, 3, 5], [0, 1, 2, 1, 3], [100, 200], n_items=4)
    >>> found = session_neighbours(index, [0, 1], limit=2, exclude_session=True)
    >>> found.rows.tolist(), found.because.tolist()
    ([2, 3], [1, 1])
    """
    items = _newest_first(session_rows, index.n_items, min(max_session_items, MAX_AGES))
    if not len(items) or limit <= 0:
        return Candidates.empty()
    starts = index.item_offsets[items]
    lengths = index.item_offsets[items + 1] - starts
    postings = np.asarray(index.item_sessions)[ragged_positions(starts, lengths)]
    if not len(postings):
        return Candidates.empty()
    ages = np.repeat(np.arange(len(items)), lengths)
    sessions, similarity, newest_shared = _similar_sessions(postings, ages, position_decay)
    if len(sessions) > sample_size:
        sessions = sessions[-sample_size:]
        similarity = similarity[-sample_size:]
        newest_shared = newest_shared[-sample_size:]
    if recency_half_life_days is not None:
        similarity = similarity * _recency(index, sessions, now_s, recency_half_life_days)
    if len(sessions) > k:
        # Of equally similar sessions the more recent ones vote: sessions ascend by time.
        best = len(sessions) - 1 - best_positions(similarity[::-1], k)
        sessions, similarity, newest_shared = sessions[best], similarity[best], newest_shared[best]
    return _votes(
        index,
        sessions,
        similarity,
        items[newest_shared],
        step_decay=step_decay,
        idf_weight=idf_weight,
        excluded=items if exclude_session else items[:0],
        limit=limit,
    )


def _newest_first(session_rows: npt.ArrayLike, n_items: int, at_most: int) -> npt.NDArray[np.int64]:
    """Distinct known items of the session, newest first."""
    seen: dict[int, None] = {}
    newest = np.asarray(session_rows, dtype=np.int64).reshape(-1)[::-1]
    for row in newest.tolist():
        if 0 <= row < n_items:
            seen.setdefault(row)
            if len(seen) == at_most:
                break
    return np.fromiter(seen, dtype=np.int64, count=len(seen))


def _similar_sessions(
    postings: npt.NDArray[np.int32], ages: npt.NDArray[np.int64], position_decay: float
) -> tuple[npt.NDArray[np.int64], Float32Array, npt.NDArray[np.int64]]:
    """Distinct sessions ascending, their similarity, and the age of their newest shared item."""
    # One sort by (session, age) gives both the groups and, first in each, the newest shared item.
    keys = postings.astype(np.int64) * MAX_AGES + ages
    keys.sort()
    grouped = keys // MAX_AGES
    is_start = np.empty(len(keys), np.bool_)
    is_start[0] = True
    np.not_equal(grouped[1:], grouped[:-1], out=is_start[1:])
    starts = np.flatnonzero(is_start)
    sorted_ages = keys % MAX_AGES
    weights = np.power(position_decay, np.arange(MAX_AGES)).astype(np.float32)[sorted_ages]
    return grouped[starts], np.add.reduceat(weights, starts), sorted_ages[starts]


def _recency(
    index: SessionIndex,
    sessions: npt.NDArray[np.int64],
    now_s: int | None,
    half_life_days: float,
) -> Float32Array:
    """What age leaves of each session's similarity."""
    now = int(index.session_times_s[-1]) if now_s is None else now_s
    age_days = np.maximum(now - index.session_times_s[sessions], 0) / SECONDS_PER_DAY
    return np.exp2(-age_days / half_life_days).astype(np.float32)


def _votes(
    index: SessionIndex,
    sessions: npt.NDArray[np.int64],
    similarity: Float32Array,
    shared: npt.NDArray[np.int64],
    *,
    step_decay: float,
    idf_weight: float,
    excluded: npt.NDArray[np.int64],
    limit: int,
) -> Candidates:
    """Add up what the neighbours say about their items."""
    starts = index.session_offsets[sessions]
    lengths = index.session_offsets[sessions + 1] - starts
    items = np.asarray(index.session_items)[ragged_positions(starts, lengths)]
    owner = np.repeat(np.arange(len(sessions)), lengths)
    votes = similarity[owner]
    because = shared[owner]
    if step_decay < 1.0:
        within = np.arange(len(items)) - (np.cumsum(lengths) - lengths)[owner]
        # Each neighbour holds its shared item exactly once, so this is one position per owner.
        shared_at = within[items == because]
        distance = np.abs(within - shared_at[owner])
        # The shared item itself counts like a direct neighbour: it may be visited again.
        decay = np.power(step_decay, np.arange(MAX_AGES)).astype(np.float32)
        votes = votes * decay[np.clip(distance - 1, 0, MAX_AGES - 1)]
    if idf_weight:
        votes = votes * (1.0 + idf_weight * np.asarray(index.idf)[items])
    if len(excluded):
        kept = ~np.isin(items, excluded)
        items, votes, because = items[kept], votes[kept], because[kept]
    return sum_by_row(items, votes, because, limit=limit)
