"""A product's page: its facts, its sales, and what the models hold next to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.console.access import ConsoleRequest, member_page
from catalog.models import Product
from catalog.models.products import CATEGORY_SEPARATOR
from catalog.selectors.product_list import product_find, product_sales
from recommender.console.strategy_words import source_label
from recommender.selectors.neighbours import SourceNeighbours, product_neighbours
from recommender.serving.sources import SOURCES

LATELY = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class NeighbourRow:
    """A neighbour with its score, and how strong that is beside the best of its list."""

    product: Product
    score: float
    percent: float
    strength: str


@dataclass(frozen=True, slots=True)
class NeighbourList:
    label: str
    question: str
    rows: list[NeighbourRow]
    missing: str


@require_safe
@member_page()
def product_page(request: ConsoleRequest, product_id: int) -> HttpResponse:
    store, now = request.store, timezone.now()
    product = product_find(store=store, product_id=product_id)
    if product is None:
        raise Http404
    levels = product.category_path.split(CATEGORY_SEPARATOR) if product.category_path else []
    context = {
        "product": product,
        "levels": [
            (name, CATEGORY_SEPARATOR.join(levels[: depth + 1]))
            for depth, name in enumerate(levels)
        ],
        "attributes": [(str(key), _text(value)) for key, value in product.attributes.items()],
        "sales": product_sales(store=store, product_id=product.pk, lately=now - LATELY),
        "lately_days": LATELY.days,
        "lists": [
            _neighbour_list(found)
            for found in product_neighbours(store=store, product_id=product.pk)
        ],
        "why_not": _why_not(product),
        "read_at": now,
    }
    return render(request, "console/catalog/product.html", context)


def _why_not(product: Product) -> list[str]:
    """Why the product is never recommended; empty if it may be."""
    reasons = []
    if product.hidden:
        reasons.append("a member has hidden it")
    if product.availability == Product.Availability.OUT_OF_STOCK or product.stock_count == 0:
        reasons.append("it is out of stock")
    if not product.price_minor:
        reasons.append("it has no price")
    return reasons


def _neighbour_list(found: SourceNeighbours) -> NeighbourList:
    best = max((score for _, score in found.products), default=0.0)
    return NeighbourList(
        label=source_label(found.source),
        question=SOURCES[found.source].question,
        rows=[
            NeighbourRow(
                product, score, round(max(score, 0) / best * 100, 1), _strength(score / best)
            )
            for product, score in found.products
            if best > 0
        ],
        missing=_missing(found),
    )


def _strength(relative: float) -> str:
    if relative >= 0.75:
        return "strong"
    return "clear" if relative >= 0.4 else "weak"


def _missing(found: SourceNeighbours) -> str:
    if not found.trained:
        return "No model has been published yet."
    if not found.knows_product:
        return "The model was trained before this product came; the next run will know it."
    if found.source == "similar_content":
        return "Its title and category say too little to compare it."
    return "Too few shoppers had it together with something else."


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
