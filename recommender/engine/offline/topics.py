"""What the texts of a catalog are about: latent Dirichlet allocation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import CountVectorizer

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import Float32Array


@dataclass(frozen=True, slots=True)
class Topics:
    """Texts as mixtures of topics, topics as mixtures of words.

    Attributes
    ----------
    vocabulary : tuple of str
    topic_words : float32[n_topics, n_words]
        Every line adds up to 1.
    item_topics : float32[n_items, n_topics]
        Every line adds up to 1; a line of zeros for a product without words.
    """

    vocabulary: tuple[str, ...]
    topic_words: Float32Array
    item_topics: Float32Array

    def vectors(self) -> Float32Array:
        """Unit vectors whose cosine is the affinity of two mixtures, ``sum sqrt(p q)``.

        It is 1 for equal mixtures and 0 for those without a common topic, and 1 minus the square
        of Hellinger's distance.

        Examples
        --------
        >>> Topics((), np.empty((2, 0)), np.array([[1, 0], [0.5, 0.5]], np.float32)).vectors()
        array([[1.        , 0.        ],
               [0.70710677, 0.70710677]], dtype=float32)
        """
        roots: Float32Array = np.sqrt(self.item_topics)
        return roots


def fit_topics(
    token_lists: Sequence[Sequence[str]],
    *,
    topics: int = 100,
    iterations: int = 10,
    topic_prior: float = 0.1,
    word_prior: float = 0.01,
    seed: int = 0,
) -> Topics:
    """Find the topics by variational Bayes over the *distinct* texts.

    A text is drawn by choosing a topic for each of its words from the text's mixture, and the word
    from the topic's. Made for pages of prose: a title of four words hardly says which topics it
    mixes, so expect less of it than of `content_words` on the same titles. Costs about
    O(iterations * words * topics).

    Parameters
    ----------
    token_lists : sequence of n_items token lists, as `text.product_tokens` makes them
    topics : int
        At most as many as there are distinct texts.
    iterations : int
        Passes over all texts.
    topic_prior, word_prior : float
        Dirichlet parameters: below 1 a text keeps to few topics, a topic to few words.
    seed : int

    Returns
    -------
    Topics

    Raises
    ------
    EmptyInputError
        If there is no token at all.

    Notes
    -----
    D. Blei, A. Ng, M. Jordan, "Latent Dirichlet Allocation", 2003. scikit-learn's batch inference
    was taken over gensim's `LdaModel` by measuring: with 100 topics on the titles of Online Retail it
    is quicker and its neighbours complete twice as many baskets; with 50 both are poor.

    Examples
    --------
    >>> found = fit_topics([["tea", "cup"], ["cup", "tea"], ["nail", "saw"], []], topics=2)
    >>> found.item_topics.shape, found.item_topics.sum(axis=1).round(4).tolist()
    ((4, 2), [1.0, 1.0, 1.0, 0.0])
    """
    distinct = {words: place for place, words in enumerate(dict.fromkeys(map(tuple, token_lists)))}
    n_texts = len(distinct) - (() in distinct)
    if not n_texts:
        raise EmptyInputError(f"none of the {len(token_lists)} products has a word")
    vectorizer = CountVectorizer(analyzer=_as_it_is, dtype=np.float32)
    counts: csr_matrix[np.float32] = vectorizer.fit_transform(list(distinct)).tocsr()
    model = LatentDirichletAllocation(
        min(topics, n_texts),
        learning_method="batch",
        max_iter=iterations,
        doc_topic_prior=topic_prior,
        topic_word_prior=word_prior,
        random_state=seed,
        n_jobs=1,
    )
    mixtures = np.asarray(model.fit_transform(counts), np.float32)
    if () in distinct:
        mixtures[distinct[()]] = 0
    words = np.asarray(model.components_, np.float64)
    return Topics(
        vocabulary=tuple(vectorizer.get_feature_names_out().tolist()),
        topic_words=(words / words.sum(axis=1, keepdims=True)).astype(np.float32),
        item_topics=mixtures[[distinct[tuple(tokens)] for tokens in token_lists]],
    )


def _as_it_is(tokens: Sequence[str]) -> Sequence[str]:
    return tokens
