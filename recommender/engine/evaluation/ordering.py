"""AUC: how often a right item is ranked above a wrong one, ties counting half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Model, ScoringModel
from recommender.engine.types import Float64Array, Int32Array

LIST_DEPTH = 1000
"""How much of its ranking a model without scores is asked for."""
FEW = 8


def auc_of_scores(
    scores: npt.NDArray[np.floating], relevant: Int32Array, removed: Int32Array
) -> float:
    """``P(score of a right item > score of a wrong one)``, exact.

    Parameters
    ----------
    scores : float[n_items]
        ``-inf`` where the model has no answer: those tie behind all others.
    relevant : int32[r]
        Unknown items (``-1``) have no place in a ranking and are left out.
    removed : int32[]
        Items that are no answers take no part.

    Returns
    -------
    float
        NaN where no right item, or no wrong one, takes part.

    Examples
    --------
    >>> auc_of_scores(np.array([3.0, 1.0, 2.0, 2.0]), np.array([2]), np.array([], np.int32))
    0.5
    """
    wrong = np.ones(len(scores), np.bool_)
    wrong[removed[removed >= 0]] = False
    right = np.unique(relevant[relevant >= 0])
    right = right[wrong[right]]
    wrong[right] = False
    others, own = scores[wrong], scores[right]
    if not len(own) or not len(others):
        return float("nan")
    if len(own) <= FEW:
        wins = sum(float((others < s).sum()) + 0.5 * float((others == s).sum()) for s in own)
    else:
        others = np.sort(others)
        below = np.searchsorted(others, own, side="left")
        upto = np.searchsorted(others, own, side="right")
        wins = float((below + upto).sum()) / 2
    return wins / (len(own) * len(others))


def auc_of_list(
    ranked: Int32Array, relevant: Int32Array, removed: Int32Array, *, n_items: int
) -> float:
    """The same of a ranking that ends somewhere: all items that aren't in it tie behind it.

    Examples
    --------
    >>> auc_of_list(np.array([3, 1]), np.array([1]), np.array([], np.int32), n_items=5)
    0.75
    """
    barred = np.unique(removed[removed >= 0])
    ranked = ranked[~np.isin(ranked, barred)]
    right = np.setdiff1d(relevant[relevant >= 0], barred)
    n_wrong = n_items - len(barred) - len(right)
    if not len(right) or n_wrong < 1:
        return float("nan")
    is_right = np.isin(ranked, right)
    wrong_above = np.cumsum(~is_right)[is_right]
    n_in_tail = len(right) - len(wrong_above)
    wrong_in_tail = n_wrong - int((~is_right).sum())
    wins = float((n_wrong - wrong_above).sum()) + n_in_tail * wrong_in_tail / 2
    return wins / (len(right) * n_wrong)


def auc_kind(model: Model) -> str:
    """``"scores"`` where the whole ranking is known, else ``"list"``."""
    return "scores" if isinstance(model, ScoringModel) else "list"


def auc_values(task: Task, model: Model, positions: Sequence[int]) -> Float64Array:
    """AUC of each of some queries; a query of which the model knows nothing is 0.5.

    Costs one full scoring per query, or a list of 1,000.
    """
    n_items = task.training.n_items
    nothing = np.full(n_items, -np.inf)
    out = np.empty(len(positions))
    for line, position in enumerate(positions):
        query, relevant = task.queries[position], task.relevant[position]
        if isinstance(model, ScoringModel):
            scores = model.scores(query)
            out[line] = auc_of_scores(
                nothing if scores is None else scores, relevant, query.removed
            )
        else:
            found = model.recommend(query, min(LIST_DEPTH, n_items))
            out[line] = auc_of_list(found.rows, relevant, query.removed, n_items=n_items)
    return out
