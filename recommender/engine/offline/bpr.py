"""Vectors that rank what a shopper has above what they don't have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import Float32Array, Int32Array

NEWTON_STEPS = 4


@dataclass(frozen=True, slots=True)
class BprModel:
    """Item vectors and biases of a pairwise ranking.

    Attributes
    ----------
    item_vectors : float32[n_items, f]
        0 for items that nobody has.
    item_biases : float32[n_items]
    centre : float32[f]
        Mean vector of the items that somebody has.
    centre_bias : float
        Their mean bias.
    ridge : float
        λ of the fold-in.
    """

    item_vectors: Float32Array
    item_biases: Float32Array
    centre: Float32Array
    centre_bias: float
    ridge: float

    def fold_in(self, rows: Int32Array) -> Float32Array:
        """The vector of a shopper who has these items, float32[f].

        What training maximises, for one shopper with the items held, and with the mean item c in
        the place of the drawn ones: ``Σ_i ln σ(x · (y_i - c) + b_i - b_c) - ½ λ |x|²``. Concave;
        4 steps of Newton's method, O(n f² + f³) each.
        """
        apart = (self.item_vectors[rows] - self.centre).astype(np.float64)
        biases = self.item_biases[rows].astype(np.float64) - self.centre_bias
        x = np.zeros(apart.shape[1])
        for _ in range(NEWTON_STEPS):
            missing = 1 / (1 + np.exp(np.clip(apart @ x + biases, -60, 60)))
            system = (apart.T * (missing * (1 - missing))) @ apart
            system.flat[:: len(x) + 1] += self.ridge
            x += np.linalg.solve(system, apart.T @ missing - self.ridge * x)
        return x.astype(np.float32)


def fit_bpr(
    user_items: csr_matrix[np.float32],
    *,
    factors: int = 64,
    epochs: int = 30,
    learning_rate: float = 0.05,
    regularisation: float = 0.005,
    ridge: float = 3.0,
    seed: int = 0,
) -> BprModel:
    """Vectors by gradient steps over drawn triples.

    Maximises ``Σ ln σ(x_u · (y_i - y_j) + b_i - b_j) - λ |θ|²`` over triples in which u has i and
    not j, each pass drawing as many as there are ones in the matrix. The shoppers' own vectors x
    are not kept: `BprModel.fold_in` makes one for any history. Costs O(epochs nnz f) on one thread,
    which alone makes it repeatable.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_shoppers, n_items]
        What is positive is had; weights aren't asked for.
    factors, epochs : int
    learning_rate : float > 0
    regularisation : float >= 0
    ridge : float > 0
        Of the fold-in.
    seed : int

    Raises
    ------
    EmptyInputError
        If nobody has anything.

    Notes
    -----
    S. Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009; trained
    by the library `implicit`, which draws j as often as it is had and passes over one that u has.

    Examples
    --------
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 1]] * 20, np.float32))
    >>> model = fit_bpr(likes, factors=4)
    >>> scores = model.item_vectors @ model.fold_in(np.array([0])) + model.item_biases
    >>> int(scores[1:].argmax()) + 1
    1
    """
    has = user_items.copy()
    has.data = (has.data > 0).astype(np.float32)
    has.eliminate_zeros()
    if not has.nnz:
        raise EmptyInputError("no shopper has an item: there is nothing to rank")
    with threadpool_limits(limits=1, user_api="blas"):
        model = BayesianPersonalizedRanking(
            factors=factors,
            learning_rate=learning_rate,
            regularization=regularisation,
            iterations=epochs,
            num_threads=1,
            random_state=seed,
        )
        model.fit(has, show_progress=False)
    # The last column is the bias, against a column of ones on the shoppers' side.
    items = np.array(model.item_factors, np.float32)
    seen = np.bincount(has.indices, minlength=len(items)) > 0
    items[~seen] = 0
    centre = items[seen].mean(axis=0)
    return BprModel(
        np.ascontiguousarray(items[:, :-1]),
        np.ascontiguousarray(items[:, -1]),
        centre[:-1],
        float(centre[-1]),
        ridge,
    )
