"""Ratings: reading them, cutting them, and the error of what is predicted."""

import numpy as np
import pytest

from recommender.engine.errors import EngineError
from recommender.engine.evaluation.asking import accuracy, ask, mean_accuracy
from recommender.engine.evaluation.leaderboard import Budget, run
from recommender.engine.evaluation.rating_protocol import (
    RatingLog,
    parse_ratings,
    ratings_task,
    ratings_validation,
)
from recommender.engine.methods.base import Family, Method, Need, RatingModel
from recommender.engine.methods.inputs import Query
from recommender.engine.methods.registry import method_of
from recommender.engine.types import Float32Array, Int32Array


class Constant(RatingModel):
    """Everything is a three."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def scores(self, query: Query) -> Float32Array:
        return np.arange(self.n_items, 0, -1).astype(np.float32)

    def predicted(self, query: Query, item_rows: Int32Array) -> Float32Array:
        return np.full(len(item_rows), 3.0, np.float32)


CONSTANT = Method(
    key="constant",
    title="Constant",
    family=Family.FACTORS,
    needs=frozenset({Need.RATINGS}),
    fit=lambda training, _parameters, _seed: Constant(training.n_items),
    defaults={},
    grid={},
    because="",
    otherwise="",
)


def log(*lines: str) -> RatingLog:
    return parse_ratings(lines)


def test_separators_headers_and_second_thoughts_are_understood() -> None:
    found = log("userId,movieId,rating,timestamp", "1,a,3,10", "1::b::4::20", "", "1 a 5 30")
    assert found.items == ["a", "b"]
    assert found.values.tolist() == [5, 4]
    assert found.times_s is not None
    assert found.times_s.tolist() == [30, 20]
    assert log("1 a 3 10", "1 b 4").times_s is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [([], "no rating"), (["1 a"], "line 1"), (["1 a 3", "1 b good"], "line 2")],
)
def test_what_can_not_be_read_says_where(lines: list[str], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        parse_ratings(lines)


def test_with_times_the_latest_fifth_is_the_test() -> None:
    lines = [f"u{i % 2} i{i} {1 + i % 5} {100 - i}" for i in range(20)]
    task = ratings_task(log(*lines), seed=0)
    ratings = task.training.ratings
    assert ratings is not None
    assert len(ratings.values) == 16
    # The four latest lines are those of i0 to i3, which training then doesn't know.
    assert [rows.tolist() for rows, _ in task.ratings] == [[]] * len(task.queries)
    assert all((rows < 0).all() for rows in task.relevant)


def test_without_times_a_fifth_of_every_users_ratings_is_hidden() -> None:
    lines = [f"u{u} i{i} {1 + (u + i) % 5}" for u in range(6) for i in range(10)]
    task = ratings_task(log(*lines), seed=0)
    assert len(task.training.ratings.values) == 48  # type: ignore[union-attr]
    for query, relevant, (rows, values) in zip(
        task.queries, task.relevant, task.ratings, strict=True
    ):
        assert not np.isin(rows, query.rows).any()
        assert set(relevant.tolist()) <= set(rows.tolist())
        assert len(query.ratings) == len(query.rows) == 8
        assert len(values) == 2
    assert len(ratings_validation(log(*lines), seed=0).queries) > 0


def test_who_liked_nothing_of_the_test_part_counts_for_the_error_and_has_no_list() -> None:
    liking = [f"u{u} i{i} 5" for u in range(4) for i in range(10)]
    task = ratings_task(log(*liking, *(f"sour i{i} 1" for i in range(10))), seed=0)
    assert sorted(map(len, task.relevant)) == [0, 2, 2, 2, 2]
    (row,) = run(task, None, [CONSTANT], seed=0, clock=lambda: 0.0, budget=Budget(60.0))
    assert row.metrics["rmse"].value == pytest.approx(2.0)
    assert row.n_queries == 5
    judged = [i for i, right in enumerate(task.relevant) if len(right)]
    constant = CONSTANT.fit(task.training, {}, 0)
    lists = ask(task, constant.recommend, clock=lambda: 0.0, positions=judged).first
    assert row.metrics["recall@20"].value == pytest.approx(accuracy(lists)["recall@20"].mean())
    everybody = ask(task, constant.recommend, clock=lambda: 0.0).first
    assert mean_accuracy(everybody) == pytest.approx(mean_accuracy(lists))


def test_a_test_part_in_which_nobody_liked_anything_is_refused() -> None:
    lines = [f"u{u} i{i} {5 if i < 8 else 1} {i}" for u in range(4) for i in range(10)]
    with pytest.raises(EngineError, match="rated anything well"):
        ratings_task(log(*lines), seed=0)


def test_the_error_is_that_of_all_ratings_and_only_rating_models_have_one() -> None:
    lines = [f"u{u} i{i} {1 + (u + i) % 5}" for u in range(6) for i in range(10)]
    task = ratings_task(log(*lines), seed=0)

    def clock() -> float:
        return 0.0

    rows = list(
        run(
            task,
            None,
            [CONSTANT, method_of("bestsellers")],
            seed=0,
            clock=clock,
            budget=Budget(60.0),
        )
    )
    values = np.concatenate([values for _, values in task.ratings])
    assert rows[0].metrics["rmse"].value == pytest.approx(np.sqrt(np.mean((values - 3) ** 2)))
    assert rows[0].metrics["rmse"].low < rows[0].metrics["rmse"].value
    assert rows[0].auc_of == "scores"
    assert "rmse" not in rows[1].metrics
