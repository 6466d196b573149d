"""What all methods have in common that score by the product of two vectors."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from recommender.engine.methods.base import Parameters, ScoringModel
from recommender.engine.methods.histories import history
from recommender.engine.methods.inputs import Matrix, Query
from recommender.engine.types import NO_ROW, Float32Array, Int32Array

BoolArray = npt.NDArray[np.bool_]

SPEAKERS = 100
"""Items of a history among which the reason of an answer is looked for, the weightiest first."""


def seen_items(matrix: Matrix) -> BoolArray:
    """Whether anybody has the item, bool[n_items]."""
    return np.bincount(matrix.indices, minlength=int(matrix.shape[1])) > 0


def known_items(
    query: Query, parameters: Parameters, known: BoolArray
) -> tuple[Int32Array, Float32Array]:
    """The part of a history that a model knows, with positive weights."""
    rows, weights = history(query, parameters)
    kept = (rows >= 0) & (weights > 0)
    kept[kept] = known[rows[kept]]
    return rows[kept], weights[kept]


class VectorModel(ScoringModel):
    """Scores ``shopper · product + bias``, the shopper's vector made of what they have.

    Parameters
    ----------
    history_vectors, product_vectors : float32[n_items, f]
        Whose products say how much an item of a history speaks for an item.
    biases : float32[n_items] or None
    speaking, answering : bool[n_items]
        What counts in a history, and what may be an answer.
    """

    def __init__(
        self,
        history_vectors: Float32Array,
        product_vectors: Float32Array,
        biases: Float32Array | None,
        *,
        speaking: BoolArray,
        answering: BoolArray,
        parameters: Parameters,
    ) -> None:
        self._history_vectors = history_vectors
        self._product_vectors = product_vectors
        self._biases = biases
        self._speaking = speaking
        self._silent = np.flatnonzero(~answering)
        self._parameters = parameters

    @abstractmethod
    def shopper(self, rows: Int32Array, weights: Float32Array) -> Float32Array:
        """The vector of a history of known items, float32[f]."""

    def scores(self, query: Query) -> Float32Array | None:
        rows, weights = known_items(query, self._parameters, self._speaking)
        if not len(rows):
            return None
        found = self._product_vectors @ self.shopper(rows, weights)
        if self._biases is not None:
            found += self._biases
        found[self._silent] = -np.inf
        return found

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        """The item whose vector has the largest product with the answer's, if it is above 0."""
        speakers, weights = known_items(query, self._parameters, self._speaking)
        if not len(speakers):
            return np.full(len(rows), NO_ROW, np.int32)
        if len(speakers) > SPEAKERS:
            first = np.argsort(-weights, kind="stable")[:SPEAKERS]
            speakers, weights = speakers[first], weights[first]
        said = self._product_vectors[rows] @ (self._history_vectors[speakers] * weights[:, None]).T
        best = said.argmax(axis=1)
        loudest = said[np.arange(len(rows)), best] > 0
        return np.where(loudest, speakers[best], NO_ROW).astype(np.int32)
