"""What products are like, from their texts: vectors that need no purchase at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gensim.models import Word2Vec
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.types import Float32Array

TOKENS_TO_TRAIN_ON = 2_500_000
"""Tokens times epochs above which training stops being worth the time: about 7 s on one core."""

SMALL_CATALOG = 5_000
"""Distinct texts up to which a word of a single text is kept."""


@dataclass(frozen=True, slots=True)
class ContentModel:
    """Word vectors, and how they make up the vector of a product.

    Attributes
    ----------
    vocabulary : tuple of str
        Token of each line of `word_vectors`.
    word_vectors : float32[n_words, d]
    idf : float32[n_words]
        ``ln(1 + n_products / products with the word)``.
    common : float32[d]
        Unit vector of the direction that all products share, which is taken out.
    """

    vocabulary: tuple[str, ...]
    word_vectors: Float32Array
    idf: Float32Array
    common: Float32Array

    def embed(self, token_lists: Sequence[Sequence[str]]) -> Float32Array:
        """Vectors of products, new ones too.

        Parameters
        ----------
        token_lists : sequence of n token lists, as `text.product_tokens` makes them

        Returns
        -------
        float32[n, d]
            Unit vectors; the zero vector where no token is known.
        """
        return _unit(_without(self._means(token_lists), self.common))

    def _means(self, token_lists: Sequence[Sequence[str]]) -> Float32Array:
        """idf-weighted means of unit word vectors."""
        number = {word: place for place, word in enumerate(self.vocabulary)}
        weights = _bag(token_lists, number)
        weights.data = self.idf[weights.indices]
        means: Float32Array = np.asarray(weights @ self.word_vectors, np.float32)
        return _unit(means)


def fit_content_vectors(
    token_lists: Sequence[Sequence[str]],
    *,
    dimensions: int = 64,
    epochs: int | None = None,
    window: int = 12,
    min_count: int | None = None,
    seed: int = 0,
) -> tuple[ContentModel, Float32Array]:
    """Train word vectors on the catalog itself and embed every product.

    Word2Vec (skip-gram, negative sampling) on the *distinct* texts, whose window spans a whole
    product: words that occur in the same kind of products come close. A product is the
    idf-weighted mean of its words' unit vectors without the first principal component, scaled to
    length 1. One worker and a fixed seed: the same catalog gives the same vectors.

    Parameters
    ----------
    token_lists : sequence of n_items token lists, as `text.product_tokens` makes them
    dimensions : int
    epochs : int or None
        ``None`` chooses 5 to 100 by the size of the catalog (few words need more passes).
    window : int
    min_count : int or None
        Words in fewer distinct texts are left out, unless nothing would be left. ``None`` means 1
        in a catalog of up to 5,000 texts, where every word is needed, and 2 in a larger one.
    seed : int

    Returns
    -------
    ContentModel, float32[n_items, dimensions]
        A product without a known word has the zero vector.

    Raises
    ------
    EmptyInputError
        If there is no token at all.

    Notes
    -----
    T. Mikolov et al., "Distributed Representations of Words and Phrases", 2013; weighting and the
    removal of the common component as in S. Arora et al., "A Simple but Tough-to-Beat Baseline for
    Sentence Embeddings", ICLR 2017, with idf instead of its smooth inverse frequency.

    Examples
    --------
    >>> texts = [["red", "tea"], ["green", "tea"], ["steel", "nail"], []] * 5
    >>> model, vectors = fit_content_vectors(texts, dimensions=8)
    >>> vectors.shape, float(abs(vectors[3]).sum())
    ((20, 8), 0.0)
    """
    frequency = Counter(word for tokens in token_lists for word in set(tokens))
    if not frequency:
        raise EmptyInputError(f"none of the {len(token_lists)} products has a word")
    distinct = list(dict.fromkeys(tuple(tokens) for tokens in token_lists if tokens))
    n_tokens = sum(map(len, distinct))
    if epochs is None:
        epochs = int(np.clip(TOKENS_TO_TRAIN_ON // n_tokens, 5, 100))
    in_texts = Counter(word for tokens in distinct for word in set(tokens))
    if min_count is None:
        min_count = 1 if len(distinct) <= SMALL_CATALOG else 2
    rarest_kept = min(min_count, max(in_texts.values()))
    trained = Word2Vec(
        sentences=distinct,
        vector_size=dimensions,
        window=window,
        min_count=rarest_kept,
        sg=1,
        negative=5,
        # A small catalog has no words to spare; in a large one frequent words crowd out the rest.
        sample=0.0 if len(distinct) <= SMALL_CATALOG else 1e-3,
        epochs=epochs,
        workers=1,
        seed=seed,
    )
    vocabulary = tuple(trained.wv.index_to_key)
    counts = np.array([frequency[word] for word in vocabulary], np.float64)
    model = ContentModel(
        vocabulary=vocabulary,
        word_vectors=_unit(np.asarray(trained.wv.vectors, np.float32)),
        idf=np.log1p(len(token_lists) / counts).astype(np.float32),
        common=np.zeros(dimensions, np.float32),
    )
    means = model._means(token_lists)
    common = _first_component(means)
    model = ContentModel(model.vocabulary, model.word_vectors, model.idf, common)
    return model, _unit(_without(means, common))


def _bag(token_lists: Sequence[Sequence[str]], number: dict[str, int]) -> csr_matrix[np.float32]:
    """Products × words, one entry per distinct known word."""
    found = [sorted({number[word] for word in tokens if word in number}) for tokens in token_lists]
    offsets = np.zeros(len(found) + 1, np.int64)
    np.cumsum([len(words) for words in found], out=offsets[1:])
    words = np.fromiter((word for words in found for word in words), np.int32, int(offsets[-1]))
    return csr_matrix(
        (np.ones(len(words), np.float32), words, offsets), shape=(len(found), len(number))
    )


def _unit(vectors: npt.NDArray[np.float32]) -> Float32Array:
    """Lines scaled to length 1; a line that is nothing but rounding stays 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    lengths[lengths < 1e-6] = np.inf
    scaled: Float32Array = vectors / lengths[:, None].astype(np.float32)
    return scaled


def _first_component(vectors: Float32Array) -> Float32Array:
    """First right singular vector, from the d × d second moment."""
    _, directions = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    first: Float32Array = directions[:, -1].astype(np.float32)
    return first


def _without(vectors: Float32Array, direction: Float32Array) -> Float32Array:
    """Vectors with their part along a direction taken out."""
    if direction.shape != (vectors.shape[1],):
        raise InvalidInputError(f"direction {direction.shape} doesn't fit {vectors.shape}")
    return vectors - np.outer(vectors @ direction, direction)
