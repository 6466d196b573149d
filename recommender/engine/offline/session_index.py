"""The index that session neighbours are looked up in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import ragged_positions
from recommender.engine.types import NO_ROW, Float32Array, SessionIndex, Sessions


def build_session_index(
    session_offsets: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    session_times_s: npt.ArrayLike,
    *,
    n_items: int,
    max_sessions_per_item: int = 500,
    min_session_items: int = 1,
) -> SessionIndex:
    """Sessions by time, and for every item the most recent sessions that hold it.

    Costs two sorts of the clicks.

    Parameters
    ----------
    session_offsets : int64[n_sessions + 1]
    item_rows : int32[n_clicks]
        Oldest first within a session; negative rows are skipped. Of several clicks on one item the
        last one counts.
    session_times_s : int64[n_sessions]
        End of the session; sessions of equal time keep their order.
    n_items : int
    max_sessions_per_item : int
        Bounds the work of a query.
    min_session_items : int
        Sessions with fewer distinct items are left out; one item alone can still bring the
        shopper back to it.

    Returns
    -------
    SessionIndex
        Arrays only, so it can be written as files and memory-mapped.

    Raises
    ------
    InvalidInputError
        If offsets, clicks and times don't fit each other, or a row is beyond `n_items`.

    Examples
    --------
    >>> index = build_session_index([0, 3, 5], [0, 1, 0, 1, 2], [20, 10], n_items=3)
    >>> index.session_items.tolist(), index.item_sessions.tolist()
    ([1, 2, 1, 0], [1, 1, 0, 0])
    """
    offsets = np.asarray(session_offsets, np.int64)
    clicks = np.asarray(item_rows, np.int64)
    times = np.asarray(session_times_s, np.int64)
    _check(offsets, clicks, times, n_items)
    by_time = np.argsort(times, kind="stable")
    number = np.empty(len(times), np.int64)
    number[by_time] = np.arange(len(times))
    owner = np.repeat(number, np.diff(offsets))
    owner, items = _last_occurrences(owner, clicks)

    sizes = np.bincount(owner, minlength=len(times))
    kept_sessions = np.flatnonzero(sizes >= max(min_session_items, 1))
    renumbered = np.full(len(times), NO_ROW, np.int64)
    renumbered[kept_sessions] = np.arange(len(kept_sessions))
    owner = renumbered[owner]
    kept = owner >= 0
    owner, items = owner[kept], items[kept]

    # Clicks ascend by session, so walking backwards is from the most recent one.
    order = np.argsort(items[::-1], kind="stable")
    by_item = items[::-1][order]
    counts = np.bincount(items, minlength=n_items)
    place = np.arange(len(by_item)) - np.repeat(np.cumsum(counts) - counts, counts)
    item_sessions = owner[::-1][order][place < max_sessions_per_item]
    item_offsets = np.zeros(n_items + 1, np.int64)
    np.cumsum(np.minimum(counts, max_sessions_per_item), out=item_offsets[1:])
    session_starts = np.zeros(len(kept_sessions) + 1, np.int64)
    np.cumsum(sizes[kept_sessions], out=session_starts[1:])
    return SessionIndex(
        item_offsets=item_offsets,
        item_sessions=item_sessions.astype(np.int32),
        session_offsets=session_starts,
        session_items=items.astype(np.int32),
        session_times_s=times[by_time][kept_sessions],
        idf=_idf(counts, len(kept_sessions)),
    )


def extend_session_index(
    index: SessionIndex,
    new_sessions: Sessions,
    *,
    n_items: int,
    max_sessions_per_item: int = 500,
    min_session_items: int = 1,
) -> SessionIndex:
    """The index that a build over the old and the new sessions would have made.

    Costs a build over the new sessions and one copy of the old arrays, no sort of them.

    Parameters
    ----------
    index : SessionIndex
        Built or extended with the same `max_sessions_per_item` and `min_session_items`.
    new_sessions : Sessions
        None of them older than the newest session of `index`, and none of them counted before.
    n_items : int
        At least ``index.n_items``: new items are rows at the end.

    Returns
    -------
    SessionIndex
        New arrays; `index` stays as it is, so a process that has it mapped goes on with it.

    Raises
    ------
    InvalidInputError
        If a new session is older than the index, or the catalog has shrunk.

    Examples
    --------
    >>> index = build_session_index([0, 2], [0, 1], [10], n_items=2)
    >>> later = Sessions(np.array([0, 2]), np.array([1, 2], np.int32), np.array([20]))
    >>> grown = extend_session_index(index, later, n_items=3)
    >>> grown.item_sessions.tolist(), grown.item_offsets.tolist()
    ([0, 1, 0, 1], [0, 1, 3, 4])
    """
    if n_items < index.n_items:
        raise InvalidInputError(f"a catalog of {index.n_items} items can't shrink to {n_items}")
    fresh = build_session_index(
        new_sessions.offsets,
        new_sessions.item_rows,
        new_sessions.times_s,
        n_items=n_items,
        max_sessions_per_item=max_sessions_per_item,
        min_session_items=min_session_items,
    )
    old_times, new_times = index.session_times_s, fresh.session_times_s
    if len(old_times) and len(new_times) and int(new_times[0]) < int(old_times[-1]):
        raise InvalidInputError(
            f"a session of {int(new_times[0])} is older than the index, {int(old_times[-1])}"
        )
    item_offsets, item_sessions = _newest_postings(
        fresh, index, n_items=n_items, at_most=max_sessions_per_item
    )
    n_sessions = len(old_times) + len(new_times)
    counts = _sessions_of_items(fresh, n_items) + _sessions_of_items(index, n_items)
    return SessionIndex(
        item_offsets=item_offsets,
        item_sessions=item_sessions,
        session_offsets=np.concatenate(
            [index.session_offsets, fresh.session_offsets[1:] + index.session_offsets[-1]]
        ),
        session_items=np.concatenate([index.session_items, fresh.session_items]),
        session_times_s=np.concatenate([old_times, new_times]),
        idf=_idf(counts, n_sessions),
    )


def _newest_postings(
    fresh: SessionIndex, index: SessionIndex, *, n_items: int, at_most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The new postings of every item and then, as far as there is room, its old ones."""
    new = np.diff(fresh.item_offsets)
    old = np.zeros(n_items, np.int64)
    old[: index.n_items] = np.diff(index.item_offsets)
    old = np.minimum(old, at_most - new)
    offsets = np.zeros(n_items + 1, np.int64)
    np.cumsum(new + old, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.int32)
    shift = len(index.session_times_s)
    out[ragged_positions(offsets[:-1], new)] = fresh.item_sessions + shift
    old_starts = np.zeros(n_items, np.int64)
    old_starts[: index.n_items] = index.item_offsets[:-1]
    kept = np.asarray(index.item_sessions)[ragged_positions(old_starts, old)]
    out[ragged_positions(offsets[:-1] + new, old)] = kept
    return offsets, out


