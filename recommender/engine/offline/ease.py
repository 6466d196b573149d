"""EASE: the linear item-item model with a closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError, NumericalError
from recommender.engine.offline.item_similarity import blocks_of
from recommender.engine.selection import best_positions
from recommender.engine.types import EaseModel, Float32Array, Int32Array, Neighbours

ROWS_PER_BLOCK = 512


def fit_ease(
    user_items: csr_matrix[np.float32],
    *,
    regularisation: float = 200.0,
    max_items: int | None = 6000,
    min_support: int = 1,
) -> EaseModel:
    """Weights B that predict every item of a history from the others.

    Minimises ``|X - X B|² + regularisation * |B|²`` with ``diag(B) = 0``. With
    ``P = (XᵀX + regularisation * I)⁻¹`` the solution is ``B_ij = -P_ij / P_jj`` off the diagonal.
    Costs O(m³) time for a Cholesky inverse and 4 m² bytes, worked in place: 6,000 items take
    144 MB.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_groups, n_items]
        Shoppers or baskets × items, weighted or 0/1.
    regularisation : float > 0
        λ. The more and the longer the histories, the larger: 500 suits 6,000 long histories of
        films, 50 suits 15,000 baskets.
    max_items : int or None
        Only so many items, those in most groups (ties: smaller rows), take part.
    min_support : int
        Items in fewer groups don't take part.

    Returns
    -------
    EaseModel

    Raises
    ------
    InvalidInputError
        If `regularisation` isn't positive.
    EmptyInputError
        If no item has the support.
    NumericalError
        If the regularised Gram matrix isn't positive definite even in double precision.

    Notes
    -----
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    Examples
    --------
    >>> orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32))
    >>> fit_ease(orders, regularisation=1.0).weights[0].round(2)
    array([ 0.  ,  0.67, -0.  ], dtype=float32)
    """
    if not regularisation > 0:
        raise InvalidInputError(f"regularisation must be positive, not {regularisation}")
    rows = _best_supported(user_items, max_items, min_support)
    if not len(rows):
        raise EmptyInputError(f"no item occurs in {min_support} or more groups")
    head = user_items if len(rows) == user_items.shape[1] else user_items[:, rows].tocsr()
    return EaseModel(rows, _solve(head, regularisation))


def ease_neighbours(model: EaseModel, *, n_items: int, k: int = 50) -> Neighbours:
    """The k largest positive weights of every item, as lists over the whole catalog.

    Parameters
    ----------
    model : EaseModel
    n_items : int
        Length of the catalog; items that the model doesn't know get an empty list.
    k : int

    Returns
    -------
    Neighbours
        Ties by ascending row.

    Examples
    --------
    >>> model = EaseModel(np.array([1, 3], np.int32), np.array([[0, .5], [-.1, 0]], np.float32))
    >>> ease_neighbours(model, n_items=4, k=1).indices.tolist()
    [[-1], [3], [-1], [-1]]
    """
    out = Neighbours.empty(n_items, k)
    for place, row in enumerate(model.item_rows.tolist()):
        line = model.weights[place]
        best = best_positions(line, k)
        best = best[line[best] > 0]
        out.indices[row, : len(best)] = model.item_rows[best]
        out.scores[row, : len(best)] = line[best]
    return out


def combine_neighbours(primary: Neighbours, fallback: Neighbours) -> Neighbours:
    """Lists of a strong model for the head of the catalog, filled up by one for everything.

    An item with a primary list keeps it; the free places at its end take what the fallback has
    beyond it, below the last primary score. An item without one takes the fallback's list, scaled
    by the ratio of the two models' mean first score over the items that both know, so that one
    basket may hold items of both kinds.

    Parameters
    ----------
    primary, fallback : Neighbours
        Over the same catalog; the answer is as wide as the primary.

    Returns
    -------
    Neighbours

    Raises
    ------
    InvalidInputError
        If the catalogs differ in length.

    Examples
    --------
    >>> head = Neighbours(np.array([[2, -1], [-1, -1], [0, 1]], np.int32),
    ...                   np.array([[.2, 0], [0, 0], [.4, .3]], np.float32))
    >>> tail = Neighbours(np.array([[1, 2], [0, 2], [1, 0]], np.int32),
    ...                   np.array([[.6, .5], [.6, .1], [.6, .2]], np.float32))
    >>> both = combine_neighbours(head, tail)
    >>> both.indices.tolist()
    [[2, 1], [0, 2], [0, 1]]
    >>> both.scores[1]
    array([0.3 , 0.05], dtype=float32)
    """
    if primary.n_items != fallback.n_items:
        raise InvalidInputError(
            f"catalogs of {primary.n_items} and {fallback.n_items} items don't match"
        )
    out = Neighbours(primary.indices.copy(), primary.scores.copy())
    k = out.k
    in_both = (primary.indices[:, 0] >= 0) & (fallback.indices[:, 0] >= 0)
    scale = np.float32(1.0)
    if in_both.any():
        scale = primary.scores[in_both, 0].mean() / fallback.scores[in_both, 0].mean()
    sizes = (primary.indices >= 0).sum(axis=1)
    tail = np.flatnonzero(sizes == 0)
    width = min(k, fallback.k)
    out.indices[tail, :width] = fallback.indices[tail, :width]
    out.scores[tail, :width] = fallback.scores[tail, :width] * scale
    for row in np.flatnonzero((sizes > 0) & (sizes < k)).tolist():
        size = int(sizes[row])
        more = fallback.indices[row]
        new = (more >= 0) & ~np.isin(more, primary.indices[row, :size])
        extra = more[new][: k - size]
        values = np.minimum(
            fallback.scores[row][new][: k - size] * scale, primary.scores[row, size - 1]
        )
        out.indices[row, size : size + len(extra)] = extra
        out.scores[row, size : size + len(extra)] = values
    return out


def _best_supported(
    user_items: csr_matrix[np.float32], max_items: int | None, min_support: int
) -> Int32Array:
    """Rows of the items in most groups, ascending."""
    support = np.bincount(user_items.indices, minlength=int(user_items.shape[1]))
    limit = len(support) if max_items is None else max_items
    best = best_positions(support.astype(np.float64), limit)
    best = best[support[best] >= max(min_support, 1)]
    best.sort()
    return best.astype(np.int32)


def _solve(head: csr_matrix[np.float32], regularisation: float) -> Float32Array:
    gram = _gram(head, np.dtype(np.float32))
    inverse = _inverse(gram, regularisation)
    if inverse is None:
        # Strong weights and a small λ can exhaust 24 bits; twice the memory then, not an error.
        inverse = _inverse(_gram(head, np.dtype(np.float64)), regularisation)
    if inverse is None:
        raise NumericalError(
            f"the Gram matrix is not positive definite with regularisation {regularisation}"
        )
    diagonal = inverse.diagonal().copy()
    inverse /= -diagonal
    np.fill_diagonal(inverse, 0)
    weights: Float32Array = inverse.astype(np.float32, copy=False)
    return weights


def _gram(
    head: csr_matrix[np.float32], dtype: np.dtype[np.float32] | np.dtype[np.float64]
) -> npt.NDArray[np.floating]:
    """``XᵀX`` as a dense matrix, one block of lines at a time."""
    m = int(head.shape[1])
    gram: npt.NDArray[np.floating] = np.empty((m, m), dtype)
    item_groups = head.T.tocsr()
    for start, stop in blocks_of(item_groups, head):
        gram[start:stop] = (item_groups[start:stop] @ head).toarray()
    return gram


def _inverse(
    gram: npt.NDArray[np.floating], regularisation: float
) -> npt.NDArray[np.floating] | None:
    """The inverse in the memory of the argument, or None if it isn't positive definite."""
    gram.flat[:: gram.shape[0] + 1] += regularisation
    single = gram.dtype == np.float32
    factorise, invert = (lapack.spotrf, lapack.spotri) if single else (lapack.dpotrf, lapack.dpotri)
    # LAPACK works on Fortran order; the transpose of a symmetric matrix is that, without a copy.
    factor, failed = factorise(gram.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    inverse, failed = invert(factor, lower=1, overwrite_c=1)
    if failed:
        return None
    out: npt.NDArray[np.floating] = inverse.T
    # Only one triangle was written; mirror it block by block.
    for start in range(0, len(out), ROWS_PER_BLOCK):
        stop = min(start + ROWS_PER_BLOCK, len(out))
        block = out[start:stop, start:stop]
        block[:] = np.triu(block) + np.triu(block, 1).T
        out[stop:, start:stop] = out[start:stop, stop:].T
    return out
