"""Placements: what each spot shows, how it chooses, and the tag to put it on a page."""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.console.access import ConsoleRequest, member_page
from catalog.console.settings import page_snippet
from recommender.console.strategy_words import StrategyWords, source_label, strategy_words
from recommender.models import Placement
from recommender.selectors.placement_figures import (
    Delivered,
    delivered_by_placement,
    placement_delivered,
    placement_find,
    placements_of,
)
from recommender.serving.strategy import InvalidStrategyError, strategy_parse
from recommender.serving.trace import REASON_WORDS

# Over which days the pages say what was delivered.
LATELY = timedelta(days=7)

# What a page of this kind has to say for its recommendations to make sense.
_CONTEXT_ATTRIBUTES: dict[str, str] = {
    Placement.PageType.PRODUCT: ' product-id="1029743"',
    Placement.PageType.CART: ' cart="1029743 844179"',
    Placement.PageType.CATEGORY: ' category="Drinks > Coffee"',
}
_CONTEXT_QUERY: dict[str, str] = {
    Placement.PageType.PRODUCT: "&product_id=1029743",
    Placement.PageType.CART: "&cart=1029743&cart=844179",
    Placement.PageType.CATEGORY: "&category=Drinks%20%3E%20Coffee",
}


@require_safe
@member_page()
def placement_list(request: ConsoleRequest) -> HttpResponse:
    now = timezone.now()
    delivered = delivered_by_placement(store=request.store, since=now - LATELY)
    rows = []
    for placement in placements_of(store=request.store):
        words = _words(placement)
        rows.append((placement, words, delivered.get(placement.pk, Delivered())))
    context = {"rows": rows, "lately_days": LATELY.days, "read_at": now}
    return render(request, "console/placements/list.html", context)


@require_safe
@member_page()
def placement_page(request: ConsoleRequest, slug: str) -> HttpResponse:
    store, now = request.store, timezone.now()
    placement = placement_find(store=store, slug=slug)
    if placement is None:
        raise Http404
    delivered = placement_delivered(store=store, placement=placement, since=now - LATELY)
    n_shown = sum(n for _, n in delivered.sources)
    context = {
        "placement": placement,
        "version": placement.strategy_version,
        "strategy": _words(placement),
        "delivered": delivered,
        "reasons": [(REASON_WORDS.get(code, code), n) for code, n in delivered.reasons],
        "shown_sources": [
            (source_label(name), n, round(n / n_shown * 100, 1)) for name, n in delivered.sources
        ],
        "tags": _tags(request, placement),
        "lately_days": LATELY.days,
        "read_at": now,
    }
    return render(request, "console/placements/page.html", context)


def _words(placement: Placement) -> StrategyWords | None:
    """The strategy in words; None for a document that this version of Vitrine can't read."""
    try:
        return strategy_words(strategy_parse(placement.strategy_version.document))
    except InvalidStrategyError:
        return None


def _tags(request: ConsoleRequest, placement: Placement) -> list[tuple[str, str, str, str]]:
    """Ways to call a placement: key, label, the code, and what to know about it."""
    snippet = (
        page_snippet(request, request.store) or "<!-- no publishable key: see the settings -->"
    )
    key = snippet.partition('data-key="')[2].partition('"')[0] or "pk_…"
    slug, n = placement.slug, placement.n_products
    context = _CONTEXT_ATTRIBUTES.get(placement.page_type, "")
    element = (
        f'<vitrine-recommendations placement="{slug}" limit="{n}"{context}>'
        "</vitrine-recommendations>"
    )
    address = request.build_absolute_uri(f"/v1/placements/{slug}/recommendations")
    query = f"shopper_id=shopper-1{_CONTEXT_QUERY.get(placement.page_type, '')}&limit={n}"
    curl = f"curl '{address}?{query}' \\\n  -H 'Authorization: Bearer {key}'"
    return [
        (
            "element",
            "Element",
            element,
            "Where the products should appear. The page needs the script once, too.",
        ),
        (
            "script",
            "Script",
            snippet,
            "Once in the head of every page: it fills the elements and sends what shoppers do.",
        ),
        (
            "rest",
            "REST",
            curl,
            "For apps and servers. Send recommendation_view and recommendation_click yourself.",
        ),
    ]
