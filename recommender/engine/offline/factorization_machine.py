"""A factorisation machine over a shopper's history and what the catalog says about a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError
from recommender.engine.offline.factorization_machine_kernel import machine_epoch
from recommender.engine.types import Float32Array, Int32Array, Int64Array

LINES_PER_STEP = 64
"""Products that are learned from before a history's own vectors move."""


@dataclass(frozen=True, slots=True)
class FactorizationMachine:
    """Second-order weights of the features of a history and of a product.

    Attributes
    ----------
    item_features : int32[n_items, n_fields]
        What describes an item: the item itself, its category, brand, price band; ``-1``: none.
    history_vectors : float32[n_features, f]
        Of each feature where an item that has it is in the history.
    product_vectors : float32[n_features, f]
        Of each feature where it is the product's that is scored.
    product_weights : float32[n_features]
        First-order weights of the latter.
    known : bool[n_items]
        Items with at least one feature that training saw.
    history_exponent : float
        A history of n items counts each ``n ** -history_exponent``.
    """

    item_features: Int32Array
    history_vectors: Float32Array
    product_vectors: Float32Array
    product_weights: Float32Array
    known: npt.NDArray[np.bool_]
    history_exponent: float

    def history_sums(self) -> Float32Array:
        """What each item adds to a history: the sum of its features' vectors, float32[n_items, f]."""
        return _sums(self.history_vectors, self.item_features)

    def product_sums(self) -> Float32Array:
        """The sum of the vectors of each item as a product, float32[n_items, f]."""
        return _sums(self.product_vectors, self.item_features)

    def product_biases(self) -> Float32Array:
        """What an item scores for everybody: its weights, and the pairs of its own features."""
        squares = np.square(self.product_vectors).sum(axis=1, keepdims=True)
        own = np.square(self.product_sums()).sum(axis=1)
        own -= _sums(squares, self.item_features)[:, 0]
        weights = _sums(self.product_weights[:, None], self.item_features)[:, 0]
        biases: Float32Array = (weights + own / 2).astype(np.float32)
        return biases


def machine_score(
    values: npt.ArrayLike, weights: npt.ArrayLike, vectors: npt.ArrayLike
) -> np.float64:
    """The score of one line of features, in O(f n) instead of O(f n²).

    ``Σ w_a x_a + Σ_{a<b} (v_a · v_b) x_a x_b``, where the pairs are half of
    ``|Σ v_a x_a|² - Σ |v_a|² x_a²``.

    Parameters
    ----------
    values : float[n]
    weights : float[n]
    vectors : float[n, f]

    Notes
    -----
    S. Rendle, "Factorization Machines", ICDM 2010, lemma 3.1.

    Examples
    --------
    >>> float(machine_score([1, 2], [0.5, 0], [[1, 0], [3, 1]]))
    6.5
    """
    x = np.asarray(values, np.float64)
    v = np.asarray(vectors, np.float64) * x[:, None]
    pairs = np.square(v.sum(axis=0)).sum() - np.square(v).sum()
    return np.float64(np.asarray(weights, np.float64) @ x + pairs / 2)


def item_fields(
    n_items: int, codes: Sequence[Int32Array | None], prices: Float32Array | None, *, bands: int
) -> Int32Array:
    """Numbers of the features of every item: itself, each of its codes, its price band.

    Parameters
    ----------
    n_items : int
    codes : sequence of int32[n_items] or None
        Category, brand and the like; ``-1``: none.
    prices : float32[n_items] or None
        NaN: none. They are cut into `bands` of as many items each.

    Returns
    -------
    int32[n_items, 1 + number of fields that there are]
        No two fields share a number; ``-1``: the item has nothing in the field.

    Examples
    --------
    >>> item_fields(3, [np.array([1, -1, 0], np.int32)], None, bands=2).tolist()
    [[0, 4], [1, -1], [2, 3]]
    """
    fields = [np.arange(n_items)]
    first = n_items
    for field in (*codes, _price_bands(prices, bands)):
        if field is None or not (field >= 0).any():
            continue
        fields.append(np.where(field >= 0, field + first, -1))
        first += int(field.max()) + 1
    return np.ascontiguousarray(np.stack(fields, axis=1), np.int32)


def _price_bands(prices: Float32Array | None, bands: int) -> Int32Array | None:
    if prices is None or not np.isfinite(prices).any():
        return None
    priced = np.isfinite(prices)
    edges = np.quantile(prices[priced], np.linspace(0, 1, bands + 1)[1:-1])
    found = np.searchsorted(edges, np.where(priced, prices, 0), side="right")
    return np.where(priced, found, -1).astype(np.int32)


