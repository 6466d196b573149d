"""Everything the sources may look at during one request, in snapshot rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from catalog.models.events import EventType
from recommender.engine.id_map import stable_hash64
from recommender.engine.online.profiles import fold_events
from recommender.engine.types import BoolArray, Float32Array, Int32Array, Int64Array
from recommender.serving.models import ProfilesModel, ServingModels
from recommender.serving.request import RecommendationRequest
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.strategy import StrategyDocument
from recommender.stores.session_state import SessionState

# What an event of the running session says about the taste for its product. The weights of
# training are those of `engine.weighting`; here only the order of magnitude matters, because the
# session is scaled to `SESSION_SHARE` of the whole history.
SESSION_WEIGHTS = {
    EventType.VIEW_ITEM: 0.3,
    EventType.SELECT_ITEM: 0.3,
    EventType.RECOMMENDATION_CLICK: 0.3,
    EventType.ADD_TO_WISHLIST: 0.6,
    EventType.ADD_TO_CART: 0.8,
    EventType.PURCHASE: 1.0,
    EventType.REMOVE_FROM_CART: -0.4,
    EventType.HIDE_ITEM: -1.0,
}
VIEW_TYPES = (EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.RECOMMENDATION_CLICK)
# Of the weight of a history with a session: enough for a click to move the next page, not so much
# that a year of orders is forgotten. Measured in docs/engine.md.
SESSION_SHARE = 0.3
# A neighbour of the product looked at before the last one counts this much.
SEED_DECAY = np.float32(0.7)


@dataclass(frozen=True, slots=True)
class ShopperHistory:
    """One shopper's past in artifact rows of the profiles model.

    `rows` ascend; all arrays are of one length.
    """

    rows: Int32Array
    weights: Float32Array
    counts: Int32Array
    last_at_s: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One page view, resolved.

    Attributes
    ----------
    page_rows, cart_rows : lists of snapshot rows
        Products in view, products in the cart.
    viewed_rows, view_weights
        Products of the recent session, oldest first, with signed event weights.
    category
        Path in view: the request's, or that of the first product in view.
    eligible : bool[n]
        What may be shown to this shopper here, exclusions taken out.
    """

    request: RecommendationRequest
    snapshot: CatalogSnapshot
    models: ServingModels
    state: SessionState
    now_s: int
    page_rows: list[int]
    cart_rows: list[int]
    event_rows: Int32Array
    event_weights: Float32Array
    viewed_rows: list[int]
    category: str | None
    history: ShopperHistory | None
    eligible: BoolArray

    def seeds(self) -> tuple[list[int], Float32Array]:
        """What a contextual source starts from, with weights.

        The products in view; else the cart, all alike; else the last products looked at, the
        newest counting most. Empty on a bare page.
        """
        if self.page_rows or self.cart_rows:
            rows = self.page_rows or self.cart_rows
            return rows, np.ones(len(rows), np.float32)
        rows = self.viewed_rows[-3:]
        ages = np.arange(len(rows) - 1, -1, -1, dtype=np.float32)
        return rows, np.power(SEED_DECAY, ages)


def history_of(model: ProfilesModel | None, shopper_id: str | None) -> ShopperHistory | None:
    """What the last training knows of a shopper, None if nothing. O(log shoppers)."""
    if model is None or shopper_id is None or not len(model.shopper_hashes):
        return None
    wanted = stable_hash64(shopper_id)
    place = int(np.searchsorted(model.shopper_hashes, wanted))
    if place == len(model.shopper_hashes) or int(model.shopper_hashes[place]) != wanted:
        return None
    own = slice(int(model.offsets[place]), int(model.offsets[place + 1]))
    if own.start == own.stop:
        return None
    return ShopperHistory(
        model.item_rows[own], model.weights[own], model.counts[own], model.last_at_s[own]
    )


def history_with_session(context: Context) -> tuple[Int32Array, Float32Array]:
    """The shopper's whole taste in artifact rows of the profiles model: past and running session.

    Purchases that the training knows already are in the session too for a while; they count twice
    until they leave it, which is a slight preference for what is recent.
    """
    model = context.models.profiles
    empty = np.empty(0, np.int32), np.empty(0, np.float32)
    if model is None:
        return empty
    past = context.history
    known = context.event_rows
    rows = model.rows.from_snapshot[known] if len(known) else known
    return fold_events(
        past.rows if past else empty[0],
        past.weights if past else empty[1],
        rows,
        context.event_weights,
        session_share=SESSION_SHARE,
    )


def category_scope(context: Context, strategy: StrategyDocument) -> BoolArray | None:
    """Products that the strategy's category condition allows, None for all.

    "same" means the category in view with all levels below it. "other" leaves out the categories
    of the seeds: of everything in view or, on a cart page, in the cart.
    """
    snapshot = context.snapshot
    if strategy.category == "same" and context.category:
        return snapshot.category_mask(context.category)
    if strategy.category == "other":
        paths = {snapshot.category_path(row) for row in context.seeds()[0]}
        paths.discard("")
        if paths:
            scope = np.ones(len(snapshot), np.bool_)
            for path in paths:
                scope &= ~snapshot.category_mask(path)
            return scope
    return None
