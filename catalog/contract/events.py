"""One event after the other: from JSON to a draft that can be stored, or to the reason why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import msgspec

from catalog.contract import event_names, limits
from catalog.contract.money import AmountRefused, minor_units
from catalog.contract.verdicts import CODES, Code, Refused, Remark, decode, refuse

# Whose consent was denied is counted under this one shopper, and under no session.
ANONYMOUS = "anonymous"


class LineDraft(msgspec.Struct, frozen=True):
    """One product of an event. `product_external_id` is None in events without a product."""

    product_external_id: str | None = None
    quantity: int = 1
    price_minor: int | None = None
    list_price_minor: int | None = None


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An event that can be stored.

    Attributes
    ----------
    occurred_at, occurred_on
        The time is corrected for the sender's clock. The date (UTC) is the one that was claimed:
        together with `event_id` it is what a repetition is recognised by, and a corrected one
        would be another when the repetition comes after midnight.
    consent
        1 granted, 0 denied, None unknown.
    lines
        At least one.
    """

    index: int
    event_id: UUID
    type: str
    shopper_external_id: str
    occurred_at: datetime
    occurred_on: date
    lines: tuple[LineDraft, ...]
    session_id: str | None = None
    order_id: str | None = None
    query: str | None = None
    page: str | None = None
    rating: float | None = None
    recommendation_id: UUID | None = None
    consent: int | None = None
    properties: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What all events of a post have in common.

    Attributes
    ----------
    received_at : aware UTC
        Our clock.
    sent_at
        The sender's clock when it sent the post, as it stands in the JSON; None if unknown.
    from_server
        Sent with a secret key: any age is taken.
    currency
        The store's, ISO 4217.
    id_namespace
        Under which event ids that are no UUID become one. Differs from store to store.
    new_event_id
        Makes an id for an event that has none.
    recommendation_id_verify
        The id behind a signed text, None if the store didn't sign it.
    """

    received_at: datetime
    sent_at: object
    from_server: bool
    currency: str
    id_namespace: UUID
    new_event_id: Callable[[], UUID]
    recommendation_id_verify: Callable[[str], UUID | None]


@dataclass(slots=True)
class Judged:
    """Every event of a batch is in exactly one of `drafts` and `refused`, in order."""

    drafts: list[EventDraft] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)


class _Item(msgspec.Struct):
    product_id: str | int | None = None
    item_id: str | int | None = None
    id: str | int | None = None
    quantity: int | float | None = None
    price: Decimal | None = None
    list_price: Decimal | None = None


class _Event(msgspec.Struct):
    """All members that are read, with the names that GA4, Segment and Google Retail give them."""

    type: str | None = None
    name: str | None = None
    event: str | None = None
    eventType: str | None = None  # noqa: N815
    event_id: str | int | None = None
    messageId: str | int | None = None  # noqa: N815
    shopper_id: str | int | None = None
    anonymousId: str | int | None = None  # noqa: N815
    visitorId: str | int | None = None  # noqa: N815
    session_id: str | int | None = None
    occurred_at: str | int | float | None = None
    timestamp: str | int | float | None = None
    items: list[_Item] | None = None
    products: list[_Item] | None = None
    product_id: str | int | None = None
    quantity: int | float | None = None
    price: Decimal | None = None
    list_price: Decimal | None = None
    currency: str | None = None
    order_id: str | int | None = None
    transaction_id: str | int | None = None
    query: str | None = None
    search_term: str | None = None
    page: str | None = None
    rating: float | None = None
    recommendation_id: str | None = None
    consent: str | None = None
    properties: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Event)

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONSENT = {None: None, "unknown": None, "granted": 1, "denied": 0}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Clocks that start at their factory setting say 1970 or 2000.
_CLOCK_SET = datetime(2010, 1, 1, tzinfo=UTC)
# Fewer milliseconds are the year 1973, or seconds sent by mistake.
_MIN_EPOCH_MS = 100_000_000_000
_MAX_EPOCH_MS = 100_000_000_000_000
# No UUIDv7 is older than the standard's first draft.
_FIRST_UUID7_MS = 1_577_836_800_000


def events_judge(raw_events: Sequence[bytes], batch: Batch) -> Judged:
    """Judge each event by itself. Never raises, whatever the bytes are.

    A text that is too long, a time that is too old, a wrong type refuse the event. What only
    decorates it (`query`, `page`) is cut to 300 characters; unknown members are ignored.
    """
    judged = Judged()
    offset, ignored = _clock_offset(batch)
    if ignored:
        judged.warnings.append(
            Remark(0, Code.SENT_AT_IGNORED, "sent_at", CODES[Code.SENT_AT_IGNORED])
        )
    for index, raw in enumerate(raw_events):
        try:
            judged.drafts.append(_draft(index, raw, batch, offset, judged.warnings))
        except Refused as refused:
            judged.refused.append(refused.remark(index))
    return judged


def _draft(
    index: int, raw: bytes, batch: Batch, offset: timedelta, warnings: list[Remark]
) -> EventDraft:
    sent = decode(_decoder, raw)
    kind = _kind(sent)
    consent = _consent(sent.consent)
    denied = consent == 0
    event_id, dated_ms = _event_id(_first(sent.event_id, sent.messageId), batch)
    claimed = _claimed_at(_first(sent.occurred_at, sent.timestamp), dated_ms, batch)
    shopper_id = _id(
        "shopper_id",
        _first(sent.shopper_id, sent.anonymousId, sent.visitorId),
        limits.ID_MAX_CHARS,
    )
    if denied:
        shopper_id = ANONYMOUS
    elif shopper_id is None:
        refuse(Code.MISSING, "shopper_id", "is missing")
    session_id = _id("session_id", sent.session_id, limits.SESSION_ID_MAX_CHARS)
    query = _first(sent.query, sent.search_term)
    if kind == event_names.SEARCH and not query:
        refuse(Code.MISSING, "query", "a search needs what was searched for")
    _check_rating(kind, sent.rating)
    if sent.properties is not None and len(sent.properties) > limits.EVENT_MAX_PROPERTIES:
        refuse(
            Code.TOO_MANY,
            "properties",
            f"has {len(sent.properties)} entries, at most {limits.EVENT_MAX_PROPERTIES} are kept",
        )
    order_id = _id("order_id", _first(sent.order_id, sent.transaction_id), limits.ID_MAX_CHARS)
    lines = _lines(kind, sent, batch.currency)
    # From here on the event is accepted; what can't be right is left out, and said.
    if sent.currency is not None and sent.currency.upper() != batch.currency:
        lines = tuple(LineDraft(line.product_external_id, line.quantity) for line in lines)
        message = f"is {sent.currency[:8]!r}, the store's is {batch.currency}; prices left out"
        warnings.append(Remark(index, Code.CURRENCY_MISMATCH, "currency", message))
    recommendation_id = None
    if sent.recommendation_id:
        recommendation_id = batch.recommendation_id_verify(sent.recommendation_id)
        if recommendation_id is None:
            message = "this store gave out no such id; the event is stored without it"
            code = Code.RECOMMENDATION_UNKNOWN
            warnings.append(Remark(index, code, "recommendation_id", message))
    return EventDraft(
        index=index,
        event_id=event_id,
        type=kind,
        shopper_external_id=shopper_id,
        occurred_at=min(claimed + offset, batch.received_at),
        occurred_on=claimed.date(),
        lines=lines,
        session_id=None if denied else session_id,
        order_id=order_id,
        query=query[: limits.TEXT_MAX_CHARS] if query else None,
        page=sent.page[: limits.TEXT_MAX_CHARS] if sent.page else None,
        rating=sent.rating,
        recommendation_id=recommendation_id,
        consent=consent,
        properties=sent.properties,
    )


# -------------------------------------------------------------------------------- single members


def _first(*candidates: Any) -> Any:
    """The first that was sent."""
    return next((each for each in candidates if each is not None), None)


def _kind(sent: _Event) -> str:
    name = sent.type or sent.event or sent.eventType or sent.name
    if not name:
        refuse(Code.MISSING, "type", "is missing")
    kind = event_names.NAME_OF.get(name)
    if kind is None:
        refuse(Code.UNKNOWN_TYPE, "type", f"{name[:60]!r} is not the name of an event")
    return kind


def _consent(text: str | None) -> int | None:
    try:
        return _CONSENT[text]
    except KeyError:
        refuse(Code.OUT_OF_RANGE, "consent", "must be granted, denied or unknown")


def _id(name: str, value: str | int | None, max_chars: int) -> str | None:
    """An id from outside as text; blank is none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if len(text) > max_chars:
        message = f"has {len(text):,} characters, at most {max_chars} are allowed"
        refuse(Code.TOO_LONG, name, message)
    return text if text and not text.isspace() else None


