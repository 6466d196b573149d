"""Every shopper's past, one line per item, ready to be served."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import ShopperHistory


def build_shopper_history(
    shopper_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    timestamps_s: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    is_purchase: npt.ArrayLike | None = None,
    n_shoppers: int,
) -> ShopperHistory:
    """Add up the events of each shopper and item.

    Costs one sort of the events.

    Parameters
    ----------
    shopper_rows, item_rows : int32[n]
        Lines with a negative row are skipped.
    timestamps_s : int64[n], Unix seconds
    weights : float32[n] or None
        ``None`` means 1 each.
    is_purchase : bool[n] or None
        What `counts` counts and `last_at_s` dates; ``None`` means all.
    n_shoppers : int

    Returns
    -------
    ShopperHistory

    Examples
    --------
    >>> history = build_shopper_history([1, 1, 1], [4, 4, 2], [10, 30, 20], [1, .1, .5],
    ...                                 is_purchase=[True, False, False], n_shoppers=2)
    >>> history.offsets.tolist(), history.item_rows.tolist(), history.counts.tolist()
    ([0, 0, 2], [2, 4], [0, 1])
    >>> history.weights.round(1).tolist(), history.last_at_s.tolist()
    ([0.5, 1.100000023841858], [20, 10])
    """
    shoppers = np.asarray(shopper_rows, np.int64)
    items = np.asarray(item_rows, np.int64)
    times = np.asarray(timestamps_s, np.int64)
    n = len(items)
    values = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    bought = np.ones(n, np.bool_) if is_purchase is None else np.asarray(is_purchase, np.bool_)
    if not len(shoppers) == n == len(times) == len(values) == len(bought):
        raise InvalidInputError("shopper_rows, item_rows, timestamps_s, weights differ in length")
    kept = (shoppers >= 0) & (items >= 0)
    if len(shoppers[kept]) and int(shoppers[kept].max()) >= n_shoppers:
        raise InvalidInputError(f"shopper {int(shoppers.max())} is outside {n_shoppers} shoppers")
    # Purchases last, so that the last line of a group dates the purchase if there is one.
    order = np.flatnonzero(kept)
    order = order[np.lexsort((times[order], bought[order], items[order], shoppers[order]))]
    shoppers, items = shoppers[order], items[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = (shoppers[1:] != shoppers[:-1]) | (items[1:] != items[:-1])
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    offsets = np.zeros(n_shoppers + 1, np.int64)
    np.cumsum(np.bincount(shoppers[ends], minlength=n_shoppers), out=offsets[1:])
    if not len(ends):
        starts = ends
    return ShopperHistory(
        offsets=offsets,
        item_rows=items[ends].astype(np.int32),
        weights=_group_sums(values[order], starts).astype(np.float32),
        counts=_group_sums(bought[order].astype(np.float64), starts).astype(np.int32),
        last_at_s=times[order][ends],
    )


def _group_sums(
    values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    return np.add.reduceat(values, starts) if len(starts) else np.empty(0)
