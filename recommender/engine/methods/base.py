"""The one interface of all methods: fit on facts, then answer a shopper, a session, an item.

A method is a `Method`: its name, what it needs, its parameters, and a `fit` that returns a `Model`.
`tests/unit/engine/methods/test_behaviour.py` holds every one of them to the same worlds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.selection import best_positions
from recommender.engine.types import NO_ROW, Candidates, Float32Array, Int32Array

Value: TypeAlias = float | int | bool | str | None
Parameters: TypeAlias = Mapping[str, Value]

NOTHING_KNOWN = "nothing in the query is known to the model"


class Model(ABC):
    """What a method has learned. Nothing that it is asked changes it."""

    @abstractmethod
    def recommend(self, query: Query, limit: int) -> Candidates:
        """The best items for what is known, best first.

        Parameters
        ----------
        query : Query
            None of its `removed` is an answer.
        limit : int

        Returns
        -------
        Candidates
            Ties by ascending row; with no more than there are good reasons for. Empty where
            nothing is known: `unknown` says what.
        """

    def similar(self, item_row: int, limit: int) -> Candidates:
        """The best partners of one item, which is none of them."""
        row = np.array([item_row], np.int32)
        return self.recommend(Query(row, removed=row), limit)

    def unknown(self, query: Query) -> str | None:
        """Why a query has no answer, as a clause; None if it has one."""
        return None if len(self.recommend(query, 1)) else NOTHING_KNOWN

    def extended(self, news: Training) -> Model:
        """The same with more facts, as a fit over all of them would be.

        Raises
        ------
        InvalidInputError
            If the method must be fitted anew; `Method.incremental` tells before.
        """
        raise InvalidInputError(f"{type(self).__name__} must be fitted anew")


class ScoringModel(Model):
    """A model that has a score for every item of the catalog."""

    @abstractmethod
    def scores(self, query: Query) -> Float32Array | None:
        """float32[n_items], larger is better, -inf: no answer; None where nothing is known."""

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        """The item of the query that speaks most for each answer, ``-1`` if there is none."""
        return np.full(len(rows), NO_ROW, np.int32)

    def recommend(self, query: Query, limit: int) -> Candidates:
        scores = self.scores(query)
        if scores is None or limit <= 0:
            return Candidates.empty()
        removed = query.removed[query.removed >= 0]
        if len(removed):
            scores = scores.copy()
            scores[removed] = -np.inf
        rows = best_positions(scores, limit).astype(np.int32)
        rows = rows[np.isfinite(scores[rows])]
        return Candidates(rows, scores[rows].astype(np.float32), self.because(query, rows))


class RatingModel(ScoringModel):
    """A model that says how good a shopper will find an item, on the scale of the ratings."""

    @abstractmethod
    def predicted(self, query: Query, item_rows: Int32Array) -> Float32Array:
        """float32[n]; of an unknown shopper or item what is known of the other."""


class Family(StrEnum):
    """How a method thinks."""

    POPULARITY = "popularity"
    NEIGHBOURS = "neighbours"
    LINEAR = "linear"
    FACTORS = "factors"
    SESSIONS = "sessions"
    CONTENT = "content"
    PROPENSITY = "propensity"
    GRAPH = "graph"
    NEURAL = "neural"
    FUSION = "fusion"


class Need(StrEnum):
    """What a method must be given; with several any one of them is enough."""

    SHOPPERS = "shoppers"
    BASKETS = "baskets"
    SESSIONS = "sessions"
    PURCHASES = "purchases"
    RATINGS = "ratings"
    TEXTS = "texts"
    VECTORS = "vectors"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the shelf.

    Attributes
    ----------
    key
        As commands, strategies and documents name it.
    title
        As a table names it.
    needs
        Any one of these is enough.
    defaults, grid
        Every parameter with its default, and the values worth trying: few, ordered, far apart.
    because, otherwise
        Why a product is shown, before the product that it started from ("often bought with"), and
        where there is none.
    source
        The source of a strategy that serves it; None where a shop serves its neighbour lists.
    cheap
        Whether it is among the ten of a quick comparison.
    incremental
        Whether `Model.extended` works.
    extra
        The optional extra that must be installed.
    """

    key: str
    title: str
    family: Family
    needs: frozenset[Need]
    fit: Callable[[Training, Parameters, int], Model]
    defaults: Parameters
    grid: Mapping[str, Sequence[Value]]
    because: str
    otherwise: str
    source: str | None = None
    cheap: bool = False
    incremental: bool = False
    extra: str | None = None

    def parameters(self, given: Parameters) -> dict[str, Value]:
        """The defaults with what is given.

        Raises
        ------
        InvalidInputError
            For a parameter that the method doesn't have.
        """
        for name in given:
            if name not in self.defaults:
                has = ", ".join(sorted(self.defaults)) or "none"
                raise InvalidInputError(f"{self.key} has no parameter {name!r}; it has {has}")
        return {**self.defaults, **given}


def answered(found: Candidates, query: Query, limit: int) -> Candidates:
    """The first of what a kernel of `engine.online` found, without what may not be an answer."""
    if len(query.removed):
        kept = ~np.isin(found.rows, query.removed)
        found = Candidates(found.rows[kept], found.scores[kept], found.because[kept])
    if len(found) <= limit:
        return found
    return Candidates(found.rows[:limit], found.scores[:limit], found.because[:limit])


def given_by(training: Training) -> frozenset[Need]:
    """What there is to learn from."""
    facts = training.facts
    found = {
        Need.SHOPPERS: bool(training.shoppers),
        Need.BASKETS: training.baskets is not None,
        Need.SESSIONS: training.sessions is not None,
        Need.PURCHASES: training.purchases is not None,
        Need.RATINGS: training.ratings is not None,
        Need.TEXTS: any(facts.texts or facts.titles or ()),
        Need.VECTORS: facts.vectors is not None,
    }
    return frozenset(need for need, there in found.items() if there)


def number(parameters: Parameters, name: str) -> float:
    """A parameter that is a number.

    Raises
    ------
    InvalidInputError
        If it is something else.
    """
    value = parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{name} must be a number, not {value!r}")
    return float(value)


def optional(parameters: Parameters, name: str) -> float | None:
    """A number, or None."""
    return None if parameters[name] is None else number(parameters, name)


def whole(parameters: Parameters, name: str) -> int:
    """A number, without what is behind its point."""
    return int(number(parameters, name))
