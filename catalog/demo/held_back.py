"""The last four weeks of the demo's orders: kept from the import, and played back as visits.

Nothing that is trained at the start has seen them. Before and after the cut, order by order and
cent by cent, they are the source again.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

import numpy as np

from catalog.demo.source import SourceOrders
from catalog.demo.timing import DAY_S, WEEK_S, shop_utc, wall_clock

HELD_BACK_DAYS = 28


@dataclass(frozen=True, slots=True)
class VisitLine:
    """One product that a visit ends with. Cents paid and discounted are those of the whole line."""

    product_id: str
    quantity: int
    value_minor: int
    discount_minor: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One order of a household: what it came for, in the order in which the till saw it."""

    order_id: str
    shopper_id: str
    bought_at_s: int
    lines: tuple[VisitLine, ...]


def held_back_from_s(orders: SourceOrders, *, days: int = HELD_BACK_DAYS) -> int:
    """When the held-back time begins, in UTC seconds of the source: a midnight on the shop's clock.

    The last of the `days` is the day of the last order. 0 days begin after it.
    """
    if days == 0:
        return int(orders.sold_at_s[-1]) + 1
    last = int(wall_clock(orders.sold_at_s[-1:])[0])
    midnight = (last // DAY_S + 1 - days) * DAY_S
    return int(shop_utc(np.array([midnight]))[0])


def orders_until(orders: SourceOrders, until_s: int) -> SourceOrders:
    """The orders before a time."""
    return _lines(orders, slice(0, _first_line(orders, until_s)), n_dropped=orders.n_dropped)


def orders_from(orders: SourceOrders, from_s: int) -> SourceOrders:
    """The orders from a time on."""
    return _lines(orders, slice(_first_line(orders, from_s), None), n_dropped=0)


def visits_of(orders: SourceOrders, *, weeks_moved: int = 0) -> list[Visit]:
    """The orders as visits, oldest first, moved by whole weeks on the shop's own clock."""
    starts = orders.order_starts()
    ends = np.append(starts[1:], orders.n_lines)
    bought_at_s = orders.sold_at_s[starts]
    if weeks_moved:
        bought_at_s = shop_utc(wall_clock(bought_at_s) + weeks_moved * WEEK_S)
    lines = [
        VisitLine(str(product_id), quantity, value_minor, discount_minor)
        for product_id, quantity, value_minor, discount_minor in zip(
            orders.product_id.tolist(),
            orders.quantity.tolist(),
            orders.value_minor.tolist(),
            orders.discount_minor.tolist(),
            strict=True,
        )
    ]
    return [
        Visit(
            str(order_id), f"household-{household_id}", at_s, tuple(lines[int(first) : int(last)])
        )
        for order_id, household_id, at_s, first, last in zip(
            orders.order_id[starts].tolist(),
            orders.household_id[starts].tolist(),
            bought_at_s.tolist(),
            starts,
            ends,
            strict=True,
        )
    ]


def visits_of_share(visits: list[Visit], share: float) -> list[Visit]:
    """All visits of a share of the households: a smaller share's are part of a larger one's.

    Whole households, because a shopper without the other half of their visits would be a different
    shopper.
    """
    return [visit for visit in visits if _place(visit.shopper_id) < share]


def _place(shopper_id: str) -> float:
    """Where a household stands between 0 and 1. Always the same, and unlike any experiment's hash."""
    digest = hashlib.blake2b(shopper_id.encode(), digest_size=8, person=b"vitrine-replay").digest()
    return int.from_bytes(digest) / 2**64


def event_id(*, order_id: str, occurred_at_s: int) -> uuid.UUID:
    """Make the UUIDv7 of an order: its time in front, then a hash of its id. Always the same.

    >>> event_id(order_id="31198570044", occurred_at_s=1_483_271_606).version
    7
    """
    digest = int.from_bytes(hashlib.blake2b(order_id.encode(), digest_size=10).digest())
    milliseconds = occurred_at_s * 1000
    return uuid.UUID(
        int=(milliseconds << 80)
        | (0x7 << 76)
        | ((digest >> 68 & 0xFFF) << 64)
        | (0b10 << 62)
        | (digest & 0x3FFF_FFFF_FFFF_FFFF)
    )


def _first_line(orders: SourceOrders, at_s: int) -> int:
    return int(np.searchsorted(orders.sold_at_s, at_s, side="left"))


def _lines(orders: SourceOrders, chosen: slice, *, n_dropped: int) -> SourceOrders:
    return SourceOrders(
        order_id=orders.order_id[chosen],
        household_id=orders.household_id[chosen],
        product_id=orders.product_id[chosen],
        quantity=orders.quantity[chosen],
        value_minor=orders.value_minor[chosen],
        discount_minor=orders.discount_minor[chosen],
        sold_at_s=orders.sold_at_s[chosen],
        n_dropped=n_dropped,
    )
