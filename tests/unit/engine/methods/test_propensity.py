"""Chances of a purchase: features against loops, models against scikit-learn, chances against counts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError
from recommender.engine.methods.inputs import Purchases, Training
from recommender.engine.methods.propensity import METHODS, PurchaseChances, _held_out
from recommender.engine.offline.propensity import (
    Pairs,
    calibrated,
    fit_linear_svm,
    fit_naive_bayes,
    split_by_shopper,
)
from recommender.engine.offline.propensity_features import (
    FEATURES,
    CatalogProfile,
    ShopperFacts,
    fit_catalog_profile,
    pair_features,
    strongest_speakers,
)
from recommender.engine.types import Float32Array
from tests.unit.engine.methods.worlds import checkerboard

BY_KEY = {method.key: method for method in METHODS}
N = 9


def some_profile(rng: np.random.Generator) -> CatalogProfile:
    dense = (rng.random((30, N)) < 0.3).astype(np.float32)
    prices = rng.integers(0, 6, N).astype(np.float32)
    return fit_catalog_profile(
        csr_matrix(dense),
        demand=rng.random(N).astype(np.float32),
        category_codes=rng.integers(-1, 3, N).astype(np.int32),
        brand_codes=None,
        prices=prices,
        k=4,
    )


def some_shopper(rng: np.random.Generator, rows: list[int]) -> ShopperFacts:
    n = len(rows)
    days = np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 90, n))
    return ShopperFacts(
        np.array(rows, np.int32),
        rng.integers(0, 4, n).astype(np.float32),
        days.astype(np.float32),
        rng.random(n) < 0.5,
        rng.random(n) < 0.5,
    )


@given(seed=st.integers(0, 999), history=st.sets(st.integers(0, N - 1), min_size=1))
def test_every_feature_is_what_a_loop_over_the_history_finds(seed: int, history: set[int]) -> None:
    rng = np.random.default_rng(seed)
    profile, rows = some_profile(rng), sorted(history)
    shopper = some_shopper(rng, rows)
    found = pair_features(profile, shopper)
    logs = [float(profile.log_prices[r]) for r in rows if np.isfinite(profile.log_prices[r])]
    for item in range(N):
        together = sum(
            float(score)
            for row in rows
            for other, score in zip(
                profile.neighbours.indices[row], profile.neighbours.scores[row], strict=True
            )
            if other == item
        )
        code = profile.category_codes[item]
        price = float(profile.log_prices[item])
        place = rows.index(item) if item in rows else None
        days = float("nan") if place is None else float(shopper.days_since[place])
        expected = {
            "popularity": float(profile.popularity[item]),
            "demand": float(profile.demand[item]),
            "together": math.sqrt(together / math.sqrt(len(rows))),
            "category_share": sum(profile.category_codes[r] == code for r in rows) / len(rows)
            if code >= 0
            else 0.0,
            "brand_share": 0.0,
            "price_distance": abs(price - sum(logs) / len(logs))
            if logs and math.isfinite(price)
            else 0.0,
            "times_bought": 0.0 if place is None else math.log1p(float(shopper.bought[place])),
            "recency": 0.0 if math.isnan(days) else math.exp(-days / 30),
            "carted": 0.0 if place is None else float(shopper.carted[place]),
            "viewed": 0.0 if place is None else float(shopper.viewed[place]),
            "history_size": math.log1p(len(rows)),
        }
        for name, value in expected.items():
            assert found[item, FEATURES.index(name)] == pytest.approx(value, abs=1e-4), name


@given(seed=st.integers(0, 999), history=st.sets(st.integers(0, N - 1), min_size=1))
def test_the_reason_is_the_nearest_item_of_the_history(seed: int, history: set[int]) -> None:
    rng = np.random.default_rng(seed)
    profile, rows = some_profile(rng), sorted(history)
    products = np.arange(N, dtype=np.int32)
    found = strongest_speakers(profile.neighbours, np.array(rows, np.int32), products)
    for item in range(N):
        near = {
            row: float(profile.neighbours.scores[row, place])
            for row in rows
            for place in range(profile.neighbours.k)
            if profile.neighbours.indices[row, place] == item
        }
        assert found[item] == (min(near, key=lambda r: (-near[r], r)) if near else -1)


def some_pairs(seed: int, n: int = 400) -> Pairs:
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(0, 2, n), rng.integers(0, 2, n), np.zeros(n)]).astype(
        np.float32
    )
    odds = features[:, 0] + 2 * features[:, 1] - 1
    bought = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    return Pairs(features, bought, np.ones(n, np.float32), np.arange(n) // 4)


def some_weights(seed: int, n: int) -> Float32Array:
    return np.random.default_rng(seed).uniform(0.5, 1.5, n).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), smoothing=st.sampled_from([0.5, 1.0, 5.0]))
def test_naive_bayes_adds_up_logarithms_of_counted_shares(seed: int, smoothing: float) -> None:
    pairs = replace(some_pairs(seed, 80), weights=some_weights(seed, 80))
    model = fit_naive_bayes(pairs, bins=5, smoothing=smoothing)
    weights = pairs.weights / pairs.weights.mean()
    bins = [
        [sum(float(edge) <= value for edge in edges) for value in column.tolist()]
        for column, edges in zip(pairs.features.T, model.edges, strict=True)
    ]
    totals = {side: float(weights[pairs.bought == side].sum()) for side in (0, 1)}
    for line in range(0, 80, 7):
        expected = math.log(totals[1] / totals[0])
        for column in bins:
            same = np.array(column) == column[line]
            shares = [
                (float(weights[same & (pairs.bought == side)].sum()) + smoothing)
                / (totals[side] + 5 * smoothing)
                for side in (0, 1)
            ]
            expected += math.log(shares[1] / shares[0])
        assert model.margins(pairs.features)[line] == pytest.approx(expected, abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_no_step_away_from_the_plane_lowers_what_it_minimises(seed: int) -> None:
    pairs = some_pairs(seed, 300)
    cost = 0.1
    model = fit_linear_svm(pairs, cost=cost)
    x = pairs.features[:, :2].astype(np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    signs = 2 * pairs.bought - 1
    share = np.where(signs > 0, 1 / pairs.bought.sum(), 1 / (1 - pairs.bought).sum()) * len(x) / 2

    def loss(weights: np.ndarray, offset: float) -> float:
        missing = np.maximum(0, 1 - signs * ((x - mean) / spread @ weights + offset))
        # LIBLINEAR's plane holds its offset as one more weight.
        return float(
            0.5 * (weights @ weights + offset**2)
            + cost * 10_000 / len(x) * (share * missing**2).sum()
        )

    weights = model.weights[:2] * spread
    offset = model.offset + float(model.weights[:2] @ mean)
    least = loss(weights, offset)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        step = rng.normal(0, 0.05, 3)
        assert loss(weights + step[:2], offset + step[2]) > least - 1e-3 * least


@pytest.mark.parametrize("learn", [fit_naive_bayes, fit_linear_svm])
def test_chances_are_those_of_all_pairs_though_few_were_drawn(learn: object) -> None:
    assert callable(learn)
    rng = np.random.default_rng(3)
    n = 60_000
    x = rng.normal(0, 1, (n, 2)).astype(np.float32)
    bought = (rng.random(n) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 4)))).astype(np.float32)
    # All purchases, and one in ten of the rest.
    drawn = (bought == 1) | (rng.random(n) < 0.1)
    weights = np.where(bought == 1, 1, 10).astype(np.float32)
    pairs = Pairs(x[drawn], bought[drawn], weights[drawn], np.flatnonzero(drawn) // 20)
    most, others = split_by_shopper(pairs, share=0.3, seed=0)
    assert not set(most.shoppers) & set(others.shoppers)
    chances = calibrated(learn(most), others).chances(x)
    # Fifths of the pairs by their chance, the lowest left out: too few purchases to count.
    order = np.argsort(chances)
    for part in np.array_split(order, 5)[1:]:
        assert chances[part].mean() == pytest.approx(bought[part].mean(), rel=0.35, abs=0.003)
    assert chances.mean() == pytest.approx(bought.mean(), rel=0.1)


def test_one_outcome_alone_is_refused() -> None:
    pairs = some_pairs(0, 20)
    with pytest.raises(EmptyInputError, match="with a purchase"):
        fit_linear_svm(replace(pairs, bought=np.zeros(20, np.float32)))


def fitted(key: str, training: Training, **given: float) -> PurchaseChances:
    model = BY_KEY[key].fit(training, BY_KEY[key].parameters(given), 0)
    assert isinstance(model, PurchaseChances)
    return model


@pytest.mark.parametrize("key", list(BY_KEY))
def test_scores_are_chances_and_what_is_bought_every_month_has_a_good_one(key: str) -> None:
    world = checkerboard()
    model = fitted(key, world.training)
    better = []
    for question in world.again[:40]:
        scores = model.scores(question.query)
        assert scores is not None
        finite = scores[np.isfinite(scores)]
        assert ((finite >= 0) & (finite <= 1)).all()
        mine = scores[question.query.rows]
        better.append(scores[question.right] >= mine.max())
    assert np.mean(better) > 0.9


@pytest.mark.parametrize("key", list(BY_KEY))
def test_of_a_large_catalog_bestsellers_and_neighbours_are_judged(key: str) -> None:
    world = checkerboard()
    model = fitted(key, world.training, candidates=2)
    whole = fitted(key, world.training)
    query = world.histories[0].query
    few, all_of_them = model.scores(query), whole.scores(query)
    assert few is not None
    assert all_of_them is not None
    judged = np.isfinite(few)
    assert 2 <= judged.sum() < np.isfinite(all_of_them).sum()
    np.testing.assert_array_equal(few[judged], all_of_them[judged])


def test_what_is_hidden_to_learn_from_is_not_in_the_demand_either() -> None:
    # Two shoppers, two purchases each, all of them today; one of each is hidden.
    shoppers, items = np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 2, 3], np.int32)
    matrix = csr_matrix((np.ones(4, np.float32), (shoppers, items)), shape=(2, 4))
    training = Training(
        4,
        now_s=100,
        shoppers={"purchase": matrix},
        purchases=Purchases(shoppers, items, np.full(4, 100)),
    )
    profile, lessons = _held_out(training, matrix, 0)
    hidden = np.concatenate([lesson.targets for lesson in lessons])
    assert len(hidden) == 2
    assert profile.demand[hidden].tolist() == [0, 0]
    assert np.count_nonzero(profile.demand) == 2
