"""The demo shop's cart and orders, kept in the visitor's session."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from catalog.contract.money import amount_text
from catalog.models import Product, Store
from catalog.selectors.products import products_by_external_id

CART = "shop_cart"
ORDERS = "shop_orders"
EVENTS = "shop_events"
MAX_QUANTITY = 99
MAX_LINES = 100
# A visitor without JavaScript sends no events; what waits for them must not grow.
MAX_WAITING_EVENTS = 20
MAX_ORDERS = 5

ShopEvent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CartLine:
    """A product and how many of it."""

    product: Product
    quantity: int

    @property
    def total_minor(self) -> int:
        return (self.product.price_minor or 0) * self.quantity

    @property
    def full_minor(self) -> int:
        """What it would cost without its reduction."""
        price = self.product.price_minor or 0
        return max(self.product.list_price_minor or price, price) * self.quantity


@dataclass(frozen=True, slots=True)
class Cart:
    """The lines in the order in which they were added."""

    lines: tuple[CartLine, ...]

    @property
    def n_pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def total_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def saved_minor(self) -> int:
        return sum(line.full_minor for line in self.lines) - self.total_minor

    @property
    def product_ids(self) -> list[str]:
        return [line.product.external_id for line in self.lines]


def cart_read(*, session: SessionBase, store: Store) -> Cart:
    """The cart without what the store no longer sells. One query, none for an empty cart."""
    wanted: Mapping[str, int] = session.get(CART, {})
    if not wanted:
        return Cart(())
    products = products_by_external_id(store=store, external_ids=list(wanted))
    return Cart(
        tuple(
            CartLine(products[external_id], quantity)
            for external_id, quantity in wanted.items()
            if external_id in products
        )
    )


def cart_count(session: SessionBase) -> int:
    """How many pieces the cart holds. No query."""
    wanted: Mapping[str, int] = session.get(CART, {})
    return sum(wanted.values())


def cart_add(*, session: SessionBase, product: Product, quantity: int) -> int:
    """Put pieces of a product into the cart; answers how many were added."""
    wanted: dict[str, int] = dict(session.get(CART, {}))
    if product.external_id not in wanted and len(wanted) >= MAX_LINES:
        return 0
    before = wanted.get(product.external_id, 0)
    after = min(before + quantity, MAX_QUANTITY)
    wanted[product.external_id] = after
    session[CART] = wanted
    if after > before:
        events_push(session, "add_to_cart", items=[event_item(product, after - before)])
    return after - before


def cart_set(*, session: SessionBase, product: Product, quantity: int) -> None:
    """Change how many pieces of a product are in the cart; zero takes it out."""
    wanted: dict[str, int] = dict(session.get(CART, {}))
    before = wanted.get(product.external_id, 0)
    after = max(0, min(quantity, MAX_QUANTITY))
    if after:
        wanted[product.external_id] = after
    else:
        wanted.pop(product.external_id, None)
    session[CART] = wanted
    if after > before:
        events_push(session, "add_to_cart", items=[event_item(product, after - before)])
    elif after < before:
        events_push(session, "remove_from_cart", items=[event_item(product, before - after)])


def cart_clear(session: SessionBase) -> None:
    session.pop(CART, None)
    session.pop(EVENTS, None)


def order_place(*, session: SessionBase, store: Store, delivery: str) -> str | None:
    """Turn the cart into an order and empty it; None if there is nothing to order."""
    cart = cart_read(session=session, store=store)
    if not cart.lines:
        return None
    order_id = f"V-{secrets.token_hex(4).upper()}"
    order = {
        "id": order_id,
        "delivery": delivery,
        "total_minor": cart.total_minor,
        "lines": [
            {
                "product_id": line.product.external_id,
                "title": line.product.title,
                "url": line.product.url,
                "image_url": line.product.image_url,
                "quantity": line.quantity,
                "total_minor": line.total_minor,
            }
            for line in cart.lines
        ],
    }
    session[ORDERS] = [*session.get(ORDERS, []), order][-MAX_ORDERS:]
    items = [event_item(line.product, line.quantity) for line in cart.lines]
    session.pop(CART, None)
    events_push(session, "purchase", order_id=order_id, items=items)
    return order_id


def order_find(*, session: SessionBase, order_id: str) -> dict[str, Any] | None:
    """An order of this visitor."""
    return next((order for order in session.get(ORDERS, []) if order["id"] == order_id), None)


# ------------------------------------------------------------------------------------------ events


def event_item(product: Product, quantity: int | None = None) -> dict[str, Any]:
    """A product as an event names it: the shop's id, the price of one, how many."""
    item: dict[str, Any] = {"product_id": product.external_id}
    if product.price_minor is not None:
        item["price"] = amount_text(product.price_minor, product.currency)
    if quantity is not None:
        item["quantity"] = quantity
    return item


def events_push(session: SessionBase, event_type: str, **details: Any) -> None:
    """Remember what happened on the server for the next page, whose script reports it."""
    event: ShopEvent = {"type": event_type, **details}
    session[EVENTS] = [*session.get(EVENTS, []), event][-MAX_WAITING_EVENTS:]


def events_pop(session: SessionBase) -> list[ShopEvent]:
    """What waits to be reported, once."""
    waiting: list[ShopEvent] = session.pop(EVENTS, []) if EVENTS in session else []
    return waiting
