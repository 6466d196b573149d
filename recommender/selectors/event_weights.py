"""What each kind of event says about taste in a store."""

from __future__ import annotations

import math
from collections.abc import Mapping

from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import EventWeights

MAX_WEIGHT = 5.0


def event_weights(*, store_id: int) -> Mapping[str, float]:
    """A weight for every event that can have one: the store's own over the defaults. One query."""
    row = EventWeights.objects.filter(store_id=store_id).only("weights").first()
    own = row.weights if row is not None else {}
    return {name: _usable(own.get(name), default) for name, default in EVENT_WEIGHTS.items()}


def event_weights_row(*, store_id: int) -> EventWeights | None:
    """Who changed the weights, and when; None if nobody ever did. One query."""
    return EventWeights.objects.filter(store_id=store_id).select_related("updated_by").first()


def _usable(stored: object, default: float) -> float:
    """A stored weight. What no form of ours wrote is no reason for serving to fail."""
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        return default
    return float(stored) if math.isfinite(stored) and abs(stored) <= MAX_WEIGHT else default
