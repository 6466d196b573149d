"""A training part as the matrix that a method is fitted on, and a query as a line of it."""

from __future__ import annotations

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import Parameters, number
from recommender.engine.methods.inputs import Matrix, Query, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.types import Float32Array, Int32Array


def session_matrix(training: Training) -> Matrix:
    """Sessions × items, 1 where the session saw the item."""
    sessions = training.sessions
    if sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    owner = np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets))
    return group_items_matrix(
        owner, sessions.item_rows, n_groups=len(sessions), n_items=training.n_items, binary=True
    )


def shopper_matrix(training: Training, parameters: Parameters) -> Matrix:
    """Weighted histories: the largest weight counts where an item has several kinds of event."""
    if not training.shoppers:
        return group_matrix(training)
    total: Matrix | None = None
    for kind, matrix in training.shoppers.items():
        weighted = _damped(matrix, parameters) * np.float32(_kind_weight(kind, parameters))
        total = weighted.tocsr() if total is None else total.maximum(weighted).tocsr()
    assert total is not None
    total.eliminate_zeros()
    return total


def _damped(matrix: Matrix, parameters: Parameters) -> Matrix:
    """Counts c as ``c ** count_exponent``."""
    out = matrix.copy()
    exponent = parameters.get("count_exponent")
    if exponent is not None:
        out.data = (out.data ** number(parameters, "count_exponent")).astype(np.float32)
    return out


def _kind_weight(kind: str, parameters: Parameters) -> float:
    return number(parameters, f"weight_{kind}") if f"weight_{kind}" in parameters else 1.0


def group_matrix(training: Training, parameters: Parameters | None = None) -> Matrix:
    """Whatever groups items: baskets if there are any, else sessions, else weighted histories."""
    if training.baskets is not None:
        return training.baskets
    if training.sessions is not None:
        return session_matrix(training)
    if not training.shoppers:
        raise InvalidInputError("there are no baskets, sessions or shoppers to learn from")
    return shopper_matrix(training, parameters or {})


def history(query: Query, parameters: Parameters) -> tuple[Int32Array, Float32Array]:
    """Known rows and weights of a query as `shopper_matrix` would have made them."""
    if query.kinds:
        weights = np.zeros(len(query.rows), np.float32)
        for kind, rows in query.kinds:
            places = np.searchsorted(query.rows, rows)
            weights[places] = np.maximum(weights[places], _kind_weight(kind, parameters))
        return query.rows, weights
    if len(query.counts) and "count_exponent" in parameters:
        exponent = number(parameters, "count_exponent")
        return query.rows, (query.counts**exponent).astype(np.float32)
    return query.rows, np.ones(len(query.rows), np.float32)
