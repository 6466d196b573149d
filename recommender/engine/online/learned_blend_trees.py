"""Trees that correct the head of a learned blend: what a sum can't say, as "both sources, but rare".

The conditional logit orders all candidates; its first ones are put in a new order by what it said
plus what symmetric trees add. They look at the same facts, so a request costs a table of the head
and some additions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.blending import Blended
from recommender.engine.online.kernel import F32, F32_2, I32, N, kernel
from recommender.engine.online.learned_blend import (
    FARTHEST_PRICE,
    LEAST_ODDS,
    LOG_SPAN,
    MOST_RAW,
    RANK_OFFSET,
    BlendModel,
    Situation,
)
from recommender.engine.types import Float32Array, Int32Array, Int64Array

HEAD = 100
"""So many of the blend's first items are put in a new order."""
OF_SOURCE = ("log", "rank", "raw")
"""What trees look at of a source, as in `LINE_FEATURES`; bends of each other say nothing new."""


@dataclass(frozen=True, slots=True)
class SymmetricTrees:
    """Trees that ask the same question at all nodes of a level, so an answer is a number in binary.

    Attributes
    ----------
    features : int32[T, D]
        Which input each level asks for.
    thresholds : float32[T, D]
        Above it is a 1; the first level is the highest digit. Infinity: no question, a 0.
    leaves : float32[T, 2**D]
        What a tree adds.
    """

    features: Int32Array
    thresholds: Float32Array
    leaves: Float32Array

    def __post_init__(self) -> None:
        n, depth = self.features.shape
        if self.thresholds.shape != (n, depth) or self.leaves.shape != (n, 2**depth):
            raise InvalidInputError(
                f"thresholds {self.thresholds.shape} and leaves {self.leaves.shape} "
                f"don't fit {n} trees of depth {depth}"
            )

    def __len__(self) -> int:
        return len(self.features)

    def values(self, inputs: Float32Array) -> Float32Array:
        """float32[n]: the sum of what all trees add to the lines of float32[n, F].

        O(n T D) in one kernel.

        Examples
        --------
        >>> one = SymmetricTrees(np.array([[1]], np.int32), np.array([[0.5]], np.float32),
        ...                      np.array([[-2.0, 3.0]], np.float32))
        >>> one.values(np.array([[9, 0.5], [0, 0.6]], np.float32)).tolist()
        [-2.0, 3.0]
        """
        summed: Float32Array = _sum_leaves(
            np.ascontiguousarray(inputs.T, np.float32),
            self.features.ravel(),
            self.thresholds.ravel(),
            self.leaves.ravel(),
            self.features.shape[1],
        )
        return summed


@kernel(F32_2, I32, F32, F32, N)
def _sum_leaves(columns: Any, features: Any, thresholds: Any, leaves: Any, depth: int) -> Any:
    """See `SymmetricTrees.values`; the inputs column by column, so that lines are compared at once."""
    n = columns.shape[1]
    sums = np.zeros(n, np.float32)
    leaf = np.empty(n, np.int32)
    n_trees = len(features) // depth if depth else 0
    for tree in range(n_trees):
        leaf[:] = 0
        for level in range(tree * depth, (tree + 1) * depth):
            column = columns[features[level]]
            threshold = thresholds[level]
            for line in range(n):
                leaf[line] = 2 * leaf[line] + np.int32(column[line] > threshold)
        own = leaves[tree * 2**depth : (tree + 1) * 2**depth]
        for line in range(n):
            sums[line] += own[leaf[line]]
    return sums


