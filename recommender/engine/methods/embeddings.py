"""Items as words of sessions and baskets."""

from __future__ import annotations

import numpy as np

from recommender.engine.methods.base import Family, Method, Need, Parameters, number, whole
from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Training
from recommender.engine.methods.vectors import VectorModel
from recommender.engine.offline.item_embeddings import fit_item_embeddings
from recommender.engine.types import Float32Array, Int32Array


class ItemEmbeddings(VectorModel):
    """Cosine to the mean of a history's vectors, newer items of a session counting more."""

    def __init__(self, vectors: Float32Array, parameters: Parameters) -> None:
        self._decay = number(parameters, "position_decay")
        seen = np.square(vectors).sum(axis=1) > 0
        super().__init__(
            vectors, vectors, None, speaking=seen, answering=seen, parameters=parameters
        )

    def shopper(self, rows: Int32Array, weights: Float32Array) -> Float32Array:
        ages = np.arange(len(rows) - 1, -1, -1)
        mean = (weights * self._decay**ages).astype(np.float32) @ self._history_vectors[rows]
        length = np.float32(np.linalg.norm(mean))
        vector: Float32Array = mean / length if length > 0 else mean
        return vector


def fit_item2vec(training: Training, parameters: Parameters, seed: int) -> ItemEmbeddings:
    """Sessions in their order where there are any, else baskets, else histories in any order."""
    if training.sessions is not None and training.baskets is None:
        sessions = training.sessions
        groups = np.split(sessions.item_rows, sessions.offsets[1:-1])
    else:
        matrix = group_matrix(training)
        # A basket has no order; that of the rows is the catalog's and would say something wrong.
        keys = np.random.default_rng(seed).random(matrix.nnz)
        owners = np.repeat(np.arange(int(matrix.shape[0])), np.diff(matrix.indptr))
        groups = np.split(matrix.indices[np.lexsort((keys, owners))], matrix.indptr[1:-1])
    vectors = fit_item_embeddings(
        groups,
        n_items=training.n_items,
        dimensions=whole(parameters, "dimensions"),
        window=whole(parameters, "window"),
        epochs=whole(parameters, "epochs"),
        negatives=whole(parameters, "negatives"),
        negative_exponent=number(parameters, "negative_exponent"),
        learning_rate=number(parameters, "learning_rate"),
        seed=seed,
    )
    return ItemEmbeddings(vectors, parameters)


METHODS = (
    Method(
        key="item2vec",
        title="Item2vec",
        family=Family.NEIGHBOURS,
        needs=frozenset({Need.SESSIONS, Need.BASKETS, Need.SHOPPERS}),
        fit=fit_item2vec,
        defaults={
            "dimensions": 64,
            "window": 10,
            "epochs": 50,
            "negatives": 5,
            "negative_exponent": 0.5,
            "learning_rate": 0.1,
            "position_decay": 1.0,
        },
        grid={
            "negative_exponent": (-0.5, 0.0, 0.5, 1.0),
            "window": (3, 10, 30),
            "learning_rate": (0.05, 0.1, 0.2),
            "position_decay": (0.5, 0.8, 1.0),
        },
        because="often found with",
        otherwise="",
    ),
)
