"""Events that were just stored, into the sessions of those who did them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import DatabaseError, InterfaceError

from catalog.contract.event_names import SEARCH
from catalog.contract.events import EventDraft
from catalog.models import EventType
from catalog.selectors.shopper_links import persons_of
from catalog.services.events import StoredEvents
from recommender.services.session_mending import sessions_mend
from recommender.services.session_rebuild import MAX_MEMBERS, sessions_rebuild
from recommender.services.session_searches import MAX_SEARCHES, search_entries
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import (
    OUTAGE,
    SESSION_TYPES,
    TTL_S,
    SessionEntry,
    sessions_forget,
    sessions_record,
    sessions_restore,
)

# As many as a browser may send events: 3 commands for each are a fifth of a post's work.
MAX_SESSIONS = 50
# Whose searches are looked up for one post. A browser has one shopper; in a server's batch the
# lists of more are dropped.
MAX_SEARCHERS = 3

_SESSION_TYPES = {kind.label: kind.value for kind in EventType if kind in SESSION_TYPES}


def sessions_remember(
    *, store_id: int, stored: StoredEvents, now: datetime, at: datetime | None = None
) -> None:
    """Add what was stored to the sessions; to those of all ids of a person. Never raises for Valkey
    or PostgreSQL being away: the events are committed, and the sessions are mended later.

    A shopper without a list gets one with all of the past, because the next page may be asked for
    already; whoever was never seen before has no other past than this. The lists of a server's
    batch with many shoppers are dropped in one command instead, and built again from PostgreSQL
    when one of them comes. `at` is the clock of a past that is played again: what is old by it, and
    not by `now`, is left out.
    """
    entries = session_entries(stored.stored, stored.product_ids, at or now)
    searches = session_searches(stored.stored, at or now)
    shoppers = entries.keys() | searches.keys()
    if not shoppers:
        return
    sessions_mend()
    try:
        if len(shoppers) > MAX_SESSIONS:
            _forget(store_id, sorted(shoppers))
            return
        for shopper in list(searches)[:MAX_SEARCHERS]:
            found = search_entries(store_id=store_id, searches=searches[shopper])
            if found:
                entries.setdefault(shopper, []).extend(found)
        linked = _record(store_id, entries, new=stored.new_shoppers, at=at)
        if linked:
            linked_entries = {shopper: entries[shopper] for shopper in linked}
            _record_for_persons(store_id, linked_entries, at=at)
        if len(searches) > MAX_SEARCHERS:
            _forget(store_id, list(searches)[MAX_SEARCHERS:])
    except StoreUnavailable:
        # The store has noted it.
        return
    except (DatabaseError, InterfaceError):
        # Some list may lack something, as if Valkey had been away.
        OUTAGE.note()


def session_entries(
    drafts: Iterable[EventDraft], product_ids: Mapping[str, int], now: datetime
) -> dict[str, list[SessionEntry]]:
    """What of the events belongs into sessions, by shopper; without searches.

    Left out: events that say nothing about taste, products that the catalog lacks, events older
    than a session's life, and shoppers who denied consent.
    """
    horizon_s = int(now.timestamp()) - TTL_S
    entries: dict[str, list[SessionEntry]] = {}
    for draft in drafts:
        kind = _SESSION_TYPES.get(draft.type)
        at_s = int(draft.occurred_at.timestamp())
        # Hidden is hidden, however long ago.
        if kind is None or draft.consent == 0:
            continue
        if at_s < horizon_s and kind != EventType.HIDE_ITEM:
            continue
        for line in draft.lines:
            product_id = product_ids.get(line.product_external_id or "")
            if product_id is not None:
                own = entries.setdefault(draft.shopper_external_id, [])
                own.append(SessionEntry(at_s, kind, product_id, line.quantity))
    return entries


def session_searches(
    drafts: Iterable[EventDraft], now: datetime
) -> dict[str, list[tuple[int, str]]]:
    """The last searches of each shopper: Unix seconds and words, oldest first."""
    horizon_s = int(now.timestamp()) - TTL_S
    searches: dict[str, list[tuple[int, str]]] = {}
    for draft in drafts:
        at_s = int(draft.occurred_at.timestamp())
        if draft.type == SEARCH and draft.query and draft.consent != 0 and at_s >= horizon_s:
            searches.setdefault(draft.shopper_external_id, []).append((at_s, draft.query))
    return {shopper: sorted(own)[-MAX_SEARCHES:] for shopper, own in searches.items()}


def _record(
    store_id: int,
    entries: Mapping[str, Sequence[SessionEntry]],
    *,
    new: Collection[str] = (),
    at: datetime | None,
) -> list[str]:
    """Add entries to the lists of shoppers; returns those who are linked to others.

    The `new` were never seen before. Who links one of them, or stores another event of theirs, at
    this very moment does it after us, reads what we stored, and adds it to the same list.
    """
    recorded = sessions_record(store_id, entries)
    first = {shopper: entries[shopper] for shopper in recorded.missing if shopper in new}
    if first:
        sessions_restore(store_id, {who: sorted(own) for who, own in first.items()})
    missing = [shopper for shopper in recorded.missing if shopper not in new]
    if not missing:
        return recorded.linked
    rebuilt = sessions_rebuild(store_id=store_id, shopper_external_ids=missing, until=at)
    return recorded.linked + [shopper for shopper, state in rebuilt.items() if state.person]


def _record_for_persons(
    store_id: int, entries: Mapping[str, Sequence[SessionEntry]], *, at: datetime | None
) -> None:
    """Add what linked shoppers did to the lists of the other ids of their persons.

    A list that isn't there is built now: somebody may be building it from what was there before.
    """
    persons = persons_of(store_id=store_id, external_ids=list(entries))
    of_others: dict[str, list[SessionEntry]] = {}
    forgotten: list[str] = []
    for shopper, person in persons.items():
        for member in person.members[:MAX_MEMBERS]:
            if member != shopper:
                of_others.setdefault(member, []).extend(entries[shopper])
        forgotten += [each for each in person.members[MAX_MEMBERS:] if each != shopper]
    _record(store_id, of_others, at=at)
    sessions_forget(store_id, forgotten)


def _forget(store_id: int, shoppers: list[str]) -> None:
    """Drop the lists of shoppers, and of the other ids of their persons."""
    # Before anything else: what follows may fail.
    sessions_forget(store_id, shoppers)
    persons = persons_of(store_id=store_id, external_ids=shoppers)
    sessions_forget(
        store_id,
        {member for person in persons.values() for member in person.members} - set(shoppers),
    )
