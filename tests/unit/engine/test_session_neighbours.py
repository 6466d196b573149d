"""Session kNN against a version of the docstring in plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.session_index import build_session_index
from recommender.engine.online.session_neighbours import session_neighbours
from recommender.engine.types import SessionIndex

N_ITEMS = 6
SESSIONS = st.lists(
    st.tuples(st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=5), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)


def index_of(sessions: list[tuple[list[int], int]], **options: int) -> SessionIndex:
    offsets = np.cumsum([0] + [len(items) for items, _ in sessions])
    clicks = [item for items, _ in sessions for item in items]
    return build_session_index(
        offsets, clicks, [time for _, time in sessions], n_items=N_ITEMS, **options
    )


def by_time(sessions: list[tuple[list[int], int]]) -> list[list[int]]:
    """Distinct items by last click, sessions by time."""
    return [
        list(dict.fromkeys(items[::-1]))[::-1]
        for items, _ in sorted(sessions, key=lambda session: session[1])
    ]


@given(sessions=SESSIONS, at_most=st.integers(1, 3))
def test_the_index_lists_the_most_recent_sessions_of_each_item(
    sessions: list[tuple[list[int], int]], at_most: int
) -> None:
    index = index_of(sessions, max_sessions_per_item=at_most)
    ordered = by_time(sessions)
    for number, items in enumerate(ordered):
        start, stop = index.session_offsets[number : number + 2]
        assert index.session_items[start:stop].tolist() == items
    for item in range(N_ITEMS):
        start, stop = index.item_offsets[item : item + 2]
        holding = [number for number, items in enumerate(ordered) if item in items]
        assert index.item_sessions[start:stop].tolist() == holding[::-1][:at_most]
        expected = np.log(len(ordered) / len(holding)) if holding else 0
        assert index.idf[item] == pytest.approx(expected, abs=1e-6)


@given(
    sessions=SESSIONS,
    running=st.lists(st.integers(-1, N_ITEMS), min_size=1, max_size=5),
    k=st.integers(1, 6),
    sample_size=st.integers(1, 6),
    position_decay=st.sampled_from([0.5, 1.0]),
    step_decay=st.sampled_from([0.5, 1.0]),
    idf_weight=st.sampled_from([0.0, 0.5]),
    exclude=st.booleans(),
)
def test_votes_are_those_of_the_three_steps(
    sessions: list[tuple[list[int], int]],
    running: list[int],
    k: int,
    sample_size: int,
    position_decay: float,
    step_decay: float,
    idf_weight: float,
    exclude: bool,
) -> None:
    index = index_of(sessions)
    ordered = by_time(sessions)
    newest_first = list(dict.fromkeys(i for i in running[::-1] if 0 <= i < N_ITEMS))
    sharing = [n for n, items in enumerate(ordered) if set(items) & set(newest_first)]
    sampled = sharing[-sample_size:]
    similarity = {
        n: sum(position_decay**age for age, item in enumerate(newest_first) if item in ordered[n])
        for n in sampled
    }
    voters = sorted(sampled, key=lambda n: (-similarity[n], -n))[:k]
    scores: dict[int, float] = {}
    for n in voters:
        shared = next(item for item in newest_first if item in ordered[n])
        for place, item in enumerate(ordered[n]):
            distance = max(abs(place - ordered[n].index(shared)), 1)
            vote = similarity[n] * step_decay ** (distance - 1)
            vote *= 1 + idf_weight * float(index.idf[item])
            if not (exclude and item in newest_first):
                scores[item] = scores.get(item, 0) + vote
    found = session_neighbours(
        index, running, limit=20, k=k, sample_size=sample_size, position_decay=position_decay,
        step_decay=step_decay, idf_weight=idf_weight, exclude_session=exclude,
    )  # fmt: skip
    assert dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True)) == pytest.approx(
        {item: score for item, score in scores.items() if score > 0}, rel=1e-5
    )
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.because.tolist()) <= set(newest_first)


def test_what_followed_the_newest_click_comes_first() -> None:
    index = index_of([([0, 1], 1), ([2, 3], 2), ([2, 3], 3)])
    found = session_neighbours(index, [0, 2], limit=1, exclude_session=True)
    assert (found.rows.tolist(), found.because.tolist()) == ([3], [2])
    found = session_neighbours(index, [2, 0], limit=1, exclude_session=True, position_decay=0.1)
    assert (found.rows.tolist(), found.because.tolist()) == ([1], [0])


def test_an_old_session_counts_half_after_its_half_life() -> None:
    day = 86_400
    index = index_of([([0, 1], 0), ([0, 2], 10 * day)])
    found = session_neighbours(index, [0], limit=9, recency_half_life_days=10, exclude_session=True)
    assert dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True)) == {2: 1.0, 1: 0.5}


@pytest.mark.parametrize("running", [[], [-1], [N_ITEMS], [5]])
def test_a_session_of_unknown_items_has_no_answer(running: list[int]) -> None:
    assert len(session_neighbours(index_of([([0, 1], 1)]), running, limit=5)) == 0


def test_a_session_of_hundreds_of_items_is_answered_from_its_newest() -> None:
    index = index_of([([0, 1], 1)])
    found = session_neighbours(index, [5] * 300 + [0], limit=5, max_session_items=500)
    assert found.rows.tolist() == [0, 1]


def test_offsets_that_do_not_fit_the_clicks_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="fit"):
        build_session_index([0, 2], [1], [5], n_items=3)
    with pytest.raises(InvalidInputError, match="outside"):
        build_session_index([0, 1], [3], [5], n_items=3)
