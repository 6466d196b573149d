"""A post of events on its way in: judge, store, remember for the next page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from django.db import InterfaceError, OperationalError

from catalog.contract.events import Batch, EventDraft, events_judge
from catalog.contract.verdicts import Remark
from catalog.models import EventType
from catalog.services.events import RefusedEvent, StoredEvents, events_store
from recommender.services.session_rebuild import sessions_rebuild
from recommender.serving.signing import recommendation_id_verify
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import (
    SESSION_TYPES,
    TTL_S,
    SessionEntry,
    sessions_forget,
    sessions_record,
)

# As many as a browser may send events: 3 commands for each are a fifth of a post's work.
MAX_SESSIONS = 50

_SESSION_TYPES = {kind.label: kind.value for kind in EventType if kind in SESSION_TYPES}


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """What the sender is told: each event is accepted, a duplicate, or rejected with a reason."""

    accepted: int
    duplicate: int
    rejected: list[Remark]
    warnings: list[Remark]


def events_ingest(
    *,
    store_id: int,
    currency: str,
    signing_secret: bytes,
    from_server: bool,
    raw_events: Sequence[bytes],
    sent_at: object = None,
    received_at: datetime | None = None,
) -> EventsAnswer:
    """Judge the events, store the good ones, and add them to the shoppers' sessions.

    When this returns, what was accepted is committed, and the next recommendation sees it. Valkey
    may be away: the session is rebuilt from PostgreSQL when it is back. Raises OperationalError or
    InterfaceError if PostgreSQL is away; then nothing was stored.
    """
    now = received_at or datetime.now(UTC)
    judged = events_judge(
        raw_events,
        Batch(
            received_at=now,
            sent_at=sent_at,
            from_server=from_server,
            currency=currency,
            id_namespace=_id_namespace(store_id),
            new_event_id=uuid4,
            recommendation_id_verify=partial(recommendation_id_verify, signing_secret),
        ),
    )
    stored = events_store(
        store_id=store_id,
        drafts=judged.drafts,
        received_at=now,
        refused=[RefusedEvent(remark, raw_events[remark.index]) for remark in judged.refused],
    )
    _remember(store_id, stored, now)
    return EventsAnswer(stored.accepted, stored.duplicate, judged.refused, judged.warnings)


@lru_cache(maxsize=1024)
def _id_namespace(store_id: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"vitrine:store:{store_id}:events")


def _remember(store_id: int, stored: StoredEvents, now: datetime) -> None:
    """Add what was stored to the sessions.

    A shopper without a list gets one with all of the past, because the next page may be asked for
    already. The lists of a server's batch with many shoppers are dropped in one command instead,
    and built again from PostgreSQL when one of them comes.
    """
    entries = session_entries(stored.stored, stored.product_ids, now)
    if not entries:
        return
    with suppress(StoreUnavailable):
        if len(entries) > MAX_SESSIONS:
            sessions_forget(store_id, list(entries))
            return
        missing = sessions_record(store_id, entries)
        if missing:
            # The events are committed: if the database leaves just now, a later look rebuilds.
            with suppress(OperationalError, InterfaceError):
                sessions_rebuild(store_id=store_id, shopper_external_ids=missing)


def session_entries(
    drafts: Iterable[EventDraft], product_ids: dict[str, int], now: datetime
) -> dict[str, list[SessionEntry]]:
    """What of the events belongs into sessions, by shopper.

    Left out: events that say nothing about taste, products that the catalog lacks, events older
    than a session's life, and shoppers who denied consent.
    """
    horizon_s = int(now.timestamp()) - TTL_S
    entries: dict[str, list[SessionEntry]] = {}
    for draft in drafts:
        kind = _SESSION_TYPES.get(draft.type)
        at_s = int(draft.occurred_at.timestamp())
        if kind is None or draft.consent == 0 or at_s < horizon_s:
            continue
        for line in draft.lines:
            product_id = product_ids.get(line.product_external_id or "")
            if product_id is not None:
                own = entries.setdefault(draft.shopper_external_id, [])
                own.append(SessionEntry(at_s, kind, product_id, line.quantity))
    return entries
