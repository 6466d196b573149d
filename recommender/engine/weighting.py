"""How much one event says about what a shopper likes: type, age, quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int32Array

EVENT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "view_item": 0.1,
        "select_item": 0.1,
        "recommendation_click": 0.1,
        "add_to_cart": 0.5,
        "add_to_wishlist": 0.5,
        "begin_checkout": 0.5,
        "rate_item": 0.5,
        "purchase": 1.0,
        "search": 0.05,
        "remove_from_cart": -0.3,
        "hide_item": -2.0,
    }
)
"""Weight per event type; a type that isn't named counts 0 (lists, mere impressions). That of a
search is for each of the few products that it found first."""


def event_weights(
    type_names: Sequence[str], *, weights: Mapping[str, float] = EVENT_WEIGHTS
) -> Float32Array:
    """Weight of every event by its type.

    Parameters
    ----------
    type_names : sequence of n names
    weights : mapping of name to weight
        Types that it doesn't name weigh 0.

    Returns
    -------
    float32[n]

    Examples
    --------
    >>> event_weights(["purchase", "view_item", "view_item_list"]).round(1).tolist()
    [1.0, 0.10000000149011612, 0.0]
    """
    return np.fromiter(
        (weights.get(name, 0.0) for name in type_names), dtype=np.float32, count=len(type_names)
    )


def time_decay(
    timestamps_s: npt.ArrayLike, *, now_s: int, half_life_days: float | None
) -> Float32Array:
    """What is left of an event's weight at its age: ``2 ** (-age / half life)``.

    Parameters
    ----------
    timestamps_s : int64[n], Unix seconds
        Times after `now_s` count as now.
    now_s : int, Unix seconds
    half_life_days : float > 0, days
        ``None`` means that events don't age.

    Returns
    -------
    float32[n], in 0..1

    Raises
    ------
    InvalidInputError
        If the half-life isn't positive.

    Examples
    --------
    >>> time_decay([0, 86_400, 2 * 86_400], now_s=86_400, half_life_days=1).tolist()
    [0.5, 1.0, 1.0]
    """
    times = np.asarray(timestamps_s, dtype=np.int64)
    if half_life_days is None:
        return np.ones(len(times), np.float32)
    if not half_life_days > 0:
        raise InvalidInputError(f"half_life_days must be positive, not {half_life_days}")
    age_days = np.maximum(now_s - times, 0) / SECONDS_PER_DAY
    return np.exp2(-age_days / half_life_days).astype(np.float32)


def quantity_damping(quantities: npt.ArrayLike) -> Float32Array:
    """Weight of a quantity: ``1 + ln(q)``, so that a case of twelve isn't twelve wishes.

    Parameters
    ----------
    quantities : float[n]
        Below 1 counts as 1: that somebody bought is known, whatever the feed says.

    Returns
    -------
    float32[n], at least 1

    Examples
    --------
    >>> quantity_damping([0, 1, 12]).round(2).tolist()
    [1.0, 1.0, 3.4800000190734863]
    """
    return (1.0 + np.log(np.maximum(np.asarray(quantities, np.float64), 1.0))).astype(np.float32)


def sum_duplicates(
    item_rows: npt.ArrayLike, weights: npt.ArrayLike
) -> tuple[Int32Array, Float32Array]:
    """Add up the weights of each item.

    Parameters
    ----------
    item_rows : int32[n]
    weights : float32[n]

    Returns
    -------
    int32[m], float32[m]
        Distinct rows ascending, and their sums.

    Examples
    --------
    >>> rows, sums = sum_duplicates([7, 3, 7], [1.0, 0.5, 0.5])
    >>> rows.tolist(), sums.tolist()
    ([3, 7], [0.5, 1.5])
    """
    rows, places = np.unique(np.asarray(item_rows, np.int32), return_inverse=True)
    sums = np.bincount(places, weights=np.asarray(weights, np.float64), minlength=len(rows))
    return rows, sums.astype(np.float32)
