"""Content embeddings: what is like what, by what is written about it and the shop's own vectors."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from recommender.engine.id_map import IdMap
from recommender.engine.offline.content_neighbours import (
    extend_content_neighbours,
    fit_content_neighbours,
)
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.text import product_tokens
from recommender.engine.types import Neighbours
from recommender.models import Artifact, Run
from recommender.selectors.content_weights import (
    changed_us,
    content_versions,
    content_weights_row,
    weights_automatic,
    weights_of,
)
from recommender.selectors.training_data import TrainingProducts, training_products
from recommender.selectors.training_increments import product_texts_changed
from recommender.services.training.base import Base, Looked, NeedsRebuild
from recommender.services.training.content_parts import (
    SPACE_ARRAYS,
    WORD_ARRAYS,
    ContentParts,
    as_known,
    own_part,
    own_vectors_embedded,
    parts_of_artifact,
    space_as_arrays,
    space_from_arrays,
    texts_embedded,
    words_as_arrays,
    words_from_arrays,
)
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

NEIGHBOURS = 40
DIMENSIONS = 64
MIN_PRODUCTS = 3
CATEGORY_SEPARATOR = " > "
# More new texts at once are trained, not added: it costs as much, and learns their words.
MAX_CHANGED = 2_000


def train_content(data: TrainingData, report: Report) -> Trained:
    """Learn from titles, brands, categories, attributes and the shop's own vectors; needs no event.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_PRODUCTS` products with a text, or with anything that counts.
    """
    report("Reading texts", 0.05)
    chosen = content_weights_row(store_id=data.store_id)
    tokens = product_texts(data.products)
    n_with_text = sum(1 for each in tokens if each)
    if n_with_text < MIN_PRODUCTS:
        raise NotEnoughData(
            f"Similar products need {MIN_PRODUCTS} products with a text; there are {n_with_text}."
        )
    report("Word vectors", 0.15)
    words, text = fit_content_vectors(tokens, dimensions=DIMENSIONS, seed=data.store_id)
    report("Own vectors", 0.45)
    own = own_part(store_id=data.store_id, ids=data.products.ids, dimensions=DIMENSIONS)
    parts = ContentParts(text, words.embed(product_facts(data.products)), own.vectors)
    weights = (
        weights_of(chosen)
        if chosen is not None
        else weights_automatic(n_products=len(tokens), n_own=own.n_products)
    )
    vectors = parts.fused(weights)
    n_described = int(np.any(vectors, axis=1).sum())
    if n_described < MIN_PRODUCTS:
        raise NotEnoughData(
            f"Similar products need {MIN_PRODUCTS} products with something that counts for their"
            f" similarity; there are {n_described}. Give more weight to their text."
        )
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
        parameters={"dimensions": DIMENSIONS, "neighbours": NEIGHBOURS, "weights": dict(weights)},
        counts={
            "products": len(tokens),
            "products_with_text": n_with_text,
            "products_with_own_vector": own.n_products,
            "own_vectors_left_out": own.n_left_out,
            "products_with_neighbours": int((neighbours.indices[:, 0] >= 0).sum()),
        },
        quality=_quality(data, neighbours),
        headline="same_category_at_10",
        as_of_s=data.now_s,
        state={
            **words_as_arrays(words),
            **space_as_arrays(own.space),
            **parts.arrays(),
            "text_keys": data.products.text_keys,
            "priority": data.sold,
        },
        marks={
            "catalog_version": data.products.catalog_version,
            "updated_us": data.products.updated_us,
            "weights_us": changed_us(chosen),
            "added": 0,
        },
    )


def content_has_news(base: Base, now: datetime) -> bool:
    """Whether the catalog or its weights have changed since they were looked at. One query."""
    versions = content_versions(store_id=base.store_id)
    known = (base.marks["catalog_version"], base.marks.get("weights_us", 0))
    return versions is not None and versions != known


def add_to_content(base: Base, now: datetime) -> Trained | Looked:
    """Embed products that came or changed, and put them into everybody's lists.

    With the words, and the space of own vectors, that the full training knows: a product made of
    unknown words alone has no neighbours until the next one.

    Raises
    ------
    NeedsRebuild
        More than `MAX_CHANGED` products: training anew is cheaper, and knows their words. Or what
        makes products similar was changed, which changes every list.
    """
    version, weights_us = content_versions(store_id=base.store_id) or (0, 0)
    if "weights_us" not in base.marks:
        raise NeedsRebuild("It was trained by a version of Vitrine that knew texts alone.")
    if weights_us != base.marks["weights_us"] and not _is_asked_for(base):
        raise NeedsRebuild("What makes products similar has been changed.")
    known_ids, keys = base.artifact["item_ids"], base.artifact["text_keys"]
    changed, updated_us = product_texts_changed(
        store_id=base.store_id,
        since_us=base.marks["updated_us"],
        known_ids=known_ids,
        known_keys=keys,
    )
    marks = {"catalog_version": version, "updated_us": updated_us, "weights_us": weights_us}
    if not changed:
        return Looked(marks)
    if len(changed) > MAX_CHANGED:
        raise NeedsRebuild(f"{len(changed):,} products have a new description.")
    products = training_products(store_id=base.store_id, product_ids=changed)
    item_ids = np.concatenate([known_ids, np.setdiff1d(products.ids.ids, known_ids)])
    by_id = np.argsort(item_ids)
    rows = by_id[IdMap(item_ids[by_id]).rows_of(products.ids.ids)]
    known_parts = parts_of_artifact(base.artifact)
    news = _parts_of_news(base, products, known_parts)
    parts = known_parts.with_rows(rows, news, len(item_ids))
    before = base.artifact.manifest
    vectors = parts.fused(before.parameters["weights"])
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
            "products_with_text": int(np.any(parts.text, axis=1).sum()),
            "products_with_own_vector": int(np.any(parts.own, axis=1).sum()),
            "own_vectors_left_out": before.counts["own_vectors_left_out"],
            "products_with_neighbours": int((neighbours.indices[:, 0] >= 0).sum()),
            "products_changed": len(changed),
        },
        quality=before.quality,
        headline=base.headline,
        as_of_s=now.timestamp(),
        state={
            **{name: base.artifact[name] for name in (*WORD_ARRAYS, *SPACE_ARRAYS)},
            **parts.arrays(),
            "text_keys": text_keys,
            "priority": priority,
        },
        marks={**marks, "added": base.marks["added"] + len(changed)},
    )


def _is_asked_for(base: Base) -> bool:
    """Whether a full training came after the one that serves: it takes up the weights, or says why
    it can't. Until then products are added by those that serve."""
    serving = Artifact.objects.filter(
        store_id=base.store_id, family=Run.Family.CONTENT, serving=True
    ).first()
    later = Run.objects.filter(store_id=base.store_id, family=Run.Family.CONTENT).exclude(
        trigger=Run.Trigger.INCREMENT
    )
    return serving is not None and later.filter(pk__gt=serving.manifest["full_run"]).exists()


def _parts_of_news(base: Base, products: TrainingProducts, known: ContentParts) -> ContentParts:
    """The parts of changed products, by row of `products`."""
    words = words_from_arrays(base.artifact)
    own = own_vectors_embedded(
        space_from_arrays(base.artifact),
        store_id=base.store_id,
        ids=products.ids,
        product_ids=products.ids.ids.tolist(),
    )
    return ContentParts(
        texts_embedded(words, product_texts(products), known.text),
        texts_embedded(words, product_facts(products), known.attributes),
        as_known(own, known.own),
    )


def product_texts(products: TrainingProducts) -> list[list[str]]:
    """Everything that is written about every product, as tokens."""
    return _tokens(products, products.titles)


def product_facts(products: TrainingProducts) -> list[list[str]]:
    """Brand, category and attributes of every product alone, as tokens."""
    return _tokens(products, [""] * len(products))


def _tokens(products: TrainingProducts, titles: list[str]) -> list[list[str]]:
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
            titles,
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
