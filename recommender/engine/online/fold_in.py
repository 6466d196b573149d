"""Scoring a history that the model has never seen, without training anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.online import compiled
from recommender.engine.selection import best_positions
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    EaseModel,
    FactorModel,
    Float32Array,
    Int32Array,
    Int64Array,
)

BAR_RANK = 200
"""Items of a folded history that are above its bar: enough for any list that is asked for."""


def ease_fold_in(
    model: EaseModel,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    limit: int,
    max_history: int | None = 200,
    exclude_history: bool = True,
) -> Candidates:
    """Score every item of a linear model for one history: ``scores = weights @ model.weights``.

    Parameters
    ----------
    model : EaseModel
    rows : int32[h]
        Items of the history, each at most once; those that the model doesn't know are skipped.
    weights : float32[h] or None
        May be negative. ``None`` means 1 each.
    limit : int
    max_history : int or None
        Only so many items with the largest absolute weight are used (of equal ones those named
        last, which are the newest in a history by time): the cost is O(h m) memory traffic, and
        a household of a grocer knows a thousand items. ``None`` uses all.
    exclude_history : bool
        Whether items of the history are left out of the answer.

    Returns
    -------
    Candidates
        Items with a positive score; `because` is the history item with the largest contribution.
        Empty if the model knows none of the items.

    Notes
    -----
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    Examples
    --------
    >>> model = EaseModel(np.array([3, 5, 8], np.int32),
    ...                   np.array([[0, .5, .1], [.5, 0, 0], [.2, 0, 0]], np.float32))
    >>> found = ease_fold_in(model, [3, 4], limit=2)
    >>> found.rows.tolist(), found.because.tolist()
    ([5, 8], [3, 3])
    """
    places, values = known_history(model.item_rows, rows, weights, max_history=max_history)
    if not len(places) or limit <= 0:
        return Candidates.empty()
    # `take` of whole lines is one memcpy each; the product then runs over contiguous memory.
    lines = model.weights.take(places, axis=0)
    scores = values @ lines
    if exclude_history:
        scores[np.searchsorted(model.item_rows, _known_rows(model.item_rows, rows))] = 0
    best = best_positions(scores, limit)
    best = best[scores[best] > 0]
    # From the lines at hand: the model's own are far away in memory.
    strongest = (lines[:, best] * values[:, None]).argmax(axis=0) if len(best) else best
    because = model.item_rows[places[strongest]].astype(np.int32)
    return Candidates(model.item_rows[best], scores[best], because)


@dataclass(frozen=True, slots=True)
class FoldedHistory:
    """What a history says about every item, so that a session can be added to it.

    The model is linear: the scores of history and session together are the sum of both. A history
    changes with a training, a session with every click.

    Attributes
    ----------
    places, values : int64[h], float32[h]
        Positions in the model and weights of the items that were used.
    scores : float16[m]
        Score of every item of the model, divided by `unit`: half as much to keep, and the last
        digits say nothing.
    unit : float
        The largest absolute score.
    size : float
        Sum of the absolute weights.
    bar : float
        The score of the item at `BAR_RANK`.
    """

    places: Int64Array
    values: Float32Array
    scores: npt.NDArray[np.float16]
    unit: float
    size: float
    bar: float

    def whole(self) -> Float32Array:
        """The scores as they were, float32[m]; a new array."""
        return self.scores.astype(np.float32) * np.float32(self.unit)


def ease_fold_history(
    model: EaseModel, rows: npt.ArrayLike, weights: npt.ArrayLike, *, max_history: int | None
) -> FoldedHistory:
    """Score every item for a history; parameters as in `ease_fold_in`. O(h m)."""
    places, values = known_history(model.item_rows, rows, weights, max_history=max_history)
    scores = values @ model.weights.take(places, axis=0)
    unit = float(np.abs(scores).max(initial=0.0)) or 1.0
    scaled = (scores / np.float32(unit)).astype(np.float16)
    rank = len(scores) - BAR_RANK
    bar = float(np.partition(scores, rank)[rank]) if rank > 0 else 0.0
    return FoldedHistory(places, values, scaled, unit, float(np.abs(values).sum()), bar)


def ease_add_session(
    model: EaseModel,
    history: FoldedHistory | None,
    session_rows: npt.ArrayLike,
    session_weights: npt.ArrayLike,
    *,
    session_share: float,
    limit: int,
    max_session: int = 10,
    reasons: bool = True,
) -> Candidates:
    """The best items for a folded history and the session that goes on. O(s m).

    Parameters
    ----------
    model : EaseModel
    history : FoldedHistory or None
        Of the same model; ``None`` for a shopper without a past.
    session_rows, session_weights : int32[s], float32[s]
        Events, oldest first; an item may occur many times, and its weights add up.
    session_share : float in 0..1, below 1
        The session is scaled so that its absolute weights are this share of all: without it a
        long history of purchases drowns three views, and nothing on the page would move.
    limit : int
    max_session : int
        Only the newest so many distinct items of the session are used.
    reasons : bool
        Whether `because` is worked out (as much work as all the rest); else it is -1.

    Returns
    -------
    Candidates
        Items with a positive score, those of history and session among them.

    Examples
    --------
    >>> model = EaseModel(np.array([3, 5, 8], np.int32),
    ...                   np.array([[0, .5, .1], [.5, 0, 0], [.2, 0, 0]], np.float32))
    >>> past = ease_fold_history(model, [3], [1.0], max_history=None)
    >>> found = ease_add_session(model, past, [8], [.1], session_share=.5, limit=2)
    >>> found.rows.tolist(), found.scores.round(2).tolist(), found.because.tolist()
    ([5, 3], [0.5, 0.20000000298023224], [3, 8])
    """
    if not 0 <= session_share < 1:
        raise InvalidInputError(f"session_share must be in 0..1 (below 1), not {session_share}")
    # Repetitions included, this many events name the newest `max_session` items or nearly all.
    recent = slice(-4 * max_session, None)
    past = history if history is not None and history.size else None
    rows, scores, best, places, values = compiled.taste(
        np.ascontiguousarray(model.item_rows, np.int32),
        np.ascontiguousarray(model.weights, np.float32),
        past.scores.view(np.uint16) if past is not None else _NO_SCORES,
        np.float32(past.unit if past is not None else 1),
        past.size if past is not None else 0.0,
        np.float32(max(past.bar, 0.0) if past is not None else 0),
        np.asarray(session_rows, np.int32)[recent],
        np.asarray(session_weights, np.float32)[recent],
        max_session,
        session_share,
        limit,
    )
    if not reasons:
        return Candidates(rows, scores, np.full(len(rows), NO_ROW, np.int32))
    if past is not None:
        places = np.concatenate([past.places, places])
        values = np.concatenate([past.values, values])
    return Candidates(rows, scores, _largest_contributions(model, places, values, best))


_NO_SCORES = np.empty(0, np.uint16)


def _largest_contributions(
    model: EaseModel, places: Int64Array, values: Float32Array, best: Int64Array
) -> Int32Array:
    """For each of some items the one of the history that speaks most for it."""
    if not len(best):
        return np.empty(0, np.int32)
    contributions = model.weights[places[:, None], best[None, :]] * values[:, None]
    because: Int32Array = model.item_rows[places[contributions.argmax(axis=0)]].astype(np.int32)
    return because


def als_fold_in(
    model: FactorModel,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    limit: int,
    max_history: int | None = 200,
    exclude_history: bool = True,
) -> Candidates:
    """Solve for one shopper's factors and score every item with them.

    With ``c = alpha * weight`` for the items of the history and Y their vectors::

        A = gram + Yᵀ diag(c) Y + regularisation * I
        x = A⁻¹ Yᵀ (1 + c);    score(i) = y_i · x

    An item of negative weight is a preference of 0 held with confidence ``1 + alpha * |weight|``.
    Costs O(h f² + f³ + m f); the m f of scoring dominates above some 20,000 items, so `fit_als`
    can restrict what may be recommended.

    Parameters
    ----------
    model : FactorModel
    rows, weights, limit, max_history, exclude_history
        As in `ease_fold_in`.

    Returns
    -------
    Candidates
        Items with a positive score; `because` is the history item j with the largest part
        ``y_iᵀ A⁻¹ y_j (1 + c_j)`` of the score, which is an exact decomposition of it.

    Notes
    -----
    Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets",
    ICDM 2008; the decomposition is its section 5.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [.9, .1], [0, 1]], np.float32)
    >>> model = FactorModel(np.array([0, 1, 2], np.int32), vectors, vectors.T @ vectors, .1, 10.)
    >>> als_fold_in(model, [0], limit=1).rows.tolist()
    [1]
    """
    places, values = known_history(model.item_rows, rows, weights, max_history=max_history)
    if not len(places) or limit <= 0:
        return Candidates.empty()
    item_vectors = np.asarray(model.item_vectors)
    history = item_vectors[places].astype(np.float64)
    extra = model.alpha * np.abs(values.astype(np.float64))
    target = np.where(values > 0, 1.0 + extra, 0.0)
    system = np.asarray(model.gram, np.float64) + (history.T * extra) @ history
    system.flat[:: system.shape[0] + 1] += model.regularisation
    shopper = np.linalg.solve(system, history.T @ target)
    scores = item_vectors @ shopper.astype(np.float32)
    if exclude_history:
        scores[np.searchsorted(model.item_rows, _known_rows(model.item_rows, rows))] = 0
    best = best_positions(scores, limit)
    best = best[scores[best] > 0]
    item_rows = np.asarray(model.item_rows)
    if not len(best):
        return Candidates.empty()
    half = np.linalg.solve(system, (history * target[:, None]).T)
    contributions = item_vectors[best].astype(np.float64) @ half
    because = item_rows[places[contributions.argmax(axis=1)]]
    return Candidates(item_rows[best], scores[best], because)


def known_history(
    item_rows: npt.ArrayLike,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    *,
    max_history: int | None,
) -> tuple[Int64Array, Float32Array]:
    """Where a model keeps the items of a history, and what they weigh.

    Parameters
    ----------
    item_rows : int32[m], ascending
    rows : int32[h]
    weights : float32[h] or None
    max_history : int or None
        As in `ease_fold_in`.

    Returns
    -------
    int64[k], float32[k]
        Positions in `item_rows` and weights, in the order of the history.
    """
    known = np.asarray(item_rows)
    wanted = np.asarray(rows, dtype=np.int32).reshape(-1)
    given = np.ones(len(wanted)) if weights is None else weights
    values = np.asarray(given, dtype=np.float32).reshape(-1)
    if not len(known) or not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = (known[places] == wanted) & (values != 0)
    places, values = places[found], values[found]
    if max_history is not None and len(places) > max_history:
        newest_first = np.abs(values[::-1])
        kept = len(values) - 1 - best_positions(newest_first, max_history)
        kept.sort()
        places, values = places[kept], values[kept]
    return places, values


def _known_rows(item_rows: npt.ArrayLike, rows: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The rows of a history that a model knows, whatever they weigh."""
    known = np.asarray(item_rows)
    wanted = np.asarray(rows, dtype=np.int32).reshape(-1)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: npt.NDArray[np.int32] = wanted[known[places] == wanted]
    return found
