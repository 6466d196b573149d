"""When an event happened: the sender's clock, ours, and what can be true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from catalog.contract import limits
from catalog.contract.verdicts import CODES, Code, Refused, refuse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_OFFSET = timedelta(0)
# Clocks that start at their factory setting say 1970 or 2000.
_CLOCK_SET = datetime(2010, 1, 1, tzinfo=UTC)
# Fewer milliseconds are the year 1973, or seconds sent by mistake.
_MIN_EPOCH_MS = 100_000_000_000
_MAX_EPOCH_MS = 100_000_000_000_000
# No UUIDv7 is older than the standard's first draft.
_FIRST_UUID7_MS = 1_577_836_800_000


def clock_offset(sent_at: object, received_at: datetime) -> tuple[timedelta, bool]:
    """What to add to the sender's times, and whether its clock had to be ignored.

    The time a post takes on its way is part of it: milliseconds, where a wrong clock is minutes.
    """
    if sent_at is None:
        return _NO_OFFSET, False
    try:
        offset = received_at - time_read("sent_at", sent_at)
    except Refused:
        return _NO_OFFSET, True
    if abs(offset) > limits.MAX_CLOCK_OFFSET:
        return _NO_OFFSET, True
    return offset, False


def claimed_at(
    value: str | int | float | None,
    dated_ms: int | None,
    *,
    received_at: datetime,
    offset: timedelta,
    from_server: bool,
) -> datetime:
    """When the sender says that it happened, by its own clock, within what can be true.

    An event without a time happened when its UUIDv7 was made (`dated_ms`), or else now. Its age is
    judged by the corrected clock: a phone that is two days ahead must not lose its events.

    Raises Refused.
    """
    now = received_at - offset
    if value is not None:
        claimed = time_read("occurred_at", value)
    elif dated_ms is not None and dated_ms >= _FIRST_UUID7_MS:
        claimed = _EPOCH + timedelta(milliseconds=dated_ms)
        if claimed > now + limits.MAX_AHEAD:
            return now
    else:
        return now
    if claimed > now + limits.MAX_AHEAD:
        refuse(Code.IN_FUTURE, "occurred_at", f"{claimed:%Y-%m-%d} is more than 24 hours ahead")
    if from_server:
        if claimed < _EPOCH:
            refuse(Code.TOO_OLD, "occurred_at", f"{claimed.year} is before 1970")
    elif claimed < now - limits.BROWSER_MAX_AGE:
        if claimed < _CLOCK_SET:
            message = f"{claimed.date().isoformat()}: the clock of the device isn't set"
        else:
            message = (
                f"{claimed.date().isoformat()} is more than {limits.BROWSER_MAX_AGE.days} days"
                " ago; older events need a secret key"
            )
        refuse(Code.TOO_OLD, "occurred_at", message)
    return claimed


def time_read(name: str, value: object) -> datetime:
    """A time as ISO 8601 or milliseconds since 1970, in UTC. Raises Refused.

    >>> time_read("occurred_at", 1795341600000) == time_read("", "2026-11-22T12:00:00+02:00")
    True
    """
    if isinstance(value, str):
        return _time_of_text(name, value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        refuse(Code.UNREADABLE_TIME, name, CODES[Code.UNREADABLE_TIME])
    if 0 <= value < _MIN_EPOCH_MS:
        refuse(Code.UNREADABLE_TIME, name, "are these seconds? milliseconds are expected")
    if not 0 <= value < _MAX_EPOCH_MS:
        refuse(Code.UNREADABLE_TIME, name, "must be milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=value)


def _time_of_text(name: str, text: str) -> datetime:
    try:
        if len(text) > 40:
            raise ValueError
        time = datetime.fromisoformat(text)
        if time.tzinfo is UTC:
            return time
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(Code.UNREADABLE_TIME, name, f"{text[:40]!r} isn't ISO 8601 (2026-11-22T09:30:00Z)")
