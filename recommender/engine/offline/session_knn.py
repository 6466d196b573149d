"""The family of session kNN: SKNN, V-SKNN, STAN and V-STAN are one formula with other parameters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import best_positions, ragged_positions, sum_by_row
from recommender.engine.types import (
    SECONDS_PER_DAY,
    Candidates,
    Float64Array,
    Int64Array,
    SessionIndex,
)

MAX_AGES = 64
"""Session and age share one sort key; 6 bits of it are the age."""


def session_knn(
    index: SessionIndex,
    session_rows: npt.ArrayLike,
    *,
    limit: int,
    k: int = 500,
    sample_size: int = 1000,
    position_decay: float | None = 1.0,
    match_decay: float | None = 1.0,
    step_decay: float = 1.0,
    length_exponent: float = 0.5,
    idf_weight: float = 0.0,
    recency_half_life_days: float | None = None,
) -> Candidates:
    """Score items by the past sessions that resemble the one that is going on.

    With ``a`` the age of an item of the running session (0: the newest of its m distinct items),
    ``|n|`` the number of items of a past session n, and x the newest item that both share::

        similarity(n) = sum over shared items of position(a) / |n| ** length_exponent * recency(n)
        vote(n, j)    = similarity(n) * match(a(x)) * step_decay ** (distance of j from x in n - 1)
                        * (1 + idf_weight * idf(j))

    and the k most similar of the `sample_size` newest sessions that share an item vote. Costs
    O(p log p) with p the postings of the session's items.

    ============  ============  =======  ========  =======  ======
    method        position      match    step      recency  idf
    ============  ============  =======  ========  =======  ======
    SKNN          1             1        1         none     0
    V-SKNN        linear        linear   1         none     maybe
    STAN          exponential   1        below 1   yes      0
    V-STAN        exponential   below 1  below 1   yes      above 0
    ============  ============  =======  ========  =======  ======

    Parameters
    ----------
    index : SessionIndex
        Built with ``max_sessions_per_item >= sample_size``, else older sessions are compared by
        less than they share.
    session_rows : int[n]
        From the oldest click to the newest; a repeated item counts at its newest place, unknown
        rows are skipped, and only the newest `MAX_AGES` are used.
    limit, k, sample_size : int
    position_decay : float in 0..1 or None
        ``position(a) = position_decay ** a``; ``None``: ``(m - a) / m``.
    match_decay : float in 0..1 or None
        ``match(a) = match_decay ** a``; ``None``: ``max(1 - 0.1 a, 0)``.
    step_decay : float in 0..1
    length_exponent : float in 0..1
        0.5 makes the similarity a cosine.
    idf_weight : float >= 0
    recency_half_life_days : float or None
        Age at which a session counts half, from the newest session of the index.

    Returns
    -------
    Candidates
        `because` is the newest item shared with the session that gave the largest vote. Empty if no
        item of the session is known.

    Raises
    ------
    InvalidInputError
        If `k` or `sample_size` is below 1.

    Notes
    -----
    D. Jannach, M. Ludewig, "When recurrent neural networks meet the neighborhood", RecSys 2017
    (SKNN); M. Ludewig, D. Jannach, "Evaluation of session-based recommendation algorithms", 2018
    (V-SKNN); D. Garg et al., "Sequence and time aware neighborhood for session-based
    recommendations", SIGIR 2019 (STAN, with exponentials where powers stand here); V-STAN: M.
    Ludewig et al., "Empirical analysis of session-based recommendation algorithms", 2021.

    Examples
    --------
    >>> from recommender.engine.offline.session_index import build_session_index
    >>> index = build_session_index([0, 3, 5], [0, 1, 2, 1, 3], [100, 200], n_items=4)
    >>> session_knn(index, [0, 1], limit=4).rows.tolist()
    [1, 0, 2, 3]
    """
    if k < 1 or sample_size < 1:
        raise InvalidInputError(f"k and sample_size must be at least 1: {k, sample_size}")
    items = _newest_first(session_rows, index.n_items)
    starts = index.item_offsets[items]
    lengths = index.item_offsets[items + 1] - starts
    postings = np.asarray(index.item_sessions)[ragged_positions(starts, lengths)]
    if not len(postings) or limit <= 0:
        return Candidates.empty()
    ages = np.repeat(np.arange(len(items)), lengths)
    m = len(items)
    position = _falling(position_decay, 1 / m, m)
    sessions, similarity, newest = _similar(postings, ages, position, sample_size)
    sizes = index.session_offsets[sessions + 1] - index.session_offsets[sessions]
    similarity = similarity / sizes**length_exponent
    if recency_half_life_days is not None:
        age_s = int(index.session_times_s[-1]) - index.session_times_s[sessions]
        similarity = similarity * np.exp2(-age_s / SECONDS_PER_DAY / recency_half_life_days)
    if len(sessions) > k:
        # Of equally similar sessions the more recent ones vote: sessions ascend by time.
        best = len(sessions) - 1 - best_positions(similarity[::-1], k)
        sessions, similarity, newest = sessions[best], similarity[best], newest[best]
    similarity = similarity * _falling(match_decay, 0.1, m)[newest]
    return _votes(index, sessions, similarity, items[newest], step_decay, idf_weight, limit)


def _newest_first(session_rows: npt.ArrayLike, n_items: int) -> Int64Array:
    """Distinct known items of the session, newest first."""
    rows = np.asarray(session_rows, np.int64).reshape(-1)[::-1].tolist()
    known = list(dict.fromkeys(row for row in rows if 0 <= row < n_items))[:MAX_AGES]
    return np.array(known, np.int64)


def _falling(decay: float | None, step: float, m: int) -> Float64Array:
    """Weights by age: a power of the decay, or straight down by `step` where there is none."""
    ages = np.arange(m, dtype=np.float64)
    found: Float64Array = np.maximum(1 - step * ages, 0) if decay is None else decay**ages
    return found


def _similar(
    postings: npt.NDArray[np.int32],
    ages: Int64Array,
    position: Float64Array,
    sample_size: int,
) -> tuple[Int64Array, Float64Array, Int64Array]:
    """The newest sessions ascending, what they share, and the age of the newest shared item."""
    # One sort by (session, age) gives both the groups and, first in each, the newest shared item.
    keys = postings.astype(np.int64) * MAX_AGES + ages
    keys.sort()
    owner = keys // MAX_AGES
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    shared = np.add.reduceat(position[keys % MAX_AGES], starts)
    newest = keys[starts] % MAX_AGES
    return owner[starts][-sample_size:], shared[-sample_size:], newest[-sample_size:]


def _votes(
    index: SessionIndex,
    sessions: Int64Array,
    similarity: Float64Array,
    shared: Int64Array,
    step_decay: float,
    idf_weight: float,
    limit: int,
) -> Candidates:
    """Add up what the neighbours say about their items."""
    starts = index.session_offsets[sessions]
    lengths = index.session_offsets[sessions + 1] - starts
    items = np.asarray(index.session_items)[ragged_positions(starts, lengths)]
    owner = np.repeat(np.arange(len(sessions)), lengths)
    votes = similarity[owner]
    because = shared[owner]
    if step_decay < 1:
        within = np.arange(len(items)) - (np.cumsum(lengths) - lengths)[owner]
        # Each neighbour holds its shared item exactly once, so this is one position per owner.
        distance = np.abs(within - within[items == because][owner])
        # The shared item itself counts like a direct neighbour: it may be visited again.
        steps = step_decay ** np.arange(MAX_AGES)
        votes = votes * steps[np.clip(distance - 1, 0, MAX_AGES - 1)]
    if idf_weight:
        votes = votes * (1 + idf_weight * np.asarray(index.idf)[items])
    return sum_by_row(items, votes, because, limit=limit)
