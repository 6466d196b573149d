"""Item and user neighbours against their formulas in plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.methods.base import ScoringModel
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.neighbours import ItemWeights, by_target
from recommender.engine.methods.registry import METHODS
from recommender.engine.offline import item_correlation
from recommender.engine.offline.item_correlation import Measure, fit_item_correlation
from recommender.engine.offline.item_similarity import blocks_of
from recommender.engine.offline.shopper_neighbours import fit_shopper_index
from recommender.engine.online.shopper_neighbours import similar_shoppers
from recommender.engine.types import Float64Array, Neighbours

MEASURES = st.sampled_from(list(Measure))
NOTHING = np.empty(0, np.int32)


def random_matrix(seed: int, *, weighted: bool) -> csr_matrix[np.float32]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((9, 7)) < 0.4).astype(np.float32)
    if weighted:
        dense *= rng.integers(1, 4, dense.shape)
    return csr_matrix(dense)


def slow_likeness(measure: Measure, a: Float64Array, b: Float64Array) -> float:
    """Of two whole vectors, as textbooks have it."""
    if measure is Measure.JACCARD:
        return float(((a > 0) & (b > 0)).sum() / max(((a > 0) | (b > 0)).sum(), 1))
    if measure is Measure.PEARSON:
        a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 1e-6 else 0.0


@given(
    seed=st.integers(0, 10_000),
    weighted=st.booleans(),
    measure=MEASURES,
    shrinkage=st.sampled_from([0.0, 3.0]),
    min_support=st.integers(1, 3),
    k=st.integers(1, 8),
)
def test_item_neighbours_are_those_of_the_formula(
    seed: int, weighted: bool, measure: Measure, shrinkage: float, min_support: int, k: int
) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    x = matrix.toarray().astype(np.float64)
    found = fit_item_correlation(
        matrix, measure=measure, k=k, shrinkage=shrinkage, min_support=min_support
    )
    for i in range(7):
        expected = {}
        for j in range(7):
            support = int(((x[:, i] > 0) & (x[:, j] > 0)).sum())
            if i != j and support >= min_support:
                score = slow_likeness(measure, x[:, i], x[:, j])
                expected[j] = score * support / (support + shrinkage)
        best = sorted((s for s in expected.values() if s > 1e-6), reverse=True)[:k]
        size = int((found.scores[i] > 1e-6).sum())
        np.testing.assert_allclose(found.scores[i][:size], best, rtol=1e-5)
        for j, score in zip(found.indices[i][:size].tolist(), found.scores[i], strict=False):
            assert score == pytest.approx(expected[j], rel=1e-5)
        # Ties by ascending row.
        order = np.lexsort((found.indices[i][:size], -found.scores[i][:size]))
        assert order.tolist() == list(range(size))


def test_two_bestsellers_that_meet_by_chance_are_no_neighbours_by_pearson() -> None:
    # Each is in two thirds of the orders, both in 4/9 of them: independent.
    orders = csr_matrix(np.array([[1, 1]] * 4 + [[1, 0]] * 2 + [[0, 1]] * 2 + [[0, 0]], np.float32))
    assert fit_item_correlation(orders, measure=Measure.PEARSON).indices[0, 0] == -1
    assert fit_item_correlation(orders, measure=Measure.COSINE).indices[0, 0] == 1


def test_an_item_that_everybody_has_is_no_neighbour_by_pearson() -> None:
    orders = csr_matrix(np.array([[1, 1], [1, 0], [1, 1]], np.float32))
    assert not (fit_item_correlation(orders, measure=Measure.PEARSON).indices >= 0).any()


@pytest.mark.parametrize("measure", list(Measure))
def test_blocks_change_nothing_but_the_memory(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = random_matrix(1, weighted=True)
    whole = fit_item_correlation(matrix, measure=measure, k=4)
    monkeypatch.setattr(
        item_correlation, "blocks_of", lambda left, right: blocks_of(left, right, products=5)
    )
    in_blocks = fit_item_correlation(matrix, measure=measure, k=4)
    assert in_blocks.indices.tolist() == whole.indices.tolist()
    assert in_blocks.scores.tolist() == whole.scores.tolist()


@pytest.mark.parametrize("wrong", [{"k": 0}, {"shrinkage": -1.0}, {"min_support": 0}])
def test_parameters_outside_their_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        fit_item_correlation(random_matrix(0, weighted=False), measure=Measure.COSINE, **wrong)


def test_only_its_own_nearest_items_speak_for_an_item() -> None:
    # 0 is near to all others, but counts only 1 among its own nearest.
    lists = Neighbours(
        np.array([[1], [0], [0], [0]], np.int32), np.array([[0.9], [0.9], [0.8], [0.7]], np.float32)
    )
    weights = by_target(lists)
    assert weights[2].nnz == 0
    assert weights[0].indices.tolist() == [1, 2, 3]
    model = ItemWeights(weights, {})
    found = model.recommend(Query(np.array([2, 3], np.int32), removed=NOTHING), 5)
    assert len(found) == 0
    assert model.unknown(Query(np.array([2], np.int32), removed=NOTHING)) is not None


@given(
    seed=st.integers(0, 10_000),
    rows=st.lists(st.integers(-1, 6), max_size=6, unique=True),
    decay=st.sampled_from([0.5, 1.0]),
    signed=st.booleans(),
)
def test_weights_are_added_up_over_the_history_and_the_largest_part_is_named(
    seed: int, rows: list[int], decay: float, signed: bool
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.normal(0, 1, (7, 7)) * (rng.random((7, 7)) < 0.5)
    dense = (dense if signed else np.abs(dense)).astype(np.float32)
    model: ScoringModel = ItemWeights(csr_matrix(dense, dtype=np.float32), {}, position_decay=decay)
    parts = {
        row: decay ** (len(rows) - 1 - place) * dense[row]
        for place, row in enumerate(rows)
        if row >= 0
    }
    sums = np.sum(list(parts.values()), axis=0) if parts else np.zeros(7)
    query = Query(np.array(rows, np.int32), removed=NOTHING)
    found = model.recommend(query, 7)
    assert sorted(found.rows.tolist()) == np.flatnonzero(sums > 1e-9).tolist()
    for row, score, reason in zip(found.rows, found.scores, found.because, strict=True):
        assert score == pytest.approx(sums[row], rel=1e-4, abs=1e-6)
        assert parts[int(reason)][row] == pytest.approx(max(p[row] for p in parts.values()))


@given(
    seed=st.integers(0, 10_000),
    weighted=st.booleans(),
    measure=MEASURES,
    mine=st.lists(st.integers(-1, 8), max_size=5, unique=True),
    k=st.integers(1, 9),
    shrinkage=st.sampled_from([0.0, 2.0]),
    amplification=st.sampled_from([1.0, 2.0]),
    damping=st.sampled_from([0.0, 0.5]),
    excluded=st.integers(-1, 8),
)
def test_similar_shoppers_vote_as_the_formula_says(
    seed: int,
    weighted: bool,
    measure: Measure,
    mine: list[int],
    k: int,
    shrinkage: float,
    amplification: float,
    damping: float,
    excluded: int,
) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    if not matrix.nnz:
        return
    x = matrix.toarray().astype(np.float64)
    q = np.zeros(7)
    weights = np.ones(len(mine))
    for place, row in enumerate(mine):
        weights[place] = 1 + place if weighted else 1
        if 0 <= row < 7:
            q[row] = weights[place]
    alike = {}
    for u in range(9):
        shared = int(((x[u] > 0) & (q > 0)).sum())
        score = slow_likeness(measure, q, x[u]) if shared and u != excluded else 0.0
        if score > 1e-9:
            alike[u] = score * shared / (shared + shrinkage)
    ranked = sorted(alike, key=lambda u: (-round(alike[u], 9), u))
    if len(ranked) > k and abs(alike[ranked[k - 1]] - alike[ranked[k]]) < 1e-9:
        return  # Rounding decides which of equal ones votes.
    expected = np.zeros(7)
    for u in ranked[:k]:
        expected += alike[u] ** amplification * x[u]
    expected /= np.maximum((x > 0).sum(axis=0), 1) ** damping
    found = similar_shoppers(
        fit_shopper_index(matrix), mine, weights, limit=7, measure=measure, k=k,
        shrinkage=shrinkage, amplification=amplification, popularity_damping=damping,
        excluded_shopper=excluded,
    )  # fmt: skip
    assert sorted(found.rows.tolist()) == np.flatnonzero(expected).tolist()
    np.testing.assert_allclose(found.scores, expected[found.rows], rtol=1e-5)


def test_what_like_minded_shoppers_have_comes_before_what_many_have() -> None:
    likes = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])
    index = fit_shopper_index(csr_matrix(likes.astype(np.float32)))
    found = similar_shoppers(index, [0, 1], limit=4)
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert similar_shoppers(index, [0, 1], limit=4, k=2).rows.tolist() == [0, 1, 2]


def test_a_history_of_hundreds_of_items_is_answered_by_its_weightiest() -> None:
    likes = csr_matrix(np.array([[1, 0, 1], [0, 1, 0]], np.float32))
    index = fit_shopper_index(likes)
    found = similar_shoppers(index, [0, 1], [1.0, 2.0], limit=3, max_history=1)
    assert found.rows.tolist() == [1]


def test_nobody_is_their_own_neighbour() -> None:
    likes = csr_matrix(np.array([[1, 1, 1], [0, 0, 1]], np.float32))
    training = Training(3, shoppers={"any": likes})
    method = METHODS["user_knn"]
    model = method.fit(training, method.defaults, 0)
    rows = np.array([0, 1], np.int32)
    assert model.recommend(Query(rows, removed=rows), 3).rows.tolist() == [2]
    assert len(model.recommend(Query(rows, removed=rows, shopper_row=0), 3)) == 0


def test_shoppers_without_any_history_are_refused() -> None:
    with pytest.raises(EmptyInputError):
        fit_shopper_index(csr_matrix(np.zeros((3, 3), np.float32)))
    index = fit_shopper_index(csr_matrix(np.eye(2, dtype=np.float32)))
    with pytest.raises(InvalidInputError, match="k must"):
        similar_shoppers(index, [0], limit=1, k=0)


@pytest.mark.parametrize("measure", list(Measure))
def test_looks_that_hardly_count_leave_item_neighbours_to_purchases(measure: Measure) -> None:
    bought = csr_matrix(np.array([[1, 1, 0, 0]] * 3 + [[0, 0, 0, 1]] * 9, np.float32))
    viewed = csr_matrix(np.array([[1, 0, 1, 0]] * 9 + [[0, 0, 0, 1]] * 3, np.float32))
    training = Training(4, shoppers={"purchase": bought, "view_item": viewed})
    method = METHODS[f"item_knn_{measure}"]
    query = Query(np.array([0], np.int32), removed=np.array([0], np.int32))
    best = {}
    for weight in (1.0, 0.01):
        model = method.fit(training, method.parameters({"weight_view_item": weight}), 0)
        best[weight] = model.recommend(query, 1).rows.tolist()
    assert best[1.0] == [2]
    assert best[0.01] == [1] or measure == Measure.JACCARD  # which only counts who has both
