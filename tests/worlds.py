"""Small shops whose right answers can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from catalog.models import Product, Shopper, Store
from recommender.models import Run
from recommender.services.training.execution import FAMILIES, run_execute
from recommender.services.training.runs import run_request
from tests.factories import days, make_order, make_product, make_shopper

BREAKFAST = ("muesli", "milk", "honey", "yogurt", "berries")
TOOLS = ("hammer", "nails", "saw", "screws", "glue")


@dataclass(frozen=True)
class TwoTastes:
    """Half of the shoppers buy breakfast, half buy tools; nobody both.

    Muesli and milk are in every breakfast order, hammer and nails in every tools order. "tofu" was
    never sold. Orders lie a week apart, the newest a day ago.
    """

    store: Store
    products: dict[str, Product]
    shoppers: dict[str, Shopper]
    now: datetime

    def id_of(self, name: str) -> int:
        return self.products[name].pk


def two_tastes(store: Store, *, shoppers_per_taste: int = 12, orders: int = 4) -> TwoTastes:
    """Make the world; nothing is trained yet."""
    now = timezone.now()
    products = {
        name: make_product(
            store,
            name,
            title=f"{name.title()} of the house",
            category_path=f"{department} > {name.title()}",
            brand=department,
        )
        for department, names in (("Breakfast", BREAKFAST), ("Tools", TOOLS))
        for name in names
    }
    products["tofu"] = make_product(
        store, "tofu", title="Tofu of the house", category_path="Breakfast > Tofu"
    )
    shoppers = {}
    for department, names in (("breakfast", BREAKFAST), ("tools", TOOLS)):
        for number in range(shoppers_per_taste):
            shopper = shoppers[f"{department}-{number}"] = make_shopper(
                store, f"{department}-{number}"
            )
            for order in range(orders):
                third = names[2 + (number + order) % 3]
                make_order(
                    store,
                    shopper,
                    [products[names[0]], products[names[1]], products[third]],
                    at=now - days(1 + 7 * order),
                )
    return TwoTastes(store, products, shoppers, now)


def train_all(store: Store) -> dict[str, Run]:
    """Train and publish every family."""
    return {
        family: run_execute(
            run=run_request(store=store, family=family, trigger=Run.Trigger.COMMAND)
        )
        for family in FAMILIES
    }
