"""Erasing a shopper, as the law and the shopper may ask for it.

Whatever names the id is deleted, or no longer names it. What was counted from it is counted again:
an `Erasure` says which days, and not who. Nothing remembers the id: a new event under it makes a new
shopper. Trained models lose what they learned at the next full training.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from django.db import connection, transaction

from catalog.contract.events import ANONYMOUS
from catalog.models import Erasure, Shopper, Store, User
from catalog.selectors.shopper_list import shoppers_by_external_id
from catalog.services.audit import audit_record
from catalog.services.shopper_links import links_lock
from recommender.selectors.shopper_held import (
    days_touched,
    impressions_of,
    links_naming,
    others_of,
    refused_of,
    shopper_held,
)
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import sessions_forget


class EraseRefused(Exception):
    """The id stands for nobody in particular."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, or would be (`dry_run`): rows, by what they are.

    `n_impressions` are kept without shopper, session and request. `linked` are the other ids of the
    same person: they stay. `sessions_forgotten` is False if Valkey was away: the recent events are
    forgotten by calling it again, or by themselves within 30 days.
    """

    dry_run: bool
    n_events: int
    n_impressions: int
    n_exposures: int
    n_links: int
    n_refused: int
    had_profile: bool
    linked: tuple[str, ...]
    sessions_forgotten: bool = False


def shopper_erase(
    *, store: Store, external_id: str, member: User | None = None, dry_run: bool = False
) -> Erased | None:
    """Erase one id of a shopper; None if nothing names it. One transaction, with its audit entry.

    `member` is who asked for it in the console; None is the shop. Calling it again also takes away
    what a web process had not written yet at the first time. Raises EraseRefused for the id of
    everybody who denied consent.
    """
    if external_id == ANONYMOUS:
        raise EraseRefused(f"{ANONYMOUS!r} stands for everybody who denied consent.")
    if dry_run:
        held = shopper_held(store=store, external_id=external_id)
        if not held.is_anything:
            return None
        return Erased(
            dry_run=True,
            n_events=held.n_events,
            n_impressions=held.n_impressions,
            n_exposures=held.n_exposures,
            n_links=held.n_links,
            n_refused=held.n_refused,
            had_profile=held.has_profile,
            linked=held.linked,
        )
    with transaction.atomic():
        erased, shopper_id = _erase(store, external_id, member)
    if shopper_id is not None:
        _events_delete(store, shopper_id)
    # The other ids of the person remember the same events; their lists are built again when needed.
    forgotten = _forget(store, (external_id, *(erased.linked if erased else ())))
    return replace(erased, sessions_forgotten=forgotten) if erased else None


def erasure_digest(*, store: Store, external_id: str) -> str:
    """Under which key the audit log has an erased id: whoever knows the id finds it again."""
    secret = bytes(store.signing_secret)
    return hmac.new(secret, f"erased:{external_id}".encode(), "sha256").hexdigest()


def _erase(store: Store, external_id: str, member: User | None) -> tuple[Erased | None, int | None]:
    links_lock(store)
    # Whoever stores events of the shopper and notes that it was seen holds this row until then.
    shopper = (
        Shopper.objects.select_for_update().filter(store=store, external_id=external_id).first()
    )
    linked = others_of(store=store, external_id=external_id)
    found = shoppers_by_external_id(store=store, external_ids=linked)
    linked_ids = [each.pk for each in found.values()]
    days, n_events, n_links = [], 0, 0
    if shopper is not None:
        days = days_touched(store=store, shopper=shopper, linked_ids=linked_ids)
        n_links = links_naming(store=store, shopper=shopper).delete()[0]
        n_events = _events_delete(store, shopper.pk)
        Shopper.objects.filter(store=store, pk=shopper.pk).delete()
    erased = Erased(
        dry_run=False,
        n_events=n_events,
        n_impressions=impressions_of(store=store, external_id=external_id).update(
            shopper_external_id=None, session_id=None, context=None
        ),
        n_exposures=_exposures_delete(store, external_id),
        n_links=n_links,
        n_refused=refused_of(store=store, external_id=external_id).delete()[0],
        had_profile=shopper is not None and bool(shopper.profile),
        linked=linked,
    )
    if shopper is None and erased.n_impressions + erased.n_exposures + erased.n_refused == 0:
        return None, None
    Erasure.objects.create(
        store=store,
        days=days,
        linked_ids=linked_ids,
        n_events=erased.n_events,
        n_impressions=erased.n_impressions,
        n_exposures=erased.n_exposures,
        member=member,
    )
    audit_record(
        store=store,
        actor=member,
        action="shopper.erase",
        subject="A shopper" if member is not None else "A shopper, as the shop asked",
        subject_key=erasure_digest(store=store, external_id=external_id),
        before={
            "events": erased.n_events,
            "impressions": erased.n_impressions,
            "exposures": erased.n_exposures,
            "links": erased.n_links,
            "refused_events": erased.n_refused,
        },
    )
    return erased, None if shopper is None else shopper.pk


def _events_delete(store: Store, shopper_id: int) -> int:
    """Done again after the commit: a post that began before it may have stored one more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM catalog_event WHERE store_id = %s AND shopper_id = %s",
            (store.pk, shopper_id),
        )
        return int(cursor.rowcount)


def _exposures_delete(store: Store, external_id: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM recommender_exposure WHERE store_id = %s AND shopper_external_id = %s",
            (store.pk, external_id),
        )
        return int(cursor.rowcount)


def _forget(store: Store, external_ids: tuple[str, ...]) -> bool:
    try:
        sessions_forget(store.pk, external_ids)
    except StoreUnavailable:
        return False
    return True
