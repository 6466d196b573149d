"""Who is who: links of guests to customers, in force with the next request."""

from __future__ import annotations

from contextlib import suppress

from django.db import DatabaseError, InterfaceError

from catalog.models import ShopperLink, Store, User
from catalog.selectors.shopper_links import linked_with, persons_of
from catalog.services.shopper_links import shopper_link, shopper_link_check, shopper_unlink
from recommender.services.session_rebuild import MAX_MEMBERS, sessions_rebuild
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import sessions_forget


def person_link(
    *,
    store: Store,
    shopper_external_id: str,
    customer_external_id: str,
    linked_by: str,
    member: User | None = None,
) -> ShopperLink:
    """Link a shopper to a customer, as `shopper_link`; when this returns, every process knows.

    Calling it again changes nothing, and makes up for a call that was cut off half-way. Raises
    LinkRefused; OperationalError or InterfaceError if PostgreSQL is away, and then nothing changed.
    """
    shopper_link_check(
        shopper_external_id=shopper_external_id, customer_external_id=customer_external_id
    )
    before = _everybody(store, {shopper_external_id, customer_external_id})
    link = shopper_link(
        store=store,
        shopper_external_id=shopper_external_id,
        customer_external_id=customer_external_id,
        linked_by=linked_by,
        member=member,
    )
    _renew(store, before | {shopper_external_id, customer_external_id})
    return link


def person_unlink(
    *, store: Store, shopper_external_id: str, member: User | None = None
) -> ShopperLink | None:
    """Undo the shopper's link; when this returns, every process knows. None if there was none."""
    before = _everybody(store, {shopper_external_id})
    link = shopper_unlink(store=store, shopper_external_id=shopper_external_id, member=member)
    _renew(store, before | {shopper_external_id})
    return link


def _everybody(store: Store, external_ids: set[str]) -> set[str]:
    """These ids, those they were linked with lately, and all ids of their persons."""
    known = external_ids | linked_with(store=store, external_ids=external_ids)
    persons = persons_of(store_id=store.pk, external_ids=sorted(known))
    return known | {member for person in persons.values() for member in person.members}


def _renew(store: Store, external_ids: set[str]) -> None:
    """Build the lists of everybody concerned again.

    First drop, then read, then write: an event that comes in between finds no list and builds it
    from PostgreSQL, or was there before the reading.
    """
    concerned = sorted(_everybody(store, external_ids))
    try:
        sessions_forget(store.pk, concerned)
    except StoreUnavailable:
        # Noted there. Whoever mends looks for links that are new since then, too.
        return
    # A list that isn't built now is built at the next look.
    with suppress(DatabaseError, InterfaceError):
        sessions_rebuild(store_id=store.pk, shopper_external_ids=concerned[:MAX_MEMBERS])
