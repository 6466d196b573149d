"""A placement as a piece of HTML that a shop's server puts into its page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.template.loader import render_to_string

from catalog.money import SYMBOLS
from recommender.services.recommend import Page
from recommender.serving.request import Recommendation
from recommender.serving.signing import recommendation_id_sign


def page_fragment(page: Page) -> str:
    """The first answer of a page; nothing at all where no product is to be shown."""
    recommendation = page.recommendations[0]
    if not recommendation.rows:
        return ""
    slug = recommendation.placement_slug
    context = {
        "placement": slug,
        "heading_id": f"vitrine-{slug}",
        "title": recommendation.title,
        "recommendation_id": recommendation_id_sign(
            page.signing_secret, recommendation.recommendation_id
        ),
        "looked_at": _looked_at(recommendation),
        "items": [_item(page.snapshot.card(row)) for row in recommendation.rows],
    }
    return render_to_string("fragments/placement.html", context)


def _looked_at(recommendation: Recommendation) -> str:
    """The variant that a QA link shows, empty for shoppers."""
    experiment, variant = recommendation.experiment, recommendation.variant
    if not recommendation.is_look or experiment is None or variant is None:
        return ""
    return f"{experiment.key}/{variant.key}"


def _item(card: dict[str, Any]) -> dict[str, str]:
    price, before = card["price"], card["list_price"]
    return {
        "product_id": card["product_id"],
        "title": card["title"],
        "url": _web_address(card["url"]),
        "image_url": _web_address(card["image_url"]),
        "price": _price(price, card["currency"]),
        "was": _price(before, card["currency"]) if before != price else "",
    }


def _web_address(address: str) -> str:
    """An address that a browser only fetches: of the web or within the shop, never a script."""
    try:
        scheme = urlsplit(address.strip()).scheme.lower()
    except ValueError:
        return ""
    return address.strip() if scheme in ("", "http", "https") else ""


def _price(amount: str | None, currency: str) -> str:
    return f"{SYMBOLS.get(currency, f'{currency} ')}{amount}" if amount else ""
