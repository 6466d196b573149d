"""The boosted blend: trees where they earn their place, else the learned blend as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.engine.errors import EmptyInputError
from recommender.engine.methods import fusion
from recommender.engine.methods.fusion import of_both
from recommender.engine.methods.fusion_boosted import Boosted, fit_boosted_blend, ranked_lessons
from recommender.engine.methods.fusion_cuts import Cut
from recommender.engine.methods.registry import METHODS
from recommender.engine.offline.learned_blend import Query as Answered
from recommender.engine.offline.learned_blend_trees import BoostedTrees
from recommender.engine.online.learned_blend_trees import HEAD, SymmetricTrees
from tests.unit.engine.methods.worlds import checkerboard

BOOSTED = METHODS["boosted_blend"]


def fitted() -> Boosted:
    model = fit_boosted_blend(checkerboard().training, BOOSTED.defaults, 0)
    assert isinstance(model, Boosted)
    return model


def with_trees(model: Boosted, trees: SymmetricTrees) -> Boosted:
    grown = BoostedTrees(trees, 1)
    logit = fusion.Learned(model.panel, model.facts, model.all_items, model.new_items)
    return Boosted(logit, (grown, grown))


def test_without_a_tree_it_answers_as_the_learned_blend_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_little(*_args: object, **_options: object) -> Cut:
        raise EmptyInputError("there is too little history to be cut once more")

    monkeypatch.setattr(fusion, "cut_once_more", too_little)
    boosted = fitted()
    learned = METHODS["learned_blend"].fit(checkerboard().training, BOOSTED.defaults, 0)
    assert [len(own.trees) for own in boosted.trees] == [0, 0]
    for question in checkerboard().histories[:5]:
        ours, theirs = (model.recommend(question.query, 8) for model in (boosted, learned))
        assert ours.rows.tolist() == theirs.rows.tolist()
        assert ours.scores.tolist() == theirs.scores.tolist()


def test_trees_reorder_the_head_and_nothing_else() -> None:
    model = fitted()
    query = checkerboard().histories[0].query
    # The place in the list stands behind three numbers of every source and what the logit says.
    place = 3 * len(model.panel.names) + 1
    backwards = SymmetricTrees(
        np.array([[place]], np.int32),
        np.array([[1.5]], np.float32),
        np.array([[-50.0, 0.0]], np.float32),
    )
    none = SymmetricTrees(
        np.empty((0, 1), np.int32), np.empty((0, 1), np.float32), np.empty((0, 2), np.float32)
    )
    before = with_trees(model, none).recommend(query, HEAD)
    after = with_trees(model, backwards).recommend(query, HEAD)
    assert len(before) > 4
    # The first two are now the last two.
    assert after.rows.tolist() == [*before.rows[2:].tolist(), *before.rows[:2].tolist()]
    assert (np.diff(after.scores) <= 0).all()
    assert after.scores[0] == 1
    few = with_trees(model, backwards).recommend(query, 3)
    assert few.rows.tolist() == after.rows[:3].tolist()


def test_lessons_are_heads_that_hold_what_was_wanted() -> None:
    model = fitted()
    facts = model.facts
    query = checkerboard().histories[0].query
    situation, parts = facts.situation(query), model.panel.ask(query, 50)
    answer = model.recommend(query, 3).rows
    blend = model.all_items.model if query.repeats_allowed else model.new_items.model
    asked = [
        Answered(parts, situation, answer[:2]),
        Answered(parts, situation, np.array([-1], np.int32)),
    ]
    (lesson,) = ranked_lessons(blend, asked, facts)
    assert len(lesson.inputs) == len(lesson.said) == len(lesson.wanted) <= HEAD
    assert lesson.said[0] == 0
    assert (np.diff(lesson.said) <= 0).all()
    assert lesson.wanted.sum() == pytest.approx(1)
    assert (lesson.wanted > 0).sum() == 2


def test_where_repeats_are_never_answers_there_is_one_fit_for_both() -> None:
    model = fitted()
    query = checkerboard().histories[0].query
    one = Answered(model.panel.ask(query, 5), model.facts.situation(query), query.rows)
    other = replace(one)
    calls: list[int] = []

    def fit(queries: list[Answered]) -> int:
        calls.append(len(queries))
        return len(calls)

    assert of_both(([one], [one]), fit) == (1, 1)
    assert of_both(([one], [other]), fit) == (2, 3)
    assert of_both(([one, other], [one]), fit) == (4, 5)
    assert calls == [1, 1, 1, 2, 1]
