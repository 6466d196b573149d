"""What a shopper had to do with products: recent events and the past, each product once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.kernel import F32, I32, I64, N, helper, kernel
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int32Array, Int64Array

LOOKED: Final = 1
CARTED: Final = 2
BOUGHT: Final = 4
DEALINGS: Final = ("viewed", "viewed_now", "carted", "bought", "bought_times", "bought_days_ago")
"""The columns: 1 for what was looked at, looked at lately, put into a cart, bought; ``log(1 + times)``
and ``log(1 + days since)`` of what was bought, in the past if it was bought then, too."""


def dealings(
    event_rows: Int32Array,
    event_kinds: Int32Array,
    event_at_s: Int64Array,
    *,
    past_rows: Int32Array,
    past_counts: Int32Array,
    past_last_at_s: Int64Array,
    log_prices: Float32Array,
    now_s: int,
    lately_s: int,
) -> tuple[Int32Array, Float32Array, float]:
    """Every product of a shopper with what they did with it, and what they usually pay.

    Parameters
    ----------
    event_rows, event_kinds, event_at_s : int32[n], int32[n], int64[n]
        What happened lately; kinds are sums of `LOOKED`, `CARTED` and `BOUGHT`, 0 for anything else.
    past_rows, past_counts, past_last_at_s : int32[m], int32[m], int64[m]
        What was known before, each product once: how often it was bought (0: never), and when last.
        Negative rows are skipped.
    log_prices : float32[n_items]
        NaN without a price.
    now_s, lately_s : int
        An event is of late if it is less than `lately_s` seconds old.

    Returns
    -------
    rows : int32[h]
        The past in its order, then what is new in the events.
    did : float32[h, 6]
        See `DEALINGS`.
    usual_log_price : float
        The middle one of the prices of all of them, the upper of two; NaN if none has one.

    Raises
    ------
    InvalidInputError
        If arrays that belong together differ in length.

    Examples
    --------
    >>> none = np.empty(0, np.int32)
    >>> rows, did, usual = dealings(
    ...     np.array([2, 2], np.int32), np.array([LOOKED, CARTED], np.int32), np.array([5, 90]),
    ...     past_rows=none, past_counts=none, past_last_at_s=np.empty(0, np.int64),
    ...     log_prices=np.array([0, 1, 7], np.float32), now_s=100, lately_s=50)
    >>> rows.tolist(), did.tolist(), usual
    ([2], [[1.0, 0.0, 1.0, 0.0, 0.0, 0.0]], 7.0)
    """
    if not len(event_rows) == len(event_kinds) == len(event_at_s):
        raise InvalidInputError("rows, kinds and times of events differ in length")
    if not len(past_rows) == len(past_counts) == len(past_last_at_s):
        raise InvalidInputError("rows, counts and times of the past differ in length")
    rows, did, usual = _dealings(
        event_rows,
        event_kinds,
        event_at_s,
        past_rows,
        past_counts,
        past_last_at_s,
        log_prices,
        now_s,
        lately_s,
    )
    return rows, did, float(usual)


@helper
def _slot(table: Any, rows: Any, row: Any) -> Any:
    """Where a row stands in an open-addressed table, or where it would."""
    mask = len(table) - 1
    place = ((np.int64(row) * 2654435769) >> 8) & mask
    while table[place] >= 0 and rows[table[place]] != row:
        place = (place + 1) & mask
    return place


@helper
def _happen(did: Any, kind: Any, ago_s: Any, lately_s: Any) -> None:
    """One event of a product, in place."""
    if kind & LOOKED:
        did[0] = 1
        if ago_s < lately_s:
            did[1] = 1
    if kind & CARTED:
        did[2] = 1
    if kind & BOUGHT and did[3] == 0:
        did[3] = 1
        did[4] = np.log(np.float32(2))
        did[5] = np.log(np.float32(1 + max(ago_s, 0) / SECONDS_PER_DAY))


@helper
def _usual(log_prices: Any, rows: Any) -> Any:
    prices = np.empty(len(rows), np.float32)
    n = 0
    for row in rows:
        if not np.isnan(log_prices[row]):
            prices[n] = log_prices[row]
            n += 1
    if n == 0:
        return np.float32(np.nan)
    return np.sort(prices[:n])[n // 2]


@kernel(I32, I32, I64, I32, I32, I64, F32, N, N)
def _dealings(
    event_rows: Any,
    event_kinds: Any,
    event_at_s: Any,
    past_rows: Any,
    past_counts: Any,
    past_last_at_s: Any,
    log_prices: Any,
    now_s: int,
    lately_s: int,
) -> Any:
    """See `dealings`."""
    most = len(past_rows) + len(event_rows)
    size = 16
    while size < 2 * most:
        size *= 2
    table = np.full(size, -1, np.int32)
    rows = np.empty(most, np.int32)
    did = np.zeros((most, 6), np.float32)
    n = 0
    for i in range(len(past_rows)):
        row = past_rows[i]
        if row < 0:
            continue
        table[_slot(table, rows, row)] = n
        rows[n] = row
        if past_counts[i] > 0:
            days = max(now_s - past_last_at_s[i], 0) / SECONDS_PER_DAY
            did[n, 3] = 1
            did[n, 4] = np.log(np.float32(1 + past_counts[i]))
            did[n, 5] = np.log(np.float32(1 + days))
        n += 1
    for i in range(len(event_rows)):
        slot = _slot(table, rows, event_rows[i])
        if table[slot] < 0:
            table[slot] = n
            rows[n] = event_rows[i]
            n += 1
        _happen(did[table[slot]], event_kinds[i], now_s - event_at_s[i], lately_s)
    return rows[:n], did[:n], _usual(log_prices, rows[:n])
