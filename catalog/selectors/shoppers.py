"""Reading what the store knows about a shopper."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import Count, F, Func, Max, TextField, Value

from catalog.models import Event, EventType, Shopper, Store
from catalog.models.products import CATEGORY_SEPARATOR

SUGGESTIONS_FRESH_S = 600
# Counting everybody's orders takes seconds; among this many there are enough to choose from.
N_CANDIDATES = 160
# Two households are different if their favourites are; nearly everybody's first is the same.
N_FAVOURITES = 3


@dataclass(frozen=True, slots=True)
class ShopperHabits:
    """How often a shopper has ordered, and mostly from which departments."""

    external_id: str
    n_orders: int
    departments: tuple[str, ...]
    last_order_at: datetime | None


def shopper_habits(*, store: Store, external_id: str) -> ShopperHabits:
    """A shopper's habits; zero orders for somebody unknown. At most three queries."""
    shopper = Shopper.objects.filter(store=store, external_id=external_id).only("pk").first()
    if shopper is None:
        return ShopperHabits(external_id, 0, (), None)
    found = _habits(store_id=store.pk, names={shopper.pk: external_id})
    return found[0] if found else ShopperHabits(external_id, 0, (), None)


def shoppers_suggested(*, store: Store, limit: int = 8) -> list[ShopperHabits]:
    """Shoppers with many orders and different favourites; at most ten minutes old."""
    return list(_suggested(store.pk, limit, int(time.monotonic() / SUGGESTIONS_FRESH_S)))


def shoppers_search(*, store: Store, text: str, limit: int = 12) -> list[ShopperHabits]:
    """Shoppers whose id contains the text, those with it at the end first."""
    text = text.strip()
    if not text:
        return []
    matching = Shopper.objects.filter(store=store, external_id__icontains=text)
    exact = (
        matching.filter(external_id__iregex=rf"(^|\D){_digits(text)}$") if _digits(text) else None
    )
    chosen = list(exact[:limit]) if exact is not None else []
    chosen += [
        shopper
        for shopper in matching.order_by("external_id")[: limit * 2]
        if shopper.pk not in {known.pk for known in chosen}
    ]
    names = {shopper.pk: shopper.external_id for shopper in chosen[:limit]}
    by_name = {habits.external_id: habits for habits in _habits(store_id=store.pk, names=names)}
    return [by_name.get(name) or ShopperHabits(name, 0, (), None) for name in names.values()]


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() else ""


@lru_cache(maxsize=16)
def _suggested(store_id: int, limit: int, age: int) -> tuple[ShopperHabits, ...]:
    names = dict(
        Shopper.objects.filter(store_id=store_id)
        .order_by("pk")
        .values_list("pk", "external_id")[:N_CANDIDATES]
    )
    habits = sorted(
        _habits(store_id=store_id, names=names), key=lambda h: (-h.n_orders, h.external_id)
    )
    chosen: list[ShopperHabits] = []
    tastes: set[frozenset[str]] = set()
    for candidate in habits:
        taste = frozenset(candidate.departments)
        if candidate.n_orders and taste not in tastes:
            tastes.add(taste)
            chosen.append(candidate)
    return tuple(chosen[:limit])


def _habits(*, store_id: int, names: dict[int, str]) -> list[ShopperHabits]:
    """The habits of those who have ordered, in no particular order. Two queries."""
    bought = Event.objects.filter(
        store_id=store_id, shopper__in=list(names), type=EventType.PURCHASE
    )
    orders = bought.values("shopper_id").annotate(
        n_orders=Count("order_id", distinct=True), last_order_at=Max("occurred_at")
    )
    department = Func(
        F("product__category_path"),
        Value(CATEGORY_SEPARATOR),
        Value(1),
        function="split_part",
        output_field=TextField(),
    )
    shares = (
        bought.filter(product__isnull=False, product__hidden=False)
        .exclude(product__category_path="")
        .annotate(department=department)
        .values_list("shopper_id", "department")
        .annotate(n_lines=Count("*"))
        .order_by("shopper_id", "-n_lines", "department")
    )
    favourites: dict[int, list[str]] = {}
    for shopper_id, name, _ in shares:
        favourites.setdefault(shopper_id, []).append(name)
    return [
        ShopperHabits(
            names[row["shopper_id"]],
            row["n_orders"],
            tuple(favourites.get(row["shopper_id"], ())[:N_FAVOURITES]),
            row["last_order_at"],
        )
        for row in orders
    ]
