"""Google Merchant XML: RSS 2.0 and Atom 1.0, with or without the namespace `g:`.

A feed has no use for a document type: whoever declares one is refused before the first entity could
grow, so neither "billion laughs" nor an entity that reads a file gets anywhere.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from catalog.feeds.encodings import encoding_guess, known_encoding
from catalog.feeds.rows import ROW_MAX_CHARS, FeedProblem, FeedRefused, FeedRow, problem

GOOGLE = "http://base.google.com/ns/1.0"
ITEMS = frozenset(("item", "entry", "product"))
MAX_DEPTH = 32
CHUNK = 64 * 1024
# A tag that goes on for so long isn't one.
MAX_TAG_BYTES = 1024 * 1024

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([^"']{1,40})["']""")


def rows_of_xml(stream: BinaryIO) -> Iterator[FeedRow | FeedProblem]:
    """The items of a feed, in order, each as soon as its end was read.

    Columns are the names of the elements below an item, without namespace. Where both `g:title` and
    `title` stand there, Google's wins. An element that comes several times is a list; the address
    of Atom's `<link href="…"/>` is its value. What is nested deeper is left out.

    Memory: one item of at most `ROW_MAX_CHARS` characters; a larger one is a problem.

    Raises
    ------
    FeedRefused
        It isn't XML, declares a document type or an entity, or has no item.

    Examples
    --------
    >>> import io
    >>> feed = b'<rss><channel><item><g:id xmlns:g="http://base.google.com/ns/1.0">7</g:id>'
    >>> feed += b'<title>Tea</title></item></channel></rss>'
    >>> [(row.line, dict(row.values)) for row in rows_of_xml(io.BytesIO(feed))]
    [(1, {'id': '7', 'title': 'Tea'})]
    """
    reader = _Reader()
    head = stream.read(CHUNK)
    decoder = codecs.getincrementaldecoder(_encoding(head))()
    chunk, n_fed, found_any = head, 0, False
    try:
        while True:
            # Decoded here and given on as UTF-8: expat itself knows four encodings only.
            text = decoder.decode(chunk, final=not chunk).encode("utf-8", "surrogatepass")
            reader.parser.Parse(text, not chunk)
            n_fed += len(text)
            found = reader.take()
            found_any = found_any or bool(found)
            yield from found
            if not chunk:
                break
            if n_fed - reader.parser.CurrentByteIndex > MAX_TAG_BYTES:
                raise FeedRefused(f"Line {reader.line}: a tag has more than 1 MB.")
            chunk = stream.read(CHUNK)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise FeedRefused(f"Line {error.lineno}: the file isn't valid XML ({reason}).") from error
    except UnicodeDecodeError as error:
        raise FeedRefused(
            f"After line {reader.line}: a letter isn't {decoder_name(error)}, as the file says it is."
        ) from error
    if not found_any:
        raise FeedRefused("The file has no <item> and no <entry>: it isn't a product feed.")


def decoder_name(error: UnicodeDecodeError) -> str:
    return error.encoding.upper()


def _encoding(head: bytes) -> str:
    guessed = encoding_guess(head)
    if guessed.startswith("utf-16") or guessed == "utf-8-sig":
        return guessed
    declared = _DECLARED.match(head)
    # Without a declaration XML is UTF-8; who wrote otherwise is read all the same.
    return known_encoding(declared[1].decode("ascii", "replace")) if declared else guessed


class _Reader:
    """Handlers of expat that gather one item at a time."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self._found: list[FeedRow | FeedProblem] = []
        self._depth = 0
        self._item_depth = 0
        self._item_line = 0
        self._values: dict[str, Any] = {}
        self._is_googles: dict[str, bool] = {}
        self._parts: list[str] = []
        self._n_chars = 0

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def take(self) -> list[FeedRow | FeedProblem]:
        """The items that were finished since the last call."""
        found, self._found = self._found, []
        return found

    def _doctype(self, *_: object) -> None:
        raise FeedRefused(
            f"Line {self.line}: the file declares a document type (<!DOCTYPE …>). Feeds need none,"
            " and it could make the reader grow without end: take the line out."
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FeedRefused(f"Line {self.line}: elements are nested deeper than {MAX_DEPTH}.")
        space, _, local = name.rpartition(" ")
        if not self._item_depth:
            if local in ITEMS:
                self._item_depth, self._item_line = self._depth, self.line
                self._values, self._is_googles, self._n_chars = {}, {}, 0
        elif self._depth == self._item_depth + 1:
            self._parts = []
            href = attributes.get("href") if local == "link" else None
            if href and attributes.get("rel", "alternate") == "alternate":
                self._keep(local, href, is_googles=space == GOOGLE)

    def _text(self, text: str) -> None:
        if self._item_depth and self._depth == self._item_depth + 1:
            self._n_chars += len(text)
            if self._n_chars <= ROW_MAX_CHARS:
                self._parts.append(text)

    def _end(self, name: str) -> None:
        if self._item_depth:
            if self._depth == self._item_depth + 1:
                space, _, local = name.rpartition(" ")
                self._keep(local, "".join(self._parts).strip(), is_googles=space == GOOGLE)
            elif self._depth == self._item_depth:
                self._item_depth = 0
                self._found.append(self._finished())
        self._depth -= 1

    def _finished(self) -> FeedRow | FeedProblem:
        if self._n_chars > ROW_MAX_CHARS:
            reason = f"The entry has more than {ROW_MAX_CHARS:,} characters."
            return problem(self._item_line, reason)
        return FeedRow(self._item_line, self._values)

    def _keep(self, name: str, text: str, *, is_googles: bool) -> None:
        if not text:
            self._values.setdefault(name, "")
            return
        before = self._values.get(name)
        if not before or (is_googles and not self._is_googles.get(name)):
            self._values[name], self._is_googles[name] = text, is_googles
        elif is_googles or not self._is_googles.get(name):
            earlier = before if isinstance(before, list) else [before]
            if len(earlier) < 100:
                self._values[name] = [*earlier, text]
