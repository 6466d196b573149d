"""The members of an event under all the names that trackers give them.

Ours come first. GA4 writes what belongs to an event into `params`, Segment into `properties`, and
Google Retail has names of its own for everything.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from catalog.contract import event_names
from catalog.contract.verdicts import Code, refuse

Id = str | int | None


class Item(msgspec.Struct):
    """A product of an event."""

    product_id: Id = None
    item_id: Id = None
    id: Id = None
    quantity: int | float | None = None
    price: Decimal | None = None
    list_price: Decimal | None = None


class GoogleProduct(msgspec.Struct):
    """`Product` of Google Retail, of which only the id is needed."""

    id: Id = None


class GoogleItem(msgspec.Struct):
    """`ProductDetail` of Google Retail."""

    product: GoogleProduct | None = None
    quantity: int | float | None = None


class GooglePurchase(msgspec.Struct):
    """`PurchaseTransaction` of Google Retail."""

    id: Id = None
    currencyCode: str | None = None  # noqa: N815


class Nested(msgspec.Struct):
    """What GA4 has in `params` and Segment in `properties`. Anything else there stays there."""

    items: list[Item] | None = None
    products: list[Item] | None = None
    product_id: Id = None
    item_id: Id = None
    quantity: int | float | None = None
    price: Decimal | None = None
    currency: str | None = None
    order_id: Id = None
    transaction_id: Id = None
    query: str | None = None
    search_term: str | None = None
    rating: float | None = None


class SentEvent(msgspec.Struct):
    """All members that are read, as they may be called."""

    type: str | None = None
    name: str | None = None
    event: str | None = None
    eventType: str | None = None  # noqa: N815
    event_id: Id = None
    messageId: Id = None  # noqa: N815
    shopper_id: Id = None
    anonymousId: Id = None  # noqa: N815
    visitorId: Id = None  # noqa: N815
    session_id: Id = None
    sessionId: Id = None  # noqa: N815
    occurred_at: str | int | float | None = None
    timestamp: str | int | float | None = None
    eventTime: str | int | float | None = None  # noqa: N815
    items: list[Item] | None = None
    products: list[Item] | None = None
    productDetails: list[GoogleItem] | None = None  # noqa: N815
    product_id: Id = None
    quantity: int | float | None = None
    price: Decimal | None = None
    list_price: Decimal | None = None
    currency: str | None = None
    order_id: Id = None
    transaction_id: Id = None
    purchaseTransaction: GooglePurchase | None = None  # noqa: N815
    query: str | None = None
    search_term: str | None = None
    searchQuery: str | None = None  # noqa: N815
    page: str | None = None
    rating: float | None = None
    recommendation_id: str | None = None
    consent: str | None = None
    user_agent: str | None = None
    params: Nested | None = None
    properties: dict[str, Any] | None = None


def members_adopt(sent: SentEvent) -> None:
    """Bring every member under our name; what stands there already is left alone."""
    if sent.event_id is None:
        sent.event_id = sent.messageId
    if sent.shopper_id is None:
        sent.shopper_id = sent.anonymousId if sent.anonymousId is not None else sent.visitorId
    if sent.session_id is None:
        sent.session_id = sent.sessionId
    if sent.occurred_at is None:
        sent.occurred_at = sent.timestamp if sent.timestamp is not None else sent.eventTime
    if sent.order_id is None:
        sent.order_id = sent.transaction_id
    if sent.query is None:
        sent.query = sent.search_term if sent.search_term is not None else sent.searchQuery
    if sent.items is None:
        sent.items = sent.products
        if sent.items is None and sent.productDetails is not None:
            sent.items = [_of_google(item) for item in sent.productDetails]
    if sent.purchaseTransaction is not None:
        _adopt_purchase(sent, sent.purchaseTransaction)
    if sent.params is not None:
        _adopt_nested(sent, sent.params)
    if sent.properties and sent.event in event_names.SEGMENT_ALIASES:
        _adopt_nested(sent, _of_segment(sent.properties))


def item_id(item: Item) -> str | int | None:
    """The shop's id of a product."""
    if item.product_id is not None:
        return item.product_id
    return item.item_id if item.item_id is not None else item.id


def _of_google(item: GoogleItem) -> Item:
    return Item(product_id=item.product.id if item.product else None, quantity=item.quantity)


def _adopt_purchase(sent: SentEvent, purchase: GooglePurchase) -> None:
    if sent.order_id is None:
        sent.order_id = purchase.id
    if sent.currency is None:
        sent.currency = purchase.currencyCode


def _of_segment(properties: dict[str, Any]) -> Nested:
    wanted = {name: value for name, value in properties.items() if name in Nested.__struct_fields__}
    try:
        # Not strict: in Segment's own examples a price is 19 or "19.00".
        return msgspec.convert(wanted, Nested, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        refuse(Code.WRONG_TYPE, f"properties.{path.strip('.`')}", message)


def _adopt_nested(sent: SentEvent, nested: Nested) -> None:
    if sent.items is None:
        sent.items = nested.items if nested.items is not None else nested.products
    if sent.product_id is None and sent.items is None:
        sent.product_id = nested.product_id if nested.product_id is not None else nested.item_id
        if sent.quantity is None:
            sent.quantity = nested.quantity
        if sent.price is None:
            sent.price = nested.price
    if sent.currency is None:
        sent.currency = nested.currency
    if sent.order_id is None:
        sent.order_id = nested.order_id if nested.order_id is not None else nested.transaction_id
    if sent.query is None:
        sent.query = nested.query if nested.query is not None else nested.search_term
    if sent.rating is None:
        sent.rating = nested.rating
