"""Items as words: what stands in the same sessions and baskets comes close."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gensim.models import Word2Vec

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import Float32Array, Int32Array

TOKENS_TO_TRAIN_ON = 3_000_000
"""Items times epochs above which training stops being worth the time."""


def fit_item_embeddings(
    groups: Sequence[Int32Array],
    *,
    n_items: int,
    dimensions: int = 64,
    window: int = 10,
    epochs: int = 50,
    negatives: int = 5,
    negative_exponent: float = 0.5,
    downsampling: float = 1e-3,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> Float32Array:
    """Skip-gram vectors of items, of length 1.

    Every session, basket or history is a sentence. For an item i and one c at most `window` places
    away, and n drawn from the counts ``** negative_exponent``, it maximises
    ``ln σ(v_i · w_c) + Σ_n ln σ(-v_i · w_n)``. One worker: the same seed gives the same vectors.
    Costs O(epochs · items in groups · window · negatives · dimensions).

    Parameters
    ----------
    groups : sequence of int32[]
        Rows of items in their order; groups of one say nothing.
    n_items : int
    dimensions, window, epochs, negatives : int
        Of `epochs` no more are made than fit 3,000,000 items, and at least 3.
    negative_exponent : float
        1 draws as items occur, 0 all alike, below 0 rather the rare ones.
    downsampling : float
        Items with a larger share of all are passed over at times; 0: never.
    learning_rate : float
        Few passes want it larger than texts do: 0.025, the library's own, gave a third of the hits
        of 0.1 on baskets.
    seed : int

    Returns
    -------
    float32[n_items, dimensions]
        Zeros for items that no group of two or more holds.

    Raises
    ------
    EmptyInputError
        If no group has two items.

    Notes
    -----
    O. Barkan, N. Koenigstein, "Item2Vec", 2016; that the exponent and the number of passes decide:
    H. Caselles-Dupré, F. Lesaint, J. Royo-Letelier, "Word2Vec applied to Recommendation:
    Hyperparameters Matter", RecSys 2018.

    Examples
    --------
    >>> groups = [np.array([0, 1, 2]), np.array([3, 4, 5])] * 50
    >>> vectors = fit_item_embeddings(groups, n_items=7, dimensions=8, downsampling=0)
    >>> near = vectors @ vectors[0]
    >>> sorted(np.argsort(-near)[:3].tolist()), float(near[6])
    ([0, 1, 2], 0.0)
    """
    sentences = [list(map(str, group.tolist())) for group in groups if len(group) > 1]
    if not sentences:
        raise EmptyInputError("no session, basket or history has two items")
    n_tokens = sum(map(len, sentences))
    model = Word2Vec(
        sentences,
        vector_size=dimensions,
        window=window,
        min_count=1,
        sg=1,
        hs=0,
        negative=negatives,
        ns_exponent=negative_exponent,
        sample=downsampling,
        alpha=learning_rate,
        epochs=int(np.clip(TOKENS_TO_TRAIN_ON // n_tokens, 3, epochs)),
        workers=1,
        seed=seed,
    )
    vectors = np.zeros((n_items, dimensions), np.float32)
    rows = np.array([int(word) for word in model.wv.index_to_key])
    found = np.asarray(model.wv.vectors, np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    vectors[rows] = found / np.maximum(lengths, np.float32(1e-12))
    return vectors
