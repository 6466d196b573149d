"""Which format a file is in, and its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from catalog.feeds.delimited import delimiter_guess, rows_of_delimited
from catalog.feeds.encodings import encoding_guess
from catalog.feeds.google_merchant import rows_of_xml
from catalog.feeds.json_lines import rows_of_json_lines
from catalog.feeds.rows import FeedProblem, FeedRefused, FeedRow, Format

_READERS = {
    Format.GOOGLE_XML: rows_of_xml,
    Format.GOOGLE_TSV: rows_of_delimited,
    Format.CSV: rows_of_delimited,
    Format.JSON_LINES: rows_of_json_lines,
}
# How files begin that people upload instead of a feed.
_STRANGERS = (
    (b"PK\x03\x04", "an Excel or zip file inside another archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)


def format_detect(head: bytes) -> Format:
    """The format of a feed by its first bytes, already unpacked.

    Raises
    ------
    FeedRefused
        It is empty, or plainly something else.

    >>> [str(format_detect(head)) for head in (b" <rss>", b'{"id": 1}', b"id\\ttitle", b"id;title")]
    ['google_xml', 'json_lines', 'google_tsv', 'csv']
    """
    for start, kind in _STRANGERS:
        if head.startswith(start):
            raise FeedRefused(f"This is {kind}. Save the products as CSV and try that file.")
    text = head.decode(encoding_guess(head), "replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise FeedRefused("The file is empty.")
    if text.startswith("<"):
        if text[:200].lower().startswith(("<!doctype html", "<html")):
            raise FeedRefused("This is a web page, not a feed. Is the address right?")
        return Format.GOOGLE_XML
    if text.startswith("{"):
        return Format.JSON_LINES
    if text.startswith("["):
        raise FeedRefused("This is one JSON list. Write one object per line, without brackets.")
    return Format.GOOGLE_TSV if delimiter_guess(text) == "\t" else Format.CSV


def rows_of(stream: BinaryIO, format: str) -> Iterator[FeedRow | FeedProblem]:
    """The rows of a feed in a known format."""
    return _READERS[Format(format)](stream)
