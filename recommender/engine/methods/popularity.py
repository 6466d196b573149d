"""What sells, whoever asks: the floor that every other method has to beat."""

from __future__ import annotations

import numpy as np

from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    answered,
    optional,
)
from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.online.popular import rank_all, top_scored
from recommender.engine.types import Candidates, Float32Array


class Popularity(Model):
    """The same answer for everybody."""

    def __init__(self, scores: Float32Array) -> None:
        self.scores = scores
        self._ranking = rank_all(scores)

    def recommend(self, query: Query, limit: int) -> Candidates:
        wanted = limit + len(query.removed)
        found = top_scored(self.scores, limit=wanted, ranking=self._ranking)
        return answered(found, query, limit)


def fit_popularity(training: Training, parameters: Parameters, _seed: int) -> Popularity:
    """Buyers per item, each fading with its age; without times, how many have the item.

    Parameters
    ----------
    parameters
        ``half_life_days``, None: nothing fades.
    """
    bought = training.purchases
    if bought is None:
        groups = group_matrix(training)
        counts = np.bincount(groups.indices, minlength=training.n_items)
        return Popularity(counts.astype(np.float32))
    return Popularity(
        decayed_counts(
            bought.item_rows,
            bought.times_s,
            now_s=training.now_s,
            half_life_days=optional(parameters, "half_life_days"),
            n_items=training.n_items,
            shopper_rows=bought.shopper_rows,
        )
    )


METHODS = (
    Method(
        key="bestsellers",
        title="Popularity, decayed",
        family=Family.POPULARITY,
        needs=frozenset({Need.PURCHASES, Need.BASKETS, Need.SESSIONS, Need.SHOPPERS}),
        fit=fit_popularity,
        defaults={"half_life_days": 30.0},
        grid={"half_life_days": (7.0, 15.0, 30.0, 90.0, None)},
        because="",
        otherwise="sells well",
        source="bestsellers",
        cheap=True,
    ),
)
