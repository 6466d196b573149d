"""A factorisation machine against sums over all pairs, and what its features are for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError
from recommender.engine.methods.inputs import ItemFacts, Query, Training
from recommender.engine.methods.machines import METHODS, fit_machine
from recommender.engine.offline.factorization_machine import (
    FactorizationMachine,
    fit_factorization_machine,
    item_fields,
    machine_score,
)
from recommender.engine.offline.factorization_machine_kernel import machine_epoch

FM = METHODS[0]


def pairwise_sum(values: np.ndarray, weights: np.ndarray, vectors: np.ndarray) -> float:
    """The definition: every pair of features once."""
    total = float(weights @ values)
    for a in range(len(values)):
        for b in range(a + 1, len(values)):
            total += float(vectors[a] @ vectors[b]) * values[a] * values[b]
    return total


@given(seed=st.integers(0, 999), n=st.integers(0, 9), f=st.integers(1, 5))
def test_the_fast_score_is_the_sum_over_all_pairs(seed: int, n: int, f: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.standard_normal(n), rng.standard_normal(n)
    vectors = rng.standard_normal((n, f))
    assert float(machine_score(values, weights, vectors)) == pytest.approx(
        pairwise_sum(values, weights, vectors), abs=1e-9
    )


def some_machine(seed: int) -> FactorizationMachine:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 3, 7).astype(np.int32)
    fields = item_fields(7, [codes, None], rng.random(7).astype(np.float32), bands=3)
    n = int(fields.max()) + 1
    return FactorizationMachine(
        fields,
        rng.standard_normal((n, 4)).astype(np.float32),
        rng.standard_normal((n, 4)).astype(np.float32),
        rng.standard_normal(n).astype(np.float32),
        np.ones(7, np.bool_),
        0.5,
    )


@given(seed=st.integers(0, 300), history=st.sets(st.integers(0, 6), min_size=1))
def test_a_recommendation_orders_products_as_the_whole_line_of_features_would(
    seed: int, history: set[int]
) -> None:
    model = some_machine(seed)
    rows = sorted(history)
    n = len(model.product_weights)
    mine = np.zeros(n)
    for row in rows:
        for feature in model.item_features[row]:
            if feature >= 0:
                mine[feature] += len(rows) ** -model.history_exponent
    whole = []
    for product in range(7):
        other = np.zeros(n)
        other[model.item_features[product][model.item_features[product] >= 0]] = 1
        whole.append(
            pairwise_sum(
                np.concatenate([mine, other]),
                np.concatenate([np.zeros(n), model.product_weights]),
                np.concatenate([model.history_vectors, model.product_vectors]),
            )
        )
    shopper = len(rows) ** -0.5 * model.history_sums()[rows].sum(axis=0)
    fast = model.product_sums() @ shopper + model.product_biases()
    # The pairs inside the history are the same for every product.
    np.testing.assert_allclose(np.array(whole) - whole[0], fast - fast[0], rtol=1e-4, atol=1e-4)


def slow_epoch(
    lines: csr_matrix,
    fields: np.ndarray,
    order: np.ndarray,
    permuted: np.ndarray,
    draws: np.ndarray,
    state: tuple[np.ndarray, ...],
    rate: float,
    decay: float,
    step: int,
) -> tuple[np.ndarray, ...]:
    """The same pass with a dictionary of gradients and no sum that is kept."""
    histories, products, weights, squares = (part.astype(np.float64) for part in state)

    def features(item: int) -> list[int]:
        return [int(f) for f in fields[item] if f >= 0]

    def climb(vectors: np.ndarray, line: int, feature: int, gradient: np.ndarray) -> None:
        gradient = gradient - decay * vectors[feature]
        squares[line, feature] += np.mean(gradient**2)
        vectors[feature] += rate / (np.sqrt(squares[line, feature]) + 1e-6) * gradient

    for shopper in order.tolist():
        low, high = int(lines.indptr[shopper]), int(lines.indptr[shopper + 1])
        n = high - low
        if n < 2:
            continue
        items, values = lines.indices[low:high], lines.data[low:high]
        norm = (n - 1) ** -0.5
        for start in range(low, high, step):
            frozen = histories.copy()
            pulls: dict[int, np.ndarray] = {}
            for at in range(start, min(start + step, high)):
                place = int(permuted[at]) - low
                right, weight = int(items[place]), float(values[place])
                history = norm * sum(
                    (
                        values[j] * frozen[f]
                        for j in range(n)
                        if j != place
                        for f in features(items[j])
                    ),
                    start=np.zeros(frozen.shape[1]),
                )
                chosen = [right, *(int(d) for d in draws[at] if d not in items)]
                sums = [sum(products[f] for f in features(item)) for item in chosen]
                scores = np.array(
                    [
                        sum(weights[f] for f in features(item))
                        + history @ total
                        + (total @ total - sum(products[f] @ products[f] for f in features(item)))
                        / 2
                        for item, total in zip(chosen, sums, strict=True)
                    ]
                )
                chances = np.exp(scores - scores.max())
                errors = -weight * chances / chances.sum()
                errors[0] += weight
                pulls[place] = sum(e * t for e, t in zip(errors, sums, strict=True))
                for item, error, total in zip(chosen, errors, sums, strict=True):
                    for f in features(item):
                        climb(products, 1, f, error * (history + total - products[f]))
                        slope = error - decay * weights[f]
                        squares[2, f] += slope**2
                        weights[f] += rate * slope / (np.sqrt(squares[2, f]) + 1e-6)
            for j in range(n):
                pull = sum(p for place, p in pulls.items() if place != j)
                for f in features(items[j]):
                    climb(histories, 0, f, norm * values[j] * pull)
    return histories, products, weights, squares


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), step=st.sampled_from([2, 64]))
def test_a_pass_is_that_of_plain_loops(seed: int, step: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (6, 8)).astype(np.float32) * (rng.random((6, 8)) < 0.5)
    lines = csr_matrix(dense.astype(np.float32))
    fields = item_fields(8, [rng.integers(-1, 3, 8).astype(np.int32)], None, bands=2)
    n = int(fields.max()) + 1
    state = (
        rng.normal(0, 0.3, (n, 3)).astype(np.float32),
        rng.normal(0, 0.3, (n, 3)).astype(np.float32),
        rng.normal(0, 0.3, n).astype(np.float32),
        np.full((3, n), 0.1, np.float32),
    )
    order = rng.permutation(6)
    owners = np.repeat(np.arange(6), np.diff(lines.indptr))
    permuted = np.lexsort((rng.random(lines.nnz), owners)).astype(np.int64)
    draws = rng.integers(0, 8, (lines.nnz, 3)).astype(np.int32)
    found = machine_epoch(
        lines.indptr.astype(np.int64),
        lines.indices.astype(np.int32),
        lines.data,
        fields,
        order,
        permuted,
        draws,
        *state,
        0.1,
        0.01,
        0.5,
        step,
    )
    expected = slow_epoch(lines, fields, order, permuted, draws, state, 0.1, 0.01, step)
    for fast, slow in zip(found, expected, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=2e-3, atol=2e-3)


def test_what_nobody_bought_is_found_by_its_category() -> None:
    # Two kinds of shoppers, two categories, and in each a product that nobody has.
    rng = np.random.default_rng(0)
    dense = np.zeros((80, 12), np.float32)
    for shopper in range(80):
        dense[shopper, rng.choice(5, 3, replace=False) + 6 * (shopper % 2)] = 1
    categories = np.repeat(np.array([0, 1], np.int32), 6)
    training = Training(
        12,
        shoppers={"purchase": csr_matrix(dense)},
        facts=ItemFacts(category_codes=categories),
    )
    model = fit_machine(training, FM.parameters({"factors": 8}), 0)
    rows = np.array([0, 1], np.int32)
    scores = model.scores(Query(rows, removed=rows))
    assert scores is not None
    assert scores[5] > scores[11]
    bare = fit_machine(replace(training, facts=ItemFacts()), FM.parameters({"factors": 8}), 0)
    without = bare.scores(Query(rows, removed=rows))
    assert without is not None
    assert np.isneginf(without[[5, 11]]).all()


def test_price_bands_hold_as_many_products_each() -> None:
    prices = np.array([1, 2, 3, 4, np.nan, 100], np.float32)
    fields = item_fields(6, [], prices, bands=5)
    assert fields[:, 1].tolist() == [6, 7, 8, 9, -1, 10]


def test_histories_of_one_product_teach_nothing_and_are_refused() -> None:
    lonely = csr_matrix(np.eye(3, dtype=np.float32))
    with pytest.raises(EmptyInputError, match="two products"):
        fit_factorization_machine(lonely, item_fields(3, [], None, bands=2))
