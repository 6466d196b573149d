"""Light graph convolution in closed form: liking spread over the graph of shoppers and items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.selection import ragged_positions
from recommender.engine.types import Float32Array, Float64Array

MOST = 8
"""Looking an edge up costs so many times as much as passing it."""


@dataclass(frozen=True, slots=True)
class GraphFilter:
    """A graph of groups and items, ready to spread a history over.

    Attributes
    ----------
    group_items, item_groups : csr_matrix of float32[n_groups, n_items] and its transpose
        Every edge divided by the square roots of the degrees of both its ends.
    degrees : float32[n_items]
        Square roots, 0 for items without edges.
    vectors : float32[n_items, f]
        The leading right singular vectors of `group_items`.
    low_pass : float
        What the projection on them counts beside the spreading.
    """

    group_items: csr_matrix[np.float32]
    item_groups: csr_matrix[np.float32]
    degrees: Float32Array
    vectors: Float32Array
    low_pass: float


def fit_graph_filter(
    group_items: csr_matrix[np.float32],
    *,
    factors: int = 64,
    low_pass: float = 0.3,
    seed: int = 0,
) -> GraphFilter:
    """Normalise the graph and find its smoothest signals.

    With R the groups × items matrix, D_g and D_i the diagonals of its sums by line and by column::

        N = D_g^-½ R D_i^-½  ≈  U S Vᵀ        (the `factors` largest singular values)

    LightGCN passes a signal along the edges of N and back, layer by layer, and trains what is sent
    off. Without the training what is left is a filter: two steps along the edges are NᵀN, and
    V Vᵀ, which keeps the smoothest signals only, is what very many steps would come to. Costs one
    randomised singular value decomposition, O(nnz f).

    Parameters
    ----------
    group_items : csr_matrix of float32[n_groups, n_items]
        Shoppers, baskets or sessions; not negative.
    factors : int >= 0
        0: no projection.
    low_pass : float >= 0
    seed : int
        The same seed and data give the same vectors.

    Raises
    ------
    EmptyInputError
        If the graph has no edge.
    InvalidInputError
        If a parameter is negative.

    Notes
    -----
    X. He et al., "LightGCN: Simplifying and powering graph convolution network for recommendation",
    SIGIR 2020; the closed form is GF-CF of Y. Shen et al., "How powerful is graph convolution for
    recommendation?", CIKM 2021.

    Examples
    --------
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], np.float32))
    >>> spread(fit_graph_filter(likes, factors=0), [0]).round(2).tolist()
    [0.5, 0.3499999940395355, 0.0, 0.0]
    """
    if factors < 0 or not low_pass >= 0:
        raise InvalidInputError(f"factors and low_pass must not be negative: {factors}, {low_pass}")
    if not group_items.nnz:
        raise EmptyInputError("no shopper has a history")
    of_groups = np.sqrt(np.asarray(group_items.sum(axis=1), np.float64)).ravel()
    of_items = np.sqrt(np.asarray(group_items.sum(axis=0), np.float64)).ravel()
    lines = np.repeat(_inverse(of_groups), np.diff(group_items.indptr))
    values = group_items.data * lines * _inverse(of_items)[group_items.indices]
    normal = csr_matrix(
        (values.astype(np.float32), group_items.indices, group_items.indptr),
        shape=group_items.shape,
    )
    rank = min(factors, min(normal.shape) - 1)
    vectors = np.zeros((int(normal.shape[1]), 0), np.float32)
    if rank > 0 and low_pass > 0:
        # Several threads add up in another order each time.
        with threadpool_limits(limits=1, user_api="blas"):
            found = randomized_svd(normal, n_components=rank, n_iter=4, random_state=seed)[2]
        vectors = np.ascontiguousarray(found.T, np.float32)
    return GraphFilter(normal, normal.T.tocsr(), of_items.astype(np.float32), vectors, low_pass)


def spread(
    graph: GraphFilter, rows: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Float32Array:
    """How much of a history arrives at every item.

    ``scores = r NᵀN + low_pass * r D_i^-½ V Vᵀ D_i^½`` for the history r. Costs the groups of the
    history's items, the items of these groups, and O((h + n_items) f) for the projection.

    Parameters
    ----------
    graph : GraphFilter
    rows, weights : int[h], float[h] or None
        Unknown rows are skipped; an item that is named twice counts twice.

    Returns
    -------
    float32[n_items]
        All 0 if nothing of the history has an edge. Items without edges are 0.
    """
    n_items = len(graph.degrees)
    given = np.asarray(rows, np.int64).reshape(-1)
    values = np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)
    kept = (given >= 0) & (given < n_items)
    mine, values = given[kept], values[kept]
    at_groups = _along(graph.item_groups, graph.group_items, mine, values)
    groups = np.flatnonzero(at_groups)
    scores = _along(graph.group_items, graph.item_groups, groups, at_groups[groups])
    if graph.vectors.shape[1]:
        shares = (values * _inverse(graph.degrees[mine])).astype(np.float32)
        smooth = graph.vectors @ (shares @ graph.vectors[mine])
        scores = scores + graph.low_pass * (smooth * graph.degrees)
    found: Float32Array = scores.astype(np.float32)
    return found


def _along(
    there: csr_matrix[np.float32],
    back: csr_matrix[np.float32],
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.floating],
) -> Float64Array:
    """What arrives at the columns of a matrix when some lines send values; `back` is its transpose.

    Few edges are looked up, many are run through as they lie in memory.
    """
    n_columns = int(there.shape[1])
    starts = there.indptr[rows].astype(np.int64)
    lengths = there.indptr[rows + 1].astype(np.int64) - starts
    if int(lengths.sum()) * MOST > there.nnz:
        sent = np.bincount(rows, values, minlength=int(there.shape[0]))
        return np.asarray(back @ sent.astype(np.float32), np.float64)
    places = ragged_positions(starts, lengths)
    spoken = there.data[places] * np.repeat(values, lengths)
    found: Float64Array = np.bincount(there.indices[places], spoken, n_columns).astype(np.float64)
    return found


def _inverse(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """1 / x, and 0 for 0."""
    known = values > 0
    found: npt.NDArray[np.float64] = np.where(known, 1 / np.where(known, values, 1), 0.0)
    return found
