"""How each source learns from a task's training part, as the training of a store does.

A fit returns a function of a query; what is unknown to the protocol is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.tasks import Matrix, Query, Training
from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.ease import combine_neighbours, ease_neighbours, fit_ease
from recommender.engine.offline.factorization import fit_als
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.offline.next_click import fit_next_click
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.offline.repeat import fit_repeat
from recommender.engine.offline.session_index import build_session_index
from recommender.engine.offline.text import product_tokens
from recommender.engine.online.fold_in import als_fold_in, ease_fold_in
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.online.next_click import next_click
from recommender.engine.online.popular import rank_all, top_scored
from recommender.engine.online.profiles import buy_again
from recommender.engine.online.session_neighbours import session_neighbours
from recommender.engine.types import Candidates, Float32Array, Int32Array

Value = float | int | bool | str | None
Parameters = Mapping[str, Value]
Recommend = Callable[[Query, int], Candidates]


def _number(parameters: Parameters, name: str) -> float:
    value = parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{name} must be a number, not {value!r}")
    return float(value)


def _optional(parameters: Parameters, name: str) -> float | None:
    return None if parameters[name] is None else _number(parameters, name)


def _whole(parameters: Parameters, name: str) -> int:
    return int(_number(parameters, name))


def _session_matrix(training: Training) -> Matrix:
    sessions = training.sessions
    if sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    owner = np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets))
    return group_items_matrix(
        owner, sessions.item_rows, n_groups=len(sessions), n_items=training.n_items, binary=True
    )


def _shopper_matrix(training: Training, parameters: Parameters) -> Matrix:
    """Weighted histories: the largest weight counts where an item has several kinds of event."""
    if not training.shoppers:
        return _group_matrix(training)
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
        out.data = (out.data ** _number(parameters, "count_exponent")).astype(np.float32)
    return out


def _kind_weight(kind: str, parameters: Parameters) -> float:
    return _number(parameters, f"weight_{kind}") if f"weight_{kind}" in parameters else 1.0


def _group_matrix(training: Training) -> Matrix:
    """Whatever groups items: baskets if there are any, else sessions, else shoppers."""
    if training.baskets is not None:
        return training.baskets
    if training.sessions is not None:
        return _session_matrix(training)
    return _shopper_matrix(training, {})


def _history(query: Query, parameters: Parameters) -> tuple[Int32Array, Float32Array]:
    """Rows and weights of a query as `_shopper_matrix` would have made them."""
    if query.kinds:
        weights = np.zeros(len(query.rows), np.float32)
        for kind, rows in query.kinds:
            places = np.searchsorted(query.rows, rows)
            weights[places] = np.maximum(weights[places], _kind_weight(kind, parameters))
        return query.rows, weights
    if len(query.counts) and "count_exponent" in parameters:
        exponent = _number(parameters, "count_exponent")
        return query.rows, (query.counts**exponent).astype(np.float32)
    return query.rows, np.ones(len(query.rows), np.float32)


def _repeats_allowed(query: Query) -> bool:
    return len(query.removed) < len(query.rows)


def learn_session_neighbours(training: Training, p: Parameters, _seed: int) -> Recommend:
    sessions = training.sessions
    if sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    index = build_session_index(
        sessions.offsets,
        sessions.item_rows,
        sessions.times_s,
        n_items=training.n_items,
        max_sessions_per_item=_whole(p, "max_sessions_per_item"),
    )
    k, sample_size = _whole(p, "k"), _whole(p, "sample_size")
    position_decay, step_decay = _number(p, "position_decay"), _number(p, "step_decay")
    idf_weight, half_life = _number(p, "idf_weight"), _optional(p, "recency_half_life_days")

    def recommend(query: Query, limit: int) -> Candidates:
        return session_neighbours(
            index,
            query.rows,
            limit=limit,
            k=k,
            sample_size=sample_size,
            position_decay=position_decay,
            step_decay=step_decay,
            idf_weight=idf_weight,
            recency_half_life_days=half_life,
        )

    return recommend


def learn_next_click(training: Training, _p: Parameters, seed: int) -> Recommend:
    """There is nothing to tune: the weights are learned, for each of the two tables its own."""
    if training.sessions is None:
        raise InvalidInputError("this protocol has no sessions to learn from")
    _, model = fit_next_click(
        training.sessions, n_items=training.n_items, now_s=training.now_s, seed=seed
    )
    return lambda query, limit: next_click(
        model, query.rows, limit=limit, exclude_session=not _repeats_allowed(query)
    )


def learn_item_neighbours(training: Training, p: Parameters, _seed: int) -> Recommend:
    neighbours = fit_item_similarity(
        _group_matrix(training),
        k=_whole(p, "k"),
        damping=_number(p, "damping"),
        shrinkage=_number(p, "shrinkage"),
    )
    decay = _number(p, "position_decay")

    def recommend(query: Query, limit: int) -> Candidates:
        weights = np.power(decay, np.arange(len(query.rows)), dtype=np.float32)[::-1]
        return expand_neighbours(
            neighbours,
            query.rows,
            weights,
            limit=limit,
            exclude_seeds=not _repeats_allowed(query),
        )

    return recommend


def learn_bought_together(training: Training, p: Parameters, _seed: int) -> Recommend:
    """EASE on baskets; lists of the k best partners as they are published, cosine for the tail."""
    baskets = _group_matrix(training)
    model = fit_ease(
        baskets, regularisation=_number(p, "regularisation"), max_items=_whole(p, "max_items")
    )
    if p["lists"] is not True:
        return lambda query, limit: ease_fold_in(
            model, query.rows, limit=limit, exclude_history=not _repeats_allowed(query)
        )
    k = _whole(p, "k")
    neighbours = combine_neighbours(
        ease_neighbours(model, n_items=training.n_items, k=k),
        fit_item_similarity(baskets, k=k, shrinkage=10.0),
    )
    return lambda query, limit: expand_neighbours(
        neighbours, query.rows, limit=limit, exclude_seeds=not _repeats_allowed(query)
    )


def learn_for_you(training: Training, p: Parameters, _seed: int) -> Recommend:
    model = fit_ease(
        _shopper_matrix(training, p),
        regularisation=_number(p, "regularisation"),
        max_items=_whole(p, "max_items"),
    )
    longest = None if p["max_history"] is None else _whole(p, "max_history")

    def recommend(query: Query, limit: int) -> Candidates:
        rows, weights = _history(query, p)
        return ease_fold_in(
            model,
            rows,
            weights,
            limit=limit,
            max_history=longest,
            exclude_history=not _repeats_allowed(query),
        )

    return recommend


def learn_for_you_als(training: Training, p: Parameters, seed: int) -> Recommend:
    model = fit_als(
        _shopper_matrix(training, p),
        factors=_whole(p, "factors"),
        regularisation=_number(p, "regularisation"),
        iterations=_whole(p, "iterations"),
        alpha=_number(p, "alpha"),
        seed=seed,
    )

    def recommend(query: Query, limit: int) -> Candidates:
        rows, weights = _history(query, p)
        return als_fold_in(
            model, rows, weights, limit=limit, exclude_history=not _repeats_allowed(query)
        )

    return recommend


def learn_buy_again(training: Training, p: Parameters, _seed: int) -> Recommend:
    bought = training.purchases
    if bought is None:
        raise InvalidInputError("this protocol has no purchases with times to learn from")
    model = fit_repeat(
        bought.shopper_rows, bought.item_rows, bought.times_s, n_items=training.n_items
    )
    frequency, repeat = _number(p, "frequency_exponent"), _number(p, "repeat_exponent")
    urgency, exponent = _number(p, "urgency"), _number(p, "demand_exponent")
    demand = decayed_counts(
        bought.item_rows,
        bought.times_s,
        now_s=training.now_s,
        half_life_days=_optional(p, "half_life_days"),
        n_items=training.n_items,
    )

    def recommend(query: Query, limit: int) -> Candidates:
        return buy_again(
            query.rows,
            query.counts,
            query.last_at_s,
            interval_days=model.interval_days,
            repeat_probability=model.repeat_probability,
            now_s=training.now_s,
            limit=limit,
            frequency_exponent=frequency,
            repeat_exponent=repeat,
            urgency=urgency,
            demand=demand,
            demand_exponent=exponent,
        )

    return recommend


def learn_bestsellers(training: Training, p: Parameters, _seed: int) -> Recommend:
    bought = training.purchases
    if bought is not None:
        scores = decayed_counts(
            bought.item_rows,
            bought.times_s,
            now_s=training.now_s,
            half_life_days=_optional(p, "half_life_days"),
            n_items=training.n_items,
            shopper_rows=bought.shopper_rows,
        )
    else:
        groups = _group_matrix(training)
        scores = np.bincount(groups.indices, minlength=training.n_items).astype(np.float32)
    ranking = rank_all(scores)
    return lambda _query, limit: top_scored(scores, limit=limit, ranking=ranking)


def learn_similar_content(training: Training, p: Parameters, seed: int) -> Recommend:
    if training.titles is None or not any(training.titles):
        raise InvalidInputError("this protocol has no product texts to learn from")
    tokens = [product_tokens(title) for title in training.titles]
    _, vectors = fit_content_vectors(tokens, dimensions=_whole(p, "dimensions"), seed=seed)
    neighbours = fit_content_neighbours(vectors, k=_whole(p, "k"))
    return lambda query, limit: expand_neighbours(
        neighbours, query.rows, limit=limit, exclude_seeds=not _repeats_allowed(query)
    )
