"""One pass of a factorisation machine over its data, compiled.

Arrays in, new arrays out; all chance is in the arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.engine.online.kernel import (
    DOUBLE,
    F32,
    F32_2,
    I32,
    I32_2,
    I64,
    N,
    helper,
    helper_any_order,
    kernel,
)

TINY = np.float32(1e-6)


@helper_any_order
def _dot(one: Any, other: Any) -> Any:
    total = np.float32(0)
    for place in range(len(one)):
        total += one[place] * other[place]
    return total


@helper
def _add_up(vectors: Any, features: Any, out: Any) -> None:
    """The sum of the vectors of some features."""
    out[:] = 0
    for feature in features:
        if feature >= 0:
            for place in range(len(out)):
                out[place] += vectors[feature, place]


@helper_any_order
def _climb(vector: Any, gradient: Any, decay: Any, squares: Any, feature: Any, rate: Any) -> None:
    """One step of AdaGrad with a common sum of squares for the whole vector."""
    total = np.float32(0)
    for place in range(len(vector)):
        gradient[place] -= decay * vector[place]
        total += gradient[place] * gradient[place]
    squares[feature] += total / np.float32(len(vector))
    step = rate / (np.sqrt(squares[feature]) + TINY)
    for place in range(len(vector)):
        vector[place] += step * gradient[place]


@helper
def _products_learn(
    chosen: Any,
    errors: Any,
    history: Any,
    sums: Any,
    item_features: Any,
    products: Any,
    weights: Any,
    squares: Any,
    gradient: Any,
    rate: Any,
    decay: Any,
) -> None:
    """A step for the features of one positive and its negatives."""
    for place in range(len(chosen)):
        for feature in item_features[chosen[place]]:
            if feature < 0:
                continue
            error = errors[place]
            for f in range(len(gradient)):
                pull = history[f] + sums[place, f] - products[feature, f]
                gradient[f] = error * pull
            _climb(products[feature], gradient, decay, squares[1], feature, rate)
            slope = error - decay * weights[feature]
            squares[2, feature] += slope * slope
            weights[feature] += rate * slope / (np.sqrt(squares[2, feature]) + TINY)


@helper
def _errors(scores: Any, weight: Any, out: Any) -> None:
    """By how much each score should rise: the first is the right one."""
    scores -= scores.max()
    total = np.float32(0)
    for place in range(len(scores)):
        out[place] = np.exp(scores[place])
        total += out[place]
    for place in range(len(scores)):
        out[place] = -weight * out[place] / total
    out[0] += weight


@helper
def _score(
    product: Any, history: Any, item_features: Any, products: Any, weights: Any, out: Any
) -> Any:
    """What a product scores for a history; `out` takes the sum of its features' vectors."""
    score = np.float32(0)
    own = np.float32(0)
    _add_up(products, item_features[product], out)
    for feature in item_features[product]:
        if feature >= 0:
            score += weights[feature]
            own += _dot(products[feature], products[feature])
    return score + _dot(history, out) + (_dot(out, out) - own) / np.float32(2)


@helper
def _rivals(draws: Any, owned: Any, shopper: Any, chosen: Any) -> Any:
    """Put the drawn items that the shopper doesn't have behind the first; how many there are."""
    n = 1
    for draw in draws:
        if owned[draw] != shopper:
            chosen[n] = draw
            n += 1
    return n


@helper
def _history_sum(
    items: Any, values: Any, item_features: Any, histories: Any, part: Any, out: Any
) -> None:
    out[:] = 0
    for line in range(len(items)):
        _add_up(histories, item_features[items[line]], part)
        for k in range(len(out)):
            out[k] += values[line] * part[k]


@helper
def _history_learns(
    items: Any,
    values: Any,
    places: Any,
    norm: Any,
    pull: Any,
    own_pulls: Any,
    item_features: Any,
    histories: Any,
    squares: Any,
    gradient: Any,
    rate: Any,
    decay: Any,
) -> None:
    """A step for the features of a history: an item speaks for all products but itself."""
    for line in range(len(items)):
        place = places[line]
        for feature in item_features[items[line]]:
            if feature < 0:
                continue
            for k in range(len(gradient)):
                other = pull[k]
                if place >= 0:
                    other -= own_pulls[place, k]
                gradient[k] = norm * values[line] * other
            _climb(histories[feature], gradient, decay, squares[0], feature, rate)


@kernel(I64, I32, F32, I32_2, I64, I64, I32_2, F32_2, F32_2, F32, F32_2, DOUBLE, DOUBLE, DOUBLE, N)
def machine_epoch(
    offsets: Any,
    items: Any,
    values: Any,
    item_features: Any,
    shoppers: Any,
    lines: Any,
    draws: Any,
    given_histories: Any,
    given_products: Any,
    given_weights: Any,
    given_squares: Any,
    learning_rate: Any,
    regularisation: Any,
    exponent: Any,
    lines_per_step: Any,
) -> Any:
    """Vectors of histories and products, weights, and sums of squares after one more pass.

    `shoppers` says in which order, `lines` in which order those of each shopper, `draws` which
    items stand against a line; a draw that the shopper has is passed over.
    """
    histories, products = given_histories.copy(), given_products.copy()
    weights, squares = given_weights.copy(), given_squares.copy()
    f = histories.shape[1]
    size = 1 + draws.shape[1]
    rate, decay = np.float32(learning_rate), np.float32(regularisation)
    owned = np.full(len(item_features), -1, np.int64)
    whole, part, history = np.empty(f, np.float32), np.empty(f, np.float32), np.empty(f, np.float32)
    gradient, pull = np.empty(f, np.float32), np.empty(f, np.float32)
    own_pulls = np.zeros((lines_per_step, f), np.float32)
    chosen = np.empty(size, np.int32)
    sums = np.empty((size, f), np.float32)
    scores, errors = np.empty(size, np.float32), np.empty(size, np.float32)
    for shopper in shoppers:
        low, high = offsets[shopper], offsets[shopper + 1]
        if high - low < 2:
            continue
        mine, given = items[low:high], values[low:high]
        norm = np.float32(float(high - low - 1) ** -exponent)
        owned[mine] = shopper
        places = np.full(high - low, -1, np.int64)
        for start in range(low, high, lines_per_step):
            stop = min(start + lines_per_step, high)
            _history_sum(mine, given, item_features, histories, part, whole)
            pull[:] = 0
            places[:] = -1
            for at in range(start, stop):
                line = lines[at] - low
                places[line] = at - start
                _add_up(histories, item_features[mine[line]], part)
                for k in range(f):
                    history[k] = norm * (whole[k] - given[line] * part[k])
                chosen[0] = mine[line]
                n = _rivals(draws[at], owned, shopper, chosen)
                for c in range(n):
                    scores[c] = _score(
                        chosen[c], history, item_features, products, weights, sums[c]
                    )
                _errors(scores[:n], given[line], errors)
                for k in range(f):
                    total = np.float32(0)
                    for c in range(n):
                        total += errors[c] * sums[c, k]
                    own_pulls[at - start, k] = total
                    pull[k] += total
                _products_learn(
                    chosen[:n],
                    errors,
                    history,
                    sums,
                    item_features,
                    products,
                    weights,
                    squares,
                    gradient,
                    rate,
                    decay,
                )
            _history_learns(
                mine,
                given,
                places,
                norm,
                pull,
                own_pulls,
                item_features,
                histories,
                squares,
                gradient,
                rate,
                decay,
            )
    return histories, products, weights, squares
