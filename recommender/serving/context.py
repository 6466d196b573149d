"""Everything the sources may look at during one request, in snapshot rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from zoneinfo import ZoneInfo

import numpy as np

from catalog.models.events import EventType
from recommender.engine.online.steering import price_range
from recommender.engine.types import BoolArray, Float32Array, Int32Array, Int64Array
from recommender.serving.models import ServingModels, ShopperHistory
from recommender.serving.request import RecommendationRequest
from recommender.serving.rule_index import ActiveRules
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.strategy import StrategyDocument
from recommender.stores.session_state import SessionState

VIEW_TYPES = (EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.RECOMMENDATION_CLICK)
# Indexed by event type.
IS_VIEW = np.zeros(256, np.bool_)
IS_VIEW[list(VIEW_TYPES)] = True
# What the neighbours of the last three products looked at count; a product twice counts twice.
SEED_WEIGHTS = np.array([0.49, 0.7, 1.0], np.float32)
# As in training: silence that ends a session.
SILENCE_S = 30 * 60
# A session that ended longer ago says what was wanted then, which is the profile's business.
FORGOTTEN_S = 24 * 3600
MAX_SESSION = 20
MOBILE = frozenset({"mobile", "phone", "tablet"})


@dataclass(slots=True, kw_only=True)
class Context:
    """One page view, resolved. `eligible` and `scope` follow from the rest and are set after it.

    Attributes
    ----------
    page_rows, cart_rows : lists of snapshot rows
        Products in view, products in the cart.
    event_rows, event_types, event_at_s
        What the shopper did lately to products of the catalog, oldest first.
    event_weights : float32[n]
        What each of it says about taste, signed: the store's event weights.
    category
        Path in view: the request's, or that of the first product in view.
    history
        What the last training knows of the shopper; None also where the strategy doesn't ask.
    eligible : bool[n]
        What may be shown to this shopper here, exclusions taken out.
    scope : bool[n_categories + 1] or None
        Categories that the strategy allows here; None allows all. See `allowed`.
    prices : (lowest, highest) or None
        What the strategy lets a product cost here, in minor units; None allows all.
    handpicked_rows
        The products of the strategy's own list, the first first.
    seed
        Of what this request leaves to chance.
    rules
        The merchant's rules that count here, None without any.
    placement_id, time_zone
        Whose answer it is, and the zone of the shop's clocks.
    situation
        Set where a source was chosen for the places given to chance: what the choice went by.
    """

    request: RecommendationRequest
    snapshot: CatalogSnapshot
    models: ServingModels
    state: SessionState
    now_s: int
    page_rows: list[int]
    cart_rows: list[int]
    event_rows: Int32Array
    event_types: Int32Array
    event_at_s: Int64Array
    event_weights: Float32Array
    category: str | None
    history: ShopperHistory | None
    eligible: BoolArray
    scope: BoolArray | None = None
    prices: tuple[int, int] | None = None
    handpicked_rows: Sequence[int] = ()
    seed: int = 0
    rules: ActiveRules | None = None
    placement_id: int = 0
    time_zone: str = "UTC"
    situation: int | None = None

    def allowed(self, rows: Int32Array) -> BoolArray:
        """Which of some snapshot rows may be shown."""
        kept = self.eligible.take(rows)
        if self.scope is not None:
            kept &= self.scope[self.snapshot.category_codes[rows]]
        if self.prices is not None:
            kept &= self.priced(rows)
        if self.rules is not None and (by_rules := self.rules.allows(rows)) is not None:
            kept &= by_rules
        return kept

    def priced(self, rows: Int32Array) -> BoolArray:
        """Which of some snapshot rows cost what the strategy's price band asks for."""
        if self.prices is None:
            return np.ones(len(rows), np.bool_)
        lowest, highest = self.prices
        costs = self.snapshot.price_minor.take(rows)
        return (costs >= lowest) & (costs <= highest)

    @property
    def local_time(self) -> datetime:
        """What the clocks in the shop say: people buy by them, in summer and in winter."""
        return datetime.fromtimestamp(self.now_s, ZoneInfo(self.time_zone))

    @property
    def is_mobile(self) -> bool | None:
        """Whether the device is a phone or a tablet, None where it isn't known."""
        device = self.request.device
        return None if device is None else device in MOBILE

    def viewed_rows(self) -> list[int]:
        """Products looked at, oldest first, repetitions included."""
        rows: list[int] = self.event_rows[IS_VIEW[self.event_types]].tolist()
        return rows

    def seeds(self) -> tuple[list[int], Float32Array]:
        """What a contextual source starts from, with weights.

        The products in view; else the cart, all alike; else the last products looked at, the
        newest counting most. Empty on a bare page.
        """
        rows = self.page_rows or self.cart_rows
        if rows:
            return rows, np.ones(len(rows), np.float32)
        rows = self.viewed_rows()[-3:]
        return rows, SEED_WEIGHTS[len(SEED_WEIGHTS) - len(rows) :]

    def session_rows(self) -> list[int]:
        """The products of the session that goes on, oldest first, the one in view last.

        A session ends with half an hour of silence, and a page long after it starts a new one.
        """
        rows: list[int] = []
        n = len(self.event_rows)
        if n and self.now_s - int(self.event_at_s[-1]) <= FORGOTTEN_S:
            silences = (np.diff(self.event_at_s) > SILENCE_S).nonzero()[0]
            start = max(int(silences[-1]) + 1 if len(silences) else 0, n - MAX_SESSION)
            telling = self.event_weights[start:] > 0
            rows = self.event_rows[start:][telling].tolist()
        for row in self.page_rows:
            if not rows or rows[-1] != row:
                rows.append(row)
        return rows


def category_scope(context: Context, strategy: StrategyDocument) -> BoolArray | None:
    """The categories that the strategy's condition allows, None for all.

    "same" means the category in view with all levels below it. "other" leaves out the categories
    of everything in view or, on a page without products, in the cart.
    """
    snapshot = context.snapshot
    if strategy.category == "same" and context.category:
        return snapshot.categories_inside(context.category)
    if strategy.category == "other":
        paths = set(map(snapshot.category_path, context.seeds()[0])) - {""}
        if paths:
            outside: BoolArray = ~reduce(or_, map(snapshot.categories_inside, paths))
            return outside
    return None


def price_scope(context: Context, strategy: StrategyDocument) -> tuple[int, int] | None:
    """What the strategy's price band lets a product cost beside the first priced one in view."""
    band = strategy.price_band
    if band.kind == "none":
        return None
    for row in context.page_rows:
        price = int(context.snapshot.price_minor[row])
        if price > 0:
            return price_range(price, band.kind, band.percent)
    return None
