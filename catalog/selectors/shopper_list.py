"""Shoppers as a member leafs through them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q

from catalog.models import Event, EventType, Shopper, ShopperLink, Store

PER_PAGE = 50
# Beyond so many pages nobody leafs, and each page would cost more than the one before.
MAX_PAGES = 200


@dataclass(frozen=True, slots=True)
class ShopperRow:
    """A shopper with the customer it is linked to, and how many are linked to it."""

    shopper: Shopper
    customer: Shopper | None
    n_linked: int


@dataclass(frozen=True, slots=True)
class ShopperPage:
    """One page of shoppers, seen last first. How many there are in all isn't counted."""

    rows: list[ShopperRow]
    number: int
    has_next: bool

    @property
    def previous(self) -> int:
        return self.number - 1

    @property
    def next(self) -> int:
        return self.number + 1


@dataclass(frozen=True, slots=True)
class Orders:
    """How often a shopper bought."""

    n_orders: int
    n_products: int
    last_at: datetime | None


def shopper_page(*, store: Store, words: str, number: int) -> ShopperPage:
    """Shoppers whose id contains the words, all for none. Two or three queries."""
    number = max(1, min(number, MAX_PAGES))
    shoppers = Shopper.objects.filter(store=store)
    if words:
        shoppers = shoppers.filter(external_id__icontains=words)
    start = (number - 1) * PER_PAGE
    ordered = shoppers.defer("profile").order_by("-last_seen_at", "pk")
    found = list(ordered[start : start + PER_PAGE + 1])
    has_next = len(found) > PER_PAGE and number < MAX_PAGES
    shown = found[:PER_PAGE]
    if words and number == 1:
        # The very id that was typed stands first, however long ago it was seen.
        exact = Shopper.objects.filter(store=store, external_id=words).first()
        if exact is not None:
            shown = [exact, *(each for each in shown if each.pk != exact.pk)][:PER_PAGE]
    return ShopperPage(_rows(store, shown), number, has_next)


def shopper_find(*, store: Store, shopper_id: int) -> Shopper | None:
    """A shopper by our id."""
    return Shopper.objects.filter(store=store, pk=shopper_id).first()


def has_shoppers(*, store: Store) -> bool:
    return Shopper.objects.filter(store=store).exists()


def shoppers_by_external_id(*, store: Store, external_ids: Iterable[str]) -> dict[str, Shopper]:
    """The shoppers among these ids. One query."""
    found = Shopper.objects.filter(store=store, external_id__in=list(external_ids))
    return {shopper.external_id: shopper for shopper in found.defer("profile")}


def orders_of(*, store: Store, shoppers: Iterable[Shopper]) -> Orders:
    """What these shoppers bought together. One query over their own index entries."""
    bought = Event.objects.filter(
        store=store, shopper__in=[shopper.pk for shopper in shoppers], type=EventType.PURCHASE
    ).aggregate(
        n_orders=Count("event_id", distinct=True),
        n_products=Count("product_id", distinct=True),
        last_at=Max("occurred_at"),
    )
    return Orders(**bought)


def _rows(store: Store, shoppers: list[Shopper]) -> list[ShopperRow]:
    links = ShopperLink.objects.filter(store=store, undone_at=None).filter(
        Q(shopper__in=shoppers) | Q(customer__in=shoppers)
    )
    customers: dict[int, Shopper] = {}
    n_linked: dict[int, int] = {}
    for link in links.select_related("customer"):
        customers[link.shopper_id] = link.customer
        n_linked[link.customer_id] = n_linked.get(link.customer_id, 0) + 1
    return [
        ShopperRow(shopper, customers.get(shopper.pk), n_linked.get(shopper.pk, 0))
        for shopper in shoppers
    ]
