"""Profiles, popularity, eligibility, blending and diversity on worlds small enough to check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.blending import blend
from recommender.engine.online.diversity import rerank
from recommender.engine.online.eligibility import allowed_rows, eligible_items, keep, without_rows
from recommender.engine.online.popular import rank_all, recently_viewed, top_in_group, top_scored
from recommender.engine.online.profiles import buy_again
from recommender.engine.types import Candidates, Float32Array

DAY = 86_400


def candidates(rows: list[int], scores: list[float]) -> Candidates:
    return Candidates(
        np.array(rows, np.int32), np.array(scores, np.float32), np.array(rows, np.int32) + 100
    )


class TestBuyAgain:
    interval = np.array([10, 10, 10, 10], np.float32)
    chance = np.array([0.5, 0.5, 0.5, 0.1], np.float32)

    def ask(
        self, rows: list[int], counts: list[int], days_ago: list[float], **options: float
    ) -> Candidates:
        last = [int((100 - days) * DAY) for days in days_ago]
        return buy_again(
            rows, counts, last, interval_days=self.interval, repeat_probability=self.chance,
            now_s=100 * DAY, limit=10, **options,  # type: ignore[arg-type]
        )  # fmt: skip

    def test_what_is_running_out_comes_before_what_was_just_bought_or_given_up(self) -> None:
        found = self.ask([0, 1, 2], [1, 1, 1], [1, 10, 90])
        assert found.rows[0] == 1
        assert found.scores[0] == pytest.approx(0.5**0.25)

    def test_the_score_is_the_formula(self) -> None:
        found = self.ask([3], [4], [20], frequency_exponent=0.5, repeat_exponent=2, urgency=1)
        assert found.scores[0] == pytest.approx(4**0.5 * 0.1**2 * (2 * 2 / (1 + 4)))
        assert found.because.tolist() == [3]

    def test_with_only_frequency_these_are_the_most_frequent_products(self) -> None:
        found = self.ask([2, 0, 1], [2, 5, 5], [3, 3, 0], repeat_exponent=0, urgency=0)
        assert found.rows.tolist() == [0, 1, 2]

    def test_a_season_that_is_over_moves_back(self) -> None:
        demand = np.array([0, 8, 8, 8], np.float32)
        found = buy_again(
            [0, 1], [2, 2], [0, 0], interval_days=self.interval, repeat_probability=self.chance,
            now_s=10 * DAY, limit=2, demand=demand, demand_exponent=0.5,
        )  # fmt: skip
        assert found.rows.tolist() == [1, 0]
        assert found.scores[0] / found.scores[1] == pytest.approx(3)

    def test_unknown_items_and_yesterday_s_purchases_can_be_left_out(self) -> None:
        assert self.ask([-1, 9, 1], [1, 1, 1], [5, 5, 5]).rows.tolist() == [1]
        assert self.ask([0, 1], [1, 1], [1, 5], min_days=2).rows.tolist() == [1]
        assert len(self.ask([], [], [])) == 0
        with pytest.raises(InvalidInputError, match="length"):
            self.ask([0], [1, 2], [3])


@given(
    scores=st.lists(st.integers(-1, 5), max_size=20),
    limit=st.integers(0, 8),
    ranked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_top_scored_walks_down_the_ranking_past_what_is_not_eligible(
    scores: list[int], limit: int, ranked: bool, seed: int
) -> None:
    values = np.array(scores, np.float32)
    eligible = np.random.default_rng(seed).random(len(scores)) < 0.6
    expected = [
        i for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        if scores[i] > 0 and eligible[i]
    ][:limit]  # fmt: skip
    ranking = rank_all(values) if ranked else None
    found = top_scored(values, limit=limit, eligible=eligible, ranking=ranking)
    assert found.rows.tolist() == expected
    assert found.scores.tolist() == [scores[i] for i in expected]
    assert set(found.because.tolist()) <= {-1}


def test_a_ranking_is_walked_beyond_its_first_window() -> None:
    values = np.arange(2000, 0, -1).astype(np.float32)
    eligible = np.arange(2000) >= 1500
    found = top_scored(values, limit=3, eligible=eligible, ranking=rank_all(values))
    assert found.rows.tolist() == [1500, 1501, 1502]


def test_leaders_of_several_categories_are_merged_by_score() -> None:
    offsets, rows = np.array([0, 2, 3]), np.array([4, 1, 0], np.int32)
    scores = np.array([2, 1, 0, 0, 3], np.float32)
    assert top_in_group(offsets, rows, scores, [0, 1, 7], limit=9).rows.tolist() == [4, 0, 1]
    eligible = np.array([True, True, True, True, False])
    assert top_in_group(offsets, rows, scores, 0, limit=9, eligible=eligible).rows.tolist() == [1]
    assert len(top_in_group(offsets, rows, scores, 9, limit=9)) == 0


def test_recently_viewed_is_newest_first_each_once_and_only_what_may_be_shown() -> None:
    found = recently_viewed([1, 2, 1, -1, 3], limit=9, eligible=np.array([True] * 3))
    assert found.rows.tolist() == [1, 2]
    assert found.scores.tolist() == [1.0, 0.5]


def test_eligible_means_available_not_hidden_priced_and_in_the_market() -> None:
    yes = np.array([True] * 5)
    mask = eligible_items(
        np.array([False, True, True, True, True]),
        hidden=np.array([False, True, False, False, False]),
        priced=np.array([True, True, False, True, True]),
        in_market=np.array([True, True, True, False, True]),
    )
    assert mask.tolist() == [False] * 4 + [True]
    assert without_rows(yes, [0, -1, 77]).tolist() == [False] + [True] * 4
    assert yes.all()
    rows = np.array([4, 0, 3], np.int32)
    allowed = allowed_rows(rows, eligible=mask | (np.arange(5) == 3), excluded=[3])
    assert allowed.tolist() == [True, False, False]
    assert keep(candidates([4, 0, 3], [3, 2, 1]), allowed).rows.tolist() == [4]


class TestBlending:
    first = candidates([4, 2, 7], [8, 4, 2])
    second = candidates([2, 9], [0.2, 0.1])

    def test_scores_are_weighted_sums_of_scores_scaled_by_their_largest(self) -> None:
        both = blend([("a", 1.0, self.first), ("b", 0.6, self.second)], limit=9)
        assert both.rows.tolist() == [2, 4, 9, 7]
        np.testing.assert_allclose(both.scores, [0.5 + 0.6, 1, 0.3, 0.25], rtol=1e-6)
        assert [both.shares(position) for position in range(4)] == [
            [(0, 2, 0.5), (1, 1, pytest.approx(0.6))],
            [(0, 1, 1.0)],
            [(1, 2, pytest.approx(0.3))],
            [(0, 3, 0.25)],
        ]
        assert both.leading(np.arange(4)) == ([1, 0, 1, 0], [102, 104, 109, 107])

    def test_ranks_stay_those_of_the_source_when_the_first_is_sold_out(self) -> None:
        eligible = np.ones(10, np.bool_)
        eligible[4] = False
        both = blend([("a", 1.0, self.first)], allowed=eligible.take, limit=9)
        assert both.rows.tolist() == [2, 7]
        assert both.scores.tolist() == [1.0, 0.5]
        assert [rank for n in range(2) for _, rank, _ in both.shares(n)] == [2, 3]

    @pytest.mark.parametrize(
        ("scaling", "expected"),
        [("rank", [1, 21 / 22, 21 / 23]), ("max", [1, 0.5, 0.25]), ("sum", [4 / 7, 2 / 7, 1 / 7]),
         ("none", [8, 4, 2])],
    )  # fmt: skip
    def test_each_scaling_is_its_formula(self, scaling: str, expected: list[float]) -> None:
        both = blend([("a", 1.0, self.first)], limit=9, scaling=scaling)
        np.testing.assert_allclose(both.scores, expected, rtol=1e-6)

    @given(factor=st.floats(0.01, 100), scaling=st.sampled_from(["rank", "max", "sum"]))
    def test_the_scale_of_a_source_does_not_matter(self, factor: float, scaling: str) -> None:
        louder = Candidates(
            self.first.rows, self.first.scores * np.float32(factor), self.first.because
        )
        one = blend([("a", 1.0, self.first), ("b", 1.0, self.second)], limit=9, scaling=scaling)
        two = blend([("a", 1.0, louder), ("b", 1.0, self.second)], limit=9, scaling=scaling)
        np.testing.assert_allclose(one.scores, two.scores, rtol=1e-5)

    def test_nothing_in_nothing_out_and_weight_0_adds_nothing(self) -> None:
        nothing = blend([("a", 1.0, Candidates.empty())], limit=9)
        assert len(nothing) == 0
        assert nothing.leading(np.empty(0, np.int64)) == ([], [])
        muted = blend([("a", 0.0, self.first), ("b", 1.0, self.second)], limit=9)
        assert muted.rows.tolist() == [2, 9]
        assert muted.shares(0) == [(0, 2, 0.0), (1, 1, 1.0)]

    def test_impossible_weights_and_scalings_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="negative"):
            blend([("a", -1.0, self.first)], limit=1)
        with pytest.raises(InvalidInputError, match="scaling"):
            blend([("a", 1.0, self.first)], limit=1, scaling="loud")


def slow_mmr(scores: list[float], vectors: Float32Array, t: float, limit: int) -> list[int]:
    low, high = min(scores), max(scores)
    relevance = [(s - low) / ((high - low) or 1) for s in scores]
    chosen: list[int] = []
    while len(chosen) < min(limit, len(scores)):
        values = {
            i: (1 - t) * relevance[i] - t * max([float(vectors[i] @ vectors[j]) for j in chosen] or [0])
            for i in range(len(scores)) if i not in chosen
        }  # fmt: skip
        chosen.append(max(values, key=lambda i: (values[i], -i)))
    return chosen


@given(
    seed=st.integers(0, 9999), t=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), limit=st.integers(1, 8)
)
def test_reranking_is_greedy_mmr(seed: int, t: float, limit: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((20, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    rows = rng.permutation(20)[:7].astype(np.int32)
    scores = np.sort(rng.random(7).astype(np.float32))[::-1]
    found = rerank(rows, scores, vectors=vectors, trade_off=t, limit=limit)
    assert found.tolist() == slow_mmr(scores.tolist(), vectors[rows], t, limit)


@pytest.mark.parametrize("trade_off", [0.0, 0.4])
def test_caps_hold_and_shorten_the_answer_only_when_they_must(trade_off: float) -> None:
    rows = np.arange(6, dtype=np.int32)
    scores = np.arange(6, 0, -1).astype(np.float32)
    vectors = np.eye(6, dtype=np.float32)
    brands = np.array([0, 0, 0, 1, -1, -1], np.int32)
    found = rerank(
        rows, scores, vectors=vectors, trade_off=trade_off, limit=6, brand_codes=brands,
        max_per_brand=1,
    )  # fmt: skip
    assert found.tolist() == [0, 3, 4, 5]
    both = rerank(
        rows, scores, vectors=vectors, trade_off=trade_off, limit=6, brand_codes=brands,
        max_per_brand=2, category_codes=np.zeros(6, np.int32), max_per_category=3,
    )  # fmt: skip
    assert both.tolist() == [0, 1, 3]


def test_impossible_diversity_is_refused_and_nothing_stays_nothing() -> None:
    empty = Candidates.empty()
    assert len(rerank(empty.rows, empty.scores, vectors=None, trade_off=0.5, limit=3)) == 0
    with pytest.raises(InvalidInputError, match="trade_off"):
        rerank(empty.rows, empty.scores, vectors=None, trade_off=1.5, limit=3)
    with pytest.raises(InvalidInputError, match="cap"):
        rerank(empty.rows, empty.scores, vectors=None, trade_off=0, limit=3, max_per_brand=0)
