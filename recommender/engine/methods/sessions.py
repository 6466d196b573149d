"""What follows the clicks of a session."""

from __future__ import annotations

from typing import Any

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    answered,
    number,
    optional,
    whole,
)
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.next_click import fit_next_click
from recommender.engine.offline.session_index import build_session_index
from recommender.engine.online.next_click import next_click
from recommender.engine.online.session_neighbours import session_neighbours
from recommender.engine.types import Candidates, NextClickModel, SessionIndex


class SessionNeighbours(Model):
    """What shoppers of sessions like this one clicked (V-SKNN, VMIS-kNN, V-STAN by parameters)."""

    def __init__(self, index: SessionIndex, options: dict[str, Any]) -> None:
        self._index = index
        self._options = options

    def recommend(self, query: Query, limit: int) -> Candidates:
        found = session_neighbours(
            self._index, query.rows, limit=limit + len(query.removed), **self._options
        )
        return answered(found, query, limit)


def fit_session_neighbours(
    training: Training, parameters: Parameters, _seed: int
) -> SessionNeighbours:
    """An index of the latest sessions of every item."""
    sessions = training.sessions
    if sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    index = build_session_index(
        sessions.offsets,
        sessions.item_rows,
        sessions.times_s,
        n_items=training.n_items,
        max_sessions_per_item=whole(parameters, "max_sessions_per_item"),
    )
    return SessionNeighbours(
        index,
        {
            "k": whole(parameters, "k"),
            "sample_size": whole(parameters, "sample_size"),
            "position_decay": number(parameters, "position_decay"),
            "step_decay": number(parameters, "step_decay"),
            "idf_weight": number(parameters, "idf_weight"),
            "recency_half_life_days": optional(parameters, "recency_half_life_days"),
        },
    )


class NextClick(Model):
    """A linear model over co-visitation tables."""

    def __init__(self, model: NextClickModel) -> None:
        self._model = model

    def recommend(self, query: Query, limit: int) -> Candidates:
        found = next_click(
            self._model,
            query.rows,
            limit=limit + len(query.removed),
            exclude_session=not query.repeats_allowed,
        )
        return answered(found, query, limit)


def fit_linear_next_click(training: Training, _parameters: Parameters, seed: int) -> NextClick:
    """There is nothing to tune: the weights are learned, for each of the two tables its own."""
    if training.sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    _, model = fit_next_click(
        training.sessions, n_items=training.n_items, now_s=training.now_s, seed=seed
    )
    return NextClick(model)


METHODS = (
    Method(
        key="session_neighbours",
        title="Session kNN",
        family=Family.SESSIONS,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_session_neighbours,
        defaults={
            "k": 500,
            "sample_size": 1000,
            "max_sessions_per_item": 500,
            "position_decay": 0.8,
            "step_decay": 0.7,
            "idf_weight": 0.0,
            "recency_half_life_days": None,
        },
        grid={
            "position_decay": (0.5, 0.65, 0.8, 0.9),
            "step_decay": (0.4, 0.55, 0.7, 0.85, 1.0),
            "k": (100, 200, 500, 1000),
            "max_sessions_per_item": (500, 1500),
            "sample_size": (1000, 3000),
            "idf_weight": (0.0, 0.1, 0.3),
            "recency_half_life_days": (None, 30.0, 3.0),
        },
        because="others who looked at",
        otherwise="",
        source="session_neighbours",
        cheap=True,
    ),
    Method(
        key="next_click",
        title="Linear next click",
        family=Family.SESSIONS,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_linear_next_click,
        defaults={},
        grid={},
        because="often looked at after",
        otherwise="",
        source="next_click",
        cheap=True,
    ),
)
