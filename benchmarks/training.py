"""Training at 1, 3 and 10 times the demo year: seconds and memory by family, and how they grow.

A copy of the database is made and filled with more shoppers, whose orders are those of the year,
moved by minutes. It is dropped at the end. 10 times takes about a quarter of an hour and 8 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.command import main, say
from benchmarks.memory import PeakSampler
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    growth_exponent,
)
from recommender.config.env import PROJECT_DIR, Environment, make_data_dir

if TYPE_CHECKING:
    import psycopg

    from benchmarks.world import World

DATABASE = "vitrine_bench_training"
FOLDER = "training"
WHOLE = "all families, the usual command"
PEAK_MB = Promise(at_most=2_048.0)
# On two cores; said before it starts.
ESTIMATED_S_PER_SCALE = 90


@dataclass(frozen=True, slots=True)
class Trained:
    """One training: of a family alone, or the whole command."""

    scale: int
    family: str
    seconds: float
    peak_mb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scales", type=_scales, default="1,3,10", help="times the demo year, as in 1,3,10"
    )


class _Scales(list[int]):
    """Prints as it was given."""

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _scales(text: str) -> _Scales:
    found = _Scales(sorted({int(each) for each in text.split(",")}))
    if not found or found[0] < 1:
        raise ValueError("scales are whole numbers from 1")
    return found


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from recommender.services.training.execution import FAMILIES

    scales: Sequence[int] = options.scales
    minutes = ESTIMATED_S_PER_SCALE * sum(scales) / 60
    say(f"about {minutes:.0f} minutes on two cores")
    trained: list[Trained] = []
    n_lines: dict[int, int] = {}
    floors: dict[int, float] = {}
    with _copy(world) as place:
        at = 1
        for scale in scales:
            say(f"{scale}×: adding shoppers and their orders")
            place.grow(at, scale)
            at = scale
            n_lines[scale] = place.n_lines()
            floors[scale] = place.read_seconds()
            for family in map(str, FAMILIES):
                say(f"{scale}×: {family}")
                trained.append(place.train(scale, family))
            say(f"{scale}×: {WHOLE}")
            trained.append(place.train(scale, None))
    return _report(trained, n_lines, floors)


@dataclass(slots=True)
class _Place:
    """The copy: its database, and a data folder for what is trained."""

    env: Environment
    folder: Path
    database_url: str
    connection: psycopg.Connection[Any]
    store_id: int
    slug: str
    indexes: Sequence[str] = ()

    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.env.redis_url,
            "VITRINE_DATA_DIR": str(self.folder),
        }

    def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """One year of the demo shop, without what was added for serving, and no models."""
        self.execute("SET synchronous_commit = off")
        self.execute(
            "DELETE FROM catalog_event WHERE product_id IN (SELECT id FROM catalog_product"
            " WHERE store_id = %(store)s AND external_id LIKE 'twin-%%')",
            store=self.store_id,
        )
        self.execute(
            "DELETE FROM catalog_product WHERE store_id = %(store)s AND external_id LIKE 'twin-%%'",
            store=self.store_id,
        )
        self.indexes = [
            definition
            for (definition,) in self.execute(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
                " WHERE indrelid = 'catalog_event'::regclass AND NOT indisprimary"
            )
        ]

    def grow(self, before: int, after: int) -> None:
        """Add shoppers until there are `after` times as many, each with the orders of another."""
        if after > before:
            self._drop_indexes()
            for number in range(before, after):
                self._add_copy(number)
            for definition in self.indexes:
                self.execute(definition)
        self.execute("VACUUM (ANALYZE) catalog_event, catalog_shopper")

    def _drop_indexes(self) -> None:
        """Indexes cost more to keep than to make again; a copy needs no log either."""
        for (name,) in self.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'catalog_event'::regclass AND contype = 'p'"
        ):
            self.execute(f'ALTER TABLE catalog_event DROP CONSTRAINT "{name}"')
        for (name,) in self.execute(
            "SELECT indexrelid::regclass::text FROM pg_index"
            " WHERE indrelid = 'catalog_event'::regclass"
        ):
            self.execute(f"DROP INDEX {name}")
        for (name,) in self.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = 'catalog_event'::regclass AND relpersistence = 'p'"
        ):
            self.execute(f"ALTER TABLE {name} SET UNLOGGED")

    def _add_copy(self, number: int) -> None:
        from benchmarks.world import columns
        from catalog.models import Event, Shopper

        names, values = columns(
            Shopper, external_id="source.external_id || '-' || %(number)s::int", profile="'{}'"
        )
        self.execute(
            f"INSERT INTO catalog_shopper ({names}) SELECT {values}"
            " FROM catalog_shopper AS source WHERE source.store_id = %(store)s"
            " AND source.id <= (SELECT last_id FROM bench_first_shoppers)",
            store=self.store_id,
            number=number,
        )
        names, values = columns(
            Event,
            event_id="md5(source.event_id::text || %(number)s::int)::uuid",
            shopper_id="twin.id",
            order_id="source.order_id || '-' || %(number)s::int",
            session_id="left(source.session_id || '-' || %(number)s::int, 64)",
            occurred_at="source.occurred_at - make_interval(mins => 7 * %(number)s::int)",
        )
        self.execute(
            f"INSERT INTO catalog_event ({names}) SELECT {values}"
            " FROM catalog_event AS source"
            " JOIN catalog_shopper AS shopper ON shopper.id = source.shopper_id"
            " JOIN catalog_shopper AS twin ON twin.store_id = shopper.store_id"
            "  AND twin.external_id = shopper.external_id || '-' || %(number)s::int"
            " WHERE source.store_id = %(store)s"
            "  AND shopper.id <= (SELECT last_id FROM bench_first_shoppers)",
            store=self.store_id,
            number=number,
        )

    def n_lines(self) -> int:
        return int(self.execute("SELECT count(*) FROM catalog_event")[0][0])

    def read_seconds(self) -> float:
        """The floor: PostgreSQL handing out the columns that training reads, and nobody looking."""
        began = time.perf_counter()
        with self.connection.cursor().copy(
            "COPY (SELECT shopper_id, product_id, type, quantity,"
            " extract(epoch FROM occurred_at)::int8 FROM catalog_event) TO STDOUT (FORMAT binary)"
        ) as copy:
            for _ in copy:
                pass
        return time.perf_counter() - began

    def train(self, scale: int, family: str | None) -> Trained:
        """Train in a process of its own."""
        self.execute("DELETE FROM recommender_artifact")
        self.execute("DELETE FROM recommender_run")
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        command = [sys.executable, str(PROJECT_DIR / "manage.py"), "train", "--store", self.slug]
        began = time.perf_counter()
        process = subprocess.Popen(
            command + (["--family", family] if family else []),
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        with PeakSampler(process.pid) as memory:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode != 0:
            raise BenchmarkError(f"Training {family or 'all'} at {scale}× failed; see above.")
        # The sampler may miss a short peak of the one process that the kernel has seen.
        unit = 1 if sys.platform == "darwin" else 1024
        peak_bytes = max(memory.peak_bytes, usage.ru_maxrss * unit)
        return Trained(scale, family or WHOLE, seconds, peak_bytes / 2**20)


@contextmanager
def _copy(world: World) -> Iterator[_Place]:
    """A copy of the database that nobody else sees."""
    import psycopg
    from django.db import connection
    from psycopg import sql

    parts = urlsplit(world.env.database_url)
    original = parts.path.lstrip("/")
    copy_url = parts._replace(path=f"/{DATABASE}").geturl()
    folder = world.env.data_dir / FOLDER
    connection.close()
    try:
        maintenance = psycopg.connect(parts._replace(path="/template1").geturl(), autocommit=True)
    except psycopg.OperationalError as error:
        raise BenchmarkError(f"The server's template1 can't be reached: {error}") from error
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE))
    with maintenance:
        maintenance.execute(drop)
        try:
            maintenance.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(DATABASE), sql.Identifier(original)
                )
            )
        except psycopg.Error as error:
            raise BenchmarkError(f"The database can't be copied: {error}") from error
        try:
            make_data_dir(folder)
            with psycopg.connect(copy_url, autocommit=True) as own:
                place = _Place(world.env, folder, copy_url, own, world.store.pk, world.store.slug)
                place.prepare()
                place.execute(
                    "CREATE TABLE bench_first_shoppers AS"
                    " SELECT max(id) AS last_id FROM catalog_shopper"
                )
                yield place
        finally:
            maintenance.execute(drop)
            shutil.rmtree(folder, ignore_errors=True)


def _report(
    trained: Sequence[Trained], n_lines: Mapping[int, int], floors: Mapping[int, float]
) -> Report:
    scales = list(n_lines)
    families = list(dict.fromkeys(each.family for each in trained))
    by = {(each.family, each.scale): each for each in trained}
    whole = by[WHOLE, scales[0]]
    figures = [
        figure(
            f"{WHOLE}, {scales[0]}×", whole.seconds, "s", floor=floors[scales[0]]
        ),
        figure(
            f"{WHOLE}, {scales[0]}×, most memory", whole.peak_mb, "MB",
            promise=PEAK_MB if scales[0] == 1 else None,
        ),
    ]  # fmt: skip
    if len(scales) > 1:
        largest = scales[-1]
        figures += [
            figure(f"{WHOLE}, {largest}×", by[WHOLE, largest].seconds, "s", floor=floors[largest]),
            figure(f"{WHOLE}, {largest}×, most memory", by[WHOLE, largest].peak_mb, "MB"),
            figure("growth exponent of the time", _growth(by, WHOLE, scales, "seconds"), ""),
            figure("growth exponent of the memory", _growth(by, WHOLE, scales, "peak_mb"), ""),
        ]
    header = ("family", *(f"{scale}×" for scale in scales), "growth exponent")
    return Report(
        benchmark="training",
        figures=figures,
        tables=[
            Table(title, header, [
                (
                    family,
                    *(getattr(by[family, scale], what) for scale in scales),
                    _growth(by, family, scales, what),
                )
                for family in families
            ])
            for title, what in (("Seconds", "seconds"), ("Most memory, MB", "peak_mb"))
        ],
        notes=[
            "Event lines: "
            + ", ".join(f"{scale}× {count:,}" for scale, count in n_lines.items())
            + ". Products are the same at every scale.",
            ("Each family alone in a process of its own, which reads what it needs; the usual command"
            " reads once for most of them and uses two processes. Seconds include starting Python."),
            "The floor is COPY of the columns that training reads, with nobody looking at them.",
            "A growth exponent is the slope of log cost over log size: 1 is linear.",
        ],
    )  # fmt: skip


def _growth(
    by: Mapping[tuple[str, int], Trained], family: str, scales: Sequence[int], what: str
) -> float:
    return growth_exponent(scales, [getattr(by[family, scale], what) for scale in scales])


if __name__ == "__main__":
    main(["training"])
