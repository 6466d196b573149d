"""Shopper profiles: every shopper's history, how things are bought again, and the model of taste."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.engine.offline.ease import fit_ease
from recommender.engine.offline.interactions import user_items_matrix
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.offline.repeat import fit_repeat
from recommender.engine.offline.shopper_history import build_shopper_history
from recommender.engine.offline.shopper_neighbours import index_shopper_history
from recommender.engine.online.blending import blend
from recommender.engine.online.fold_in import ease_fold_in
from recommender.engine.online.profiles import buy_again
from recommender.engine.types import (
    SECONDS_PER_DAY,
    Candidates,
    EaseModel,
    RepeatModel,
    ShopperHistory,
    ShopperIndex,
)
from recommender.engine.weighting import time_decay
from recommender.selectors.shopper_spending import shopper_spending
from recommender.selectors.training_data import TrainingEvents
from recommender.services.training.trained import (
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
)
from recommender.services.training.weights import type_weights_of
from recommender.serving.models import MAX_HISTORY, AlikeModel
from recommender.serving.similar_shoppers import people_like, tastes
from recommender.serving.sources import DEMAND_EXPONENT

MIN_SHOPPERS = 10
HISTORY_HALF_LIFE_DAYS = 180.0
# The best supported products: beyond this the matrix of 4 m² bytes and its inverse cost more than
# they find. On the demo shop's 68,000 products it finds more than factors over 20,000 of them
# (recall .0815 against .0755).
EASE_ITEMS = 6_000
EASE_REGULARISATION = 200.0
# Whose histories others are compared with: those who came last, and of each the products they like
# best. That is 16 bytes a product and 36 a shopper, so at most 165 MB, shared between processes.
# Twice the products find 1 % more, and half of them 1 % less (docs/engine.md).
ALIKE_SHOPPERS = 100_000
ALIKE_PRODUCTS = 100
QUALITY_DAYS = 14
QUALITY_SHOPPERS = 500
BLEND = (("buy_again", 1.0), ("for_you", 0.3))
# What sells in general now is also what a household is likely to need; measured in docs/engine.md.
DEMAND_HALF_LIFE_DAYS = 30.0


def train_profiles(data: TrainingData, report: Report) -> Trained:
    """Learn from everything shoppers did.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_SHOPPERS` shoppers with an event that says something about taste.
    """
    telling = data.events.where(data.type_weights != 0)
    n_shoppers = len(np.unique(telling.shopper_rows))
    if n_shoppers < MIN_SHOPPERS:
        raise NotEnoughData(
            f"For you needs {MIN_SHOPPERS} shoppers with events; there are {n_shoppers}."
        )
    report("Measuring on the last weeks", 0.05)
    quality = _quality(data, telling)
    report("Histories", 0.5)
    learned = _Learned(telling, data, now_s=data.newest_s)
    spending = shopper_spending(
        store_id=data.store_id, now_s=data.now_s, shopper_ids=data.shoppers.shopper_ids
    )
    report("Similar shoppers", 0.9)
    alike = learned.alike()
    report("Storing", 0.95)
    history, repeat = learned.history, learned.repeat
    return Trained(
        arrays={
            "item_ids": data.products.ids.ids,
            "shopper_hashes": data.shoppers.hashes,
            "history_offsets": history.offsets,
            "history_rows": history.item_rows,
            "history_weights": history.weights,
            "history_counts": history.counts,
            "history_last_at_s": history.last_at_s,
            "shopper_orders": spending.orders,
            "shopper_spend": spending.spend_minor,
            "repeat_interval_days": repeat.interval_days,
            "repeat_probability": repeat.repeat_probability,
            "demand": learned.demand,
            "ease_rows": learned.taste.item_rows,
            "ease_weights": learned.taste.weights,
            "alike_places": alike.places,
            **{
                f"alike_{each.name}": getattr(alike.index, each.name)
                for each in fields(ShopperIndex)
            },
        },
        parameters={
            "history_half_life_days": HISTORY_HALF_LIFE_DAYS,
            "ease_items": EASE_ITEMS,
            "ease_regularisation": EASE_REGULARISATION,
            "demand_half_life_days": DEMAND_HALF_LIFE_DAYS,
            "alike_shoppers": ALIKE_SHOPPERS,
            "alike_products": ALIKE_PRODUCTS,
        },
        counts={
            "shoppers": n_shoppers,
            "events": len(telling),
            "products": len(data.products),
            "history_lines": len(history.item_rows),
            "shoppers_compared": len(alike.places),
        },
        quality=quality,
        headline="next_purchases_recall_at_20",
        as_of_s=float(data.newest_s),
        marks=data.watermark.marks,
    )


class _Learned:
    """History, repeats and the model of taste, learned from some events."""

    def __init__(self, events: TrainingEvents, data: TrainingData, *, now_s: int) -> None:
        n_items, n_shoppers = len(data.products), len(data.shoppers)
        weights = type_weights_of(data.event_weights)[events.types]
        decayed = weights * time_decay(
            events.times_s, now_s=now_s, half_life_days=HISTORY_HALF_LIFE_DAYS
        )
        is_purchase = events.types == EventType.PURCHASE
        self.history: ShopperHistory = build_shopper_history(
            events.shopper_rows,
            events.item_rows,
            events.times_s,
            decayed,
            is_purchase=is_purchase,
            n_shoppers=n_shoppers,
        )
        bought = events.where(is_purchase)
        self.repeat: RepeatModel = fit_repeat(
            bought.shopper_rows,
            bought.item_rows,
            bought.times_s,
            n_items=n_items,
            category_codes=data.category_codes,
        )
        self.demand = decayed_counts(
            bought.item_rows,
            bought.times_s,
            now_s=now_s,
            half_life_days=DEMAND_HALF_LIFE_DAYS,
            n_items=n_items,
        )
        user_items = user_items_matrix(
            events.shopper_rows,
            events.item_rows,
            np.maximum(decayed, 0.0),
            n_shoppers=n_shoppers,
            n_items=n_items,
        )
        user_items.data = np.sqrt(user_items.data, dtype=np.float32)
        self.taste: EaseModel = fit_ease(
            user_items, regularisation=EASE_REGULARISATION, max_items=EASE_ITEMS
        )

    def for_you(self, rows: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]) -> Candidates:
        """Everything that fits a history, what was bought before included."""
        return ease_fold_in(
            self.taste,
            rows,
            weights,
            limit=200,
            max_history=MAX_HISTORY,
            exclude_history=False,
        )

    def alike(self) -> AlikeModel:
        """The shoppers whom others are compared with."""
        return AlikeModel(
            *index_shopper_history(
                self.history,
                n_items=len(self.demand),
                max_shoppers=ALIKE_SHOPPERS,
                max_items=ALIKE_PRODUCTS,
            )
        )


def _quality(data: TrainingData, telling: TrainingEvents) -> dict[str, float]:
    """Recall@20 of what shoppers bought in the last weeks, by what was known before.

    Mean over at most `QUALITY_SHOPPERS` shoppers, repeats counted: buying again is what grocers
    live on.
    """
    cut = data.newest_s - QUALITY_DAYS * SECONDS_PER_DAY
    past = telling.where(telling.times_s < cut)
    later = data.purchases.where(data.purchases.times_s >= cut)
    if len(np.unique(past.shopper_rows)) < MIN_SHOPPERS or not len(later):
        return {}
    learned = _Learned(past, data, now_s=cut)
    history, repeat = learned.history, learned.repeat
    alike = learned.alike()
    recalls: dict[str, list[float]] = {
        name: [] for name in ("blend", "buy_again", "for_you", "similar_shoppers")
    }
    for shopper in np.unique(later.shopper_rows)[:QUALITY_SHOPPERS].tolist():
        own = slice(int(history.offsets[shopper]), int(history.offsets[shopper + 1]))
        if own.start == own.stop:
            continue
        wanted = np.unique(later.item_rows[later.shopper_rows == shopper])
        rows, bought = history.item_rows[own], history.counts[own] > 0
        again = buy_again(
            rows[bought],
            history.counts[own][bought],
            history.last_at_s[own][bought],
            interval_days=repeat.interval_days,
            repeat_probability=repeat.repeat_probability,
            now_s=cut,
            limit=200,
            demand=learned.demand,
            demand_exponent=DEMAND_EXPONENT,
        )
        fitting = learned.for_you(rows, history.weights[own])
        likewise = people_like(
            alike, rows, tastes(history.weights[own]), place=shopper, limit=20, reasons=False
        )
        both = blend(
            [(name, weight, again if name == "buy_again" else fitting) for name, weight in BLEND],
            limit=20,
        )
        for name, found in (
            ("blend", both.rows),
            ("buy_again", again.rows[:20]),
            ("for_you", fitting.rows[:20]),
            ("similar_shoppers", likewise.rows),
        ):
            recalls[name].append(float(np.isin(wanted, found).mean()))
    if not recalls["blend"]:
        return {}
    return {
        "next_purchases_recall_at_20": round(float(np.mean(recalls["blend"])), 4),
        "buy_again_recall_at_20": round(float(np.mean(recalls["buy_again"])), 4),
        "for_you_recall_at_20": round(float(np.mean(recalls["for_you"])), 4),
        "similar_shoppers_recall_at_20": round(float(np.mean(recalls["similar_shoppers"])), 4),
        "n_test_shoppers": float(len(recalls["blend"])),
    }
