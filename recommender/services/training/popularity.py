"""Popularity: what always sells, what is taking off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.engine.id_map import IdMap
from recommender.engine.offline.popularity import decayed_counts, rising_scores
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int64Array
from recommender.selectors.training_data import TrainingEvents, newest_telling_us
from recommender.selectors.training_increments import (
    NewEvents,
    catalog_row_ids,
    events_counted,
    events_since,
)
from recommender.services.training.base import Base, Looked, check_weights
from recommender.services.training.trained import (
    HISTORY,
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
)
from recommender.services.training.weights import type_weights_of

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
    long, short = _counts(data.events, data.type_weights, n_items, now_s=data.newest_s)
    trending = rising_scores(short, long)
    report("Measuring on the last week", 0.7)
    return Trained(
        arrays={
            "item_ids": data.products.ids.ids,
            "bestsellers": long,
            "trending": trending,
        },
        parameters={
            "bestseller_half_life_days": BESTSELLER_HALF_LIFE_DAYS,
            "trending_half_life_days": TRENDING_HALF_LIFE_DAYS,
            "event_weights": dict(data.event_weights),
        },
        counts={
            "events": len(data.events),
            "products": n_items,
            "products_trending": int((trending > 0).sum()),
        },
        quality=_quality(data, n_items),
        headline="sales_share_of_top_100",
        as_of_s=float(data.newest_s),
        state={"recent_counts": short, "watermark_keys": data.watermark.keys},
        marks=data.watermark.marks,
    )


def popularity_has_news(base: Base, now: datetime) -> bool:
    """Whether an event came in that there is something to learn from. One query."""
    return newest_telling_us(store_id=base.store_id) > base.marks["received_us"]


def add_to_popularity(base: Base, now: datetime) -> Trained | Looked:
    """The counts of the base, aged, and what came in since.

    A shopper counts once a day and product, by the largest event. So what the same people did on
    the same days is counted with the new events and without them; the difference is added.
    """
    check_weights(base)
    mark = base.watermark
    new, following = events_since(store_id=base.store_id, mark=mark, occurred_since=now - HISTORY)
    if not len(new):
        return Looked(following.marks)
    catalog = catalog_row_ids(store_id=base.store_id)
    old = events_counted(
        store_id=base.store_id,
        people=np.unique(new.people),
        since_s=_midnight(int(new.times_s.min())),
        until_s=_midnight(int(new.times_s.max())) + SECONDS_PER_DAY,
        mark=mark,
    )
    as_of_s = int(base.artifact.manifest.as_of_s)
    newest_s = max(as_of_s, int(new.times_s.max()))
    ids = IdMap(catalog.ids)
    weights = type_weights_of(base.event_weights)

    def counts(half_life_days: float, *parts: NewEvents) -> Float32Array:
        rows, times, kinds, people = (
            np.concatenate([values(part) for part in parts]) for values in _COLUMNS
        )
        item_rows = ids.rows_of(rows)
        told = weights[kinds]
        telling = (item_rows >= 0) & (told > 0)
        telling[telling] = ~catalog.hidden[item_rows[telling]]
        return decayed_counts(
            item_rows[telling],
            times[telling],
            told[telling],
            now_s=newest_s,
            half_life_days=half_life_days,
            n_items=len(ids),
            shopper_rows=people[telling],
            once_per_days=1,
        )

    def grown(name: str, half_life_days: float) -> Float32Array:
        faded = _moved(base.artifact["item_ids"], base.artifact[name], ids) * np.float32(
            2.0 ** (-(newest_s - as_of_s) / SECONDS_PER_DAY / half_life_days)
        )
        faded[catalog.hidden] = 0
        return faded + counts(half_life_days, old, new) - counts(half_life_days, old)

    long = grown("bestsellers", BESTSELLER_HALF_LIFE_DAYS)
    short = grown("recent_counts", TRENDING_HALF_LIFE_DAYS)
    trending = rising_scores(short, long)
    before = base.artifact.manifest
    return Trained(
        arrays={"item_ids": ids.ids, "bestsellers": long, "trending": trending},
        parameters=before.parameters,
        counts={
            "events": before.counts["events"] + len(new),
            "products": len(ids),
            "products_trending": int((trending > 0).sum()),
        },
        quality=before.quality,
        headline=base.headline,
        as_of_s=float(newest_s),
        state={"recent_counts": short, "watermark_keys": following.keys},
        marks=following.marks,
    )


_COLUMNS: tuple[Callable[[NewEvents], npt.NDArray[Any]], ...] = (
    lambda events: events.product_ids,
    lambda events: events.times_s,
    lambda events: events.types,
    lambda events: events.people,
)


def _midnight(time_s: int) -> int:
    """The start of the day by which `once_per_days` counts."""
    return time_s // SECONDS_PER_DAY * SECONDS_PER_DAY


def _moved(before: Int64Array, values: Float32Array, ids: IdMap) -> Float32Array:
    """Values by product in the rows of another catalog; 0 for products that are new."""
    rows = ids.rows_of(before)
    moved = np.zeros(len(ids), np.float32)
    moved[rows[rows >= 0]] = values[rows >= 0]
    return moved


def _counts(
    events: TrainingEvents, weights: Float32Array, n_items: int, *, now_s: int
) -> tuple[Float32Array, Float32Array]:
    """What always sells, and what sells now."""
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

    return counts(BESTSELLER_HALF_LIFE_DAYS), counts(TRENDING_HALF_LIFE_DAYS)


def _quality(data: TrainingData, n_items: int) -> dict[str, float]:
    """Share of the last week's order lines that the 100 bestsellers of the week before cover."""
    cut = data.newest_s - QUALITY_DAYS * SECONDS_PER_DAY
    is_past = data.events.times_s < cut
    past = data.events.where(is_past)
    later = data.purchases.where(data.purchases.times_s >= cut)
    if len(past) < MIN_EVENTS or not len(later):
        return {}
    before, _ = _counts(past, data.type_weights[is_past], n_items, now_s=cut)
    top = np.argsort(-before, kind="stable")[:100]
    return {
        "sales_share_of_top_100": round(float(np.isin(later.item_rows, top).mean()), 4),
        "n_test_lines": float(len(later)),
    }
