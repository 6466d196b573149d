"""The public evaluation formats, parsed line by line. Whoever opens the files passes their lines.

Ids may be any text without white space. Blank lines are skipped and CR LF is understood.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from recommender.engine.errors import EmptyInputError, InvalidInputError

SESSION_COLUMNS = ("sessionid", "itemid", "time")
ORDER_COLUMNS = ("InvoiceNo", "InvoiceDate", "CustomerID", "StockCode", "Quantity", "UnitPrice")
MERCHANDISE = re.compile(r"\d{5}")
"""Stock codes of goods begin with five digits; POST, M or BANK CHARGES don't."""


@dataclass(frozen=True, slots=True)
class SessionLog:
    """Sessions of item ids, oldest click first, ordered by the time of their last click."""

    sessions: list[list[str]]
    times_s: list[int]


@dataclass(frozen=True, slots=True)
class NextItemQueries:
    """What was clicked so far, and what came next."""

    prefixes: list[list[str]]
    next_items: list[str]


@dataclass(frozen=True, slots=True)
class OrderLines:
    """Order lines after cleaning, in the order of the file."""

    orders: list[str] = field(default_factory=list)
    times_s: list[int] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)


def parse_sessions(lines: Iterable[str]) -> SessionLog:
    """Training sessions, in either of two formats.

    A session a line, item ids in order, times unknown (the number of the line takes their place);
    or tab-separated clicks under the header ``SessionId ItemId Time``, with times in seconds.

    Raises
    ------
    EmptyInputError
        If there is no session.
    InvalidInputError
        If a line of the second format has other than three fields or no number for a time.

    Examples
    --------
    >>> parse_sessions(["7 8", "", "9"]).sessions
    [['7', '8'], ['9']]
    >>> parse_sessions(["SessionId\\tItemId\\tTime", "1\\ta\\t20", "1\\tb\\t10"]).sessions
    [['b', 'a']]
    """
    numbered = _numbered(lines)
    first = next(numbered, None)
    if first is None:
        raise EmptyInputError("the file of sessions is empty")
    if _is_click_header(first[1]):
        return _clicks_to_sessions(numbered)
    sessions = [line.split() for _, line in _chain(first, numbered)]
    return SessionLog(sessions, list(range(len(sessions))))


def parse_next_item_queries(lines: Iterable[str]) -> NextItemQueries:
    """Queries of the next-click protocol.

    ``prefix TAB next item`` a line; or clicks as in `parse_sessions`, of which every prefix of a
    session is a query.

    Raises
    ------
    EmptyInputError
        If there is no query.
    InvalidInputError
        If a line has no TAB between a prefix and one item.

    Examples
    --------
    >>> parse_next_item_queries(["7 8\\t9"])
    NextItemQueries(prefixes=[['7', '8']], next_items=['9'])
    """
    numbered = _numbered(lines)
    first = next(numbered, None)
    if first is None:
        raise EmptyInputError("the file of queries is empty")
    if _is_click_header(first[1]):
        return prefixes_of(_clicks_to_sessions(numbered).sessions)
    prefixes: list[list[str]] = []
    next_items: list[str] = []
    for number, line in _chain(first, numbered):
        prefix, tab, target = line.rpartition("\t")
        if not tab or not prefix.split() or len(target.split()) != 1:
            raise InvalidInputError(f"line {number} is not 'items, TAB, next item': {line[:60]!r}")
        prefixes.append(prefix.split())
        next_items.append(target.strip())
    return NextItemQueries(prefixes, next_items)


def prefixes_of(sessions: Iterable[list[str]]) -> NextItemQueries:
    """Every proper prefix of every session as a query.

    Examples
    --------
    >>> prefixes_of([["a", "b", "c"]]).prefixes
    [['a'], ['a', 'b']]
    """
    prefixes: list[list[str]] = []
    next_items: list[str] = []
    for session in sessions:
        for length in range(1, len(session)):
            prefixes.append(session[:length])
            next_items.append(session[length])
    if not prefixes:
        raise EmptyInputError("no session has two clicks")
    return NextItemQueries(prefixes, next_items)


