"""What is known of a shopper, and what they would see now: for a look, without a trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from catalog.models import EventType, Store
from recommender.engine.id_map import stable_hash64
from recommender.models import Placement
from recommender.services.recommend import recommend
from recommender.services.session_reading import session_state
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES, StoreRuntime
from recommender.serving.snapshot import CatalogSnapshot
from recommender.stores.session_state import SessionState

N_LISTED = 12
N_SHOWN = 6
_VIEWS = (EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.RECOMMENDATION_CLICK)


@dataclass(frozen=True, slots=True)
class ShopperKnown:
    """Our product ids, the latest or weightiest first; each list is cut to a few.

    Attributes
    ----------
    available
        False if Valkey is away: then only `history` is known.
    person
        The customer whose history it is; None for the shopper itself.
    n_history, history, history_as_of
        Of the last training: products with a weight, those that count most, and when it was.
    """

    available: bool
    person: str | None
    viewed: list[int]
    cart: list[int]
    searched: list[int]
    hidden: list[int]
    n_history: int
    history: list[int]
    history_as_of: datetime | None


@dataclass(frozen=True, slots=True)
class WouldSee:
    """The answer of one placement. `page` says on which page, in words; empty for any page."""

    slug: str
    name: str
    title: str
    page: str
    product_ids: list[int]
    sources: list[str]
    fallback: str | None
    reason: str | None


def shopper_known(*, store: Store, external_id: str) -> ShopperKnown:
    """What the next request of the shopper would start from."""
    state = session_state(store_id=store.pk, shopper_id=external_id)
    runtime = RUNTIMES.get(store.pk)
    n_history, history, as_of = 0, [], None
    profiles = runtime.models.profiles if runtime is not None else None
    if profiles is not None and runtime is not None:
        as_of = datetime.fromtimestamp(profiles.as_of_s, UTC)
        past = profiles.history_of(stable_hash64(state.person or external_id))
        if past is not None:
            rows = profiles.rows.to_snapshot[past.rows[np.argsort(-past.weights, kind="stable")]]
            n_history = int((rows >= 0).sum())
            history = runtime.snapshot.product_ids[rows[rows >= 0][:N_LISTED]].tolist()
    return ShopperKnown(
        available=state.available,
        person=state.person,
        viewed=_latest(state, *_VIEWS),
        cart=state.cart[::-1][:N_LISTED].tolist(),
        searched=_latest(state, EventType.SEARCH),
        hidden=_latest(state, EventType.HIDE_ITEM),
        n_history=n_history,
        history=history,
        history_as_of=as_of,
    )


def shopper_would_see(*, store: Store, external_id: str) -> list[WouldSee]:
    """The answer of every placement to the shopper's next request; nothing is logged.

    A placement of product pages answers as on the page of the product looked at last, one of
    category pages as in its category.
    """
    runtime = RUNTIMES.get(store.pk)
    if runtime is None:
        return []
    state = session_state(store_id=store.pk, shopper_id=external_id)
    seen = _last_seen(runtime, state)
    answers = []
    for each in Placement.objects.filter(store=store).order_by("pk"):
        slug = each.slug
        if slug not in runtime.placements:
            continue
        on_product, on_category = _page_of(runtime.snapshot, each.page_type, seen)
        shown = recommend(
            store_id=store.pk,
            request=RecommendationRequest(
                shopper_id=external_id,
                product_ids=() if on_product is None else (on_product,),
                category=on_category,
            ),
            placements=[PlacementRequest(slug=slug, limit=N_SHOWN)],
            log_impressions=False,
        )
        (answer,) = shown.recommendations
        answers.append(
            WouldSee(
                slug=slug,
                name=each.name,
                title=each.title,
                page="product" if on_product else "category" if on_category else "",
                product_ids=[int(shown.snapshot.product_ids[row]) for row in answer.rows],
                sources=answer.sources,
                fallback=answer.fallback,
                reason=answer.reason,
            )
        )
    return answers


def _latest(state: SessionState, *kinds: int) -> list[int]:
    """Products of the events of these kinds, the latest first, each once."""
    mine = state.product_ids[np.isin(state.types, kinds)][::-1]
    return list(dict.fromkeys(mine.tolist()))[:N_LISTED]


def _last_seen(runtime: StoreRuntime, state: SessionState) -> int | None:
    """The row of the product looked at last, None if there is none in the catalog."""
    for product_id in _latest(state, *_VIEWS):
        row = int(runtime.snapshot.rows_of(np.array([product_id], np.int64))[0])
        if row >= 0:
            return row
    return None


def _page_of(
    snapshot: CatalogSnapshot, page_type: str, seen: int | None
) -> tuple[str | None, str | None]:
    """The product or the category in view on a page of this kind."""
    if seen is None:
        return None, None
    if page_type == Placement.PageType.PRODUCT:
        return snapshot.external_ids[seen], None
    if page_type == Placement.PageType.CATEGORY:
        return None, snapshot.category_path(seen) or None
    return None, None
