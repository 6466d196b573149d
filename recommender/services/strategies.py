"""Strategies and placements: creating versions, pointing placements at them, a store's first set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F, Max

from catalog.models import Store, User
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.serving.strategy import (
    Exclusions,
    SourceWeight,
    StrategyDocument,
    strategy_digest,
    strategy_parse,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A placement that a shop usually wants, with a strategy that suits it."""

    slug: str
    name: str
    title: str
    page_type: Placement.PageType
    n_products: int
    n_minimum: int
    description: str
    document: StrategyDocument


def _sources(**weights: float) -> tuple[SourceWeight, ...]:
    return tuple(SourceWeight(source, weight) for source, weight in weights.items())


_Page = Placement.PageType

RECIPES = (
    Recipe(
        "home-for-you",
        "Home: for you",
        "Picked for you",
        _Page.HOME,
        10,
        4,
        "What fits the shopper's taste, moved by what they do right now.",
        StrategyDocument(
            sources=_sources(for_you=0.45, next_click=0.45, trending=0.1),
            diversity=0.3,
            max_per_category=2,
            fallback=("trending", "bestsellers"),
        ),
    ),
    Recipe(
        "home-buy-again",
        "Home: buy again",
        "Time to buy again?",
        _Page.HOME,
        10,
        1,
        "What the shopper buys regularly and is likely running out of.",
        StrategyDocument(sources=_sources(buy_again=1.0), diversity=0.1, fallback=()),
    ),
    Recipe(
        "home-trending",
        "Home: trending",
        "Trending now",
        _Page.HOME,
        10,
        4,
        "What sells above its usual rate these days.",
        StrategyDocument(
            sources=_sources(trending=1.0),
            diversity=0.3,
            max_per_category=2,
            fallback=("bestsellers",),
        ),
    ),
    Recipe(
        "recently-viewed",
        "Recently viewed",
        "Recently viewed",
        _Page.OTHER,
        10,
        1,
        "What this shopper looked at last.",
        StrategyDocument(sources=_sources(recently_viewed=1.0), diversity=0.0, fallback=()),
    ),
    Recipe(
        "category-top",
        "Category: top products",
        "Top in this category",
        _Page.CATEGORY,
        10,
        4,
        "Bestsellers of the category in view, with what is taking off in it.",
        StrategyDocument(
            sources=_sources(bestsellers=0.7, trending=0.3),
            diversity=0.2,
            max_per_brand=4,
            category="same",
            fallback=("bestsellers",),
        ),
    ),
    Recipe(
        "search-no-results",
        "Search: nothing found",
        "You might like these instead",
        _Page.SEARCH,
        10,
        4,
        "For a search without results: the shopper's taste, then what sells.",
        StrategyDocument(
            sources=_sources(for_you=0.4, next_click=0.3, bestsellers=0.3),
            diversity=0.4,
            max_per_category=2,
            fallback=("trending", "bestsellers"),
        ),
    ),
    Recipe(
        "product-similar",
        "Product: similar",
        "Similar products",
        _Page.PRODUCT,
        10,
        4,
        "Alternatives to the product in view, by what is written about it.",
        StrategyDocument(
            sources=_sources(similar_content=1.0),
            diversity=0.3,
            fallback=("bestsellers",),
        ),
    ),
    Recipe(
        "product-bought-together",
        "Product: bought together",
        "Often bought together",
        _Page.PRODUCT,
        10,
        4,
        "What completes a basket that holds the product in view.",
        StrategyDocument(
            sources=_sources(bought_together=0.8, also_viewed=0.2),
            diversity=0.2,
            max_per_category=2,
            category="other",
            fallback=("similar_content", "bestsellers"),
        ),
    ),
    Recipe(
        "product-next-click",
        "Product: looked at next",
        "Shoppers looked at next",
        _Page.PRODUCT,
        10,
        4,
        "Where shoppers who did the same just now went from the product in view.",
        StrategyDocument(
            sources=_sources(next_click=0.7, also_viewed=0.3),
            diversity=0.2,
            fallback=("similar_content", "bestsellers"),
        ),
    ),
    Recipe(
        "cart-cross-sell",
        "Cart: goes with it",
        "Goes well with your cart",
        _Page.CART,
        10,
        4,
        "What is bought with the products in the cart.",
        StrategyDocument(
            sources=_sources(bought_together=0.8, buy_again=0.2),
            diversity=0.3,
            max_per_category=2,
            category="other",
            fallback=("trending", "bestsellers"),
        ),
    ),
    Recipe(
        "confirmation-next",
        "Order confirmation: next time",
        "For your next visit",
        _Page.CONFIRMATION,
        10,
        4,
        "What fits the shopper and was not bought just now.",
        StrategyDocument(
            sources=_sources(for_you=0.7, trending=0.3),
            diversity=0.4,
            max_per_category=2,
            exclude=Exclusions(purchased=True),
            fallback=("trending", "bestsellers"),
        ),
    ),
)


def strategy_version_create(
    *,
    strategy: Strategy,
    document: dict[str, Any],
    note: str = "",
    author: User | None = None,
) -> StrategyVersion:
    """Add a version. The same document as the latest version gives that version back.

    Raises
    ------
    InvalidStrategyError
    """
    parsed = strategy_parse(document)
    digest = strategy_digest(parsed)
    with transaction.atomic():
        Strategy.objects.select_for_update().get(pk=strategy.pk)
        latest = strategy.versions.order_by("-number").first()
        if latest is not None and latest.digest == digest:
            return latest
        last = strategy.versions.aggregate(last=Max("number"))["last"] or 0
        return StrategyVersion.objects.create(
            strategy=strategy,
            store_id=strategy.store_id,
            number=last + 1,
            document=msgspec.to_builtins(parsed),
            digest=digest,
            note=note,
            author=author,
        )


def store_recipes_install(*, store: Store) -> list[Placement]:
    """Give a store its usual placements, each with a strategy of its own. Existing ones stay."""
    placements = []
    with transaction.atomic():
        for recipe in RECIPES:
            if Placement.objects.filter(store=store, slug=recipe.slug).exists():
                continue
            strategy, _ = Strategy.objects.get_or_create(
                store=store,
                key=recipe.slug,
                defaults={"name": recipe.name, "description": recipe.description},
            )
            version = strategy_version_create(
                strategy=strategy,
                document=msgspec.to_builtins(recipe.document),
                note="Installed with the store",
            )
            placements.append(
                Placement.objects.create(
                    store=store,
                    slug=recipe.slug,
                    name=recipe.name,
                    title=recipe.title,
                    page_type=recipe.page_type,
                    strategy_version=version,
                    n_products=recipe.n_products,
                    n_minimum=recipe.n_minimum,
                )
            )
        settings_touch(store_id=store.pk)
    return placements


def settings_touch(*, store_id: int) -> None:
    """Tell serving processes, with the commit, that placements or strategies changed."""
    Store.objects.filter(pk=store_id).update(settings_version=F("settings_version") + 1)
