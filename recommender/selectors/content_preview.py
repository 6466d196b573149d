"""What other weights would make of a product's similar products, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings

from catalog.models import Product, Store
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.online.content_fusion import Part, fused, fused_cosines
from recommender.engine.selection import best_positions
from recommender.engine.types import Float32Array, Int64Array
from recommender.models import Artifact, Run
from recommender.selectors.content_weights import PARTS, Weights

# Among so many of the nearest, a variation of each product is shown once.
N_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class ContentModelFacts:
    """What the content model that serves was made of.

    Attributes
    ----------
    weights
        None if it was trained by a version of Vitrine that knew texts alone.
    n_products, n_with_own_vector, n_left_out
        Of its training; left out are vectors of another length than most.
    """

    weights: Weights | None
    n_products: int
    n_with_own_vector: int
    n_left_out: int


@dataclass(frozen=True, slots=True)
class ContentPreview:
    """Similar products now and with other weights, best first, with their cosines.

    Attributes
    ----------
    lacks
        Parts by which the product can't be compared, since it hasn't got them.
    """

    now: list[tuple[Product, float]]
    then: list[tuple[Product, float]]
    lacks: list[str]


def content_model_facts(*, store: Store) -> ContentModelFacts | None:
    """None if no content model serves. One query."""
    artifact = _serving(store)
    if artifact is None:
        return None
    counts = artifact.run.counts
    return ContentModelFacts(
        artifact.run.parameters.get("weights"),
        int(counts.get("products", 0)),
        int(counts.get("products_with_own_vector", 0)),
        int(counts.get("own_vectors_left_out", 0)),
    )


def content_preview(
    *, store: Store, product_id: int, weights: Weights, limit: int = 8
) -> ContentPreview | None:
    """Both lists of a product; None if no model serves, knows it, or keeps its parts.

    Two queries, and a pass over memory-mapped vectors: 20 ms for 100,000 products.
    """
    serving = _serving(store)
    opened = None if serving is None else _opened(store, serving)
    if opened is None:
        return None
    rows = np.flatnonzero(opened["item_ids"] == product_id)
    if not len(rows):
        return None
    row = int(rows[0])
    parts: list[Part] = [(float(weights[name]), opened[f"part_{name}"]) for name in PARTS]
    pairs_now = _listed(opened, row, limit)
    pairs_then = _would_list(opened, parts, row, limit)
    ids = opened["item_ids"]
    wanted = {int(ids[each]) for each, _ in (*pairs_now, *pairs_then)}
    products = Product.objects.defer("description", "vector", "attributes").filter(
        store=store, pk__in=wanted, deleted_at=None
    )
    by_id = {product.pk: product for product in products}

    def named(pairs: list[tuple[int, float]]) -> list[tuple[Product, float]]:
        known = ((by_id.get(int(ids[each])), score) for each, score in pairs)
        return [(product, score) for product, score in known if product is not None]

    lacks = [name for name, (_, part) in zip(PARTS, parts, strict=True) if not np.any(part[row])]
    return ContentPreview(named(pairs_now), named(pairs_then), lacks)


def _listed(opened: LoadedArtifact, row: int, limit: int) -> list[tuple[int, float]]:
    rows, scores = opened["neighbour_rows"][row][:limit], opened["neighbour_scores"][row][:limit]
    return list(zip(rows[rows >= 0].tolist(), scores[rows >= 0].tolist(), strict=True))


def _would_list(
    opened: LoadedArtifact, parts: list[Part], row: int, limit: int
) -> list[tuple[int, float]]:
    """As a training makes it: of products that are the same, the one that sells best."""
    cosines = fused_cosines(parts, row)
    cosines[row] = -1
    near = best_positions(cosines, N_LOOKED_AT).astype(np.int64)
    near = near[cosines[near] > 0]
    vectors = fused([(weight, part[near]) for weight, part in parts])
    best = _best_of_variations(near, vectors, np.asarray(opened["priority"])[near])
    return [(each, float(cosines[each])) for each in best[:limit]]


def _best_of_variations(rows: Int64Array, vectors: Float32Array, sold: Int64Array) -> list[int]:
    """Of rows with the same vector the one that sold most; in the order of the first of each."""
    best: dict[bytes, int] = {}
    for place in range(len(rows)):
        key = vectors[place].tobytes()
        known = best.setdefault(key, place)
        if (sold[place], -rows[place]) > (sold[known], -rows[known]):
            best[key] = place
    return [int(rows[place]) for place in best.values()]


def _serving(store: Store) -> Artifact | None:
    return (
        Artifact.objects.filter(store=store, family=Run.Family.CONTENT, serving=True)
        .select_related("run")
        .first()
    )


def _opened(store: Store, artifact: Artifact) -> LoadedArtifact | None:
    """None too for a model of an earlier version, which keeps no parts."""
    if "weights" not in artifact.run.parameters:
        return None
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=store.pk,
        family=artifact.family,
        version=artifact.version,
    )
    try:
        return artifact_open(folder, verify=False, training=True)
    except ArtifactError:
        return None
