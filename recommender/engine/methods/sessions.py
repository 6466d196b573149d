"""What follows the clicks of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    Value,
    answered,
    number,
    optional,
    whole,
)
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.next_click import fit_next_click
from recommender.engine.offline.session_index import build_session_index, extend_session_index
from recommender.engine.offline.session_knn import session_knn
from recommender.engine.offline.transitions import (
    Transitions,
    add_transitions,
    count_transitions,
    follow,
    transition_model,
)
from recommender.engine.online.next_click import next_click
from recommender.engine.online.session_neighbours import session_neighbours
from recommender.engine.types import Candidates, NextClickModel, SessionIndex, Sessions

Vote = Callable[..., Candidates]


class SessionNeighbours(Model):
    """What shoppers of sessions like this one clicked."""

    def __init__(
        self, index: SessionIndex, vote: Vote, options: dict[str, Any], *, at_most: int
    ) -> None:
        self._index = index
        self._vote = vote
        self._options = options
        self._at_most = at_most

    def recommend(self, query: Query, limit: int) -> Candidates:
        wanted = limit + len(query.removed) if limit > 0 else 0
        found = self._vote(self._index, query.rows, limit=wanted, **self._options)
        return answered(found, query, limit)

    def extended(self, news: Training) -> SessionNeighbours:
        index = extend_session_index(
            self._index,
            _sessions_of(news),
            n_items=news.n_items,
            max_sessions_per_item=self._at_most,
        )
        return SessionNeighbours(index, self._vote, self._options, at_most=self._at_most)


def _sessions_of(training: Training) -> Sessions:
    if training.sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    return training.sessions


def _indexed(training: Training, *, at_most: int) -> SessionIndex:
    """An index of the latest sessions of every item."""
    sessions = _sessions_of(training)
    return build_session_index(
        sessions.offsets,
        sessions.item_rows,
        sessions.times_s,
        n_items=training.n_items,
        max_sessions_per_item=at_most,
    )


def fit_session_neighbours(
    training: Training, parameters: Parameters, _seed: int
) -> SessionNeighbours:
    """What a shop serves; see `engine.online.session_neighbours`."""
    at_most = whole(parameters, "max_sessions_per_item")
    return SessionNeighbours(
        _indexed(training, at_most=at_most),
        session_neighbours,
        {
            "k": whole(parameters, "k"),
            "sample_size": whole(parameters, "sample_size"),
            "position_decay": number(parameters, "position_decay"),
            "step_decay": number(parameters, "step_decay"),
            "idf_weight": number(parameters, "idf_weight"),
            "recency_half_life_days": optional(parameters, "recency_half_life_days"),
        },
        at_most=at_most,
    )


def fit_session_knn(training: Training, parameters: Parameters, _seed: int) -> SessionNeighbours:
    """SKNN, V-SKNN, STAN or V-STAN by its parameters; see `engine.offline.session_knn`."""
    sample_size = whole(parameters, "sample_size")
    return SessionNeighbours(
        _indexed(training, at_most=sample_size),
        session_knn,
        {
            "k": whole(parameters, "k"),
            "sample_size": sample_size,
            "position_decay": optional(parameters, "position_decay"),
            "match_decay": optional(parameters, "match_decay"),
            "step_decay": number(parameters, "step_decay"),
            "length_exponent": number(parameters, "length_exponent"),
            "idf_weight": number(parameters, "idf_weight"),
            "recency_half_life_days": optional(parameters, "recency_half_life_days"),
        },
        at_most=sample_size,
    )


class MarkovChain(Model):
    """What followed the newest click, and behind a gap the older ones."""

    def __init__(self, counts: Transitions, parameters: Parameters) -> None:
        self._counts = counts
        self._parameters = parameters
        self._model = transition_model(
            counts,
            back_off=number(parameters, "back_off"),
            decay=number(parameters, "position_decay"),
            window=whole(parameters, "window"),
        )

    def recommend(self, query: Query, limit: int) -> Candidates:
        wanted = limit + len(query.removed) if limit > 0 else 0
        return answered(follow(self._model, query.rows, limit=wanted), query, limit)

    def extended(self, news: Training) -> MarkovChain:
        more = count_transitions(_sessions_of(news), n_items=news.n_items)
        return MarkovChain(add_transitions(self._counts, more), self._parameters)


def fit_markov(training: Training, parameters: Parameters, _seed: int) -> MarkovChain:
    """Counts of transitions; see `engine.offline.transitions`."""
    counts = count_transitions(_sessions_of(training), n_items=training.n_items)
    return MarkovChain(counts, parameters)


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
    _, model = fit_next_click(
        _sessions_of(training), n_items=training.n_items, now_s=training.now_s, seed=seed
    )
    return NextClick(model)


_EVEN: dict[str, Value] = {
    "k": 500,
    "sample_size": 1000,
    "position_decay": 1.0,
    "match_decay": 1.0,
    "step_decay": 1.0,
    "length_exponent": 0.5,
    "idf_weight": 0.0,
    "recency_half_life_days": None,
}


def _session_knn_method(
    key: str, title: str, grid: dict[str, tuple[Value, ...]], **defaults: Value
) -> Method:
    return Method(
        key=key,
        title=title,
        family=Family.SESSIONS,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_session_knn,
        defaults={**_EVEN, **defaults},
        grid={"k": (100, 200, 500, 1000), **grid},
        because="others who looked at",
        otherwise="",
        incremental=True,
    )


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
        incremental=True,
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
    _session_knn_method("sknn", "SKNN", {"sample_size": (500, 1000, 2500)}),
    _session_knn_method(
        "vsknn",
        "V-SKNN",
        {"sample_size": (500, 1000, 2500), "idf_weight": (0.0, 0.1, 0.3)},
        sample_size=2500,
        position_decay=None,
        match_decay=None,
        idf_weight=0.1,
    ),
    _session_knn_method(
        "stan",
        "STAN",
        {
            "position_decay": (0.4, 0.6, 0.8),
            "step_decay": (0.4, 0.6, 0.8),
            "sample_size": (1000, 2500),
            "recency_half_life_days": (None, 30.0, 3.0),
        },
        position_decay=0.6,
        step_decay=0.6,
    ),
    _session_knn_method(
        "vstan",
        "V-STAN",
        {
            "position_decay": (0.4, 0.6, 0.8),
            "match_decay": (0.4, 0.7, 1.0),
            "length_exponent": (0.0, 0.25, 0.5),
            "step_decay": (0.4, 0.6, 0.8),
            "idf_weight": (0.0, 0.1, 0.3),
            "sample_size": (1000, 2500),
            "recency_half_life_days": (None, 30.0, 3.0),
        },
        position_decay=0.6,
        match_decay=0.7,
        step_decay=0.6,
        length_exponent=0.0,
        idf_weight=0.1,
    ),
    Method(
        key="markov",
        title="Markov chain",
        family=Family.SESSIONS,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_markov,
        defaults={"back_off": 200.0, "position_decay": 0.7, "window": 10},
        grid={
            "back_off": (1.0, 10.0, 50.0, 200.0),
            "position_decay": (0.3, 0.5, 0.7, 0.9),
            "window": (1, 5, 10),
        },
        because="often looked at after",
        otherwise="",
        incremental=True,
    ),
)
