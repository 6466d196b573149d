"""CSV for people, who open it with a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

# A cell that begins so is a formula to a spreadsheet, and formulas can send what stands beside them
# elsewhere (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell_text(value: object) -> str:
    """A value as a cell that is never run: an apostrophe stands before what could be a formula.

    >>> cell_text("=1+1"), cell_text("  @SUM(A1)"), cell_text("tea"), cell_text(None)
    ("'=1+1", "'  @SUM(A1)", 'tea', '')
    >>> cell_text(-5), cell_text("-5")
    ('-5', "'-5")
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    is_formula = text.startswith(_FORMULA) or text.lstrip(" \u00a0").startswith(_FORMULA)
    return f"'{text}" if is_formula else text


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The rows as lines of a CSV file, one at a time; the first begins with a byte order mark.

    Without the mark spreadsheets take UTF-8 for something else.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    for row in rows:
        writer.writerow([cell_text(value) for value in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
