"""How often and after how long shoppers buy the same item again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.types import (
    SECONDS_PER_DAY,
    Float32Array,
    Float64Array,
    Int64Array,
    RepeatModel,
)

DEFAULT_INTERVAL_DAYS = 30.0
"""Where nothing was ever bought twice."""


def fit_repeat(
    shopper_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    timestamps_s: npt.ArrayLike,
    *,
    n_items: int,
    category_codes: npt.ArrayLike | None = None,
    prior_gaps: float = 10.0,
    prior_buyers: float = 20.0,
    min_gap_days: float = 1.0,
) -> RepeatModel:
    """Typical interval and chance of a repeat purchase, per item.

    The interval is the geometric mean of the gaps between two purchases of the item by one
    shopper (for the skewed gaps of purchases close to the median, and as one sum per item cheap).
    It is pulled towards the category's mean as if `prior_gaps` gaps had been seen there, and the
    category's likewise towards that of the whole shop. The chance is
    ``(buyers who bought again + prior * category rate) / (buyers + prior)``.
    Costs one sort of the purchases.

    Parameters
    ----------
    shopper_rows, item_rows : int32[n]
        One line per purchase; lines with a negative row are skipped.
    timestamps_s : int64[n], Unix seconds
    n_items : int
    category_codes : int32[n_items] or None
        ``-1`` means no category. ``None``: everything is pulled towards the shop's mean.
    prior_gaps, prior_buyers : float > 0
        How many observations the pull is worth.
    min_gap_days : float
        Purchases closer than this are one purchase.

    Returns
    -------
    RepeatModel
        For items that nobody bought: the interval and the chance of their category or shop; 30
        days and 0 if nothing was ever bought again.

    Examples
    --------
    >>> day = 86_400
    >>> model = fit_repeat([0, 0, 1], [5, 5, 5], [0, 10 * day, 0], n_items=6)
    >>> float(model.interval_days[5].round(1)), float(model.repeat_probability[5].round(2))
    (10.0, 0.5)
    """
    items, gaps, is_first = _gaps(shopper_rows, item_rows, timestamps_s, min_gap_days)
    # Code 0 is "no category".
    given = np.full(n_items, -1) if category_codes is None else np.asarray(category_codes, np.int64)
    codes = given + 1
    n_codes = int(codes.max(initial=0)) + 1

    repeated = items[~is_first]
    logs = np.log(gaps[~is_first])
    log_interval = _shrunk_mean(
        np.bincount(repeated, weights=logs, minlength=n_items).astype(np.float64),
        np.bincount(repeated, minlength=n_items).astype(np.float64),
        codes,
        n_codes,
        prior_gaps,
        if_nothing=float(np.log(DEFAULT_INTERVAL_DAYS)),
    )
    # A buyer's second purchase is the one that follows their first.
    second = np.zeros(len(items), np.bool_)
    second[1:] = is_first[:-1] & ~is_first[1:]
    probability = _shrunk_mean(
        np.bincount(items[second], minlength=n_items).astype(np.float64),
        np.bincount(items[is_first], minlength=n_items).astype(np.float64),
        codes,
        n_codes,
        prior_buyers,
        if_nothing=0.0,
    )
    return RepeatModel(
        np.exp(log_interval).astype(np.float32), np.clip(probability, 0, 1).astype(np.float32)
    )


def _gaps(
    shopper_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    timestamps_s: npt.ArrayLike,
    min_gap_days: float,
) -> tuple[Int64Array, Float64Array, npt.NDArray[np.bool_]]:
    """Item, days since the same shopper's last purchase of it, and whether it is their first."""
    shoppers = np.asarray(shopper_rows, np.int64)
    items = np.asarray(item_rows, np.int64)
    times = np.asarray(timestamps_s, np.int64)
    kept = (shoppers >= 0) & (items >= 0)
    shoppers, items, times = shoppers[kept], items[kept], times[kept]
    order = np.lexsort((times, items, shoppers))
    shoppers, items, times = shoppers[order], items[order], times[order]
    is_first = np.ones(len(items), np.bool_)
    is_first[1:] = (items[1:] != items[:-1]) | (shoppers[1:] != shoppers[:-1])
    gaps = np.zeros(len(items), np.float64)
    gaps[1:] = np.diff(times) / SECONDS_PER_DAY
    own = is_first | (gaps >= min_gap_days)
    return items[own], gaps[own], is_first[own]


def _shrunk_mean(
    sums: Float64Array,
    counts: Float64Array,
    codes: Int64Array,
    n_codes: int,
    prior: float,
    *,
    if_nothing: float,
) -> Float64Array:
    """Mean per item, pulled towards its category's mean, which is pulled towards the total."""
    total = float(counts.sum())
    overall = float(sums.sum()) / total if total else if_nothing
    code_sums = np.bincount(codes, weights=sums, minlength=n_codes)
    code_counts = np.bincount(codes, weights=counts, minlength=n_codes)
    code_mean = (code_sums + prior * overall) / (code_counts + prior)
    shrunk: Float64Array = (sums + prior * code_mean[codes]) / (counts + prior)
    return shrunk


def constant_repeat(n_items: int, *, interval_days: float = DEFAULT_INTERVAL_DAYS) -> RepeatModel:
    """A model for a shop that knows nothing about repeats yet: every item alike."""
    ones: Float32Array = np.ones(n_items, np.float32)
    return RepeatModel(ones * np.float32(interval_days), ones)
