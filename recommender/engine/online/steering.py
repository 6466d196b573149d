"""What a merchant says about candidates: what they may cost, how good they must be, what is preferred."""

from __future__ import annotations

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import BoolArray, Float32Array, Int64Array

PRICE_BANDS = ("same", "up", "down")


def price_range(price_minor: int, kind: str, percent: int) -> tuple[int, int]:
    """What a product may cost beside one of a given price.

    Parameters
    ----------
    price_minor : int > 0
        Of the product in view.
    kind : one of ``PRICE_BANDS``
        "same" is up to `percent` cheaper or dearer, both ends included; "up" is dearer by up to
        `percent`, "down" cheaper by up to `percent`, the price itself not included.
    percent : int >= 0

    Returns
    -------
    (lowest, highest) : minor units, both included
        Whole units inside of the exact range, by integer arithmetic: 20 % of 9.99 is no rounding
        error away. Empty (lowest > highest) if no whole unit lies inside.

    Raises
    ------
    InvalidInputError
        For an unknown kind.

    Examples
    --------
    >>> price_range(1000, "same", 20), price_range(1000, "up", 50), price_range(1000, "down", 50)
    ((800, 1200), (1001, 1500), (500, 999))
    >>> price_range(999, "same", 10)
    (900, 1098)
    """
    if kind not in PRICE_BANDS:
        raise InvalidInputError(f"a price band is one of {', '.join(PRICE_BANDS)}, not {kind!r}")
    lowest = -(-price_minor * (100 - percent) // 100)
    highest = price_minor * (100 + percent) // 100
    if kind == "up":
        return price_minor + 1, highest
    if kind == "down":
        return max(lowest, 1), price_minor - 1
    return max(lowest, 1), highest


def relevant(scores: Float32Array, minimum: float) -> BoolArray:
    """Which candidates score at least a share of the best one.

    Parameters
    ----------
    scores : float32[n]
        Not negative, any scale.
    minimum : float in 0..1
        0 keeps everything, 1 only what is as good as the best.

    Returns
    -------
    bool[n]

    Examples
    --------
    >>> import numpy as np
    >>> relevant(np.array([2.0, 1.0, 0.5], np.float32), 0.5).tolist()
    [True, True, False]
    """
    kept: BoolArray = scores >= scores.max(initial=0.0) * minimum
    return kept


def preference_factors(values: Int64Array | Float32Array, strength: float) -> Float32Array:
    """What scores are multiplied with, so that candidates with high values move up.

    ``(1 - s) + s * r``, with s the strength and r the share of the candidates whose value is not
    above the candidate's own: 1 for the highest, 1/n for a lowest that stands alone. Ranks among the
    candidates instead of values, because sales and dates have no scale of their own: in a catalog
    whose newest product is a year old, "fresh" still means something. Costs O(n log n).

    Parameters
    ----------
    values : int64[n] or float32[n]
        Higher is preferred: a date, a number of sales. Equal values get equal factors.
    strength : float in 0..1
        0 changes nothing, 1 multiplies with the rank alone.

    Returns
    -------
    float32[n]
        In 0..1, never 0.

    Examples
    --------
    >>> import numpy as np
    >>> preference_factors(np.array([10, 30, 20, 20]), 0.5).tolist()
    [0.625, 1.0, 0.875, 0.875]
    """
    n = len(values)
    if not n:
        return np.empty(0, np.float32)
    not_above = np.searchsorted(np.sort(values), values, side="right") / n
    return ((1.0 - strength) + strength * not_above).astype(np.float32)
