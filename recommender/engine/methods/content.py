"""Items that are described alike."""

from __future__ import annotations

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import Family, Method, Need, Parameters, whole
from recommender.engine.methods.inputs import Training
from recommender.engine.methods.neighbours import NeighbourLists
from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.text import product_tokens


def fit_word2vec_content(training: Training, parameters: Parameters, seed: int) -> NeighbourLists:
    """Word2Vec over the texts of the catalog, a product being the idf-weighted mean of its words."""
    texts = training.facts.texts or training.facts.titles
    if texts is None or not any(texts):
        raise InvalidInputError("this protocol has no product texts to learn from")
    tokens = [product_tokens(text) for text in texts]
    _, vectors = fit_content_vectors(tokens, dimensions=whole(parameters, "dimensions"), seed=seed)
    return NeighbourLists(fit_content_neighbours(vectors, k=whole(parameters, "k")))


METHODS = (
    Method(
        key="similar_content",
        title="Content, Word2Vec",
        family=Family.CONTENT,
        needs=frozenset({Need.TEXTS}),
        fit=fit_word2vec_content,
        defaults={"dimensions": 64, "k": 50},
        grid={},
        because="similar to",
        otherwise="",
        source="similar_content",
        cheap=True,
    ),
)