def tree_inputs(
    model: BlendModel,
    head: Blended,
    situation: Situation,
    products: Float32Array,
    log_prices: Float32Array | None = None,
) -> Float32Array:
    """What trees look at, a line per item of a blended list.

    In this order: `OF_SOURCE` of every source, 0 where it didn't name the item; what the logit says
    (0 for the best, else below), and the item's place; the product as the catalog has it; how far
    that is from the mean of what the shopper had; what the shopper did with it; price above the
    usual one; the request.

    Parameters
    ----------
    model : BlendModel
    head : Blended
        By `learned_blend`.
    situation : Situation
    products : float32[n_items, P]
        NaN where nothing is known, which counts as 0 here, as in all columns.
    log_prices : float32[n_items] or None

    Returns
    -------
    float32[n, 3 S + 2 + 2 P + H + 1 + K]
    """
    n = len(head)
    of_products = products[head.rows]
    usual = np.full(products.shape[1], np.nan, np.float32)
    if len(situation.rows):
        had = products[situation.rows]
        known = np.isfinite(had)
        n_known = np.maximum(known.sum(axis=0), 1)
        usual = np.where(known.any(axis=0), np.where(known, had, 0).sum(axis=0) / n_known, np.nan)
    gaps = np.zeros(n, np.float32)
    if log_prices is not None:
        gaps = np.clip(
            log_prices[head.rows] - np.float32(situation.usual_log_price),
            -FARTHEST_PRICE,
            FARTHEST_PRICE,
        )
    columns = [
        _source_lines(model, head),
        np.log(head.scores)[:, None],
        np.arange(n)[:, None],
        of_products,
        of_products - usual,
        _deeds(model, head.rows, situation),
        gaps[:, None],
        np.broadcast_to(situation.context, (n, len(situation.context))),
    ]
    inputs = np.concatenate(columns, axis=1, dtype=np.float32)
    inputs[np.isnan(inputs)] = 0
    return inputs


def _source_lines(model: BlendModel, head: Blended) -> Float32Array:
    """float32[n, 3 S]: see `OF_SOURCE`."""
    out = np.zeros((len(head), len(model.sources), len(OF_SOURCE)), np.float32)
    if not len(head):
        return out.reshape(0, len(model.sources) * len(OF_SOURCE))
    scores = np.concatenate([part.scores for _, _, part in head.parts], dtype=np.float32)
    owners = _owners(head)
    places = head.line_places[: len(owners)]
    sources = head.begins.searchsorted(places, side="right") - 1
    first = head.begins[sources]
    own = scores[places]
    logs = 1 + np.log(own / scores[first]) / LOG_SPAN
    ranks = (RANK_OFFSET + 1) / (RANK_OFFSET + 1 + (places - first))
    raw = np.minimum(own / model.tops[sources], MOST_RAW)
    out[owners, sources] = np.stack([np.maximum(logs, 0), ranks, raw], axis=1)
    return out.reshape(len(head), -1)


def _owners(both: Blended) -> Int64Array:
    """int64[c]: whose each line is; `learned_blend` leaves the lines in the order of their items."""
    return np.repeat(np.arange(len(both)), both.ends - both.starts)


def _deeds(model: BlendModel, rows: Int32Array, situation: Situation) -> Float32Array:
    """float32[n, H]: what the shopper did with each item, 0 where nothing."""
    out = np.zeros((len(rows), len(model.personal)), np.float32)
    if len(situation.rows) and len(rows):
        order = np.argsort(rows)
        places = np.searchsorted(rows, situation.rows, sorter=order)
        places = order[np.minimum(places, len(rows) - 1)]
        there = rows[places] == situation.rows
        out[places[there]] = situation.did[there]
    return out


def corrected(both: Blended, added: Float32Array) -> Blended:
    """A blended list whose first items are ordered by what was said plus what is added.

    Parameters
    ----------
    both : Blended
        By `learned_blend`.
    added : float32[h]
        For its first h items. The others keep their order, behind them.

    Returns
    -------
    Blended
        Scores are the odds against the best one again; the lines of an item share its new score as
        they did its old one.
    """
    h = len(added)
    if h == 0:
        return both
    said = np.log(both.scores[:h]) + added
    odds = both.scores.copy()
    odds[:h] = np.exp(said - said.max())
    odds[h:] *= odds[:h].min() / both.scores[h - 1]
    odds = np.maximum(odds, LEAST_ODDS)
    line_scores = both.line_scores.copy()
    owners = _owners(both)
    line_scores[: len(owners)] *= (odds / both.scores)[owners]
    order = np.lexsort((both.rows, -odds))
    return _picked(replace(both, scores=odds, line_scores=line_scores), order)


def first_of(both: Blended, n: int) -> Blended:
    """The first n items."""
    return both if len(both) <= n else _picked(both, np.arange(n))


def _picked(both: Blended, positions: Int64Array) -> Blended:
    return replace(
        both,
        rows=both.rows[positions],
        scores=both.scores[positions],
        starts=both.starts[positions],
        ends=both.ends[positions],
    )
