"""Boosted trees over a blend: walks and questions against loops, and that they must earn their place."""

from __future__ import annotations

from math import exp, isnan, log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline import learned_blend_trees as growing
from recommender.engine.offline.learned_blend_trees import RankedLesson, fit_trees
from recommender.engine.online.blending import Blended
from recommender.engine.online.learned_blend import Situation, learned_blend
from recommender.engine.online.learned_blend_trees import (
    OF_SOURCE,
    SymmetricTrees,
    corrected,
    first_of,
    tree_inputs,
)
from tests.unit.engine.test_learned_blend import (
    SOURCES,
    candidates,
    some_catalog,
    some_model,
    some_situation,
)

seeds = st.integers(0, 2**32 - 1)


def some_list(rng: np.random.Generator, limit: int = 30) -> Blended:
    model, catalog = some_model(rng), some_catalog(rng)
    parts = [(name, candidates(rng, int(rng.integers(0, 25)))) for name in SOURCES]
    values = np.ascontiguousarray(model.item_values(catalog.products))
    return learned_blend(model, parts, some_situation(rng), item_values=values, limit=limit)


class TestTrees:
    @given(seeds, st.integers(1, 4), st.integers(0, 6))
    def test_an_answer_is_the_sum_of_the_leaves_that_the_questions_lead_to(
        self, seed: int, depth: int, n_trees: int
    ) -> None:
        rng = np.random.default_rng(seed)
        inputs = rng.integers(0, 4, (7, 3)).astype(np.float32)
        trees = SymmetricTrees(
            rng.integers(0, 3, (n_trees, depth)).astype(np.int32),
            rng.choice([0, 1, 2, np.inf], (n_trees, depth)).astype(np.float32),
            rng.integers(-8, 8, (n_trees, 2**depth)).astype(np.float32),
        )
        expected = []
        for line in inputs.tolist():
            total = 0.0
            for tree in range(n_trees):
                digits = [
                    "1" if line[feature] > threshold else "0"
                    for feature, threshold in zip(
                        trees.features[tree].tolist(), trees.thresholds[tree].tolist(), strict=True
                    )
                ]
                total += float(trees.leaves[tree, int("".join(digits), 2)])
            expected.append(total)
        assert trees.values(inputs).tolist() == expected

    def test_arrays_that_do_not_fit_each_other_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="don't fit 2 trees of depth 3"):
            SymmetricTrees(
                np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32), np.zeros((2, 4), "f4")
            )


class TestInputs:
    @given(seeds)
    @settings(deadline=None)
    def test_they_are_what_a_loop_over_items_finds(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        model, catalog, situation = some_model(rng), some_catalog(rng), some_situation(rng)
        parts = [(name, candidates(rng, int(rng.integers(0, 25)))) for name in SOURCES]
        values = np.ascontiguousarray(model.item_values(catalog.products))
        head = learned_blend(model, parts, situation, item_values=values, limit=12)
        found = tree_inputs(model, head, situation, catalog.products, catalog.log_prices)
        assert catalog.log_prices is not None
        had = [catalog.products[row].tolist() for row in situation.rows.tolist()]
        assert len(found) == len(head)
        for place, row in enumerate(head.rows.tolist()):
            expected: list[float] = []
            for number, (_, part) in enumerate(parts):
                kept = [(r, s) for r, s in zip(part.rows, part.scores, strict=True) if s > 0]
                own = next(((i, s) for i, (r, s) in enumerate(kept) if r == row), None)
                if own is None:
                    expected += [0.0] * len(OF_SOURCE)
                    continue
                rank, score = own
                expected += [
                    max(1 + log(score / kept[0][1]) / log(1000), 0),
                    21 / (21 + rank),
                    min(score / float(model.tops[number]), 5),
                ]
            expected += [log(float(head.scores[place])), place]
            product = catalog.products[row].tolist()
            expected += [0.0 if isnan(value) else value for value in product]
            for column, value in enumerate(product):
                known = [line[column] for line in had if not isnan(line[column])]
                usual = sum(known) / len(known) if known else nan
                expected.append(0.0 if isnan(value - usual) else value - usual)
            did = dict(zip(situation.rows.tolist(), situation.did.tolist(), strict=True))
            expected += did.get(row, [0.0, 0.0])
            gap = float(catalog.log_prices[row]) - situation.usual_log_price
            expected.append(0.0 if isnan(gap) else min(max(gap, -3.0), 3.0))
            expected += [0.0 if isnan(value) else value for value in situation.context.tolist()]
            assert found[place].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)

    def test_of_nothing_there_is_nothing(self) -> None:
        rng = np.random.default_rng(0)
        model = some_model(rng)
        parts = [(name, candidates(rng, 0)) for name in SOURCES]
        catalog = some_catalog(rng)
        situation = Situation(context=np.zeros(2, np.float32))
        values = np.zeros(60, np.float32)
        head = learned_blend(model, parts, situation, item_values=values, limit=5)
        assert len(tree_inputs(model, head, situation, catalog.products)) == 0


