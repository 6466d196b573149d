"""Linear item-item models: every item of a history speaks for every other with a learned weight."""

from __future__ import annotations

from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    answered,
    number,
    whole,
)
from recommender.engine.methods.histories import group_matrix, history, shopper_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.neighbours import ItemWeights, NeighbourLists, decay_of
from recommender.engine.offline.ease import combine_neighbours, ease_neighbours, fit_ease
from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.offline.local_regression import Weights, fit_local_ease, fit_slim
from recommender.engine.online.fold_in import ease_fold_in
from recommender.engine.types import Candidates, EaseModel

EVENT_WEIGHTS: Parameters = {
    "weight_purchase": 1.0,
    "weight_add_to_cart": 1.0,
    "weight_view_item": 1.0,
}


class Ease(Model):
    """EASE: the weights of a ridge regression of every item on all others, in closed form."""

    def __init__(
        self, model: EaseModel, parameters: Parameters, *, max_history: int | None = None
    ) -> None:
        self._model = model
        self._parameters = parameters
        self._max_history = max_history

    def recommend(self, query: Query, limit: int) -> Candidates:
        rows, weights = history(query, self._parameters)
        found = ease_fold_in(
            self._model,
            rows,
            weights,
            limit=limit + len(query.removed),
            max_history=self._max_history,
            exclude_history=not query.repeats_allowed,
        )
        return answered(found, query, limit)


def fit_ease_on_baskets(training: Training, parameters: Parameters, _seed: int) -> Model:
    """EASE on whatever groups items; as lists with cosine for the tail where ``lists`` asks for it."""
    baskets = group_matrix(training)
    model = fit_ease(
        baskets,
        regularisation=number(parameters, "regularisation"),
        max_items=whole(parameters, "max_items"),
    )
    if parameters["lists"] is not True:
        return Ease(model, {})
    k = whole(parameters, "k")
    return NeighbourLists(
        combine_neighbours(
            ease_neighbours(model, n_items=training.n_items, k=k),
            fit_item_similarity(baskets, k=k, shrinkage=10.0),
        )
    )


def fit_ease_on_shoppers(training: Training, parameters: Parameters, _seed: int) -> Ease:
    """EASE on the weighted histories of shoppers."""
    model = fit_ease(
        shopper_matrix(training, parameters),
        regularisation=number(parameters, "regularisation"),
        max_items=whole(parameters, "max_items"),
    )
    longest = None if parameters["max_history"] is None else whole(parameters, "max_history")
    return Ease(model, parameters, max_history=longest)


def _weighing(weights: Weights, training: Training, parameters: Parameters) -> ItemWeights:
    in_order = not training.shoppers and training.baskets is None
    return ItemWeights(weights, parameters, position_decay=decay_of(parameters, in_order=in_order))


def fit_sparse_ease(training: Training, parameters: Parameters, _seed: int) -> ItemWeights:
    """EASE in neighbourhoods; see `engine.offline.local_regression`."""
    weights = fit_local_ease(
        shopper_matrix(training, parameters),
        regularisation=number(parameters, "regularisation"),
        neighbours=whole(parameters, "neighbours"),
    )
    return _weighing(weights, training, parameters)


def fit_sparse_linear(training: Training, parameters: Parameters, _seed: int) -> ItemWeights:
    """SLIM; see `engine.offline.local_regression`."""
    weights = fit_slim(
        shopper_matrix(training, parameters),
        l1=number(parameters, "l1"),
        l2=number(parameters, "l2"),
        candidates=whole(parameters, "candidates"),
    )
    return _weighing(weights, training, parameters)


METHODS = (
    Method(
        key="bought_together",
        title="EASE on baskets",
        family=Family.LINEAR,
        needs=frozenset({Need.BASKETS, Need.SESSIONS, Need.SHOPPERS}),
        fit=fit_ease_on_baskets,
        defaults={"regularisation": 50.0, "max_items": 6000, "k": 100, "lists": False},
        grid={"regularisation": (15.0, 30.0, 50.0, 100.0, 200.0)},
        because="often bought with",
        otherwise="",
        source="bought_together",
        cheap=True,
    ),
    Method(
        key="for_you",
        title="EASE on shoppers",
        family=Family.LINEAR,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_ease_on_shoppers,
        defaults={
            "regularisation": 200.0,
            "max_items": 6000,
            "max_history": None,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "regularisation": (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 350.0, 500.0, 800.0),
            "count_exponent": (0.0, 0.5, 1.0),
            "weight_view_item": (0.1, 0.3, 1.0),
            "weight_add_to_cart": (0.5, 1.0),
        },
        because="because of your interest in",
        otherwise="",
        source="for_you",
        cheap=True,
    ),
    Method(
        key="ease_sparse",
        title="EASE, sparse",
        family=Family.LINEAR,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_sparse_ease,
        defaults={
            "regularisation": 100.0,
            "neighbours": 100,
            "position_decay": None,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "regularisation": (5.0, 20.0, 50.0, 100.0, 200.0, 500.0),
            "neighbours": (50, 100, 200),
            "position_decay": (None, 0.5, 0.9),
            "count_exponent": (0.0, 0.5, 1.0),
        },
        because="because of your interest in",
        otherwise="",
    ),
    Method(
        key="slim",
        title="SLIM",
        family=Family.LINEAR,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_sparse_linear,
        defaults={
            "l1": 1.0,
            "l2": 50.0,
            "candidates": 200,
            "position_decay": None,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "l1": (0.1, 1.0, 5.0, 20.0),
            "l2": (10.0, 50.0, 200.0, 500.0),
            "candidates": (100, 200, 400),
            "position_decay": (None, 0.5, 0.9),
        },
        because="because of your interest in",
        otherwise="",
    ),
)
