"""Judging refused events again: after a mistake of ours, or of the shop's catalog, was put right."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import uuid5

from django.db import transaction

from catalog.contract.events import EventDraft, events_judge
from catalog.models import QuarantinedEvent, Store, User
from catalog.services.audit import audit_record
from catalog.services.events import events_store
from catalog.services.quarantine import payload_raw, sent_at_of
from recommender.services.ingest import events_batch, id_namespace, of_shoppers
from recommender.services.session_recording import sessions_remember

# Per transaction: other replays wait for no more than these.
ROWS_AT_A_TIME = 500
CUT = "Only the beginning of the event was kept: it was too long, or no text."


@dataclass(slots=True)
class Replayed:
    """What became of the refused events: stored now, stored before, or refused again."""

    accepted: int = 0
    duplicate: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        return self.accepted + self.duplicate + self.refused


@dataclass(slots=True)
class _Round:
    drafts: list[EventDraft] = field(default_factory=list)
    rows: list[QuarantinedEvent] = field(default_factory=list)


def quarantine_replay(
    *,
    store: Store,
    now: datetime,
    ids: Collection[int] | None = None,
    code: str | None = None,
    member: User | None = None,
) -> Replayed:
    """Judge the store's refused events again, and store the good ones as if they came just now.

    Each is judged as on the day it came: by the clock of then, and by the kind of key it came with.
    It is received now, so that whoever learns by watermark meets it. Two replays at a time share
    the rows between them, and an event that was stored counts once whatever happens: its id stays
    the same from replay to replay, also if the shop gave it none.

    Rows and events of a round are committed together, the first with an entry in the audit log if
    a member asked. Raises OperationalError or InterfaceError.
    """
    waiting = QuarantinedEvent.objects.filter(store=store, replayed_at=None).order_by("pk")
    if ids is not None:
        waiting = waiting.filter(pk__in=ids)
    if code is not None:
        waiting = waiting.filter(code=code)
    replayed, last = Replayed(), 0
    while True:
        with transaction.atomic():
            rows = list(
                waiting.filter(pk__gt=last).select_for_update(skip_locked=True)[:ROWS_AT_A_TIME]
            )
            if not rows:
                return replayed
            if member is not None and not last:
                audit_record(
                    store=store,
                    actor=member,
                    action="quarantine.replay",
                    subject="One event" if ids is not None else code or "All refused events",
                    before={"waiting": waiting.count()},
                )
            last = rows[-1].pk
            good = _judge(store, rows, replayed)
            stored = events_store(store_id=store.pk, drafts=good.drafts, received_at=now)
            for row in good.rows:
                row.replayed_at, row.replay_message = now, ""
            QuarantinedEvent.objects.bulk_update(rows, ["replayed_at", "replay_message"])
        replayed.accepted += stored.accepted
        replayed.duplicate += stored.duplicate
        sessions_remember(store_id=store.pk, stored=of_shoppers(stored), now=now)


def _judge(store: Store, rows: list[QuarantinedEvent], replayed: Replayed) -> _Round:
    good = _Round()
    for row in rows:
        raw = payload_raw(row.payload)
        if raw is None:
            row.replay_message = CUT
            replayed.refused += 1
            continue
        batch = events_batch(
            store_id=store.pk,
            currency=store.currency,
            signing_secret=bytes(store.signing_secret),
            from_server=row.from_server,
            received_at=row.received_at,
            sent_at=sent_at_of(row.sent_at),
            new_event_id=partial(uuid5, id_namespace(store.pk), f"quarantine:{row.pk}"),
        )
        judged = events_judge([raw], batch)
        if judged.refused:
            row.replay_message = f"{judged.refused[0].field} {judged.refused[0].message}".strip()[
                :300
            ]
            replayed.refused += 1
        else:
            good.drafts += judged.drafts
            good.rows.append(row)
    return good
