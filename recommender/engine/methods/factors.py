"""Shoppers and items as short vectors whose product is the liking."""

from __future__ import annotations

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    RatingModel,
    answered,
    number,
    whole,
)
from recommender.engine.methods.histories import history, shopper_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.linear import EVENT_WEIGHTS
from recommender.engine.methods.vectors import BoolArray, VectorModel, seen_items
from recommender.engine.offline.biased_svd import BiasedSvd, fit_biased_svd
from recommender.engine.offline.bpr import BprModel, fit_bpr
from recommender.engine.offline.factorization import fit_als
from recommender.engine.offline.truncated_svd import SvdModel, fit_truncated_svd
from recommender.engine.online.fold_in import als_fold_in
from recommender.engine.types import NO_ROW, Candidates, FactorModel, Float32Array, Int32Array


class ImplicitAls(Model):
    """Factors of implicit feedback; a shopper's vector is solved for when they ask."""

    def __init__(self, model: FactorModel, parameters: Parameters) -> None:
        self._model = model
        self._parameters = parameters

    def recommend(self, query: Query, limit: int) -> Candidates:
        rows, weights = history(query, self._parameters)
        found = als_fold_in(
            self._model,
            rows,
            weights,
            limit=limit + len(query.removed),
            # Lines of a matrix have no order by which a part of a history could be chosen.
            max_history=None,
            exclude_history=not query.repeats_allowed,
        )
        return answered(found, query, limit)


def fit_implicit_als(training: Training, parameters: Parameters, seed: int) -> ImplicitAls:
    """ALS by `implicit`; see `engine.offline.factorization`."""
    model = fit_als(
        shopper_matrix(training, parameters),
        factors=whole(parameters, "factors"),
        regularisation=number(parameters, "regularisation"),
        iterations=whole(parameters, "iterations"),
        alpha=number(parameters, "alpha"),
        seed=seed,
    )
    return ImplicitAls(model, parameters)


class TruncatedSvd(VectorModel):
    """A history projected on the leading singular vectors."""

    def __init__(self, model: SvdModel, parameters: Parameters) -> None:
        self._model = model
        seen = model.item_scales > 0
        back = np.where(seen, 1 / np.where(seen, model.item_scales, 1), 0).astype(np.float32)
        super().__init__(
            model.item_vectors * model.item_scales[:, None],
            model.item_vectors * back[:, None],
            None,
            speaking=seen,
            answering=seen,
            parameters=parameters,
        )

    def shopper(self, rows: Int32Array, weights: Float32Array) -> Float32Array:
        return self._model.fold_in(rows, weights)


