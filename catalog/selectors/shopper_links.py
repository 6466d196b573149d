"""Which shoppers are one person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from catalog.models import Shopper, ShopperLink, Store

# Links that are looked at when a shopper's links change: a tablet in a shop has had thousands.
MAX_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Person:
    """Several shoppers who are one.

    `customer` is the id that stands for all of them: the one at the end of every chain of links.
    `members` are all of the ids, the customer's first, then those linked last.
    """

    customer: str
    members: tuple[str, ...]


# Up from each shopper to the end of its chain, then down to everybody who leads there. UNION drops
# what was met before, so that even a circle would end.
_PERSONS = """
WITH RECURSIVE asked AS (
    SELECT id, external_id FROM catalog_shopper
    WHERE store_id = %(store_id)s AND external_id = ANY(%(external_ids)s)
), up AS (
    SELECT asked.id AS asked_id, asked.id AS shopper_id FROM asked
    UNION
    SELECT up.asked_id, link.customer_id
    FROM up JOIN catalog_shopperlink AS link ON link.shopper_id = up.shopper_id
    WHERE link.store_id = %(store_id)s AND link.undone_at IS NULL
), ends AS (
    SELECT up.asked_id, up.shopper_id AS customer_id FROM up
    WHERE NOT EXISTS (
        SELECT FROM catalog_shopperlink AS link
        WHERE link.store_id = %(store_id)s AND link.undone_at IS NULL
          AND link.shopper_id = up.shopper_id
    )
), down AS (
    SELECT DISTINCT customer_id, customer_id AS shopper_id, NULL::timestamptz AS linked_at
    FROM ends
    UNION
    SELECT down.customer_id, link.shopper_id, link.linked_at
    FROM down JOIN catalog_shopperlink AS link ON link.customer_id = down.shopper_id
    WHERE link.store_id = %(store_id)s AND link.undone_at IS NULL
)
SELECT asked.external_id, customer.external_id, member.external_id
FROM asked
JOIN ends ON ends.asked_id = asked.id
JOIN down ON down.customer_id = ends.customer_id
JOIN catalog_shopper AS customer ON customer.id = ends.customer_id
JOIN catalog_shopper AS member ON member.id = down.shopper_id
ORDER BY asked.external_id, down.linked_at DESC NULLS FIRST, member.id
"""


def persons_of(*, store_id: int, external_ids: Sequence[str]) -> dict[str, Person]:
    """The person of each shopper that is linked to others; whoever isn't is left out. One query."""
    if not external_ids:
        return {}
    members: dict[str, list[str]] = {}
    customers: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(_PERSONS, {"store_id": store_id, "external_ids": list(external_ids)})
        for asked, customer, member in cursor.fetchall():
            customers[asked] = customer
            members.setdefault(asked, []).append(member)
    return {
        asked: Person(customers[asked], tuple(own))
        for asked, own in members.items()
        if len(own) > 1
    }


def person_of(*, store: Store, external_id: str) -> Person | None:
    """The person of one shopper; None for a shopper that isn't linked. One query."""
    return persons_of(store_id=store.pk, external_ids=[external_id]).get(external_id)


def linked_with(*, store: Store, external_ids: Iterable[str]) -> set[str]:
    """Whom these shoppers were linked to or from last, undone links too. One query."""
    wanted = list(external_ids)
    links = (
        ShopperLink.objects.filter(store=store)
        .filter(Q(shopper__external_id__in=wanted) | Q(customer__external_id__in=wanted))
        .order_by("-linked_at")
        .values_list("shopper__external_id", "customer__external_id")[:MAX_REMEMBERED]
    )
    return {name for pair in links for name in pair}


def links_of(*, store: Store, shopper: Shopper) -> QuerySet[ShopperLink]:
    """Every link of a shopper in either direction, undone ones too, the latest first."""
    return (
        ShopperLink.objects.filter(store=store)
        .filter(Q(shopper=shopper) | Q(customer=shopper))
        .select_related("shopper", "customer", "member", "undone_by")
        .order_by("-linked_at", "-pk")
    )
