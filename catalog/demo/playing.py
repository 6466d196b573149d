"""One visit of the demo's data, played through the public API as a page's script would.

Home page, the pages of the first products, the cart, the till. What a visit bought is a fact; what it
looked at before isn't in the data, so the simplest course is taken, the same for every strategy:

* the first `N_PRODUCT_PAGES` products of the order are opened, the others put into the cart at once;
* the cart is looked at when half of the order is in it;
* whatever a page recommends counts as seen; a product counts as clicked, once, if it is bought in
  this visit and was shown before: on the recommendation that showed it last.

Ids and times follow from the order alone. Played again after a break, its events are duplicates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from catalog.contract.money import amount_text
from catalog.demo.held_back import Visit, VisitLine, event_id
from catalog.demo.source import CURRENCY

N_PRODUCT_PAGES = 2
# Between two pages.
STEP_S = 20


class PlayRefused(Exception):
    """The API answered something else than it should; the text says what."""


class Api(Protocol):
    """The public API of a running server."""

    def post(self, path: str, body: Mapping[str, Any], *, at: datetime) -> Any:
        """The answer to a call that happened at a moment of the past."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The placements on each kind of page, by slug."""

    home: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    cart: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """What was counted: of a visit, of many, of a placement's arm."""

    n_events: int = 0
    n_recommendations: int = 0
    n_shown: int = 0
    n_clicks: int = 0

    def add(self, other: Tally) -> None:
        self.n_events += other.n_events
        self.n_recommendations += other.n_recommendations
        self.n_shown += other.n_shown
        self.n_clicks += other.n_clicks


# Placement, experiment and variant; empty without one.
Arm = tuple[str, str, str]


@dataclass(slots=True)
class Played:
    """What playing came to. `n_shown` are products in places, `by_arm` those of each arm."""

    total: Tally = field(default_factory=Tally)
    by_arm: dict[Arm, Tally] = field(default_factory=dict)

    def add(self, other: Played) -> None:
        self.total.add(other.total)
        for arm, tally in other.by_arm.items():
            self.by_arm.setdefault(arm, Tally()).add(tally)


def visit_play(visit: Visit, *, api: Api, pages: Pages) -> Played:
    """Play a visit to its end. The purchase comes last: an order that is there was played.

    Raises PlayRefused, and whatever the API raises when it can't be reached.
    """
    played = _Playing(visit, api, pages)
    played.run()
    return played.played


@dataclass(frozen=True, slots=True)
class _Shown:
    recommendation_id: str
    arm: Arm


