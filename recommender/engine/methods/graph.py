"""Liking that spreads over the graph of shoppers and items."""

from __future__ import annotations

import numpy as np

from recommender.engine.methods.base import (
    Family,
    Method,
    Need,
    Parameters,
    ScoringModel,
    number,
    whole,
)
from recommender.engine.methods.histories import history, shopper_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.linear import EVENT_WEIGHTS
from recommender.engine.methods.neighbours import decay_of
from recommender.engine.offline.graph_filter import GraphFilter, fit_graph_filter, spread
from recommender.engine.types import Float32Array


class LightGraphConvolution(ScoringModel):
    """Two steps along the edges, and the smoothest signals of the whole graph."""

    def __init__(
        self, graph: GraphFilter, parameters: Parameters, *, position_decay: float
    ) -> None:
        self._graph = graph
        self._parameters = parameters
        self._decay = position_decay

    def scores(self, query: Query) -> Float32Array | None:
        rows, weights = history(query, self._parameters)
        ages = np.arange(len(rows))[::-1]
        found = spread(self._graph, rows, weights * np.power(self._decay, ages))
        found[(found <= 0) | (self._graph.degrees == 0)] = -np.inf
        return found if np.isfinite(found).any() else None


def fit_light_gcn(training: Training, parameters: Parameters, seed: int) -> LightGraphConvolution:
    """The filter of the normalised graph; see `engine.offline.graph_filter`."""
    graph = fit_graph_filter(
        shopper_matrix(training, parameters),
        factors=whole(parameters, "factors"),
        low_pass=number(parameters, "low_pass"),
        seed=seed,
    )
    in_order = not training.shoppers and training.baskets is None
    decay = decay_of(parameters, in_order=in_order)
    return LightGraphConvolution(graph, parameters, position_decay=decay)


METHODS = (
    Method(
        key="light_gcn",
        title="Light graph convolution",
        family=Family.GRAPH,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_light_gcn,
        defaults={
            "factors": 128,
            "low_pass": 0.3,
            "position_decay": None,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "low_pass": (0.0, 0.1, 0.3, 1.0, 3.0),
            "factors": (32, 64, 128, 256),
            "position_decay": (None, 0.5, 0.9),
        },
        because="",
        otherwise="liked by shoppers of what you like",
    ),
)
