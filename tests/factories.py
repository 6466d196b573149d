"""Rows for tests. Only what a test names matters; the rest is plain."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.models import Event, EventType, Product, Shopper, Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_product(store: Store, external_id: str, **fields: Any) -> Product:
    """A product in stock for 2.50."""
    values = {
        "title": f"Product {external_id}",
        "price_minor": 250,
        "currency": store.currency,
        "category_path": "Things",
        "brand": "Maker",
        **fields,
    }
    return Product.objects.create(store=store, external_id=external_id, **values)


def make_shopper(store: Store, external_id: str) -> Shopper:
    return Shopper.objects.create(
        store=store, external_id=external_id, first_seen_at=NOON, last_seen_at=NOON
    )


def make_event(
    store: Store,
    shopper: Shopper,
    product: Product | None = None,
    *,
    type: int = EventType.VIEW_ITEM,
    at: datetime = NOON,
    **fields: Any,
) -> Event:
    """One line of one event."""
    return Event.objects.create(
        store=store,
        event_id=fields.pop("event_id", uuid.uuid4()),
        occurred_on=at.date(),
        occurred_at=at,
        type=type,
        shopper=shopper,
        product=product,
        **fields,
    )


def make_order(
    store: Store, shopper: Shopper, products: Sequence[Product], *, at: datetime = NOON
) -> str:
    """One purchase event with a line per product. Returns the order id."""
    order_id, event_id = uuid.uuid4().hex, uuid.uuid4()
    for line, product in enumerate(products):
        make_event(
            store,
            shopper,
            product,
            type=EventType.PURCHASE,
            at=at,
            event_id=event_id,
            line=line,
            order_id=order_id,
            price_minor=product.price_minor,
            value_minor=product.price_minor,
        )
    return order_id


def days(count: float) -> timedelta:
    return timedelta(days=count)
