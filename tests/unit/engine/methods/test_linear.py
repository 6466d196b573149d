"""SLIM against scikit-learn's elastic net, sparse EASE against EASE and against dense ridge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.linear_model import ElasticNet

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline.ease import fit_ease
from recommender.engine.offline.item_correlation import Measure, fit_item_correlation
from recommender.engine.offline.local_regression import _part_of, fit_local_ease, fit_slim
from recommender.engine.types import Float64Array

N = 8


def random_matrix(seed: int, *, weighted: bool, share: float = 0.4) -> csr_matrix[np.float32]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((14, N)) < share).astype(np.float32)
    if weighted:
        dense *= rng.integers(1, 4, dense.shape)
    return csr_matrix(dense)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    weighted=st.booleans(),
    l1=st.sampled_from([0.1, 1.0]),
    l2=st.sampled_from([0.5, 5.0]),
)
def test_slim_is_the_elastic_net_without_negative_weights(
    seed: int, weighted: bool, l1: float, l2: float
) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    x = matrix.toarray().astype(np.float64)
    found = fit_slim(matrix, l1=l1, l2=l2, candidates=N, sweeps=3000, tolerance=1e-9).toarray()
    for item in range(N):
        others = np.delete(np.arange(N), item)
        # scikit-learn divides the squared error by the number of lines.
        net = ElasticNet(
            alpha=(l1 + l2) / len(x),
            l1_ratio=l1 / (l1 + l2),
            positive=True,
            fit_intercept=False,
            max_iter=20_000,
            tol=1e-9,
        )
        net.fit(x[:, others], x[:, item])
        np.testing.assert_allclose(found[others, item], net.coef_, atol=1e-4)
        assert found[item, item] == 0


def test_slim_gives_an_item_its_nearest_candidates_and_no_others() -> None:
    matrix = random_matrix(3, weighted=False)
    lists = fit_item_correlation(matrix, measure=Measure.COSINE, k=2)
    weights = fit_slim(matrix, l1=0.01, l2=0.1, candidates=2).toarray()
    for item in range(N):
        assert set(np.flatnonzero(weights[:, item])) <= set(lists.indices[item].tolist())


def test_a_stronger_penalty_leaves_fewer_weights_and_none_in_the_end() -> None:
    matrix = random_matrix(4, weighted=False)
    n_left = [fit_slim(matrix, l1=l1, l2=1.0).nnz for l1 in (0.1, 2.0, 100.0)]
    assert n_left[0] > n_left[1] > n_left[2] == 0


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), strength=st.sampled_from([0.5, 20.0]))
def test_sparse_ease_is_ease_where_the_neighbourhood_is_everything(
    seed: int, weighted: bool, strength: float
) -> None:
    matrix = random_matrix(seed, weighted=weighted)
    dense = fit_ease(matrix, regularisation=strength)
    expected = np.zeros((N, N))
    expected[np.ix_(dense.item_rows, dense.item_rows)] = dense.weights
    found = fit_local_ease(matrix, regularisation=strength, neighbours=N)
    np.testing.assert_allclose(found.toarray(), expected, atol=2e-4)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 5))
def test_sparse_ease_is_a_ridge_regression_on_the_nearest_items(seed: int, k: int) -> None:
    matrix = random_matrix(seed, weighted=True)
    x = matrix.toarray().astype(np.float64)
    found = fit_local_ease(matrix, regularisation=2.0, neighbours=k).toarray()
    lists = fit_item_correlation(matrix, measure=Measure.COSINE, k=k)
    for item in range(N):
        near = lists.indices[item][lists.indices[item] >= 0]
        if not len(near):
            assert not found[:, item].any()
            continue
        system = x[:, near].T @ x[:, near] + 2.0 * np.eye(len(near))
        expected = np.zeros(N)
        expected[near] = np.linalg.solve(system, x[:, near].T @ x[:, item])
        np.testing.assert_allclose(found[:, item], expected, atol=1e-5)


@given(seed=st.integers(0, 10_000), n_chosen=st.integers(1, 6), width=st.integers(10, 200))
def test_a_part_of_a_sparse_matrix_is_that_of_the_dense_one(
    seed: int, n_chosen: int, width: int
) -> None:
    # Long lines are searched in, short ones walked through.
    rng = np.random.default_rng(seed)
    half = rng.normal(0, 1, (width, width)) * (rng.random((width, width)) < 0.3)
    dense: Float64Array = half + half.T
    sparse = csr_matrix(dense)
    chosen = rng.choice(width, n_chosen, replace=False).astype(np.int32)
    item = int(rng.integers(width))
    part, target = _part_of(
        sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data, chosen, item
    )
    np.testing.assert_array_equal(part, dense[np.ix_(chosen, chosen)])
    np.testing.assert_array_equal(target, dense[chosen, item])


def test_what_cannot_be_fitted_is_refused() -> None:
    matrix, nothing = random_matrix(0, weighted=False), csr_matrix(np.zeros((3, 3), np.float32))
    for wrong in ({"l1": -1.0}, {"l1": 0.0, "l2": 0.0}, {"candidates": 0}, {"tolerance": 0.0}):
        with pytest.raises(InvalidInputError):
            fit_slim(matrix, **wrong)
    with pytest.raises(InvalidInputError, match="regularisation"):
        fit_local_ease(matrix, regularisation=0.0)
    with pytest.raises(InvalidInputError, match="neighbours"):
        fit_local_ease(matrix, neighbours=0)
    with pytest.raises(EmptyInputError):
        fit_slim(nothing)
    with pytest.raises(EmptyInputError):
        fit_local_ease(nothing)
