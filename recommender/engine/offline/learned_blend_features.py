"""What the learned blend looks at, written out candidate by candidate: weights are learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.engine.online.learned_blend import (
    CROSSED,
    FARTHEST_PRICE,
    LOG_SPAN,
    MOST_RAW,
    N_LINE,
    RANK_OFFSET,
    BlendModel,
    Situation,
)
from recommender.engine.types import Candidates, Float32Array, Float64Array, Int32Array


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known of all products: float32[n_items, P] and float32[n_items], NaN where nothing."""

    products: Float32Array
    log_prices: Float32Array | None = None


def line_features(found: Candidates, top: float) -> Float32Array:
    """float32[n, 5] for the candidates of one source with a score above 0; see `LINE_FEATURES`."""
    scores = found.scores[found.scores > 0]
    out = np.empty((len(scores), N_LINE), np.float32)
    if not len(scores):
        return out
    out[:, 0] = scores / scores[0]
    out[:, 1] = np.maximum(1 + np.log(out[:, 0]) / LOG_SPAN, 0)
    out[:, 2] = (RANK_OFFSET + 1) / (RANK_OFFSET + np.arange(1, len(scores) + 1))
    out[:, 3] = 1
    out[:, 4] = np.minimum(scores / np.float32(top), MOST_RAW)
    return out


def blend_features(
    model: BlendModel,
    parts: Sequence[tuple[str, Candidates]],
    situation: Situation,
    catalog: Catalog,
) -> tuple[Int32Array, Float32Array]:
    """Every candidate with its features, in the order of `BlendModel.feature_names`.

    Times the model's weights they are what `online.learned_blend` ranks by.

    Returns
    -------
    rows : int32[n]
        Ascending, each once.
    features : float32[n, F]
    """
    named = [found.rows[found.scores > 0] for _, found in parts]
    rows = np.unique(np.concatenate([*named, np.empty(0, np.int32)])).astype(np.int32)
    n_sources = len(model.sources)
    lines = np.zeros((len(rows), n_sources, N_LINE), np.float32)
    for source, (_, found) in enumerate(parts):
        lines[np.searchsorted(rows, named[source]), source] = line_features(
            found, float(model.tops[source])
        )
    standard = model.standard_context(situation.context)
    # (candidate, context, source, crossed feature)
    crossed = lines[:, None, :, CROSSED] * standard[None, :, None, None]
    personal = np.zeros((len(rows), len(model.personal)), np.float32)
    if len(situation.rows) and len(rows):
        places = np.minimum(np.searchsorted(rows, situation.rows), len(rows) - 1)
        there = rows[places] == situation.rows
        scales = model.scales[len(model.context) + len(model.product) :]
        personal[places[there]] = np.nan_to_num(situation.did[there] / scales)
    features = np.concatenate(
        [
            lines.reshape(len(rows), n_sources * N_LINE),
            crossed.reshape(len(rows), len(model.context) * n_sources * len(CROSSED)),
            model.standard_products(catalog.products[rows]),
            personal,
            _price_features(rows, situation, catalog),
        ],
        axis=1,
        dtype=np.float32,
    )
    return rows, features


def _price_features(rows: Int32Array, situation: Situation, catalog: Catalog) -> Float32Array:
    if catalog.log_prices is None:
        return np.zeros((len(rows), 2), np.float32)
    gap = catalog.log_prices[rows] - np.float32(situation.usual_log_price)
    gap = np.clip(np.nan_to_num(gap), -FARTHEST_PRICE, FARTHEST_PRICE)
    return np.stack([gap, gap * gap], axis=1).astype(np.float32)


def standardisation(
    contexts: Float32Array, products: Float32Array, did: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """Means and scales of the inputs: float32[K + P + H] each.

    Parameters
    ----------
    contexts : float32[n, K]
    products : float32[n_items, P]
    did : float32[m, H]
        Of the lines in which a shopper had to do with a product; only their size matters.
    """
    means, scales = [], []
    for values in (contexts, products):
        mean, spread = _moments(values)
        means.append(mean)
        scales.append(spread)
    sizes = np.sqrt(np.nan_to_num(did.astype(np.float64) ** 2).sum(axis=0) / max(len(did), 1))
    means.append(np.zeros(did.shape[1]))
    scales.append(np.where(sizes > 0, sizes, 1.0))
    return np.concatenate(means).astype(np.float32), np.concatenate(scales).astype(np.float32)


def _moments(values: Float32Array) -> tuple[Float64Array, Float64Array]:
    """Mean and standard deviation of each column of what is known; 0 and 1 of nothing."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0).astype(np.float64)
    mean = filled.sum(axis=0) / n
    variance = (np.where(known, filled - mean, 0) ** 2).sum(axis=0) / n
    spread = np.sqrt(variance)
    return mean, np.where(spread > 1e-6, spread, 1.0)
