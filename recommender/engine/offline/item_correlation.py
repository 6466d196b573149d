"""Which items go together, judged otherwise than by the cosine: Jaccard's share, Pearson's r."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.item_similarity import blocks_of
from recommender.engine.selection import best_positions
from recommender.engine.types import Float64Array, Neighbours


class Measure(StrEnum):
    """How alike two columns, or two lines, of a matrix are."""

    COSINE = "cosine"
    PEARSON = "pearson"
    JACCARD = "jaccard"


def fit_item_correlation(
    group_items: csr_matrix[np.float32],
    *,
    measure: Measure,
    k: int = 100,
    shrinkage: float = 0.0,
    min_support: int = 1,
) -> Neighbours:
    """The k most alike items of every item, of those that at least one group holds both of.

    With x the columns of the matrix, N its lines, ``c = x_i · x_j``, ``n_i = x_i · x_i`` and ``s_i``
    the sum of x_i::

        cosine   = c / sqrt(n_i n_j)
        jaccard  = c / (n_i + n_j - c)
        pearson  = (c - s_i s_j / N) / sqrt((n_i - s_i² / N) (n_j - s_j² / N))
        score    = measure * c / (c + shrinkage)

    Jaccard and the damping count groups (every weight is 1 to them). Pearson centres every item by
    its mean over all groups, those without it counting 0: of 0/1 data it is the phi coefficient,
    and two bestsellers that meet no more often than chance would have it are not alike. Costs
    O(sum over groups of size²), in blocks, so that memory stays bounded.

    Parameters
    ----------
    group_items : csr_matrix of float32[n_groups, n_items]
        Weights or 0/1, not negative.
    measure : Measure
    k : int >= 1
    shrinkage : float >= 0
        Takes away from what few groups say.
    min_support : int >= 1
        Pairs that fewer groups hold are no neighbours.

    Returns
    -------
    Neighbours
        Scores above 0, ties by ascending row. An item without partners has an empty list.

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
    >>> orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]], np.float32))
    >>> found = fit_item_correlation(orders, measure=Measure.JACCARD, k=2)
    >>> found.indices.tolist(), found.scores[0].round(2).tolist()
    ([[1, 2], [0, -1], [0, -1]], [0.6700000166893005, 0.33000001311302185])
    """
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, not {k}")
    if not shrinkage >= 0:
        raise InvalidInputError(f"shrinkage must not be negative: {shrinkage}")
    if min_support < 1:
        raise InvalidInputError(f"min_support must be at least 1, not {min_support}")
    weights = group_items.astype(np.float64)
    pattern = csr_matrix(
        (np.ones(weights.nnz), weights.indices, weights.indptr), shape=weights.shape
    )
    products = pattern if measure is Measure.JACCARD else weights
    is_counted = products is pattern or bool((weights.data == 1).all())
    n_groups, n_items = (int(length) for length in weights.shape)
    sums = np.bincount(products.indices, products.data, minlength=n_items)
    squares = np.bincount(products.indices, products.data**2, minlength=n_items)
    out = Neighbours.empty(n_items, k)
    item_groups = products.T.tocsr()
    item_pattern = item_groups if is_counted else pattern.T.tocsr()
    # The sizes of the blocks are a matter of the pattern alone.
    lines_of, lengths_of = item_groups.astype(np.float32), products.astype(np.float32)
    for start, stop in blocks_of(lines_of, lengths_of):
        shared = _sorted(item_groups[start:stop] @ products)
        lines = np.repeat(np.arange(start, stop), np.diff(shared.indptr))
        columns, c = shared.indices, shared.data
        support = c if is_counted else _sorted(item_pattern[start:stop] @ pattern).data
        scores = likeness(
            measure,
            c,
            (squares[lines], squares[columns]),
            (sums[lines], sums[columns]),
            length=n_groups,
        )
        scores = scores * (support / (support + shrinkage))
        kept = (columns != lines) & (scores > 0) & (support >= min_support)
        _keep_best(out, lines[kept], columns[kept], scores[kept], start, stop)
    return out


def likeness(
    measure: Measure,
    products: Float64Array,
    squares: tuple[npt.ArrayLike, npt.ArrayLike],
    sums: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    length: int,
) -> Float64Array:
    """How alike two vectors are, from their product, squares and sums alone.

    Parameters
    ----------
    products : float64[n]
        Above 0; of 0/1 vectors for Jaccard.
    squares, sums : pairs of float64[n]
        Of the one vector and of the other.
    length : int
        Of the vectors, zeros included.

    Returns
    -------
    float64[n]
        At most 1; 0 where a vector has no variance.

    Examples
    --------
    >>> pair = np.array([2.0]), np.array([3.0])
    >>> likeness(Measure.PEARSON, np.array([2.0]), pair, pair, length=4).round(3).tolist()
    [0.577]
    """
    one, other = (np.asarray(part, np.float64) for part in squares)
    if measure is Measure.JACCARD:
        return products / (one + other - products)
    if measure is Measure.PEARSON:
        first, second = (np.asarray(part, np.float64) for part in sums)
        products = products - first * second / length
        one, other = one - first**2 / length, other - second**2 / length
    spread = one * other
    # What is the same for everybody has no variance but what rounding leaves.
    is_spread = (one > 1e-9) & (other > 1e-9)
    found: Float64Array = np.where(is_spread, products / np.sqrt(np.where(is_spread, spread, 1)), 0)
    return found


def _sorted(product: csr_matrix[np.float64]) -> csr_matrix[np.float64]:
    """A product of sparse matrices doesn't sort its columns, and ties go by column."""
    found = product.tocsr()
    found.sort_indices()
    return found


def _keep_best(
    out: Neighbours,
    lines: npt.NDArray[np.integer],
    columns: npt.NDArray[np.integer],
    scores: Float64Array,
    start: int,
    stop: int,
) -> None:
    """Write the best of every line."""
    values = scores.astype(np.float32)
    edges = np.searchsorted(lines, np.arange(start, stop + 1)).tolist()
    for line, first, last in zip(range(start, stop), edges[:-1], edges[1:], strict=True):
        best = best_positions(values[first:last], out.k)
        out.indices[line, : len(best)] = columns[first:last][best]
        out.scores[line, : len(best)] = values[first:last][best]