class TestCorrected:
    @given(seeds, st.integers(1, 30))
    @settings(deadline=None)
    def test_the_head_is_ordered_by_what_was_said_plus_what_is_added(
        self, seed: int, n_head: int
    ) -> None:
        rng = np.random.default_rng(seed)
        both = some_list(rng)
        added = rng.normal(size=min(n_head, len(both))).astype(np.float32)
        found = corrected(both, added)
        assert sorted(found.rows.tolist()) == sorted(both.rows.tolist())
        n = len(added)
        said = dict(
            zip(both.rows[:n].tolist(), (np.log(both.scores[:n]) + added).tolist(), strict=True)
        )
        if said:
            best = max(said.values())
            for row, score in zip(found.rows[:n].tolist(), found.scores[:n].tolist(), strict=True):
                if score > 1e-29 and row in said:
                    assert score == pytest.approx(exp(said[row] - best), rel=1e-4)
        assert (np.diff(found.scores) <= 0).all()
        for position in range(len(found)):
            shares = found.shares(position)
            assert sum(share for *_, share in shares) == pytest.approx(
                found.scores[position], rel=1e-4
            )

    def test_what_is_behind_the_head_stays_behind_it_in_its_order(self) -> None:
        both = some_list(np.random.default_rng(3))
        assert len(both) > 6
        found = corrected(both, np.array([0, -9, 4], np.float32))
        assert found.rows[3:].tolist() == both.rows[3:].tolist()
        assert sorted(found.rows[:3].tolist()) == sorted(both.rows[:3].tolist())
        assert found.rows[0] == both.rows[2] or both.scores[2] * exp(4) < both.scores[0]

    def test_with_nothing_added_nothing_changes(self) -> None:
        both = some_list(np.random.default_rng(1))
        for added in (np.zeros(0, np.float32), np.zeros(5, np.float32)):
            found = corrected(both, added)
            assert found.rows.tolist() == both.rows.tolist()
            assert found.scores == pytest.approx(both.scores)

    def test_the_first_are_the_first(self) -> None:
        both = some_list(np.random.default_rng(1))
        first = first_of(both, 4)
        assert first.rows.tolist() == both.rows[:4].tolist()
        assert [first.shares(i) for i in range(4)] == [both.shares(i) for i in range(4)]
        assert first_of(both, 99) is both


def lessons_of(rng: np.random.Generator, n: int, *, rule: bool) -> list[RankedLesson]:
    """Of ten candidates one is wanted: with a rule the one of which exactly one of two facts holds."""
    out = []
    for _ in range(n):
        facts = rng.integers(0, 2, (10, 2))
        inputs = np.concatenate([facts, rng.normal(size=(10, 2))], axis=1).astype(np.float32)
        odds = np.where(facts.sum(axis=1) == 1, 20.0, 1.0) if rule else np.ones(10)
        wanted = np.zeros(10, np.float32)
        wanted[rng.choice(10, p=odds / odds.sum())] = 1
        out.append(RankedLesson(inputs, np.zeros(10, np.float32), wanted))
    return out


