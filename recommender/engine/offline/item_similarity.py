"""Which items go together, from the groups (orders, sessions, shoppers) that hold both."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import best_positions
from recommender.engine.types import Neighbours

PRODUCTS_PER_BLOCK = 6_000_000
"""Multiplications per block: bounds the sparse product to about 100 MB, whatever the catalog."""


def fit_item_similarity(
    group_items: csr_matrix[np.float32],
    *,
    k: int = 50,
    damping: float = 0.5,
    shrinkage: float = 0.0,
    min_support: int = 1,
    max_group_items: int | None = None,
) -> Neighbours:
    """The k most similar items of every item.

    With x the columns of the matrix, ``c = x_i · x_j`` and ``n_i = x_i · x_i``::

        score(i, j) = c / (n_i ** 0.5 * n_j ** damping) * c / (c + shrinkage)

    ``damping`` 0.5 is the cosine; 0 ranks by raw co-occurrence, which prefers bestsellers; 1 is
    the lift, which prefers rarities. `shrinkage` takes away from what was seen together seldom.
    Costs O(sum over groups of size²), in blocks, so that memory stays bounded.

    Parameters
    ----------
    group_items : csr_matrix of float32[n_groups, n_items]
        Weights or 0/1, not negative.
    k : int >= 1
    damping : float in 0..1
    shrinkage : float >= 0
    min_support : int >= 1
        Pairs that fewer groups hold are no neighbours.
    max_group_items : int or None
        Larger groups are left out: an order of a thousand lines says little about any pair, and
        costs a million.

    Returns
    -------
    Neighbours
        Ties by ascending row. An item without partners has an empty list.

    Raises
    ------
    InvalidInputError
        If a parameter is outside its range.

    Notes
    -----
    B. Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001;
    shrinkage as in Y. Koren, R. Bell, "Advances in Collaborative Filtering", 2011.

    Examples
    --------
    >>> orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], np.float32))
    >>> fit_item_similarity(orders, k=2).indices.tolist()
    [[1, 2], [0, -1], [0, -1]]
    """
    _check(k, damping, shrinkage, min_support)
    groups = group_items
    if max_group_items is not None:
        sizes = np.diff(groups.indptr)
        groups = groups[np.flatnonzero(sizes <= max_group_items)]
    n_items = int(groups.shape[1])
    out = Neighbours.empty(n_items, k)
    if groups.nnz == 0:
        return out
    item_groups = groups.T.tocsr()
    norms = np.asarray(item_groups.multiply(item_groups).sum(axis=1), np.float64).ravel()
    support = np.diff(item_groups.indptr)
    is_binary = bool((groups.data == 1).all())
    # Without weights the product itself counts the groups; with them a second product does.
    pattern = None if is_binary or min_support == 1 else _pattern_of(groups)
    own = np.where(norms > 0, norms, 1.0) ** -0.5
    partner = np.where(norms > 0, norms, 1.0) ** -damping
    for start, stop in blocks_of(item_groups, groups):
        # What an item has alone can't reach the support, so its line needn't be multiplied.
        if int(support[start:stop].max()) < min_support:
            continue
        counts = (item_groups[start:stop] @ groups).tocsr()
        enough = counts.data >= (min_support if is_binary else 0)
        if pattern is not None:
            shared = (_pattern_of(item_groups[start:stop]) @ pattern).tocsr()
            counts.sort_indices()
            shared.sort_indices()
            enough = shared.data >= min_support
        _keep_best(
            out,
            counts,
            enough,
            start,
            own=own,
            partner=partner,
            shrinkage=shrinkage,
        )
    return out


def blocks_of(
    left: csr_matrix[np.float32],
    right: csr_matrix[np.float32],
    *,
    products: int = PRODUCTS_PER_BLOCK,
) -> list[tuple[int, int]]:
    """Ranges of lines of `left` whose product with `right` needs about so many multiplications.

    Examples
    --------
    >>> one = csr_matrix(np.eye(4, dtype=np.float32))
    >>> blocks_of(one, one, products=2)
    [(0, 2), (2, 4)]
    """
    lengths = np.diff(right.indptr).astype(np.float64)
    per_entry = np.concatenate([[0.0], np.cumsum(lengths[left.indices])])
    done = per_entry[left.indptr]
    edges = [0]
    n_lines = int(left.shape[0])
    while edges[-1] < n_lines:
        reach = int(np.searchsorted(done, done[edges[-1]] + products, side="right")) - 1
        edges.append(min(max(reach, edges[-1] + 1), n_lines))
    return list(pairwise(edges))


def _pattern_of(matrix: csr_matrix[np.float32]) -> csr_matrix[np.float32]:
    """The same matrix with 1 wherever something is stored."""
    return csr_matrix(
        (np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape
    )


def _keep_best(
    out: Neighbours,
    counts: csr_matrix[np.float32],
    enough: npt.NDArray[np.bool_],
    first_row: int,
    *,
    own: npt.NDArray[np.float64],
    partner: npt.NDArray[np.float64],
    shrinkage: float,
) -> None:
    """Score the pairs of a block and write the best of every line."""
    n_lines = int(counts.shape[0])
    lines = np.repeat(np.arange(first_row, first_row + n_lines), np.diff(counts.indptr))
    kept = (counts.indices != lines) & enough & (counts.data > 0)
    lines, columns, values = lines[kept], counts.indices[kept], counts.data[kept]
    scores = values * own[lines] * partner[columns]
    if shrinkage:
        scores *= values / (values + shrinkage)
    scores32 = scores.astype(np.float32)
    edges = np.searchsorted(lines, np.arange(first_row, first_row + n_lines + 1))
    k = out.k
    # The product doesn't sort its columns, and the tie rule needs them sorted; sorting only the
    # pairs that are left is much cheaper than sorting the product.
    for line, start, stop in zip(
        range(first_row, first_row + n_lines), edges[:-1].tolist(), edges[1:].tolist(), strict=True
    ):
        if start == stop:
            continue
        mine = scores32[start:stop]
        partners = columns[start:stop]
        if stop - start > k:
            threshold = np.partition(mine, stop - start - k)[stop - start - k]
            large = np.flatnonzero(mine >= threshold)
            mine, partners = mine[large], partners[large]
        order = np.argsort(partners)
        order = order[best_positions(mine[order], k)]
        out.indices[line, : len(order)] = partners[order]
        out.scores[line, : len(order)] = mine[order]


def _check(k: int, damping: float, shrinkage: float, min_support: int) -> None:
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, not {k}")
    if not 0 <= damping <= 1:
        raise InvalidInputError(f"damping must be in 0..1, not {damping}")
    if not shrinkage >= 0:
        raise InvalidInputError(f"shrinkage must not be negative: {shrinkage}")
    if min_support < 1:
        raise InvalidInputError(f"min_support must be at least 1, not {min_support}")
