"""What do people like me buy? Neighbours among shoppers, found by the history that asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline.item_correlation import Measure, likeness
from recommender.engine.selection import best_positions, ragged_positions
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)


@dataclass(frozen=True, slots=True)
class ShopperIndex:
    """Histories by shopper and by item: arrays only, so that they can be memory-mapped.

    Attributes
    ----------
    shopper_offsets, shopper_items, shopper_weights : int64[n_shoppers + 1], int32[n], float32[n]
        The items of shopper ``s`` are the lines ``shopper_offsets[s]:shopper_offsets[s + 1]``.
    item_offsets, item_shoppers, item_weights : int64[n_items + 1], int32[n], float32[n]
        The same by item.
    sums, squares, sizes : float64[n_shoppers]
        Of every shopper's weights, and how many items they have.
    """

    shopper_offsets: Int64Array
    shopper_items: Int32Array
    shopper_weights: Float32Array
    item_offsets: Int64Array
    item_shoppers: Int32Array
    item_weights: Float32Array
    sums: Float64Array
    squares: Float64Array
    sizes: Float64Array

    @property
    def n_items(self) -> int:
        """Length of the catalog."""
        return len(self.item_offsets) - 1

    @property
    def n_shoppers(self) -> int:
        """Number of shoppers, with or without a history."""
        return len(self.shopper_offsets) - 1


def fit_shopper_index(user_items: csr_matrix[np.float32]) -> ShopperIndex:
    """Index histories by shopper and by item; there is nothing to learn. O(n).

    Raises
    ------
    EmptyInputError
        If nobody has anything.
    """
    if not user_items.nnz:
        raise EmptyInputError("no shopper has a history")
    by_item = user_items.tocsc()
    n_shoppers = int(user_items.shape[0])
    owner = np.repeat(np.arange(n_shoppers), np.diff(user_items.indptr))
    weights = user_items.data.astype(np.float64)
    return ShopperIndex(
        shopper_offsets=user_items.indptr.astype(np.int64),
        shopper_items=user_items.indices.astype(np.int32),
        shopper_weights=user_items.data.astype(np.float32),
        item_offsets=by_item.indptr.astype(np.int64),
        item_shoppers=by_item.indices.astype(np.int32),
        item_weights=by_item.data.astype(np.float32),
        sums=_sums(owner, weights, n_shoppers),
        squares=_sums(owner, weights**2, n_shoppers),
        sizes=np.bincount(owner, minlength=n_shoppers).astype(np.float64),
    )


def similar_shoppers(
    index: ShopperIndex,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    limit: int,
    measure: Measure = Measure.COSINE,
    k: int = 100,
    shrinkage: float = 0.0,
    amplification: float = 1.0,
    popularity_damping: float = 0.0,
    excluded_shopper: int = NO_ROW,
    max_history: int = 300,
) -> Candidates:
    """Items of the k shoppers most like a history, wherever that comes from.

    With c the number of items that both have and ``likeness`` as in `item_correlation`, over the
    catalog::

        s(u)     = likeness(history, u) * c / (c + shrinkage)
        score(j) = sum over the k largest s(u) of s(u) ** amplification * w(u, j)
                   / buyers(j) ** popularity_damping

    Costs the shoppers of the history's items and the items of k shoppers: O(sum of buyers + k h),
    and a pass over shoppers and catalog.

    Parameters
    ----------
    index : ShopperIndex
    rows, weights : int[h], float[h] or None
        Unknown rows are skipped; ``None`` means 1 each. Jaccard counts every item as 1.
    limit : int
    measure : Measure
    k : int
        Only shoppers who are alike at all are neighbours, of equal ones those with smaller rows.
    shrinkage : float >= 0
    amplification : float > 0
        Above 1 the nearest say more.
    popularity_damping : float in 0..1
        0: what many neighbours have. 1: what they have more often than others.
    excluded_shopper : int
        The shopper themselves: nobody is their own neighbour.
    max_history : int
        Only so many items of the history are used, those with the largest weights.

    Returns
    -------
    Candidates
        `because` is -1: shoppers speak for an item, not one item of the history.

    Raises
    ------
    InvalidInputError
        If `k` or `shrinkage` is out of range.

    Notes
    -----
    P. Resnick et al., "GroupLens: an open architecture for collaborative filtering of netnews",
    CSCW 1994; case amplification as in J. Breese, D. Heckerman, C. Kadie, "Empirical analysis of
    predictive algorithms for collaborative filtering", UAI 1998.

    Examples
    --------
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.float32))
    >>> similar_shoppers(fit_shopper_index(likes), [0], limit=2).rows.tolist()
    [0, 1]
    """
    if k < 1 or not shrinkage >= 0:
        raise InvalidInputError(f"k must be at least 1 and shrinkage not negative: {k, shrinkage}")
    mine, values = _known(index, rows, weights, max_history)
    if not len(mine) or limit <= 0:
        return Candidates.empty()
    shoppers, alike = _neighbours(index, mine, values, measure, shrinkage, excluded_shopper)
    best = best_positions(alike, k)
    shoppers, alike = shoppers[best], alike[best] ** amplification
    starts = index.shopper_offsets[shoppers]
    lengths = index.shopper_offsets[shoppers + 1] - starts
    places = ragged_positions(starts, lengths)
    votes = np.repeat(alike, lengths) * index.shopper_weights[places]
    scores = _sums(index.shopper_items[places], votes, index.n_items)
    if popularity_damping:
        buyers = np.maximum(np.diff(index.item_offsets), 1)
        scores = scores / buyers**popularity_damping
    found = scores.astype(np.float32)
    chosen = best_positions(found, limit)
    chosen = chosen[found[chosen] > 0]
    return Candidates(
        chosen.astype(np.int32), found[chosen], np.full(len(chosen), NO_ROW, np.int32)
    )


def _sums(rows: npt.NDArray[np.integer], values: Float64Array, n: int) -> Float64Array:
    """Values added up by row."""
    found: Float64Array = np.bincount(rows, values, minlength=n).astype(np.float64)
    return found


def _known(
    index: ShopperIndex, rows: npt.ArrayLike, weights: npt.ArrayLike | None, max_history: int
) -> tuple[Int64Array, Float64Array]:
    """Distinct known items and what they weigh: the largest weight where one is named twice."""
    given = np.asarray(rows, np.int64).reshape(-1)
    values = np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)
    kept = (given >= 0) & (given < index.n_items) & (values > 0)
    items, place = np.unique(given[kept], return_inverse=True)
    largest = np.zeros(len(items))
    np.maximum.at(largest, place, values[kept])
    if len(items) > max_history:
        best = np.sort(best_positions(largest, max_history))
        items, largest = items[best], largest[best]
    return items, largest


def _neighbours(
    index: ShopperIndex,
    mine: Int64Array,
    values: Float64Array,
    measure: Measure,
    shrinkage: float,
    excluded_shopper: int,
) -> tuple[Int64Array, Float64Array]:
    """Shoppers who are alike, ascending, and how much."""
    starts = index.item_offsets[mine]
    lengths = index.item_offsets[mine + 1] - starts
    places = ragged_positions(starts, lengths)
    holders = index.item_shoppers[places]
    shared = np.bincount(holders, minlength=index.n_shoppers).astype(np.float64)
    if measure is Measure.JACCARD:
        products, values = shared, np.ones(len(values))
        squares = sums = index.sizes
    else:
        spoken = np.repeat(values, lengths) * index.item_weights[places]
        products = _sums(holders, spoken, index.n_shoppers)
        squares, sums = index.squares, index.sums
    if 0 <= excluded_shopper < index.n_shoppers:
        shared[excluded_shopper] = 0
    shoppers = np.flatnonzero(shared > 0)
    alike = likeness(
        measure,
        products[shoppers],
        (float((values**2).sum()), squares[shoppers]),
        (float(values.sum()), sums[shoppers]),
        length=index.n_items,
    )
    if shrinkage:
        alike = alike * (shared[shoppers] / (shared[shoppers] + shrinkage))
    kept = alike > 0
    return shoppers[kept], alike[kept]
