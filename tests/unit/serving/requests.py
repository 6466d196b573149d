"""A request on a snapshot, for rules: nobody in particular, with something in view or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.serving.context import Context
from recommender.serving.models import ServingModels
from recommender.serving.request import RecommendationRequest
from recommender.serving.snapshot import CatalogSnapshot
from recommender.stores.session_state import NO_STATE


def context_on(
    shot: CatalogSnapshot, page: list[int], category: str | None, *, now_s: int, **request: Any
) -> Context:
    """`category` is that of the first product in view unless another is given."""
    if category is None and page:
        category = shot.category_path(page[0]) or None
    nothing = np.empty(0, np.int32)
    return Context(
        request=RecommendationRequest(**request),
        snapshot=shot,
        models=ServingModels(),
        state=NO_STATE,
        now_s=now_s,
        page_rows=page,
        cart_rows=[],
        event_rows=nothing,
        event_types=nothing,
        event_at_s=np.empty(0, np.int64),
        event_weights=np.empty(0, np.float32),
        category=category,
        history=None,
        eligible=shot.eligible,
    )
