"""Factorisation machines: histories and products by their features, so that new ones have some."""

from __future__ import annotations

import numpy as np

from recommender.engine.methods.base import Family, Method, Need, Parameters, number, whole
from recommender.engine.methods.histories import shopper_matrix
from recommender.engine.methods.inputs import Training
from recommender.engine.methods.linear import EVENT_WEIGHTS
from recommender.engine.methods.vectors import VectorModel
from recommender.engine.offline.factorization_machine import (
    FactorizationMachine,
    fit_factorization_machine,
    item_fields,
)
from recommender.engine.types import Float32Array, Int32Array


class Machine(VectorModel):
    """A history's features against those of every product."""

    def __init__(self, model: FactorizationMachine, parameters: Parameters) -> None:
        self._exponent = model.history_exponent
        super().__init__(
            model.history_sums(),
            model.product_sums(),
            model.product_biases(),
            speaking=model.known,
            answering=model.known,
            parameters=parameters,
        )

    def shopper(self, rows: Int32Array, weights: Float32Array) -> Float32Array:
        share = np.float32(len(rows) ** -self._exponent)
        vector: Float32Array = share * (weights @ self._history_vectors[rows])
        return vector


def fit_machine(training: Training, parameters: Parameters, seed: int) -> Machine:
    """See `engine.offline.factorization_machine`."""
    facts = training.facts
    model = fit_factorization_machine(
        shopper_matrix(training, parameters),
        item_fields(
            training.n_items,
            [facts.category_codes, facts.brand_codes],
            facts.prices,
            bands=whole(parameters, "price_bands"),
        ),
        factors=whole(parameters, "factors"),
        epochs=whole(parameters, "epochs"),
        learning_rate=number(parameters, "learning_rate"),
        regularisation=number(parameters, "regularisation"),
        negatives=whole(parameters, "negatives"),
        history_exponent=number(parameters, "history_exponent"),
        seed=seed,
    )
    return Machine(model, parameters)


METHODS = (
    Method(
        key="fm",
        title="Factorisation machine",
        family=Family.FACTORS,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_machine,
        defaults={
            "factors": 64,
            "epochs": 15,
            "learning_rate": 0.1,
            "regularisation": 0.001,
            "negatives": 8,
            "history_exponent": 0.5,
            "price_bands": 10,
            "count_exponent": 0.0,
            **EVENT_WEIGHTS,
        },
        grid={
            "learning_rate": (0.03, 0.1, 0.2),
            "history_exponent": (0.5, 0.8),
            "regularisation": (0.0, 0.001, 0.01),
            "factors": (16, 32, 64),
        },
        because="because of your interest in",
        otherwise="popular with shoppers like you",
    ),
)
