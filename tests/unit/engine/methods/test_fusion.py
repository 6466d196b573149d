"""Several methods as one: ranks, weights, and what is learned on a cut of the training part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.methods import fusion, fusion_members
from recommender.engine.methods.fusion_cuts import (
    Cut,
    cut_once_more,
    kinds_cut,
    purchases_cut,
    sessions_cut,
)
from recommender.engine.methods.fusion_facts import Facts
from recommender.engine.methods.inputs import ItemFacts, Query, Training
from recommender.engine.methods.registry import METHODS
from recommender.engine.online.blending import blend
from recommender.engine.types import Candidates
from tests.unit.engine.methods.worlds import checkerboard, with_kinds

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 40))
def test_reciprocal_rank_fusion_is_the_sum_of_the_reciprocal_ranks(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    expected: dict[int, float] = {}
    for name in ("a", "b", "c"):
        rows = rng.permutation(30)[: rng.integers(0, 20)].astype(np.int32)
        # Whatever the scores are, the ranks alone count.
        scores = np.sort(rng.exponential(size=len(rows)).astype(np.float32))[::-1] + 1
        parts.append((name, 1.0, Candidates(rows, scores, rows)))
        for rank, row in enumerate(rows.tolist(), 1):
            expected[row] = expected.get(row, 0.0) + 1 / (60 + rank)
    found = blend(parts, limit=limit, scaling="reciprocal_rank")
    best = sorted(expected.values(), reverse=True)[:limit]
    assert (found.scores / 61).tolist() == pytest.approx(best, rel=1e-5)
    for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
        assert score / 61 == pytest.approx(expected[row], rel=1e-5)
    for position in range(len(found)):
        shares = found.shares(position)
        assert sum(share for _, _, share in shares) == pytest.approx(found.scores[position])
        assert all(share == pytest.approx(61 / (60 + rank)) for _, rank, share in shares)


class TestCuts:
    def test_what_is_asked_about_purchases_was_bought_after_what_is_known(self) -> None:
        training = checkerboard().training
        assert training.purchases is not None
        cut = purchases_cut(training, np.random.default_rng(0))
        known, all_of_it = cut.training.purchases, training.purchases
        assert known is not None
        assert known.times_s.max() < cut.training.now_s <= all_of_it.times_s.max()
        assert len(known.times_s) < len(all_of_it.times_s)
        for query in cut.queries:
            assert (query.last_at_s < cut.training.now_s).all()
            assert len(query.counts) == len(query.rows) == len(np.unique(query.rows))
        # Nothing that has no time, so that nothing of later can be in it.
        assert cut.training.sessions is None
        assert cut.training.ratings is None
        assert set(cut.training.shoppers) == {"purchase"}
        total = cut.training.shoppers["purchase"].sum()
        assert total == len(known.times_s)

    def test_who_is_asked_about_purchases_is_known_by_their_line(self) -> None:
        # Else their own line would be the shopper most like them, as it is nobody's when asked.
        cut = purchases_cut(checkerboard().training, np.random.default_rng(0))
        lines = cut.training.shoppers["purchase"]
        assert cut.queries
        for query in cut.queries:
            assert lines[query.shopper_row].indices.tolist() == query.rows.tolist()

    def test_sessions_are_asked_for_the_click_that_followed(self) -> None:
        training = replace(checkerboard().training, purchases=None)
        sessions = training.sessions
        assert sessions is not None
        cut = sessions_cut(training, np.random.default_rng(0))
        assert cut.training.sessions is not None
        n = len(cut.training.sessions)
        assert n == int(0.9 * len(sessions))
        clicks = [
            sessions.item_rows[sessions.offsets[s] : sessions.offsets[s + 1]].tolist()
            for s in range(n, len(sessions))
        ]
        pairs = {(tuple(c[:i]), c[i]) for c in clicks for i in range(1, len(c))}
        for query, wanted in zip(cut.queries, cut.wanted, strict=True):
            assert (tuple(query.rows.tolist()), int(wanted[0])) in pairs

    def test_of_several_kinds_one_purchase_is_hidden_and_the_looks_stay(self) -> None:
        training = replace(with_kinds(checkerboard()).training, purchases=None, sessions=None)
        cut = kinds_cut(training, np.random.default_rng(0))
        bought = training.shoppers["purchase"]
        for query, wanted in zip(cut.queries, cut.wanted, strict=True):
            mine = bought[query.shopper_row].indices
            kinds = dict(query.kinds)
            assert wanted[0] in mine
            assert wanted[0] not in kinds["purchase"]
            assert wanted[0] not in query.removed
            assert len(kinds["purchase"]) == len(mine) - 1
            viewed = training.shoppers["view_item"][query.shopper_row].indices
            assert sorted(kinds["view_item"].tolist()) == sorted(viewed.tolist())
        left = cut.training.shoppers["purchase"]
        assert left.nnz == bought.nnz - len(cut.queries)

    def test_where_nobody_buys_one_of_the_first_kind_is_hidden(self) -> None:
        shoppers = with_kinds(checkerboard()).training.shoppers
        looks = {"add_to_cart": shoppers["purchase"], "view_item": shoppers["view_item"]}
        training = Training(checkerboard().training.n_items, shoppers=looks)
        cut = cut_once_more(training, max_queries=50, seed=0)
        assert set(cut.training.shoppers) == set(looks)
        for query, wanted in zip(cut.queries, cut.wanted, strict=True):
            kinds = dict(query.kinds)
            assert wanted[0] in looks["add_to_cart"][query.shopper_row].indices
            assert wanted[0] not in kinds["add_to_cart"]
        model = fusion.fit_weighted_blend(training, METHODS["weighted_blend"].parameters({}), 0)
        assert len(model.recommend(cut.queries[0], 3)) == 3

    @pytest.mark.parametrize("kind", ["baskets", "shoppers"])
    def test_what_is_hidden_is_not_in_the_question(self, kind: str) -> None:
        training = checkerboard().training
        bare = Training(training.n_items, **{kind: getattr(training, kind)})
        cut = cut_once_more(bare, max_queries=50, seed=0)
        assert len(cut.queries) <= 50
        for query, wanted in zip(cut.queries, cut.wanted, strict=True):
            assert len(wanted)
            assert not set(wanted.tolist()) & set(query.rows.tolist())
            assert not query.repeats_allowed

    def test_too_little_is_refused(self) -> None:
        with pytest.raises(EmptyInputError, match="history"):
            cut_once_more(Training(3), max_queries=9, seed=0)


class TestFacts:
    def test_a_shopper_s_past_is_counted_in_logarithms(self) -> None:
        day = 86_400
        query = Query(
            np.array([4, 2], np.int32),
            removed=np.empty(0, np.int32),
            counts=np.array([1, 3], np.int32),
            last_at_s=np.array([100 * day, 90 * day], np.int64),
        )
        facts = Facts.of(replace(checkerboard().training, now_s=101 * day), query)
        situation = facts.situation(query)
        assert situation.rows.tolist() == [2, 4]
        did = dict(zip(facts.personal, situation.did.T.tolist(), strict=True))
        assert did["had"] == [1, 1]
        assert did["had_times"] == pytest.approx(np.log1p([3, 1]))
        assert did["had_days_ago"] == pytest.approx(np.log1p([11, 1]))
        assert did["had_twice"] == [1, 0]
        context = dict(zip(facts.context, situation.context.tolist(), strict=True))
        assert context["idle"] == pytest.approx(np.log1p(1))

    def test_a_session_knows_its_newest_click(self) -> None:
        query = Query(np.array([5, 7, 5, 9, -1], np.int32), removed=np.empty(0, np.int32))
        facts = Facts.of(checkerboard().training, query)
        situation = facts.situation(query)
        assert situation.rows.tolist() == [5, 7, 9]
        did = dict(zip(facts.personal, situation.did.T.tolist(), strict=True))
        assert did["newest"] == [0, 0, 1]
        assert did["second"] == [1, 0, 0]
        assert did["earlier"] == pytest.approx([1 / 2, 1 / 3, 1])

    def test_the_clock_is_a_circle(self) -> None:
        # A Thursday, six in the morning; two days later at noon.
        query = Query(np.array([1], np.int32), np.empty(0, np.int32), at_s=6 * 3_600)
        facts = Facts.of(checkerboard().training, query)
        assert facts.situation(query).context[1:] == pytest.approx([1, 0, 0], abs=1e-6)
        later = replace(query, at_s=2 * 86_400 + 12 * 3_600)
        assert facts.situation(later).context[1:] == pytest.approx([0, -1, 1], abs=1e-6)

    def test_a_usual_price_is_the_median_of_those_that_are_known(self) -> None:
        prices = np.full(checkerboard().training.n_items, np.nan, np.float32)
        prices[[1, 2, 3]] = (1, 10, 100)
        training = replace(checkerboard().training, facts=ItemFacts(prices=prices))
        query = Query(np.array([1, 2, 3, 4], np.int32), np.empty(0, np.int32))
        facts = Facts.of(training, query)
        assert facts.situation(query).usual_log_price == pytest.approx(np.log(10))
        assert np.isnan(facts.situation(replace(query, rows=query.rows[3:])).usual_log_price)


class TestMembers:
    def test_who_takes_part_depends_on_what_there_is(self) -> None:
        training = checkerboard().training
        of = {
            name: [m.name for m in fusion_members.members_for(given)]
            for name, given in {
                "purchases": training,
                "sessions": replace(training, purchases=None),
                "baskets": Training(training.n_items, baskets=training.baskets),
            }.items()
        }
        assert "buy_again" in of["purchases"]
        assert of["sessions"][0] == "next_click"
        assert "next_click" not in of["baskets"]

    def test_every_kind_of_event_is_a_source_of_its_own(self) -> None:
        training = with_kinds(checkerboard()).training
        given = Training(training.n_items, shoppers=training.shoppers)
        names = [member.name for member in fusion_members.members_for(given)]
        assert {"for_you", "also_viewed view_item", "also_viewed purchase"} <= set(names)

    def test_who_only_knows_what_sells_does_not_answer_for_all(self) -> None:
        training = checkerboard().training
        model = fusion.fit_reciprocal_rank(training, {}, 0)
        nobody = Query(np.empty(0, np.int32), np.empty(0, np.int32))
        assert all(not len(part) for _, part in model.panel.ask(nobody, 5))
        assert model.unknown(nobody) is not None

    def test_nothing_to_learn_from_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="history"):
            fusion.completed(Training(5))


class TestLearned:
    def test_it_is_learned_from_the_cut_alone_and_served_by_members_of_everything(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What comes after the cut is only asked for: members of the cut never see it."""
        training = replace(checkerboard().training, sessions=None)
        fitted: list[Training] = []
        original = fusion.Panel.of.__func__  # type: ignore[attr-defined]

        def noted(cls: type, members: object, given: Training, seed: int) -> fusion.Panel:
            fitted.append(given)
            return original(cls, members, given, seed)  # type: ignore[no-any-return]

        monkeypatch.setattr(fusion.Panel, "of", classmethod(noted))
        method = METHODS["learned_blend"]
        model = method.fit(training, method.defaults, 0)
        assert isinstance(model, fusion.Learned)
        whole, then = fitted
        assert whole.purchases is not None
        assert then.purchases is not None
        assert len(then.purchases.times_s) < len(whole.purchases.times_s)
        assert then.purchases.times_s.max() < then.now_s <= whole.now_s
        assert model.all_items.n_lessons > 0

    def test_without_a_cut_the_prior_decides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def too_little(*_args: object, **_options: object) -> Cut:
            raise EmptyInputError("there is too little history to be cut once more")

        monkeypatch.setattr(fusion, "cut_once_more", too_little)
        method = METHODS["learned_blend"]
        world = checkerboard()
        model = method.fit(world.training, method.defaults, 0)
        assert isinstance(model, fusion.Learned)
        assert model.all_items.n_lessons == 0
        assert len(model.recommend(world.histories[0].query, 5)) == 5

    def test_answers_keep_the_shares_of_their_sources(self) -> None:
        method = METHODS["learned_blend"]
        world = checkerboard()
        model = method.fit(world.training, method.defaults, 0)
        assert isinstance(model, fusion.Learned)
        query = world.histories[0].query
        both = model.blended(query, model.panel.ask(query, 5), 5)
        for position in range(len(both)):
            shares = both.shares(position)
            assert sum(share for _, _, share in shares) == pytest.approx(both.scores[position])
        sources, _ = both.leading(np.arange(len(both)))
        assert all(model.panel.names[source] for source in sources)

    def test_weights_of_a_plain_blend_are_between_0_and_1(self) -> None:
        method = METHODS["weighted_blend"]
        model = method.fit(checkerboard().training, method.defaults, 0)
        assert isinstance(model, fusion.Weighted)
        assert max(model.weights) == 1
        assert min(model.weights) >= 0
