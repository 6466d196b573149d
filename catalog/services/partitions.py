"""Monthly partitions, made ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

# Ingestion writes to the same tables: rather give up and be called again than hold it up.
_LOCK_TIMEOUT = "10s"

# Puts rows into the table of this (quoted) name.
Fill = Callable[[CursorWrapper, str], None]


@dataclass(frozen=True, slots=True)
class Month:
    """The days from `start` up to, but without, `end`."""

    start: date
    end: date


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A table partitioned by the month of the date column `key`."""

    name: str
    key: str


def partitions_ensure(*, first: date, last: date) -> None:
    """Make the partitions of every month from `first` to `last`, where they don't exist.

    For all tables that `CreatePartitionedModel` made. One transaction per table and month.
    """
    for table in _partitioned_tables():
        for month in partitions_missing(table=table, first=first, last=last):
            partition_make(table=table, month=month)


def partitions_relieve() -> None:
    """Make the partitions of all months whose rows wait in a DEFAULT partition."""
    quote = connection.ops.quote_name
    for table in _partitioned_tables():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT DISTINCT date_trunc('month', {quote(table.key)})::date"
                f" FROM {quote(f'{table.name}_default')} ORDER BY 1"
            )
            days = [day for (day,) in cursor.fetchall()]
        for day in days:
            for month in _months(day, day):
                partition_make(table=table, month=month)


def partitions_missing(*, table: PartitionedTable, first: date, last: date) -> list[Month]:
    """Find the months from `first` to `last` that have no partition of their own."""
    if first > last:
        raise ValueError(f"the first day {first} is after the last day {last}")
    existing = _partitions(table)
    return [
        month for month in _months(first, last) if _partition_name(table, month) not in existing
    ]


def partition_make(*, table: PartitionedTable, month: Month, fill: Fill | None = None) -> bool:
    """Make the partition of a month, already filled if wanted; False if there is one by now.

    One transaction. Rows of that month which had to wait in the DEFAULT partition move into the
    new one: PostgreSQL would refuse it while they are there. The new table is filled before it is
    attached, which spares every row the upkeep of the indexes and all writers to other months any
    wait. Writers to the DEFAULT partition wait while its rows are moved and the indexes are built.

    Raises
    ------
    IntegrityError
        If a row of `fill` is there twice, or is in the DEFAULT partition. Nothing has changed.
    """
    quote = connection.ops.quote_name
    partition = _partition_name(table, month)
    parent, default, new = map(quote, (table.name, f"{table.name}_default", partition))
    key, bounds = quote(table.key), (month.start.isoformat(), month.end.isoformat())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [partition])
        if partition in _partitions(table):
            return False  # another process made it while this one waited
        cursor.execute(
            f"CREATE TABLE {new} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        if fill is not None:
            fill(cursor, new)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        cursor.execute(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {default} WHERE {key} >= %s AND {key} < %s RETURNING *)"
            f" INSERT INTO {new} SELECT * FROM moved",
            bounds,
        )
        # DDL takes no parameters; these are dates, not texts from outside.
        cursor.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {new}"
            f" FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
        )
        cursor.execute("SELECT set_config('lock_timeout', '0', true)")
    return True


def _partitioned_tables() -> list[PartitionedTable]:
    """Read the range-partitioned tables that have a DEFAULT partition, and their keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT parent.relname, attribute.attname
            FROM pg_partitioned_table AS partitioned
            JOIN pg_class AS parent ON parent.oid = partitioned.partrelid
            JOIN pg_attribute AS attribute
              ON attribute.attrelid = parent.oid AND attribute.attnum = partitioned.partattrs[0]
            JOIN pg_class AS fallback ON fallback.oid = partitioned.partdefid
            WHERE partitioned.partstrat = 'r'
              AND parent.relnamespace = current_schema()::regnamespace
              AND fallback.relname = parent.relname || '_default'
            ORDER BY parent.relname
            """
        )
        return [PartitionedTable(name, key) for name, key in cursor.fetchall()]


def _partitions(table: PartitionedTable) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT partition.relname
            FROM pg_inherits JOIN pg_class AS partition ON partition.oid = inhrelid
            WHERE inhparent = to_regclass(%s)
            """,
            [connection.ops.quote_name(table.name)],
        )
        return {name for (name,) in cursor.fetchall()}


def _partition_name(table: PartitionedTable, month: Month) -> str:
    return f"{table.name}_y{month.start:%Y}m{month.start:%m}"


def _months(first: date, last: date) -> Iterator[Month]:
    start = first.replace(day=1)
    while start <= last:
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        yield Month(start, end)
        start = end
