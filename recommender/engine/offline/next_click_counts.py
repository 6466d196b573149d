"""What the next-click model counts: sums over sessions, so that new ones can be added.

Every session adds to every count ``2 ** (-age / half-life)``. Let time pass, and all counts shrink by one
common factor: that is why sessions can join one by one, and the sums are those of a count over everything.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import Float32Array, Int64Array, NextClickCounts, Sessions

Number = TypeVar("Number", bound=np.floating[Any])

MAX_STEPS = 10
"""Clicks further apart than this are not taken as connected: it bounds the pairs of a session of n
clicks to 10 n."""
STEP_DECAY = 0.7
"""What one more click in between leaves of a connection."""
HALF_LIFE_SHARE = 0.5
"""Half-life of pairs, as a share of the time that the sessions span."""
WINDOW_SHARES = (0.01, 0.05, 0.25)
"""Half-lives of popularity: short, middle, long."""


def count_clicks(
    sessions: Sessions,
    *,
    n_items: int,
    now_s: int,
    half_lives_s: npt.ArrayLike | None = None,
) -> NextClickCounts:
    """Count pairs of clicks, starts, ends and clicks.

    For each two clicks on ``a`` and, ``g`` steps later in the same session, on ``b``, with
    ``g <= 10`` and ``d`` the decay of the session's age:

    * direct ``(a, b) += d`` if ``g = 1``,
    * forward ``(a, b) += d * 0.7 ** (g - 1)``,
    * together ``(a, b) += d``.

    An item that follows itself is a pair like others. Costs a sort of at most ten pairs per click.

    Parameters
    ----------
    sessions : Sessions
        Closed ones; negative rows must have been left out.
    n_items : int
    now_s : int
        Ages are counted from here; later sessions count as if they had ended now.
    half_lives_s : float[4] or None
        Of pairs, and of the short, middle and long popularity; ``None`` takes shares of the time
        that the sessions span, which also suits sessions that are merely numbered.

    Returns
    -------
    NextClickCounts

    Raises
    ------
    InvalidInputError
        If a row is outside the catalog.
    """
    rows = np.asarray(sessions.item_rows, np.int64)
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n_items:
        raise InvalidInputError(
            f"rows {int(rows.min())} to {int(rows.max())} don't fit a catalog of {n_items} items"
        )
    half_lives = _half_lives(sessions, now_s, half_lives_s)
    age = np.maximum(now_s - sessions.times_s, 0).astype(np.float64)
    decay = np.exp2(-age[:, None] / half_lives)
    sizes = np.diff(sessions.offsets)
    owner = np.repeat(np.arange(len(sessions)), sizes)
    keys, values = sum_by_key(*_pairs(rows, owner, decay[:, 0].astype(np.float32), n_items))
    filled = sizes > 0
    item_counts = np.zeros((n_items, 6), np.float64)
    item_counts[:, 0] = np.bincount(rows, decay[owner, 0], n_items)
    for column, ends in ((1, sessions.offsets[:-1]), (2, sessions.offsets[1:] - 1)):
        item_counts[:, column] = np.bincount(rows[ends[filled]], decay[filled, 0], n_items)
    for column in (1, 2, 3):
        item_counts[:, 2 + column] = np.bincount(rows, decay[owner, column], n_items)
    return NextClickCounts(
        pair_offsets=row_offsets(keys // n_items, n_items),
        pair_items=(keys % n_items).astype(np.int32),
        pair_counts=values,
        item_counts=item_counts.astype(np.float32),
        now_s=np.array(now_s, np.int64),
        half_lives_s=half_lives.astype(np.float64),
    )


def extend_counts(
    counts: NextClickCounts, new_sessions: Sessions, *, n_items: int, now_s: int
) -> NextClickCounts:
    """The counts that a count over the old and the new sessions would have given.

    Up to rounding, and to sessions that ended after the `now_s` of their own count. Costs a copy of
    the old pairs and a sort of the new ones.

    Parameters
    ----------
    counts : NextClickCounts
    new_sessions : Sessions
        None of which was counted before.
    n_items : int
        At least ``counts.n_items``: new items are rows at the end.
    now_s : int
        Not before the ``now_s`` of `counts`.

    Returns
    -------
    NextClickCounts

    Raises
    ------
    InvalidInputError
        If the catalog or the clock went backwards.
    """
    if n_items < counts.n_items:
        raise InvalidInputError(f"a catalog of {counts.n_items} items can't shrink to {n_items}")
    passed = now_s - int(counts.now_s)
    if passed < 0:
        raise InvalidInputError(f"now {now_s} is before the counts, {int(counts.now_s)}")
    fresh = count_clicks(
        new_sessions, n_items=n_items, now_s=now_s, half_lives_s=counts.half_lives_s
    )
    faded = np.exp2(-passed / counts.half_lives_s).astype(np.float32)
    keys, values = sum_by_key(
        np.concatenate([pair_keys(counts, n_items), pair_keys(fresh, n_items)]),
        np.concatenate([counts.pair_counts * faded[0], fresh.pair_counts]),
        merge=True,
    )
    item_counts = fresh.item_counts.copy()
    item_counts[: counts.n_items] += counts.item_counts * faded[[0, 0, 0, 1, 2, 3]]
    return NextClickCounts(
        pair_offsets=row_offsets(keys // n_items, n_items),
        pair_items=(keys % n_items).astype(np.int32),
        pair_counts=values,
        item_counts=item_counts,
        now_s=np.array(now_s, np.int64),
        half_lives_s=counts.half_lives_s,
    )


def pair_keys(counts: NextClickCounts, n_items: int) -> Int64Array:
    """``a * n_items + b`` of every counted pair, ascending."""
    first = np.repeat(np.arange(counts.n_items, dtype=np.int64), np.diff(counts.pair_offsets))
    return first * n_items + counts.pair_items


def sum_by_key(
    keys: Int64Array, values: npt.NDArray[Number], *, merge: bool = False
) -> tuple[Int64Array, npt.NDArray[Number]]:
    """Distinct keys ascending, and the sums of the lines of `values` that belong to each.

    Examples
    --------
    >>> keys, sums = sum_by_key(np.array([7, 3, 7]), np.array([[1.0], [2.0], [4.0]]))
    >>> keys.tolist(), sums.ravel().tolist()
    ([3, 7], [2.0, 5.0])
    """
    if not len(keys):
        return keys, values
    # Where both ends of the keys are sorted already, as in two counts, a merge is all it takes.
    order = np.argsort(keys, kind="stable" if merge else "quicksort")
    ordered = keys[order]
    is_start = np.ones(len(keys), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_start[1:])
    starts = np.flatnonzero(is_start)
    distinct = ordered[starts]
    del ordered, is_start
    sums = np.empty((len(starts), values.shape[1]), values.dtype)
    # Column by column: several times faster than lines of a few numbers.
    for column in range(values.shape[1]):
        sums[:, column] = np.add.reduceat(values[order, column], starts)
    return distinct, sums


def _half_lives(
    sessions: Sessions, now_s: int, given: npt.ArrayLike | None
) -> npt.NDArray[np.float64]:
    if given is not None:
        return np.asarray(given, np.float64)
    span = max(now_s - int(sessions.times_s.min()), 1) if len(sessions) else 1
    return span * np.array([HALF_LIFE_SHARE, *WINDOW_SHARES])


def _pairs(
    rows: Int64Array, owner: Int64Array, decay: Float32Array, n_items: int
) -> tuple[Int64Array, Float32Array]:
    """Every pair within reach: its key, and what it adds to direct, forward and together."""
    reach = [
        np.flatnonzero(owner[steps:] == owner[:-steps])
        for steps in range(1, min(MAX_STEPS, len(rows) - 1) + 1)
    ]
    n_pairs = sum(map(len, reach))
    keys = np.empty(n_pairs, np.int64)
    values = np.zeros((n_pairs, 3), np.float32)
    end = 0
    for steps, same in enumerate(reach, start=1):
        part = slice(end, end + len(same))
        keys[part] = rows[same] * n_items + rows[same + steps]
        weight = decay[owner[same]]
        if steps == 1:
            values[part, 0] = weight
        values[part, 1] = weight * np.float32(STEP_DECAY ** (steps - 1))
        values[part, 2] = weight
        end += len(same)
    return keys, values


def row_offsets(first: Int64Array, n_items: int) -> Int64Array:
    offsets = np.zeros(n_items + 1, np.int64)
    np.cumsum(np.bincount(first, minlength=n_items), out=offsets[1:])
    return offsets