def fit_svd(training: Training, parameters: Parameters, seed: int) -> TruncatedSvd:
    """See `engine.offline.truncated_svd`; of a small catalog at most an eighth as many factors.

    As many as items would keep every history as it is, and say nothing about any other item.
    """
    matrix = shopper_matrix(training, parameters)
    model = fit_truncated_svd(
        matrix,
        factors=min(whole(parameters, "factors"), max(int(seen_items(matrix).sum()) // 8, 1)),
        item_exponent=number(parameters, "item_exponent"),
        shopper_exponent=number(parameters, "shopper_exponent"),
        seed=seed,
    )
    return TruncatedSvd(model, parameters)


class Bpr(VectorModel):
    """Vectors of a pairwise ranking; a shopper's is solved for when they ask."""

    def __init__(self, model: BprModel, seen: BoolArray, parameters: Parameters) -> None:
        self._model = model
        super().__init__(
            model.item_vectors - model.centre,
            model.item_vectors,
            model.item_biases,
            speaking=seen,
            answering=seen,
            parameters=parameters,
        )

    def shopper(self, rows: Int32Array, _weights: Float32Array) -> Float32Array:
        return self._model.fold_in(rows)


def fit_pairwise_ranking(training: Training, parameters: Parameters, seed: int) -> Bpr:
    """See `engine.offline.bpr`."""
    matrix = shopper_matrix(training, parameters)
    model = fit_bpr(
        matrix,
        factors=whole(parameters, "factors"),
        epochs=whole(parameters, "epochs"),
        learning_rate=number(parameters, "learning_rate"),
        regularisation=number(parameters, "regularisation"),
        seed=seed,
    )
    return Bpr(model, seen_items(matrix), parameters)


class RatedFactors(RatingModel):
    """Biases and vectors learned from ratings; a shopper's are solved for when they ask.

    What a history holds without a rating counts as liked: one spread above the mean.
    """

    def __init__(self, model: BiasedSvd, rated: BoolArray) -> None:
        self._model = model
        self._rated = rated

    def scores(self, query: Query) -> Float32Array | None:
        rows, given = self._known(query)
        if not len(rows):
            return None
        found = self._predicted(rows, given)
        found[~self._rated] = -np.inf
        return found

    def predicted(self, query: Query, item_rows: Int32Array) -> Float32Array:
        model = self._model
        found = np.clip(self._predicted(*self._known(query)), model.lowest, model.highest)
        known = item_rows >= 0
        mean = np.full(len(item_rows), model.mean, np.float32)
        mean[known] = found[item_rows[known]]
        return mean

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        """The liked item whose vector is most like the answer's."""
        speakers, given = self._known(query)
        liked = given > self._model.mean
        speakers, weights = speakers[liked], given[liked] - np.float32(self._model.mean)
        if not len(speakers):
            return np.full(len(rows), NO_ROW, np.int32)
        vectors = self._model.item_vectors
        said = vectors[rows] @ (vectors[speakers] * weights[:, None]).T
        best = said.argmax(axis=1)
        loudest = said[np.arange(len(rows)), best] > 0
        return np.where(loudest, speakers[best], NO_ROW).astype(np.int32)

    def _known(self, query: Query) -> tuple[Int32Array, Float32Array]:
        given = query.ratings
        if not len(given):
            liked = min(self._model.mean + self._model.spread, self._model.highest)
            given = np.full(len(query.rows), liked, np.float32)
        kept = query.rows >= 0
        kept[kept] = self._rated[query.rows[kept]]
        return query.rows[kept], given[kept]

    def _predicted(self, rows: Int32Array, given: Float32Array) -> Float32Array:
        return self._model.ratings(*self._model.fold_in(rows, given))


def fit_rated_factors(training: Training, parameters: Parameters, seed: int) -> RatedFactors:
    """See `engine.offline.biased_svd`."""
    ratings = training.ratings
    if ratings is None:
        raise InvalidInputError("there are no ratings to learn from")
    model = fit_biased_svd(
        ratings.shopper_rows,
        ratings.item_rows,
        ratings.values,
        n_shoppers=int(ratings.shopper_rows.max(initial=-1)) + 1,
        n_items=training.n_items,
        factors=whole(parameters, "factors"),
        epochs=whole(parameters, "epochs"),
        learning_rate=number(parameters, "learning_rate"),
        regularisation=number(parameters, "regularisation"),
        seed=seed,
    )
    return RatedFactors(model, np.bincount(ratings.item_rows, minlength=training.n_items) > 0)


HISTORIES = frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS})

METHODS = (
    Method(
        key="for_you_als",
        title="ALS",
        family=Family.FACTORS,
        needs=HISTORIES,
        fit=fit_implicit_als,
        defaults={
            "factors": 64,
            "regularisation": 50.0,
            "iterations": 12,
            "alpha": 5.0,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "alpha": (1.0, 5.0, 20.0),
            "regularisation": (0.05, 5.0, 20.0, 50.0),
            "factors": (32, 64, 128),
        },
        because="because of your interest in",
        otherwise="",
        cheap=True,
    ),
    Method(
        key="svd",
        title="Truncated SVD",
        family=Family.FACTORS,
        needs=HISTORIES,
        fit=fit_svd,
        defaults={
            "factors": 128,
            "item_exponent": 0.25,
            "shopper_exponent": 0.5,
            "count_exponent": 0.5,
            **EVENT_WEIGHTS,
        },
        grid={
            "factors": (32, 64, 128, 256),
            "item_exponent": (0.0, 0.25, 0.5),
            "shopper_exponent": (0.0, 0.5, 1.0),
        },
        because="because of your interest in",
        otherwise="",
        cheap=True,
    ),
    Method(
        key="bpr",
        title="BPR",
        family=Family.FACTORS,
        needs=HISTORIES,
        fit=fit_pairwise_ranking,
        defaults={
            "factors": 64,
            "epochs": 30,
            "learning_rate": 0.05,
            "regularisation": 0.005,
            **EVENT_WEIGHTS,
        },
        grid={
            "learning_rate": (0.02, 0.05, 0.1),
            "regularisation": (0.001, 0.005, 0.02),
            "factors": (32, 64, 128),
        },
        because="because of your interest in",
        otherwise="",
    ),
    Method(
        key="biased_svd",
        title="Biased SVD of ratings",
        family=Family.FACTORS,
        needs=frozenset({Need.RATINGS}),
        fit=fit_rated_factors,
        defaults={"factors": 32, "epochs": 60, "learning_rate": 0.02, "regularisation": 0.05},
        grid={
            "regularisation": (0.02, 0.05, 0.1),
            "factors": (8, 32, 64),
            "learning_rate": (0.01, 0.02, 0.05),
        },
        because="because you liked",
        otherwise="rated highly",
    ),
)
