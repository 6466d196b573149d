"""Events as a shop's pages and its back office send them, each with an id of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

if TYPE_CHECKING:
    from benchmarks.world import World

# Share of events by type, in browsers: mostly looking around, and lists that were displayed.
BROWSER_MIX = (
    ("view_item", 0.46),
    ("view_item_list", 0.12),
    ("recommendation_view", 0.12),
    ("select_item", 0.08),
    ("recommendation_click", 0.04),
    ("search", 0.06),
    ("add_to_cart", 0.06),
    ("remove_from_cart", 0.01),
    ("add_to_wishlist", 0.01),
    ("begin_checkout", 0.01),
    ("purchase", 0.03),
)
# A back office knows what happened on the server; what was displayed only the browser knows.
SERVER_MIX = (
    ("view_item", 0.45),
    ("select_item", 0.05),
    ("search", 0.10),
    ("add_to_cart", 0.15),
    ("remove_from_cart", 0.03),
    ("add_to_wishlist", 0.02),
    ("begin_checkout", 0.05),
    ("purchase", 0.15),
)
Mix = Sequence[tuple[str, float]]
# Products in events that have several.
_LISTS = {"view_item_list": 8, "recommendation_view": 6, "purchase": 3, "begin_checkout": 3}
_QUERIES = ("milk", "organic pasta", "dog food", "coffee", "gluten free bread", "wine")
NEWCOMER_RATE = 0.2


@dataclass(frozen=True, slots=True)
class Post:
    """One body of `POST /v1/events` and the ids in it."""

    body: bytes
    event_ids: tuple[UUID, ...]


def browser_posts(world: World, n_posts: int, *, events_per_post: int) -> list[Post]:
    """Posts of pages: each of one visitor and one session, in the order in which things happened."""
    known = world.known_shoppers(n_posts)
    newcomer = world.rng.random(n_posts) < NEWCOMER_RATE
    tags = world.rng.integers(1 << 48, size=n_posts)
    shoppers = [
        f"guest-{tag:x}" if new else shopper
        for new, tag, shopper in zip(newcomer, tags.tolist(), known, strict=True)
    ]
    writer = _Writer(world, BROWSER_MIX, n_posts * events_per_post)
    return [
        writer.post([(shopper, f"page-{tag:x}")] * events_per_post)
        for shopper, tag in zip(shoppers, tags.tolist(), strict=True)
    ]


def server_posts(world: World, n_posts: int, *, events_per_post: int) -> list[Post]:
    """Posts of a back office: events of many shoppers in one."""
    writer = _Writer(world, SERVER_MIX, n_posts * events_per_post)
    posts = []
    for number in range(n_posts):
        shoppers = world.known_shoppers(events_per_post)
        posts.append(writer.post([(shopper, f"batch-{number}") for shopper in shoppers]))
    return posts


class _Writer:
    """Writes events one after the other from what was drawn for all of them at once."""

    def __init__(self, world: World, mix: Mix, n_events: int) -> None:
        self._kinds = [kind for kind, _ in mix]
        shares = [share for _, share in mix]
        self._which = world.rng.choice(len(mix), n_events, p=shares).tolist()
        self._products = world.products(n_events + max(_LISTS.values()))
        self._random = world.rng.integers(1 << 62, size=n_events, dtype=np.int64).tolist()
        self._prices = world.prices
        self._at = 0

    def post(self, visitors: list[tuple[str, str]]) -> Post:
        """One post with an event of each visitor."""
        now_ms = time.time_ns() // 1_000_000
        events, ids = [], []
        for place, (shopper, session) in enumerate(visitors):
            happened_ms = now_ms - 200 * (len(visitors) - place)
            event_id = uuid7(happened_ms, self._random[self._at])
            events.append(self._event(event_id, happened_ms, shopper, session))
            ids.append(event_id)
            self._at += 1
        document = {"sent_at": _iso(now_ms), "events": events}
        return Post(json.dumps(document, separators=(",", ":")).encode(), tuple(ids))

    def _event(
        self, event_id: UUID, happened_ms: int, shopper: str, session: str
    ) -> dict[str, Any]:
        kind = self._kinds[self._which[self._at]]
        event: dict[str, Any] = {
            "type": kind,
            "event_id": str(event_id),
            "occurred_at": _iso(happened_ms),
            "shopper_id": shopper,
            "session_id": session,
            "page": "/shop/products/",
        }
        if kind == "search":
            event["query"] = _QUERIES[self._at % len(_QUERIES)]
            return event
        n_products = _LISTS.get(kind, 1)
        event["items"] = [
            {"product_id": product, "quantity": 1, "price": f"{self._prices[product] / 100:.2f}"}
            for product in self._products[self._at : self._at + n_products]
        ]
        if kind == "purchase":
            event["order_id"] = f"bench-{event_id.hex[:12]}"
        return event


def uuid7(at_ms: int, random: int) -> UUID:
    """A UUIDv7 of a time and 62 random bits.

    >>> uuid7(1_700_000_000_000, 5).version
    7
    """
    return UUID(int=(at_ms << 80) | (0x7 << 76) | ((random & 0xFFF) << 64) | (0b10 << 62) | random)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