def _event_id(value: str | int | None, batch: Batch) -> tuple[UUID, int | None]:
    """The id, and the milliseconds in it if it is a UUIDv7."""
    text = _id("event_id", value, limits.ID_MAX_CHARS)
    if text is None:
        return batch.new_event_id(), None
    if not _UUID.fullmatch(text):
        return uuid5(batch.id_namespace, text), None
    event_id = UUID(text)
    return event_id, event_id.int >> 80 if event_id.version == 7 else None


def _check_rating(kind: str, rating: float | None) -> None:
    if rating is None:
        if kind == event_names.RATE_ITEM:
            refuse(Code.MISSING, "rating", "is missing")
    elif not 0 <= rating <= limits.MAX_RATING:
        refuse(Code.OUT_OF_RANGE, "rating", f"must be from 0 to {limits.MAX_RATING:g}")


# ----------------------------------------------------------------------------------------- times


def _clock_offset(batch: Batch) -> tuple[timedelta, bool]:
    """What to add to the sender's times, and whether its clock had to be ignored."""
    if batch.sent_at is None:
        return timedelta(0), False
    try:
        offset = batch.received_at - _time("sent_at", batch.sent_at)
    except Refused:
        return timedelta(0), True
    if abs(offset) > limits.MAX_CLOCK_OFFSET:
        return timedelta(0), True
    return offset, False


