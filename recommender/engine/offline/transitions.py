"""What is clicked after what: a Markov chain that backs off to transitions with a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import ragged_positions
from recommender.engine.types import Candidates, Float64Array, Int64Array, Sessions

LONGEST_GAP = 10
"""Clicks further apart than this say next to nothing about each other."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """Counts of what followed what: sums, so that more sessions are simply added.

    Attributes
    ----------
    direct : csr_matrix of float64[n_items, n_items]
        How often item j came directly after item i, i itself left out.
    skipping : csr_matrix of float64[n_items, n_items]
        The same at a distance d up to `LONGEST_GAP`, each pair counting ``1 / d``.
    """

    direct: csr_matrix[np.float64]
    skipping: csr_matrix[np.float64]


def count_transitions(sessions: Sessions, *, n_items: int) -> Transitions:
    """Count the ordered pairs of every session. O(clicks * `LONGEST_GAP`).

    Parameters
    ----------
    sessions : Sessions
        Negative rows keep their place and are counted with nothing.
    n_items : int

    Raises
    ------
    InvalidInputError
        If a row is beyond the catalog.

    Examples
    --------
    >>> walk = Sessions(np.array([0, 3]), np.array([0, 1, 2], np.int32), np.array([9]))
    >>> count_transitions(walk, n_items=3).skipping.toarray().tolist()
    [[0.0, 1.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    clicks = np.asarray(sessions.item_rows, np.int64)
    if len(clicks) and int(clicks.max()) >= n_items:
        raise InvalidInputError(f"row {int(clicks.max())} is outside a catalog of {n_items} items")
    owner = np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets))
    parts: list[csr_matrix[np.float64]] = []
    for distance in range(1, LONGEST_GAP + 1):
        before, after = clicks[:-distance], clicks[distance:]
        kept = owner[:-distance] == owner[distance:]
        if distance > 1 and not kept.any():
            break
        kept = kept & (before >= 0) & (after >= 0) & (before != after)
        found = csr_matrix(
            (np.full(int(kept.sum()), 1 / distance), (before[kept], after[kept])),
            shape=(n_items, n_items),
        )
        parts.append(found)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return Transitions(parts[0], csr_matrix(total))


def add_transitions(earlier: Transitions, later: Transitions) -> Transitions:
    """Both; the later catalog may be longer.

    Raises
    ------
    InvalidInputError
        If the catalog has shrunk.
    """
    n_before, n_items = int(earlier.direct.shape[0]), int(later.direct.shape[0])
    if n_items < n_before:
        raise InvalidInputError(f"a catalog of {n_before} items can't shrink to {n_items}")
    return Transitions(
        _grown(earlier.direct, n_items) + later.direct,
        _grown(earlier.skipping, n_items) + later.skipping,
    )


@dataclass(frozen=True, slots=True)
class TransitionModel:
    """Transition probabilities.

    Attributes
    ----------
    direct, skipping : csr_matrix of float64[n_items, n_items]
        Lines add up to 1, or to 0 where nothing is known.
    trust : float64[n_items]
        How much of an answer the direct transitions of an item give.
    decay : float
        What an older item of the session counts against the one after it.
    window : int
        So many of the newest items of the session take part.
    """

    direct: csr_matrix[np.float64]
    skipping: csr_matrix[np.float64]
    trust: Float64Array
    decay: float
    window: int


def transition_model(
    counts: Transitions, *, back_off: float = 10.0, decay: float = 0.5, window: int = 5
) -> TransitionModel:
    """Probabilities of counts.

    With n(i) the direct transitions from item i, D and S the counts divided by the sums of their
    lines, and ``i_1, i_2, ...`` the session from its newest item on::

        P(j) = t D(i_1, j) + (1 - t) * sum over m of decay ** (m - 1) S(i_m, j) / sum of the weights
        t    = n(i_1) / (n(i_1) + back_off)

    so the fewer direct transitions are known, the more speak those with a gap, and the older items.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    First-order chains and sequential rules as in M. Ludewig, D. Jannach, "Evaluation of
    session-based recommendation algorithms", 2018; the share of the back-off as in I. Witten,
    T. Bell, "The zero-frequency problem", 1991, with a constant for the number of novel events.
    """
    if not back_off >= 0 or not 0 <= decay <= 1 or window < 1:
        raise InvalidInputError(
            f"back_off, decay or window is out of range: {back_off, decay, window}"
        )
    seen = np.asarray(counts.direct.sum(axis=1), np.float64).ravel()
    trust = np.divide(seen, seen + back_off, out=np.zeros(len(seen)), where=seen > 0)
    return TransitionModel(_shares(counts.direct), _shares(counts.skipping), trust, decay, window)


