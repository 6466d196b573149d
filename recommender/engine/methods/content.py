"""Items that are described alike: they need nobody to have touched them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import Family, Method, Need, Parameters, number, whole
from recommender.engine.methods.inputs import ItemFacts, Training
from recommender.engine.methods.neighbours import NeighbourLists
from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.offline.content_own import fit_own_space
from recommender.engine.offline.content_sentences import embed_sentences
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.content_words import Weighting, fit_word_neighbours
from recommender.engine.offline.text import product_tokens
from recommender.engine.offline.topics import fit_topics
from recommender.engine.online.content_fusion import Part, fused
from recommender.engine.types import Float32Array, Int32Array, Neighbours

_NO_TEXTS = "this protocol has no product texts to learn from"
_NO_VECTORS = "this protocol has no vectors of products to learn from"


def fit_bag_of_words(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Cosine of the words, each as often as it stands there; see `engine.offline.content_words`.

    The plainest of all, and hard to beat on short titles. Choose TF-IDF instead unless you must
    explain a score by hand: it differs in counting rare words more, and costs the same.
    """
    return _word_neighbours(training, parameters, Weighting.COUNTS)


def fit_tfidf(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Cosine of the words, rare ones counting more; see `engine.offline.content_words`.

    For new products, and for catalogs whose titles follow a pattern. It knows no synonyms: "mug"
    and "cup" have nothing in common.
    """
    return _word_neighbours(training, parameters, Weighting.IDF)


def fit_word2vec_content(training: Training, parameters: Parameters, seed: int) -> NeighbourLists:
    """Word2Vec over the texts of the catalog, a product being the idf-weighted mean of its words.

    What `similar_content` serves; see `engine.offline.content_vectors`. Words that stand in the
    same kind of title come close, so that a mug finds a cup; it is less strict about sharing a word
    than TF-IDF. Its 64 numbers also tell how varied a page is.
    """
    tokens = _tokens(training.facts)
    _, vectors = fit_content_vectors(tokens, dimensions=whole(parameters, "dimensions"), seed=seed)
    return _nearest(vectors, parameters)


def fit_topic_content(training: Training, parameters: Parameters, seed: int) -> NeighbourLists:
    """Products about the same topics, by latent Dirichlet allocation; see `engine.offline.topics`.

    For long descriptions. Titles of a few words say too little to tell their topics apart, and any
    of the other methods does better on them.
    """
    found = fit_topics(
        _tokens(training.facts),
        topics=whole(parameters, "topics"),
        iterations=whole(parameters, "iterations"),
        seed=seed,
    )
    return _nearest(found.vectors(), parameters)


def fit_sentence_content(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Texts read by a sentence model; see `engine.offline.content_sentences`.

    For small catalogs in English, where there is too little text to learn from.
    """
    return _nearest(embed_sentences(_texts(training.facts)), parameters)


def fit_own_vectors(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Cosine of the vectors that the merchant sends, without what all products share.

    As good as the model that they come from: for fashion and furniture, where a picture says more
    than a title. See `engine.offline.content_own`.
    """
    return _nearest(_own(training.facts, parameters), parameters)


def fit_content_fusion(training: Training, parameters: Parameters, seed: int) -> NeighbourLists:
    """Text, attributes and own vectors at once, by weights; see `engine.online.content_fusion`.

    What `similar_content` serves where a store has set weights. Parts that the catalog doesn't have
    are left out.
    """
    facts = training.facts
    parts: list[Part] = []
    if any(facts.texts or facts.titles or ()):
        # Facts are words, too: "category 3" comes close to the words of its products.
        of_items = _facts_as_tokens(facts)
        tokens = [[*text, *own] for text, own in zip(_tokens(facts), of_items, strict=True)]
        words, text_vectors = fit_content_vectors(
            tokens, dimensions=whole(parameters, "dimensions"), seed=seed
        )
        parts.append((number(parameters, "weight_text"), text_vectors))
        parts.append((number(parameters, "weight_attributes"), words.embed(of_items)))
    if facts.vectors is not None:
        own = _own(facts, parameters)
        # Alone it counts whatever its weight.
        weight = number(parameters, "weight_own_vectors")
        parts.append((weight if parts else 1.0, own))
    if not any(weight > 0 for weight, _ in parts):
        raise InvalidInputError("there are no product texts or vectors, or none has a weight")
    return _nearest(fused(parts), parameters)


def _texts(facts: ItemFacts) -> Sequence[str]:
    texts = facts.texts or facts.titles
    if texts is None or not any(texts):
        raise InvalidInputError(_NO_TEXTS)
    return texts


def _tokens(facts: ItemFacts) -> list[list[str]]:
    return [product_tokens(text) for text in _texts(facts)]


def _facts_as_tokens(facts: ItemFacts) -> list[list[str]]:
    """Category and brand of every item; nothing where it has none."""
    found: list[list[str]] = [[] for _ in facts.texts or facts.titles or ()]
    named: tuple[tuple[str, Int32Array | None], ...] = (
        ("category", facts.category_codes),
        ("brand", facts.brand_codes),
    )
    for name, codes in named:
        if codes is None:
            continue
        for tokens, code in zip(found, codes.tolist(), strict=True):
            if code >= 0:
                tokens.append(f"{name}={code}")
    return found


def _own(facts: ItemFacts, parameters: Parameters) -> Float32Array:
    if facts.vectors is None or not np.any(facts.vectors):
        raise InvalidInputError(_NO_VECTORS)
    space = fit_own_space(facts.vectors, dimensions=whole(parameters, "dimensions"))
    return space.embed(facts.vectors)


def _word_neighbours(
    training: Training, parameters: Parameters, weighting: Weighting
) -> NeighbourLists:
    neighbours = fit_word_neighbours(
        _tokens(training.facts),
        weighting=weighting,
        k=whole(parameters, "k"),
        max_share=number(parameters, "max_share"),
    )
    return NeighbourLists(neighbours)


def _nearest(vectors: Float32Array, parameters: Parameters) -> NeighbourLists:
    """Neighbours by vectors; ties by ascending row, where a shop keeps variations together."""
    found = fit_content_neighbours(vectors, k=whole(parameters, "k"))
    order = np.lexsort((found.indices, -found.scores), axis=1)
    return NeighbourLists(
        Neighbours(
            np.take_along_axis(found.indices, order, axis=1),
            np.take_along_axis(found.scores, order, axis=1),
        )
    )


_TEXTS = frozenset({Need.TEXTS})
# A history adds up the lists of its items: long ones are mostly what is a little like everything.
_KS = (10, 20, 50)


METHODS = (
    Method(
        key="bow",
        title="Content, bag of words",
        family=Family.CONTENT,
        needs=_TEXTS,
        fit=fit_bag_of_words,
        defaults={"k": 20, "max_share": 0.1},
        grid={"k": _KS},
        because="similar to",
        otherwise="",
    ),
    Method(
        key="tfidf",
        title="Content, TF-IDF",
        family=Family.CONTENT,
        needs=_TEXTS,
        fit=fit_tfidf,
        defaults={"k": 20, "max_share": 0.1},
        grid={"k": _KS},
        because="similar to",
        otherwise="",
    ),
    Method(
        key="similar_content",
        title="Content, Word2Vec",
        family=Family.CONTENT,
        needs=_TEXTS,
        fit=fit_word2vec_content,
        defaults={"dimensions": 64, "k": 20},
        grid={"k": _KS},
        because="similar to",
        otherwise="",
        source="similar_content",
        cheap=True,
    ),
    Method(
        key="lda",
        title="Content, LDA topics",
        family=Family.CONTENT,
        needs=_TEXTS,
        fit=fit_topic_content,
        defaults={"topics": 100, "iterations": 10, "k": 20},
        grid={"topics": (50, 100, 200), "k": _KS},
        because="about the same as",
        otherwise="",
    ),
    Method(
        key="sentences",
        title="Content, sentence model",
        family=Family.CONTENT,
        needs=_TEXTS,
        fit=fit_sentence_content,
        defaults={"k": 20},
        grid={"k": _KS},
        because="similar to",
        otherwise="",
        extra="sentences",
    ),
    Method(
        key="own_vectors",
        title="Content, own vectors",
        family=Family.CONTENT,
        needs=frozenset({Need.VECTORS}),
        fit=fit_own_vectors,
        defaults={"dimensions": 64, "k": 20},
        grid={"dimensions": (32, 64, 128), "k": _KS},
        because="similar to",
        otherwise="",
    ),
    Method(
        key="content_fusion",
        title="Content, text and own vectors",
        family=Family.CONTENT,
        needs=frozenset({Need.TEXTS, Need.VECTORS}),
        fit=fit_content_fusion,
        defaults={
            "weight_text": 1.0,
            "weight_attributes": 0.0,
            "weight_own_vectors": 0.5,
            "dimensions": 64,
            "k": 20,
        },
        grid={"weight_attributes": (0.0, 0.5), "weight_own_vectors": (0.0, 0.5, 1.0, 2.0)},
        because="similar to",
        otherwise="",
    ),
)
