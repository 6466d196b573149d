"""What every method of the shelf must be able to do, on worlds whose right answers are known.

A new method is held to all of this by being in the registry. Methods whose extra is not installed
are skipped with that reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import Family, Method, Model, Need, Parameters, RatingModel
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.registry import METHODS, missing_for
from recommender.engine.types import Candidates
from tests.unit.engine.methods import worlds
from tests.unit.engine.methods.worlds import (
    BLOCK,
    N_BLOCKS,
    N_ITEMS,
    N_SEEN,
    N_UNSEEN,
    NOTHING,
    Question,
    World,
    checkerboard,
    earlier_and_later,
    joined,
    only,
    with_kinds,
    without_facts,
)

SEED = 0
LIMIT = 8
# Knowing the block is worth 5 times chance or more; knowing what sells well is worth less than 2.
AT_LEAST = 3.0
AT_LEAST_POPULAR = 1.2
# Of ten items of a block that a session has not seen, the three first hold the next one by luck
# in three cases of ten.
AT_LEAST_NEXT = 0.6
# They show only what a shopper has bought, so they are asked for that.
ONLY_REPEATS = frozenset({"buy_again"})

ALL = pytest.mark.parametrize("key", list(METHODS))
INCREMENTAL = pytest.mark.parametrize("key", [key for key, m in METHODS.items() if m.incremental])
PAIRS = [(key, need) for key, method in METHODS.items() for need in sorted(method.needs)]
GRIDS = [(key, name) for key, method in METHODS.items() for name in method.grid]


@cache
def model_of(key: str) -> Model:
    """The method with its defaults on the whole world, or a skip that says what it lacks."""
    return fit(METHODS[key], checkerboard().training)


def fit(method: Method, training: Training, given: Parameters | None = None) -> Model:
    missing = missing_for(method, training)
    if missing is not None:
        pytest.skip(missing)
    return method.fit(training, method.parameters(given or {}), SEED)


def questions_for(method: Method, world: World) -> tuple[Question, ...]:
    """What a method of its kind is asked in a shop."""
    if method.key in ONLY_REPEATS:
        return world.again
    if method.needs == {Need.RATINGS}:
        return world.raters
    if method.family is Family.SESSIONS or method.needs == {Need.SESSIONS}:
        return world.running
    return world.histories


def hit_rate(model: Model, asked: Iterable[Question], limit: int = LIMIT) -> float:
    return float(np.mean([q.right in model.recommend(q.query, limit).rows.tolist() for q in asked]))


def bar(method: Method, asked: tuple[Question, ...]) -> float:
    """A share of hits that guessing reaches hardly ever."""
    chance = LIMIT / (N_SEEN - float(np.mean([len(q.query.removed) for q in asked])))
    return chance * (AT_LEAST_POPULAR if method.family is Family.POPULARITY else AT_LEAST)


def answers_of(model: Model, asked: Iterable[Question]) -> list[tuple[list[int], list[float]]]:
    found = [model.recommend(question.query, LIMIT) for question in asked]
    return [(part.rows.tolist(), part.scores.tolist()) for part in found]


def check_form(found: Candidates, query: Query, limit: int) -> None:
    """What holds for every answer of every method."""
    assert len(found) <= limit
    assert found.rows.dtype == found.because.dtype == np.int32
    assert found.scores.dtype == np.float32
    assert np.isfinite(found.scores).all()
    assert len(set(found.rows.tolist())) == len(found)
    assert ((found.rows >= 0) & (found.rows < N_ITEMS)).all()
    assert not set(found.rows.tolist()) & set(query.removed.tolist())
    order = np.lexsort((found.rows, -found.scores))
    assert order.tolist() == list(range(len(found)))
    assert set(found.because.tolist()) <= {-1, *query.rows.tolist()}


# ------------------------------------------------------------------------------------- the answers


@ALL
def test_the_withheld_item_is_found_far_more_often_than_by_chance(key: str) -> None:
    asked = questions_for(METHODS[key], checkerboard())
    assert hit_rate(model_of(key), asked) > bar(METHODS[key], asked)


@ALL
def test_a_shopper_whom_training_never_saw_is_answered_by_what_they_have(key: str) -> None:
    method, model = METHODS[key], model_of(key)
    world = checkerboard()
    if method.key in ONLY_REPEATS:
        asked: tuple[Question, ...] = tuple(
            Question(replace(q.query, removed=NOTHING), int(q.query.rows[0]))
            for q in world.strangers
        )
    elif method.needs == {Need.RATINGS}:
        asked = tuple(Question(replace(q.query, shopper_row=-1), q.right) for q in world.raters)
    else:
        asked = world.strangers
    assert hit_rate(model, asked) > bar(method, asked)


@pytest.mark.parametrize(
    "key", [key for key, method in METHODS.items() if method.family is Family.SESSIONS]
)
def test_a_session_method_knows_what_comes_next_and_not_only_what_goes_together(key: str) -> None:
    assert hit_rate(model_of(key), checkerboard().running, limit=3) > AT_LEAST_NEXT


@pytest.mark.parametrize(("key", "need"), PAIRS)
def test_any_one_of_its_needs_is_enough(key: str, need: Need) -> None:
    world = checkerboard()
    model = fit(METHODS[key], only(world.training, need))
    asked = questions_for(METHODS[key], world)
    assert any(len(model.recommend(question.query, LIMIT)) for question in asked)
    for question in asked:
        check_form(model.recommend(question.query, LIMIT), question.query, LIMIT)


@pytest.mark.parametrize(
    "key", [key for key, method in METHODS.items() if Need.SHOPPERS in method.needs]
)
def test_histories_of_several_kinds_are_understood(key: str) -> None:
    world = with_kinds(checkerboard())
    method = METHODS[key]
    model = fit(method, replace(world.training, ratings=None, sessions=None))
    for question in world.histories:
        check_form(model.recommend(question.query, LIMIT), question.query, LIMIT)
    assert hit_rate(model, world.histories) > bar(method, world.histories)


# --------------------------------------------------------------------------------- their form


@ALL
@pytest.mark.parametrize("limit", [0, 1, 5, 3 * N_ITEMS])
def test_answers_are_ordered_distinct_and_no_more_than_asked_for(key: str, limit: int) -> None:
    model = model_of(key)
    for question in questions_for(METHODS[key], checkerboard())[:20]:
        check_form(model.recommend(question.query, limit), question.query, limit)


@ALL
def test_what_is_removed_is_never_an_answer(key: str) -> None:
    model = model_of(key)
    for question in questions_for(METHODS[key], checkerboard())[:20]:
        first = model.recommend(question.query, LIMIT).rows
        assert len(first)
        # As when a page shows several rows: what stands above is barred, whatever it is.
        barred = np.union1d(question.query.removed, first).astype(np.int32)
        query = replace(question.query, removed=barred)
        check_form(model.recommend(query, LIMIT), query, LIMIT)


@ALL
def test_a_longer_answer_begins_with_the_shorter_one(key: str) -> None:
    model = model_of(key)
    for question in questions_for(METHODS[key], checkerboard())[:20]:
        longer = model.recommend(question.query, LIMIT)
        shorter = model.recommend(question.query, 3)
        assert shorter.rows.tolist() == longer.rows[:3].tolist()
        np.testing.assert_allclose(shorter.scores, longer.scores[:3], rtol=1e-5)


@ALL
def test_similar_items_are_ordered_and_never_the_item_itself(key: str) -> None:
    method, model = METHODS[key], model_of(key)
    blocks = checkerboard().blocks
    same = []
    for row in range(0, N_SEEN, 5):
        found = model.similar(row, LIMIT)
        assert row not in found.rows
        check_form(found, Query(np.array([row], np.int32), removed=NOTHING), LIMIT)
        same += (blocks[found.rows] == blocks[row]).tolist()
    if method.family is not Family.POPULARITY:
        assert np.mean(same) > 2 / N_BLOCKS


# ------------------------------------------------------------------------------ what is unknown


@ALL
@pytest.mark.parametrize("rows", [[], [-1], [-1, -1]])
def test_who_is_not_known_at_all_gets_no_answer_or_everybodys(key: str, rows: list[int]) -> None:
    model = model_of(key)
    query = Query(np.array(rows, np.int32), removed=NOTHING)
    found = model.recommend(query, LIMIT)
    reason = model.unknown(query)
    check_form(found, query, LIMIT)
    if METHODS[key].family is not Family.POPULARITY:
        assert len(found) == 0
    assert (reason is None) == (len(found) > 0)
    if reason is not None:
        # A clause: it stands behind "no answer: " or "because".
        assert re.fullmatch(r"[^A-Z\s].*[^.\s]", reason)


@ALL
def test_unknown_items_of_a_history_change_nothing(key: str) -> None:
    model = model_of(key)
    for question in questions_for(METHODS[key], checkerboard())[:10]:
        rows = question.query.rows
        # At the older end, where it moves no position of a session.
        longer = np.concatenate([[-1], rows]).astype(np.int32)
        without = model.recommend(Query(rows, removed=rows), LIMIT)
        given = model.recommend(Query(longer, removed=longer), LIMIT)
        assert given.rows.tolist() == without.rows.tolist()
        np.testing.assert_allclose(given.scores, without.scores, rtol=1e-4)


@ALL
def test_an_item_that_nobody_touched_is_only_found_by_those_who_know_its_description(
    key: str,
) -> None:
    method = METHODS[key]
    training = without_facts(checkerboard().training)
    if missing_for(method, training) is not None:
        pytest.skip("it learns from descriptions alone")
    model = fit(method, training)
    unseen = set(range(N_SEEN, N_SEEN + N_UNSEEN))
    for question in questions_for(method, checkerboard()):
        found = model.recommend(question.query, N_ITEMS)
        assert not unseen & set(found.rows.tolist())


@ALL
def test_an_item_that_nobody_touched_says_so_or_has_an_answer(key: str) -> None:
    model = model_of(key)
    row = np.array([N_SEEN], np.int32)
    query = Query(row, removed=row)
    found = model.recommend(query, LIMIT)
    check_form(found, query, LIMIT)
    assert (model.unknown(query) is None) == (len(found) > 0)


@ALL
def test_whoever_is_answered_is_not_unknown(key: str) -> None:
    model = model_of(key)
    for question in questions_for(METHODS[key], checkerboard())[:10]:
        assert model.unknown(question.query) is None


# ----------------------------------------------------------------------------------- learning


@ALL
def test_the_same_seed_gives_the_same_answers(key: str) -> None:
    asked = questions_for(METHODS[key], checkerboard())
    again = fit(METHODS[key], checkerboard().training)
    assert answers_of(again, asked) == answers_of(model_of(key), asked)


@ALL
def test_asking_changes_neither_the_model_nor_what_it_was_given(key: str) -> None:
    world = checkerboard()
    asked = questions_for(METHODS[key], world)[:10]
    before = fingerprint(world)
    first = answers_of(model_of(key), asked)
    for question in asked:
        model_of(key).similar(int(question.query.rows[0]), LIMIT)
    assert answers_of(model_of(key), asked) == first
    # All of it is read-only; this sees also an array that was exchanged for another.
    assert fingerprint(world) == before


@INCREMENTAL
def test_news_lead_to_the_answers_of_a_fit_over_everything(key: str) -> None:
    method = METHODS[key]
    world = checkerboard()
    earlier, later = earlier_and_later(world.training)
    asked = questions_for(method, world)
    first = fit(method, earlier)
    before = answers_of(first, asked)
    extended = answers_of(first.extended(later), asked)
    whole = answers_of(fit(method, joined(earlier, later)), asked)
    for (rows, scores), (expected_rows, expected_scores) in zip(extended, whole, strict=True):
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-4)
        # What differs by rounding alone may change places.
        if len(set(np.round(expected_scores, 4))) == len(expected_scores):
            assert rows == expected_rows
    assert extended != before
    assert answers_of(first, asked) == before


@ALL
def test_what_cannot_be_extended_says_so(key: str) -> None:
    if METHODS[key].incremental:
        pytest.skip("it can")
    with pytest.raises(InvalidInputError, match="fitted anew"):
        model_of(key).extended(checkerboard().training)


@ALL
def test_without_what_it_needs_it_is_refused(key: str) -> None:
    method = METHODS[key]
    with pytest.raises(InvalidInputError):
        method.fit(Training(N_ITEMS), method.defaults, SEED)


@pytest.mark.parametrize(
    "key", [key for key, method in METHODS.items() if Need.RATINGS in method.needs]
)
def test_ratings_are_predicted_on_their_scale(key: str) -> None:
    world = checkerboard()
    model = model_of(key)
    if not isinstance(model, RatingModel):
        pytest.skip("it ranks and does not predict")
    rows = np.arange(N_ITEMS, dtype=np.int32)
    own, other = [], []
    for question in world.raters[:40]:
        predicted = model.predicted(question.query, rows)
        assert predicted.dtype == np.float32
        assert np.isfinite(predicted).all()
        assert ((predicted >= 1) & (predicted <= 5)).all()
        same = world.blocks[:N_SEEN] == world.blocks[question.right]
        own.append(predicted[:N_SEEN][same].mean())
        other.append(predicted[:N_SEEN][~same].mean())
    assert np.mean(own) > np.mean(other) + 1
    nobody = Query(NOTHING, removed=NOTHING)
    assert np.isfinite(model.predicted(nobody, rows)).all()


# ------------------------------------------------------------------------------ their description


@ALL
def test_a_parameter_that_it_does_not_have_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{key} has no parameter 'no_such_thing'"):
        METHODS[key].parameters({"no_such_thing": 1})


@pytest.mark.parametrize(("key", "name"), GRIDS)
def test_the_values_of_a_grid_are_distinct_hold_the_default_and_can_be_used(
    key: str, name: str
) -> None:
    method = METHODS[key]
    values = list(method.grid[name])
    assert len(set(values)) == len(values) > 1
    assert method.defaults[name] in values
    if method.extra is not None:
        pytest.skip("a fit of it is too dear to try every value")
    asked = questions_for(method, checkerboard())[0].query
    for value in (values[0], values[-1]):
        model = fit(method, checkerboard().training, {name: value})
        check_form(model.recommend(asked, LIMIT), asked, LIMIT)


@ALL
def test_it_describes_itself(key: str) -> None:
    method = METHODS[key]
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", key)
    assert method.key == key
    assert method.needs
    assert method.title[:1].isupper() or method.title[:1].isdigit()
    # Each is part of a sentence; a method that names an item says it before the item.
    assert method.because or method.otherwise
    for words in (method.because, method.otherwise):
        assert words == words.strip(" .").lower() or not words
    assert [m.title for m in METHODS.values()].count(method.title) == 1


def test_the_world_is_what_the_bars_take_it_to_be() -> None:
    world = checkerboard()
    for question in (*world.histories, *world.strangers, *world.running):
        assert question.right not in question.query.rows
        assert set(world.blocks[question.query.rows]) == {world.blocks[question.right]}
    assert len(world.blocks) == N_ITEMS
    assert np.bincount(world.blocks[:N_SEEN]).tolist() == [BLOCK] * N_BLOCKS
    assert checkerboard.__wrapped__(0).histories[3].right == world.histories[3].right
    with pytest.raises(ValueError, match="read-only"):
        world.training.shoppers["purchase"].data[0] = 9


def fingerprint(value: object) -> str:
    digest = hashlib.sha256()
    for array in worlds.arrays_of(value):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
