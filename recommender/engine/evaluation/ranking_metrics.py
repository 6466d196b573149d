"""How good a ranked list is, given what turned out to be right.

Every function takes the hits of a list (``hits[p]`` says whether the item at position p + 1 is
right) and the number of right answers in the world, which may be more than the list could hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.types import BoolArray


def hit_rate(hits: BoolArray, n_relevant: int) -> float:
    """1 if anything in the list is right, else 0.

    Examples
    --------
    >>> hit_rate(np.array([False, True]), 3)
    1.0
    """
    _check(n_relevant)
    return float(bool(hits.any()))


def reciprocal_rank(hits: BoolArray, n_relevant: int) -> float:
    """``1 / rank`` of the first right item, 0 if there is none.

    Examples
    --------
    >>> reciprocal_rank(np.array([False, True, True]), 2)
    0.5
    """
    _check(n_relevant)
    return 1.0 / (int(hits.argmax()) + 1) if hits.any() else 0.0


def recall(hits: BoolArray, n_relevant: int) -> float:
    """Share of the right items that are in the list.

    Examples
    --------
    >>> recall(np.array([True, False]), 4)
    0.25
    """
    _check(n_relevant)
    return float(hits.sum()) / n_relevant


def precision(hits: BoolArray, n_relevant: int, *, k: int) -> float:
    """Share of the k places that hold a right item; empty places count as wrong.

    Examples
    --------
    >>> precision(np.array([True]), 4, k=2)
    0.5
    """
    _check(n_relevant)
    return float(hits[:k].sum()) / k


def f1(hits: BoolArray, n_relevant: int, *, k: int) -> float:
    """Harmonic mean of precision and recall, ``2 P R / (P + R)``; 0 where nothing is found.

    Examples
    --------
    >>> f1(np.array([True]), 3, k=1)
    0.5
    """
    both = precision(hits, n_relevant, k=k), recall(hits[:k], n_relevant)
    return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0


def ndcg(hits: BoolArray, n_relevant: int, *, k: int) -> float:
    """Discounted gain over that of the best possible list: ``sum 1 / log2(rank + 1)``.

    The ideal list has ``min(n_relevant, k)`` right items at its head.

    Notes
    -----
    K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with
    gains of 0 and 1.

    Examples
    --------
    >>> round(ndcg(np.array([False, True]), 1, k=2), 4)
    0.6309
    """
    _check(n_relevant)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gain = float(discounts[: len(hits)][hits[:k]].sum())
    return gain / float(discounts[: min(n_relevant, k)].sum())


def average_precision(hits: BoolArray, n_relevant: int, *, k: int) -> float:
    """Mean of the precision at every right item, over ``min(n_relevant, k)``.

    Examples
    --------
    >>> average_precision(np.array([True, False, True]), 2, k=3)
    0.8333333333333333
    """
    _check(n_relevant)
    found = np.flatnonzero(hits[:k])
    precisions = np.arange(1, len(found) + 1) / (found + 1)
    return float(precisions.sum()) / min(n_relevant, k)


def list_metrics(hits: BoolArray, n_relevant: int, *, k: int = 20) -> dict[str, float]:
    """All metrics of one list, of which only the first k places count.

    Parameters
    ----------
    hits : bool[m]
        May be shorter than k: what is missing is wrong.
    n_relevant : int >= 1
    k : int >= 1

    Returns
    -------
    dict
        Keys such as ``"hr@20"``; values in 0..1.

    Raises
    ------
    InvalidInputError
        If nothing is relevant: such a query must be left out, not counted as a failure.
    """
    first = np.asarray(hits, dtype=np.bool_)[:k]
    return {
        f"hr@{k}": hit_rate(first, n_relevant),
        f"mrr@{k}": reciprocal_rank(first, n_relevant),
        f"recall@{k}": recall(first, n_relevant),
        f"precision@{k}": precision(first, n_relevant, k=k),
        f"f1@{k}": f1(first, n_relevant, k=k),
        f"ndcg@{k}": ndcg(first, n_relevant, k=k),
        f"map@{k}": average_precision(first, n_relevant, k=k),
    }


def mean_metrics(lists: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over queries, each query weighing the same.

    Raises
    ------
    EmptyInputError
        If there is no query.

    Examples
    --------
    >>> mean_metrics([{"hr@20": 1.0}, {"hr@20": 0.0}])
    {'hr@20': 0.5}
    """
    if not lists:
        raise EmptyInputError("there is no query to measure")
    return {name: float(np.mean([values[name] for values in lists])) for name in lists[0]}


def hits_of(ranked: npt.ArrayLike, relevant: npt.ArrayLike) -> BoolArray:
    """Which items of a ranked list are right.

    Examples
    --------
    >>> hits_of([4, 7, 1], [1, 4]).tolist()
    [True, False, True]
    """
    found: BoolArray = np.isin(np.asarray(ranked), np.asarray(relevant))
    return found


def _check(n_relevant: int) -> None:
    if n_relevant < 1:
        raise InvalidInputError(f"a query needs at least one right answer, not {n_relevant}")
