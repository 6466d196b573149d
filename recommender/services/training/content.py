"""Content embeddings: what is like what, by what is written about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.id_map import IdMap
from recommender.engine.offline.content_neighbours import (
    extend_content_neighbours,
    fit_content_neighbours,
    nearest,
)
from recommender.engine.offline.content_vectors import ContentModel, fit_content_vectors
from recommender.engine.offline.text import product_tokens
from recommender.engine.types import Float32Array, Neighbours
from recommender.selectors.training_data import TrainingProducts, training_products
from recommender.selectors.training_increments import (
    product_texts_changed,
    store_catalog_version,
)
from recommender.services.training.base import Base, Looked, NeedsRebuild
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

NEIGHBOURS = 40
DIMENSIONS = 64
MIN_PRODUCTS = 3
CATEGORY_SEPARATOR = " > "
# More new texts at once are trained, not added: it costs as much, and learns their words.
MAX_CHANGED = 2_000


def train_content(data: TrainingData, report: Report) -> Trained:
    """Learn from titles, brands, categories and attributes; needs no event.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_PRODUCTS` products with a text.
    """
    report("Reading texts", 0.05)
    tokens = product_texts(data.products)
    n_with_text = sum(1 for each in tokens if each)
    if n_with_text < MIN_PRODUCTS:
        raise NotEnoughData(
            f"Similar products need {MIN_PRODUCTS} products with a text; there are {n_with_text}."
        )
    report("Word vectors", 0.15)
    words, vectors = fit_content_vectors(tokens, dimensions=DIMENSIONS, seed=data.store_id)
    report("Neighbours", 0.5)
    # One of each variation: two cards that read the same tell a shopper nothing.
    neighbours = fit_content_neighbours(
        vectors, k=NEIGHBOURS, priority=data.sold, max_per_variation=1
    )
    return Trained(
        arrays={
            "item_ids": data.products.ids.ids,
            "vectors": vectors,
            "neighbour_rows": neighbours.indices,
            "neighbour_scores": neighbours.scores,
        },
        parameters={"dimensions": DIMENSIONS, "neighbours": NEIGHBOURS},
        counts={
            "products": len(tokens),
            "products_with_text": n_with_text,
            "products_with_neighbours": int((neighbours.indices[:, 0] >= 0).sum()),
        },
        quality=_quality(data, neighbours),
        headline="same_category_at_10",
        as_of_s=data.now_s,
        state={
            **_words_as_arrays(words),
            "text_keys": data.products.text_keys,
            "priority": data.sold,
        },
        marks={
            "catalog_version": data.products.catalog_version,
            "updated_us": data.products.updated_us,
            "added": 0,
        },
    )


def content_has_news(base: Base, now: datetime) -> bool:
    """Whether the catalog has changed since it was looked at. One query."""
    version = store_catalog_version(store_id=base.store_id)
    return version is not None and version != base.marks["catalog_version"]


def add_to_content(base: Base, now: datetime) -> Trained | Looked:
    """Embed products that came or whose text changed, and put them into everybody's lists.

    With the words that the full training knows: a product made of unknown ones alone has no
    neighbours until the next one.

    Raises
    ------
    NeedsRebuild
        More than `MAX_CHANGED` products: training anew is cheaper, and knows their words.
    """
    version = store_catalog_version(store_id=base.store_id) or 0
    known_ids, keys = base.artifact["item_ids"], base.artifact["text_keys"]
    changed, updated_us = product_texts_changed(
        store_id=base.store_id,
        since_us=base.marks["updated_us"],
        known_ids=known_ids,
        known_keys=keys,
    )
    marks = {"catalog_version": version, "updated_us": updated_us}
    if not changed:
        return Looked(marks)
    if len(changed) > MAX_CHANGED:
        raise NeedsRebuild(f"{len(changed):,} products have a new text.")
    products = training_products(store_id=base.store_id, product_ids=changed)
    item_ids = np.concatenate([known_ids, np.setdiff1d(products.ids.ids, known_ids)])
    by_id = np.argsort(item_ids)
    rows = by_id[IdMap(item_ids[by_id]).rows_of(products.ids.ids)]
    vectors = np.zeros((len(item_ids), base.artifact["vectors"].shape[1]), np.float32)
    vectors[: len(known_ids)] = base.artifact["vectors"]
    vectors[rows] = _embedded(
        _words_from_arrays(base.artifact), product_texts(products), base.artifact["vectors"]
    )
    n_new = len(item_ids) - len(known_ids)
    priority = np.concatenate([base.artifact["priority"], np.zeros(n_new, np.int64)])
    text_keys = np.concatenate([keys, np.zeros(n_new, np.int64)])
    text_keys[rows] = products.text_keys
    neighbours = extend_content_neighbours(
        Neighbours(base.artifact["neighbour_rows"], base.artifact["neighbour_scores"]),
        vectors,
        rows,
        priority=priority,
        max_per_variation=1,
    )
    before = base.artifact.manifest
    return Trained(
        arrays={
            "item_ids": item_ids,
            "vectors": vectors,
            "neighbour_rows": neighbours.indices,
            "neighbour_scores": neighbours.scores,
        },
        parameters=before.parameters,
        counts={
            "products": len(item_ids),
            "products_with_text": int((np.abs(vectors).sum(axis=1) > 0).sum()),
            "products_with_neighbours": int((neighbours.indices[:, 0] >= 0).sum()),
            "products_changed": len(changed),
        },
        quality=before.quality,
        headline=base.headline,
        as_of_s=now.timestamp(),
        state={
            **{name: base.artifact[name] for name in WORD_ARRAYS},
            "text_keys": text_keys,
            "priority": priority,
        },
        marks={**marks, "added": base.marks["added"] + len(changed)},
    )


WORD_ARRAYS = ("word_letters", "word_ends", "word_vectors", "word_idf", "common")


def _words_as_arrays(words: ContentModel) -> dict[str, npt.NDArray[Any]]:
    encoded = [word.encode() for word in words.vocabulary]
    return {
        "word_letters": np.frombuffer(b"".join(encoded), np.uint8),
        "word_ends": np.cumsum([len(word) for word in encoded], dtype=np.int64),
        "word_vectors": words.word_vectors,
        "word_idf": words.idf,
        "common": words.common,
    }


def _words_from_arrays(artifact: LoadedArtifact) -> ContentModel:
    letters, ends = artifact["word_letters"].tobytes(), artifact["word_ends"].tolist()
    return ContentModel(
        vocabulary=tuple(
            letters[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ),
        word_vectors=artifact["word_vectors"],
        idf=artifact["word_idf"],
        common=artifact["common"],
    )


def _embedded(words: ContentModel, tokens: list[list[str]], known: Float32Array) -> Float32Array:
    """Vectors of texts. The same words have the same vector to the last bit, also if they were
    embedded earlier, or variations of one product would be taken for different ones."""
    distinct = {words: place for place, words in enumerate(dict.fromkeys(map(tuple, tokens)))}
    vectors = words.embed(list(distinct))
    twins = nearest(known, vectors, k=1)
    is_same = twins.scores[:, 0] > 1 - 1e-6
    vectors[is_same] = known[twins.indices[is_same, 0]]
    return vectors[[distinct[tuple(each)] for each in tokens]]


def product_texts(products: TrainingProducts) -> list[list[str]]:
    """The token list of every product."""
    return [
        product_tokens(
            title,
            brand=brand,
            category_path=[level for level in path.split(CATEGORY_SEPARATOR) if level],
            attributes={
                str(key): str(value)
                for key, value in attributes.items()
                if isinstance(value, str | int | float)
            },
        )
        for title, brand, path, attributes in zip(
            products.titles,
            products.brands,
            products.category_paths,
            products.attributes,
            strict=True,
        )
    ]


def _quality(data: TrainingData, neighbours: Neighbours) -> dict[str, float]:
    """How often one of the first ten neighbours is of the same category (without its last level),
    and how many products have neighbours at all."""
    codes = _parent_codes(data.products.category_paths)
    first = neighbours.indices[:, :10]
    asked = (codes >= 0) & (first[:, 0] >= 0)
    found = first[asked]
    same = (codes[found] == codes[asked][:, None]) & (found >= 0)
    n_found = int((found >= 0).sum())
    return {
        "same_category_at_10": round(float(same.sum()) / n_found, 4) if n_found else 0.0,
        "coverage": round(float((first[:, 0] >= 0).mean()), 4),
    }


def _parent_codes(paths: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    codes: dict[str, int] = {}
    out = np.full(len(paths), -1, np.int64)
    for place, path in enumerate(paths):
        parent = path.rpartition(CATEGORY_SEPARATOR)[0] or path
        if parent:
            out[place] = codes.setdefault(parent, len(codes))
    return out
