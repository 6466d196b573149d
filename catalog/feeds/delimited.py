"""CSV and TSV: whatever a spreadsheet or a shop's export makes of a table.

The first line names the columns. The delimiter is the one that makes the first lines equally long.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from catalog.feeds.encodings import encoding_guess
from catalog.feeds.rows import ROW_MAX_CHARS, FeedProblem, FeedRefused, FeedRow, problem

DELIMITERS = (",", "\t", ";", "|")
MAX_COLUMNS = 500
HEAD_BYTES = 256 * 1024
# Lines that decide about the delimiter.
N_SAMPLED = 30
SAMPLE_CHARS = 64_000


def rows_of_delimited(stream: BinaryIO) -> Iterator[FeedRow | FeedProblem]:
    """The rows of a table, in order.

    Quoted cells may hold delimiters, doubled quotes and line ends; `line` is where the row begins.
    Rows that are empty are passed over. A row with more or fewer cells than the first line is a
    problem, since nobody knows which cell is missing. A quote that is never closed costs its own
    line only: what follows is read again without it.

    Memory: one row of at most `ROW_MAX_CHARS` characters.

    Raises
    ------
    FeedRefused
        The first line is empty or has too many columns, or the text is in no known encoding.

    Examples
    --------
    >>> table = 'id;title\\n1;"Tea; green"\\n2\\n3;"two\\nlines"\\n4;Mug\\n'
    >>> for row in rows_of_delimited(io.BytesIO(table.encode())):
    ...     print(row.line, getattr(row, "values", None) or row.reason)
    2 {'id': '1', 'title': 'Tea; green'}
    3 The row has 1 cell, the first line has 2.
    4 {'id': '3', 'title': 'two\\nlines'}
    6 {'id': '4', 'title': 'Mug'}
    """
    head = stream.read(HEAD_BYTES)
    encoding = encoding_guess(head)
    text = head.decode(encoding, "replace")
    records = _records(_Lines(stream, head, encoding), delimiter_guess(text))
    header = next(records, None)
    if header is None or isinstance(header, FeedProblem) or not any(header[1]):
        raise FeedRefused("The first line has to name the columns, but is empty or unreadable.")
    columns = column_names(header[1])
    for record in records:
        if isinstance(record, FeedProblem):
            yield record
            continue
        line, cells = record
        if len(cells) != len(columns):
            n = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
            yield problem(
                line,
                f"The row has {n}, the first line has {len(columns)}.",
                external_id=cells[0].strip() if columns[0].lower() == "id" else "",
            )
        else:
            yield FeedRow(line, dict(zip(columns, cells, strict=True)))


def column_names(cells: list[str]) -> list[str]:
    """Names for the columns: what the first line says, made unique.

    >>> column_names([" id", "", "id"])
    ['id', 'column 2', 'id (3)']
    """
    if len(cells) > MAX_COLUMNS:
        raise FeedRefused(f"The first line names {len(cells):,} columns; at most 500 are read.")
    names: list[str] = []
    for number, cell in enumerate(cells, start=1):
        name = " ".join(cell.split())[:100] or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def delimiter_guess(text: str) -> str:
    """The delimiter of a table by its first lines; a comma for a single column.

    The one that cuts most of the lines into as many cells as the first; among equals the one that
    makes more cells.

    >>> [delimiter_guess(text) for text in ("a;b\\n1,5;2", "a\\tb,c\\n1\\t2", "a\\n1", "a|b|c\\n1|2|3")]
    [';', '\\t', ',', '|']
    """
    best, best_score = ",", (0.0, 1)
    is_cut = len(text) > SAMPLE_CHARS
    for delimiter in DELIMITERS:
        sample = io.StringIO(text[:SAMPLE_CHARS], newline="")
        reader = csv.reader(sample, delimiter=delimiter)
        widths: list[int] = []
        try:
            widths.extend(len(cells) for cells, _ in zip(reader, range(N_SAMPLED), strict=False))
        except csv.Error:
            continue
        widths = [width for width in widths if width]
        if not widths or widths[0] < 2:
            continue
        whole = (widths[:-1] if is_cut else widths) or widths
        score = (Counter(whole)[widths[0]] / len(whole), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


class _Lines(Iterator[str]):
    """Lines of text that can be given back. Remembers those since the last `mark`."""

    def __init__(self, stream: BinaryIO, head: bytes, encoding: str) -> None:
        joined = io.BufferedReader(_Joined(head, stream), 64 * 1024)  # type: ignore[type-var]
        # One damaged letter shouldn't cost the catalog: it becomes � and can be seen.
        self._text = io.TextIOWrapper(joined, encoding, errors="replace", newline="")
        self._given_back: list[str] = []
        self._taken: list[str] = []
        self._n_chars = 0
        self.n_lines = 0

    def __next__(self) -> str:
        if self._n_chars > ROW_MAX_CHARS:
            raise csv.Error("field larger than field limit")
        line = self._given_back.pop() if self._given_back else self._text.readline(ROW_MAX_CHARS)
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._n_chars += len(line)
        self.n_lines += 1
        if len(line) == ROW_MAX_CHARS and not line.endswith(("\n", "\r")):
            while line and not line.endswith(("\n", "\r")):
                line = self._text.readline(ROW_MAX_CHARS)
            raise csv.Error("field larger than field limit")
        return line

    def mark(self) -> None:
        self._taken, self._n_chars = [], 0

    def give_back(self) -> None:
        """All lines since the mark but the first are to be read again."""
        again = self._taken[1:]
        self._given_back.extend(reversed(again))
        self.n_lines -= len(again)
        self.mark()


class _Joined(io.RawIOBase):
    """The bytes that were looked at, and those behind them."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = memoryview(head), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        part: bytes | memoryview
        if self._head:
            part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            part = self._stream.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]] | FeedProblem]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.mark()
        line = lines.n_lines + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield problem(line, _reason(error, lines.n_lines - line))
            lines.give_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _reason(error: csv.Error, n_further: int) -> str:
    text = str(error)
    if "field limit" in text:
        if n_further:
            return "A quotation mark opens a cell here and is never closed."
        return f"The row has more than {ROW_MAX_CHARS:,} characters."
    if "expected after" in text:
        return "Behind a closing quotation mark stands more text: quotes inside a cell are doubled."
    if "unexpected end" in text:
        return "A quotation mark opens a cell here and is never closed."
    return f"The row can't be read: {text}."
