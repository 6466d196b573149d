"""Accuracy where little is known, and who is seen, on worlds small enough to count."""

import numpy as np
import pytest

from recommender.engine.evaluation.asking import Lists
from recommender.engine.evaluation.cold_start import cold_start, n_events, shortened
from recommender.engine.evaluation.fairness import fairness, fairness_of, first_seen, is_tail
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import ItemFacts, Purchases, Query, Training
from recommender.engine.types import Int32Array

NOTHING = np.empty(0, np.int32)


def rows(*values: int) -> Int32Array:
    return np.array(values, np.int32)


def task_of(queries: list[Query], relevant: list[Int32Array], training: Training) -> Task:
    return Task("top-n", training, queries, relevant, ("hr@20",))


def lists_of(*lines: list[int], hits: list[list[bool]] | None = None) -> Lists:
    array = np.array(lines, np.int32)
    right = np.zeros(array.shape, np.bool_) if hits is None else np.array(hits)
    return Lists(np.arange(len(lines)), array, right, np.ones(len(lines), np.int64))


def test_shoppers_stand_in_the_group_of_what_is_known_of_them() -> None:
    histories = [rows(), rows(3), rows(1, 2), rows(*range(9)), rows(*range(12)), rows(-1)]
    queries = [Query(history, removed=NOTHING) for history in histories]
    task = task_of(queries, [rows(0)] * 6, Training(20))
    hits = [[False, False], [True, False], [False, True], [True, False], [True, False],
            [False, False]]  # fmt: skip
    found = cold_start(task, lists_of(*[[0, 1]] * 6, hits=hits), np.ones(20), seed=0)
    table = {group.label: (group.n, group.metrics) for group in found.shoppers}
    assert {label: n for label, (n, _) in table.items()} == {
        "0": 2, "1": 1, "2–4": 1, "5–9": 1, "10+": 1,
    }  # fmt: skip
    assert table["0"][1]["hr@2"].value == 0
    assert table["2–4"][1]["mrr@2"].value == 0.5


def test_a_group_without_queries_says_so_and_has_no_figures() -> None:
    task = task_of([Query(rows(1), removed=NOTHING)], [rows(0)], Training(3))
    found = cold_start(task, lists_of([0]), np.ones(3), seed=0)
    assert [(group.n, bool(group.metrics)) for group in found.shoppers] == [
        (0, False), (1, True), (0, False), (0, False), (0, False),
    ]  # fmt: skip


def test_right_answers_stand_in_the_group_of_how_often_training_saw_them() -> None:
    queries = [Query(rows(9), removed=NOTHING)] * 2
    relevant = [rows(0, 1, -1), rows(2, 3)]
    task = task_of(queries, relevant, Training(10))
    counts = np.array([0, 4, 5, 100, 0, 0, 0, 0, 0, 1])
    found = cold_start(task, lists_of([1, 7], [2, 3]), counts, seed=0)
    table = {
        group.label: (group.n, group.metrics["recall@2"].value)
        for group in found.products
        if group.n
    }
    assert table == {"0": (2, 0.0), "1–4": (1, 1.0), "5–19": (1, 1.0), "100+": (1, 1.0)}


def test_events_are_counted_by_what_the_query_says() -> None:
    assert n_events(Query(rows(4, 7, -1), removed=NOTHING)) == 2
    counted = Query(rows(4, 7), removed=NOTHING, counts=rows(3, 1))
    assert n_events(counted) == 4
    kinds = Query(
        rows(4, 7), removed=NOTHING, kinds=[("purchase", rows(4)), ("view_item", rows(4, 7))]
    )
    assert n_events(kinds) == 3


def test_the_same_shoppers_keep_the_latest_of_what_they_did() -> None:
    query = Query(
        rows(2, 5, 8),
        removed=rows(2),
        kinds=[("purchase", rows(2)), ("view_item", rows(5, 8))],
        counts=rows(1, 2, 3),
        last_at_s=np.array([30, 10, 20]),
        shopper_row=4,
    )
    task = task_of([query], [rows(1)], Training(9))
    (cut,) = shortened(task, 2, seed=0).queries
    assert cut.rows.tolist() == [2, 8]
    assert cut.counts.tolist() == [1, 3]
    assert [(kind, part.tolist()) for kind, part in cut.kinds] == [
        ("purchase", [2]), ("view_item", [8]),
    ]  # fmt: skip
    assert cut.removed.tolist() == [2]
    assert cut.shopper_row == -1
    assert shortened(task, 3, seed=0).queries[0] is query
    assert len(shortened(task, 0, seed=0).queries[0].rows) == 0


def test_exposure_is_compared_with_relevance_and_with_the_catalog() -> None:
    relevant = [rows(0), rows(0), rows(2), rows(3)]
    task = task_of([Query(rows(1), removed=NOTHING)] * 4, relevant, Training(4))
    found = fairness_of(
        task, lists_of([0], [0], [0], [3]), "brands", [0, 0, 1, 1], ["a", "b"], seed=0
    )
    shares = {
        group.name: (group.catalog, group.relevance, group.exposure) for group in found.groups
    }
    assert shares == {"a": (0.5, 0.5, 0.75), "b": (0.5, 0.5, 0.25)}
    assert found.by_relevance.value == 0.75
    assert found.by_catalog.value == 0.75
    assert found.by_relevance.low < 0.75 < found.by_relevance.high <= 1


def test_small_groups_are_shown_together_but_counted_apart() -> None:
    task = task_of([Query(rows(9), removed=NOTHING)], [rows(0)], Training(5))
    found = fairness_of(
        task, lists_of([1]), "brands", [0, 0, 0, 1, 2], ["a", "b", "c"], seed=0, shown=1
    )
    assert [(group.name, group.n_items) for group in found.groups] == [("a", 3), ("all others", 2)]
    assert found.by_catalog.value == pytest.approx(0.6)


def test_groups_are_those_that_the_training_part_knows() -> None:
    day = 86_400
    purchases = Purchases(rows(0, 0, 1), rows(0, 1, 1), np.array([10 * day, 95 * day, 96 * day]))
    training = Training(
        2,
        now_s=100 * day,
        purchases=purchases,
        facts=ItemFacts(brand_codes=rows(0, -1)),
    )
    task = task_of([Query(rows(0), removed=NOTHING)], [rows(1)], training)
    found = fairness(task, lists_of([1, 0]), np.array([1, 2]), seed=0, brand_names=["Tea & Co"])
    assert [kind.of for kind in found] == ["brands", "new products", "popularity"]
    assert {group.name for group in found[0].groups} == {"Tea & Co", "no brand"}
    since = first_seen(training)
    assert since is not None
    assert since.tolist() == [10 * day, 95 * day]
    assert first_seen(Training(2)) is None
    assert is_tail([5, 1, 1, 1]).tolist() == [False, True, True, True]
