"""Which sessions may still go on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.open_sessions import SILENCE_S, session_ends
from recommender.engine.offline.sessions import closed_before, segment_sessions

EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20_000), st.integers(-1, 1), st.integers(0, 5)),
    max_size=40,
)


@given(EVENTS, st.integers(0, 30_000))
def test_holding_open_events_back_leaves_the_closed_sessions_as_they_are(
    events: list[tuple[int, int, int, int]], now_s: int
) -> None:
    columns = np.array(events, np.int64).reshape(-1, 4)
    shoppers, times, given_ids, items = (np.ascontiguousarray(column) for column in columns.T)
    ends = session_ends(shoppers, times, given_ids)
    closed = ends < now_s - SILENCE_S
    left = segment_sessions(
        shoppers[closed], times[closed], items[closed], session_ids=given_ids[closed]
    )
    whole = segment_sessions(shoppers, times, items, session_ids=given_ids)
    wanted = closed_before(whole, now_s)
    np.testing.assert_array_equal(left.item_rows, wanted.item_rows)
    np.testing.assert_array_equal(left.times_s, wanted.times_s)
    np.testing.assert_array_equal(left.offsets, wanted.offsets)


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="1, 2, 1"):
        session_ends([1], [2, 3], [4])
