"""Popularity: what always sells, what is taking off."""

from __future__ import annotations

import numpy as np

from recommender.engine.offline.popularity import decayed_counts, rising_scores
from recommender.engine.types import SECONDS_PER_DAY, Float32Array
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.selectors.training_data import TrainingEvents
from recommender.services.training.trained import (
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
)
from recommender.services.training.weights import type_weights

BESTSELLER_HALF_LIFE_DAYS = 60.0
TRENDING_HALF_LIFE_DAYS = 5.0
MIN_EVENTS = 10
QUALITY_DAYS = 7


def train_popularity(data: TrainingData, report: Report) -> Trained:
    """Count what shoppers did with each product, recent events more.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_EVENTS` events.
    """
    if len(data.events) < MIN_EVENTS:
        raise NotEnoughData(f"Bestsellers need {MIN_EVENTS} events; there are {len(data.events)}.")
    n_items = len(data.products)
    report("Counting", 0.2)
    bestsellers, trending = _scores(data.events, n_items, now_s=data.newest_s)
    report("Measuring on the last week", 0.7)
    return Trained(
        arrays={
            "item_ids": data.products.ids.ids,
            "bestsellers": bestsellers,
            "trending": trending,
        },
        parameters={
            "bestseller_half_life_days": BESTSELLER_HALF_LIFE_DAYS,
            "trending_half_life_days": TRENDING_HALF_LIFE_DAYS,
            "event_weights": dict(EVENT_WEIGHTS),
        },
        counts={
            "events": len(data.events),
            "products": n_items,
            "products_trending": int((trending > 0).sum()),
        },
        quality=_quality(data, n_items),
        headline="sales_share_of_top_100",
        as_of_s=float(data.newest_s),
    )


def _scores(
    events: TrainingEvents, n_items: int, *, now_s: int
) -> tuple[Float32Array, Float32Array]:
    weights = type_weights(events.types)
    positive = events.where(weights > 0)
    weights = weights[weights > 0]

    def counts(half_life_days: float) -> Float32Array:
        return decayed_counts(
            positive.item_rows,
            positive.times_s,
            weights,
            now_s=now_s,
            half_life_days=half_life_days,
            n_items=n_items,
            # A shopper counts once a day: one household that buys forty of something at once
            # doesn't make a bestseller. Once *ever* would saturate, and bestsellers would look as
            # if they rose.
            shopper_rows=positive.shopper_rows,
            once_per_days=1,
        )

    long, short = counts(BESTSELLER_HALF_LIFE_DAYS), counts(TRENDING_HALF_LIFE_DAYS)
    return long, rising_scores(short, long)


def _quality(data: TrainingData, n_items: int) -> dict[str, float]:
    """Share of the last week's order lines that the 100 bestsellers of the week before cover."""
    cut = data.newest_s - QUALITY_DAYS * SECONDS_PER_DAY
    past = data.events.where(data.events.times_s < cut)
    later = data.purchases.where(data.purchases.times_s >= cut)
    if len(past) < MIN_EVENTS or not len(later):
        return {}
    before, _ = _scores(past, n_items, now_s=cut)
    top = np.argsort(-before, kind="stable")[:100]
    return {
        "sales_share_of_top_100": round(float(np.isin(later.item_rows, top).mean()), 4),
        "n_test_lines": float(len(later)),
    }
