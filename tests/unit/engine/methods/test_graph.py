"""The graph filter against dense matrices and their full decomposition."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline.graph_filter import fit_graph_filter, spread
from recommender.engine.types import Float64Array


def normalised(x: npt.NDArray[np.floating]) -> tuple[Float64Array, Float64Array]:
    """The dense form of the docstring, and the degrees of the items."""
    groups, items = x.sum(axis=1), x.sum(axis=0)
    with np.errstate(divide="ignore"):
        left = np.where(groups > 0, groups**-0.5, 0)
        right = np.where(items > 0, items**-0.5, 0)
    return left[:, None] * x * right, items


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    mine=st.lists(st.integers(-1, 8), max_size=6),
    low_pass=st.sampled_from([0.0, 0.5]),
    weighted=st.booleans(),
)
def test_a_history_is_spread_as_dense_matrices_would(
    seed: int, mine: list[int], low_pass: float, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 4 if weighted else 2, (10, 7)).astype(np.float64)
    x *= rng.random((10, 7)) < 0.4
    x[0, 0] = 1
    normal, degrees = normalised(x)
    values, vectors = np.linalg.svd(normal)[1:]
    if values[2] - values[3] < 0.05:
        return  # Nearly equal singular values: which vectors lead is a matter of rounding.
    r = np.zeros(7)
    weights = 1.0 + np.arange(len(mine))
    for row, weight in zip(mine, weights, strict=True):
        if 0 <= row < 7:
            r[row] += weight
    leading = vectors[:3].T
    half = np.sqrt(degrees)
    inverse = np.divide(1, half, out=np.zeros(7), where=half > 0)
    expected = normal.T @ (normal @ r)
    expected = expected + low_pass * half * (leading @ (leading.T @ (inverse * r)))
    graph = fit_graph_filter(csr_matrix(x.astype(np.float32)), factors=3, low_pass=low_pass)
    np.testing.assert_allclose(spread(graph, mine, weights), expected, atol=2e-3)


def test_a_rare_item_is_worth_more_than_a_bestseller_at_the_same_distance() -> None:
    # Item 0 was bought once with each; 1 is bought by everybody, 2 by nobody else.
    likes = csr_matrix(np.array([[1, 1, 1], [0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32))
    scores = spread(fit_graph_filter(likes, factors=0), [0])
    assert scores[2] == pytest.approx(1 / 3)
    assert scores[1] == pytest.approx(1 / 3 / 2)


def test_the_projection_reaches_what_two_steps_do_not() -> None:
    # A chain: 0 and 3 have no shopper in common.
    likes = csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], np.float32))
    assert spread(fit_graph_filter(likes, factors=0), [0])[3] == 0
    assert spread(fit_graph_filter(likes, factors=1, low_pass=1.0), [0])[3] > 0


def test_more_factors_than_items_are_as_many_as_there_are() -> None:
    likes = csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], np.float32))
    assert fit_graph_filter(likes, factors=64).vectors.shape == (3, 1)


def test_a_graph_without_edges_and_negative_parameters_are_refused() -> None:
    with pytest.raises(EmptyInputError):
        fit_graph_filter(csr_matrix(np.zeros((2, 2), np.float32)))
    one = csr_matrix(np.eye(2, dtype=np.float32))
    with pytest.raises(InvalidInputError, match="low_pass"):
        fit_graph_filter(one, factors=-1)
    with pytest.raises(InvalidInputError, match="low_pass"):
        fit_graph_filter(one, low_pass=-0.1)
