"""Recipes: placements that shops usually want, each with a strategy that suits it."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.models import Placement
from recommender.serving.strategy import (
    Exclusions,
    Preference,
    PriceBand,
    SourceWeight,
    StrategyDocument,
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


def _automatic(page: Placement.PageType, title: str, **weights: float) -> Recipe:
    """Sources that suit a page, and how much each counts is learned. The weights are a beginning."""
    return Recipe(
        f"automatic-{page.value}",
        f"{page.label}: automatic",
        title,
        page,
        10,
        4,
        "How much each source counts is learned from what your shoppers want and click, night by"
        " night. A twentieth of the places is left to chance, so that it goes on learning.",
        StrategyDocument(
            sources=_sources(**weights),
            diversity=0.2,
            category="same" if page == _Page.CATEGORY else "any",
            fallback=("trending", "bestsellers"),
            exploration=0.05,
            blend="learned",
        ),
    )


# What a new store gets.
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
# What members may start from beside those.
MORE_RECIPES = (
    Recipe(
        "product-up-sell",
        "Product: up-sell",
        "A little better",
        _Page.PRODUCT,
        6,
        3,
        "Alternatives to the product in view that cost more, by up to half of its price.",
        StrategyDocument(
            sources=_sources(similar_content=0.6, also_viewed=0.4),
            diversity=0.2,
            category="same",
            price_band=PriceBand("up", 50),
            prefer=Preference("popular", 0.3),
            fallback=("bestsellers",),
        ),
    ),
    Recipe(
        "product-complete-the-look",
        "Product: complete the look",
        "Complete the look",
        _Page.PRODUCT,
        6,
        3,
        "One thing each of the other categories that go with the product in view.",
        StrategyDocument(
            sources=_sources(bought_together=0.6, similar_content=0.25, also_viewed=0.15),
            diversity=0.5,
            max_per_category=1,
            category="other",
            minimum_relevance=0.05,
            fallback=("bestsellers",),
        ),
    ),
    Recipe(
        "email-picks",
        "E-mail: picks of the week",
        "Picked for you this week",
        _Page.OTHER,
        6,
        4,
        "For a newsletter: taste first, new things moved up, nothing that was bought before.",
        StrategyDocument(
            sources=_sources(for_you=0.6, new_arrivals=0.25, on_sale=0.15),
            diversity=0.5,
            max_per_category=2,
            exclude=Exclusions(purchased=True),
            prefer=Preference("fresh", 0.3),
            fallback=("trending", "bestsellers"),
        ),
    ),
    Recipe(
        "sale-for-you",
        "Sale: your bargains",
        "On sale for you",
        _Page.HOME,
        10,
        4,
        "What costs less than it did, in the order of the shopper's taste.",
        StrategyDocument(
            sources=_sources(on_sale=0.7, for_you=0.3),
            diversity=0.4,
            max_per_category=3,
            fallback=("on_sale", "bestsellers"),
        ),
    ),
    Recipe(
        "home-similar-shoppers",
        "Home: people with your taste",
        "People with your taste also chose",
        _Page.HOME,
        10,
        4,
        "What people chose who bought and looked at the same things, without what the shopper has"
        " bought already.",
        StrategyDocument(
            sources=_sources(similar_shoppers=0.7, for_you=0.3),
            diversity=0.3,
            max_per_category=2,
            exclude=Exclusions(purchased=True),
            fallback=("trending", "bestsellers"),
        ),
    ),
    Recipe(
        "home-discover",
        "Home: something new",
        "Something different",
        _Page.HOME,
        10,
        4,
        "Taste with room for chance: a fifth of the places shows what is seldom seen.",
        StrategyDocument(
            sources=_sources(for_you=0.5, next_click=0.3, new_arrivals=0.2),
            diversity=0.5,
            max_per_category=2,
            prefer=Preference("fresh", 0.3),
            exploration=0.2,
            fallback=("trending", "bestsellers"),
        ),
    ),
    *(
        _automatic(page, title, **sources)
        for page, title, sources in (
            (
                _Page.HOME,
                "Picked for you",
                {"for_you": 0.3, "next_click": 0.3, "buy_again": 0.2, "trending": 0.2},
            ),
            (
                _Page.CATEGORY,
                "Top in this category",
                {"bestsellers": 0.4, "trending": 0.2, "for_you": 0.2, "next_click": 0.2},
            ),
            (
                _Page.SEARCH,
                "You might like these instead",
                {"for_you": 0.4, "next_click": 0.3, "bestsellers": 0.3},
            ),
            (
                _Page.PRODUCT,
                "Shoppers also liked",
                {"next_click": 0.4, "also_viewed": 0.2, "bought_together": 0.2}
                | {"similar_content": 0.2},
            ),
            (
                _Page.CART,
                "Goes well with your cart",
                {"bought_together": 0.5, "buy_again": 0.2, "for_you": 0.2, "next_click": 0.1},
            ),
        )
    ),
)


def recipe_find(slug: str) -> Recipe | None:
    return next((each for each in (*RECIPES, *MORE_RECIPES) if each.slug == slug), None)
