"""From a stream of events to sessions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import ragged_positions
from recommender.engine.types import NO_ROW, Int64Array, Sessions

SILENCE_S = 30 * 60
"""The half hour that web analytics has agreed upon."""


def segment_sessions(
    shopper_rows: npt.ArrayLike,
    times_s: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    *,
    session_ids: npt.ArrayLike | None = None,
    silence_s: int = SILENCE_S,
) -> Sessions:
    """Cut every shopper's events wherever nothing happened for a while.

    Costs a sort of the events, and one more if there are session ids.

    Parameters
    ----------
    shopper_rows, times_s, item_rows : int[n]
        Events in any order. Those of one shopper and one second keep the order in which they are
        given, so the lines of an order stay as they were. Negative item rows take part in the
        clock, but not in the session.
    session_ids : int[n] or None
        A session that the caller knows, ``-1`` where it doesn't. Events of one shopper with one
        such id are one session whatever their gaps, and apart from all others.
    silence_s : int
        Two events further apart than this are of different sessions.

    Returns
    -------
    Sessions
        Ordered by the time of their last event, equal ones by shopper. Sessions without an item
        are left out.

    Raises
    ------
    InvalidInputError
        If the arrays differ in length.

    Examples
    --------
    >>> found = segment_sessions([7, 7, 8, 7], [0, 60, 90, 4000], [1, 2, 3, 4])
    >>> found.offsets.tolist(), found.item_rows.tolist(), found.times_s.tolist()
    ([0, 2, 3, 4], [1, 2, 3, 4], [60, 90, 4000])
    """
    shoppers = np.asarray(shopper_rows, np.int64).reshape(-1)
    times = np.asarray(times_s, np.int64).reshape(-1)
    items = np.asarray(item_rows, np.int64).reshape(-1)
    given = np.full(len(items), NO_ROW, np.int64)
    if session_ids is not None:
        given = np.maximum(np.asarray(session_ids, np.int64).reshape(-1), NO_ROW)
    if not len(shoppers) == len(times) == len(items) == len(given):
        raise InvalidInputError(
            f"shoppers, times, items and session ids differ in length: "
            f"{len(shoppers)}, {len(times)}, {len(items)}, {len(given)}"
        )
    if not len(items):
        return empty_sessions()
    order = _order(shoppers, times) if session_ids is None else np.lexsort((times, given, shoppers))
    shoppers, times, items, given = shoppers[order], times[order], items[order], given[order]
    begins = np.ones(len(items), np.bool_)
    begins[1:] = (shoppers[1:] != shoppers[:-1]) | (given[1:] != given[:-1])
    begins[1:] |= (given[1:] == NO_ROW) & (times[1:] - times[:-1] > silence_s)
    owner = np.cumsum(begins) - 1
    ends_s = times[np.append(np.flatnonzero(begins)[1:], len(items)) - 1]
    known = items >= 0
    sizes = np.bincount(owner[known], minlength=len(ends_s))
    return _take(
        Sessions(_offsets(sizes), items[known].astype(np.int32), ends_s),
        np.argsort(ends_s, kind="stable"),
    )


def closed_before(sessions: Sessions, now_s: int, *, silence_s: int = SILENCE_S) -> Sessions:
    """Sessions that nothing can join any more, because their shopper has been silent.

    Only these may be counted: a session that is counted twice, first in part and then whole, would
    count its beginning twice.

    Examples
    --------
    >>> found = segment_sessions([1, 2], [0, 5000], [3, 4])
    >>> closed_before(found, 5600).item_rows.tolist()
    [3]
    """
    return _take(sessions, np.flatnonzero(sessions.times_s < now_s - silence_s))


def join_sessions(earlier: Sessions, later: Sessions) -> Sessions:
    """Both, one after the other.

    Examples
    --------
    >>> a = Sessions(np.array([0, 1]), np.array([5], np.int32), np.array([1]))
    >>> join_sessions(a, a).offsets.tolist()
    [0, 1, 2]
    """
    return Sessions(
        np.concatenate([earlier.offsets, later.offsets[1:] + earlier.offsets[-1]]),
        np.concatenate([earlier.item_rows, later.item_rows]),
        np.concatenate([earlier.times_s, later.times_s]),
    )


def empty_sessions() -> Sessions:
    """No session at all."""
    return Sessions(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))


def take_sessions(sessions: Sessions, first: int, last: int) -> Sessions:
    """Sessions number `first` to before `last`; their clicks are not copied.

    Examples
    --------
    >>> all_of_them = segment_sessions([1, 2], [0, 9], [3, 4])
    >>> take_sessions(all_of_them, 1, 2).item_rows.tolist()
    [4]
    """
    offsets = sessions.offsets[first : last + 1]
    return Sessions(
        offsets - offsets[0],
        sessions.item_rows[int(offsets[0]) : int(offsets[-1])],
        sessions.times_s[first:last],
    )


def _order(shoppers: Int64Array, times: Int64Array) -> Int64Array:
    """By shopper, then by time, then as they were."""
    span = int(times.max()) - int(times.min()) + 1
    if int(np.abs(shoppers).max()) >= np.iinfo(np.int64).max // span - 1:
        return np.lexsort((times, shoppers))
    # Both in one number: one sort instead of two.
    return np.argsort(shoppers * span + (times - times.min()), kind="stable")


def _take(sessions: Sessions, chosen: Int64Array) -> Sessions:
    """The chosen sessions that hold an item, in the chosen order."""
    sizes = np.diff(sessions.offsets)
    chosen = chosen[sizes[chosen] > 0]
    positions = ragged_positions(sessions.offsets[chosen], sizes[chosen])
    return Sessions(
        _offsets(sizes[chosen]), sessions.item_rows[positions], sessions.times_s[chosen]
    )


def _offsets(sizes: npt.NDArray[np.integer]) -> Int64Array:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets
