"""What every reader of a feed gives out: rows, and what could not become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# One row may hold as much text as this; ten times the longest description.
ROW_MAX_CHARS = 128 * 1024
# Longest parts of a problem that are kept.
COLUMN_MAX_CHARS = 120
VALUE_MAX_CHARS = 200
REASON_MAX_CHARS = 300


class Format(StrEnum):
    """The formats that can be read; values as `FeedFormat` stores them."""

    GOOGLE_XML = "google_xml"
    GOOGLE_TSV = "google_tsv"
    CSV = "csv"
    JSON_LINES = "json_lines"


class FeedRefused(ValueError):
    """The file as a whole can't be read; the text says why and, where known, at which line."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One product as the file has it.

    `line` is where it begins, from 1. `values` are by column: text, for elements that come several
    times lists of text, and from JSON whatever it holds. An empty cell is an empty text.
    """

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FeedProblem:
    """Why a row was left out. `column` and `value` are empty where the row as a whole is at fault.

    `external_id` is the product that the row is about, where that much could be read.
    """

    line: int
    reason: str
    column: str = ""
    value: str = ""
    external_id: str = ""


def problem(
    line: int, reason: str, *, column: str = "", value: Any = "", external_id: str = ""
) -> FeedProblem:
    """A problem in bounded length, without the NUL that no database holds.

    >>> problem(7, "isn't a price", column="price", value="ab" * 300).value[-3:]
    'ba…'
    """
    text = value if isinstance(value, str) else str(value)
    return FeedProblem(
        line,
        _cut(reason, REASON_MAX_CHARS),
        _cut(column, COLUMN_MAX_CHARS),
        _cut(text, VALUE_MAX_CHARS),
        external_id,
    )


def _cut(text: str, max_chars: int) -> str:
    text = text.replace("\x00", "␀")
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
