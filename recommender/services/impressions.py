"""Impressions into the database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import structlog
from django.db import DataError, IntegrityError, connection, transaction

log = structlog.get_logger(__name__)


class ImpressionRow(NamedTuple):
    """One line of `recommender_impression`. `context` is a JSON object, None if nobody knows."""

    store_id: int
    recommendation_id: uuid.UUID
    delivered_at_s: float
    placement_id: int
    strategy_version_id: int
    experiment_id: int | None
    variant_id: int | None
    shopper_external_id: str | None
    session_id: str | None
    product_ids: list[int]
    sources: list[str]
    propensities: list[float]
    fallback: str | None
    reason: str | None
    device: str | None
    took_us: int
    context: str | None = None
    rule_id: int | None = None
    teams: list[int] | None = None
    situation: int | None = None


class ExposureRow(NamedTuple):
    """One line of `recommender_exposure`."""

    store_id: int
    experiment_id: int
    shopper_external_id: str
    variant_id: int
    exposed_at: datetime
    bucket: float | None = None
    recommendation_id: uuid.UUID | None = None


_COLUMNS = (
    "store_id, recommendation_id, delivered_on, delivered_at, placement_id, strategy_version_id,"
    " experiment_id, variant_id, shopper_external_id, session_id, product_ids, sources,"
    " propensities, fallback, reason, device, took_us, context, rule_id, teams, situation"
)


def impressions_store(*, rows: Sequence[ImpressionRow]) -> int:
    """Write impressions with one COPY and return how many are new.

    A block that can't be written as a whole (some of it arrived already, before an answer that got
    lost; or a row the database refuses) is written row by row, leaving out what can't be.
    """
    return impression_lines_store(lines=[impression_line(row) for row in rows])


def impression_lines_store(*, lines: Sequence[str]) -> int:
    """`impressions_store` for rows that are written out already."""
    if not lines:
        return 0
    try:
        _copy(lines)
    except (IntegrityError, DataError):
        return sum(map(_store_one, lines))
    return len(lines)


def exposures_store(*, rows: Sequence[ExposureRow]) -> int:
    """Write down who takes part in an experiment from when on; returns how many are new.

    Whoever is in already stays in with their first variant and time, in whatever order processes
    write them: an earlier answer counts as new, and replaces a later one. If the database refuses
    the block (an experiment was deleted meanwhile, an id can't be stored), it is written row by
    row, leaving out what can't be.
    """
    if not rows:
        return 0
    try:
        return _insert_exposures(rows)
    except (IntegrityError, DataError):
        return sum(_store_one_exposure(row) for row in rows)


def _store_one_exposure(row: ExposureRow) -> int:
    try:
        return _insert_exposures([row])
    except (IntegrityError, DataError) as error:
        log.error("exposure refused by the database", error=str(error))
        return 0


def _insert_exposures(rows: Sequence[ExposureRow]) -> int:
    # A transaction of its own: in a test or a command, a refusal must not end the one around it.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO recommender_exposure"
            " (store_id, experiment_id, shopper_external_id, variant_id, exposed_at, bucket,"
            " recommendation_id)"
            " SELECT DISTINCT ON (1, 2, 3) *"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[],"
            " %s::timestamptz[], %s::float8[], %s::uuid[]) AS seen (store_id, experiment_id,"
            " shopper_external_id, variant_id, exposed_at, bucket, recommendation_id)"
            # A conflict locks the row: most of what comes again is only read.
            " WHERE NOT EXISTS (SELECT FROM recommender_exposure AS known"
            "  WHERE known.store_id = seen.store_id AND known.experiment_id = seen.experiment_id"
            "  AND known.shopper_external_id = seen.shopper_external_id"
            "  AND known.exposed_at <= seen.exposed_at)"
            " ORDER BY 1, 2, 3, exposed_at"
            " ON CONFLICT (store_id, experiment_id, shopper_external_id) DO UPDATE SET"
            " (variant_id, exposed_at, bucket, recommendation_id) = (excluded.variant_id,"
            " excluded.exposed_at, excluded.bucket, excluded.recommendation_id)"
            " WHERE excluded.exposed_at < recommender_exposure.exposed_at",
            [list(column) for column in zip(*rows, strict=True)],
        )
        return int(cursor.rowcount)


def _copy(lines: Iterable[str]) -> None:
    with (
        transaction.atomic(),
        # The driver's own cursor raises the driver's own errors.
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.cursor.copy(f"COPY recommender_impression ({_COLUMNS}) FROM STDIN") as copy,
    ):
        copy.write("".join(lines))


def _store_one(line: str) -> int:
    try:
        _copy([line])
    except IntegrityError:
        return 0
    except DataError as error:
        log.error("impression refused by the database", error=str(error))
        return 0
    return 1


# The text format of COPY, by hand: the adapters of psycopg take five times as long, and this runs
# beside the requests of the same process.
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def impression_line(row: ImpressionRow) -> str:
    """A row as COPY reads it. Some 8 µs."""
    date, at = _times(row.delivered_at_s)
    return (
        f"{row.store_id}\t{row.recommendation_id}\t{date}\t{at}\t{row.placement_id}\t"
        f"{row.strategy_version_id}\t{_number(row.experiment_id)}\t{_number(row.variant_id)}\t"
        f"{_text(row.shopper_external_id)}\t{_text(row.session_id)}\t"
        f"{{{','.join(map(str, row.product_ids))}}}\t{{{','.join(row.sources)}}}\t"
        f"{{{','.join(map(str, row.propensities))}}}\t{_text(row.fallback)}\t"
        f"{_text(row.reason)}\t{_text(row.device)}\t{row.took_us}\t"
        f"{_text(row.context)}\t{_number(row.rule_id)}\t{_numbers(row.teams)}\t"
        f"{_number(row.situation)}\n"
    )


def _text(value: str | None) -> str:
    return "\\N" if value is None else value.translate(_ESCAPES)


def _number(value: int | None) -> str:
    return "\\N" if value is None else str(value)


def _numbers(values: list[int] | None) -> str:
    return "\\N" if values is None else f"{{{','.join(map(str, values))}}}"


def _times(unix_s: float) -> tuple[str, str]:
    """The date, and the moment to the millisecond, as PostgreSQL reads them."""
    whole = int(unix_s)
    date, second = _second(whole)
    return date, f"{second}.{int((unix_s - whole) * 1000):03d}+00"


@lru_cache(maxsize=256)
def _second(unix_s: int) -> tuple[str, str]:
    at = datetime.fromtimestamp(unix_s, UTC)
    return at.strftime("%Y-%m-%d"), at.strftime("%Y-%m-%d %H:%M:%S")
