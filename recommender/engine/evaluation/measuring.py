"""One method on one task: tuned, fitted, asked, judged, within its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from recommender.engine.errors import EngineError
from recommender.engine.evaluation.asking import Asked, Clock, K, Lists, accuracy, ask
from recommender.engine.evaluation.beyond_accuracy import (
    Yardstick,
    catalog_coverage,
    gini,
    list_values,
    recommended_counts,
)
from recommender.engine.evaluation.halving import Choice, choose
from recommender.engine.evaluation.intervals import ratio_estimates, set_estimate, square_root
from recommender.engine.evaluation.ordering import auc_kind, auc_values
from recommender.engine.evaluation.results import Estimate, Row
from recommender.engine.evaluation.runner import microseconds
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Method, Model, Parameters, RatingModel, Value
from recommender.engine.methods.registry import missing_for
from recommender.engine.types import Float64Array, Int64Array

SET_QUERIES = 1000
"""Over so many queries coverage and Gini are measured, for every method the same."""
AUC_QUERIES = 1000
PROBE = 50
"""Queries that are asked to see how long one takes, and the least that are asked at all."""
LEAST_ASKED = 1000
"""Queries that tuning leaves the time for."""
ASKED_AGAIN = 5
"""Times the cost of a query: for its AUC, its numbers beyond accuracy, and to be safe."""
TUNING_SHARE = 0.5

MemoryMb: TypeAlias = Callable[[], float]
"""The most megabytes that the process held since it was last asked, or since it began."""


class Phase(StrEnum):
    """What is being done with a method."""

    TUNING = "tuning"
    FITTING = "fitting"
    ASKING = "asking"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a comparison is.

    Attributes
    ----------
    done, total
        Methods.
    key, title
        Of the method at work.
    tried
        Settings compared so far.
    """

    done: int
    total: int
    key: str
    title: str
    phase: Phase
    tried: int = 0


