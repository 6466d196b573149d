"""Events over HTTP: durable events per second from browsers and from back offices, against floors.

Every post is new: fresh event ids, written before the clock starts. At the end PostgreSQL is asked
for them: what was answered with 202 must be there, once each.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING
from uuid import UUID

from benchmarks.command import main, say
from benchmarks.generator import Driven, drive, post_request
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.traffic import BROWSER_MIX, SERVER_MIX, Mix, Post, browser_posts, server_posts
from benchmarks.web import FLOOR, web

if TYPE_CHECKING:
    from benchmarks.world import World

PER_BROWSER_POST = 10
PER_SERVER_POST = 1_000
SERVER_CONNECTIONS = 4
FLOOR_TABLE = "bench_floor_event"

BROWSER_RATE = Promise(at_least=3_000.0)
BROWSER_P95_MS = Promise(at_most=50.0)
SERVER_RATE = Promise(at_least=20_000.0)
NONE = Promise(at_most=0.0)


@dataclass(frozen=True, slots=True)
class Ingested:
    """A run, and what was in its posts and answers. `posts` are those that were sent."""

    name: str
    driven: Driven
    posts: Sequence[Post]
    n_accepted: int
    n_refused: int

    @property
    def n_events(self) -> int:
        return sum(len(post.event_ids) for post in self.posts)

    @property
    def events_per_s(self) -> float:
        return self.n_accepted / self.driven.seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=10, help="length of each run")
    parser.add_argument("--connections", type=int, default=8, help="of browsers, saturated")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from django.db import connection

    from benchmarks.floor import INSERT_TABLE

    seconds, connections = options.seconds, options.connections
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {INSERT_TABLE}")
        cursor.execute(f"CREATE TABLE {INSERT_TABLE} (id bigserial PRIMARY KEY, body bytea)")
    offered_posts = int(BROWSER_RATE.at_least or 0) // PER_BROWSER_POST
    say("writing events")
    began = datetime.fromtimestamp(time.time()).astimezone()
    # As many as even a fast machine could take in the time.
    spare = browser_posts(world, 2_000 * seconds, events_per_post=PER_BROWSER_POST)
    steady = browser_posts(world, offered_posts * seconds, events_per_post=PER_BROWSER_POST)
    batches = server_posts(world, 60 * seconds, events_per_post=PER_SERVER_POST)
    warm = browser_posts(world, 400, events_per_post=PER_BROWSER_POST)
    with web(FLOOR, ready="/") as floor_address, web() as address:
        say("warming")
        runs = [_posted("warming", address, warm, world.key, connections=connections)]
        say("browsers, saturated: floor")
        floor = drive(
            floor_address,
            [post_request("/insert", post.body) for post in spare],
            connections=connections,
            seconds=seconds,
        )
        say("browsers, saturated")
        saturated = _posted(
            "browsers, saturated", address, spare, world.key,
            connections=connections, seconds=seconds,
        )  # fmt: skip
        say(f"browsers, {offered_posts} posts/s offered")
        offered = _posted(
            "browsers, offered", address, steady, world.key, connections=32, rate=offered_posts
        )
        say("back office, saturated")
        server = _posted(
            "back office, saturated", address, batches, world.secret_key,
            connections=SERVER_CONNECTIONS, seconds=seconds,
        )  # fmt: skip
    runs += [saturated, offered, server]
    say("counting what is stored")
    n_stored, n_lines = _stored(world, chain.from_iterable(_ids(each) for each in runs))
    n_server_stored, n_server_lines = _stored(world, chain(_ids(server)))
    say("floor of the back office: COPY")
    copy_lines_per_s = _copy_floor(world, began)
    return _report(
        runs=(saturated, offered, server),
        floor=floor,
        copy_events_per_s=copy_lines_per_s * n_server_stored / max(1, n_server_lines),
        n_accepted=sum(each.n_accepted for each in runs),
        n_stored=n_stored,
        n_lines=n_lines,
    )


def _posted(
    name: str,
    address: str,
    posts: Sequence[Post],
    key: str,
    *,
    connections: int,
    rate: float | None = None,
    seconds: float | None = None,
) -> Ingested:
    driven = drive(
        address,
        [post_request("/v1/events", post.body, key=key) for post in posts],
        connections=connections,
        rate=rate,
        seconds=seconds,
        keep_bodies=True,
    )
    accepted = refused = 0
    for status, body in zip(driven.statuses, driven.bodies, strict=True):
        if status == 202:
            answer = json.loads(body)
            accepted += answer["accepted"]
            refused += len(answer["rejected"])
    if driven.n_failed:
        example = next(
            (
                f"{status} {body[:200].decode(errors='replace')}"
                for status, body in zip(driven.statuses, driven.bodies, strict=True)
                if status != 202
            )
        )
        say(f"  {driven.n_failed} posts of {len(driven.statuses)} failed, such as: {example}")
    return Ingested(name, driven, posts[: len(driven.statuses)], accepted, refused)


def _ids(run: Ingested) -> list[UUID]:
    """The ids in posts that were answered with 202."""
    return [
        event_id
        for post, status in zip(run.posts, run.driven.statuses, strict=True)
        if status == 202
        for event_id in post.event_ids
    ]


def _stored(world: World, event_ids: chain[UUID]) -> tuple[int, int]:
    """How many of the events are in PostgreSQL, and in how many lines."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE bench_sent (event_id uuid)")
        with cursor.cursor.copy("COPY bench_sent FROM STDIN") as copy:
            for event_id in event_ids:
                copy.write_row((event_id,))
        cursor.execute(
            "SELECT count(DISTINCT event.event_id), count(*) FROM catalog_event AS event"
            " JOIN bench_sent USING (event_id)"
            " WHERE event.store_id = %s AND event.received_at > %s",
            [world.store.pk, world.built.newest_received_at],
        )
        n_events, n_lines = cursor.fetchone()
        cursor.execute("DROP TABLE bench_sent")
    return int(n_events), int(n_lines)


