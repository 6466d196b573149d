"""Clicks change the weights of a blend: a little, honestly, and never for the worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.learned_blend import LearnedBlend, blend_prior
from recommender.engine.offline.learned_blend_features import Catalog, blend_features
from recommender.engine.offline.learned_blend_updates import (
    MAX_WEIGHT,
    Impression,
    fit_blend_on_impressions,
    impression_lessons,
    update_blend,
)
from recommender.engine.online.learned_blend import Situation
from recommender.engine.types import Candidates

N_ITEMS = 40
CATALOG = Catalog(np.empty((N_ITEMS, 0), np.float32))
SOURCES = ["a", "b"]
PLACES = 6


def shown(
    rng: np.random.Generator, *, right: str | None, propensity: float = 1.0, bias: float = 0.0
) -> Impression:
    """Six products of two sources; clicked by what the right one says, or by place alone."""
    lists = {name: rng.permutation(N_ITEMS)[:10].astype(np.int32) for name in SOURCES}
    scores = np.linspace(1, 0.1, 10, dtype=np.float32)
    parts = [(name, Candidates(rows, scores, rows)) for name, rows in lists.items()]
    rows = np.unique(np.concatenate([part.rows for _, part in parts]))
    items = rng.permutation(rows)[:PLACES].astype(np.int32)
    z = -bias * np.log2(np.arange(1, PLACES + 1) + 1.0)
    if right is not None:
        said = dict(zip(lists[right].tolist(), (3 * scores).tolist(), strict=True))
        z = z + np.array([said.get(row, 0.0) for row in items.tolist()])
    chances = np.exp(z) / np.exp(z).sum()
    clicked = np.zeros(PLACES, np.bool_)
    clicked[rng.choice(PLACES, p=chances)] = True
    return Impression(parts, Situation(), items, clicked, np.full(PLACES, propensity, np.float32))


def log_of(
    n: int, *, seed: int = 0, right: str | None = "a", bias: float = 0.0
) -> list[Impression]:
    rng = np.random.default_rng(seed)
    return [shown(rng, right=right, bias=bias) for _ in range(n)]


def before() -> LearnedBlend:
    return fit_blend_on_impressions(blend_prior(SOURCES), [], CATALOG)


def weight(learned: LearnedBlend, name: str) -> float:
    return float(learned.model.weights[learned.model.feature_names.index(name)])


def test_what_is_clicked_teaches_whom_to_believe() -> None:
    learned = fit_blend_on_impressions(blend_prior(SOURCES), log_of(600), CATALOG)
    assert weight(learned, "a.scaled") > weight(learned, "b.scaled") + 0.5
    assert learned.model.version == 1
    assert learned.n_lessons > 500


def test_a_place_that_is_looked_at_first_is_not_taken_for_a_good_product() -> None:
    """The best of source a always stand first; clicks follow places alone."""
    rng = np.random.default_rng(1)
    biased = []
    for _ in range(1500):
        one = shown(rng, right=None, bias=1.5)
        score = dict(
            zip(one.parts[0][1].rows.tolist(), one.parts[0][1].scores.tolist(), strict=True)
        )
        noise = rng.normal(size=PLACES) * 0.3
        order = np.argsort(-np.array([score.get(row, 0) for row in one.shown.tolist()]) + noise)
        biased.append(replace(one, shown=one.shown[order]))
    learned = fit_blend_on_impressions(blend_prior(SOURCES), biased, CATALOG, prior_strength=1)
    lessons = impression_lessons(blend_prior(SOURCES), biased, CATALOG)
    n = len(learned.model.weights)
    # Without the columns of the place the same clicks seem to praise the source.
    blind = [replace(lesson, features=lesson.features[:, :n]) for lesson in lessons]
    z_seen, z_blind = (
        _says(first, learned_weights)
        for first, learned_weights in (
            (lessons, learned.model.weights),
            (blind, _without_places(blind, n)),
        )
    )
    assert abs(z_seen) < 0.5 * abs(z_blind)


def _without_places(lessons: list, n: int) -> np.ndarray:  # type: ignore[type-arg]
    from recommender.engine.offline.learned_blend_lessons import Lessons

    prior = blend_prior(SOURCES).weights.astype(np.float64)
    together = Lessons(lessons)
    return together.most_likely(prior, np.diag(np.maximum(together.spread(n), 0.1) ** 2))[0]


def _says(lessons: list, weights: np.ndarray) -> float:  # type: ignore[type-arg]
    """What the first of source a is ahead of its last, beyond the same of source b."""
    ahead = np.zeros(len(weights))
    ahead[:3] = (0.9, 1 / 3, 1 - 21 / 30)
    ahead[5:8] = -ahead[:3]
    return float(ahead @ weights)


def test_a_click_counts_by_its_inverse_propensity_up_to_a_limit() -> None:
    rng = np.random.default_rng(2)
    chances = [1.0, 0.5, 0.001]
    given = [shown(rng, right="a", propensity=chance) for chance in chances]
    weights = [lesson.weight for lesson in impression_lessons(blend_prior(SOURCES), given, CATALOG)]
    assert np.mean(weights) == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights[2] / weights[0] == pytest.approx(MAX_WEIGHT)


def test_what_no_source_named_and_what_was_not_clicked_teaches_nothing() -> None:
    one = shown(np.random.default_rng(3), right="a")
    none = replace(one, clicked=np.zeros(PLACES, np.bool_))
    rows, _ = blend_features(blend_prior(SOURCES), one.parts, one.situation, CATALOG)
    pinned = np.setdiff1d(np.arange(N_ITEMS), rows)[:1].astype(np.int32)
    place = int(one.clicked.argmax())
    changed = one.shown.copy()
    changed[place] = pinned[0]
    assert impression_lessons(blend_prior(SOURCES), [none], CATALOG) == []
    assert impression_lessons(blend_prior(SOURCES), [replace(one, shown=changed)], CATALOG) == []


@pytest.mark.parametrize("propensity", [0.0, 1.5])
def test_an_impossible_propensity_is_refused(propensity: float) -> None:
    with pytest.raises(InvalidInputError, match="propensity"):
        shown(np.random.default_rng(0), right="a", propensity=propensity)


class TestUpdate:
    def test_good_news_are_taken_and_step_by_step_lead_where_one_fit_does(self) -> None:
        learned = before()
        for part in range(5):
            update = update_blend(learned, log_of(300, seed=part), CATALOG)
            assert update.refused is None
            assert update.loss_after <= update.loss_before + 0.01
            learned = update.learned
        assert learned.model.version == 5
        assert weight(learned, "a.scaled") > weight(learned, "b.scaled") + 0.5

    def test_no_weight_moves_further_than_the_limit(self) -> None:
        old = before()
        free = update_blend(old, log_of(800), CATALOG, max_step=100)
        bound = update_blend(old, log_of(800), CATALOG, max_step=0.02)
        assert free.shortened == 1
        assert free.step > 0.05
        assert bound.refused is None
        assert bound.step == pytest.approx(0.02)
        moved = bound.learned.model.weights - old.model.weights
        whole = free.learned.model.weights - old.model.weights
        np.testing.assert_allclose(moved, whole * bound.shortened, atol=1e-5)

    def test_news_that_the_newest_impressions_contradict_are_refused(self) -> None:
        """An attack, or a broken log: the older part praises b, the newest goes on with a."""
        old = fit_blend_on_impressions(blend_prior(SOURCES), log_of(500), CATALOG)
        news = log_of(400, seed=1, right="b") + log_of(100, seed=2)
        update = update_blend(old, news, CATALOG, max_step=100)
        assert update.learned is old
        assert update.refused is not None
        assert "less likely" in update.refused
        assert update.loss_after > update.loss_before + 0.01

    def test_the_same_news_are_taken_where_more_loss_is_allowed(self) -> None:
        old = fit_blend_on_impressions(blend_prior(SOURCES), log_of(500), CATALOG)
        news = log_of(400, seed=1, right="b") + log_of(100, seed=2)
        assert update_blend(old, news, CATALOG, max_step=100, max_worse=9).refused is None

    def test_too_few_clicks_to_be_judged_by_change_nothing(self) -> None:
        old = before()
        update = update_blend(old, log_of(50), CATALOG)
        assert update.learned is old
        assert update.refused == "10 held-out impressions with clicks are too few, 20 are enough"
        silent = [replace(one, clicked=np.zeros(PLACES, np.bool_)) for one in log_of(200)]
        assert update_blend(old, silent, CATALOG).refused is not None

    def test_everything_held_out_teaches_nothing(self) -> None:
        assert "held out" in str(update_blend(before(), log_of(60), CATALOG, tail_share=1).refused)

    def test_an_old_certainty_fades(self) -> None:
        old = fit_blend_on_impressions(blend_prior(SOURCES), log_of(800), CATALOG)
        news = log_of(400, seed=9, right="b")
        slow, quick = (
            update_blend(old, news, CATALOG, max_step=100, forgetting=forgetting)
            for forgetting in (1.0, 0.1)
        )
        assert slow.refused is None
        assert quick.refused is None
        assert weight(quick.learned, "b.scaled") > weight(slow.learned, "b.scaled")
