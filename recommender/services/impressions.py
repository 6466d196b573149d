"""Impressions into the database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from django.db import DataError, IntegrityError, connection, transaction

log = structlog.get_logger(__name__)


class ImpressionRow(NamedTuple):
    """One line of `recommender_impression`."""

    store_id: int
    recommendation_id: uuid.UUID
    delivered_at_s: float
    placement_id: int
    strategy_version_id: int
    shopper_external_id: str | None
    session_id: str | None
    product_ids: list[int]
    sources: list[str]
    propensities: list[float]
    fallback: str | None
    reason: str | None
    device: str | None
    took_us: int


_COLUMNS = """
    store_id, recommendation_id, delivered_on, delivered_at, placement_id, strategy_version_id,
    shopper_external_id, session_id, product_ids, sources, propensities, fallback, reason,
    device, took_us
"""


def impressions_store(*, rows: Sequence[ImpressionRow]) -> int:
    """Write impressions with one COPY and return how many are new.

    A block that can't be written as a whole (some of it arrived already, before an answer that got
    lost; or a row the database refuses) is written row by row, leaving out what can't be.
    """
    if not rows:
        return 0
    lines = [_line(row) for row in rows]
    try:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.cursor.copy(f"COPY recommender_impression ({_COLUMNS}) FROM STDIN") as copy,
        ):
            for line in lines:
                copy.write_row(line)
    except (IntegrityError, DataError):
        return sum(_store_one(line) for line in lines)
    return len(lines)


def _store_one(line: tuple[Any, ...]) -> int:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            places = ", ".join(["%s"] * len(line))
            cursor.execute(
                f"INSERT INTO recommender_impression ({_COLUMNS}) VALUES ({places})"
                " ON CONFLICT DO NOTHING",
                line,
            )
            return int(cursor.rowcount)
    except DataError as error:
        log.error("impression refused by the database", error=str(error))
        return 0


def _line(row: ImpressionRow) -> tuple[Any, ...]:
    at = datetime.fromtimestamp(row.delivered_at_s, UTC)
    return (row.store_id, row.recommendation_id, at.date(), at, *row[3:])
