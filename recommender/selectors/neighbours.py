"""What the serving models hold next to a product, for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings

from catalog.models import Product, Store
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.models import Artifact, Run

# source: the family that holds its neighbours, and the names of its arrays
_SOURCES: tuple[tuple[str, Run.Family, str], ...] = (
    ("bought_together", Run.Family.ITEM_SIMILARITY, "bought_together"),
    ("also_viewed", Run.Family.ITEM_SIMILARITY, "also_viewed"),
    ("similar_content", Run.Family.CONTENT, "neighbour"),
)


@dataclass(frozen=True, slots=True)
class SourceNeighbours:
    """The neighbours of a product by one source, best first.

    Attributes
    ----------
    products
        With the score of the source, on its own scale. Products that were deleted since are left
        out; hidden and sold-out ones are here, although no recommendation shows them.
    trained
        Whether the family has been published, and knows the product.
    """

    source: str
    trained: bool
    knows_product: bool
    products: list[tuple[Product, float]]


def product_neighbours(*, store: Store, product_id: int, limit: int = 8) -> list[SourceNeighbours]:
    """The neighbours by each source. Two queries and a look into memory-mapped files."""
    opened = _opened(store)
    found: list[tuple[str, bool, list[tuple[int, float]] | None]] = []
    for source, family, arrays in _SOURCES:
        artifact = opened.get(family)
        pairs = None if artifact is None else _neighbours(artifact, arrays, product_id, limit)
        found.append((source, artifact is not None, pairs))
    products = Product.objects.defer("description", "vector", "attributes").in_bulk(
        {neighbour for _, _, pairs in found for neighbour, _ in pairs or ()}
    )
    return [
        SourceNeighbours(
            source,
            trained,
            pairs is not None,
            [
                (products[neighbour], score)
                for neighbour, score in pairs or ()
                if neighbour in products
                and products[neighbour].store_id == store.pk
                and products[neighbour].deleted_at is None
            ],
        )
        for source, trained, pairs in found
    ]


def _opened(store: Store) -> dict[str, LoadedArtifact]:
    opened = {}
    serving = Artifact.objects.filter(
        store=store, serving=True, family__in={family for _, family, _ in _SOURCES}
    )
    for artifact in serving.only("store_id", "family", "version"):
        folder = artifact_folder(
            Path(settings.ARTIFACT_DIR),
            store_id=store.pk,
            family=artifact.family,
            version=artifact.version,
        )
        try:
            # Checked when it was published and again by each serving process; reading all of it
            # for one page would take longer than the page.
            opened[artifact.family] = artifact_open(folder, verify=False)
        except ArtifactError:
            # A folder that is missing here serves nobody either: the page says "not trained".
            continue
    return opened


def _neighbours(
    artifact: LoadedArtifact, arrays: str, product_id: int, limit: int
) -> list[tuple[int, float]] | None:
    """Product ids and scores; None if the model was trained without the product."""
    ids = artifact["item_ids"]
    rows = np.flatnonzero(ids == product_id)
    if not len(rows):
        return None
    neighbours = artifact[f"{arrays}_rows"][rows[0]][:limit]
    scores = artifact[f"{arrays}_scores"][rows[0]][:limit]
    known = neighbours >= 0
    return list(zip(ids[neighbours[known]].tolist(), scores[known].tolist(), strict=True))
