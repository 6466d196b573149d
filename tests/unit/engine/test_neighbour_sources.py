"""Item similarity, EASE and lists of neighbours, from orders to an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline import item_similarity
from recommender.engine.offline.ease import combine_neighbours, ease_neighbours, fit_ease
from recommender.engine.offline.interactions import basket_items_matrix, group_items_matrix
from recommender.engine.offline.item_similarity import blocks_of, fit_item_similarity
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.types import Float32Array, Neighbours


def random_matrix(seed: int, *, weighted: bool) -> csr_matrix[np.float32]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((12, 7)) < 0.35).astype(np.float32)
    if weighted:
        dense *= rng.integers(1, 4, dense.shape)
    return csr_matrix(dense)


def slow_similarity(
    x: Float32Array, *, k: int, damping: float, shrinkage: float, min_support: int
) -> list[list[int]]:
    """The docstring's formula, pair by pair."""
    n = x.shape[1]
    lists = []
    for i in range(n):
        scored = []
        for j in range(n):
            together = float(x[:, i] @ x[:, j])
            support = int(((x[:, i] > 0) & (x[:, j] > 0)).sum())
            if i == j or not together or support < min_support:
                continue
            score = together / (
                float(x[:, i] @ x[:, i]) ** 0.5 * float(x[:, j] @ x[:, j]) ** damping
            )
            score *= together / (together + shrinkage)
            scored.append((-float(np.float32(score)), j))
        best = [j for _, j in sorted(scored)][:k]
        lists.append(best + [-1] * (k - len(best)))
    return lists


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    weighted=st.booleans(),
    damping=st.sampled_from([0.0, 0.5, 1.0]),
    shrinkage=st.sampled_from([0.0, 3.0]),
    min_support=st.integers(1, 3),
    k=st.integers(1, 8),
)
def test_neighbours_are_those_of_the_formula(
    seed: int, weighted: bool, damping: float, shrinkage: float, min_support: int, k: int
) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    found = fit_item_similarity(
        matrix, k=k, damping=damping, shrinkage=shrinkage, min_support=min_support
    )
    expected = slow_similarity(
        matrix.toarray(), k=k, damping=damping, shrinkage=shrinkage, min_support=min_support
    )
    assert found.indices.tolist() == expected
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert not found.scores[found.indices < 0].any()


def test_blocks_change_nothing_but_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = random_matrix(1, weighted=False)
    whole = fit_item_similarity(matrix, k=4)
    monkeypatch.setattr(
        item_similarity, "blocks_of", lambda left, right: blocks_of(left, right, products=5)
    )
    assert len(blocks_of(matrix.T.tocsr(), matrix, products=5)) > 3
    in_blocks = fit_item_similarity(matrix, k=4)
    assert in_blocks.indices.tolist() == whole.indices.tolist()
    assert in_blocks.scores.tolist() == whole.scores.tolist()


def test_damping_moves_from_bestsellers_to_rarities() -> None:
    # Item 0 is bought 3 times: always with the bestseller 1, once with the rarity 2.
    orders = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0]] + [[0, 1, 0]] * 20, np.float32)
    first = {
        d: fit_item_similarity(csr_matrix(orders), damping=d).indices[0, 0] for d in (0.0, 1.0)
    }
    assert first == {0.0: 1, 1.0: 2}


def test_an_order_of_everything_can_be_left_out() -> None:
    orders = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.float32))
    found = fit_item_similarity(orders, k=3, max_group_items=3)
    assert found.indices.tolist() == [[1, -1, -1], [0, -1, -1], [-1, -1, -1], [-1, -1, -1]]


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"damping": 1.1}, {"shrinkage": -1.0}, {"min_support": 0}]
)
def test_parameters_outside_their_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        fit_item_similarity(random_matrix(0, weighted=False), **wrong)


def test_a_basket_holds_an_item_once_whatever_the_quantity() -> None:
    matrix = basket_items_matrix([0, 0, 1, -1], [1, 1, 0, 1], n_baskets=2, n_items=2)
    assert matrix.toarray().tolist() == [[0, 1], [1, 0]]