class _Playing:
    """A visit under way."""

    def __init__(self, visit: Visit, api: Api, pages: Pages) -> None:
        self.played = Played()
        self._visit = visit
        self._api = api
        self._pages = pages
        self._events: list[dict[str, Any]] = []
        # The recommendation on which each product was last seen, and on which it was clicked.
        self._seen: dict[str, _Shown] = {}
        self._clicked: dict[str, str] = {}
        self._cart: list[str] = []

    def run(self) -> None:
        bought = self._products()
        opened, rest = bought[:N_PRODUCT_PAGES], bought[N_PRODUCT_PAGES:]
        before_cart = max(0, (len(bought) + 1) // 2 - len(opened))
        clock = self._visit.bought_at_s - STEP_S * (len(opened) + 2)
        self._look(clock, "home", self._pages.home)
        for product_id in opened:
            clock += STEP_S
            self._click(clock - 2, product_id)
            self._event(clock - 1, "view_item", product_id, of=[product_id])
            self._send(clock)
            self._look(clock, f"product:{product_id}", self._pages.product, product_id=product_id)
            self._add_to_cart(clock + 8, product_id)
        self._take(clock + 10, rest[:before_cart])
        clock += STEP_S
        self._send(clock)
        self._look(clock, "cart", self._pages.cart)
        self._take(clock + 2, rest[before_cart:])
        self._buy()

    def _products(self) -> list[str]:
        """What was bought, each once, in the order of the till."""
        return list(dict.fromkeys(line.product_id for line in self._visit.lines))

    def _take(self, at_s: int, product_ids: list[str]) -> None:
        """Products into the cart without opening their pages, within eight seconds."""
        for number, product_id in enumerate(product_ids):
            moment = at_s + 8 * number // len(product_ids)
            self._click(moment, product_id)
            self._add_to_cart(moment, product_id)

    # -------------------------------------------------------------------------------------- calls

    def _look(
        self, at_s: int, page: str, slugs: tuple[str, ...], *, product_id: str | None = None
    ) -> None:
        """Open a page: ask for all its placements, and see what they answer."""
        if not slugs:
            return
        body: dict[str, Any] = {
            "placements": [{"slug": slug} for slug in slugs],
            "shopper_id": self._visit.shopper_id,
            "session_id": self._visit.order_id,
            "cart": self._cart[-200:],
            "consent": "granted",
        }
        if product_id is not None:
            body["page"] = {"product_ids": [product_id]}
        answer = self._api.post("/v1/recommendations", body, at=_moment(at_s))
        for recommendation in answer["recommendations"]:
            self._see(at_s + 1, page, recommendation)

    def _see(self, at_s: int, page: str, recommendation: Mapping[str, Any]) -> None:
        items, placement = recommendation["items"], recommendation["placement"]
        if recommendation["recommendation_id"] is None:
            return
        experiment = recommendation["experiment"] or {"key": "", "variant": ""}
        arm = (placement, experiment["key"], experiment["variant"] or "")
        self._count(arm, Tally(n_recommendations=1, n_shown=len(items)))
        if not items:
            return
        shown = _Shown(recommendation["recommendation_id"], arm)
        for item in items:
            self._seen[item["product_id"]] = shown
        self._event(
            at_s,
            "recommendation_view",
            f"{page}:{placement}",
            recommendation_id=shown.recommendation_id,
            properties={"placement": placement},
        )

    def _click(self, at_s: int, product_id: str) -> None:
        shown = self._seen.get(product_id)
        if shown is None:
            return
        self._clicked[product_id] = shown.recommendation_id
        self._count(shown.arm, Tally(n_clicks=1))
        self._event(
            at_s,
            "recommendation_click",
            product_id,
            of=[product_id],
            properties={"placement": shown.arm[0]},
        )

    def _add_to_cart(self, at_s: int, product_id: str) -> None:
        self._cart.append(product_id)
        self._event(at_s, "add_to_cart", product_id, of=[product_id])

    def _buy(self) -> None:
        visit = self._visit
        self._events.append(
            {
                **self._envelope("purchase", visit.bought_at_s),
                # The one that the import would give it: no order is there twice.
                "event_id": str(event_id(order_id=visit.order_id, occurred_at_s=visit.bought_at_s)),
                "order_id": visit.order_id,
                "items": [item for line in visit.lines for item in purchase_items(line)],
            }
        )
        self._send(visit.bought_at_s)

    # ------------------------------------------------------------------------------------- events

    def _event(
        self, at_s: int, kind: str, about: str, *, of: Iterable[str] = (), **members: Any
    ) -> None:
        """Something that happened, to be sent with the page's next post."""
        products = list(of)
        event = {**self._envelope(kind, at_s), **members}
        name = f"{self._visit.order_id}|{kind}|{about}"
        event["event_id"] = str(event_id(order_id=name, occurred_at_s=at_s))
        if products:
            event["items"] = [{"product_id": product_id} for product_id in products]
            clicked = self._clicked.get(products[0])
            if clicked is not None:
                event["recommendation_id"] = clicked
        self._events.append(event)

    def _envelope(self, kind: str, at_s: int) -> dict[str, Any]:
        return {
            "type": kind,
            "occurred_at": _moment(at_s).isoformat(),
            "shopper_id": self._visit.shopper_id,
            "session_id": self._visit.order_id,
            "consent": "granted",
        }

    def _send(self, at_s: int) -> None:
        if not self._events:
            return
        answer = self._api.post("/v1/events", {"events": self._events}, at=_moment(at_s))
        if answer["rejected"]:
            raise PlayRefused(f"Order {self._visit.order_id}: {json.dumps(answer['rejected'][0])}")
        self.played.total.n_events += answer["accepted"]
        self._events.clear()

    def _count(self, arm: Arm, tally: Tally) -> None:
        self.played.total.add(tally)
        self.played.by_arm.setdefault(arm, Tally()).add(tally)


def purchase_items(line: VisitLine) -> list[dict[str, Any]]:
    """A line as a purchase names it, to the cent.

    An item has the price of one piece, and 10.00 for three pieces has none: they become two at 3.33
    and one at 3.34. Money without goods (a correction at the till) is one piece.
    """
    quantity = max(line.quantity, 1)
    price, dearer = divmod(line.value_minor, quantity)
    discount = line.discount_minor // quantity
    pieces = Counter({price: quantity - dearer, price + 1: dearer})
    return [
        {
            "product_id": line.product_id,
            "quantity": count,
            "price": amount_text(minor, CURRENCY),
            **({"list_price": amount_text(minor + discount, CURRENCY)} if discount else {}),
        }
        for minor, count in pieces.items()
        if count
    ]


def _moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