def _copy_floor(world: World, began: datetime) -> float:
    """Lines per second that PostgreSQL takes by COPY into a table with the same columns and indexes.

    The lines that were just stored, one connection per core, a commit per 1,000 events' worth.
    """
    import psycopg
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {FLOOR_TABLE}")
        cursor.execute(f"CREATE TABLE {FLOOR_TABLE} (LIKE catalog_event INCLUDING ALL)")
        with cursor.cursor.copy(
            "COPY (SELECT * FROM catalog_event WHERE store_id = %s AND received_at > %s"
            " ORDER BY received_at LIMIT 200000) TO STDOUT",
            [world.store.pk, began],
        ) as copy:
            lines = [bytes(line) for line in copy]
    n_cores = os.cpu_count() or 1
    parts = [lines[number::n_cores] for number in range(n_cores)]
    conninfo = connection.get_connection_params()
    conninfo = {
        name: value
        for name, value in conninfo.items()
        if name in ("dbname", "user", "password", "host", "port")
    }

    def load(part: list[bytes]) -> None:
        with psycopg.connect(**conninfo) as own:
            for start in range(0, len(part), PER_SERVER_POST):
                with own.cursor() as cursor, cursor.copy(f"COPY {FLOOR_TABLE} FROM STDIN") as copy:
                    copy.write(b"".join(part[start : start + PER_SERVER_POST]))
                own.commit()

    threads = [threading.Thread(target=load, args=(part,)) for part in parts]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {FLOOR_TABLE}")
        (n_copied,) = cursor.fetchone()
        cursor.execute(f"DROP TABLE {FLOOR_TABLE}")
    if n_copied != len(lines) or not lines:
        raise BenchmarkError(f"The floor took {n_copied} of {len(lines)} lines.")
    return len(lines) / seconds


def _report(
    *,
    runs: tuple[Ingested, Ingested, Ingested],
    floor: Driven,
    copy_events_per_s: float,
    n_accepted: int,
    n_stored: int,
    n_lines: int,
) -> Report:
    saturated, offered, server = runs
    n_failed = sum(each.driven.n_failed for each in runs) + floor.n_failed
    n_duplicate_or_refused = sum(each.n_refused for each in runs)
    return Report(
        benchmark="ingest",
        figures=[
            figure(
                f"browsers, {PER_BROWSER_POST} per post, saturated", saturated.events_per_s,
                "events/s", promise=BROWSER_RATE, floor=floor.per_second * PER_BROWSER_POST,
            ),
            figure(
                "browsers, p95 saturated", percentile(saturated.driven.latencies_ms, 0.95), "ms",
                promise=BROWSER_P95_MS, floor=percentile(floor.latencies_ms, 0.95),
            ),
            figure(
                "browsers, p95 at 3,000 events/s offered",
                percentile(offered.driven.latencies_ms, 0.95), "ms", promise=BROWSER_P95_MS,
            ),
            figure(
                f"back office, {PER_SERVER_POST:,} per post, saturated", server.events_per_s,
                "events/s", promise=SERVER_RATE, floor=copy_events_per_s,
            ),
            figure("failed posts", n_failed, "", promise=NONE),
            figure("refused events", n_duplicate_or_refused, "", promise=NONE),
            figure("accepted, but not stored once", abs(n_accepted - n_stored), "", promise=NONE),
        ],
        tables=[_runs_table(floor, runs, copy_events_per_s)],
        notes=[
            (f"Accepted {n_accepted:,} events, found {n_stored:,} of them in PostgreSQL, in"
            f" {n_lines:,} lines (an event of several products has one for each)."),
            f"Browsers: {_words(BROWSER_MIX)}.",
            f"Back office: {_words(SERVER_MIX)}.",
            ("The floor of browsers is a bare view that reads the same bodies and commits each as one"
            " row. The floor of back offices is COPY of the same lines into a table with the same"
            " indexes, one connection per core, a commit per 1,000 lines, without HTTP."),
        ],
    )  # fmt: skip


def _words(mix: Mix) -> str:
    return ", ".join(f"{share:.0%} {kind}" for kind, share in mix)


def _runs_table(
    floor: Driven, runs: tuple[Ingested, Ingested, Ingested], copy_events_per_s: float
) -> Table:
    def latencies(driven: Driven) -> tuple[float, ...]:
        return tuple(percentile(driven.latencies_ms, share) for share in (0.5, 0.95, 0.99, 1.0))

    rows: list[tuple[str | float | int | None, ...]] = [
        (
            "floor of browsers: INSERT of the body",
            len(floor.statuses),
            None,
            floor.per_second * PER_BROWSER_POST,
            *latencies(floor),
        )
    ]
    rows += [
        (each.name, len(each.posts), each.n_accepted, each.events_per_s, *latencies(each.driven))
        for each in runs
    ]
    rows.append(("floor of back offices: COPY", None, None, copy_events_per_s, *(None,) * 4))
    header = ("", "posts", "events accepted", "events/s", "p50 ms", "p95 ms", "p99 ms", "most")
    return Table("Runs", header, rows)


if __name__ == "__main__":
    main(["ingest"])
