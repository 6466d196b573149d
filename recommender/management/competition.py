"""A leaderboard in processes of their own: each method is fitted in one, and stopped in time."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from threadpoolctl import threadpool_limits

from recommender.engine.evaluation.beyond_accuracy import Yardstick, yardstick_for
from recommender.engine.evaluation.leaderboard import (
    Leaderboard,
    Row,
    leaderboard_of,
    row_from_document,
    row_to_document,
)
from recommender.engine.evaluation.measuring import Limits, measure_method
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Family, Method
from recommender.engine.methods.registry import missing_for
from recommender.management.protocol_files import DataSet, tasks_of, validation_of
from recommender.stores.process_memory import peak_mb

WORKERS = 2
GRACE, GRACE_S = 1.2, 3.0
"""How much more CPU time than its share a method may take before the system stops it."""
STUCK, STUCK_S = 20.0, 60.0
"""After so many times its share on the clock of the wall it waits for something for ever."""
SHARES = {Family.FUSION: 7.0, Family.NEURAL: 5.0}
"""Of the time for a method of such a family; others one. These fit many models, or in many steps."""
SHARES_OF = {
    "item_knn_cosine": 2.0,
    "bought_together": 1.5,
    "for_you": 2.0,
    "ease_sparse": 1.5,
    "slim": 2.0,
    "fm": 2.5,
    "item2vec": 2.0,
}
"""Of the time for methods that learn longer than others of their family, or have more to choose."""
OVERTIME = 2.0
"""Times its share that a fit may take: most methods don't need theirs."""
RESERVE = 0.93
"""Of the time is given away; the rest is for reading files and for what takes its grace."""

Say = Callable[[str], None]


@dataclass(slots=True)
class _Entrant:
    """A method that is being measured."""

    method: Method
    process: ForkProcess
    answers: Connection
    seconds: float
    started: float

    @property
    def until(self) -> float:
        return self.started + STUCK * OVERTIME * self.seconds + STUCK_S


@dataclass(slots=True)
class _Time:
    """What is left of it, and who still wants some: data sets, and the methods of this one.

    Each data set gets an even part of what those before it left, so that its last methods, which
    are the slow ones, find what its quick ones left. Counted in CPU time of so many workers, so
    that the figures are the same on a machine that has other things to do as well; there it takes
    longer.
    """

    seconds: float
    data_sets: int
    workers: int
    began_s: float = field(default_factory=lambda: _used_s(1))
    until_s: float = 0.0
    wanted: float = 0.0

    def next_data_set(self, methods: Sequence[Method]) -> None:
        """Its part of the time is shared by these methods."""
        used = self._used_s()
        self.until_s = used + (self.seconds - used) / self.data_sets
        self.data_sets -= 1
        self.wanted = sum(map(shares_of, methods))

    def share(self, method: Method, running: Sequence[_Entrant]) -> float:
        """Of the next one: its part of what is left on all workers."""
        promised = sum(one.seconds for one in running) / self.workers
        left = max(self.until_s - self._used_s() - promised, 0.0)
        mine = shares_of(method)
        share = RESERVE * left * self.workers * mine / max(self.wanted, mine)
        self.wanted -= mine
        # One method can't use two workers.
        return max(min(share, RESERVE * left), 1.0)

    def _used_s(self) -> float:
        return _used_s(self.workers) - self.began_s


def shares_of(method: Method) -> float:
    """How many shares of the time a method gets on each data set."""
    return SHARES_OF.get(method.key, SHARES.get(method.family, 1.0))


