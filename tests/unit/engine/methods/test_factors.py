"""Factor methods against dense linear algebra and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.methods.factors import METHODS, RatedFactors, TruncatedSvd
from recommender.engine.methods.inputs import Query, Ratings, Training
from recommender.engine.offline.biased_svd import BiasedSvd, fit_biased_svd, rating_epoch
from recommender.engine.offline.bpr import BprModel, fit_bpr
from recommender.engine.offline.factorization import fit_als
from recommender.engine.offline.truncated_svd import fit_truncated_svd

BY_KEY = {method.key: method for method in METHODS}
NOTHING = np.empty(0, np.int32)


def some_matrix(seed: int, shape: tuple[int, int] = (12, 8)) -> csr_matrix:
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, shape) * (rng.random(shape) < 0.4)
    dense[0, 0] = 1
    return csr_matrix(dense.astype(np.float32))


# ------------------------------------------------------------------------------------------- SVD


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    factors=st.integers(1, 8),
    item_exponent=st.sampled_from([0.0, 0.25, 0.5]),
    shopper_exponent=st.sampled_from([0.0, 0.5]),
)
def test_svd_scores_are_those_of_a_dense_decomposition(
    seed: int, factors: int, item_exponent: float, shopper_exponent: float
) -> None:
    matrix = some_matrix(seed)
    dense = matrix.toarray().astype(np.float64)
    buyers = (dense > 0).sum(axis=0)
    scales = np.where(buyers > 0, np.maximum(buyers, 1) ** -item_exponent, 0)
    lengths = np.linalg.norm(dense, axis=1)
    shares = np.where(lengths > 0, np.where(lengths > 0, lengths, 1) ** -shopper_exponent, 0)
    _, values, components = np.linalg.svd(shares[:, None] * dense * scales)
    if factors < 8 and values[factors - 1] - values[factors] < 0.05:
        return  # Which of two equal factors is kept is anybody's choice.
    projector = components[:factors].T @ components[:factors]
    model = TruncatedSvd(
        fit_truncated_svd(
            matrix, factors=factors, item_exponent=item_exponent, shopper_exponent=shopper_exponent
        ),
        {},
    )
    rows = np.flatnonzero(buyers > 0)[:3].astype(np.int32)
    found = model.scores(Query(rows, removed=NOTHING))
    assert found is not None
    history = np.zeros(8)
    history[rows] = 1
    seen = buyers > 0
    expected = (history * scales) @ projector / np.where(seen, scales, 1)
    np.testing.assert_allclose(found[seen], expected[seen], atol=2e-3)
    assert np.isneginf(found[~seen]).all()


def test_svd_refuses_what_it_cannot_decompose() -> None:
    with pytest.raises(EmptyInputError, match="no shopper"):
        fit_truncated_svd(csr_matrix(np.zeros((3, 3), np.float32)))
    with pytest.raises(InvalidInputError, match="positive, not 0"):
        fit_truncated_svd(some_matrix(0), factors=0)


# ------------------------------------------------------------------------------------------- ALS


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_als_ends_where_neither_side_can_be_bettered(seed: int) -> None:
    matrix = some_matrix(seed)
    alpha, ridge = 2.0, 0.5
    model = fit_als(
        matrix, factors=3, regularisation=ridge, iterations=400, alpha=alpha, seed=seed, threads=1
    )
    dense = matrix.toarray()[:, model.item_rows].astype(np.float64)
    items = model.item_vectors.astype(np.float64)

    def solved(confidence: np.ndarray, has: np.ndarray, others: np.ndarray) -> np.ndarray:
        out = np.empty((len(has), 3))
        for line in range(len(has)):
            weights = 1 + alpha * confidence[line]
            system = (others.T * weights) @ others + ridge * np.eye(3)
            out[line] = np.linalg.solve(system, others.T @ (weights * has[line]))
        return out

    def loss(shoppers: np.ndarray, products: np.ndarray) -> float:
        errors = (1 + alpha * dense) * ((dense > 0) - shoppers @ products.T) ** 2
        return float(errors.sum() + ridge * ((shoppers**2).sum() + (products**2).sum()))

    shoppers = solved(dense, dense > 0, items)
    bettered = solved(dense.T, dense.T > 0, shoppers)
    least = loss(shoppers, bettered)
    assert loss(shoppers, items) <= least * 1.01


# ------------------------------------------------------------------------------------------- BPR


def some_ranking(seed: int) -> BprModel:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (9, 3)).astype(np.float32)
    biases = rng.normal(0, 0.3, 9).astype(np.float32)
    return BprModel(vectors, biases, vectors.mean(axis=0), float(biases.mean()), 1.0)


@given(seed=st.integers(0, 999), history=st.sets(st.integers(0, 8), min_size=1))
def test_a_folded_shopper_is_at_the_top_of_what_training_maximises(
    seed: int, history: set[int]
) -> None:
    model, rows = some_ranking(seed), sorted(history)

    def gain(x: np.ndarray) -> float:
        total = -0.5 * model.ridge * float(x @ x)
        for row in rows:
            margin = float(
                x @ (model.item_vectors[row] - model.centre)
                + model.item_biases[row]
                - model.centre_bias
            )
            total -= math.log1p(math.exp(-margin))
        return total

    found = model.fold_in(np.array(rows, np.int32)).astype(np.float64)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        assert gain(found) >= gain(found + rng.normal(0, 0.1, 3)) - 1e-5


def test_bpr_ranks_what_a_shopper_has_above_the_rest_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    dense = np.zeros((60, 12), np.float32)
    for shopper in range(60):
        dense[shopper, rng.choice(6, 3, replace=False) + 6 * (shopper % 2)] = 1
    matrix = csr_matrix(dense)
    model, again = (fit_bpr(matrix, factors=8, seed=4) for _ in range(2))
    np.testing.assert_array_equal(model.item_vectors, again.item_vectors)
    scores = model.item_vectors @ model.fold_in(np.array([0, 1], np.int32)) + model.item_biases
    assert set(np.argsort(-scores)[:6]) == set(range(6))


# ------------------------------------------------------------------------------- SVD of ratings


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_pass_over_ratings_is_that_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    shoppers, items = rng.integers(0, 5, n).astype(np.int32), rng.integers(0, 6, n).astype(np.int32)
    values, order = rng.normal(0, 1, n).astype(np.float32), rng.permutation(n)
    state = tuple(
        rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((5,), (6,), (5, 2), (6, 2))
    )
    found = rating_epoch(shoppers, items, values, order, *state, 0.05, 0.1)
    a, b, p, q = (part.astype(np.float64) for part in state)
    for line in order.tolist():
        u, i = shoppers[line], items[line]
        error = values[line] - (a[u] + b[i] + p[u] @ q[i])
        a[u] += 0.05 * (error - 0.1 * a[u])
        b[i] += 0.05 * (error - 0.1 * b[i])
        p[u], q[i] = (
            p[u] + 0.05 * (error * q[i] - 0.1 * p[u]),
            q[i] + 0.05 * (error * p[u] - 0.1 * q[i]),
        )
    for fast, slow in zip(found, (a, b, p, q), strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-4)


@given(seed=st.integers(0, 999), history=st.sets(st.integers(0, 8), min_size=1))
def test_a_folded_rater_has_the_least_squares(seed: int, history: set[int]) -> None:
    rng = np.random.default_rng(seed)
    rows = np.array(sorted(history), np.int32)
    items = rng.normal(0, 1, (9, 3)).astype(np.float32)
    none = np.zeros((1, 3), np.float32)
    model = BiasedSvd(3, 1, 1, 5, none[0], rng.random(9).astype(np.float32), none, items, 0.1)
    ratings = rng.integers(1, 6, len(rows)).astype(np.float32)

    def loss(bias: float, vector: np.ndarray) -> float:
        total = 0.1 * len(rows) * (bias**2 + float(vector @ vector))
        for row, rating in zip(rows.tolist(), ratings.tolist(), strict=True):
            guess = 3 + float(model.item_biases[row]) + bias + float(items[row] @ vector)
            total += (rating - guess) ** 2
        return total

    bias, vector = model.fold_in(rows, ratings)
    least = loss(bias, vector)
    for _ in range(20):
        assert loss(bias + rng.normal(0, 0.1), vector + rng.normal(0, 0.1, 3)) >= least - 1e-4


def test_a_hidden_taste_is_found_and_a_stranger_is_predicted_as_well_as_a_known_rater() -> None:
    # 5 points on a scale to 100 of noise; without vectors the error is that of the taste, 15.
    rng = np.random.default_rng(1)
    tastes, kinds = rng.choice([-1, 1], 300), rng.choice([-1, 1], 80)
    shoppers = np.repeat(np.arange(300), 40).astype(np.int32)
    items = np.concatenate([rng.choice(80, 40, replace=False) for _ in range(300)]).astype(np.int32)
    values = 50 + 15 * tastes[shoppers] * kinds[items] + rng.normal(0, 5, len(items))
    ratings = values.astype(np.float32)
    known = (shoppers < 250) & (rng.random(len(items)) < 0.8)
    model = fit_biased_svd(
        shoppers[known], items[known], ratings[known], n_shoppers=300, n_items=80, factors=4
    )
    own, folded = [], []
    for shopper in range(300):
        mine = np.flatnonzero(shoppers == shopper)
        told, asked = (
            (mine[known[mine]], mine[~known[mine]]) if shopper < 250 else np.split(mine, [30])
        )
        guess = model.ratings(*model.fold_in(items[told], ratings[told]))
        folded += (guess[items[asked]] - ratings[asked]).tolist()
        if shopper < 250:
            guess = model.ratings(
                float(model.shopper_biases[shopper]), model.shopper_vectors[shopper]
            )
            own += (guess[items[asked]] - ratings[asked]).tolist()
    assert np.sqrt(np.mean(np.square(own))) < 7
    assert np.sqrt(np.mean(np.square(folded))) < 7


def test_of_whom_nothing_is_known_the_mean_of_the_item_is_predicted() -> None:
    ratings = Ratings(
        np.repeat(np.arange(20), 2).astype(np.int32),
        np.tile(np.array([0, 1], np.int32), 20),
        np.tile(np.array([5, 2], np.float32), 20),
    )
    method = BY_KEY["biased_svd"]
    model = method.fit(Training(3, ratings=ratings), method.parameters({"epochs": 300}), 0)
    assert isinstance(model, RatedFactors)
    nobody = Query(NOTHING, removed=NOTHING)
    found = model.predicted(nobody, np.array([0, 1, 2, -1], np.int32))
    np.testing.assert_allclose(found, [4.9, 2.1, 3.5, 3.5], atol=0.15)
    assert model.unknown(nobody) is not None


def test_ratings_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="finite"):
        fit_biased_svd([0], [0], [float("nan")], n_shoppers=1, n_items=1)
    with pytest.raises(EmptyInputError, match="no ratings"):
        fit_biased_svd([], [], [], n_shoppers=1, n_items=1)
