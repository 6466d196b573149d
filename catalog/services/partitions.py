"""Monthly partitions, made ahead of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction

# Any fixed number: one process at a time makes partitions.
_ADVISORY_LOCK = 0x5649_5452_0001
# Ingestion writes to the same tables: rather give up and be called again than hold it up.
_LOCK_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class _PartitionedTable:
    name: str
    key: str


def partitions_ensure(*, first: date, last: date) -> None:
    """Make the partitions of every month from `first` to `last`, where they don't exist.

    For all tables that `CreatePartitionedModel` made. One transaction per table and month. Rows of
    that month which had to wait in the DEFAULT partition move into the new one: PostgreSQL would
    refuse it while they are there. Writers to the DEFAULT partition wait meanwhile, all others go
    on: the new table is filled and indexed before it is attached, so the parent is never locked.
    """
    if first > last:
        raise ValueError(f"the first day {first} is after the last day {last}")
    months = list(_months(first, last))
    for table in _partitioned_tables():
        existing = _partitions(table)
        for start, end in months:
            if _partition_name(table, start) not in existing:
                _partition_make(table, start, end)


def _partition_make(table: _PartitionedTable, start: date, end: date) -> None:
    quote = connection.ops.quote_name
    partition = _partition_name(table, start)
    parent, default, new = map(quote, (table.name, f"{table.name}_default", partition))
    key, bounds = quote(table.key), (start.isoformat(), end.isoformat())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        if partition in _partitions(table):
            return  # another process made it while this one waited
        cursor.execute(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"CREATE TABLE {new} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        cursor.execute(
            f"WITH moved AS (DELETE FROM {default} WHERE {key} >= %s AND {key} < %s RETURNING *)"
            f" INSERT INTO {new} SELECT * FROM moved",
            bounds,
        )
        # Bounds are literals: DDL takes no parameters. They come from `date`, never from outside.
        cursor.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {new} FOR VALUES FROM ('%s') TO ('%s')" % bounds
        )


def _partitioned_tables() -> list[_PartitionedTable]:
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
        return [_PartitionedTable(name, key) for name, key in cursor.fetchall()]


def _partitions(table: _PartitionedTable) -> set[str]:
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


def _partition_name(table: _PartitionedTable, start: date) -> str:
    return f"{table.name}_y{start:%Y}m{start:%m}"


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    start = first.replace(day=1)
    while start <= last:
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        yield start, end
        start = end
