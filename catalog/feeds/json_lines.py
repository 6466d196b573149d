"""JSON Lines: one product per line, as an object."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from catalog.feeds.rows import ROW_MAX_CHARS, FeedProblem, FeedRow, problem

_decoder = msgspec.json.Decoder(dict[str, Any])


def rows_of_json_lines(stream: BinaryIO) -> Iterator[FeedRow | FeedProblem]:
    """The objects of a file, in order. Empty lines are passed over.

    Memory: one line of at most four bytes per character of `ROW_MAX_CHARS`; a longer one is a
    problem.

    >>> import io
    >>> for row in rows_of_json_lines(io.BytesIO(b'{"id": 1, "tags": ["new"]}\\n\\n[3]')):
    ...     print(row.line, getattr(row, "values", None) or row.reason)
    1 {'id': 1, 'tags': ['new']}
    3 The line isn't a JSON object such as {"id": "7", "title": "Tea"}.
    """
    limit = 4 * ROW_MAX_CHARS
    number = 0
    while line := stream.readline(limit):
        number += 1
        if len(line) == limit and not line.endswith(b"\n"):
            yield problem(number, f"The line has more than {limit:,} bytes.")
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        line = line.strip()
        if line:
            yield _row(number, line)


def _row(number: int, line: bytes) -> FeedRow | FeedProblem:
    try:
        return FeedRow(number, _decoder.decode(line))
    except msgspec.ValidationError:
        reason = 'The line isn\'t a JSON object such as {"id": "7", "title": "Tea"}.'
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = f"The line isn't valid JSON: {error}."
    return problem(number, reason, value=line[:200].decode("utf-8", "replace"))