def follow(model: TransitionModel, session_rows: npt.ArrayLike, *, limit: int) -> Candidates:
    """The most probable next items. Costs the transitions of `window` items, and a sort of them.

    Parameters
    ----------
    model : TransitionModel
    session_rows : int[n]
        Clicks from the oldest to the newest; unknown rows are skipped.
    limit : int

    Returns
    -------
    Candidates
        Scores are probabilities. `because` is the item of the session with the largest share in
        the score, the newest of equal ones. Empty if nothing is known to follow.

    Examples
    --------
    >>> walks = Sessions(np.array([0, 2, 4]), np.array([0, 1, 0, 2], np.int32), np.array([1, 2]))
    >>> model = transition_model(count_transitions(walks, n_items=3))
    >>> follow(model, [0], limit=5).rows.tolist()
    [1, 2]
    """
    n_items = int(model.direct.shape[0])
    rows = np.asarray(session_rows, np.int64).reshape(-1)
    newest = rows[(rows >= 0) & (rows < n_items)][::-1][: model.window]
    if not len(newest) or limit <= 0:
        return Candidates.empty()
    weights = np.power(model.decay, np.arange(len(newest)))
    # An item that nothing is known to follow leaves its share to the others.
    weights = weights * (np.diff(model.skipping.indptr)[newest] > 0)
    if not weights.any():
        return Candidates.empty()
    trust = float(model.trust[newest[0]])
    weights *= (1 - trust) / weights.sum()
    first, n_first = _lines(model.direct, newest[:1])
    places, lengths = _lines(model.skipping, newest)
    items = np.concatenate([model.direct.indices[first], model.skipping.indices[places]])
    spoken = np.concatenate(
        [
            model.direct.data[first] * trust,
            model.skipping.data[places] * np.repeat(weights, lengths),
        ]
    )
    ages = np.concatenate(
        [np.zeros(int(n_first[0]), np.int64), np.repeat(np.arange(len(newest)), lengths)]
    )
    return _added_up(items, spoken, newest, ages, limit)


def _added_up(
    items: npt.NDArray[np.integer],
    spoken: Float64Array,
    newest: Int64Array,
    ages: Int64Array,
    limit: int,
) -> Candidates:
    """Sum by item, and the item of the session that adds most to each sum."""
    found, group = np.unique(items, return_inverse=True)
    sums = np.bincount(group, spoken).astype(np.float32)
    order = np.lexsort((found, -sums))[:limit]
    order = order[sums[order] > 0]
    by_age = np.zeros((len(newest), len(found)))
    np.add.at(by_age, (ages, group), spoken)
    because = newest[by_age[:, order].argmax(axis=0)] if len(order) else np.empty(0, np.int64)
    return Candidates(found[order].astype(np.int32), sums[order], because.astype(np.int32))


def _shares(counts: csr_matrix[np.float64]) -> csr_matrix[np.float64]:
    """Lines divided by their sums."""
    found = csr_matrix(counts, dtype=np.float64, copy=True)
    found.sum_duplicates()
    sums = np.asarray(found.sum(axis=1), np.float64).ravel()
    found.data /= np.repeat(sums, np.diff(found.indptr))
    return found


def _grown(matrix: csr_matrix[np.float64], n_items: int) -> csr_matrix[np.float64]:
    """The same with empty lines and columns at the end."""
    end = np.full(n_items - int(matrix.shape[0]), matrix.indptr[-1], matrix.indptr.dtype)
    return csr_matrix(
        (matrix.data, matrix.indices, np.concatenate([matrix.indptr, end])),
        shape=(n_items, n_items),
    )


def _lines(matrix: csr_matrix[np.float64], rows: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Where the entries of some lines stand, and how many each line has."""
    starts = matrix.indptr[rows].astype(np.int64)
    lengths = matrix.indptr[rows + 1].astype(np.int64) - starts
    return ragged_positions(starts, lengths), lengths
