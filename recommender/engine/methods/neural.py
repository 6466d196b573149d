"""Networks that read a history: learned by PyTorch (an extra), asked with NumPy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import (
    Family,
    Method,
    Need,
    Parameters,
    ScoringModel,
    Value,
    number,
    whole,
)
from recommender.engine.methods.histories import history, shopper_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.linear import EVENT_WEIGHTS
from recommender.engine.neural.attention import fit_attention
from recommender.engine.neural.forward import (
    AttentionModel,
    GruModel,
    TowerModel,
    attention_state,
    gru_state,
    tower_state,
)
from recommender.engine.neural.gru import fit_gru
from recommender.engine.neural.towers import fit_towers
from recommender.engine.neural.training import Schedule
from recommender.engine.online.fold_in import known_history
from recommender.engine.types import NO_ROW, Float32Array, Int32Array, Int64Array, Sessions


class _Items(Protocol):
    """What every network has."""

    @property
    def item_vectors(self) -> Float32Array: ...

    @property
    def item_biases(self) -> Float32Array: ...


class Network(ScoringModel):
    """A network that turns a history into a state, and scores items by their product with it.

    Parameters
    ----------
    network : GruModel, AttentionModel or TowerModel
    item_rows : int32[m]
        The items that were learned, ascending; line i of the network is ``item_rows[i]``.
    n_items : int
    history_vectors : float32[m, d]
        What an item of the history is compared with an answer by, for the reason.
    """

    def __init__(
        self, network: _Items, item_rows: Int32Array, n_items: int, history_vectors: Float32Array
    ) -> None:
        self._items = network
        self._item_rows = item_rows
        self._n_items = n_items
        self._history_vectors = history_vectors

    @abstractmethod
    def _state(self, query: Query) -> Float32Array | None:
        """The state of a history, None where none of it was learned."""

    def scores(self, query: Query) -> Float32Array | None:
        state = self._state(query)
        if state is None:
            return None
        found: Float32Array = self._items.item_vectors @ state + self._items.item_biases
        if len(self._item_rows) == self._n_items:
            return found
        scores = np.full(self._n_items, -np.inf, np.float32)
        scores[self._item_rows] = found
        return scores

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        """The item of the query that is most like the answer, as the network sees items.

        A network's score is no sum over the history, so nothing says exactly what each item did;
        likeness is what a shopper understands, and costs one small product.
        """
        places = self._places(query.rows)
        if not len(places) or not len(rows):
            return np.full(len(rows), NO_ROW, np.int32)
        answers = self._items.item_vectors[self._places(rows)]
        mine = self._history_vectors[places]
        lengths = np.maximum(np.sqrt((mine * mine).sum(axis=1)), np.float32(1e-12))
        likeness = answers @ (mine / lengths[:, None]).T
        # Nothing is shown because of itself, unless it is all there is.
        likeness[self._places(rows)[:, None] == places[None, :]] = -np.inf
        # Of equal ones the newest, which a history by time names last.
        best = len(places) - 1 - likeness[:, ::-1].argmax(axis=1)
        because: Int32Array = self._item_rows[places[best]].astype(np.int32)
        return because

    def _places(self, rows: npt.ArrayLike) -> Int64Array:
        """Lines of the network for the rows that it has learned, in their order."""
        wanted = np.asarray(rows, np.int32)
        places = np.minimum(np.searchsorted(self._item_rows, wanted), len(self._item_rows) - 1)
        known: Int64Array = places[self._item_rows[places] == wanted].astype(np.int64)
        return known


class GruSession(Network):
    """A recurrent network that reads the session click by click."""

    def __init__(self, model: GruModel, item_rows: Int32Array, n_items: int) -> None:
        super().__init__(model, item_rows, n_items, model.item_vectors)
        self._model = model

    def _state(self, query: Query) -> Float32Array | None:
        places = self._places(query.rows)
        return gru_state(self._model, places) if len(places) else None


class AttentionSession(Network):
    """A transformer that looks from the newest click back at all others."""

    def __init__(self, model: AttentionModel, item_rows: Int32Array, n_items: int) -> None:
        super().__init__(model, item_rows, n_items, model.item_vectors)
        self._model = model

    def _state(self, query: Query) -> Float32Array | None:
        places = self._places(query.rows)
        return attention_state(self._model, places) if len(places) else None


class TwoTowers(Network):
    """A shopper's tower over a history in no order, and a vector for every item."""

    def __init__(
        self, model: TowerModel, item_rows: Int32Array, n_items: int, parameters: Parameters
    ) -> None:
        super().__init__(model, item_rows, n_items, model.history_vectors)
        self._model = model
        self._parameters = parameters

    def _state(self, query: Query) -> Float32Array | None:
        rows, weights = history(query, self._parameters)
        places, values = known_history(self._item_rows, rows, weights, max_history=None)
        return tower_state(self._model, places, values) if len(places) else None


