"""Items that are found together, and shoppers who are alike."""

from __future__ import annotations

import numpy as np

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
from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.types import Candidates, Neighbours


class NeighbourLists(Model):
    """The k best partners of every item, added up over the items of a query, newest first."""

    def __init__(self, neighbours: Neighbours, *, position_decay: float = 1.0) -> None:
        self.neighbours = neighbours
        self._decay = position_decay

    def recommend(self, query: Query, limit: int) -> Candidates:
        weights = np.power(self._decay, np.arange(len(query.rows)), dtype=np.float32)[::-1]
        found = expand_neighbours(
            self.neighbours,
            query.rows,
            weights,
            limit=limit + len(query.removed),
            exclude_seeds=not query.repeats_allowed,
        )
        return answered(found, query, limit)


def fit_item_neighbours(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Damped cosine of who has two items; see `engine.offline.item_similarity`."""
    neighbours = fit_item_similarity(
        group_matrix(training),
        k=whole(parameters, "k"),
        damping=number(parameters, "damping"),
        shrinkage=number(parameters, "shrinkage"),
    )
    return NeighbourLists(neighbours, position_decay=number(parameters, "position_decay"))


METHODS = (
    Method(
        key="also_viewed",
        title="Item kNN, cosine",
        family=Family.NEIGHBOURS,
        needs=frozenset({Need.BASKETS, Need.SESSIONS, Need.SHOPPERS}),
        fit=fit_item_neighbours,
        defaults={"k": 100, "damping": 0.5, "shrinkage": 5.0, "position_decay": 0.7},
        grid={
            "position_decay": (0.3, 0.5, 0.7, 0.9, 1.0),
            "damping": (0.2, 0.35, 0.5, 0.65),
            "shrinkage": (0.0, 5.0, 20.0),
        },
        because="often looked at with",
        otherwise="",
        source="also_viewed",
        cheap=True,
    ),
)
