"""The engine's and the store's weights by name, into weights by event type number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from catalog.models.events import EventType
from recommender.engine.types import Float32Array


def type_weights_of(weights: Mapping[str, float]) -> Float32Array:
    """Weight by type number, float32[n_types]; 0 for types that say nothing about taste."""
    by_number = np.zeros(max(EventType.values) + 1, np.float32)
    for kind in EventType:
        by_number[kind] = weights.get(kind.label, 0.0)
    return by_number