def fit_factorization_machine(
    user_items: csr_matrix[np.float32],
    item_features: Int32Array,
    *,
    factors: int = 32,
    epochs: int = 15,
    learning_rate: float = 0.1,
    regularisation: float = 0.001,
    negatives: int = 4,
    history_exponent: float = 0.5,
    seed: int = 0,
) -> FactorizationMachine:
    """Learn which features of a history go with which features of a product.

    A line of features is a history (each item's features, ``x = weight * n ** -exponent``) beside
    the features of one product (``x = 1``); it scores as `machine_score` says, without the pairs
    inside the history, which are the same for every product. Every item i of a history is learned
    from as a product, with i itself taken out of the history, against `negatives` items that are
    not in it:

        maximise  Σ weight · ln(exp s_i / (exp s_i + Σ_j exp s_j)) - λ |θ|²

    which with one negative is BPR. Steps are AdaGrad's, with one sum of squares per vector. Sums
    over the history are made once for 64 products, so that an epoch costs
    O(f (nnz · negatives · fields + Σ n² / 64)).

    There is no feature "this shopper": a history that training never saw is as good as any.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_shoppers, n_items]
        Positive weights.
    item_features : int32[n_items, n_fields]
        As `item_fields` makes them.
    factors, epochs, negatives : int > 0
    learning_rate : float > 0
    regularisation : float >= 0
    history_exponent : float
        1 makes a history the mean of its items, 0 their sum.
    seed : int

    Returns
    -------
    FactorizationMachine
        Features that training never saw have vectors of zeros.

    Raises
    ------
    EmptyInputError
        If no shopper has two items.

    Notes
    -----
    S. Rendle, "Factorization Machines", ICDM 2010; S. Rendle et al., "BPR", UAI 2009; a history
    less the item that is asked about as in S. Kabbur, X. Ning, G. Karypis, "FISM", KDD 2013.

    Examples
    --------
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 1]] * 20, np.float32))
    >>> model = fit_factorization_machine(likes, item_fields(4, [], None, bands=2), factors=4)
    >>> scores = model.product_sums() @ model.history_sums()[0] + model.product_biases()
    >>> int(scores[1:].argmax()) + 1
    1
    """
    lines = user_items.tocsr()
    sizes = np.diff(lines.indptr)
    if not (sizes > 1).any():
        raise EmptyInputError("no shopper has two products: nothing can be learned from a history")
    n_features = int(item_features.max()) + 1
    seen = np.zeros(n_features, np.bool_)
    sold = np.flatnonzero(np.bincount(lines.indices, minlength=len(item_features)))
    named = item_features[sold]
    seen[named[named >= 0]] = True

    rng = np.random.default_rng(seed)
    start = 0.1 / np.sqrt(factors)
    histories = rng.normal(0, start, (n_features, factors)).astype(np.float32)
    products = rng.normal(0, start, (n_features, factors)).astype(np.float32)
    histories[~seen], products[~seen] = 0, 0
    state = (
        histories,
        products,
        np.zeros(n_features, np.float32),
        np.zeros((3, n_features), np.float32),
    )
    owners = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(epochs):
        state = machine_epoch(
            lines.indptr.astype(np.int64),
            lines.indices.astype(np.int32),
            lines.data.astype(np.float32),
            item_features,
            rng.permutation(len(sizes)),
            _shuffled(owners, rng),
            sold[rng.integers(0, len(sold), (lines.nnz, negatives))].astype(np.int32),
            *state,
            learning_rate,
            regularisation,
            history_exponent,
            LINES_PER_STEP,
        )
    histories, products, weights, _ = state
    has = seen[item_features] & (item_features >= 0)
    return FactorizationMachine(
        item_features,
        histories,
        products,
        weights,
        np.logical_or.reduce(has, axis=1),
        history_exponent,
    )


def _shuffled(owners: Int64Array, rng: np.random.Generator) -> Int64Array:
    """The lines of every owner in another order, owners ascending."""
    order: Int64Array = np.lexsort((rng.random(len(owners)), owners)).astype(np.int64)
    return order


def _sums(vectors: Float32Array, item_features: Int32Array) -> Float32Array:
    """Sum of the vectors of each item's features."""
    out = np.zeros((len(item_features), vectors.shape[1]), np.float32)
    for field in item_features.T:
        has = field >= 0
        out[has] += vectors[field[has]]
    return out
