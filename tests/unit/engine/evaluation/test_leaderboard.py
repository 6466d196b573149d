"""Rows one by one, what they say, and the documents that they are made into."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation import formats, protocols
from recommender.engine.evaluation.beyond_accuracy import yardstick_for
from recommender.engine.evaluation.leaderboard import (
    Budget,
    Estimate,
    Progress,
    Row,
    board_from_document,
    board_to_document,
    leaderboard_of,
    ordered,
    run,
)
from recommender.engine.evaluation.measuring import Phase, round_sizes
from recommender.engine.evaluation.tables import BEGIN, END, text_table, written_into
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Family, Method, Model, Need
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.registry import METHODS, method_of
from recommender.engine.types import Candidates


def ticks(step: float = 1e-6) -> Any:
    counter = itertools.count()
    return lambda: next(counter) * step


@pytest.fixture(scope="module")
def task() -> Task:
    log = formats.parse_sessions([f"{i % 9} {(i + 1) % 9} {(i + 2) % 9}" for i in range(90)])
    queries = formats.parse_next_item_queries([f"{i % 9}\t{(i + 1) % 9}" for i in range(72)])
    return protocols.next_click_task(log, queries)


def rows_of(task: Task, *keys: str, **more: Any) -> list[Row]:
    methods = [method_of(key) for key in keys]
    given: dict[str, Any] = {"seed": 0, "clock": ticks(), "budget": Budget(60.0)} | more
    return list(run(task, None, methods, **given))


def test_a_row_has_every_metric_with_its_interval_and_says_what_it_cost(task: Task) -> None:
    memory = itertools.count(100, 5)
    (row,) = rows_of(task, "session_neighbours", memory=lambda: float(next(memory)))
    names = {f"{name}@20" for name in (
        "hr", "recall", "precision", "f1", "ndcg", "mrr", "map", "coverage", "diversity",
        "novelty", "gini", "popularity",
    )}  # fmt: skip
    assert set(row.metrics) == names | {"auc"}
    assert set(row.metrics_without_repeats) == names - {"coverage@20", "gini@20"}
    for estimate in row.metrics.values():
        assert estimate.low <= estimate.value + 1e-9
        assert estimate.value <= estimate.high + 1e-9
    assert row.metrics["hr@20"].value == 1.0
    assert row.metrics_without_repeats["hr@20"].value == 1.0
    # The page that one is on is no answer of the second table, so what is right moves up.
    assert row.metrics_without_repeats["mrr@20"].value > row.metrics["mrr@20"].value
    assert row.n_queries == 72
    assert row.auc_of == "list"
    assert row.peak_mb == 5.0
    assert row.fit_s is not None
    assert row.parameters == METHODS["session_neighbours"].defaults
    assert set(row.query_us) == {"p50", "p99"}


def test_rows_come_one_by_one_and_a_caller_may_stop(task: Task) -> None:
    fitted: list[str] = []

    def heard(progress: Progress) -> None:
        if progress.phase is Phase.FITTING:
            fitted.append(f"{progress.done}/{progress.total} {progress.key}")

    methods = [method_of(key) for key in ("bestsellers", "also_viewed", "session_neighbours")]
    rows = run(task, None, methods, seed=0, clock=ticks(), budget=Budget(60.0), progress=heard)
    assert next(rows).key == "bestsellers"
    assert fitted == ["0/3 bestsellers"]
    assert next(rows).key == "also_viewed"
    rows.close()  # type: ignore[attr-defined]
    assert fitted == ["0/3 bestsellers", "1/3 also_viewed"]


def test_a_progress_that_raises_stops_within_a_method(task: Task) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase is Phase.TUNING and progress.tried == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(
            run(
                task,
                task,
                [method_of("also_viewed")],
                seed=0,
                clock=ticks(),
                budget=Budget(60.0),
                progress=stop,
            )
        )


def test_what_can_not_be_fitted_says_why(task: Task) -> None:
    content, again = rows_of(task, "similar_content", "buy_again")
    assert content.missing == "there are no texts to learn from"
    assert again.missing == "there are no purchases to learn from"
    assert content.metrics == {}


def failing(message: str) -> Method:
    def fit(_training: Training, _parameters: Any, _seed: int) -> Model:
        raise InvalidInputError(message)

    return replace(method_of("bestsellers"), key="failing", fit=fit, grid={})


def test_a_fit_that_refuses_or_runs_out_of_its_time_is_missing_with_the_reason(
    task: Task,
) -> None:
    clock = ticks(1.0)
    rows = list(
        run(
            task,
            None,
            [failing("the catalog is too small"), method_of("bestsellers")],
            seed=0,
            clock=clock,
            budget=Budget(4.0),
        )
    )
    assert rows[0].missing == "the catalog is too small"
    assert rows[1].missing is not None
    assert "all of its" in rows[1].missing
    assert rows[1].fit_s is not None


class Slow(Model):
    """Each of its answers takes a while."""

    def __init__(self, clock: Any, each_s: float = 1.0) -> None:
        self.clock = clock
        self.each_s = each_s

    def recommend(self, query: Query, limit: int) -> Candidates:
        self.clock.now += self.each_s
        return Candidates.empty()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def slow(clock: Clock) -> Method:
    return Method(
        key="slow",
        title="Slow",
        family=Family.NEURAL,
        needs=frozenset({Need.SESSIONS}),
        fit=lambda _training, _parameters, _seed: Slow(clock),
        defaults={},
        grid={},
        because="",
        otherwise="",
    )


def test_a_slow_method_is_asked_a_sample_and_its_set_metrics_are_left_out(task: Task) -> None:
    clock = Clock()
    (row,) = run(task, None, [slow(clock)], seed=0, clock=clock, budget=Budget(110.0))
    assert row.n_queries == 50
    assert row.metrics["hr@20"] == Estimate(0.0, 0.0, 0.0)
    assert "coverage@20" not in row.metrics
    assert round_sizes(700) == [50, 100, 200, 500, 700]
    assert round_sizes(30) == [30]


def test_tuning_takes_only_what_asking_enough_queries_leaves(task: Task) -> None:
    n = len(task.queries)
    for seconds, tries, asked in ((11 * n, False, n), (50 * n, True, n)):
        clock = Clock()
        method = replace(slow(clock), defaults={"size": 1}, grid={"size": (1, 2, 3)})
        (row,) = run(task, task, [method], seed=0, clock=clock, budget=Budget(float(seconds)))
        assert (row.tried > 1) is tries
        assert row.n_queries == asked
        assert row.parameters == {"size": 1}  # a tie keeps the default


def test_the_same_seed_gives_the_same_figures(task: Task) -> None:
    keys = ("for_you_als", "also_viewed")
    one, two = (rows_of(task, *keys) for _ in range(2))
    assert [row.metrics for row in one] == [row.metrics for row in two]


def estimated(key: str, **metrics: float) -> Row:
    values = {name.replace("_at_", "@"): Estimate(v, v, v) for name, v in metrics.items()}
    return Row(key, key, Family.LINEAR, metrics=values)


def test_best_first_errors_ascending_and_what_is_missing_last() -> None:
    rows = [
        Row("gone", "gone", Family.LINEAR, missing="it is not installed"),
        estimated("weak", hr_at_20=0.1),
        estimated("strong", hr_at_20=0.3),
    ]
    assert [row.key for row in ordered(rows, ["hr@20"])] == ["strong", "weak", "gone"]
    by_error = [
        estimated("lists well", **{"ndcg@20": 0.4}),
        estimated("lists badly", **{"ndcg@20": 0.1}),
        estimated("far", rmse=1.2),
        estimated("near", rmse=0.9),
    ]
    found = [row.key for row in ordered(by_error, ["rmse"])]
    assert found == ["near", "far", "lists well", "lists badly"]


def test_a_leaderboard_survives_json(task: Task) -> None:
    rows = rows_of(task, "bestsellers", "session_neighbours", "buy_again")
    yardstick = yardstick_for(task.training)
    board = leaderboard_of(task, rows, yardstick, data="ring", seed=0, took_s=1.5)
    assert [row.key for row in board.rows] == ["session_neighbours", "bestsellers", "buy_again"]
    assert board.diversity_of == "co-occurrence"
    document = json.loads(json.dumps(board_to_document(board)))
    assert board_from_document(document) == board


def test_a_document_gets_its_tables_between_the_marks_and_keeps_the_rest(task: Task) -> None:
    rows = rows_of(task, "bestsellers", "session_neighbours", "buy_again")
    board = leaderboard_of(
        task, rows, yardstick_for(task.training), data="Ring", seed=0, took_s=1.0
    )
    methods = [method_of(row.key) for row in rows]
    text = (
        f"# Head\n{BEGIN}\nold\n{END}\n## Session kNN\n"
        "Result: <!-- result:session_neighbours -->old<!-- /result -->\nTail\n"
    )
    once = written_into(text, [board], methods)
    assert "old" not in once
    assert once.startswith("# Head\n")
    assert once.endswith("Tail\n")
    assert "Ring hr@20 1.000 ± .000 (place 1 of 2)" in once
    assert "| [Session kNN](#session_neighbours) | **1.000 ± .000** |" in once
    assert "`buy_again` (there are no purchases to learn from)" in once
    assert written_into(once, [board], methods) == once
    assert "Not measured:\nbuy_again: there are no purchases" in text_table(board)
    assert BEGIN in written_into("", [board], methods)


def test_every_method_of_the_shelf_is_in_the_document() -> None:
    text = (Path(__file__).parents[4] / "docs" / "algorithms.md").read_text()
    for key in METHODS:
        assert f'<a id="{key}"></a>' in text, key
        assert f"<!-- result:{key} -->" in text, key
    assert text.index(BEGIN) < text.index(END)
