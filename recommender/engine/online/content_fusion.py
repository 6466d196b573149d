"""Several descriptions of a product as one vector: text, attributes, the merchant's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from recommender.engine.types import Float32Array

Part: TypeAlias = tuple[float, Float32Array]
"""A weight, and unit vectors float32[n_items, d]; a line of zeros where a product lacks the part."""


def fused(parts: Sequence[Part]) -> Float32Array:
    """Unit vectors whose cosine is the weighted mean of the cosines of the parts.

    Each part is scaled by the root of its weight, and they stand beside each other. With
    ``W(i)`` the weights of the parts that i has, and sums over the parts that both have::

        cosine(i, j) = sum w_p cosine_p(i, j) / sqrt(W(i) W(j))

    For two products with the same parts that is the weighted mean. Of two that differ in them only
    what both have is compared, and the cosine is lowered by the geometric mean of the shares of
    weight that the common parts have on both sides: what cannot be compared is not taken for alike.

    Parameters
    ----------
    parts : sequence of (weight, float32[n_items, d]) pairs
        Parts of weight 0 are left out, so that they cost no memory; at least one must remain.

    Returns
    -------
    float32[n_items, sum of d]
        Products with the same parts, to the last bit, have the same vector, to the last bit.
        A line of zeros where a product has no part at all.

    Examples
    --------
    >>> text = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> own = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    >>> vectors = fused([(3.0, text), (1.0, own), (0.0, own)])
    >>> (vectors @ vectors.T).round(2).tolist()
    [[1.0, 0.75, 0.0], [0.75, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    counted = [(weight, vectors) for weight, vectors in parts if weight > 0]
    if len(counted) == 1:
        return counted[0][1]
    scales = _scales(counted)
    return np.concatenate([vectors * scale for (_, vectors), scale in _paired(counted, scales)], 1)


def fused_cosines(parts: Sequence[Part], row: int) -> Float32Array:
    """The cosines of one product to all, as of `fused`, without making its vectors.

    Costs a pass over the parts, which may be memory-mapped: for looking at one product's
    neighbours with other weights.

    Examples
    --------
    >>> text = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> own = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    >>> fused_cosines([(3.0, text), (1.0, own)], 1).round(2).tolist()
    [0.75, 1.0, 0.0]
    """
    counted = [(weight, vectors) for weight, vectors in parts if weight > 0]
    total = np.zeros(len(counted[0][1]), np.float32)
    for (_, vectors), scale in _paired(counted, _scales(counted)):
        total += scale[:, 0] * (vectors @ (vectors[row] * scale[row]))
    return total


def _scales(parts: Sequence[Part]) -> list[Float32Array]:
    """What every part of every product is multiplied by, float32[n_items, 1] each."""
    has = [np.any(vectors, axis=1) for _, vectors in parts]
    known = np.zeros(len(parts[0][1]))
    for (weight, _), there in zip(parts, has, strict=True):
        known += weight * there
    known[known == 0] = np.inf
    return [np.sqrt(weight / known)[:, None].astype(np.float32) for weight, _ in parts]


def _paired(
    parts: Sequence[Part], scales: Sequence[Float32Array]
) -> list[tuple[Part, Float32Array]]:
    return list(zip(parts, scales, strict=True))
