"""One change to many products: hide and show, add and take off a tag.

Tags given here are the members' own (`member_tags`): no feed takes them away. Taking one off takes it
off both lists; what the feed still says comes back with its next import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Func, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from catalog.contract.limits import MAX_TAGS
from catalog.models import Product, Store, User
from catalog.services.audit import audit_record
from catalog.services.products import catalog_changed

MAX_TAG_CHARS = 60
# Ids that the audit keeps; the number says the rest.
N_RECORDED = 100


class BulkRefused(ValueError):
    """A change that can't be made like this; the text says why."""


@dataclass(frozen=True, slots=True)
class BulkDone:
    """How many were chosen, and how many of them weren't like that already."""

    n_chosen: int
    n_changed: int


def products_change(
    *, store: Store, user: User, products: QuerySet[Product], action: str, tag: str = ""
) -> BulkDone:
    """Make one change to the chosen products of a store, in one transaction with its audit entry.

    Parameters
    ----------
    action
        "hide", "show", "tag" or "untag".
    tag
        For the last two: up to 60 characters without a comma.

    Raises
    ------
    BulkRefused
        No such action or tag, or products that have as many tags as are kept.
    """
    change = _CHANGES.get(action)
    tag = " ".join(tag.split())
    if change is None:
        raise BulkRefused("Choose what to do with the products.")
    if action in ("tag", "untag") and (not 1 <= len(tag) <= MAX_TAG_CHARS or "," in tag):
        raise BulkRefused(f"A tag has 1 to {MAX_TAG_CHARS} characters and no comma.")
    chosen = products.filter(store=store, deleted_at=None)
    with transaction.atomic():
        n_chosen = chosen.count()
        affected = list(_affected(chosen, action, tag).values_list("external_id", flat=True))
        n_changed = change(_affected(chosen, action, tag), tag)
        if n_changed:
            audit_record(
                store=store,
                actor=user,
                action=f"product.{action}",
                subject=f"{n_changed:,} product{'' if n_changed == 1 else 's'}",
                subject_key=affected[0] if n_changed == 1 else "",
                after={"n": n_changed, "tag": tag or None, "ids": affected[:N_RECORDED]},
            )
            catalog_changed(store_id=store.pk)
    return BulkDone(n_chosen, n_changed)


def _affected(chosen: QuerySet[Product], action: str, tag: str) -> QuerySet[Product]:
    """Those of the chosen that aren't like that already. The order is that of every writer."""
    if action in ("hide", "show"):
        return chosen.filter(hidden=action == "show").order_by("external_id")
    if action == "tag":
        return chosen.exclude(member_tags__contains=[tag]).order_by("external_id")
    tagged = Q(tags__contains=[tag]) | Q(member_tags__contains=[tag])
    return chosen.filter(tagged).order_by("external_id")


def _hide(products: QuerySet[Product], _: str) -> int:
    return products.order_by().update(hidden=True, updated_at=timezone.now())


def _show(products: QuerySet[Product], _: str) -> int:
    return products.order_by().update(hidden=False, updated_at=timezone.now())


def _tag(products: QuerySet[Product], tag: str) -> int:
    n_full = products.filter(member_tags__len__gte=MAX_TAGS).count()
    if n_full:
        raise BulkRefused(
            f"{n_full:,} of them were given {MAX_TAGS} tags already, more aren't kept. Nothing was"
            " changed."
        )
    added = Func(F("member_tags"), Value(tag), function="array_append")
    return products.order_by().update(member_tags=added, updated_at=timezone.now())


def _untag(products: QuerySet[Product], tag: str) -> int:
    def without(name: str) -> Coalesce:
        return Coalesce(Func(F(name), Value(tag), function="array_remove"), F(name))

    return products.order_by().update(
        tags=without("tags"), member_tags=without("member_tags"), updated_at=timezone.now()
    )


_CHANGES: dict[str, Callable[[QuerySet[Product], str], int]] = {
    "hide": _hide,
    "show": _show,
    "tag": _tag,
    "untag": _untag,
}
