"""Scoring histories that no model was trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline.ease import fit_ease
from recommender.engine.offline.factorization import fit_als
from recommender.engine.online.fold_in import (
    als_fold_in,
    ease_add_session,
    ease_fold_history,
    ease_fold_in,
    known_history,
)
from recommender.engine.types import EaseModel, FactorModel

HISTORY = st.lists(st.integers(0, 14), max_size=8, unique=True)


def ease_model(seed: int) -> EaseModel:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-3, 4, (7, 7)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return EaseModel(np.array([0, 2, 3, 5, 8, 9, 13], np.int32), weights)


def factor_model(seed: int) -> FactorModel:
    vectors = np.random.default_rng(seed).standard_normal((7, 3)).astype(np.float32)
    rows = np.array([0, 2, 3, 5, 8, 9, 13], np.int32)
    return FactorModel(rows, vectors, vectors.T @ vectors, 0.5, 4.0)


@given(seed=st.integers(0, 999), history=HISTORY, limit=st.integers(0, 9), exclude=st.booleans())
def test_ease_scores_are_weighted_sums_of_lines(
    seed: int, history: list[int], limit: int, exclude: bool
) -> None:
    model = ease_model(seed)
    rows = model.item_rows.tolist()
    weights = np.random.default_rng(seed).integers(-2, 4, len(history)).astype(np.float32)
    parts = {
        item: {
            h: float(w * model.weights[rows.index(h), rows.index(item)])
            for h, w in zip(history, weights, strict=True)
            if h in rows and w
        }
        for item in rows
        if not (exclude and item in history)
    }
    scores = {item: sum(part.values()) for item, part in parts.items()}
    expected = sorted((i for i in scores if scores[i] > 0), key=lambda i: (-scores[i], i))[:limit]
    found = ease_fold_in(model, history, weights, limit=limit, exclude_history=exclude)
    assert found.rows.tolist() == expected
    assert found.scores.tolist() == [scores[i] for i in expected]
    for item, because in zip(found.rows.tolist(), found.because.tolist(), strict=True):
        assert parts[item][because] == max(parts[item].values())


@given(
    seed=st.integers(0, 999),
    history=HISTORY,
    session=st.lists(st.integers(-1, 14), max_size=8),
    share=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_a_session_on_a_folded_history_scores_as_both_in_one(
    seed: int, history: list[int], session: list[int], share: float
) -> None:
    model = ease_model(seed)
    known = model.item_rows.tolist()
    past = [row for row in history if row in known]
    clicks = [row for row in session if row in known]
    folded = ease_fold_history(model, history, np.ones(len(history)), max_history=None)
    found = ease_add_session(
        model, folded, session, np.ones(len(session)), session_share=share, limit=9
    )
    scale = len(past) * share / (1 - share) / len(clicks) if clicks and past else 1.0
    weights: dict[int, float] = dict.fromkeys(past, 1.0)
    for row in clicks:
        weights[row] = weights.get(row, 0.0) + scale
    together = ease_fold_in(
        model,
        list(weights),
        np.array(list(weights.values()), np.float32),
        limit=9,
        exclude_history=False,
    )
    # What is 0 in exact numbers may be a candidate of either sum.
    scores = found.scores[found.scores > 0.1]
    expected = together.scores[together.scores > 0.1]
    np.testing.assert_allclose(scores, expected, atol=0.02, rtol=1e-3)


def test_only_the_newest_items_of_a_long_session_count() -> None:
    model = EaseModel(np.arange(4, dtype=np.int32), (1 - np.eye(4)).astype(np.float32))
    found = ease_add_session(
        model, None, [0, 1, 2, 2], [1, 1, 1, 1], session_share=0.5, limit=9, max_session=1
    )
    assert found.rows.tolist() == [0, 1, 3]
    assert set(found.because.tolist()) == {2}


def test_reasons_are_left_out_where_nobody_asks_and_a_whole_share_is_refused() -> None:
    model = ease_model(3)
    found = ease_add_session(model, None, [0], [1], session_share=0.5, limit=3, reasons=False)
    assert set(found.because.tolist()) <= {-1}
    assert len(ease_add_session(model, None, [], [], session_share=0.5, limit=3)) == 0
    with pytest.raises(InvalidInputError, match="session_share"):
        ease_add_session(model, None, [0], [1], session_share=1.0, limit=3)


@given(seed=st.integers(0, 999), history=HISTORY)
def test_als_solves_the_shopper_s_normal_equations(seed: int, history: list[int]) -> None:
    model = factor_model(seed)
    rows = model.item_rows.tolist()
    known = [h for h in history if h in rows]
    y = model.item_vectors.astype(np.float64)
    c = np.ones(7)
    p = np.zeros(7)
    for h in known:
        c[rows.index(h)], p[rows.index(h)] = 1 + model.alpha, 1
    x = np.linalg.solve((y.T * c) @ y + 0.5 * np.eye(3), y.T @ (c * p))
    scores = y @ x
    found = als_fold_in(model, history, limit=20)
    expected = {r: s for r, s in zip(rows, scores, strict=True) if r not in known and s > 0}
    assert set(found.rows.tolist()) == (set(expected) if known else set())
    for row, score in zip(found.rows.tolist(), found.scores, strict=True):
        assert score == pytest.approx(expected[row], abs=1e-4)
    assert set(found.because.tolist()) <= set(known)


def test_a_hidden_item_speaks_against_what_is_like_it() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.4]], np.float32)
    model = FactorModel(np.arange(4, dtype=np.int32), vectors, vectors.T @ vectors, 0.1, 10.0)
    liked = als_fold_in(model, [3], limit=9)
    disliked = als_fold_in(model, [3, 0], [1.0, -2.0], limit=9)
    score = dict(zip(liked.rows.tolist(), liked.scores.tolist(), strict=True))
    after = dict(zip(disliked.rows.tolist(), disliked.scores.tolist(), strict=True))
    # Item 1 is like the hidden item 0, item 2 isn't.
    assert after.get(1, 0.0) < score[1]
    assert after[2] > score[2]


def test_a_long_history_is_cut_to_its_heaviest_then_newest_items() -> None:
    places, weights = known_history(
        [0, 1, 2, 3], [3, 2, 9, 1, 0], [1.0, 5.0, 7.0, 1.0, 1.0], max_history=2
    )
    assert places.tolist() == [2, 0]
    assert weights.tolist() == [5.0, 1.0]


@pytest.mark.parametrize("history", [[], [99], [-1]])
def test_a_history_that_the_model_does_not_know_has_no_answer(history: list[int]) -> None:
    assert len(ease_fold_in(ease_model(0), history, limit=5)) == 0
    assert len(als_fold_in(factor_model(0), history, limit=5)) == 0


def test_read_only_arrays_are_enough() -> None:
    model = ease_model(0)
    model.weights.flags.writeable = False
    model.item_rows.flags.writeable = False
    before = model.weights.copy()
    ease_fold_in(model, [0, 2], limit=3)
    assert (model.weights == before).all()


def checkerboard() -> csr_matrix[np.float32]:
    """Even shoppers like even items, odd ones odd items; everybody knows most of theirs."""
    likes = np.array([[(s + i) % 2 == 0 for i in range(12)] for s in range(80)])
    known = np.random.default_rng(0).random(likes.shape) < 0.7
    return csr_matrix((likes & known).astype(np.float32))


@settings(deadline=None, max_examples=6)
@given(parity=st.integers(0, 1), model=st.sampled_from(["ease", "als"]))
def test_every_model_learns_the_checkerboard(parity: int, model: str) -> None:
    history = [parity, parity + 2, parity + 4]
    if model == "ease":
        found = ease_fold_in(fit_ease(checkerboard(), regularisation=5.0), history, limit=3)
    else:
        fitted = fit_als(checkerboard(), factors=2, iterations=10, seed=1)
        found = als_fold_in(fitted, history, limit=3)
    assert sorted(found.rows.tolist()) == [parity + 6, parity + 8, parity + 10]


def test_als_is_repeatable_and_leaves_rare_items_out_of_the_answers() -> None:
    one, two = (fit_als(checkerboard(), factors=4, iterations=3, seed=7) for _ in range(2))
    assert (one.item_vectors == two.item_vectors).all()
    np.testing.assert_allclose(one.gram, one.item_vectors.T @ one.item_vectors, rtol=1e-4)
    likes = checkerboard().tolil()
    likes[:, 5] = 0
    likes[1, 5] = 1
    restricted = fit_als(csr_matrix(likes), factors=4, iterations=3, min_support=2)
    assert 5 not in restricted.item_rows
    with pytest.raises(EmptyInputError):
        fit_als(checkerboard(), min_support=99)