def test_lines_outside_the_matrix_are_refused_and_cancelled_weights_are_not_stored() -> None:
    with pytest.raises(InvalidInputError, match="outside"):
        group_items_matrix([0], [5], n_groups=1, n_items=5)
    with pytest.raises(InvalidInputError, match="length"):
        group_items_matrix([0, 1], [5], n_groups=2, n_items=6)
    assert group_items_matrix([0, 0], [1, 1], [1, -1], n_groups=1, n_items=2).nnz == 0


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), strength=st.sampled_from([0.5, 20.0]))
def test_ease_is_its_closed_form(seed: int, weighted: bool, strength: float) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    x = matrix.toarray().astype(np.float64)
    model = fit_ease(matrix, regularisation=strength)
    kept = x[:, model.item_rows]
    inverse = np.linalg.inv(kept.T @ kept + strength * np.eye(kept.shape[1]))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.weights, expected, atol=2e-4)
    assert model.item_rows.tolist() == np.flatnonzero((x > 0).any(axis=0)).tolist()


def test_ease_mirrors_its_triangle_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.engine.offline.ease.ROWS_PER_BLOCK", 3)
    matrix = random_matrix(3, weighted=False)
    x = matrix.toarray()
    inverse = np.linalg.inv(x.T @ x + np.eye(7))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(fit_ease(matrix, regularisation=1.0).weights, expected, atol=1e-4)


def test_ease_keeps_the_best_supported_items_when_there_are_too_many() -> None:
    orders = csr_matrix(np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 1, 1, 0]], np.float32))
    assert fit_ease(orders, max_items=2).item_rows.tolist() == [1, 3]
    assert fit_ease(orders, min_support=2).item_rows.tolist() == [1, 3]
    with pytest.raises(EmptyInputError):
        fit_ease(orders, min_support=9)
    with pytest.raises(InvalidInputError):
        fit_ease(orders, regularisation=0)


def test_published_lists_are_the_largest_positive_weights() -> None:
    model = fit_ease(random_matrix(5, weighted=False), regularisation=1.0)
    lists = ease_neighbours(model, n_items=9, k=3)
    for place, row in enumerate(model.item_rows.tolist()):
        line = model.weights[place]
        expected = [j for j in np.argsort(-line, kind="stable") if line[j] > 0][:3]
        assert [j for j in lists.indices[row] if j >= 0] == model.item_rows[expected].tolist()


def test_the_tail_speaks_on_the_scale_of_the_head() -> None:
    head = Neighbours(
        np.array([[1], [0], [-1]], np.int32), np.array([[0.1], [0.3], [0]], np.float32)
    )
    tail = Neighbours(
        np.array([[1], [0], [0]], np.int32), np.array([[0.8], [0.8], [0.4]], np.float32)
    )
    both = combine_neighbours(head, tail)
    # Mean first scores over the items that both know: 0.2 and 0.8.
    assert both.scores[2, 0] == pytest.approx(0.4 * 0.2 / 0.8)
    assert both.indices[:2].tolist() == head.indices[:2].tolist()
    with pytest.raises(InvalidInputError):
        combine_neighbours(head, Neighbours.empty(2, 1))


def random_lists(rng: np.random.Generator) -> Neighbours:
    """8 items with up to 4 partners each, in the order that `Neighbours` promises."""
    lists = Neighbours.empty(8, 4)
    for row in range(8):
        others = np.delete(np.arange(8), row)
        partners = np.sort(rng.choice(others, rng.integers(0, 5), replace=False))
        scores = rng.integers(1, 5, len(partners))
        order = np.argsort(-scores, kind="stable")
        lists.indices[row, : len(order)] = partners[order]
        lists.scores[row, : len(order)] = scores[order]
    return lists


@given(
    seed=st.integers(0, 10_000),
    seeds=st.lists(st.integers(-1, 9), max_size=5),
    exclude=st.booleans(),
    limit=st.integers(0, 9),
)
def test_expanding_adds_up_over_the_seeds(
    seed: int, seeds: list[int], exclude: bool, limit: int
) -> None:
    rng = np.random.default_rng(seed)
    lists = random_lists(rng)
    weights = rng.integers(-2, 4, len(seeds)).astype(np.float32)
    sums: dict[int, float] = {}
    for row, weight in zip(seeds, weights, strict=True):
        if not 0 <= row < 8:
            continue
        for item, score in zip(lists.indices[row].tolist(), lists.scores[row], strict=True):
            if item >= 0 and not (exclude and item in seeds):
                sums[item] = sums.get(item, 0) + float(score * weight)
    expected = sorted((i for i in sums if sums[i] > 0), key=lambda i: (-sums[i], i))[:limit]
    found = expand_neighbours(lists, seeds, weights, limit=limit, exclude_seeds=exclude)
    assert found.rows.tolist() == expected
    assert found.scores.tolist() == [sums[i] for i in expected]
    assert set(found.because.tolist()) <= set(seeds)
