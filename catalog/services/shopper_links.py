"""Linking a guest to a customer, and undoing it.

What serving remembers of the two has to follow: call `recommender.services.identity`, which does
both, unless nothing is served yet.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from catalog.contract.events import ANONYMOUS
from catalog.contract.limits import ID_MAX_CHARS
from catalog.models import Shopper, ShopperLink, Store, User
from catalog.services.audit import audit_record
from catalog.services.shoppers import shoppers_upsert

# Of the locks that a store can take, the one for its links. Any number nobody else uses.
_LOCK = 7_120_001


class LinkRefused(Exception):
    """The two can't be linked; `field` names the id at fault, the text says why."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def shopper_link_check(*, shopper_external_id: str, customer_external_id: str) -> None:
    """Raises LinkRefused for ids that can't be linked, whoever they are."""
    _check_id("shopper_id", shopper_external_id)
    _check_id("customer_id", customer_external_id)
    if shopper_external_id == customer_external_id:
        raise LinkRefused("customer_id", "A shopper can't be linked to itself.")


def shopper_link(
    *,
    store: Store,
    shopper_external_id: str,
    customer_external_id: str,
    linked_by: str,
    member: User | None = None,
) -> ShopperLink:
    """From now on the shopper is the customer. Commits.

    Both are made if nobody has seen them yet. A customer may have any number of shoppers, and may
    be linked on to another customer: then all of them are that one. Linking the same two again
    changes nothing. A shopper that is linked to somebody else is taken from there: the old link is
    undone, and stays on record.

    Raises LinkRefused for ids that can't be, and for a customer who is this shopper already.
    """
    shopper_link_check(
        shopper_external_id=shopper_external_id, customer_external_id=customer_external_id
    )
    now = timezone.now()
    with transaction.atomic():
        links_lock(store)
        ids = _shoppers(store, now, shopper_external_id, customer_external_id)
        shopper_id, customer_id = ids[shopper_external_id], ids[customer_external_id]
        live = (
            ShopperLink.objects.filter(store=store, shopper_id=shopper_id, undone_at=None)
            .select_related("shopper", "customer")
            .first()
        )
        if live is not None and live.customer_id == customer_id:
            return live
        if shopper_id in _chain(store, customer_id):
            raise LinkRefused(
                "customer_id",
                f"{customer_external_id!r} is itself linked to {shopper_external_id!r}."
                " Undo that first.",
            )
        if live is not None:
            _undo(live, now, member)
        if member is not None:
            audit_record(
                store=store,
                actor=member,
                action="shopper.link",
                subject=shopper_external_id,
                subject_key=shopper_external_id,
                before=None if live is None else {"customer": live.customer.external_id},
                after={"customer": customer_external_id},
            )
        return ShopperLink.objects.create(
            store=store,
            shopper_id=shopper_id,
            customer_id=customer_id,
            linked_at=now,
            linked_by=linked_by,
            member=member,
        )


def shopper_unlink(
    *, store: Store, shopper_external_id: str, member: User | None = None
) -> ShopperLink | None:
    """Undo the shopper's link, which stays on record. None if there is none. Commits."""
    with transaction.atomic():
        links_lock(store)
        link = (
            ShopperLink.objects.filter(
                store=store, shopper__external_id=shopper_external_id, undone_at=None
            )
            .select_related("shopper", "customer")
            .first()
        )
        if link is not None:
            _undo(link, timezone.now(), member)
            if member is not None:
                audit_record(
                    store=store,
                    actor=member,
                    action="shopper.unlink",
                    subject=shopper_external_id,
                    subject_key=shopper_external_id,
                    before={"customer": link.customer.external_id},
                )
    return link


def _check_id(field: str, text: str) -> None:
    if not text or text.isspace():
        raise LinkRefused(field, "It is missing.")
    if len(text) > ID_MAX_CHARS or "\x00" in text:
        raise LinkRefused(field, f"An id is a text of at most {ID_MAX_CHARS} characters.")
    if text == ANONYMOUS:
        raise LinkRefused(field, f"{ANONYMOUS!r} stands for everybody who denied consent.")


def links_lock(store: Store) -> None:
    """One link of a store at a time: two that are right by themselves could close a circle."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, store.pk & 0x7FFFFFFF))


def _shoppers(store: Store, now: datetime, *external_ids: str) -> dict[str, int]:
    """Their ids. Being linked isn't a visit: only who is new counts as seen now."""
    known = dict(
        Shopper.objects.filter(store=store, external_id__in=external_ids).values_list(
            "external_id", "pk"
        )
    )
    new = {external_id: (now, now) for external_id in external_ids if external_id not in known}
    return known | shoppers_upsert(store_id=store.pk, seen=new)


def _chain(store: Store, shopper_id: int) -> list[int]:
    """The shopper, who it is linked to, and so on to the end."""
    chain = [shopper_id]
    while True:
        onward = (
            ShopperLink.objects.filter(store=store, shopper_id=chain[-1], undone_at=None)
            .values_list("customer_id", flat=True)
            .first()
        )
        if onward is None or onward in chain:
            return chain
        chain.append(onward)


def _undo(link: ShopperLink, now: datetime, member: User | None) -> None:
    link.undone_at, link.undone_by = now, member
    link.save(update_fields=["undone_at", "undone_by"])
