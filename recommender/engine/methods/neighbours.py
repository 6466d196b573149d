"""Items that are found together, and shoppers who are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    ScoringModel,
    answered,
    number,
    optional,
    whole,
)
from recommender.engine.methods.histories import group_matrix, history, shopper_matrix
from recommender.engine.methods.inputs import Matrix, Query, Training
from recommender.engine.offline.item_correlation import Measure, fit_item_correlation
from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.offline.shopper_neighbours import fit_shopper_index
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.online.shopper_neighbours import similar_shoppers
from recommender.engine.selection import ragged_positions
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    Float32Array,
    Int32Array,
    Int64Array,
    Neighbours,
    ShopperIndex,
)

SESSION_DECAY = 0.7
"""What an older click of a session counts against the one after it, unless said otherwise."""


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


class ItemWeights(ScoringModel):
    """What every item of a history says for others, a sparse matrix of weights.

    ``score(j) = sum over the history's items i of decay ** age(i) * weight(i) * W[i, j]``; items
    with a score above 0 are answers. Costs the lines of the history's items, and a pass over the
    catalog.
    """

    def __init__(
        self, weights: Matrix, parameters: Parameters, *, position_decay: float = 1.0
    ) -> None:
        self.weights = weights
        self._parameters = parameters
        self._decay = position_decay

    def scores(self, query: Query) -> Float32Array | None:
        rows, values = self._known(query)
        places, lengths = self._lines(rows)
        if not len(places):
            return None
        spoken = self.weights.data[places] * np.repeat(values, lengths)
        sums = np.bincount(
            self.weights.indices[places], spoken, minlength=int(self.weights.shape[1])
        ).astype(np.float32)
        sums[sums <= 0] = -np.inf
        return sums

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        seeds, values = self._known(query)
        places, lengths = self._lines(seeds)
        wanted = np.full(int(self.weights.shape[1]), NO_ROW, np.int64)
        wanted[rows] = np.arange(len(rows))
        answer = wanted[self.weights.indices[places]]
        kept = answer >= 0
        spoken = (self.weights.data[places] * np.repeat(values, lengths))[kept]
        # Ascending by what is said: the last one written is the largest.
        order = np.argsort(spoken, kind="stable")
        out = np.full(len(rows), NO_ROW, np.int32)
        out[answer[kept][order]] = np.repeat(seeds, lengths)[kept][order]
        return out

    def _known(self, query: Query) -> tuple[Int32Array, Float32Array]:
        rows, values = history(query, self._parameters)
        if self._decay < 1:
            values = values * np.power(self._decay, np.arange(len(rows))[::-1], dtype=np.float32)
        kept = (rows >= 0) & (rows < self.weights.shape[0])
        return rows[kept], values[kept]

    def _lines(self, rows: Int32Array) -> tuple[Int64Array, Int64Array]:
        starts = self.weights.indptr[rows].astype(np.int64)
        lengths = self.weights.indptr[rows + 1].astype(np.int64) - starts
        return ragged_positions(starts, lengths), lengths


def fit_item_neighbours(training: Training, parameters: Parameters, _seed: int) -> NeighbourLists:
    """Damped cosine of who has two items; see `engine.offline.item_similarity`."""
    neighbours = fit_item_similarity(
        group_matrix(training),
        k=whole(parameters, "k"),
        damping=number(parameters, "damping"),
        shrinkage=number(parameters, "shrinkage"),
    )
    in_order = training.baskets is None and training.sessions is not None
    return NeighbourLists(neighbours, position_decay=decay_of(parameters, in_order=in_order))


def by_target(neighbours: Neighbours) -> Matrix:
    """What an item says for those that count it among their own k nearest.

    A list per *target* keeps a bestseller, which is near to everything, from being an answer to
    everything: only k items may speak for it.

    Examples
    --------
    >>> lists = Neighbours(np.array([[1], [0], [0]], np.int32), np.ones((3, 1), np.float32))
    >>> by_target(lists).toarray().tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    kept = neighbours.indices >= 0
    targets = np.repeat(np.arange(neighbours.n_items), kept.sum(axis=1))
    return csr_matrix(
        (neighbours.scores[kept], (neighbours.indices[kept], targets)),
        shape=(neighbours.n_items, neighbours.n_items),
    )


def decay_of(parameters: Parameters, *, in_order: bool) -> float:
    """The decay that is asked for, else `SESSION_DECAY` if sessions are learned from, else none."""
    given = optional(parameters, "position_decay")
    if given is not None:
        return given
    return SESSION_DECAY if in_order else 1.0


