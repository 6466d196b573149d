"""The learned blend: the fast path against a loop over candidates, what it learns, and its guard."""

from __future__ import annotations

from dataclasses import replace
from math import exp, isnan, log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.learned_blend import (
    LearnedBlend,
    Query,
    blend_prior,
    fit_blend,
    source_weights,
)
from recommender.engine.offline.learned_blend_features import (
    Catalog,
    blend_features,
    standardisation,
)
from recommender.engine.offline.learned_blend_lessons import Lesson, Lessons
from recommender.engine.online.learned_blend import (
    LINE_FEATURES,
    BlendModel,
    Situation,
    learned_blend,
)
from recommender.engine.types import Candidates

N_ITEMS = 60
SOURCES = ("a", "b", "c")
seeds = st.integers(0, 2**32 - 1)


def candidates(rng: np.random.Generator, n: int) -> Candidates:
    """Best first, with many ties and a few scores that are no answer."""
    rows = rng.permutation(N_ITEMS)[:n].astype(np.int32)
    scores = rng.integers(-1, 6, len(rows)).astype(np.float32) / np.float32(4)
    order = np.lexsort((rows, -scores))
    return Candidates(rows[order], scores[order], rows[order] + 100)


def some_model(rng: np.random.Generator) -> BlendModel:
    start = blend_prior(
        SOURCES,
        context=("hour", "device"),
        product=("popularity", "age"),
        personal=("had", "times"),
        tops=rng.uniform(0.1, 2, 3).astype(np.float32),
        means=np.array([0.5, 0, 1, 2, 0, 0], np.float32),
        scales=rng.uniform(0.5, 2, 6).astype(np.float32),
    )
    return replace(start, weights=rng.normal(size=len(start.weights)).astype(np.float32))


def some_situation(rng: np.random.Generator) -> Situation:
    rows = np.sort(rng.permutation(N_ITEMS)[: rng.integers(0, 9)]).astype(np.int32)
    did = rng.integers(0, 3, (len(rows), 2)).astype(np.float32)
    context = np.array([rng.normal(), nan if rng.random() < 0.3 else 1.0], np.float32)
    return Situation(context, rows, did, nan if rng.random() < 0.3 else 1.5)


def some_catalog(rng: np.random.Generator) -> Catalog:
    products = rng.normal(size=(N_ITEMS, 2)).astype(np.float32)
    prices = rng.normal(size=N_ITEMS).astype(np.float32) * 3
    products[rng.random((N_ITEMS, 2)) < 0.1] = nan
    prices[rng.random(N_ITEMS) < 0.2] = nan
    return Catalog(products, prices)


def standard(value: float, mean: float, scale: float) -> float:
    return 0.0 if isnan(value) else (value - mean) / scale


def slowly(
    model: BlendModel,
    parts: list[tuple[str, Candidates]],
    situation: Situation,
    catalog: Catalog,
    allowed: np.ndarray,
) -> dict[int, tuple[float, dict[int, float]]]:
    """z and what each source adds to it, candidate by candidate and feature by feature."""
    weight = dict(zip(model.feature_names, model.weights.tolist(), strict=True))
    means, scales = model.means.tolist(), model.scales.tolist()
    context = dict(zip(model.context, situation.context.tolist(), strict=True))
    out: dict[int, tuple[float, dict[int, float]]] = {}
    for number, (name, found) in enumerate(parts):
        kept = [
            (row, score)
            for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
            if score > 0 and allowed[row]
        ]
        for rank, (row, score) in enumerate(kept, 1):
            said = {
                "scaled": score / kept[0][1],
                "log": max(1 + log(score / kept[0][1]) / log(1000), 0),
                "rank": 21 / (20 + rank),
                "named": 1.0,
                "raw": min(score / float(model.tops[number]), 5),
            }
            added = 0.0
            for feature in LINE_FEATURES:
                counts = weight[f"{name}.{feature}"]
                if feature in ("scaled", "named"):
                    for place, (of_request, value) in enumerate(context.items()):
                        crossed = weight[f"{name}.{feature} x {of_request}"]
                        counts += crossed * standard(value, means[place], scales[place])
                added += counts * said[feature]
            z, own = out.get(row, (0.0, {}))
            out[row] = (z + added, {**own, number: added})
    for row, (z, own) in out.items():
        for place, product in enumerate(model.product):
            value = float(catalog.products[row, place])
            z += weight[product] * standard(value, means[2 + place], scales[2 + place])
        for mine, did in zip(situation.rows.tolist(), situation.did.tolist(), strict=True):
            if mine == row:
                for place, name in enumerate(model.personal):
                    z += weight[name] * did[place] / scales[4 + place]
        assert catalog.log_prices is not None
        gap = float(catalog.log_prices[row]) - situation.usual_log_price
        if not isnan(gap):
            gap = min(max(gap, -3), 3)
            z += weight["dearer"] * gap + weight["dearer_squared"] * gap * gap
        out[row] = (z, own)
    return out


