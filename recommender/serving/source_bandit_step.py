"""Whom the places given to chance go to, where a strategy lets that be learned.

The situation of each answer is logged with it, because that is what the next table is learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.engine.online.blending import Blended
from recommender.engine.online.source_bandit import (
    arm_chances,
    candidate_weights,
    hours_level,
    situation_levels,
    situation_number,
    visit_level,
)
from recommender.engine.types import Float64Array, Int64Array
from recommender.serving.context import Context

_DEVICES = {None: "unknown", True: "mobile", False: "desktop"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """How an answer's places given to chance are drawn.

    Attributes
    ----------
    weights : float64[k + n]
        As `explore` takes them: what stands in the answer by rank has none.
    chances
        By source, of those that have something in the pool.
    is_learned
        Whether a table says so; without one the scores do, and `chances` is empty.
    """

    weights: Float64Array
    situation: int
    chances: Mapping[str, float]
    is_learned: bool

    def facts(self) -> dict[str, Any]:
        """For the trace."""
        return {
            "by": "sources" if self.is_learned else "score",
            "situation": situation_levels(self.situation),
            "chances": {name: round(chance, 4) for name, chance in self.chances.items()},
        }


def drawing_of(
    context: Context, blended: Blended, positions: Int64Array, *, n_wanted: int
) -> Drawing:
    """Share the chance of each source out among its candidates in the pool.

    A candidate belongs to the source that added most to it, the one that the log names.

    Parameters
    ----------
    positions
        As for `explore`: the answer, and then the pool.
    """
    situation = situation_of_request(context)
    scores = blended.scores[positions].astype(np.float64)
    bandits = context.models.source_bandit
    table = None if bandits is None else bandits.by_placement.get(context.placement_id)
    pool = positions[n_wanted:]
    if table is None or not len(pool):
        return Drawing(scores, situation, {}, is_learned=False)
    names = [blended.parts[part][0] for part in blended.leading(pool)[0]]
    arms = list(dict.fromkeys(names))
    place_of = {name: place for place, name in enumerate(arms)}
    chances = arm_chances(table, situation, arms)
    weights = np.zeros(len(positions))
    weights[n_wanted:] = candidate_weights(
        np.array([place_of[name] for name in names], np.int64), scores[n_wanted:], chances
    )
    by_source = dict(zip(arms, chances.tolist(), strict=True))
    return Drawing(weights, situation, by_source, is_learned=True)


def situation_of_request(context: Context) -> int:
    """The number of the situation that a shopper is in: some 3 µs."""
    request = context.request
    view = "nothing"
    if context.page_rows:
        view = "product"
    elif request.category:
        view = "category"
    elif request.query is not None:
        view = "search"
    elif request.cart:
        view = "cart"
    return situation_number(
        {
            "view": view,
            "device": _DEVICES[context.is_mobile],
            "shopper": "new" if context.history is None else "known",
            "visit": visit_level(len(context.session_rows())),
            "hours": hours_level(context.local_time.hour),
        }
    )
