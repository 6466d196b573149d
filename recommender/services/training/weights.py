"""Event types as numbers into the engine's weights by name."""

from __future__ import annotations

import numpy as np

from catalog.models.events import EventType
from recommender.engine.types import Float32Array, Int16Array
from recommender.engine.weighting import EVENT_WEIGHTS

_BY_NUMBER = np.zeros(max(EventType.values) + 1, np.float32)
for _kind in EventType:
    _BY_NUMBER[_kind] = EVENT_WEIGHTS.get(_kind.label, 0.0)


def type_weights(types: Int16Array) -> Float32Array:
    """Weight of every event, float32[n]; 0 for types that say nothing about taste."""
    weights: Float32Array = _BY_NUMBER[types]
    return weights
