"""Content embeddings: what is like what, by what is written about it."""

from __future__ import annotations

import numpy as np

from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.text import product_tokens
from recommender.engine.types import Neighbours
from recommender.selectors.training_data import TrainingProducts
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

NEIGHBOURS = 40
DIMENSIONS = 64
MIN_PRODUCTS = 3
CATEGORY_SEPARATOR = " > "


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
    _, vectors = fit_content_vectors(tokens, dimensions=DIMENSIONS, seed=data.store_id)
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
    )


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