@settings(deadline=None)
@given(seeds, st.integers(0, 40))
def test_the_fast_path_is_the_loop_over_candidates(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    model, situation, catalog = some_model(rng), some_situation(rng), some_catalog(rng)
    parts = [(name, candidates(rng, int(rng.integers(0, 30)))) for name in SOURCES]
    allowed = rng.random(N_ITEMS) < 0.8
    found = learned_blend(
        model,
        parts,
        situation,
        item_values=model.item_values(catalog.products),
        log_prices=catalog.log_prices,
        allowed=allowed.take,
        limit=limit,
    )
    expected = slowly(model, parts, situation, catalog, allowed)
    assert len(found) == min(limit, len(expected))
    top = max((z for z, _ in expected.values()), default=0.0)
    odds = {row: exp(z - top) for row, (z, _) in expected.items()}
    best = sorted(odds.values(), reverse=True)[:limit]
    assert found.scores.tolist() == pytest.approx(best, rel=2e-3, abs=1e-20)
    for position, row in enumerate(found.rows.tolist()):
        assert found.scores[position] == pytest.approx(odds[row], rel=2e-3, abs=1e-20)
        shares = found.shares(position)
        own = expected[row][1]
        assert [source for source, _, _ in shares] == sorted(own)
        speaking = sum(max(added, 0) for added in own.values())
        for source, rank, share in shares:
            assert parts[source][1].rows[rank - 1] == row
            part = max(own[source], 0) / speaking if speaking > 0.01 else None
            if part is not None:
                assert share == pytest.approx(part * odds[row], rel=2e-2, abs=1e-3)


@settings(deadline=None)
@given(seeds)
def test_shares_add_up_to_the_score_and_the_leading_source_has_the_largest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, situation, catalog = some_model(rng), some_situation(rng), some_catalog(rng)
    parts = [(name, candidates(rng, 20)) for name in SOURCES]
    values = model.item_values(catalog.products)
    found = learned_blend(model, parts, situation, item_values=values, limit=30)
    sources, because = found.leading(np.arange(len(found)))
    for position, row in enumerate(found.rows.tolist()):
        shares = found.shares(position)
        assert all(share >= 0 for _, _, share in shares)
        assert sum(share for _, _, share in shares) == pytest.approx(found.scores[position])
        of_source = {source: share for source, _, share in shares}
        assert max(of_source.values()) == of_source[sources[position]]
        assert because[position] == row + 100
    order = np.lexsort((found.rows, -found.scores))
    assert order.tolist() == list(range(len(found)))


@settings(deadline=None)
@given(seeds)
def test_what_is_learned_from_is_what_is_ranked_by(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, situation, catalog = some_model(rng), some_situation(rng), some_catalog(rng)
    parts = [(name, candidates(rng, 15)) for name in SOURCES]
    rows, features = blend_features(model, parts, situation, catalog)
    z = features.astype(np.float64) @ model.weights
    found = learned_blend(
        model,
        parts,
        situation,
        item_values=model.item_values(catalog.products),
        log_prices=catalog.log_prices,
        limit=N_ITEMS,
    )
    odds = dict(zip(rows.tolist(), np.exp(z - z.max(initial=-np.inf)).tolist(), strict=True))
    assert sorted(found.rows.tolist()) == rows.tolist()
    assert found.scores.tolist() == pytest.approx(
        [odds[row] for row in found.rows.tolist()], rel=2e-3, abs=1e-20
    )


class TestForm:
    def test_odds_that_vanish_are_still_above_0_and_ordered(self) -> None:
        prior = blend_prior(["a"])
        model = replace(prior, weights=np.array([500, 0, 0, 0, 0, 0, 0], np.float32))
        part = Candidates(
            np.array([9, 3, 2], np.int32), np.array([1, 0.5, 0.25], np.float32),
            np.array([1, 1, 1], np.int32),
        )  # fmt: skip
        found = learned_blend(
            model, [("a", part)], Situation(), item_values=np.zeros(10, np.float32), limit=5
        )
        assert (found.scores > 0).all()
        # Both are as good as impossible, and a tie goes to the smaller row.
        assert found.rows.tolist() == [9, 2, 3]

    def test_nothing_named_is_nothing_answered(self) -> None:
        model = blend_prior(["a"])
        found = learned_blend(
            model, [("a", Candidates.empty())], Situation(),
            item_values=np.zeros(1, np.float32), limit=5,
        )  # fmt: skip
        assert len(found) == 0
        assert found.leading(np.arange(0)) == ([], [])

    def test_sources_in_another_order_are_refused(self) -> None:
        model = blend_prior(["a", "b"])
        parts = [("b", Candidates.empty()), ("a", Candidates.empty())]
        with pytest.raises(InvalidInputError, match="blends"):
            learned_blend(model, parts, Situation(), item_values=np.zeros(1, np.float32), limit=1)

    def test_arrays_that_do_not_fit_are_refused(self) -> None:
        model = blend_prior(["a"], context=["hour"])
        with pytest.raises(InvalidInputError, match="weights"):
            replace(model, weights=model.weights[1:])
        with pytest.raises(InvalidInputError, match="tops"):
            replace(model, tops=np.ones(2, np.float32))
        with pytest.raises(InvalidInputError, match="above 0"):
            replace(model, scales=np.zeros(1, np.float32))
        with pytest.raises(InvalidInputError, match="describe"):
            model.line_weights(np.zeros(2, np.float32))

    def test_names_and_weights_are_as_many(self) -> None:
        model = some_model(np.random.default_rng(0))
        assert len(model.feature_names) == len(model.weights) == len(set(model.feature_names))

    def test_every_source_counts_the_same_before_anything_is_known(self) -> None:
        model = blend_prior(["a", "b"], context=["hour"], product=["age"], personal=["had"])
        lines = model.line_weights(np.array([3], np.float32))
        assert lines[0].tolist() == lines[1].tolist()
        assert model.item_values(np.ones((4, 1), np.float32)).tolist() == [0, 0, 0, 0]


def test_unknown_inputs_count_as_the_mean_and_the_past_is_not_centred() -> None:
    products = np.array([[1], [3], [nan]], np.float32)
    did = np.array([[2.0], [2.0]], np.float32)
    means, scales = standardisation(np.empty((0, 0), np.float32), products, did)
    assert means.tolist() == [2, 0]
    assert scales.tolist() == [1, 2]
    model = blend_prior(["a"], product=["age"], personal=["had"], means=means, scales=scales)
    assert model.standard_products(products).ravel().tolist() == [-1, 1, 0]


# ------------------------------------------------------------------------------------ learning


def told(rng: np.random.Generator, n: int, *, right: str) -> list[Query]:
    """One source knows what is wanted and the other guesses."""
    out = []
    for _ in range(n):
        lists = {name: rng.permutation(N_ITEMS)[:12].astype(np.int32) for name in ("a", "b")}
        scores = np.linspace(1, 0.1, 12, dtype=np.float32)
        parts = [(name, Candidates(rows, scores, rows)) for name, rows in lists.items()]
        # Mostly the first, sometimes the second or third.
        place = min(int(rng.geometric(0.6)) - 1, 11)
        out.append(Query(parts, Situation(), lists[right][place : place + 1]))
    return out


NO_PRODUCTS = Catalog(np.empty((N_ITEMS, 0), np.float32))


def top_of(learned: LearnedBlend, query: Query) -> int:
    found = learned_blend(
        learned.model, query.parts, query.situation, limit=1,
        item_values=np.zeros(N_ITEMS, np.float32),
    )  # fmt: skip
    return int(found.rows[0])


@pytest.mark.parametrize("right", ["a", "b"])
def test_the_source_that_knows_is_believed(right: str) -> None:
    rng = np.random.default_rng(3)
    learned = fit_blend(told(rng, 200, right=right), NO_PRODUCTS, sources=["a", "b"])
    asked = told(rng, 50, right=right)
    place = ["a", "b"].index(right)
    firsts = [int(query.parts[place][1].rows[0]) for query in asked]
    # A later one of its list may come first if the other source names it too.
    assert np.mean([top_of(learned, query) for query in asked] == np.array(firsts)) > 0.85
    weights = source_weights(told(rng, 200, right=right), sources=["a", "b"])
    assert weights[place] == 1
    assert weights[1 - place] < 0.3


def test_a_request_decides_whom_to_believe() -> None:
    rng = np.random.default_rng(4)
    queries = []
    for right, hour in (("a", 0.0), ("b", 1.0)):
        situation = Situation(np.array([hour], np.float32))
        queries += [replace(query, situation=situation) for query in told(rng, 200, right=right)]
    learned = fit_blend(queries, NO_PRODUCTS, sources=["a", "b"], context=["evening"])
    early, late = (learned.model.line_weights(np.array([h], np.float32)) for h in (0, 1))
    assert early[0, 0] > early[1, 0] + 1
    assert late[1, 0] > late[0, 0] + 1


def test_products_and_the_past_of_a_shopper_are_learned() -> None:
    rng = np.random.default_rng(5)
    popularity = rng.normal(size=(N_ITEMS, 1)).astype(np.float32)
    queries = []
    for query in told(rng, 300, right="a"):
        rows = query.parts[0][1].rows
        had = rows[:4]
        wanted = had[np.argmax(popularity[had, 0])]
        did = np.ones((4, 1), np.float32)
        order = np.argsort(had)
        situation = Situation(rows=had[order], did=did)
        queries.append(replace(query, situation=situation, wanted=np.array([wanted])))
    learned = fit_blend(
        queries, Catalog(popularity), sources=["a", "b"], product=["popularity"], personal=["had"]
    )
    weight = dict(zip(learned.model.feature_names, learned.model.weights, strict=True))
    assert weight["popularity"] > 1
    assert weight["had"] > 1


def test_little_data_stays_near_the_prior_and_much_does_not() -> None:
    rng = np.random.default_rng(6)
    prior = blend_prior(["a", "b"]).weights
    few = fit_blend(told(rng, 3, right="a"), NO_PRODUCTS, sources=["a", "b"]).model.weights
    many = fit_blend(told(rng, 300, right="a"), NO_PRODUCTS, sources=["a", "b"]).model.weights
    assert np.abs(few - prior).max() < 0.7 < np.abs(many - prior).max()
    none = fit_blend([], NO_PRODUCTS, sources=["a", "b"])
    assert none.model.weights.tolist() == prior.tolist()
    assert none.n_lessons == 0


def test_the_same_seed_teaches_the_same() -> None:
    first, second = (
        fit_blend(told(np.random.default_rng(7), 60, right="a"), NO_PRODUCTS, sources=["a", "b"])
        for _ in range(2)
    )
    assert first.model.weights.tolist() == second.model.weights.tolist()


def test_a_prior_without_strength_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="strength"):
        fit_blend([], NO_PRODUCTS, sources=["a"], prior_strength=0)


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_newton_finds_where_the_slope_is_0(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lessons = []
    for _ in range(12):
        n = int(rng.integers(2, 7))
        wanted = np.zeros(n, np.float32)
        wanted[rng.integers(n)] = 1
        wanted[rng.integers(n)] += 0.5
        lessons.append(
            Lesson(
                rng.normal(size=(n, 3)).astype(np.float32),
                wanted,
                np.zeros(n, np.float32),
                float(rng.uniform(0.5, 2)),
            )
        )
    together = Lessons(lessons)
    prior, precision = np.array([0.5, 0, -0.5]), np.diag([1.0, 2.0, 3.0])
    weights, curvature = together.most_likely(prior, precision)

    def loss(w: np.ndarray) -> float:
        total = (w - prior) @ precision @ (w - prior) / 2
        for lesson in lessons:
            z = lesson.features.astype(np.float64) @ w
            chances = np.exp(z) / np.exp(z).sum()
            share = lesson.wanted / lesson.wanted.sum()
            total -= lesson.weight * float(share @ np.log(chances))
        return float(total)

    for axis in np.eye(3):
        step = 1e-3 * axis
        slope = (loss(weights + step) - loss(weights - step)) / 2e-3
        assert slope == pytest.approx(0, abs=0.05)
        bent = (loss(weights + step) - 2 * loss(weights) + loss(weights - step)) / 1e-6
        assert axis @ curvature @ axis == pytest.approx(bent, rel=0.05)
