"""Implicit matrix factorisation (ALS), trained here, folded in by NumPy alone."""

from __future__ import annotations

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import FactorModel


def fit_als(
    user_items: csr_matrix[np.float32],
    *,
    factors: int = 64,
    regularisation: float = 0.05,
    iterations: int = 12,
    alpha: float = 10.0,
    seed: int = 0,
    min_support: int = 1,
    threads: int = 0,
) -> FactorModel:
    """Vectors of shoppers and items whose product is high where there was an interaction.

    Minimises ``sum over all (u, i) of c_ui (p_ui - x_u · y_i)² + λ (|x|² + |y|²)`` with p = 1 where
    there is an interaction of weight w, confidence ``c = 1 + alpha * w``, and p = 0, c = 1 elsewhere.
    Costs O(iterations * (nnz f + (shoppers + items) f²)) by conjugate gradients.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_shoppers, n_items]
        Weights; lines that aren't positive are preferences of 0.
    factors : int
    regularisation : float >= 0
    iterations : int
    alpha : float > 0
    seed : int
        The same seed, data and number of threads give the same vectors.
    min_support : int
        Items of fewer shoppers are trained but not recommended: their vectors are left out.
    threads : int
        0 means all.

    Returns
    -------
    FactorModel
        What `als_fold_in` needs; the shoppers' own vectors are not kept.

    Raises
    ------
    EmptyInputError
        If there is no interaction, or no item has the support.

    Notes
    -----
    Y. Hu, Y. Koren, C. Volinsky, ICDM 2008; conjugate gradients as in G. Takács et al., RecSys 2011.

    Examples
    --------
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], np.float32))
    >>> fit_als(likes, factors=2, iterations=3).item_vectors.shape
    (4, 2)
    """
    support = np.bincount(user_items.indices, minlength=int(user_items.shape[1]))
    rows = np.flatnonzero(support >= max(min_support, 1)).astype(np.int32)
    if not len(rows):
        raise EmptyInputError(f"no item has interactions of {min_support} or more shoppers")
    # `implicit` takes the stored value as the confidence itself (and a negative one as dislike).
    confidence = user_items.copy()
    confidence.data = np.where(
        user_items.data > 0, 1 + alpha * user_items.data, -(1 + alpha * np.abs(user_items.data))
    ).astype(np.float32)
    # Its threads and those of BLAS would fight for the same cores.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=regularisation,
            alpha=1.0,
            iterations=iterations,
            random_state=seed,
            num_threads=threads,
        )
        model.fit(confidence, show_progress=False)
    vectors = np.asarray(model.item_factors, dtype=np.float32)
    # The fold-in needs the Gram matrix of everything that was trained, recommended or not.
    gram = (vectors.T @ vectors).astype(np.float32)
    return FactorModel(rows, vectors[rows], gram, float(regularisation), float(alpha))
