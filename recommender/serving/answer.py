"""A recommendation as JSON. Cards are ready-made bytes; only positions and sources are written."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from recommender.serving.request import Recommendation
from recommender.serving.signing import recommendation_id_sign
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.trace import Reason


def answer_json(
    recommendation: Recommendation, snapshot: CatalogSnapshot, *, secret: bytes
) -> bytes:
    """One answer of the public API, as UTF-8 JSON."""
    head: dict[str, Any] = {
        "recommendation_id": recommendation_id_sign(secret, recommendation.recommendation_id),
        "placement": recommendation.placement_slug,
        "title": recommendation.title,
        "experiment": _experiment(recommendation),
        "fallback": recommendation.fallback,
        "reason": recommendation.reason,
    }
    if recommendation.trace is not None:
        trace = recommendation.trace
        head["trace"] = {
            "took_us": recommendation.took_us,
            "steps": trace.steps,
            "products": trace.products,
            "dropped": trace.dropped,
        }
    cards = snapshot.cards
    items = [
        cards[row] + _ending(position, source)
        for position, (row, source) in enumerate(
            zip(recommendation.rows, recommendation.sources, strict=True), start=1
        )
    ]
    return b'%b,"items":[%b]}' % (orjson.dumps(head)[:-1], b",".join(items))


@cache
def _ending(position: int, source: str) -> bytes:
    """What follows a card. There are as many as positions times sources."""
    return b',"position":%d,"source":"%b"}' % (position, source.encode("ascii"))


def _experiment(recommendation: Recommendation) -> dict[str, str | bool | None] | None:
    experiment, variant = recommendation.experiment, recommendation.variant
    if experiment is None:
        return None
    told: dict[str, str | bool | None] = {
        "key": experiment.key,
        "variant": None if variant is None else variant.key,
    }
    return {**told, "qa": True} if recommendation.is_look else told


def unknown_json(slug: str) -> bytes:
    """The answer for a placement that the store doesn't have."""
    return orjson.dumps(
        {
            "recommendation_id": None,
            "placement": slug,
            "title": "",
            "experiment": None,
            "fallback": None,
            "reason": Reason.UNKNOWN_PLACEMENT,
            "items": [],
        }
    )
