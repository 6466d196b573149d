"""Shoppers and items as short vectors whose product is the liking."""

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
from recommender.engine.methods.histories import history, shopper_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.linear import EVENT_WEIGHTS
from recommender.engine.offline.factorization import fit_als
from recommender.engine.online.fold_in import als_fold_in
from recommender.engine.types import Candidates, FactorModel


class ImplicitAls(Model):
    """Factors of implicit feedback; a shopper's vector is solved for when they ask."""

    def __init__(self, model: FactorModel, parameters: Parameters) -> None:
        self._model = model
        self._parameters = parameters

    def recommend(self, query: Query, limit: int) -> Candidates:
        rows, weights = history(query, self._parameters)
        found = als_fold_in(
            self._model,
            rows,
            weights,
            limit=limit + len(query.removed),
            exclude_history=not query.repeats_allowed,
        )
        return answered(found, query, limit)


def fit_implicit_als(training: Training, parameters: Parameters, seed: int) -> ImplicitAls:
    """ALS by `implicit`; see `engine.offline.factorization`."""
    model = fit_als(
        shopper_matrix(training, parameters),
        factors=whole(parameters, "factors"),
        regularisation=number(parameters, "regularisation"),
        iterations=whole(parameters, "iterations"),
        alpha=number(parameters, "alpha"),
        seed=seed,
    )
    return ImplicitAls(model, parameters)


METHODS = (
    Method(
        key="for_you_als",
        title="ALS",
        family=Family.FACTORS,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_implicit_als,
        defaults={
            "factors": 64,
            "regularisation": 0.05,
            "iterations": 12,
            "alpha": 5.0,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "alpha": (1.0, 5.0, 20.0),
            "regularisation": (0.05, 5.0, 50.0),
            "factors": (32, 64, 128),
        },
        because="because of your interest in",
        otherwise="",
        cheap=True,
    ),
)