def parse_user_items(lines: Iterable[str]) -> dict[str, list[str]]:
    """A line per user: the user, then items. Several lines of one user are joined.

    Raises
    ------
    EmptyInputError
        If no line has an item.

    Examples
    --------
    >>> parse_user_items(["0 5 6", "1", "0 7"])
    {'0': ['5', '6', '7'], '1': []}
    """
    users: dict[str, list[str]] = {}
    for _, line in _numbered(lines):
        user, *items = line.split()
        users.setdefault(user, []).extend(items)
    if not any(users.values()):
        raise EmptyInputError("the file has no line with a user and items")
    return users


def parse_orders(lines: Iterable[str]) -> OrderLines:
    """Order lines of a CSV export, cleaned.

    Returns (invoices that begin with C, quantities of 0 or less), prices of 0 or less, and codes
    that aren't goods are dropped; codes are uppercased.

    Raises
    ------
    EmptyInputError
        If no line is left.
    InvalidInputError
        If a column is missing, or a line has no number or date where one must be.
    """
    reader = csv.DictReader(line.replace("\0", "") for line in lines)
    try:
        header = [name.strip().lstrip("\ufeff") for name in reader.fieldnames or []]
        if not header:
            raise EmptyInputError("the file of orders is empty")
        missing = [name for name in ORDER_COLUMNS if name not in header]
        if missing:
            raise InvalidInputError(f"the file of orders has no column {missing[0]}")
        reader.fieldnames = header
        return _clean(reader)
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num} is not CSV: {error}") from error


def _clean(reader: csv.DictReader[str]) -> OrderLines:
    out = OrderLines()
    for record in reader:
        if None in record.values():
            raise InvalidInputError(f"line {reader.line_num} has too few fields")
        code = record["StockCode"].strip().upper()
        try:
            sold = float(record["Quantity"]) > 0 and float(record["UnitPrice"]) > 0
            when = _seconds(record["InvoiceDate"])
        except ValueError as error:
            raise InvalidInputError(f"line {reader.line_num} of the orders: {error}") from error
        if not sold or record["InvoiceNo"].startswith("C") or not MERCHANDISE.match(code):
            continue
        out.orders.append(record["InvoiceNo"].strip())
        out.times_s.append(when)
        out.customers.append(record["CustomerID"].strip())
        out.items.append(code)
        out.titles.append(record.get("Description", "").strip())
    if not len(out):
        raise EmptyInputError("the file of orders has no line that is a sale of goods")
    return out


def _seconds(text: str) -> int:
    when = datetime.fromisoformat(text.strip())
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines that aren't blank, with their number, without their end."""
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n").lstrip("\ufeff")
        if "\0" in text:
            raise InvalidInputError(f"line {number} is not text")
        if text.strip():
            yield number, text


def _chain(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def _is_click_header(line: str) -> bool:
    return tuple(name.strip().lower() for name in line.split("\t")) == SESSION_COLUMNS


def _clicks_to_sessions(numbered: Iterator[tuple[int, str]]) -> SessionLog:
    clicks: dict[str, list[tuple[float, str]]] = {}
    for number, line in numbered:
        fields = line.split("\t")
        if len(fields) != len(SESSION_COLUMNS):
            raise InvalidInputError(f"line {number} has {len(fields)} fields instead of 3")
        session, item, time = (text.strip() for text in fields)
        try:
            clicks.setdefault(session, []).append((float(time), item))
        except ValueError as error:
            raise InvalidInputError(f"line {number} has no time in seconds: {time!r}") from error
    if not clicks:
        raise EmptyInputError("the file has a header but no click")
    for session_clicks in clicks.values():
        session_clicks.sort(key=lambda click: click[0])  # stable: equal times keep their order
    ordered = sorted(clicks.values(), key=lambda session_clicks: session_clicks[-1][0])
    return SessionLog(
        [[item for _, item in session] for session in ordered],
        [int(session[-1][0]) for session in ordered],
    )
