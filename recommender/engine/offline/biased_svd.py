"""Ratings as a mean, what shopper and item add to it, and the product of their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.online.kernel import DOUBLE, F32, F32_2, I32, I64, kernel
from recommender.engine.types import Float32Array, Int32Array


@dataclass(frozen=True, slots=True)
class BiasedSvd:
    """A rating is ``mean + shopper_biases[u] + item_biases[i] + p_u · q_i``.

    Attributes
    ----------
    mean : float
    spread : float
        Standard deviation of the ratings.
    lowest, highest : float
        Ends of the scale.
    shopper_biases, item_biases : float32[n_shoppers], float32[n_items]
    shopper_vectors, item_vectors : float32[n_shoppers, f], float32[n_items, f]
        0 where there was no rating.
    regularisation : float
    """

    mean: float
    spread: float
    lowest: float
    highest: float
    shopper_biases: Float32Array
    item_biases: Float32Array
    shopper_vectors: Float32Array
    item_vectors: Float32Array
    regularisation: float

    def fold_in(self, rows: Int32Array, ratings: Float32Array) -> tuple[float, Float32Array]:
        """Bias and vector of a shopper who rated these items, the items held.

        The minimum over ``b`` and ``p`` of
        ``Σ (r_i - mean - b_i - b - p · q_i)² + λ n (b² + |p|²)``, which is where the steps of
        training would lead: a ridge regression in O(n f² + f³). Zeros without items.

        Examples
        --------
        >>> none = np.zeros((1, 1), np.float32)
        >>> model = BiasedSvd(3, 1, 1, 5, none[0], np.zeros(2, np.float32), none,
        ...                   np.array([[1], [-1]], np.float32), 0.5)
        >>> bias, vector = model.fold_in(np.array([0, 1], np.int32), np.array([5, 1], np.float32))
        >>> bias, vector.tolist()
        (0.0, [1.3333333730697632])
        """
        f = self.item_vectors.shape[1]
        if not len(rows):
            return 0.0, np.zeros(f, np.float32)
        lines = np.column_stack([np.ones(len(rows)), self.item_vectors[rows].astype(np.float64)])
        rest = ratings.astype(np.float64) - self.mean - self.item_biases[rows]
        system = lines.T @ lines
        system.flat[:: f + 2] += self.regularisation * len(rows)
        solved = np.linalg.solve(system, lines.T @ rest)
        return float(solved[0]), solved[1:].astype(np.float32)

    def ratings(self, bias: float, vector: Float32Array) -> Float32Array:
        """What a shopper would say about every item, beyond the scale too; float32[n_items]."""
        found = self.item_vectors @ vector + self.item_biases + np.float32(self.mean + bias)
        return found.astype(np.float32)


def fit_biased_svd(
    shopper_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    n_shoppers: int,
    n_items: int,
    factors: int = 32,
    epochs: int = 60,
    learning_rate: float = 0.02,
    regularisation: float = 0.05,
    seed: int = 0,
) -> BiasedSvd:
    """Biases and vectors by stochastic gradient descent over the ratings in random order.

    Minimises ``Σ (r_ui - μ - b_u - b_i - p_u · q_i)² + λ (b_u² + b_i² + |p_u|² + |q_i|²)`` with the
    sum over the ratings, so that who rated much is held as much per rating as who rated little.
    With e the error of a rating: ``b += η (e - λ b)``, ``p += η (e q - λ p)``, ``q += η (e p - λ
    q)``. The step falls with the pass t as ``η / (1 + t / 10)``. Costs O(epochs n f).

    Parameters
    ----------
    shopper_rows, item_rows : int32[n]
    values : float32[n]
        On any scale; training divides by their spread, so that steps fit 5 stars and 100 points.
    n_shoppers, n_items : int
    factors, epochs : int
    learning_rate : float > 0
    regularisation : float >= 0
    seed : int

    Raises
    ------
    EmptyInputError
        If there is no rating.
    InvalidInputError
        If a rating isn't finite.

    Notes
    -----
    Y. Koren, R. Bell, C. Volinsky, "Matrix Factorization Techniques for Recommender Systems",
    Computer 42, 2009.

    Examples
    --------
    >>> model = fit_biased_svd([0, 0, 1, 1], [0, 1, 0, 1], [5, 3, 4, 2], n_shoppers=2, n_items=2,
    ...                        factors=1, learning_rate=0.3, regularisation=0)
    >>> model.ratings(float(model.shopper_biases[1]), model.shopper_vectors[1]).round(1)
    array([4., 2.], dtype=float32)
    """
    shoppers, items = np.asarray(shopper_rows, np.int32), np.asarray(item_rows, np.int32)
    ratings = np.asarray(values, np.float32)
    if not len(ratings):
        raise EmptyInputError("there are no ratings to learn from")
    if not np.isfinite(ratings).all():
        raise InvalidInputError("a rating is not a finite number")
    mean = float(ratings.mean(dtype=np.float64))
    spread = float(ratings.std(dtype=np.float64)) or 1.0
    rng = np.random.default_rng(seed)
    start = 0.1 / np.sqrt(factors)
    state = (
        np.zeros(n_shoppers, np.float32),
        np.zeros(n_items, np.float32),
        rng.normal(0, start, (n_shoppers, factors)).astype(np.float32),
        rng.normal(0, start, (n_items, factors)).astype(np.float32),
    )
    scaled = ((ratings - mean) / spread).astype(np.float32)
    for epoch in range(epochs):
        state = rating_epoch(
            shoppers,
            items,
            scaled,
            rng.permutation(len(ratings)),
            *state,
            learning_rate / (1 + epoch / 10),
            regularisation,
        )
    shopper_biases, item_biases, shopper_vectors, item_vectors = state
    shopper_vectors[np.bincount(shoppers, minlength=n_shoppers) == 0] = 0
    item_vectors[np.bincount(items, minlength=n_items) == 0] = 0
    # The shopper's side takes the scale: `fold_in` then weighs vector and bias as training did.
    return BiasedSvd(
        mean,
        spread,
        float(ratings.min()),
        float(ratings.max()),
        shopper_biases * np.float32(spread),
        item_biases * np.float32(spread),
        shopper_vectors * np.float32(spread),
        item_vectors,
        regularisation,
    )


@kernel(I32, I32, F32, I64, F32, F32, F32_2, F32_2, DOUBLE, DOUBLE)
def rating_epoch(
    shoppers: Any,
    items: Any,
    values: Any,
    order: Any,
    given_shopper_biases: Any,
    given_item_biases: Any,
    given_shopper_vectors: Any,
    given_item_vectors: Any,
    learning_rate: Any,
    regularisation: Any,
) -> Any:
    """Biases and vectors after one more pass over the ratings in this order."""
    shopper_biases, item_biases = given_shopper_biases.copy(), given_item_biases.copy()
    shopper_vectors, item_vectors = given_shopper_vectors.copy(), given_item_vectors.copy()
    rate, decay = np.float32(learning_rate), np.float32(regularisation)
    for line in order:
        u, i = shoppers[line], items[line]
        p, q = shopper_vectors[u], item_vectors[i]
        guess = shopper_biases[u] + item_biases[i]
        for k in range(len(p)):
            guess += p[k] * q[k]
        error = values[line] - guess
        shopper_biases[u] += rate * (error - decay * shopper_biases[u])
        item_biases[i] += rate * (error - decay * item_biases[i])
        for k in range(len(p)):
            was = p[k]
            p[k] += rate * (error * q[k] - decay * was)
            q[k] += rate * (error * was - decay * q[k])
    return shopper_biases, item_biases, shopper_vectors, item_vectors
