"""The body of a batch, cut into its entries without reading them yet.

One bad event must not fail its batch. So the entries are cut out as bytes and decoded one by one,
and if the decoder can't even find their ends (half a surrogate pair, NaN, brackets nested ten
thousand deep), a scanner that only knows strings and brackets does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec


class EnvelopeRefused(ValueError):
    """The body as a whole can't be read. `field` is the member at fault, empty for the body."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Envelope:
    """A batch: the key of a beacon, the sender's clock, each entry as JSON."""

    key: str | None
    sent_at: object
    entries: list[bytes]


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw] | None = None
    products: list[msgspec.Raw] | None = None
    key: str | None = None
    sent_at: Any = None


_decoder = msgspec.json.Decoder(_Envelope)


def envelope_parse(body: bytes, *, member: str) -> Envelope:
    """Cut a body into its entries.

    Parameters
    ----------
    member
        The list to cut: "events" or "products".

    Raises
    ------
    EnvelopeRefused
        It isn't a JSON object with such a list.

    Examples
    --------
    >>> envelope_parse(b'{"events": [{"type": "search"}, 7]}', member="events").entries
    [b'{"type": "search"}', b'7']
    >>> body = b'{"events": [{"price": NaN}, {"type": "search"}]}'
    >>> envelope_parse(body, member="events").entries
    [b'{"price": NaN}', b'{"type": "search"}']
    """
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise EnvelopeRefused(message, path.strip(".`")) from error
    except (msgspec.DecodeError, RecursionError):
        return _scan(body, member.encode())
    entries: list[msgspec.Raw] | None = getattr(found, member)
    if entries is None:
        raise EnvelopeRefused("is missing", member)
    return Envelope(found.key, found.sent_at, [bytes(entry) for entry in entries])


# Strings, also one that never ends (or the search would start again at each of its quotes), and
# the characters that give JSON its shape.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb'"(events|products|key|sent_at)"\s*:\s*(.*)', re.DOTALL)


def _scan(body: bytes, wanted: bytes) -> Envelope:
    members: dict[bytes, bytes] = {}
    for part in _parts(body.strip(), b"{"):
        member = _MEMBER.fullmatch(part)
        if member is not None:
            members[member[1]] = member[2]
    if wanted not in members:
        raise EnvelopeRefused("is missing", wanted.decode())
    key = _value(members.get(b"key"))
    return Envelope(
        key if isinstance(key, str) else None,
        _value(members.get(b"sent_at")),
        _parts(members[wanted], b"["),
    )


def _parts(text: bytes, opening: bytes) -> list[bytes]:
    """What stands between the commas of an object or array, in one pass and without recursion."""
    if not text.startswith(opening):
        raise EnvelopeRefused("isn't JSON as expected here")
    parts: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        sign = text[token.start() : token.start() + 1]
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
            if depth == 0:
                if token.end() != len(text):
                    break
                parts.append(text[start : token.start()].strip())
                return parts if parts != [b""] else []
        elif sign == b"," and depth == 1:
            parts.append(text[start : token.start()].strip())
            start = token.end()
    raise EnvelopeRefused("isn't JSON: its brackets don't match")


def nesting_depth(text: bytes) -> int:
    """How deep the brackets of a JSON text are nested; 0 without any.

    >>> nesting_depth(b'{"a": [1, {"b": "[[["}]}')
    3
    """
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        sign = text[token.start() : token.start() + 1]
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest


def _value(text: bytes | None) -> object:
    if text is None:
        return None
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value
