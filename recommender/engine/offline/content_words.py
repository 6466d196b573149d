"""Products that share words: bag of words and TF-IDF, without any learning."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.types import Neighbours

FEW = 50
"""Products that may share a word in a catalog of any size."""


class Weighting(StrEnum):
    """What a word of a product counts."""

    COUNTS = "counts"
    IDF = "idf"


def fit_word_neighbours(
    token_lists: Sequence[Sequence[str]],
    *,
    weighting: Weighting = Weighting.IDF,
    k: int = 30,
    max_share: float = 0.1,
) -> Neighbours:
    """The k products with the largest cosine of their words.

    A product is the vector of its words, counted (`COUNTS`), or counted times
    ``1 + ln((1 + n) / (1 + products with the word))`` (`IDF`): sharing "porcelain" then says more
    than sharing "red". A word that no other product has says nothing, so a product of such words
    alone has no neighbours; synonyms are strangers. Costs O(sum over words of products²), in blocks
    of bounded memory.

    Parameters
    ----------
    token_lists : sequence of n_items token lists, as `text.product_tokens` makes them
    weighting : Weighting
    k : int
    max_share : float in 0..1
        Words in more than this share of the products (and more than `FEW` of them) don't count:
        they say little and would compare everything with everything.

    Returns
    -------
    Neighbours
        Scores are cosines, above 0; ties by ascending row.

    Notes
    -----
    Vector space and inverse document frequency as in G. Salton, C. Buckley, "Term-weighting
    approaches in automatic text retrieval", 1988, smoothed as scikit-learn does.

    Examples
    --------
    >>> fit_word_neighbours([["red", "tea"], ["green", "tea"], ["nail"]], k=1).indices.tolist()
    [[1], [0], [-1]]
    """
    n_items = len(token_lists)
    if not any(token_lists):
        return Neighbours.empty(n_items, k)
    vectorizer = TfidfVectorizer(
        analyzer=_as_it_is,
        use_idf=weighting is Weighting.IDF,
        max_df=max(int(max_share * n_items), min(FEW, n_items)),
        dtype=np.float32,
    )
    try:
        products: csr_matrix[np.float32] = vectorizer.fit_transform(token_lists).tocsr()
    except ValueError:  # every word is too common
        return Neighbours.empty(n_items, k)
    return fit_item_similarity(products.T.tocsr(), k=k, damping=0.5)


def _as_it_is(tokens: Sequence[str]) -> Sequence[str]:
    return tokens
