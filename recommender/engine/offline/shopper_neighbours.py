"""What do people like me buy? Indexing histories, so that shoppers who are alike are found by them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.selection import best_positions
from recommender.engine.types import Float64Array, Int32Array, ShopperHistory, ShopperIndex


def fit_shopper_index(user_items: csr_matrix[np.float32]) -> ShopperIndex:
    """Index histories by shopper and by item; there is nothing to learn. O(n).

    Asked by `online.shopper_neighbours.similar_shoppers`. Lines whose weight isn't above 0 are left
    out.

    Raises
    ------
    EmptyInputError
        If nobody has anything.
    """
    if not (user_items.data > 0).all():
        user_items = user_items.copy()
        user_items.data = np.maximum(user_items.data, 0)
        user_items.eliminate_zeros()
    if not user_items.nnz:
        raise EmptyInputError("no shopper has a history")
    return _indexed(user_items)


def _indexed(user_items: csr_matrix[np.float32]) -> ShopperIndex:
    if not user_items.has_sorted_indices:
        user_items = user_items.sorted_indices()
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


def index_shopper_history(
    history: ShopperHistory, *, n_items: int, max_shoppers: int, max_items: int
) -> tuple[Int32Array, ShopperIndex]:
    """An index of bounded size for serving: who came last, and what they like best.

    A line takes 16 bytes and a shopper 36, so the index takes at most
    ``max_shoppers * (16 * max_items + 36)`` bytes and 8 per item. Costs one sort of the lines.

    Parameters
    ----------
    history : ShopperHistory
        Lines whose weight isn't above 0 are left out, and shoppers who have one item alone: they
        have nothing to tell to whoever shares it.
    n_items : int
    max_shoppers : int >= 1
        Those with the newest `last_at_s` of all their lines; of equal ones those with smaller
        numbers.
    max_items : int >= 2
        Of every shopper those with the largest weights, of equal ones those with smaller rows.

    Returns
    -------
    places : int32[m], ascending
        The number in `history` of every shopper of the index: rows of the index name nobody.
    index : ShopperIndex
        Of the square roots of the weights: ten orders of one item are no ten likings. Empty if
        nobody likes two items.

    Raises
    ------
    InvalidInputError
        If there may be no shopper, or not two items of one.

    Examples
    --------
    >>> history = ShopperHistory(np.array([0, 1, 3, 6]), np.array([0, 0, 1, 0, 1, 2], np.int32),
    ...     np.array([1, 1, 1, 4, 1, 9], np.float32), np.ones(6, np.int32), np.arange(6))
    >>> places, index = index_shopper_history(history, n_items=3, max_shoppers=1, max_items=2)
    >>> places.tolist(), index.shopper_items.tolist(), index.shopper_weights.tolist()
    ([2], [0, 2], [2.0, 3.0])
    """
    if max_shoppers < 1 or max_items < 2:
        raise InvalidInputError(f"caps are at least 1 shopper, 2 items: {max_shoppers, max_items}")
    owner = np.repeat(np.arange(history.n_shoppers), np.diff(history.offsets))
    kept = history.weights > 0
    kept &= np.bincount(owner[kept], minlength=history.n_shoppers)[owner] > 1
    owner, items, weights = owner[kept], history.item_rows[kept], history.weights[kept]
    last_at_s = np.full(history.n_shoppers, np.iinfo(np.int64).min)
    np.maximum.at(last_at_s, owner, history.last_at_s[kept])
    who = np.unique(owner)
    places = np.sort(who[best_positions(last_at_s[who].astype(np.float64), max_shoppers)])
    order = np.lexsort((items, -weights, owner))
    owner, items, weights = owner[order], items[order], weights[order]
    chosen = np.arange(len(owner)) - np.searchsorted(owner, owner) < max_items
    chosen &= np.isin(owner, places)
    user_items = csr_matrix(
        (np.sqrt(weights[chosen]), (np.searchsorted(places, owner[chosen]), items[chosen])),
        shape=(len(places), n_items),
        dtype=np.float32,
    )
    return places.astype(np.int32), _indexed(user_items)


def _sums(rows: npt.NDArray[np.integer], values: Float64Array, n: int) -> Float64Array:
    """Values added up by row."""
    found: Float64Array = np.bincount(rows, values, minlength=n).astype(np.float64)
    return found
