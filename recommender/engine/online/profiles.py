"""The shopper's own past: what is running out, and the history with the last minutes folded in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import best_rows
from recommender.engine.types import SECONDS_PER_DAY, Candidates, Float32Array, Int32Array


def buy_again(
    rows: npt.ArrayLike,
    counts: npt.ArrayLike,
    last_at_s: npt.ArrayLike,
    *,
    interval_days: Float32Array,
    repeat_probability: Float32Array,
    now_s: int,
    limit: int,
    frequency_exponent: float = 1.0,
    repeat_exponent: float = 0.25,
    urgency: float = 0.25,
    demand: Float32Array | None = None,
    demand_exponent: float = 0.3,
    min_days: float = 0.0,
) -> Candidates:
    """What the shopper bought before and is likely to need now.

    ::

        r     = days since the last purchase / usual interval of the item
        due   = 2 r / (1 + r²)
        score = count ** frequency_exponent * repeat_probability ** repeat_exponent * due ** urgency
                * (1 + demand) ** demand_exponent

    `due` is 0 right after a purchase, 1 when the usual interval has passed, and falls again for
    what was given up long ago. Costs O(h) for a history of h items.

    Parameters
    ----------
    rows : int32[h]
        Items that the shopper bought, each once; unknown rows (negative, or beyond the model) are
        skipped.
    counts : int or float[h]
        Purchases of the item, decayed or not; items of 0 or less are skipped.
    last_at_s : int64[h], Unix seconds
        The last purchase.
    interval_days, repeat_probability : float32[n_items]
        As in `RepeatModel`.
    now_s : int, Unix seconds
    limit : int
    frequency_exponent, repeat_exponent, urgency, demand_exponent : float >= 0
        0 ignores the factor: with 1 and three zeros these are the shopper's most frequent products.
    demand : float32[n_items] or None
        What everybody buys of the item lately (`decayed_counts` of some 30 days). Seasonal goods
        that were bought often in their season drop behind. ``None`` ignores it.
    min_days : float
        Items bought more recently than this are left out.

    Returns
    -------
    Candidates
        Items with a positive score; `because` is the item itself. Ties by ascending row. Empty for
        an empty history.

    Notes
    -----
    That one's own most frequent products are hard to beat: J. Li et al., "A Next Basket
    Recommendation Reality Check", TOIS 2023.

    Examples
    --------
    >>> days = np.array([7, 7, 100], np.float32)
    >>> found = buy_again([0, 1, 2], [3, 3, 3], [0, 6 * 86_400, 0], interval_days=days,
    ...                   repeat_probability=np.full(3, .5, np.float32), now_s=7 * 86_400, limit=3)
    >>> found.rows.tolist()
    [0, 1, 2]
    """
    items = np.asarray(rows, dtype=np.int64).reshape(-1)
    bought = np.asarray(counts, dtype=np.float64).reshape(-1)
    last = np.asarray(last_at_s, dtype=np.int64).reshape(-1)
    if not len(items) == len(bought) == len(last):
        raise InvalidInputError(
            f"rows, counts and last_at_s differ in length: {len(items)}, {len(bought)}, {len(last)}"
        )
    gap_days = np.maximum(now_s - last, 0) / SECONDS_PER_DAY
    kept = (items >= 0) & (items < len(interval_days)) & (gap_days >= min_days) & (bought > 0)
    items, bought, gap_days = items[kept], bought[kept], gap_days[kept]
    ratio = gap_days / np.asarray(interval_days)[items]
    due = 2.0 * ratio / (1.0 + ratio * ratio)
    scores = bought**frequency_exponent * due**urgency
    scores *= np.asarray(repeat_probability)[items].astype(np.float64) ** repeat_exponent
    if demand is not None:
        scores *= (1.0 + np.asarray(demand)[items].astype(np.float64)) ** demand_exponent
    best = best_rows(items, scores, limit)
    best = best[scores[best] > 0]
    found = items[best].astype(np.int32)
    return Candidates(found, scores[best].astype(np.float32), found)


def fold_events(
    history_rows: npt.ArrayLike,
    history_weights: npt.ArrayLike,
    event_rows: npt.ArrayLike,
    event_weights: npt.ArrayLike,
    *,
    session_share: float | None = None,
) -> tuple[Int32Array, Float32Array]:
    """The history of a shopper with the events of the running session added.

    Parameters
    ----------
    history_rows, history_weights : int32[h], float32[h]
        What the nightly run knows.
    event_rows, event_weights : int32[e], float32[e]
        What happened since, in any order; an item may occur many times. Negative rows are skipped.
    session_share : float in 0..1 or None
        Scales the events so that their absolute weights are this share of all. Without it a long
        history of purchases drowns three views, and nothing on the page would move. ``None`` adds
        the weights as they are. Ignored when history or events are empty.

    Returns
    -------
    int32[n], float32[n]
        Distinct rows ascending, and their weights; items whose weights cancel out are dropped.

    Examples
    --------
    >>> rows, weights = fold_events([1, 5], [2.0, 2.0], [7, 5], [0.1, 0.1], session_share=0.5)
    >>> rows.tolist(), weights.tolist()
    ([1, 5, 7], [2.0, 4.0, 2.0])
    """
    past = np.asarray(history_rows, dtype=np.int32).reshape(-1)
    past_weights = np.asarray(history_weights, dtype=np.float64).reshape(-1)
    new = np.asarray(event_rows, dtype=np.int32).reshape(-1)
    new_weights = np.asarray(event_weights, dtype=np.float64).reshape(-1)
    if session_share is not None and len(past) and len(new):
        if not 0 <= session_share < 1:
            raise InvalidInputError(f"session_share must be in 0..1 (below 1), not {session_share}")
        size = np.abs(new_weights).sum()
        if size > 0:
            wanted = np.abs(past_weights).sum() * session_share / (1.0 - session_share)
            new_weights = new_weights * (wanted / size)
    items = np.concatenate([past, new])
    known = items >= 0
    rows, places = np.unique(items[known], return_inverse=True)
    values = np.concatenate([past_weights, new_weights])[known]
    sums = np.bincount(places, weights=values, minlength=len(rows)).astype(np.float32)
    return rows[sums != 0], sums[sums != 0]
