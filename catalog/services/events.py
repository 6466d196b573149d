"""Storing events: all of a post or none of it, and each event once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from catalog.contract.envelope import nesting_depth
from catalog.contract.events import EventDraft
from catalog.contract.limits import MAX_NESTING
from catalog.contract.verdicts import Remark
from catalog.models import EventType, QuarantinedEvent
from catalog.selectors.products import product_ids_by_external
from catalog.services.shoppers import shoppers_upsert

# Refused events are kept for a look, not as a gift to whoever floods the API with them.
QUARANTINE_PER_DAY = 5_000
QUARANTINE_DAYS = 30
QUARANTINE_MAX_BYTES = 4_096

_TYPE_NUMBER: dict[str, int] = {kind.label: kind.value for kind in EventType}


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """What became of the drafts.

    `stored` are those that were new, in the order given; the others had been stored before, by
    this post or another one. `product_ids` are ours for the shop's ids that the catalog knows.
    """

    stored: list[EventDraft]
    duplicate: int
    product_ids: dict[str, int]

    @property
    def accepted(self) -> int:
        return len(self.stored)


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """A refused event and its bytes."""

    remark: Remark
    raw: bytes


class _Line(msgspec.Struct, omit_defaults=True):
    """One row of the table on its way there, in short names: this is read by the server."""

    event_id: UUID
    on: date
    at: datetime
    type: int
    shopper: int
    line: int = 0
    session: str | None = None
    product: int | None = None
    unknown: str | None = None
    n: int = 1
    price: int | None = None
    list_price: int | None = None
    value: int | None = None
    order: str | None = None
    query: str | None = None
    page: str | None = None
    rating: float | None = None
    recommendation: UUID | None = None
    consent: int | None = None
    properties: dict[str, Any] | None = None


# As one JSON text instead of twenty arrays: encoded in C, and a third of the time per row.
# Rows go in by primary key, so that two posts of the same events wait for each other instead of
# blocking each other for good.
_INSERT = """
INSERT INTO catalog_event (
    store_id, event_id, line, occurred_on, type, shopper_id, session_id, product_id,
    unknown_product, quantity, price_minor, list_price_minor, value_minor, order_id, query, page,
    rating, recommendation_id, consent, properties, occurred_at, received_at
)
SELECT %s, event_id, coalesce(line, 0), "on", type, shopper, session, product,
    unknown, coalesce(n, 1), price, list_price, value, "order", query, page,
    rating, recommendation, consent, properties, at, %s