def _sessions_of_items(index: SessionIndex, n_items: int) -> npt.NDArray[np.int64]:
    """How many sessions hold each item, also those beyond the limit of the postings.

    The idf says it: float32 is exact enough to tell whole numbers below some hundred thousand.
    """
    counts = np.zeros(n_items, np.int64)
    postings = np.diff(index.item_offsets)
    said = np.rint(len(index.session_times_s) * np.exp(-index.idf.astype(np.float64)))
    counts[: index.n_items] = np.where(postings > 0, said, 0)
    return counts


def _last_occurrences(
    owner: npt.NDArray[np.int64], clicks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sessions ascending, and in each its distinct items by their last click."""
    position = np.arange(len(clicks))
    kept = clicks >= 0
    owner, clicks, position = owner[kept], clicks[kept], position[kept]
    order = np.lexsort((position, clicks, owner))
    owner, clicks, position = owner[order], clicks[order], position[order]
    is_last = np.ones(len(owner), np.bool_)
    is_last[:-1] = (owner[1:] != owner[:-1]) | (clicks[1:] != clicks[:-1])
    owner, clicks, position = owner[is_last], clicks[is_last], position[is_last]
    order = np.lexsort((position, owner))
    return owner[order], clicks[order]


def _idf(counts: npt.NDArray[np.int64], n_sessions: int) -> Float32Array:
    idf = np.zeros(len(counts), np.float32)
    seen = counts > 0
    idf[seen] = np.log(n_sessions / counts[seen])
    return idf


def _check(
    offsets: npt.NDArray[np.int64],
    clicks: npt.NDArray[np.int64],
    times: npt.NDArray[np.int64],
    n_items: int,
) -> None:
    if len(offsets) != len(times) + 1 or int(offsets[-1]) != len(clicks):
        raise InvalidInputError(
            f"{len(offsets)} offsets ending at {int(offsets[-1]) if len(offsets) else 0} don't fit "
            f"{len(times)} sessions and {len(clicks)} clicks"
        )
    if len(clicks) and int(clicks.max()) >= n_items:
        raise InvalidInputError(f"row {int(clicks.max())} is outside a catalog of {n_items} items")