def _used_s(workers: int) -> float:
    """CPU time of this process, and of its children as if they had shared it evenly."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + (children.ru_utime + children.ru_stime) / workers


def compete(
    data_sets: Sequence[DataSet],
    methods: Sequence[Method],
    *,
    minutes: float,
    seed: int,
    tune: bool,
    say: Say,
    workers: int = WORKERS,
) -> list[Leaderboard]:
    """Every method on every data set within so many minutes, two at a time.

    Parameters
    ----------
    minutes : float
        On a machine that has nothing else to do; see `_Time`.
    say : function of str
        Told a line per method.
    """
    clock = _Time(60 * minutes, len(data_sets), workers)
    boards: list[Leaderboard] = []
    for number, data in enumerate(data_sets, start=1):
        began = time.perf_counter()
        task, make_validation = tasks_of(data, seed=seed)
        validation = validation_of(make_validation) if tune else None
        yardstick = yardstick_for(task.training, seed=seed)
        say(
            f"{data.title}, {data.protocol} ({number} of {len(data_sets)}): "
            f"{len(task.queries):,} queries, {task.training.n_items:,} items"
        )
        rows: list[Row] = []
        entering: list[Method] = []
        for method in methods:
            why = missing_for(method, task.training)
            if why is None:
                entering.append(method)
            else:
                rows.append(_missing(method, why))
        clock.next_data_set(entering)
        rows += _race(task, validation, yardstick, entering, clock, seed=seed, say=say)
        took = time.perf_counter() - began
        boards.append(
            leaderboard_of(task, rows, yardstick, data=data.title, seed=seed, took_s=took)
        )
    return boards


def _race(
    task: Task,
    validation: Task | None,
    yardstick: Yardstick,
    methods: list[Method],
    clock: _Time,
    *,
    seed: int,
    say: Say,
) -> list[Row]:
    rows: list[Row] = []
    running: list[_Entrant] = []
    waiting = list(reversed(methods))
    while waiting or running:
        while waiting and len(running) < clock.workers:
            method = waiting.pop()
            seconds = clock.share(method, running)
            running.append(_start(method, task, validation, yardstick, seconds, seed=seed))
        next_stop = min(one.until for one in running) - time.perf_counter()
        wait([one.answers for one in running], timeout=max(next_stop, 0.0))
        for one in list(running):
            row = _finished(one)
            if row is not None:
                running.remove(one)
                rows.append(row)
                say(f"  {_line(row, task.objective, time.perf_counter() - one.started)}")
    return rows


def _cpu_s() -> float:
    """CPU time of this process.

    Not by ``time.process_time``, which goes in ticks of 4 ms where the system watches a limit.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _start(
    method: Method,
    task: Task,
    validation: Task | None,
    yardstick: Yardstick,
    seconds: float,
    *,
    seed: int,
) -> _Entrant:
    """A process with a copy of everything that is in memory, which nothing has to be sent to."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def measure() -> None:
        # Times are CPU times of one thread: two methods at once don't slow down each other's.
        limit = ceil(GRACE * OVERTIME * seconds + GRACE_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        with threadpool_limits(1):
            row = measure_method(
                task,
                validation,
                method,
                yardstick,
                seed=seed,
                clock=_cpu_s,
                limits=Limits(seconds, tune=validation is not None, overtime=OVERTIME),
                memory=peak_mb,
            )
        theirs.send_bytes(json.dumps(row_to_document(row)).encode())
        theirs.close()

    process = context.Process(target=measure, daemon=True)
    process.start()
    theirs.close()
    return _Entrant(method, process, ours, seconds, time.perf_counter())


def _finished(one: _Entrant) -> Row | None:
    """Its row; None while it may go on."""
    if one.answers.poll():
        try:
            row = row_from_document(json.loads(one.answers.recv_bytes()))
        except EOFError:
            one.process.join()
            row = _missing(one.method, _why_ended(one))
    elif time.perf_counter() < one.until:
        return None
    else:
        one.process.kill()
        row = _missing(one.method, "it did not come back")
    one.process.join()
    one.answers.close()
    return row


def _why_ended(one: _Entrant) -> str:
    if one.process.exitcode == -signal.SIGKILL:
        return f"the system stopped it: its time was {OVERTIME * one.seconds:.0f} s"
    return f"its process ended with code {one.process.exitcode}"


def _missing(method: Method, why: str) -> Row:
    return Row(method.key, method.title, method.family, method.source, missing=why)


def _line(row: Row, objective: Sequence[str], took_s: float) -> str:
    if row.missing is not None:
        return f"{row.key}: {row.missing}"
    figures = ", ".join(
        f"{name} {row.metrics[name].value:.4f}" for name in objective if name in row.metrics
    )
    return f"{row.key}: {figures or 'no objective'} ({row.n_queries:,} queries, {took_s:.0f} s)"