FROM json_to_recordset(%s::json) AS line_of (
    event_id uuid, line smallint, "on" date, type smallint, shopper bigint, session text,
    product bigint, unknown text, n integer, price bigint, list_price bigint, value bigint,
    "order" text, query text, page text, rating float8, recommendation uuid, consent smallint,
    properties jsonb, at timestamptz
)
ORDER BY event_id, line, "on"
ON CONFLICT DO NOTHING
RETURNING event_id
"""


def events_store(
    *,
    store_id: int,
    drafts: Sequence[EventDraft],
    received_at: datetime,
    refused: Sequence[RefusedEvent] = (),
) -> StoredEvents:
    """Store the drafts, and the refused events for a look. When this returns, they are committed.

    One transaction of 3 statements, whatever the number of events; one more if an event has
    several products, one more if events were refused. An event that is there already (same id,
    same claimed date) is left as it is, also when another post stores it at the same time.

    Raises OperationalError or InterfaceError if PostgreSQL is away; then nothing was stored.
    """
    by_id: dict[UUID, EventDraft] = {}
    for draft in drafts:
        by_id.setdefault(draft.event_id, draft)
    with transaction.atomic():
        product_ids = product_ids_by_external(
            store_id=store_id,
            external_ids={
                line.product_external_id
                for draft in by_id.values()
                for line in draft.lines
                if line.product_external_id is not None
            },
        )
        shopper_ids = shoppers_upsert(store_id=store_id, seen=_seen(by_id.values()))
        lines = {
            event_id: _lines(draft, shopper_ids[draft.shopper_external_id], product_ids)
            for event_id, draft in by_id.items()
        }
        # The first line decides whether the event is new. The others follow only if it is, or a
        # repetition with another basket would add to what is stored.
        new = _insert(store_id, received_at, [own[0] for own in lines.values()])
        _insert(store_id, received_at, [line for id_ in new for line in lines[id_][1:]])
        _quarantine(store_id, received_at, refused)
    stored = [draft for event_id, draft in by_id.items() if event_id in new]
    return StoredEvents(stored, len(drafts) - len(stored), product_ids)


def quarantine_prune() -> int:
    """Drop refused events that are older than 30 days. Returns how many."""
    horizon = timezone.now() - timedelta(days=QUARANTINE_DAYS)
    count, _ = QuarantinedEvent.objects.filter(received_at__lt=horizon).delete()
    return count


def _seen(drafts: Iterable[EventDraft]) -> dict[str, tuple[datetime, datetime]]:
    seen: dict[str, tuple[datetime, datetime]] = {}
    for draft in drafts:
        at = draft.occurred_at
        first, last = seen.get(draft.shopper_external_id, (at, at))
        seen[draft.shopper_external_id] = (min(first, at), max(last, at))
    return seen


def _lines(draft: EventDraft, shopper_id: int, product_ids: dict[str, int]) -> list[_Line]:
    lines = []
    for number, line in enumerate(draft.lines):
        external_id = line.product_external_id
        product_id = None if external_id is None else product_ids.get(external_id)
        price = line.price_minor
        lines.append(
            _Line(
                event_id=draft.event_id,
                line=number,
                on=draft.occurred_on,
                at=draft.occurred_at,
                type=_TYPE_NUMBER[draft.type],
                shopper=shopper_id,
                session=draft.session_id,
                product=product_id,
                unknown=external_id if product_id is None else None,
                n=line.quantity,
                price=price,
                list_price=line.list_price_minor,
                value=None if price is None else price * line.quantity,
                order=draft.order_id,
                query=draft.query,
                page=draft.page,
                rating=draft.rating,
                recommendation=draft.recommendation_id,
                consent=draft.consent,
                # Once per event: a purchase of fifty products doesn't repeat them fifty times.
                properties=draft.properties if number == 0 else None,
            )
        )
    return lines


def _insert(store_id: int, received_at: datetime, lines: list[_Line]) -> set[UUID]:
    """Insert rows; returns the ids of those that weren't there."""
    if not lines:
        return set()
    document = msgspec.json.encode(lines).decode()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, (store_id, received_at, document))
        return {event_id for (event_id,) in cursor.fetchall()}


def _quarantine(store_id: int, received_at: datetime, refused: Sequence[RefusedEvent]) -> None:
    if not refused:
        return
    since = received_at - timedelta(days=1)
    kept = QuarantinedEvent.objects.filter(store_id=store_id, received_at__gt=since)
    room = QUARANTINE_PER_DAY - kept[:QUARANTINE_PER_DAY].count()
    QuarantinedEvent.objects.bulk_create(
        QuarantinedEvent(
            store_id=store_id,
            code=event.remark.code,
            field=event.remark.field.replace("\x00", ""),
            message=event.remark.message.replace("\x00", ""),
            payload=_payload(event.raw),
            received_at=received_at,
        )
        for event in refused[:room]
    )


def _payload(raw: bytes) -> Any:
    """What was sent, as JSON if PostgreSQL can hold it, else the beginning of its text."""
    if (
        len(raw) <= QUARANTINE_MAX_BYTES
        and b"\\u0000" not in raw
        and nesting_depth(raw) <= MAX_NESTING
    ):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(raw)
    text = raw[:QUARANTINE_MAX_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return {"text": text, "n_bytes": len(raw)}
