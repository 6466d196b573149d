"""What sells, what is taking off, and the leaders of every category."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int32Array, Int64Array
from recommender.engine.weighting import time_decay


def decayed_counts(
    item_rows: npt.ArrayLike,
    timestamps_s: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    now_s: int,
    half_life_days: float | None,
    n_items: int,
    shopper_rows: npt.ArrayLike | None = None,
    once_per_days: float | None = None,
) -> Float32Array:
    """Events per item, each worth ``weight * 2 ** (-age / half life)``.

    Parameters
    ----------
    item_rows : int32[n]
        Negative rows are skipped.
    timestamps_s : int64[n], Unix seconds
        Times after `now_s` count as now.
    weights : float32[n] or None
        ``None`` means 1 each.
    now_s : int
    half_life_days : float > 0 or None
        ``None``: events don't age.
    n_items : int
    shopper_rows : int[n] or None
        With it every shopper counts once per item, by the largest of their events: one wholesaler
        is not a trend. Negative rows (unknown shoppers) count as one shopper each.
    once_per_days : float > 0 or None
        With it a shopper counts once per item and period of so many days instead of once ever.

    Returns
    -------
    float32[n_items]

    Examples
    --------
    >>> decayed_counts([0, 0, 1], [0, 86_400, 86_400], now_s=86_400, half_life_days=1, n_items=3,
    ...                shopper_rows=[7, 7, 7]).tolist()
    [1.0, 1.0, 0.0]
    """
    items = np.asarray(item_rows, dtype=np.int64)
    values = time_decay(timestamps_s, now_s=now_s, half_life_days=half_life_days)
    if weights is not None:
        values = values * np.asarray(weights, np.float32)
    kept = items >= 0
    items, values = items[kept], values[kept]
    if len(items) and int(items.max()) >= n_items:
        raise InvalidInputError(f"row {int(items.max())} is outside a catalog of {n_items} items")
    if shopper_rows is not None:
        shoppers = np.asarray(shopper_rows, dtype=np.int64)[kept]
        shoppers = np.where(shoppers < 0, -1 - np.arange(len(shoppers)), shoppers)
        periods = np.zeros(len(items), np.int64)
        if once_per_days is not None:
            seconds = np.asarray(timestamps_s, dtype=np.int64)[kept]
            periods = np.floor(seconds / (once_per_days * SECONDS_PER_DAY)).astype(np.int64)
        order = np.lexsort((-values, periods, shoppers, items))
        first = np.ones(len(items), np.bool_)
        first[1:] = False
        for key in (items[order], shoppers[order], periods[order]):
            first[1:] |= key[1:] != key[:-1]
        items, values = items[order][first], values[order][first]
    return np.bincount(items, weights=values, minlength=n_items).astype(np.float32)


def rising_scores(
    short_counts: Float32Array,
    long_counts: Float32Array,
    *,
    damping: float = 5.0,
    dispersion: float = 0.05,
    min_count: float = 2.0,
) -> Float32Array:
    """How far each item is above its own usual share of what is sold.

    ::

        expected = long count * sum(short counts) / sum(long counts)
        score    = (short count - expected) / sqrt(damping + expected + dispersion * expected²)

    the number of standard deviations by which a count surprises whoever expects the usual share.
    A bestseller that sells as always scores about 0, and so does everything when the whole shop
    sells twice as much; a newcomer with eight sales scores high, and one with a single sale doesn't
    count.

    Parameters
    ----------
    short_counts, long_counts : float32[n_items]
        `decayed_counts` of the same events at a short and a long half-life. They must grow with
        time alike, so shoppers may count once per day but not once ever (once ever saturates for
        bestsellers, which then look as if they rose).
    damping : float > 0
        Added to the variance, so that items which never sold don't divide by nothing.
    dispersion : float >= 0
        What real sales vary beyond a Poisson count: 0.05 is a standard deviation of 22 % of a
        large expectation.
    min_count : float
        Items with a smaller short count score 0.

    Returns
    -------
    float32[n_items]
        0 where the item isn't rising, never negative.

    Examples
    --------
    >>> short = np.array([100, 8, 1], np.float32)
    >>> usual = np.array([1000, 4, 0], np.float32)
    >>> rising_scores(short, usual).round(1).tolist()
    [0.0, 3.200000047683716, 0.0]
    """
    short = np.asarray(short_counts, np.float64)
    total = float(np.sum(long_counts, dtype=np.float64))
    if total <= 0:
        return np.zeros(len(short), np.float32)
    expected = np.asarray(long_counts, np.float64) * (short.sum() / total)
    scores = (short - expected) / np.sqrt(damping + expected + dispersion * expected**2)
    scores[short < min_count] = 0.0
    rising: Float32Array = np.maximum(scores, 0.0).astype(np.float32)
    return rising


def category_leaders(
    scores: Float32Array, category_codes: npt.ArrayLike, *, per_category: int
) -> tuple[Int64Array, Int32Array]:
    """The best items of every category, as one array with offsets.

    Parameters
    ----------
    scores : float32[n_items]
    category_codes : int32[n_items]
        ``-1`` means no category.
    per_category : int

    Returns
    -------
    offsets : int64[n_categories + 1]
        Codes run from 0 to the largest one given.
    rows : int32[total]
        Category c has ``rows[offsets[c]:offsets[c + 1]]``, best first, ties by ascending row;
        items without a positive score are left out.

    Examples
    --------
    >>> offsets, rows = category_leaders(np.array([1, 5, 2, 9], np.float32), [0, 0, 0, 1],
    ...                                  per_category=2)
    >>> offsets.tolist(), rows.tolist()
    ([0, 2, 3], [1, 2, 3])
    """
    codes = np.asarray(category_codes, dtype=np.int64)
    values = np.asarray(scores)
    if len(codes) != len(values):
        raise InvalidInputError(f"{len(codes)} categories don't fit {len(values)} scores")
    n_categories = int(codes.max(initial=-1)) + 1
    rows = np.flatnonzero((codes >= 0) & (values > 0))
    rows = rows[np.lexsort((rows, -values[rows], codes[rows]))]
    sizes = np.bincount(codes[rows], minlength=n_categories)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = place < per_category
    offsets = np.zeros(n_categories + 1, np.int64)
    np.cumsum(np.minimum(sizes, max(per_category, 0)), out=offsets[1:])
    return offsets, rows[kept].astype(np.int32)