def _claimed_at(value: str | int | float | None, dated_ms: int | None, batch: Batch) -> datetime:
    """When the sender says that it happened, within what can be true.

    An event without a time happened when its UUIDv7 was made, or else now.
    """
    now = batch.received_at
    if value is not None:
        claimed = _time("occurred_at", value)
    elif dated_ms is not None and dated_ms >= _FIRST_UUID7_MS:
        claimed = _EPOCH + timedelta(milliseconds=dated_ms)
        if claimed > now + limits.MAX_AHEAD:
            return now
    else:
        return now
    if claimed > now + limits.MAX_AHEAD:
        refuse(Code.IN_FUTURE, "occurred_at", f"{claimed:%Y-%m-%d} is more than 24 hours ahead")
    if batch.from_server:
        if claimed < _EPOCH:
            refuse(Code.TOO_OLD, "occurred_at", f"{claimed.year} is before 1970")
    elif claimed < _CLOCK_SET:
        message = f"{claimed.date().isoformat()}: the clock of the device isn't set"
        refuse(Code.TOO_OLD, "occurred_at", message)
    elif claimed < now - limits.BROWSER_MAX_AGE:
        message = (
            f"{claimed.date().isoformat()} is more than {limits.BROWSER_MAX_AGE.days} days ago;"
            " older events need a secret key"
        )
        refuse(Code.TOO_OLD, "occurred_at", message)
    return claimed


def _time(name: str, value: object) -> datetime:
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
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(Code.UNREADABLE_TIME, name, f"{text[:40]!r} isn't ISO 8601 (2026-11-22T09:30:00Z)")


# -------------------------------------------------------------------------------------- products


def _lines(kind: str, sent: _Event, currency: str) -> tuple[LineDraft, ...]:
    items = _first(sent.items, sent.products)
    if items is None and sent.product_id is not None:
        product_id = _product_id("product_id", sent.product_id)
        return (_line("", product_id, sent.quantity, sent.price, sent.list_price, currency),)
    if not items:
        if kind in event_names.NEEDS_PRODUCT:
            refuse(Code.MISSING, "items", f"{kind} needs a product")
        return (LineDraft(),)
    if len(items) > limits.EVENT_MAX_PRODUCTS:
        message = f"has {len(items)} products, at most {limits.EVENT_MAX_PRODUCTS} are allowed"
        refuse(Code.TOO_MANY, "items", message)
    lines = []
    for number, item in enumerate(items):
        path = f"items[{number}]."
        product_id = _product_id(
            f"{path}product_id", _first(item.product_id, item.item_id, item.id)
        )
        lines.append(_line(path, product_id, item.quantity, item.price, item.list_price, currency))
    return tuple(lines)


def _product_id(path: str, value: str | int | None) -> str:
    product_id = _id(path, value, limits.ID_MAX_CHARS)
    if product_id is None:
        refuse(Code.MISSING, path, "is missing")
    return product_id


def _line(
    path: str,
    product_id: str,
    quantity: int | float | None,
    price: Decimal | None,
    list_price: Decimal | None,
    currency: str,
) -> LineDraft:
    return LineDraft(
        product_id,
        1 if quantity is None else _quantity(path, quantity),
        None if price is None else _minor(f"{path}price", price, currency),
        None if list_price is None else _minor(f"{path}list_price", list_price, currency),
    )


def _quantity(path: str, quantity: int | float) -> int:
    if not 1 <= quantity <= limits.MAX_QUANTITY or quantity != int(quantity):
        message = f"must be a whole number from 1 to {limits.MAX_QUANTITY:,}"
        refuse(Code.OUT_OF_RANGE, f"{path}quantity", message)
    return int(quantity)


def _minor(path: str, amount: Decimal, currency: str) -> int:
    try:
        return minor_units(amount, currency)
    except AmountRefused as error:
        refuse(Code.OUT_OF_RANGE, path, str(error))
