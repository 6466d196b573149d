"""Every method on one task: how right, how varied, how dear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recommender.engine.evaluation.asking import Clock
from recommender.engine.evaluation.beyond_accuracy import Yardstick, yardstick_for
from recommender.engine.evaluation.measuring import (
    SET_QUERIES,
    Limits,
    MemoryMb,
    Phase,
    Progress,
    measure_method,
)
from recommender.engine.evaluation.results import (
    Estimate,
    Leaderboard,
    Row,
    board_from_document,
    board_to_document,
    ordered,
    row_from_document,
    row_to_document,
    worth,
)
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Method

__all__ = [
    "Budget",
    "Estimate",
    "Leaderboard",
    "Phase",
    "Progress",
    "Row",
    "board_from_document",
    "board_to_document",
    "leaderboard_of",
    "ordered",
    "row_from_document",
    "row_to_document",
    "run",
    "worth",
]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a whole comparison may take.

    Attributes
    ----------
    seconds
        Shared evenly by the methods that are still to come, so that what a quick one leaves is
        there for a slow one after it.
    max_queries
        The most queries that each is asked; None: all.
    tune
        Whether parameters are chosen on the validation cut.
    """

    seconds: float
    max_queries: int | None = None
    tune: bool = True


def run(
    task: Task,
    validation: Task | None,
    methods: Sequence[Method],
    *,
    seed: int,
    clock: Clock,
    budget: Budget,
    memory: MemoryMb | None = None,
    progress: Callable[[Progress], None] | None = None,
    yardstick: Yardstick | None = None,
) -> Iterator[Row]:
    """Measure method after method, and yield each row when it is done.

    A caller that stops iterating stops the comparison between two methods; one whose `progress`
    raises stops it within one.

    Parameters
    ----------
    task, validation : Task, Task or None
        The test, and a cut of its training part for choosing parameters.
    methods : sequence of Method
        Measured in this order.
    seed : int
        Of fits, of the sample of queries, and of the intervals.
    clock : function without arguments
        Seconds, such as ``time.perf_counter``.
    budget : Budget
    memory : function or None
        See `measuring.MemoryMb`.
    progress : function of Progress, or None
    yardstick : Yardstick or None
        Made anew where it isn't given.

    Yields
    ------
    Row
        With `Row.missing` for a method that can't be fitted on such data or ran out of its time.
    """
    deadline = clock() + budget.seconds
    measure_by = yardstick_for(task.training, seed=seed) if yardstick is None else yardstick
    for done, method in enumerate(methods):

        def tell(phase: Phase, tried: int, done: int = done, method: Method = method) -> None:
            if progress is not None:
                progress(Progress(done, len(methods), method.key, method.title, phase, tried))

        share = max(deadline - clock(), 0.0) / (len(methods) - done)
        yield measure_method(
            task,
            validation,
            method,
            measure_by,
            seed=seed,
            clock=clock,
            limits=Limits(share, budget.max_queries, budget.tune),
            memory=memory,
            tell=tell,
        )


def leaderboard_of(
    task: Task, rows: Sequence[Row], yardstick: Yardstick, *, data: str, seed: int, took_s: float
) -> Leaderboard:
    """The rows, best first, with what they are about."""
    return Leaderboard(
        protocol=task.protocol,
        data=data,
        objective=task.objective,
        n_queries=len(task.queries),
        n_items=task.training.n_items,
        seed=seed,
        took_s=took_s,
        rows=ordered(rows, task.objective),
        n_set_queries=min(SET_QUERIES, len(task.queries)),
        diversity_of=yardstick.likeness.of,
    )
