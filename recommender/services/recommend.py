"""One page view, from request to answers: state, placements in order, impressions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recommender.services.impression_log import IMPRESSIONS, Delivered
from recommender.services.session_reading import session_state
from recommender.serving.answer import answer_json, unknown_json
from recommender.serving.look import look_read
from recommender.serving.pipeline import recommend_placement
from recommender.serving.request import (
    PlacementRequest,
    Recommendation,
    RecommendationRequest,
)
from recommender.serving.runtime import RUNTIMES, StoreRuntime
from recommender.serving.segments import SegmentsOfShopper
from recommender.serving.snapshot import CatalogSnapshot


class UnknownPlacement(Exception):
    """The store has no placement of this name; the text is the slug."""


@dataclass(frozen=True, slots=True)
class Page:
    """The answers of one page, in the order asked for, the placements that don't exist, and the
    snapshot that rows belong to."""

    recommendations: list[Recommendation]
    unknown: list[str]
    snapshot: CatalogSnapshot
    signing_secret: bytes

    def as_json(self) -> list[bytes]:
        """Each answer as JSON; those of unknown placements last, empty with their reason."""
        answers = [
            answer_json(recommendation, self.snapshot, secret=self.signing_secret)
            for recommendation in self.recommendations
        ]
        return answers + [unknown_json(slug) for slug in self.unknown]


def recommend(
    *,
    store_id: int,
    request: RecommendationRequest,
    placements: Sequence[PlacementRequest],
    log_impressions: bool = True,
    by_position: bool = False,
    at: datetime | None = None,
) -> Page:
    """Answer the placements of a page; no product is shown twice on it.

    The placements choose their products in the order given, or `by_position` in the order that the
    members gave them, those of the same position in the order given. The answers stand in the order
    given in both cases.

    One Valkey round trip, no query. A placement that the store doesn't have leaves a gap in the
    answers, named in `unknown`: a slug with a typing error must not empty the rest of the page.
    `log_impressions=False` is for previews; `at` is the moment of a past that is played again. With
    the token of a QA link nothing is logged either, and its variant is read from PostgreSQL.

    Raises
    ------
    UnknownPlacement
        The store has none of the placements; before anything is computed or logged.
    DatabaseError
        A QA link while PostgreSQL is away.
    """
    runtime = _runtime(store_id)
    secret = runtime.settings.signing_secret
    look = look_read(store_id=store_id, secret=secret, token=request.qa) if request.qa else None
    chosen = []
    unknown = []
    for asked in placements:
        placement = runtime.placements.get(asked.slug)
        if placement is None:
            unknown.append(asked.slug)
        else:
            chosen.append((placement if look is None else look.at(placement), asked.limit))
    if not chosen:
        raise UnknownPlacement(", ".join(unknown))
    state = session_state(store_id=store_id, shopper_id=request.shopper_id, at=at)
    now_s = time.time() if at is None else at.timestamp()
    segments = SegmentsOfShopper(
        request.shopper_id,
        state,
        runtime.models.profiles,
        runtime.snapshot,
        device=request.device,
        now_s=int(now_s),
    )
    shown: set[int] = set()
    turns = list(range(len(chosen)))
    if by_position:
        turns.sort(key=lambda turn: chosen[turn][0].settings.position)
    answers: dict[int, Recommendation] = {}
    for turn in turns:
        placement, limit = chosen[turn]
        recommendation = recommend_placement(
            runtime,
            placement,
            request,
            state,
            limit=limit,
            shown=shown,
            now_s=now_s,
            in_segment=segments.holds,
        )
        shown.update(recommendation.rows)
        answers[turn] = recommendation
        if log_impressions and look is None:
            ids = runtime.snapshot.product_ids
            IMPRESSIONS.append(
                Delivered(
                    store_id,
                    now_s,
                    request,
                    recommendation,
                    ids.take(np.array(recommendation.rows, np.int64)).tolist(),
                )
            )
    in_order = [answers[turn] for turn in range(len(chosen))]
    return Page(in_order, unknown, runtime.snapshot, secret)


def _runtime(store_id: int) -> StoreRuntime:
    runtime = RUNTIMES.get(store_id)
    if runtime is None:
        raise UnknownPlacement(f"store {store_id}")
    return runtime
