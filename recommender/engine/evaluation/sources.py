"""The sources under the names that strategies use, with their parameters.

The grids are what a tuning tries: few values, far apart, around what is sensible for any shop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recommender.engine.evaluation.learners import (
    Parameters,
    Recommend,
    Value,
    learn_bestsellers,
    learn_bought_together,
    learn_buy_again,
    learn_for_you,
    learn_for_you_als,
    learn_item_neighbours,
    learn_next_click,
    learn_session_neighbours,
    learn_similar_content,
)
from recommender.engine.evaluation.tasks import Training


@dataclass(frozen=True, slots=True)
class Source:
    """How to fit a source, its default parameters, and the values worth trying for each."""

    fit: Callable[[Training, Parameters, int], Recommend]
    defaults: Parameters
    grid: Mapping[str, Sequence[Value]]


_EVENT_WEIGHTS: Parameters = {
    "weight_purchase": 1.0,
    "weight_add_to_cart": 1.0,
    "weight_view_item": 1.0,
}

SOURCES: Mapping[str, Source] = {
    "session_neighbours": Source(
        learn_session_neighbours,
        {
            "k": 500,
            "sample_size": 1000,
            "max_sessions_per_item": 500,
            "position_decay": 0.8,
            "step_decay": 0.7,
            "idf_weight": 0.0,
            "recency_half_life_days": None,
        },
        {
            "position_decay": (0.5, 0.65, 0.8, 0.9),
            "step_decay": (0.4, 0.55, 0.7, 0.85, 1.0),
            "k": (100, 200, 500, 1000),
            "max_sessions_per_item": (500, 1500),
            "sample_size": (1000, 3000),
            "idf_weight": (0.0, 0.1, 0.3),
            "recency_half_life_days": (None, 30.0, 3.0),
        },
    ),
    "next_click": Source(learn_next_click, {}, {}),
    "also_viewed": Source(
        learn_item_neighbours,
        {"k": 100, "damping": 0.5, "shrinkage": 5.0, "position_decay": 0.7},
        {
            "position_decay": (0.3, 0.5, 0.7, 0.9, 1.0),
            "damping": (0.2, 0.35, 0.5, 0.65),
            "shrinkage": (0.0, 5.0, 20.0),
        },
    ),
    "bought_together": Source(
        learn_bought_together,
        {"regularisation": 50.0, "max_items": 6000, "k": 100, "lists": False},
        {"regularisation": (15.0, 30.0, 50.0, 100.0, 200.0)},
    ),
    "for_you": Source(
        learn_for_you,
        {
            "regularisation": 200.0,
            "max_items": 6000,
            "max_history": None,
            "count_exponent": 0.5,
            **_EVENT_WEIGHTS,
        },
        {
            "regularisation": (20.0, 50.0, 100.0, 200.0, 350.0, 500.0, 800.0),
            "count_exponent": (0.0, 0.5, 1.0),
            "weight_view_item": (0.1, 0.3, 1.0),
            "weight_add_to_cart": (0.5, 1.0),
        },
    ),
    "for_you_als": Source(
        learn_for_you_als,
        {
            "factors": 64,
            "regularisation": 0.05,
            "iterations": 12,
            "alpha": 5.0,
            "count_exponent": 0.5,
            **_EVENT_WEIGHTS,
        },
        {"alpha": (1.0, 5.0, 20.0), "regularisation": (0.05, 5.0, 50.0), "factors": (32, 64, 128)},
    ),
    "buy_again": Source(
        learn_buy_again,
        {
            "frequency_exponent": 1.0,
            "repeat_exponent": 0.25,
            "urgency": 0.25,
            "demand_exponent": 0.3,
            "half_life_days": 30.0,
        },
        {
            "demand_exponent": (0.0, 0.1, 0.3, 0.5),
            "half_life_days": (7.0, 15.0, 30.0, 90.0),
            "urgency": (0.0, 0.1, 0.25, 0.5),
            "repeat_exponent": (0.0, 0.25, 0.5, 1.0),
            "frequency_exponent": (0.7, 1.0),
        },
    ),
    "bestsellers": Source(
        learn_bestsellers,
        {"half_life_days": 30.0},
        {"half_life_days": (7.0, 15.0, 30.0, 90.0, None)},
    ),
    "similar_content": Source(learn_similar_content, {"dimensions": 64, "k": 50}, {}),
}
