"""Storing events: all of a post or none of it, and each event once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from catalog.contract.events import EventDraft
from catalog.prepared import rows_of_prepared
from catalog.selectors.product_ids import product_ids_by_external
from catalog.services.event_rows import (
    COPY_STATEMENT,
    INSERT_STATEMENT,
    NOTE_AND_INSERT_STATEMENT,
    rows_as_copy_text,
    rows_as_json,
)
from catalog.services.quarantine import RefusedEvent, quarantine_add
from catalog.services.shoppers import seen_as_json
from catalog.services.sightings import (
    shoppers_all_exist,
    shoppers_forget,
    shoppers_known,
    shoppers_note,
    shoppers_remember,
)

# From so many events on COPY is worth its extra statements.
COPY_FROM = 100

DATABASE_AWAY = (OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """What became of the drafts.

    `stored` are those that were new, in the order given; the others had been stored before, by
    this post or another one. `product_ids` are ours for the shop's ids that the catalog knows.
    `new_shoppers` are those, by the shop's ids, who had never been seen: they have no other past.
    """

    stored: list[EventDraft]
    duplicate: int
    product_ids: dict[str, int]
    new_shoppers: frozenset[str] = frozenset()

    @property
    def accepted(self) -> int:
        return len(self.stored)


class _ShopperGone(Exception):
    """A shopper whose id was remembered has been erased."""


def events_store(
    *,
    store_id: int,
    drafts: Sequence[EventDraft],
    received_at: datetime,
    refused: Sequence[RefusedEvent] = (),
    from_server: bool = False,
    sent_at: object = None,
) -> StoredEvents:
    """Store the drafts, and the refused events for a look. When this returns, they are committed.

    An event that is there already (same id, same claimed date) is left as it is, also when another
    post stores it at the same time. A post of a few events is a single statement, which also notes
    shoppers that the process hasn't met lately; one more if that is so for products. Many events go
    in with COPY.

    The refused events are written afterwards, on their own: whatever keeps them from being stored
    must not take the good ones with it.

    Raises OperationalError or InterfaceError if PostgreSQL is away; then nothing was stored.
    """
    by_id: dict[int, EventDraft] = {}
    for draft in drafts:
        by_id.setdefault(draft.event_id.int, draft)
    stored = StoredEvents([], 0, {})
    if by_id:
        stored = _store(store_id, received_at, by_id)
    if refused:
        quarantine_add(
            store_id=store_id,
            refused=refused,
            received_at=received_at,
            from_server=from_server,
            sent_at=sent_at,
        )
    return replace(stored, duplicate=len(drafts) - stored.accepted)


def _store(store_id: int, received_at: datetime, by_id: Mapping[int, EventDraft]) -> StoredEvents:
    # Instead of asking before each post whether the connection is alive: one that PostgreSQL has
    # closed is replaced once. Ids were given out before, so that nothing can be stored twice.
    fresh = connection.connection is None
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return _store_once(store_id, received_at, by_id)
    except DATABASE_AWAY:
        if fresh or connection.in_atomic_block:
            raise
        connection.close()
        return _store_once(store_id, received_at, by_id)


def _store_once(
    store_id: int, received_at: datetime, by_id: Mapping[int, EventDraft]
) -> StoredEvents:
    post = _Post(store_id, received_at, by_id)
    if len(by_id) >= COPY_FROM:
        try:
            return post.result(post.copied())
        except IntegrityError:
            # Some event is there already: step over it, which COPY can't.
            pass
        except _ShopperGone:
            post.known.clear()
    try:
        return post.result(post.inserted())
    except _ShopperGone:
        post.known.clear()
        return post.result(post.inserted())


class _Post:
    """The events of one post, their products and their shoppers."""

    def __init__(
        self, store_id: int, received_at: datetime, by_id: Mapping[int, EventDraft]
    ) -> None:
        self.store_id = store_id
        self.received_at = received_at
        self.by_id = by_id
        self.drafts = list(by_id.values())
        self.seen = _seen(self.drafts)
        self.new: set[int] = set()
        self.new_shoppers: set[str] = set()
        self.known = shoppers_known(store_id=store_id, seen=self.seen)
        self.product_ids = product_ids_by_external(
            store_id=store_id,
            external_ids={
                line.product_external_id
                for draft in self.drafts
                for line in draft.lines
                if line.product_external_id is not None
            },
        )

    def result(self, stored: list[EventDraft]) -> StoredEvents:
        return StoredEvents(stored, 0, self.product_ids, frozenset(self.new_shoppers))

    def copied(self) -> list[EventDraft]:
        """All events, which are new. Raises IntegrityError if one isn't, and nothing is stored."""
        with transaction.atomic():
            noted = self._note_shoppers()
            if not shoppers_all_exist(store_id=self.store_id, shopper_ids=self.known):
                self._forget_shoppers()
            rows = rows_as_copy_text(
                self.drafts,
                store_id=self.store_id,
                received_at=self.received_at,
                shopper_ids={**self.known, **noted},
                product_ids=self.product_ids,
            )
            # The driver's own cursor: Django's debugging one doesn't know COPY.
            with (
                connection.wrap_database_errors,
                connection.cursor() as cursor,
                cursor.cursor.copy(COPY_STATEMENT) as copy,
            ):
                copy.write(rows)
        self._remember_shoppers(noted)
        return self.drafts

    def inserted(self) -> list[EventDraft]:
        """Those events that weren't there."""
        if len(self.known) < len(self.seen):
            self._note_and_insert()
            return self._those_new()
        parameters = self._parameters(self.known)
        rows = rows_of_prepared(INSERT_STATEMENT, parameters)
        self.new.update(event_id.int for (event_id,) in rows)
        # An event that isn't new is a duplicate, or its shopper is gone.
        if len(self.new) < len(self.drafts) and not shoppers_all_exist(
            store_id=self.store_id, shopper_ids=self.known
        ):
            self._forget_shoppers()
        return self._those_new()

    def _note_and_insert(self) -> None:
        parameters = {**self._parameters(None), "seen": seen_as_json(self.seen)}
        noted: dict[str, int] = {}
        for event_id, name, shopper_id, is_new in rows_of_prepared(
            NOTE_AND_INSERT_STATEMENT, parameters
        ):
            if name is None:
                self.new.add(event_id.int)
                continue
            noted[name] = shopper_id
            if is_new:
                self.new_shoppers.add(name)
        self._remember_shoppers(noted)

    def _those_new(self) -> list[EventDraft]:
        return [draft for event_id, draft in self.by_id.items() if event_id in self.new]

    def _parameters(self, shopper_ids: Mapping[str, int] | None) -> dict[str, object]:
        return {
            "store_id": self.store_id,
            "received_at": self.received_at,
            "rows": rows_as_json(
                self.drafts, shopper_ids=shopper_ids, product_ids=self.product_ids
            ),
        }

    def _note_shoppers(self) -> dict[str, int]:
        unknown = {name: times for name, times in self.seen.items() if name not in self.known}
        return shoppers_note(store_id=self.store_id, seen=unknown)

    def _remember_shoppers(self, noted: Mapping[str, int]) -> None:
        shoppers_remember(store_id=self.store_id, seen=self.seen, shopper_ids=noted)

    def _forget_shoppers(self) -> None:
        shoppers_forget(store_id=self.store_id, external_ids=self.known)
        raise _ShopperGone


def _seen(drafts: Iterable[EventDraft]) -> dict[str, tuple[datetime, datetime]]:
    seen: dict[str, tuple[datetime, datetime]] = {}
    for draft in drafts:
        name, at = draft.shopper_external_id, draft.occurred_at
        times = seen.get(name)
        seen[name] = (at, at) if times is None else (min(times[0], at), max(times[1], at))
    return seen