Tell: TypeAlias = Callable[[Phase, int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one method may take.

    Attributes
    ----------
    seconds
        Of tuning, fitting and asking together. The defaults are fitted first; tuning gets at most
        half, and only what fitting once more and asking 1,000 queries leave.
    overtime
        So many times `seconds` a slow fit may take and be asked nevertheless, for half the time
        once more. One that takes longer leaves a row without metrics that says so.
    max_queries
        The most that are asked; None: all.
    tune
        Whether parameters are chosen at all.
    """

    seconds: float
    max_queries: int | None = None
    tune: bool = True
    overtime: float = 1.0


def measure_method(
    task: Task,
    validation: Task | None,
    method: Method,
    yardstick: Yardstick,
    *,
    fixed: Parameters | None = None,
    seed: int,
    clock: Clock,
    limits: Limits,
    memory: MemoryMb | None = None,
    tell: Tell | None = None,
) -> Row:
    """A row of a leaderboard.

    Parameters
    ----------
    task : Task
        The test, of which nothing is chosen by.
    validation : Task or None
        A task made of the training part alone; None where that is too small: the defaults hold.
    yardstick : Yardstick
        Of ``task.training``.
    fixed : mapping or None
        Parameters that are not chosen.
    memory : function or None
        See `MemoryMb`; asked before and after the fit.
    tell : function or None
        Told what begins. What it raises ends the measuring, so this is where a caller may cancel.
    """
    row = Row(method.key, method.title, method.family, method.source)
    if (why := missing_for(method, task.training)) is not None:
        return replace(row, missing=why)
    told = tell or _silent
    work = _Work(task, method, seed, clock, memory)
    if not limits.tune or (validation and missing_for(method, validation.training)):
        validation = None
    try:
        # The defaults are a setting like others, so there is one phase up to the last fit.
        told(Phase.FITTING if validation is None else Phase.TUNING, 0)
        chosen = Choice(method.parameters(fixed or {}))
        fitted = work.fit(chosen.parameters)
        if validation is not None:
            chosen = choose(
                validation,
                method,
                fixed=fixed or {},
                seed=seed,
                clock=clock,
                budget_s=work.left_for_tuning(fitted, limits),
                tell=lambda tried: told(Phase.TUNING, tried),
            )
            if chosen.parameters != fitted.parameters:
                told(Phase.FITTING, chosen.tried)
                fitted = work.fit(chosen.parameters)
    except EngineError as error:
        return replace(row, missing=str(error))
    except MemoryError:
        return replace(row, missing="it needs more memory than there is")
    row = replace(
        row,
        parameters=fitted.parameters,
        fit_s=fitted.took_s,
        peak_mb=fitted.peak_mb,
        tried=chosen.tried,
    )
    most = limits.overtime * limits.seconds
    if fitted.took_s >= most:
        why = f"its fit took {fitted.took_s:.0f} s, which is all of its {most:.0f} s"
        return replace(row, missing=why)
    told(Phase.ASKING, chosen.tried)
    asked, order = ask_in_time(
        task,
        fitted.model,
        seed=seed,
        clock=clock,
        deadline=work.until(limits),
        at_most=limits.max_queries,
    )
    return replace(
        row,
        metrics=judged(task, fitted.model, asked, order, yardstick, seed=seed),
        metrics_without_repeats=judged_without_repeats(asked.second, yardstick, seed=seed),
        query_us=microseconds(asked.took_s),
        n_queries=len(asked.first),
        auc_of=auc_kind(fitted.model),
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A model, and what it took."""

    model: Model
    parameters: dict[str, Value]
    took_s: float
    peak_mb: float | None


class _Work:
    """What is done with one method on one task."""

    def __init__(
        self, task: Task, method: Method, seed: int, clock: Clock, memory: MemoryMb | None
    ) -> None:
        self.began = clock()
        self._task = task
        self._method = method
        self._seed = seed
        self._clock = clock
        self._memory = memory

    def fit(self, parameters: dict[str, Value]) -> _Fitted:
        """A model on the training part of the test."""
        before_mb = _settled(self._memory)
        started = self._clock()
        model = self._method.fit(self._task.training, parameters, self._seed)
        took_s = self._clock() - started
        memory = self._memory
        peak_mb = None if memory is None else max(memory() - before_mb, 0.0)
        return _Fitted(model, parameters, took_s, peak_mb)

    def left_for_tuning(self, defaults: _Fitted, limits: Limits) -> float:
        """Seconds, after the least that has to come after it."""
        n = min(LEAST_ASKED, len(self._task.queries), limits.max_queries or LEAST_ASKED)
        head = asking_order(len(self._task.queries), seed=self._seed)[: min(PROBE, n)].tolist()
        warm_up(self._task, defaults.model, head)
        started = self._clock()
        ask(self._task, defaults.model.recommend, clock=self._clock, positions=head)
        each = (self._clock() - started) / max(len(head), 1)
        still_to_come = defaults.took_s + each * (ASKED_AGAIN * n + PROBE)
        spent = self._clock() - self.began
        return min(TUNING_SHARE * limits.seconds, limits.seconds - spent - still_to_come)

    def until(self, limits: Limits) -> float:
        """When asking ends: not at once after a slow fit."""
        planned = self.began + limits.seconds
        if limits.overtime <= 1.0:
            return planned
        return max(planned, self._clock() + limits.seconds / 2)


def _silent(_phase: Phase, _tried: int) -> None:
    """Nobody wants to know."""


def _settled(memory: MemoryMb | None) -> float:
    """What the process holds now: its peak since a moment ago."""
    if memory is None:
        return 0.0
    memory()
    return memory()


def asking_order(n: int, *, seed: int) -> Int64Array:
    """All queries in an order by chance, the same for every method: its head is a sample."""
    return np.random.default_rng(seed).permutation(n)


def round_sizes(n: int) -> list[int]:
    """How many queries may be asked: 50, 100, 200, 500, ..., n.

    Round, so that a little more or less time asks the same ones.

    Examples
    --------
    >>> round_sizes(300)
    [50, 100, 200, 300]
    """
    steps = [size * 10**power for power in range(1, 9) for size in (1, 2, 5)]
    return [*(size for size in steps if PROBE <= size < n), n]


def warm_up(task: Task, model: Model, positions: Sequence[int]) -> None:
    """Kernels are compiled by their first call, which says nothing about the others."""
    for position in positions[:1]:
        model.recommend(task.queries[position], 1)


def ask_in_time(
    task: Task,
    model: Model,
    *,
    seed: int,
    clock: Clock,
    deadline: float,
    at_most: int | None = None,
) -> tuple[Asked, Int64Array]:
    """Ask as many queries as time allows, 50 at least, in the common order.

    Returns
    -------
    Asked, int64[n]
        And the order of all queries of the task.
    """
    order = asking_order(len(task.queries), seed=seed)
    n = len(order) if at_most is None else min(at_most, len(order))
    warm_up(task, model, order[:1].tolist())
    started = clock()
    first = ask(task, model.recommend, clock=clock, positions=order[: min(PROBE, n)].tolist())
    each = (clock() - started) / min(PROBE, n)
    affordable = 0.8 * (deadline - clock()) / max(each, 1e-9)
    # The first are asked once more for their AUC, which takes twice as long as a list of 20.
    costs = {size: size + 2 * min(AUC_QUERIES, size) for size in round_sizes(n)}
    size = max((size for size, cost in costs.items() if cost <= affordable), default=min(PROBE, n))
    if size <= len(first.first):
        return first, order
    rest = ask(
        task, model.recommend, clock=clock, positions=order[len(first.first) : size].tolist()
    )
    return _joined(first, rest), order


def _joined(first: Asked, rest: Asked) -> Asked:
    return Asked(
        _both(first.first, rest.first),
        _both(first.second, rest.second),
        first.took_s + rest.took_s,
        first.took_again_s + rest.took_again_s,
    )


def _both(a: Lists, b: Lists) -> Lists:
    return Lists(
        np.concatenate([a.positions, b.positions]),
        np.concatenate([a.rows, b.rows]),
        np.concatenate([a.hits, b.hits]),
        np.concatenate([a.n_relevant, b.n_relevant]),
    )


def judged(
    task: Task, model: Model, asked: Asked, order: Int64Array, yardstick: Yardstick, *, seed: int
) -> dict[str, Estimate]:
    """Every metric of the first table, with its interval."""
    values, per = list_values(asked.first, yardstick)
    values |= accuracy(asked.first)
    n = len(asked.first)
    auc = np.full(n, np.nan)
    head = asked.first.positions[:AUC_QUERIES].tolist()
    auc[: len(head)] = auc_values(task, model, head)
    values["auc"] = auc
    if task.ratings and isinstance(model, RatingModel):
        values["rmse"], per["rmse"] = _squared_errors(task, model, asked.first.positions.tolist())
    found = ratio_estimates(values, per, seed=seed)
    if "rmse" in found:
        found["rmse"] = square_root(found["rmse"])
    return found | set_metrics(asked.first, len(order), yardstick, seed=seed)


def judged_without_repeats(lists: Lists, yardstick: Yardstick, *, seed: int) -> dict[str, Estimate]:
    """The second table; empty where there is none. AUC and errors are of the first alone."""
    if not len(lists):
        return {}
    values, per = list_values(lists, yardstick)
    return ratio_estimates({**accuracy(lists), **values}, per, seed=seed)


def set_metrics(
    lists: Lists, n_queries: int, yardstick: Yardstick, *, seed: int
) -> dict[str, Estimate]:
    """``coverage@20`` and ``gini@20`` of the first queries; empty where too few were asked."""
    wanted = min(SET_QUERIES, n_queries)
    if len(lists) < wanted:
        return {}
    rows, n_items = lists.rows[:wanted], yardstick.n_items
    return {
        f"coverage@{K}": set_estimate(
            rows, lambda some: catalog_coverage(some, n_items=n_items), seed=seed
        ),
        f"gini@{K}": set_estimate(
            rows, lambda some: gini(recommended_counts(some, n_items=n_items)), seed=seed
        ),
    }


def _squared_errors(
    task: Task, model: RatingModel, positions: Sequence[int]
) -> tuple[Float64Array, Float64Array]:
    """Sum of squared errors and number of known ratings of each query."""
    sums, counts = np.zeros(len(positions)), np.zeros(len(positions))
    for line, position in enumerate(positions):
        rows, values = task.ratings[position]
        if len(rows):
            errors = model.predicted(task.queries[position], rows).astype(np.float64) - values
            sums[line], counts[line] = float((errors**2).sum()), len(rows)
    return sums, counts
