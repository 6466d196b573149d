"""Which events may still be joined by others, and so may not be counted yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import NO_ROW, Int64Array

SILENCE_S = 30 * 60


def session_ends(
    shopper_keys: npt.ArrayLike,
    times_s: npt.ArrayLike,
    session_ids: npt.ArrayLike,
    *,
    silence_s: int = SILENCE_S,
) -> Int64Array:
    """When the session of each event ended, as far as these events say.

    Events are of one session by the rules of `sessions.segment_sessions`: the same session id, or
    none and no longer silence in between. An event is of an open session while the end is younger
    than the silence. Costs one sort.

    Parameters
    ----------
    shopper_keys : int64[n]
        Any numbers.
    times_s : int64[n], Unix seconds
    session_ids : int64[n]
        Negative where none is known.
    silence_s : int

    Returns
    -------
    int64[n], Unix seconds

    Raises
    ------
    InvalidInputError
        If the arrays differ in length.

    Examples
    --------
    >>> session_ends([1, 1, 1, 2], [0, 60, 4000, 90], [-1, -1, -1, 5]).tolist()
    [60, 60, 4000, 90]
    """
    shoppers = np.asarray(shopper_keys, np.int64)
    times = np.asarray(times_s, np.int64)
    given = np.maximum(np.asarray(session_ids, np.int64), NO_ROW)
    if not len(shoppers) == len(times) == len(given):
        raise InvalidInputError(
            f"shoppers, times and session ids differ in length: "
            f"{len(shoppers)}, {len(times)}, {len(given)}"
        )
    order = np.lexsort((times, given, shoppers))
    shoppers, times, given = shoppers[order], times[order], given[order]
    begins = np.ones(len(times), np.bool_)
    begins[1:] = (shoppers[1:] != shoppers[:-1]) | (given[1:] != given[:-1])
    begins[1:] |= (given[1:] == NO_ROW) & (times[1:] - times[:-1] > silence_s)
    last = np.append(np.flatnonzero(begins)[1:], len(times)) - 1
    ends = np.empty(len(times), np.int64)
    ends[order] = times[last][np.cumsum(begins) - 1] if len(times) else times
    return ends
