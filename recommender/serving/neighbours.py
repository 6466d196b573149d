"""What each contextual source says about one product: the console's view of the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.serving.context import Context
from recommender.serving.request import RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.serving.sources import SOURCES
from recommender.serving.trace import REASON_WORDS
from recommender.stores.session_state import NO_STATE


@dataclass(frozen=True, slots=True)
class NeighbourCard:
    """A neighbour: its product card, our id, its score in the source, and whether it can be shown."""

    product_id: int
    card: dict[str, Any]
    score: float
    eligible: bool


@dataclass(frozen=True, slots=True)
class SourceNeighbours:
    """One source's list; `reason` in words when it is empty."""

    source: str
    label: str
    question: str
    neighbours: list[NeighbourCard]
    reason: str


def product_neighbours(
    *, store_id: int, product_id: int, now_s: float, limit: int = 8
) -> list[SourceNeighbours]:
    """The lists of all contextual sources for a product, unfiltered and unblended.

    Empty if the serving process doesn't know the product yet (it was made a second ago).
    """
    runtime = RUNTIMES.get(store_id)
    if runtime is None:
        return []
    snapshot = runtime.snapshot
    row = int(snapshot.rows_of([product_id])[0])
    if row < 0:
        return []
    external_id = snapshot.external_ids[row]
    context = Context(
        request=RecommendationRequest(product_ids=(external_id,)),
        snapshot=snapshot,
        models=runtime.models,
        state=NO_STATE,
        now_s=int(now_s),
        page_rows=[row],
        cart_rows=[],
        event_rows=np.empty(0, np.int32),
        event_weights=np.empty(0, np.float32),
        viewed_rows=[],
        category=snapshot.category_path(row) or None,
        history=None,
        eligible=snapshot.eligible,
    )
    lists = []
    for source in SOURCES.values():
        if not source.contextual:
            continue
        found = source.find(context)
        cards = [
            NeighbourCard(
                product_id=int(snapshot.product_ids[each]),
                card=snapshot.card(each),
                score=score,
                eligible=bool(snapshot.eligible[each]),
            )
            for each, score in zip(
                found.candidates.rows[:limit].tolist(),
                found.candidates.scores[:limit].tolist(),
                strict=True,
            )
        ]
        reason = REASON_WORDS[found.reason] if found.reason else ""
        if not cards and not reason:
            reason = "This source knows no partner for the product yet."
        lists.append(
            SourceNeighbours(source.name, source.label, source.question, cards, reason)
        )
    return lists
