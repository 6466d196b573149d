"""How old what serves is."""

from __future__ import annotations

from datetime import datetime

from recommender.models import Artifact


def serving_artifact_ages(*, now: datetime) -> list[tuple[int, str, float]]:
    """Store, family, and seconds since its serving artifact was made. One query."""
    rows = Artifact.objects.filter(serving=True).values_list("store_id", "family", "created_at")
    return [(store_id, family, (now - at).total_seconds()) for store_id, family, at in rows]
