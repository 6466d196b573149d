"""Regressions of every item on its nearest items alone: SLIM, and EASE for large catalogs.

Both need of the data only the Gram matrix ``G = XᵀX``, which stays sparse, and of it only the part
of one neighbourhood at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError, NumericalError
from recommender.engine.offline.item_correlation import Measure, fit_item_correlation
from recommender.engine.online.kernel import DOUBLE, F64, I32, I64, N, helper, kernel
from recommender.engine.types import Float64Array

STEPS_PER_SEARCH = 8
"""So many steps along a line cost as much as finding one place in it."""

Weights = csr_matrix[np.float32]


def fit_slim(
    user_items: csr_matrix[np.float32],
    *,
    l1: float = 1.0,
    l2: float = 50.0,
    candidates: int = 200,
    sweeps: int = 50,
    tolerance: float = 1e-4,
) -> Weights:
    """Sparse weights, none of them negative, that predict every item of a history from others.

    For every item j, over the columns X of the `candidates` items with the largest cosine to it::

        minimise ½ |x_j - X w|² + ½ l2 |w|² + l1 |w|₁   subject to w >= 0

    by coordinate descent on the Gram matrix, one item after the other from the most alike on::

        w_i = max(0, G_ij - sum over l ≠ i of G_il w_l - l1) / (G_ii + l2)

    until no weight moves by `tolerance`. An item that shares nothing with j has a weight of 0
    anyhow, so with enough candidates this is the elastic net over all items. Costs O(m c²) for m
    items with c candidates: the kernel needs no more than a neighbourhood at a time.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_groups, n_items]
        Not negative.
    l1, l2 : float >= 0
        Their sum above 0. On the scale of counts: `l1` 1 takes one shared shopper from every pair.
    candidates, sweeps : int >= 1
    tolerance : float > 0

    Returns
    -------
    csr_matrix of float32[n_items, n_items]
        ``W[i, j]``: how much item ``i`` of a history speaks for item ``j``; sorted, diagonal 0.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.
    EmptyInputError
        If there is nothing to learn from.

    Notes
    -----
    X. Ning, G. Karypis, "SLIM: Sparse linear methods for top-N recommender systems", ICDM 2011;
    the selection of candidates is their fsSLIM. J. Friedman, T. Hastie, R. Tibshirani,
    "Regularization paths for generalized linear models via coordinate descent", 2010.

    Examples
    --------
    >>> orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32))
    >>> fit_slim(orders, l1=0.5, l2=1.0).toarray().round(2).tolist()
    [[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if not (l1 >= 0 and l2 >= 0 and l1 + l2 > 0):
        raise InvalidInputError(f"l1 and l2 must not be negative, nor both 0: {l1}, {l2}")
    if candidates < 1 or sweeps < 1 or not tolerance > 0:
        raise InvalidInputError(
            f"candidates, sweeps and tolerance must be positive: {candidates, sweeps, tolerance}"
        )
    near = _nearest(user_items, candidates)
    gram = _gram(user_items)
    weights = _descend(
        gram.indptr.astype(np.int64), gram.indices, gram.data,
        near.indptr.astype(np.int64), near.indices,
        l1, l2, sweeps, tolerance,
    )  # fmt: skip
    return _by_source(near, weights)


def fit_local_ease(
    user_items: csr_matrix[np.float32], *, regularisation: float = 200.0, neighbours: int = 100
) -> Weights:
    """EASE, every item predicted from the items nearest to it instead of from all.

    Column j of EASE is a ridge regression of item j on all others. Here it is one on the
    neighbourhood S of j, the items with the largest cosine to it::

        w = (G_SS + regularisation * I)⁻¹ G_Sj

    With `neighbours` of all other items this *is* EASE. Costs O(m k³ / 3) for m items with k
    neighbours and O(m k) memory, against O(m³) and O(m²): worth it from about 20,000 items on.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_groups, n_items]
    regularisation : float > 0
    neighbours : int >= 1

    Returns
    -------
    csr_matrix of float32[n_items, n_items]
        ``W[i, j]``: how much item ``i`` of a history speaks for item ``j``; sorted, diagonal 0.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.
    EmptyInputError
        If there is nothing to learn from.
    NumericalError
        If a neighbourhood's matrix isn't positive definite in double precision.

    Notes
    -----
    After H. Steck, "Markov random fields for collaborative filtering", NeurIPS 2019, which solves
    for several items of a neighbourhood at once.

    Examples
    --------
    >>> orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32))
    >>> fit_local_ease(orders, regularisation=1.0).toarray()[0].round(2).tolist()
    [0.0, 0.6700000166893005, 0.0]
    """
    if not regularisation > 0:
        raise InvalidInputError(f"regularisation must be positive, not {regularisation}")
    if neighbours < 1:
        raise InvalidInputError(f"neighbours must be at least 1, not {neighbours}")
    near = _nearest(user_items, neighbours)
    gram = _gram(user_items)
    offsets = gram.indptr.astype(np.int64)
    weights = np.zeros(near.nnz)
    for item in range(int(near.shape[0])):
        mine = slice(int(near.indptr[item]), int(near.indptr[item + 1]))
        if mine.start == mine.stop:
            continue
        system, target = _part_of(offsets, gram.indices, gram.data, near.indices[mine], item)
        system.flat[:: len(target) + 1] += regularisation
        _, solution, failed = lapack.dposv(system, target, lower=1, overwrite_a=1)
        if failed:
            raise NumericalError(f"the neighbourhood of item {item} is not positive definite")
        weights[mine] = solution
    return _by_source(near, weights)


def _nearest(user_items: csr_matrix[np.float32], k: int) -> csr_matrix[np.float32]:
    """Line j: the items that may predict j, the most alike first."""
    if not user_items.nnz:
        raise EmptyInputError("no shopper has a history")
    n_items = int(user_items.shape[1])
    held = np.unique(user_items.indices).astype(np.int32)
    if k >= len(held) - 1:
        # All of them, also those that no group holds together with it.
        lines = [held[held != item] for item in held.tolist()]
        sizes = np.zeros(n_items, np.int64)
        sizes[held] = len(held) - 1
        columns = np.concatenate(lines)
    else:
        lists = fit_item_correlation(user_items, measure=Measure.COSINE, k=k)
        kept = lists.indices >= 0
        sizes, columns = kept.sum(axis=1), lists.indices[kept]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return csr_matrix(
        (np.ones(len(columns), np.float32), columns, offsets), shape=(n_items, n_items)
    )


def _gram(user_items: csr_matrix[np.float32]) -> csr_matrix[np.float64]:
    """``XᵀX``, sorted."""
    weights = user_items.astype(np.float64)
    gram = (weights.T.tocsr() @ weights).tocsr()
    gram.sort_indices()
    return csr_matrix(
        (gram.data, gram.indices.astype(np.int32), gram.indptr.astype(np.int64)), shape=gram.shape
    )


def _by_source(near: csr_matrix[np.float32], weights: Float64Array) -> Weights:
    """From weights by what they predict to weights by what speaks, without the zeros."""
    targets = np.repeat(np.arange(int(near.shape[0])), np.diff(near.indptr))
    kept = weights != 0
    found = csr_matrix(
        (weights[kept].astype(np.float32), (near.indices[kept], targets[kept])), shape=near.shape
    )
    found.sort_indices()
    return found


@helper
def _gather(offsets: Any, columns: Any, values: Any, chosen: Any, item: int, slots: Any) -> Any:
    """Lines and columns `chosen` of a symmetric sparse matrix, and its column `item` in those lines.

    The right half of a line is either walked through or searched in, whatever is less work. `slots`
    is -1 everywhere, and is so again in the end.
    """
    n = len(chosen)
    part = np.zeros((n, n))
    target = np.zeros(n)
    for a in range(n):
        slots[chosen[a]] = a
    ascending = np.argsort(chosen)
    for first in range(n):
        a = ascending[first]
        begin, end = offsets[chosen[a]], offsets[chosen[a] + 1]
        target[a] = _at(columns, values, _search(columns, begin, end, item), end, item)
        place = _search(columns, begin, end, chosen[a])
        if end - place < STEPS_PER_SEARCH * (n - first):
            for there in range(place, end):
                b = slots[columns[there]]
                if b >= 0:
                    part[a, b] = values[there]
                    part[b, a] = values[there]
            continue
        for later in range(first, n):
            b = ascending[later]
            place = _gallop(columns, place, end, chosen[b])
            value = _at(columns, values, place, end, chosen[b])
            part[a, b] = value
            part[b, a] = value
    for a in range(n):
        slots[chosen[a]] = -1
    return part, target


@helper
def _at(columns: Any, values: Any, place: int, end: int, wanted: int) -> Any:
    """The value of a column at the place where it would be, 0 where it isn't there."""
    if place < end and columns[place] == wanted:
        return values[place]
    return 0.0


@helper
def _search(columns: Any, low: int, high: int, wanted: int) -> Any:
    """The first place of a sorted line that isn't below a column."""
    while low < high:
        middle = (low + high) // 2
        if columns[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@helper
def _gallop(columns: Any, low: int, end: int, wanted: int) -> Any:
    """`_search` for a column that is expected close behind `low`."""
    step = 1
    while low + step < end and columns[low + step] < wanted:
        low += step
        step *= 2
    return _search(columns, low, min(low + step + 1, end), wanted)


@kernel(I64, I32, F64, I32, N)
def _part_of(offsets: Any, columns: Any, values: Any, chosen: Any, item: int) -> Any:
    """`_gather` for one item, from Python."""
    slots = np.full(len(offsets) - 1, -1, np.int32)
    return _gather(offsets, columns, values, chosen, item, slots)


@kernel(I64, I32, F64, I64, I32, DOUBLE, DOUBLE, N, DOUBLE)
def _descend(
    offsets: Any,
    columns: Any,
    values: Any,
    near_offsets: Any,
    near: Any,
    l1: float,
    l2: float,
    sweeps: int,
    tolerance: float,
) -> Any:
    """The weights of all items, in the order of `near`; see `fit_slim`."""
    n_items = len(near_offsets) - 1
    slots = np.full(n_items, -1, np.int32)
    out = np.zeros(len(near))
    for item in range(n_items):
        begin, end = near_offsets[item], near_offsets[item + 1]
        part, rest = _gather(offsets, columns, values, near[begin:end], item, slots)
        weights = out[begin:end]
        for _ in range(sweeps):
            moved = 0.0
            for a in range(len(weights)):
                # `rest` is what the weights so far leave of the target.
                free = rest[a] + part[a, a] * weights[a] - l1
                new = max(free, 0.0) / (part[a, a] + l2)
                step = new - weights[a]
                if step != 0:
                    weights[a] = new
                    for b in range(len(weights)):
                        rest[b] -= part[a, b] * step
                    moved = max(moved, abs(step))
            if moved < tolerance:
                break
    return out
