"""Learned blends, bound to a catalog: what a strategy with "blend": "learned" serves with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.errors import InvalidInputError
from recommender.engine.online.dealings import DEALINGS
from recommender.engine.online.learned_blend import LINE_FEATURES, BlendModel
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int64Array
from recommender.serving.snapshot import CatalogSnapshot

# What is known of a request: it changes how much each source counts. Hours and days are those
# of the clocks in the shop (`Store.time_zone`), hours on a circle.
CONTEXT = (
    "hour_sine",
    "hour_cosine",
    "weekend",
    "mobile",
    "in_view",
    "in_cart",
    "session",
    "history",
)
# Of a product. What sold is counted when the blend is trained, price and age are those of now.
PRODUCT = ("sold_lately", "sold", "price", "age")
# Of a shopper and a product.
PERSONAL = DEALINGS
SOLD_HALF_LIVES_DAYS = (3.0, 30.0)
# A product without a sale is not infinitely far from one with a single sale.
LEAST_SOLD = 0.05


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """One learned blend. `item_values`: float32[n_snapshot], see `BlendModel.item_values`."""

    model: BlendModel
    item_values: Float32Array


@dataclass(frozen=True, slots=True)
class BlendsModel:
    """The learned blends of a store.

    Attributes
    ----------
    by_sources
        Under the names of the sources in the order of `SOURCE_NAMES`: strategies that ask the same
        sources share what was learned, and a new version of one has it at once.
    log_prices : float32[n_snapshot]
        NaN without a price.
    """

    by_sources: Mapping[tuple[str, ...], LearnedWeights]
    log_prices: Float32Array


def blends_bind(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> BlendsModel:
    """Bind the artifact of the family to a snapshot: a few ms for 100,000 products.

    Raises
    ------
    ArtifactError
        It was learned from other features than this release knows.
    """
    columns = product_columns(
        snapshot, artifact["item_ids"], artifact["sold"], now_s=int(artifact.manifest.as_of_s)
    )
    models = blend_models(artifact)
    return BlendsModel(
        {model.sources: LearnedWeights(model, model.item_values(columns)) for model in models},
        log_prices(snapshot),
    )


def blend_models(artifact: LoadedArtifact) -> list[BlendModel]:
    """The models of an artifact, in its order. Raises ArtifactError as `blends_bind`."""
    return [
        _model(artifact, place, said)
        for place, said in enumerate(artifact.manifest.parameters.get("blends", ()))
    ]


def _model(artifact: LoadedArtifact, place: int, said: Mapping[str, Any]) -> BlendModel:
    try:
        return BlendModel(
            sources=tuple(said["sources"]),
            context=CONTEXT,
            product=PRODUCT,
            personal=PERSONAL,
            # Copies: a few hundred bytes, and the kernels want what they may write to.
            tops=np.array(artifact[f"tops_{place}"], np.float32),
            means=np.array(artifact[f"means_{place}"], np.float32),
            scales=np.array(artifact[f"scales_{place}"], np.float32),
            weights=np.array(artifact[f"weights_{place}"], np.float32),
            version=int(said.get("version", 0)),
        )
    except (InvalidInputError, KeyError) as error:
        raise ArtifactError(
            f"version {artifact.manifest.version} was learned by another release ({error}): train"
            " the family again"
        ) from error


def product_columns(
    snapshot: CatalogSnapshot, item_ids: Int64Array, sold: Float32Array, *, now_s: int
) -> Float32Array:
    """`PRODUCT` of every product of the snapshot: float32[n, 4], NaN where nothing is known.

    Parameters
    ----------
    item_ids : int64[m]
    sold : float32[m, 2]
        Decayed sales with `SOLD_HALF_LIVES_DAYS`.
    now_s
        Unix seconds, of which the ages are.
    """
    columns = np.full((len(snapshot), len(PRODUCT)), np.nan, np.float32)
    rows = snapshot.rows_of(item_ids)
    known = rows >= 0
    columns[rows[known], :2] = np.log(sold[known] + LEAST_SOLD)
    columns[:, 2] = log_prices(snapshot)
    ages = np.maximum(now_s - snapshot.published_at_s, 0) / SECONDS_PER_DAY
    columns[:, 3] = np.where(snapshot.published_at_s > 0, np.log1p(ages), np.nan)
    return columns


def log_prices(snapshot: CatalogSnapshot) -> Float32Array:
    """Logarithms of the prices, NaN without one."""
    prices = snapshot.price_minor.astype(np.float32)
    logs: Float32Array = np.log(np.where(prices > 0, prices, np.nan)).astype(np.float32)
    return logs


def blend_arrays(models: Sequence[BlendModel]) -> dict[str, Float32Array]:
    """The arrays of an artifact that `blend_models` reads."""
    return {
        f"{name}_{place}": getattr(model, name)
        for place, model in enumerate(models)
        for name in ("tops", "means", "scales", "weights")
    }


def what_counts(model: BlendModel) -> list[tuple[str, str, float]]:
    """What moves a product up, and by how much: (kind, name, size), in the scale of the scores.

    Of a source, what its first product gains by standing there (all that its line adds, in an
    ordinary request). Of another feature, what one standard deviation of it adds; of what the
    shopper did, what having done it adds. Largest first within each kind.
    """
    n_sources, n_line = len(model.sources), len(LINE_FEATURES)
    lines = model.weights[: n_sources * n_line].reshape(n_sources, n_line)
    # Of the first of a list that begins as usual every line feature is 1.
    found = [
        ("source", name, float(size))
        for name, size in zip(model.sources, lines.sum(axis=1).tolist(), strict=True)
    ]
    _, start, middle, end, _ = model.parts
    found += [
        ("product", name, float(size))
        for name, size in zip(model.product, model.weights[start:middle].tolist(), strict=True)
    ]
    scales = model.scales[len(model.context) + len(model.product) :]
    found += [
        ("personal", name, float(size))
        for name, size in zip(
            model.personal, (model.weights[middle:end] / scales).tolist(), strict=True
        )
    ]
    found.append(("price", "dearer", model.price_weights[0]))
    return sorted(
        ((kind, name, round(size, 4)) for kind, name, size in found),
        key=lambda each: (_KINDS.index(each[0]), -abs(each[2])),
    )


_KINDS = ("source", "product", "personal", "price")
