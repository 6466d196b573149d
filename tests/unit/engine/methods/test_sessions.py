"""The session kNN family and the Markov chain against versions in plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.session_index import build_session_index
from recommender.engine.offline.session_knn import session_knn
from recommender.engine.offline.transitions import (
    add_transitions,
    count_transitions,
    follow,
    transition_model,
)
from recommender.engine.types import SECONDS_PER_DAY, SessionIndex, Sessions

N_ITEMS = 6
WALKS = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=6), min_size=1, max_size=8
)
RUNNING = st.lists(st.integers(-1, N_ITEMS), max_size=5)
DECAYS = st.sampled_from([None, 0.5, 1.0])


def sessions_of(walks: list[list[int]], *, days_apart: int = 1) -> Sessions:
    return Sessions(
        np.cumsum([0] + [len(walk) for walk in walks]).astype(np.int64),
        np.array([item for walk in walks for item in walk], np.int32),
        np.arange(len(walks), dtype=np.int64) * SECONDS_PER_DAY * days_apart,
    )


def index_of(walks: list[list[int]], *, days_apart: int = 1) -> SessionIndex:
    sessions = sessions_of(walks, days_apart=days_apart)
    return build_session_index(
        sessions.offsets, sessions.item_rows, sessions.times_s, n_items=N_ITEMS
    )


@given(
    walks=WALKS,
    running=RUNNING,
    k=st.integers(1, 6),
    sample_size=st.integers(1, 6),
    position_decay=DECAYS,
    match_decay=DECAYS,
    step_decay=st.sampled_from([0.5, 1.0]),
    length_exponent=st.sampled_from([0.0, 0.5]),
    idf_weight=st.sampled_from([0.0, 0.5]),
    half_life=st.sampled_from([None, 2.0]),
)
def test_the_votes_of_past_sessions_are_those_of_the_formula(
    walks: list[list[int]],
    running: list[int],
    k: int,
    sample_size: int,
    position_decay: float | None,
    match_decay: float | None,
    step_decay: float,
    length_exponent: float,
    idf_weight: float,
    half_life: float | None,
) -> None:
    index = index_of(walks)
    # Distinct items by their last click.
    past = [list(dict.fromkeys(walk[::-1]))[::-1] for walk in walks]
    items = list(dict.fromkeys(i for i in running[::-1] if 0 <= i < N_ITEMS))
    m = len(items)
    sampled = [n for n, session in enumerate(past) if set(session) & set(items)][-sample_size:]
    similarity = {}
    for n in sampled:
        shared = [a for a, item in enumerate(items) if item in past[n]]
        weights = [(m - a) / m if position_decay is None else position_decay**a for a in shared]
        similarity[n] = sum(weights) / len(past[n]) ** length_exponent
        if half_life is not None:
            similarity[n] *= 0.5 ** ((len(walks) - 1 - n) / half_life)
    voters = sorted(sampled, key=lambda n: (-round(similarity[n], 12), -n))
    if len(voters) > k and similarity[voters[k - 1]] == pytest.approx(similarity[voters[k]]):
        return  # Rounding decides which of equal ones votes.
    scores: dict[int, float] = {}
    for n in voters[:k]:
        a = min(a for a, item in enumerate(items) if item in past[n])
        match = max(1 - 0.1 * a, 0) if match_decay is None else match_decay**a
        at = past[n].index(items[a])
        for place, item in enumerate(past[n]):
            vote = similarity[n] * match * step_decay ** (max(abs(place - at), 1) - 1)
            scores[item] = scores.get(item, 0) + vote * (1 + idf_weight * float(index.idf[item]))
    found = session_knn(
        index, running, limit=9, k=k, sample_size=sample_size, position_decay=position_decay,
        match_decay=match_decay, step_decay=step_decay, length_exponent=length_exponent,
        idf_weight=idf_weight, recency_half_life_days=half_life,
    )  # fmt: skip
    assert dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True)) == pytest.approx(
        {item: score for item, score in scores.items() if score > 0}, rel=1e-5
    )
    assert set(found.because.tolist()) <= set(items)


def test_a_short_session_speaks_clearer_than_a_long_one() -> None:
    index = index_of([[0, 1], [0, 2, 3, 4, 5]])
    assert session_knn(index, [0], limit=2).rows.tolist() == [0, 1]
    assert session_knn(index, [0], limit=6, length_exponent=0.0).scores[1:].tolist() == [1.0] * 5


def test_a_session_of_unknown_items_has_no_neighbours() -> None:
    index = index_of([[0, 1]])
    for running in ([], [-1], [N_ITEMS], [5]):
        assert len(session_knn(index, running, limit=5)) == 0
    with pytest.raises(InvalidInputError, match="sample_size"):
        session_knn(index, [0], limit=5, sample_size=0)


@given(
    walks=WALKS,
    running=RUNNING,
    back_off=st.sampled_from([0.0, 3.0]),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
    window=st.integers(1, 4),
)
def test_transitions_are_those_of_the_formula(
    walks: list[list[int]], running: list[int], back_off: float, decay: float, window: int
) -> None:
    direct, skipping = np.zeros((N_ITEMS, N_ITEMS)), np.zeros((N_ITEMS, N_ITEMS))
    for walk in walks:
        for i, before in enumerate(walk):
            for j in range(i + 1, len(walk)):
                if walk[j] != before:
                    skipping[before, walk[j]] += 1 / (j - i)
                    direct[before, walk[j]] += j == i + 1
    counts = count_transitions(sessions_of(walks), n_items=N_ITEMS)
    np.testing.assert_allclose(counts.direct.toarray(), direct)
    np.testing.assert_allclose(counts.skipping.toarray(), skipping)
    items = [i for i in running[::-1] if 0 <= i < N_ITEMS][:window]
    weights = [decay**m if skipping[item].any() else 0.0 for m, item in enumerate(items)]
    expected = np.zeros(N_ITEMS)
    if sum(weights):
        n = direct[items[0]].sum()
        trust = n / (n + back_off) if n else 0.0
        expected += trust * direct[items[0]] / max(n, 1)
        for item, weight in zip(items, weights, strict=True):
            share = skipping[item] / max(skipping[item].sum(), 1e-9)
            expected += (1 - trust) * weight / sum(weights) * share
    model = transition_model(counts, back_off=back_off, decay=decay, window=window)
    found = follow(model, running, limit=N_ITEMS)
    assert sorted(found.rows.tolist()) == np.flatnonzero(expected > 1e-12).tolist()
    np.testing.assert_allclose(found.scores, expected[found.rows], rtol=1e-5)
    assert float(found.scores.sum()) == pytest.approx(1.0 if len(found) else 0.0, abs=1e-5)
    assert set(found.because.tolist()) <= set(items)


def test_what_follows_directly_counts_the_more_the_more_often_it_was_seen() -> None:
    # After 0 comes 1, and behind it always 2.
    walks = [[0, 1, 2]]
    often = transition_model(count_transitions(sessions_of(walks * 90), n_items=3))
    seldom = transition_model(count_transitions(sessions_of(walks), n_items=3))
    assert follow(often, [0], limit=1).scores[0] > 0.95
    assert follow(seldom, [0], limit=1).scores[0] < 0.75


def test_an_item_that_nothing_follows_leaves_the_word_to_the_one_before() -> None:
    model = transition_model(count_transitions(sessions_of([[0, 1], [2, 3]]), n_items=4))
    found = follow(model, [0, 3], limit=4)
    assert (found.rows.tolist(), found.because.tolist()) == ([1], [0])


@given(earlier=WALKS, later=WALKS)
def test_counts_of_two_halves_are_those_of_the_whole(
    earlier: list[list[int]], later: list[list[int]]
) -> None:
    both = add_transitions(
        count_transitions(sessions_of(earlier), n_items=N_ITEMS),
        count_transitions(sessions_of(later), n_items=N_ITEMS + 2),
    )
    whole = count_transitions(sessions_of(earlier + later), n_items=N_ITEMS + 2)
    np.testing.assert_allclose(both.direct.toarray(), whole.direct.toarray())
    np.testing.assert_allclose(both.skipping.toarray(), whole.skipping.toarray())


def test_what_cannot_be_counted_is_refused() -> None:
    walks = sessions_of([[0, 5]])
    with pytest.raises(InvalidInputError, match="outside"):
        count_transitions(walks, n_items=5)
    counts = count_transitions(walks, n_items=6)
    with pytest.raises(InvalidInputError, match="shrink"):
        add_transitions(counts, count_transitions(sessions_of([[0]]), n_items=1))
    for wrong in ({"back_off": -1.0}, {"decay": 1.5}, {"window": 0}):
        with pytest.raises(InvalidInputError, match="out of range"):
            transition_model(counts, **wrong)
