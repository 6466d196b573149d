"""The recent events of a shopper, from PostgreSQL back into Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.db import InterfaceError, OperationalError

from catalog.selectors.events import FOR_EVER, ShopperPast, shoppers_past
from catalog.selectors.shopper_links import Person, persons_of
from recommender.services.session_searches import MAX_SEARCHES, search_entries
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import (
    MAX_HIDDEN,
    N_ENTRIES,
    SESSION_TYPES,
    TTL_S,
    SessionEntry,
    SessionState,
    sessions_forget,
    sessions_restore,
)

# For so long nobody asks a database that was away for somebody's past.
REST_S = 1.0
# Somebody who waits longer than this for an answer waits for all.
PATIENCE_S = 0.5
# Of a person with more ids than this, those linked last take part, and the customer's own.
MAX_MEMBERS = 20


class Rest:
    """Keeps away from a database that failed lately, or that keeps somebody waiting.

    After a failure one caller at a time tries again. A machine that is gone without a word makes it
    wait for seconds, and meanwhile nobody else.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._failed = False
        self._waiting: dict[object, float] = {}

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Ask the database; what it answers or doesn't is remembered."""
        token = object()
        self._waiting[token] = time.monotonic()
        try:
            yield
        except (OperationalError, InterfaceError):
            self.begin()
            raise
        else:
            self.end()
        finally:
            del self._waiting[token]

    def begin(self) -> None:
        self._failed = True
        self._until = time.monotonic() + REST_S

    def end(self) -> None:
        self._failed = False
        self._until = 0.0

    def rests(self) -> bool:
        now = time.monotonic()
        if now < self._until:
            return True
        waiting = list(self._waiting.values())
        if self._failed and waiting:
            return True
        return any(now - began > PATIENCE_S for began in waiting)


DATABASE_REST = Rest()


def sessions_rebuild(
    *, store_id: int, shopper_external_ids: Sequence[str], until: datetime | None = None
) -> dict[str, SessionState]:
    """Build the lists of shoppers again from their last events, and return the states.

    One query and one round trip for all of them; for those who are linked three queries more, and
    for each of the last searches one. The list of a linked shopper holds what all ids of the person
    did. A shopper without events gets a blank list, so that the next request doesn't ask PostgreSQL
    again. If Valkey is away the states are returned all the same. `until` is the moment up to which
    the lists reach when the past is played again: of a demo store only.

    Raises OperationalError or InterfaceError if PostgreSQL is away.
    """
    asked = list(dict.fromkeys(shopper_external_ids))
    pasts = _pasts(store_id, asked, until=until)
    linked = [shopper for shopper in asked if pasts[shopper].is_linked]
    persons = persons_of(store_id=store_id, external_ids=linked)
    others = {
        member for person in persons.values() for member in person.members[:MAX_MEMBERS]
    } - pasts.keys()
    if others:
        pasts |= _pasts(store_id, sorted(others), until=until)
    entries = {
        shopper: _entries(
            store_id, [pasts[member] for member in _members(shopper, persons.get(shopper))]
        )
        for shopper in asked
    }
    customers = {shopper: person.customer for shopper, person in persons.items()}
    # The client reports that Valkey is away; the states are right without it.
    with suppress(StoreUnavailable):
        sessions_restore(store_id, entries, persons=customers)
        # Somebody may have undone the link between our reading and writing, and would be left with
        # a list of somebody else's.
        if linked and persons_of(store_id=store_id, external_ids=linked) != persons:
            sessions_forget(store_id, linked)
    return {
        shopper: SessionState.of(own, person=customers.get(shopper))
        for shopper, own in entries.items()
    }


def session_as_of(*, store_id: int, shopper_external_id: str, at: datetime) -> SessionState:
    """What was known of a shopper at a moment in the past; links aren't looked at. One query, and
    one for each of the last searches."""
    pasts = _pasts(store_id, [shopper_external_id], until=at)
    state = SessionState.of(_entries(store_id, pasts.values()))
    return replace(state, found=True)


def _pasts(
    store_id: int, external_ids: Sequence[str], *, until: datetime | None = None
) -> dict[str, ShopperPast]:
    return shoppers_past(
        store_id=store_id,
        external_ids=external_ids,
        types=SESSION_TYPES,
        since=(until or datetime.now(UTC)) - timedelta(seconds=TTL_S),
        until=until or FOR_EVER,
        limit=N_ENTRIES,
        n_hidden=MAX_HIDDEN,
        n_searches=MAX_SEARCHES,
    )


def _members(shopper: str, person: Person | None) -> list[str]:
    """The ids whose events are in the shopper's list, its own for certain."""
    if person is None:
        return [shopper]
    return list(dict.fromkeys((shopper, *person.members[:MAX_MEMBERS])))


def _entries(store_id: int, pasts: Iterable[ShopperPast]) -> list[SessionEntry]:
    """What several ids did, as entries, oldest first."""
    events = [event for past in pasts for event in past.events]
    searches = sorted(
        (int(search.occurred_at.timestamp()), search.query)
        for past in pasts
        for search in past.searches
    )
    entries = [
        SessionEntry(int(at.timestamp()), kind, product_id, quantity)
        for at, kind, product_id, quantity in sorted(events)
    ]
    entries += search_entries(store_id=store_id, searches=searches[-MAX_SEARCHES:])
    return sorted(entries, key=lambda entry: entry.occurred_at_s)
