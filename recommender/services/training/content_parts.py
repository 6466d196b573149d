"""What a product's vector is made of, and how a model file keeps it.

Each part is kept beside the vectors that serve: an increment adds to the parts, and the console
shows what other weights would make of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.id_map import IdMap
from recommender.engine.offline.content_neighbours import nearest
from recommender.engine.offline.content_own import (
    OwnSpace,
    common_length,
    fit_own_space,
    sample_size,
)
from recommender.engine.offline.content_vectors import ContentModel
from recommender.engine.online.content_fusion import fused
from recommender.engine.types import Float32Array, Int64Array
from recommender.selectors.content_weights import PARTS, Weights
from recommender.selectors.own_vectors import (
    own_vector_lengths,
    own_vector_sample,
    own_vectors,
)

WORD_ARRAYS = ("word_letters", "word_ends", "word_vectors", "word_idf", "common")
SPACE_ARRAYS = ("own_mean", "own_directions")


@dataclass(frozen=True, slots=True)
class ContentParts:
    """Unit vectors of every product by part; zeros where it lacks the part.

    Attributes
    ----------
    text, attributes : float32[n, d]
    own : float32[n, m]
        m is 0 in a catalog without own vectors.
    """

    text: Float32Array
    attributes: Float32Array
    own: Float32Array

    def fused(self, weights: Weights) -> Float32Array:
        """The vectors that serve, float32[n, …]."""
        named = zip(PARTS, (self.text, self.attributes, self.own), strict=True)
        return fused([(float(weights[name]), vectors) for name, vectors in named])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "part_text": self.text,
            "part_attributes": self.attributes,
            "part_own_vectors": self.own,
        }

    def with_rows(self, rows: Int64Array, news: ContentParts, n_products: int) -> ContentParts:
        """The same with other vectors for some rows, and new rows at the end."""
        grown = []
        for known, new in (
            (self.text, news.text),
            (self.attributes, news.attributes),
            (self.own, news.own),
        ):
            whole = np.zeros((n_products, known.shape[1]), np.float32)
            whole[: len(known)] = known
            whole[rows] = new
            grown.append(whole)
        return ContentParts(*grown)


def parts_of_artifact(artifact: LoadedArtifact) -> ContentParts:
    return ContentParts(*(artifact[f"part_{name}"] for name in PARTS))


@dataclass(frozen=True, slots=True)
class OwnPart:
    """The shop's own vectors as they count.

    Attributes
    ----------
    vectors : float32[n_products, m]
    n_left_out
        Products whose vector has another length than most: it can't be compared.
    """

    space: OwnSpace
    vectors: Float32Array
    n_left_out: int

    @property
    def n_products(self) -> int:
        return int(np.any(self.vectors, axis=1).sum())


def own_part(*, store_id: int, ids: IdMap, dimensions: int) -> OwnPart:
    """Read the own vectors of a catalog, a block at a time."""
    lengths = own_vector_lengths(store_id=store_id)
    length = common_length(size for size, count in lengths.items() for _ in range(count))
    if not length:
        return OwnPart(NO_SPACE, np.zeros((len(ids), 0), np.float32), 0)
    sample = own_vector_sample(
        store_id=store_id, length=length, n_vectors=lengths[length], at_most=sample_size(length)
    )
    if not np.any(sample):
        return OwnPart(NO_SPACE, np.zeros((len(ids), 0), np.float32), sum(lengths.values()))
    space = fit_own_space(sample, dimensions=dimensions)
    vectors = own_vectors_embedded(space, store_id=store_id, ids=ids)
    return OwnPart(space, vectors, sum(lengths.values()) - lengths[length])


def own_vectors_embedded(
    space: OwnSpace,
    *,
    store_id: int,
    ids: IdMap,
    product_ids: Sequence[int] | None = None,
) -> Float32Array:
    """The own vectors of some products by row of `ids`; zeros without one of the right length."""
    vectors = np.zeros((len(ids), space.directions.shape[1]), np.float32)
    if not len(space.mean):
        return vectors
    blocks = own_vectors(store_id=store_id, length=len(space.mean), product_ids=product_ids)
    for block in blocks:
        rows = ids.rows_of(block.product_ids)
        vectors[rows[rows >= 0]] = space.embed(block.vectors[rows >= 0])
    return vectors


def texts_embedded(
    words: ContentModel, tokens: list[list[str]], known: Float32Array
) -> Float32Array:
    """Vectors of texts, for products that come to others."""
    distinct = {words: place for place, words in enumerate(dict.fromkeys(map(tuple, tokens)))}
    vectors = as_known(words.embed(list(distinct)), known)
    return vectors[[distinct[tuple(each)] for each in tokens]]


def as_known(vectors: Float32Array, known: Float32Array) -> Float32Array:
    """The same vectors, to the last bit those of known products that are the same.

    Else variations of one product would be taken for different ones, because a matrix product
    rounds otherwise in another company.
    """
    if not known.shape[1]:
        return vectors
    twins = nearest(known, vectors, k=1)
    is_same = twins.scores[:, 0] > 1 - 1e-6
    vectors[is_same] = known[twins.indices[is_same, 0]]
    return vectors


NO_SPACE = OwnSpace(np.zeros(0, np.float32), np.zeros((0, 0), np.float32))


def space_as_arrays(space: OwnSpace) -> dict[str, npt.NDArray[Any]]:
    return {"own_mean": space.mean, "own_directions": space.directions}


def space_from_arrays(artifact: LoadedArtifact) -> OwnSpace:
    return OwnSpace(artifact["own_mean"], artifact["own_directions"])


def words_as_arrays(words: ContentModel) -> dict[str, npt.NDArray[Any]]:
    encoded = [word.encode() for word in words.vocabulary]
    return {
        "word_letters": np.frombuffer(b"".join(encoded), np.uint8),
        "word_ends": np.cumsum([len(word) for word in encoded], dtype=np.int64),
        "word_vectors": words.word_vectors,
        "word_idf": words.idf,
        "common": words.common,
    }


def words_from_arrays(artifact: LoadedArtifact) -> ContentModel:
    letters, ends = artifact["word_letters"].tobytes(), artifact["word_ends"].tolist()
    return ContentModel(
        vocabulary=tuple(
            letters[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ),
        word_vectors=artifact["word_vectors"],
        idf=artifact["word_idf"],
        common=artifact["common"],
    )
