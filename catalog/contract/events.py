"""One event after the other: from JSON to a draft that can be stored, or to the reason why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import msgspec

from catalog.contract import event_names, limits
from catalog.contract.addresses import without_addresses
from catalog.contract.bots import is_bot
from catalog.contract.clock import claimed_at, clock_offset
from catalog.contract.dialects import SentEvent, item_id, members_adopt
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
    is_bot
        The sender calls itself a machine.
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
    is_bot: bool = False


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
    user_agent
        Of the browser that sent the post. None from a server: its events say their own.
    """

    received_at: datetime
    sent_at: object
    from_server: bool
    currency: str
    id_namespace: UUID
    new_event_id: Callable[[], UUID]
    recommendation_id_verify: Callable[[str], UUID | None]
    user_agent: str | None = None


@dataclass(slots=True)
class Judged:
    """Every event of a batch is in exactly one of `drafts` and `refused`, in order."""

    drafts: list[EventDraft] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)


_decoder = msgspec.json.Decoder(SentEvent)

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_CHARS = 36
_CONSENT = {None: None, "unknown": None, "granted": 1, "denied": 0}


def events_judge(raw_events: Sequence[bytes], batch: Batch) -> Judged:
    """Judge each event by itself. Never raises, whatever the bytes are.

    A text that is too long, a time that is too old, a wrong type refuse the event. What only
    decorates it (`query`, `page`) is cut to 300 characters; unknown members are ignored. Network
    addresses in `page` and `properties` are replaced.
    """
    judged = Judged()
    offset, ignored = clock_offset(batch.sent_at, batch.received_at)
    if ignored:
        judged.warnings.append(
            Remark(0, Code.SENT_AT_IGNORED, "sent_at", CODES[Code.SENT_AT_IGNORED])
        )
    from_bot = is_bot(batch.user_agent)
    for index, raw in enumerate(raw_events):
        try:
            draft = _draft(index, decode(_decoder, raw), batch, offset, from_bot, judged.warnings)
            judged.drafts.append(draft)
        except Refused as refused:
            judged.refused.append(refused.remark(index))
    return judged


def _draft(
    index: int,
    sent: SentEvent,
    batch: Batch,
    offset: timedelta,
    from_bot: bool,
    warnings: list[Remark],
) -> EventDraft:
    kind = _kind(sent)
    members_adopt(sent)
    consent = _consent(sent.consent)
    event_id, dated_ms = _event_id(sent.event_id, batch)
    claimed = claimed_at(
        sent.occurred_at,
        dated_ms,
        received_at=batch.received_at,
        offset=offset,
        from_server=batch.from_server,
    )
    shopper_id = _id("shopper_id", sent.shopper_id, limits.ID_MAX_CHARS)
    session_id = _id("session_id", sent.session_id, limits.SESSION_ID_MAX_CHARS)
    if consent == 0:
        shopper_id, session_id = ANONYMOUS, None
    elif shopper_id is None:
        refuse(Code.MISSING, "shopper_id", "is missing")
    query = sent.query
    if kind == event_names.SEARCH and not query:
        refuse(Code.MISSING, "query", "a search needs what was searched for")
    if sent.rating is not None or kind == event_names.RATE_ITEM:
        _check_rating(sent.rating)
    if sent.properties is not None and len(sent.properties) > limits.EVENT_MAX_PROPERTIES:
        refuse(
            Code.TOO_MANY,
            "properties",
            f"has {len(sent.properties)} entries, at most {limits.EVENT_MAX_PROPERTIES} are kept",
        )
    order_id = _id("order_id", sent.order_id, limits.ID_MAX_CHARS)
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
    happened = claimed + offset if offset else claimed
    return EventDraft(
        index=index,
        event_id=event_id,
        type=kind,
        shopper_external_id=shopper_id,
        occurred_at=min(happened, batch.received_at),
        occurred_on=claimed.date(),
        lines=lines,
        session_id=session_id,
        order_id=order_id,
        query=query[: limits.TEXT_MAX_CHARS] if query else None,
        page=without_addresses(sent.page[: limits.TEXT_MAX_CHARS]) if sent.page else None,
        rating=sent.rating,
        recommendation_id=recommendation_id,
        consent=consent,
        properties=without_addresses(sent.properties),
        is_bot=from_bot or is_bot(sent.user_agent),
    )


# -------------------------------------------------------------------------------- single members


def _kind(sent: SentEvent) -> str:
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
    if len(text) != _UUID_CHARS or not _UUID.fullmatch(text):
        return uuid5(batch.id_namespace, text), None
    # In C, and a quarter of the time of UUID(text).
    event_id = msgspec.convert(text, UUID)
    number = event_id.int
    return event_id, number >> 80 if number >> 76 & 0xF == 7 else None


def _check_rating(rating: float | None) -> None:
    if rating is None:
        refuse(Code.MISSING, "rating", "is missing")
    if not 0 <= rating <= limits.MAX_RATING:
        refuse(Code.OUT_OF_RANGE, "rating", f"must be from 0 to {limits.MAX_RATING:g}")


# -------------------------------------------------------------------------------------- products


def _lines(kind: str, sent: SentEvent, currency: str) -> tuple[LineDraft, ...]:
    items = sent.items
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
        product_id = _product_id(f"{path}product_id", item_id(item))
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
        return _minor_units(amount, currency)
    except AmountRefused as error:
        refuse(Code.OUT_OF_RANGE, path, str(error))


# A shop has few prices, and each comes often.
_minor_units = lru_cache(maxsize=4096)(minor_units)
