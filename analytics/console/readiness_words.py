"""Whether a source has enough to learn from, what is missing, and what serves meanwhile: in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recommender.models import Run
from recommender.selectors.readiness import Stock
from recommender.serving.strategy_changes import source_label

# Two products count as bought together from three orders on; with so many baskets the commonest
# pairs of a few hundred products have them. Training itself starts at 20.
BASKETS_NEEDED = 300
# From here on views alone say what is looked at together (`MIN_VIEW_SESSIONS` of the training).
VISITS_NEEDED = 1_000
# A way from one click to the next is learned per product: fewer visits know only the front page.
SESSIONS_NEEDED = 300
# Somebody has to have bought again before it can be said when: an interval needs a few of them.
REPEATS_NEEDED = 50
# Taste is told from what others liked as well; with fewer it is that of one or two people.
PEOPLE_NEEDED = 100
# Below this the order of the list is chance.
EVENTS_NEEDED = 200
# Fewer products than a row shows are no choice.
PRODUCTS_NEEDED = 12
# A forecast further ahead than this is no forecast.
MAX_DAYS = 365
# Below this a pace reads as none.
SLOWEST_PACE = 0.1


@dataclass(frozen=True, slots=True)
class Need:
    """What a source learns from: the kind of `learning_stocks`, how much, in words, the model.

    `advice` is for what comes with the catalog instead of with time.
    """

    kind: str
    n: int
    one: str
    many: str
    family: str | None
    advice: str = ""


_BASKETS = ("an order of two or more products", "orders of two or more products")
_VISITS = ("a visit to two or more products", "visits to two or more products")
_EVENTS = ("event with a product", "events with a product")
NEEDS: dict[str, Need] = {
    "bought_together": Need("baskets", BASKETS_NEEDED, *_BASKETS, Run.Family.ITEM_SIMILARITY),
    "also_viewed": Need("visits", VISITS_NEEDED, *_VISITS, Run.Family.ITEM_SIMILARITY),
    "similar_content": Need(
        "titles",
        PRODUCTS_NEEDED,
        "product with a title",
        "products with a title",
        Run.Family.CONTENT,
        "Add products to your catalog.",
    ),
    "next_click": Need("visits", SESSIONS_NEEDED, *_VISITS, Run.Family.SESSIONS),
    "session_neighbours": Need("visits", SESSIONS_NEEDED, *_VISITS, Run.Family.SESSIONS),
    "for_you": Need(
        "people", PEOPLE_NEEDED, "shopper with events", "shoppers with events", Run.Family.PROFILES
    ),
    "similar_shoppers": Need(
        "people", PEOPLE_NEEDED, "shopper with events", "shoppers with events", Run.Family.PROFILES
    ),
    "buy_again": Need(
        "repeats",
        REPEATS_NEEDED,
        "product bought again by the same shopper",
        "products bought again by the same shopper",
        Run.Family.PROFILES,
    ),
    "trending": Need("events", EVENTS_NEEDED, *_EVENTS, Run.Family.POPULARITY),
    "bestsellers": Need("events", EVENTS_NEEDED, *_EVENTS, Run.Family.POPULARITY),
    "new_arrivals": Need(
        "dated",
        PRODUCTS_NEEDED,
        "product with a date of publication",
        "products with a date of publication",
        None,
        "Give products a date of publication in your feed.",
    ),
    "on_sale": Need(
        "reduced",
        PRODUCTS_NEEDED,
        "reduced product",
        "reduced products",
        None,
        "Give products a list price above their price in your feed.",
    ),
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """How ready a source is.

    Attributes
    ----------
    state
        "ready", "untrained" (enough, but no model is published) or "waiting".
    share
        Of what is needed, 0 to 1.
    users
        Names of the placements that use it.
    """

    source: str
    label: str
    state: str
    share: float
    has: str
    missing: str
    forecast: str
    meanwhile: str
    users: tuple[str, ...]

    @property
    def percent(self) -> float:
        return round(self.share * 100, 1)


def readiness_of(
    source: str,
    stock: Stock,
    *,
    trained: Collection[str],
    users: Mapping[str, tuple[str, ...]],
) -> Readiness:
    """Judge one source of `NEEDS`.

    Parameters
    ----------
    trained
        Families with a published model.
    users
        The placements that use it, by name, with their fallback chains.
    """
    need = NEEDS[source]
    is_trained = need.family is None or need.family in trained
    n_missing = max(0, need.n - stock.n)
    state = "waiting" if n_missing else "ready" if is_trained else "untrained"
    return Readiness(
        source=source,
        label=source_label(source),
        state=state,
        share=min(1.0, stock.n / need.n),
        has=f"{stock.n:,} of {need.n:,} {need.many}" if n_missing else f"{stock.n:,} {need.many}",
        missing=f"{n_missing:,} more {need.one if n_missing == 1 else need.many}"
        if n_missing
        else "",
        forecast=_forecast(need, stock, n_missing) if n_missing else "",
        meanwhile="" if state == "ready" else meanwhile_words(users),
        users=tuple(users),
    )


def _forecast(need: Need, stock: Stock, n_missing: int) -> str:
    if stock.per_day is None:
        return need.advice
    if not stock.n:
        return "None so far, so there is no pace to go by."
    return forecast_words(n_missing, stock.per_day)


def forecast_words(n_missing: int, per_day: float) -> str:
    """When it will be enough, at the pace of the last week."""
    if per_day <= 0:
        return "None came in the last 7 days: at this pace, never."
    days = math.ceil(n_missing / per_day)
    pace = f"{per_day:,.1f}".removesuffix(".0") if per_day >= SLOWEST_PACE else "less than 0.1"
    if days > MAX_DAYS:
        return f"At {pace} a day it takes more than a year."
    return f"At {pace} a day: about {days} day{'s' if days != 1 else ''}."


def meanwhile_words(users: Mapping[str, tuple[str, ...]]) -> str:
    """What is shown in its place until then."""
    if not users:
        return "No placement uses it."
    chains = set(users.values())
    if len(chains) == 1:
        (chain,) = chains
        return f"Meanwhile {_chain_words(chain)}."
    each = (f"{name}: {_chain_words(chain)}" for name, chain in users.items())
    return f"Meanwhile {'; '.join(each)}."


def _chain_words(chain: tuple[str, ...]) -> str:
    if not chain:
        return "nothing is shown, and the row stays away"
    return f"{', then '.join(source_label(name) for name in chain)} fill in"