def fit_gru_session(training: Training, parameters: Parameters, seed: int) -> GruSession:
    """GRU4Rec; see `engine.neural.gru`."""
    sessions = _sessions(training)
    item_rows, places = _learned(sessions)
    model = fit_gru(
        sessions.offsets,
        places,
        n_places=len(item_rows),
        factors=whole(parameters, "factors"),
        max_length=whole(parameters, "max_length"),
        schedule=_schedule(parameters, seed),
    )
    return GruSession(model, item_rows, training.n_items)


def fit_attention_session(
    training: Training, parameters: Parameters, seed: int
) -> AttentionSession:
    """SASRec; see `engine.neural.attention`."""
    sessions = _sessions(training)
    item_rows, places = _learned(sessions)
    model = fit_attention(
        sessions.offsets,
        places,
        n_places=len(item_rows),
        factors=whole(parameters, "factors"),
        blocks=whole(parameters, "blocks"),
        heads=whole(parameters, "heads"),
        max_length=whole(parameters, "max_length"),
        schedule=_schedule(parameters, seed),
    )
    return AttentionSession(model, item_rows, training.n_items)


def fit_two_towers(training: Training, parameters: Parameters, seed: int) -> TwoTowers:
    """Neural collaborative filtering by two towers; see `engine.neural.towers`."""
    matrix = shopper_matrix(training, parameters)
    item_rows = np.unique(matrix.indices[matrix.data > 0]).astype(np.int32)
    model = fit_towers(
        matrix[:, item_rows].tocsr(),
        factors=whole(parameters, "factors"),
        schedule=_schedule(parameters, seed),
    )
    return TwoTowers(model, item_rows, training.n_items, parameters)


def _sessions(training: Training) -> Sessions:
    if training.sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    return training.sessions


def _learned(sessions: Sessions) -> tuple[Int32Array, Int64Array]:
    """The items that occur, ascending, and every click as a position among them."""
    item_rows, places = np.unique(sessions.item_rows, return_inverse=True)
    return item_rows.astype(np.int32), places.astype(np.int64)


def _schedule(parameters: Parameters, seed: int) -> Schedule:
    return Schedule(
        epochs=whole(parameters, "epochs"),
        batch_size=whole(parameters, "batch_size"),
        learning_rate=number(parameters, "learning_rate"),
        dropout=number(parameters, "dropout"),
        negatives=whole(parameters, "negatives"),
        negative_exponent=number(parameters, "negative_exponent"),
        max_steps=whole(parameters, "max_steps"),
        seed=seed,
    )


NO_SEARCH: dict[str, Sequence[Value]] = {}
"""A fit is so dear that a search would take the time of the one that counts. On the validation cut
of a large log half the rate and twice the dropout changed SASRec's HR@20 by 1.2 points at most.
"""

METHODS = (
    Method(
        key="gru",
        title="GRU4Rec",
        family=Family.NEURAL,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_gru_session,
        defaults={
            "factors": 100,
            "max_length": 20,
            "epochs": 4,
            "max_steps": 4000,
            "batch_size": 256,
            "learning_rate": 0.004,
            "dropout": 0.25,
            "negatives": 1024,
            "negative_exponent": 0.75,
        },
        grid=NO_SEARCH,
        because="often looked at after",
        otherwise="",
        extra="neural",
    ),
    Method(
        key="sasrec",
        title="SASRec",
        family=Family.NEURAL,
        needs=frozenset({Need.SESSIONS}),
        fit=fit_attention_session,
        defaults={
            "factors": 100,
            "blocks": 1,
            "heads": 1,
            "max_length": 20,
            "epochs": 4,
            "max_steps": 4000,
            "batch_size": 256,
            "learning_rate": 0.004,
            "dropout": 0.25,
            "negatives": 1024,
            "negative_exponent": 0.75,
        },
        grid=NO_SEARCH,
        because="often looked at after",
        otherwise="",
        extra="neural",
    ),
    Method(
        key="ncf",
        title="Two towers (neural CF)",
        family=Family.NEURAL,
        needs=frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS}),
        fit=fit_two_towers,
        defaults={
            "factors": 128,
            "epochs": 16,
            "max_steps": 800,
            "batch_size": 256,
            "learning_rate": 0.001,
            "dropout": 0.7,
            "negatives": 2048,
            "negative_exponent": 0.75,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={"learning_rate": (0.0005, 0.001, 0.002), "dropout": (0.5, 0.7, 0.8)},
        because="because of your interest in",
        otherwise="",
        extra="neural",
    ),
)
