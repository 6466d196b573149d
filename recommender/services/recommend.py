"""One page view, from request to answers: state, placements in order, impressions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from recommender.serving.answer import answer_json
from recommender.services.impression_log import IMPRESSIONS, Delivered
from recommender.serving.pipeline import recommend_placement
from recommender.serving.request import (
    PlacementRequest,
    Recommendation,
    RecommendationRequest,
)
from recommender.serving.runtime import RUNTIMES, StoreRuntime
from recommender.serving.snapshot import CatalogSnapshot
from recommender.services.session_reading import session_state


class UnknownPlacement(Exception):
    """The store has no placement of this name; the text is the slug."""


@dataclass(frozen=True, slots=True)
class Page:
    """The answers of one page, in the order asked for, and the snapshot their rows belong to."""

    recommendations: list[Recommendation]
    snapshot: CatalogSnapshot
    signing_secret: bytes

    def as_json(self) -> list[bytes]:
        """Each answer as JSON."""
        return [
            answer_json(recommendation, self.snapshot, secret=self.signing_secret)
            for recommendation in self.recommendations
        ]


def recommend(
    *,
    store_id: int,
    request: RecommendationRequest,
    placements: Sequence[PlacementRequest],
    log_impressions: bool = True,
) -> Page:
    """Answer the placements of a page; no product is shown twice on it.

    One Valkey round trip, no query. `log_impressions=False` is for previews.

    Raises
    ------
    UnknownPlacement
        Before anything is computed or logged.
    """
    runtime = _runtime(store_id)
    chosen = []
    for asked in placements:
        placement = runtime.placements.get(asked.slug)
        if placement is None:
            raise UnknownPlacement(asked.slug)
        chosen.append((placement, asked.limit))
    state = session_state(store_id=store_id, shopper_id=request.shopper_id)
    now_s = time.time()
    shown: set[int] = set()
    answers = []
    for placement, limit in chosen:
        recommendation = recommend_placement(
            runtime, placement, request, state, limit=limit, shown=shown, now_s=now_s
        )
        shown.update(recommendation.rows)
        answers.append(recommendation)
        if log_impressions:
            ids = runtime.snapshot.product_ids
            IMPRESSIONS.append(
                Delivered(
                    store_id,
                    now_s,
                    request,
                    recommendation,
                    [int(ids[row]) for row in recommendation.rows],
                )
            )
    return Page(answers, runtime.snapshot, runtime.settings.signing_secret)


def _runtime(store_id: int) -> StoreRuntime:
    runtime = RUNTIMES.get(store_id)
    if runtime is None:
        raise UnknownPlacement(f"store {store_id}")
    return runtime