def _item_knn(measure: Measure) -> Callable[[Training, Parameters, int], ItemWeights]:
    """The fit of one measure; see `engine.offline.item_correlation`."""

    def fit(training: Training, parameters: Parameters, _seed: int) -> ItemWeights:
        neighbours = fit_item_correlation(
            group_matrix(training, parameters),
            measure=measure,
            k=whole(parameters, "k"),
            shrinkage=number(parameters, "shrinkage"),
        )
        in_order = training.baskets is None and training.sessions is not None
        decay = decay_of(parameters, in_order=in_order)
        return ItemWeights(by_target(neighbours), parameters, position_decay=decay)

    return fit


class SimilarShoppers(Model):
    """What shoppers with a history like this one have; a stranger's history is as good."""

    def __init__(
        self, index: ShopperIndex, measure: Measure, parameters: Parameters, *, own_lines: bool
    ) -> None:
        self._index = index
        self._measure = measure
        self._parameters = parameters
        self._own_lines = own_lines

    def recommend(self, query: Query, limit: int) -> Candidates:
        rows, weights = history(query, self._parameters)
        found = similar_shoppers(
            self._index,
            rows,
            weights,
            measure=self._measure,
            k=whole(self._parameters, "k"),
            shrinkage=number(self._parameters, "shrinkage"),
            amplification=number(self._parameters, "amplification"),
            popularity_damping=number(self._parameters, "popularity_damping"),
            excluded_shopper=query.shopper_row if self._own_lines else NO_ROW,
            max_history=None,
            limit=limit + len(query.removed),
        )
        return answered(found, query, limit)


def _user_knn(measure: Measure) -> Callable[[Training, Parameters, int], SimilarShoppers]:
    """The fit of one measure; see `engine.online.shopper_neighbours`."""

    def fit(training: Training, parameters: Parameters, _seed: int) -> SimilarShoppers:
        index = fit_shopper_index(shopper_matrix(training, parameters))
        return SimilarShoppers(index, measure, parameters, own_lines=bool(training.shoppers))

    return fit


_GROUPS = frozenset({Need.BASKETS, Need.SESSIONS, Need.SHOPPERS})


def _item_knn_method(measure: Measure, name: str) -> Method:
    return Method(
        key=f"item_knn_{measure}",
        title=f"Item kNN, {name}",
        family=Family.NEIGHBOURS,
        needs=_GROUPS,
        fit=_item_knn(measure),
        defaults={
            "k": 50,
            "shrinkage": 0.0,
            "position_decay": None,
            "weight_purchase": 1.0,
            "weight_add_to_cart": 1.0,
            "weight_view_item": 1.0,
        },
        grid={
            "k": (10, 20, 50, 200, 1000),
            "shrinkage": (0.0, 5.0, 20.0),
            "position_decay": (None, 0.5, 0.9),
            "weight_view_item": (0.1, 0.3, 1.0),
            "weight_add_to_cart": (0.5, 1.0),
        },
        because="often found with",
        otherwise="",
    )


def _user_knn_method(key: str, measure: Measure, name: str, source: str | None = None) -> Method:
    return Method(
        key=key,
        title=f"User kNN, {name}",
        family=Family.NEIGHBOURS,
        needs=_GROUPS,
        fit=_user_knn(measure),
        defaults={
            "k": 100,
            "shrinkage": 0.0,
            "amplification": 1.0,
            "popularity_damping": 0.25,
            "count_exponent": 0.5,
            "weight_purchase": 1.0,
            "weight_add_to_cart": 1.0,
            "weight_view_item": 1.0,
        },
        grid={
            "k": (30, 100, 300),
            "popularity_damping": (0.0, 0.25, 0.5),
            "amplification": (1.0, 2.0),
            "shrinkage": (0.0, 5.0),
        },
        because="chosen by people who also chose",
        otherwise="liked by shoppers like you",
        source=source,
    )


METHODS = (
    Method(
        key="also_viewed",
        title="Item kNN, cosine, published lists",
        family=Family.NEIGHBOURS,
        needs=_GROUPS,
        fit=fit_item_neighbours,
        defaults={"k": 100, "damping": 0.5, "shrinkage": 5.0, "position_decay": None},
        grid={
            "position_decay": (None, 0.3, 0.5, 0.9),
            "damping": (0.2, 0.35, 0.5, 0.65),
            "shrinkage": (0.0, 5.0, 20.0),
        },
        because="often looked at with",
        otherwise="",
        source="also_viewed",
        cheap=True,
    ),
    _item_knn_method(Measure.COSINE, "cosine"),
    _item_knn_method(Measure.PEARSON, "Pearson"),
    _item_knn_method(Measure.JACCARD, "Jaccard"),
    _user_knn_method("user_knn", Measure.COSINE, "cosine", source="similar_shoppers"),
    _user_knn_method("user_knn_pearson", Measure.PEARSON, "Pearson"),
    _user_knn_method("user_knn_jaccard", Measure.JACCARD, "Jaccard"),
)
