"""What a trained network computes for one history, in NumPy.

A network turns a history into one vector, its *state*; the score of an item is
``item_vectors[i] · state + item_biases[i]``. The product with all items is nearly all of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import Float32Array, Int64Array

LAYER_NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class GruModel:
    """A recurrent network over the clicks of a session.

    Attributes
    ----------
    item_vectors : float32[m, d]
        What the network reads of an item, and what its state is compared with.
    item_biases : float32[m]
    input_weights, hidden_weights : float32[3 d, d]
        Of the reset gate, the update gate and the new state, one below the other.
    input_biases, hidden_biases : float32[3 d]
    max_length : int
        Only so many of the newest clicks are read.
    """

    item_vectors: Float32Array
    item_biases: Float32Array
    input_weights: Float32Array
    hidden_weights: Float32Array
    input_biases: Float32Array
    hidden_biases: Float32Array
    max_length: int

    def __post_init__(self) -> None:
        _check_items(self.item_vectors, self.item_biases)
        d = self.item_vectors.shape[1]
        if self.input_weights.shape != (3 * d, d) or self.hidden_weights.shape != (3 * d, d):
            raise InvalidInputError(
                f"weights {self.input_weights.shape} and {self.hidden_weights.shape} "
                f"must be ({3 * d}, {d})"
            )


@dataclass(frozen=True, slots=True)
class Norm:
    """Scale and shift after a vector was brought to mean 0 and variance 1; float32[d] each."""

    scale: Float32Array
    shift: Float32Array


@dataclass(frozen=True, slots=True)
class Block:
    """A layer of self-attention and the small network after it.

    Attributes
    ----------
    attention_norm, network_norm : Norm
    query, key, value, output : float32[d, d]
        A vector x becomes ``W @ x``.
    inner_weights, outer_weights : float32[d, d]
    inner_biases, outer_biases : float32[d]
    """

    attention_norm: Norm
    query: Float32Array
    key: Float32Array
    value: Float32Array
    output: Float32Array
    network_norm: Norm
    inner_weights: Float32Array
    inner_biases: Float32Array
    outer_weights: Float32Array
    outer_biases: Float32Array


@dataclass(frozen=True, slots=True)
class AttentionModel:
    """A causal transformer over the clicks of a session.

    Attributes
    ----------
    item_vectors : float32[m, d]
        What the network reads of an item, and what its state is compared with.
    item_biases : float32[m]
    position_vectors : float32[max_length, d]
        Added by the place in what is read, 0 for its oldest click.
    blocks : tuple of Block
    last_norm : Norm
    heads : int
        Divides d.
    """

    item_vectors: Float32Array
    item_biases: Float32Array
    position_vectors: Float32Array
    blocks: tuple[Block, ...]
    last_norm: Norm
    heads: int

    def __post_init__(self) -> None:
        _check_items(self.item_vectors, self.item_biases)
        d = self.item_vectors.shape[1]
        if self.heads < 1 or d % self.heads:
            raise InvalidInputError(f"{self.heads} heads don't divide vectors of length {d}")


@dataclass(frozen=True, slots=True)
class TowerModel:
    """Two towers that meet in a dot product: a history's, and an item's, which is a vector.

    Attributes
    ----------
    item_vectors : float32[m, d]
        What a state is compared with.
    item_biases : float32[m]
    history_vectors : float32[m, d]
        What an item of the history adds.
    tower_weights : float32[d, d]
    tower_biases : float32[d]
    """

    item_vectors: Float32Array
    item_biases: Float32Array
    history_vectors: Float32Array
    tower_weights: Float32Array
    tower_biases: Float32Array

    def __post_init__(self) -> None:
        _check_items(self.item_vectors, self.item_biases)
        if self.history_vectors.shape != self.item_vectors.shape:
            raise InvalidInputError(
                f"history vectors {self.history_vectors.shape} must be {self.item_vectors.shape}"
            )


def gru_state(model: GruModel, places: Int64Array) -> Float32Array:
    """The state after the clicks of a session.

    With h = 0 before the first, for each click of vector x::

        r = sigmoid(W_r x + b_r + U_r h + c_r)
        z = sigmoid(W_z x + b_z + U_z h + c_z)
        n = tanh(W_n x + b_n + r * (U_n h + c_n))
        h = (1 - z) * n + z * h

    and in the end x is added, the last click itself: without that a network must first learn, for
    every item, that what was just looked at is looked at again. Costs O(clicks * d²).

    Parameters
    ----------
    model : GruModel
    places : int64[h], h >= 1
        Lines of `item_vectors`, oldest click first.

    Returns
    -------
    float32[d]

    Notes
    -----
    B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk, "Session-based Recommendations with Recurrent
    Neural Networks", ICLR 2016; the gates as PyTorch defines them.

    Examples
    --------
    >>> one = np.ones((1, 1), np.float32)
    >>> zero = np.zeros(3, np.float32)
    >>> weights = np.array([[0], [0], [1]], np.float32)
    >>> model = GruModel(one, zero[:1], weights, 0 * weights, zero, zero, max_length=9)
    >>> round(float(gru_state(model, np.array([0]))[0]), 4)  # half of tanh(1), and 1
    1.3808
    """
    read = model.item_vectors[places[-model.max_length :]]
    d = read.shape[1]
    given = read @ model.input_weights.T + model.input_biases
    state = np.zeros(d, np.float32)
    for click in given:
        kept = model.hidden_weights @ state + model.hidden_biases
        gates = _sigmoid(click[: 2 * d] + kept[: 2 * d])
        reset, update = gates[:d], gates[d:]
        new = np.tanh(click[2 * d :] + reset * kept[2 * d :])
        state = (1 - update) * new + update * state
    found: Float32Array = state + read[-1]
    return found


def attention_state(model: AttentionModel, places: Int64Array) -> Float32Array:
    """The state at the last click of a session.

    Each block adds to every click what it finds in the clicks up to it, then what a network of one
    hidden layer makes of that::

        x = x + W_o softmax(q kᵀ / sqrt(d / heads)) v     q, k, v from norm(x)
        x = x + W_2 relu(W_1 norm(x) + b_1) + b_2

    Costs O(blocks * (clicks * d² + clicks² * d)).

    Parameters
    ----------
    model : AttentionModel
    places : int64[h], h >= 1
        Lines of `item_vectors`, oldest click first.

    Returns
    -------
    float32[d]

    Notes
    -----
    W. Kang, J. McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, with the
    normalisation of a whole block's input instead of the queries alone.
    """
    read = places[-len(model.position_vectors) :]
    clicks = model.item_vectors[read] + model.position_vectors[: len(read)]
    for block in model.blocks:
        clicks = clicks + _attended(block, _normed(clicks, block.attention_norm), model.heads)
        inner = _normed(clicks, block.network_norm) @ block.inner_weights.T + block.inner_biases
        clicks = clicks + np.maximum(inner, 0) @ block.outer_weights.T + block.outer_biases
    state: Float32Array = _normed(clicks[-1:], model.last_norm)[0]
    return state


def tower_state(model: TowerModel, places: Int64Array, weights: Float32Array) -> Float32Array:
    """The state of a history: ``tanh(W (sum of w_i * u_i / |w|) + b)``. O(h d + d²).

    Parameters
    ----------
    model : TowerModel
    places : int64[h], h >= 1
        Lines of `history_vectors`, each at most once, in any order.
    weights : float32[h]
        Not all 0.

    Returns
    -------
    float32[d]

    Examples
    --------
    >>> two = np.eye(2, dtype=np.float32)
    >>> model = TowerModel(two, np.zeros(2, np.float32), two, 2 * two, np.zeros(2, np.float32))
    >>> tower_state(model, np.array([1]), np.ones(1, np.float32)).round(3).tolist()
    [0.0, 0.9639999866485596]
    """
    length = np.float32(np.sqrt(weights @ weights))
    history = (weights / length) @ model.history_vectors[places]
    state: Float32Array = np.tanh(model.tower_weights @ history + model.tower_biases)
    return state


def _attended(block: Block, clicks: Float32Array, heads: int) -> Float32Array:
    """What every click finds in itself and the clicks before it."""
    length, d = clicks.shape
    parts = (length, heads, d // heads)
    query, key, value = (
        (clicks @ weights.T).reshape(parts).swapaxes(0, 1)
        for weights in (block.query, block.key, block.value)
    )
    ties = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(d // heads))
    ties[:, np.triu(np.ones((length, length), np.bool_), 1)] = -np.inf
    shares = np.exp(ties - ties.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    found: Float32Array = (shares @ value).swapaxes(0, 1).reshape(length, d) @ block.output.T
    return found


def _normed(clicks: Float32Array, norm: Norm) -> Float32Array:
    centred = clicks - clicks.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    normed: Float32Array = (
        centred / np.sqrt(variance + np.float32(LAYER_NORM_EPSILON)) * norm.scale + norm.shift
    )
    return normed


def _sigmoid(values: Float32Array) -> Float32Array:
    # By tanh: exp of a large negative number would overflow.
    half: Float32Array = np.tanh(values * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    return half


def _check_items(vectors: Float32Array, biases: Float32Array) -> None:
    if vectors.ndim != 2 or len(vectors) != len(biases):
        raise InvalidInputError(f"vectors {vectors.shape} and {len(biases)} biases don't fit")
