"""What is said about an entry that can't be taken as it came."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NoReturn, TypeVar

import msgspec

from catalog.contract import limits
from catalog.contract.envelope import nesting_depth

T = TypeVar("T")


class Code(StrEnum):
    """Why an entry was refused, or what was left out of one that was accepted."""

    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    NUL_CHARACTER = "nul_character"
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    TOO_MANY = "too_many"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_TYPE = "unknown_type"
    UNREADABLE_TIME = "unreadable_time"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    # Warnings: the event is stored.
    RECOMMENDATION_UNKNOWN = "recommendation_unknown"
    CURRENCY_MISMATCH = "currency_mismatch"
    SENT_AT_IGNORED = "sent_at_ignored"


CODES: dict[Code, str] = {
    Code.NOT_JSON: "The entry isn't a JSON object, or not valid JSON.",
    Code.TOO_LARGE: "The entry has more than 32 KiB.",
    Code.NUL_CHARACTER: "A text holds a NUL character.",
    Code.MISSING: "The member is missing.",
    Code.WRONG_TYPE: "The member has the wrong JSON type.",
    Code.TOO_LONG: "The text has too many characters.",
    Code.TOO_MANY: "Too many entries in the member.",
    Code.OUT_OF_RANGE: "The number lies outside what is possible.",
    Code.UNKNOWN_TYPE: "No event is called that.",
    Code.UNREADABLE_TIME: "Neither ISO 8601 nor milliseconds since 1970.",
    Code.TOO_OLD: "Older than a browser's event may be, or the device's clock isn't set.",
    Code.IN_FUTURE: "More than 24 hours ahead of our clock.",
    Code.RECOMMENDATION_UNKNOWN: "Warning: this store never gave out that recommendation id;"
    " the event is stored without it.",
    Code.CURRENCY_MISMATCH: "Not the store's currency. An event is stored without its prices (a"
    " warning), a product is refused.",
    Code.SENT_AT_IGNORED: "Warning: `sent_at` is no clock; times are taken as they are.",
}


class Remark(msgspec.Struct, frozen=True):
    """A refusal of, or a warning about, the entry at `index` of the batch."""

    index: int
    code: str
    field: str
    message: str


class Refused(Exception):
    """An entry can't be taken. `field` is the member at fault, empty for the entry as a whole."""

    def __init__(self, code: Code, field: str, message: str) -> None:
        super().__init__(message)
        self.code, self.field, self.message = code, field, message

    def remark(self, index: int) -> Remark:
        """The same for the sender, in bounded length."""
        return Remark(index, self.code, self.field[:80], self.message[:300])


def refuse(code: Code, field: str, message: str) -> NoReturn:
    raise Refused(code, field, message)


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


def decode(
    decoder: msgspec.json.Decoder[T], raw: bytes, *, max_bytes: int = limits.ENTRY_MAX_BYTES
) -> T:
    """Decode one entry of a batch. Raises Refused for whatever PostgreSQL or we can't hold."""
    if len(raw) > max_bytes:
        message = f"has {len(raw):,} bytes, at most {max_bytes:,} are allowed"
        refuse(Code.TOO_LARGE, "", message)
    # PostgreSQL holds no NUL in a text. In JSON it can only be written like this.
    if b"\\u0000" in raw and _NUL.search(raw):
        refuse(Code.NUL_CHARACTER, "", "a text holds a NUL character")
    # A depth that decodes here may be too deep for whoever encodes it again. Few entries have so
    # many brackets that it is worth a look.
    if (
        raw.count(b"{") + raw.count(b"[") > limits.MAX_NESTING
        and nesting_depth(raw) > limits.MAX_NESTING
    ):
        refuse(Code.NOT_JSON, "", f"is nested deeper than {limits.MAX_NESTING} levels")
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        refuse(Code.WRONG_TYPE, path.strip(".`"), message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "half a surrogate pair" if _HALF_PAIR.search(raw) else str(error)
        refuse(Code.NOT_JSON, "", f"isn't valid JSON: {reason}")
