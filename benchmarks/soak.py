"""Minutes of mixed load on all processes: what does memory do, and does anything get lost?

Web, beat, worker and trainer run as under `manage.py up`. Shoppers ask and act at a constant rate, and every
minute a family of models is trained, besides what the schedule trains. The PSS of each process is
read each second. The minutes that are compared have no training of ours in them: what a process
holds between jobs is what must not grow.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from benchmarks.command import main, say
from benchmarks.generator import Driven, drive, get_request, post_request
from benchmarks.memory import MemoryLog, change_rate, tree
from benchmarks.report import (
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.serving import request_paths
from benchmarks.traffic import browser_posts
from benchmarks.web import background, web

if TYPE_CHECKING:
    from benchmarks.world import World

REQUESTS_PER_POST = 10
EVENTS_PER_POST = 10
CONNECTIONS = 32
SLICE_S = 20
WINDOW_S = 60.0
TRAIN_EVERY_S = 60.0
# A training that was asked for so long before a window has ended when it begins.
QUIET_S = 120.0
SERVERS = frozenset({"PostgreSQL", "Valkey"})

FLAT = Promise(at_most=5.0)
NONE = Promise(at_most=0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="after warming up")
    parser.add_argument("--warm-minutes", type=float, default=5.0)
    parser.add_argument(
        "--mixed-rate", type=int, default=200, help="recommendations asked per second"
    )


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    import recommender.config.celery  # noqa: F401  (the broker of `run_hand_over`)

    load = _Load(world, rate=options.mixed_rate)
    window = min(WINDOW_S, 60 * options.minutes / 4)
    with web() as address, background() as pids:
        tops = {"web": _web_pid(address), **pids, **_server_pids()}
        with MemoryLog(tops, summed=SERVERS) as memory:
            say(f"warming for {options.warm_minutes:g} minutes")
            warm_until = time.monotonic() + 60 * options.warm_minutes
            load.run(address, until=warm_until, train_until=warm_until - QUIET_S)
            start = time.monotonic()
            n_warm = len(load.asked)
            load.run(address, until=start + window)
            say(f"measuring for {options.minutes:g} minutes")
            until = start + 60 * options.minutes
            load.run(address, until=until, train_until=until - window - QUIET_S)
            end = time.monotonic()
        say("waiting for the last training")
        _wait_for_runs(world)
    changes = {
        name: change_rate(samples, start_s=start, end_s=end, window_s=window)
        for name, samples in memory.samples.items()
    }
    return _report(world, load, memory, changes, n_warm, options)


class _Load:
    """What shoppers do, in slices of seconds, with a training every minute."""

    def __init__(self, world: World, *, rate: int) -> None:
        self.world = world
        self.posts_per_s = max(1, rate // REQUESTS_PER_POST)
        self.asked: list[Driven] = []
        self.n_accepted = 0
        self.trainings: list[str] = []
        self._next_training = 0.0

    def run(self, address: str, *, until: float, train_until: float = 0.0) -> None:
        while (left := until - time.monotonic()) > 1.0:
            if self._next_training <= time.monotonic() < train_until:
                self._next_training = time.monotonic() + TRAIN_EVERY_S
                self._train()
            self._slice(address, min(SLICE_S, left))

    def _slice(self, address: str, seconds: float) -> None:
        key = self.world.key
        n_posts = int(self.posts_per_s * seconds)
        posts = browser_posts(self.world, n_posts, events_per_post=EVENTS_PER_POST)
        paths = request_paths(self.world, n_posts * REQUESTS_PER_POST)
        asked = [get_request(path, key=key) for path in paths]
        mixed: list[bytes] = []
        for number, post in enumerate(posts):
            first = number * REQUESTS_PER_POST
            mixed.append(post_request("/v1/events", post.body, key=key))
            mixed += asked[first : first + REQUESTS_PER_POST]
        driven = drive(
            address,
            mixed,
            connections=CONNECTIONS,
            rate=self.posts_per_s * (1 + REQUESTS_PER_POST),
            keep_bodies=True,
        )
        for status, body in zip(driven.statuses, driven.bodies, strict=True):
            if status == 202:
                self.n_accepted += json.loads(body)["accepted"]
        driven.bodies.clear()
        self.asked.append(driven)

    def _train(self) -> None:
        from recommender.models import Artifact, Run
        from recommender.services.training.runs import RunActive, run_hand_over, run_request

        serving = Artifact.objects.filter(store=self.world.store, serving=True)
        families = list(serving.order_by("family").values_list("family", flat=True))
        family = families[len(self.trainings) % len(families)]
        self.trainings.append(family)
        try:
            run = run_request(store=self.world.store, family=family, trigger=Run.Trigger.COMMAND)
        except RunActive:
            return
        run_hand_over(run=run)


def _web_pid(address: str) -> int:
    port = int(address.rpartition(":")[2])
    for process in tree(psutil.Process().pid):
        arguments = process.cmdline()
        if "granian" in arguments and str(port) in arguments:
            return process.pid
    return psutil.Process().pid


def _server_pids() -> dict[str, int]:
    """The servers, if they run on this machine."""
    from django.db import connection

    from recommender.stores.client import valkey

    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    information = valkey().call("INFO", "server")
    number = information.get("process_id") if isinstance(information, dict) else None
    if psutil.pid_exists(backend) and "postgres" in psutil.Process(backend).name():
        found["PostgreSQL"] = psutil.Process(backend).ppid()
    if number and psutil.pid_exists(int(number)):
        found["Valkey"] = int(number)
    return found


def _wait_for_runs(world: World) -> None:
    from recommender.models import Run

    patience = time.monotonic() + 300
    active = Run.objects.filter(store=world.store, state__in=(Run.State.QUEUED, Run.State.RUNNING))
    while time.monotonic() < patience and active.exists():
        time.sleep(1)


def _n_stored(world: World) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT event_id) FROM catalog_event"
            " WHERE store_id = %s AND received_at > %s",
            [world.store.pk, world.built.newest_received_at],
        )
        (count,) = cursor.fetchone()
    return int(count)


def _report(
    world: World,
    load: _Load,
    memory: MemoryLog,
    changes: dict[str, float | None],
    n_warm: int,
    options: argparse.Namespace,
) -> Report:
    from recommender.models import Run

    judged = {
        name: change
        for name, change in changes.items()
        if change is not None and name not in SERVERS
    }
    most = max((abs(change) for change in judged.values()), default=float("nan"))
    measured = load.asked[n_warm:]
    latencies = [each for driven in measured for each in driven.latencies_ms]
    n_stored = _n_stored(world)
    trained = Run.objects.filter(store=world.store, finished_at__isnull=False).order_by("-pk")
    states = list(trained.values_list("family", "state")[: len(load.trainings)])
    return Report(
        benchmark="soak",
        figures=[
            figure(
                "most change of a process's memory", 100 * most, "%",
                promise=FLAT,
            ),
            figure(
                "failed requests", sum(driven.n_failed for driven in load.asked), "",
                promise=NONE,
            ),
            figure(
                "accepted, but not stored once", abs(load.n_accepted - n_stored), "",
                promise=NONE,
            ),
            figure("p50", percentile(latencies, 0.5), "ms"),
            figure("p99", percentile(latencies, 0.99), "ms"),
            figure("trainings asked for", len(load.trainings), ""),
            figure("processes that ended or began meanwhile", list(changes.values()).count(None), ""),
        ],
        tables=[
            _memory_table(memory, changes),
            Table(
                "Latency by slice, ms",
                ("slice", "requests", "failed", "p50", "p99"),
                [
                    (
                        number + 1, len(driven.statuses), driven.n_failed,
                        percentile(driven.latencies_ms, 0.5),
                        percentile(driven.latencies_ms, 0.99),
                    )
                    for number, driven in enumerate(measured)
                ],
            ),
        ],
        notes=[
            (
                f"{options.mixed_rate} recommendations and {load.posts_per_s} posts of {EVENTS_PER_POST}"
                f" events a second at a constant rate, in slices of {SLICE_S} s; a training every"
                f" minute, besides those of the schedule. {options.minutes:g} minutes after"
                f" {options.warm_minutes:g} of warming up."
            ),
            f"Accepted {load.n_accepted:,} events, found {n_stored:,}.",
            ("Change is the median of the last minute against that of the first. PostgreSQL and"
            " Valkey keep the shop's data, which grows; they are shown and not judged."),
            "Last trainings: " + ", ".join(f"{family} {state}" for family, state in states) + ".",
        ],
    )  # fmt: skip


def _memory_table(memory: MemoryLog, changes: dict[str, float | None]) -> Table:
    rows: list[Sequence[str | float | int | None]] = []
    for name, samples in memory.samples.items():
        change = changes[name]
        sizes = sorted(each.bytes / 2**20 for each in samples)
        rows.append(
            (
                name,
                sizes[0],
                sizes[len(sizes) // 2],
                sizes[-1],
                "ended or began meanwhile" if change is None else f"{100 * change:+.1f} %",
            )
        )
    return Table("PSS by process, MB", ("process", "least", "median", "most", "change"), rows)


if __name__ == "__main__":
    main(["soak"])
