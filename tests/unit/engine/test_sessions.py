"""Cutting events into sessions, and sessions that join an index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.session_index import build_session_index, extend_session_index
from recommender.engine.offline.sessions import (
    closed_before,
    empty_sessions,
    join_sessions,
    segment_sessions,
    take_sessions,
)
from recommender.engine.types import SessionIndex, Sessions

EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(-1, 5), st.integers(-1, 1)),
    max_size=14,
)


def as_lists(sessions: Sessions) -> list[tuple[list[int], int]]:
    parts = np.split(sessions.item_rows, sessions.offsets[1:-1]) if len(sessions) else []
    return [
        (part.tolist(), time) for part, time in zip(parts, sessions.times_s.tolist(), strict=True)
    ]


def cut_by_hand(
    events: list[tuple[int, int, int, int]], silence_s: int
) -> list[tuple[list[int], int]]:
    found = []
    for shopper in range(3):
        for given_id in (-1, 0, 1):
            mine = [e for e in events if e[0] == shopper and e[3] == given_id]
            mine.sort(key=lambda event: event[1])
            runs: list[list[tuple[int, int, int, int]]] = []
            for event in mine:
                if runs and (given_id >= 0 or event[1] - runs[-1][-1][1] <= silence_s):
                    runs[-1].append(event)
                else:
                    runs.append([event])
            found += [([e[2] for e in run if e[2] >= 0], run[-1][1]) for run in runs]
    return sorted((s for s in found if s[0]), key=lambda session: session[1])


@given(events=EVENTS, silence_s=st.integers(0, 20))
def test_sessions_are_those_that_a_loop_over_each_shopper_finds(
    events: list[tuple[int, int, int, int]], silence_s: int
) -> None:
    shoppers, times, items, ids = (
        list(column) for column in (zip(*events, strict=True) if events else ([], [], [], []))
    )
    found = segment_sessions(shoppers, times, items, session_ids=ids, silence_s=silence_s)
    assert as_lists(found) == cut_by_hand(events, silence_s)
    without_ids = segment_sessions(shoppers, times, items, silence_s=silence_s)
    assert as_lists(without_ids) == cut_by_hand(
        [(shopper, time, item, -1) for shopper, time, item, _ in events], silence_s
    )


def test_lines_of_one_order_keep_their_order() -> None:
    assert as_lists(segment_sessions([1, 1, 1], [50, 50, 50], [9, 2, 5])) == [([9, 2, 5], 50)]


def test_half_an_hour_of_silence_ends_a_session_and_a_second_less_does_not() -> None:
    assert len(segment_sessions([1, 1], [0, 1800], [1, 2])) == 1
    assert len(segment_sessions([1, 1], [0, 1801], [1, 2])) == 2


def test_a_session_is_closed_only_when_nothing_can_join_it_any_more() -> None:
    sessions = segment_sessions([1, 2], [0, 100], [1, 2])
    assert as_lists(closed_before(sessions, 1800)) == []
    assert as_lists(closed_before(sessions, 1801)) == [([1], 0)]
    assert as_lists(closed_before(sessions, 9999)) == as_lists(sessions)


def test_parts_joined_again_are_the_whole() -> None:
    sessions = segment_sessions([1, 2, 2, 3], [0, 5, 6, 9], [4, 3, 2, 1])
    both = join_sessions(take_sessions(sessions, 0, 1), take_sessions(sessions, 1, 3))
    assert as_lists(both) == as_lists(sessions)
    assert as_lists(join_sessions(empty_sessions(), sessions)) == as_lists(sessions)


def test_events_of_unequal_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="2, 1, 2, 2"):
        segment_sessions([1, 1], [0], [1, 2])


CLICKS = st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=8)


def index_of(
    sessions: list[list[int]], first_time: int, at_most: int, n_items: int
) -> SessionIndex:
    offsets = np.cumsum([0] + [len(items) for items in sessions])
    return build_session_index(
        offsets, [i for items in sessions for i in items],
        first_time + np.arange(len(sessions)), n_items=n_items, max_sessions_per_item=at_most,
    )  # fmt: skip


@given(old=CLICKS, new=CLICKS, at_most=st.integers(1, 4))
def test_an_extended_index_is_the_index_of_everything(
    old: list[list[int]], new: list[list[int]], at_most: int
) -> None:
    before = index_of(old, 0, at_most, n_items=5)
    added = [[item + 2 for item in items] for items in new]
    offsets = np.cumsum([0] + [len(items) for items in added]).astype(np.int64)
    later = Sessions(
        offsets,
        np.array([i for items in added for i in items], np.int32),
        len(old) + np.arange(len(added)),
    )
    grown = extend_session_index(before, later, n_items=7, max_sessions_per_item=at_most)
    expected = index_of(old + added, 0, at_most, n_items=7)
    for name in ("item_offsets", "item_sessions", "session_offsets", "session_items"):
        assert getattr(grown, name).tolist() == getattr(expected, name).tolist(), name
    assert grown.session_times_s.tolist() == expected.session_times_s.tolist()
    assert grown.idf == pytest.approx(expected.idf, abs=1e-6)


def test_an_index_is_not_extended_backwards() -> None:
    index = index_of([[0, 1]], 100, 5, n_items=2)
    older = Sessions(np.array([0, 1]), np.array([0], np.int32), np.array([50]))
    with pytest.raises(InvalidInputError, match="older than the index"):
        extend_session_index(index, older, n_items=2)
    with pytest.raises(InvalidInputError, match="shrink"):
        extend_session_index(index, empty_sessions(), n_items=1)
