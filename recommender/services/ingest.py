"""A post of events on its way in: judge, store, remember for the next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from catalog.contract.bots import is_bot
from catalog.contract.events import Batch, events_judge
from catalog.contract.verdicts import Remark
from catalog.services.events import StoredEvents, events_store
from catalog.services.quarantine import RefusedEvent
from recommender.services.session_recording import sessions_remember
from recommender.serving.signing import recommendation_id_verify


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
    user_agent: str | None = None,
    received_at: datetime | None = None,
    at: datetime | None = None,
) -> EventsAnswer:
    """Judge the events, store the good ones, and add them to the shoppers' sessions.

    When this returns, what was accepted is committed, and the next recommendation sees it. What
    machines did is stored and otherwise ignored; what was refused of them isn't kept. Valkey may
    be away: the session is rebuilt from PostgreSQL when it is back. `at` is the sessions' clock while
    the past of a demo store is played again. Raises OperationalError or
    InterfaceError if PostgreSQL is away; then nothing was stored.
    """
    now = received_at or datetime.now(UTC)
    judged = events_judge(
        raw_events,
        events_batch(
            store_id=store_id,
            currency=currency,
            signing_secret=signing_secret,
            from_server=from_server,
            received_at=now,
            sent_at=sent_at,
            # A server's own name says nothing about its visitors.
            user_agent=None if from_server else user_agent,
        ),
    )
    refused = [RefusedEvent(remark, raw_events[remark.index]) for remark in judged.refused]
    stored = events_store(
        store_id=store_id,
        drafts=judged.drafts,
        received_at=now,
        refused=[] if not from_server and is_bot(user_agent) else refused,
        from_server=from_server,
        sent_at=sent_at,
    )
    sessions_remember(store_id=store_id, stored=of_shoppers(stored), now=now, at=at)
    return EventsAnswer(stored.accepted, stored.duplicate, judged.refused, judged.warnings)


def events_batch(
    *,
    store_id: int,
    currency: str,
    signing_secret: bytes,
    from_server: bool,
    received_at: datetime,
    sent_at: object,
    user_agent: str | None = None,
    new_event_id: Callable[[], UUID] = uuid4,
) -> Batch:
    """What the events of a post have in common, for the judge."""
    return Batch(
        received_at=received_at,
        sent_at=sent_at,
        from_server=from_server,
        currency=currency,
        id_namespace=id_namespace(store_id),
        new_event_id=new_event_id,
        recommendation_id_verify=partial(recommendation_id_verify, signing_secret),
        user_agent=user_agent,
    )


def of_shoppers(stored: StoredEvents) -> StoredEvents:
    """What was stored, without the events of machines."""
    if not any(draft.is_bot for draft in stored.stored):
        return stored
    return replace(stored, stored=[draft for draft in stored.stored if not draft.is_bot])


@lru_cache(maxsize=1024)
def id_namespace(store_id: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"vitrine:store:{store_id}:events")
