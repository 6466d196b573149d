"""What shoppers did last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from catalog.models import Event, EventType, Product, Shopper, Store


@dataclass(frozen=True, slots=True)
class LatestEvent:
    """One event as a member reads it; an order of several products is one event."""

    type: EventType
    shopper: str
    product: Product | None
    unknown_product: str | None
    query: str | None
    n_lines: int
    value_minor: int | None
    is_bot: bool
    occurred_at: datetime
    received_at: datetime


# What shoppers are said to have done. The template appends the product or the words searched for.
EVENT_WORDS: dict[int, tuple[str, str]] = {
    EventType.VIEW_ITEM: ("eye", "looked at"),
    EventType.VIEW_ITEM_LIST: ("catalog", "looked through a list"),
    EventType.SELECT_ITEM: ("click", "chose from a list"),
    EventType.ADD_TO_CART: ("cart", "put into the cart"),
    EventType.REMOVE_FROM_CART: ("cart", "took out of the cart"),
    EventType.ADD_TO_WISHLIST: ("star", "wished for"),
    EventType.BEGIN_CHECKOUT: ("order", "went to the checkout"),
    EventType.PURCHASE: ("order", "bought"),
    EventType.SEARCH: ("search", "searched for"),
    EventType.RATE_ITEM: ("star", "rated"),
    EventType.HIDE_ITEM: ("hidden", "hid"),
    EventType.RECOMMENDATION_VIEW: ("spark", "saw recommendations"),
    EventType.RECOMMENDATION_CLICK: ("click", "clicked a recommendation"),
}

# Lines to read for so many events: most events have one line, orders have about ten.
_LINES_PER_EVENT = 15


def latest_events(
    *,
    store: Store,
    limit: int = 10,
    shoppers: Iterable[Shopper] | None = None,
    type: int | None = None,
    since: datetime | None = None,
) -> list[LatestEvent]:
    """The events that happened last, newest first; of `shoppers` only, of a type, since a moment,
    if given. One query, of a bounded number of lines.

    An order with very many lines may be counted with fewer, and push out older events.
    """
    wanted: dict[str, object] = {"store": store}
    if shoppers is not None:
        wanted["shopper__in"] = [shopper.pk for shopper in shoppers]
    if type is not None:
        wanted["type"] = type
    if since is not None:
        wanted["occurred_at__gte"] = since
    lines = (
        Event.objects.filter(**wanted)
        .select_related("product", "shopper")
        .defer("properties", "product__description", "product__vector", "product__attributes")
        .defer("shopper__profile")
        .order_by("-occurred_at")[: limit * _LINES_PER_EVENT]
    )
    events: dict[object, list[Event]] = {}
    for line in lines:
        events.setdefault(line.event_id, []).append(line)
    return [_latest(group) for group in islice(events.values(), limit)]


def _latest(lines: list[Event]) -> LatestEvent:
    first = min(lines, key=lambda line: line.line)
    values = [line.value_minor for line in lines if line.value_minor is not None]
    return LatestEvent(
        type=EventType(first.type),
        shopper=first.shopper.external_id,
        product=first.product,
        unknown_product=first.unknown_product,
        query=first.query,
        n_lines=len(lines),
        value_minor=sum(values) if values else None,
        is_bot=first.is_bot,
        occurred_at=first.occurred_at,
        received_at=first.received_at,
    )


def newest_event_received_at(*, store: Store) -> datetime | None:
    """When the store's newest event came in; None if there is none. One query."""
    return (
        Event.objects.filter(store=store)
        .order_by("-received_at")
        .values_list("received_at", flat=True)
        .first()
    )