class TestGrowing:
    def test_what_no_sum_of_facts_can_say_is_learned(self) -> None:
        lessons = lessons_of(np.random.default_rng(0), 500, rule=True)
        found = fit_trees(lessons, seed=0, depth=3)
        assert found.gain > 4 * found.gain_error > 0
        facts = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]], np.float32)
        neither, second, first, both = found.trees.values(facts).tolist()
        # The odds of the rule are 20 to 1, 3 in logarithms, of which shrinking leaves a part.
        assert min(first, second) - max(neither, both) > 1.5

    def test_where_there_is_nothing_to_learn_no_tree_is_kept(self) -> None:
        for seed in range(3):
            lessons = lessons_of(np.random.default_rng(seed), 200, rule=False)
            found = fit_trees(lessons, seed=0)
            assert found.gain <= 3 * max(found.gain_error, 1e-9)
            assert len(found.trees) == 0 or found.gain > found.gain_error

    def test_a_few_lessons_teach_no_tree(self) -> None:
        found = fit_trees(lessons_of(np.random.default_rng(0), 39, rule=True), seed=0)
        assert (len(found.trees), found.n_lessons, found.gain) == (0, 39, 0.0)
        assert found.trees.values(np.zeros((2, 4), np.float32)).tolist() == [0, 0]

    def test_a_seed_repeats_it(self) -> None:
        lessons = lessons_of(np.random.default_rng(0), 200, rule=True)
        one, same, other = (fit_trees(lessons, seed=seed).trees for seed in (1, 1, 2))
        assert one.thresholds.tolist() == same.thresholds.tolist()
        assert one.leaves.tolist() == same.leaves.tolist()
        assert one.leaves.tolist() != other.leaves.tolist()

    def test_a_depth_that_is_none_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="from 1 to 7, not 0"):
            fit_trees([], seed=0, depth=0)

    def test_chances_and_losses_of_two_lessons_by_hand(self) -> None:
        even = RankedLesson(
            np.zeros((2, 1), np.float32), np.zeros(2, np.float32), np.array([1, 0], np.float32)
        )
        sure = RankedLesson(
            np.zeros((2, 1), np.float32),
            np.log(np.array([3, 1], np.float32)),
            np.array([0, 1], np.float32),
        )
        table = growing._Table.of([even, sure])
        chances, _ = growing._chances(table, table.said)
        assert chances.tolist() == pytest.approx([1 / 2, 1 / 2, 3 / 4, 1 / 4])
        assert growing._losses(table, table.said).tolist() == pytest.approx([log(2), log(4)])

    @given(seeds, st.integers(0, 2))
    @settings(deadline=None)
    def test_a_question_is_the_best_of_all(self, seed: int, level: int) -> None:
        rng = np.random.default_rng(seed)
        n, n_features, n_nodes = 40, 3, 2**level
        bins = rng.integers(0, 5, (n_features, n)).astype(np.uint8)
        nodes = rng.integers(0, n_nodes, n).astype(np.uint8)
        slopes = rng.normal(size=n).astype(np.float32)
        curves = rng.uniform(0.1, 0.25, n).astype(np.float32)
        prior, least = 1.0, 0.8

        def worth(lines: np.ndarray) -> float:
            return float(slopes[lines].sum()) ** 2 / (float(curves[lines].sum()) + prior)

        gains = {}
        for feature in range(n_features):
            for edge in range(5):
                total = 0.0
                for node in range(n_nodes):
                    here = nodes == node
                    low, high = here & (bins[feature] <= edge), here & (bins[feature] > edge)
                    if min(curves[low].sum(), curves[high].sum()) >= least:
                        total += worth(low) + worth(high) - worth(here)
                gains[feature, edge] = total
        found = growing._best_question(
            bins.ravel(), nodes, slopes, curves, n_features, n_nodes, prior, least
        )
        best = max(gains.values())
        if best <= 1e-9:
            assert found[0] == -1
        else:
            assert gains[tuple(found)] == pytest.approx(best, rel=1e-5)

    def test_questions_about_values_divide_as_those_about_bins_do(self) -> None:
        """Also where a tree ended early, so that its lower levels ask nothing."""
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(50, 3)).astype(np.float32)
        edges = growing._edges(inputs)
        bins = growing._binned(inputs, edges)
        tree = growing._Tree(
            np.array([2, 0], np.int32),
            np.array([7, 20], np.int32),
            np.array([1, 2, 3, 4], np.float32),
        )
        trees = growing._trees([tree], 4, edges)
        by_bins = tree.leaves[growing._leaf_of(bins, tree)]
        assert trees.values(inputs).tolist() == by_bins.tolist()
        assert set(by_bins.tolist()) == {1, 2, 3, 4}
