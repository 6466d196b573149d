"""The shopper's own past: what is running out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.online import compiled
from recommender.engine.types import Candidates, Float32Array


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
    That one's own most frequent products are hard to beat: M. Li et al., "A Next Basket
    Recommendation Reality Check", TOIS 2023.

    Examples
    --------
    >>> days = np.array([7, 7, 100], np.float32)
    >>> found = buy_again([0, 1, 2], [3, 3, 3], [0, 6 * 86_400, 0], interval_days=days,
    ...                   repeat_probability=np.full(3, .5, np.float32), now_s=7 * 86_400, limit=3)
    >>> found.rows.tolist()
    [0, 1, 2]
    """
    items = np.ascontiguousarray(rows, dtype=np.int32).reshape(-1)
    bought = np.ascontiguousarray(counts, dtype=np.float64).reshape(-1)
    last = np.ascontiguousarray(last_at_s, dtype=np.int64).reshape(-1)
    if not len(items) == len(bought) == len(last):
        raise InvalidInputError(
            f"rows, counts and last_at_s differ in length: {len(items)}, {len(bought)}, {len(last)}"
        )
    found, scores = compiled.due(
        items,
        bought,
        last,
        np.ascontiguousarray(interval_days, np.float32),
        np.ascontiguousarray(repeat_probability, np.float32),
        _NO_DEMAND if demand is None else np.ascontiguousarray(demand, np.float32),
        now_s,
        min_days,
        frequency_exponent,
        repeat_exponent,
        urgency,
        demand_exponent,
        limit,
    )
    return Candidates(found, scores, found)


_NO_DEMAND = np.empty(0, np.float32)
