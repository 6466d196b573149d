"""Ways to call a placement, as text to copy."""

from __future__ import annotations

import json
from dataclasses import dataclass

from recommender.models import Placement

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
_CONTEXT_BODY: dict[str, dict[str, object]] = {
    Placement.PageType.PRODUCT: {"page": {"product_ids": ["1029743"]}},
    Placement.PageType.CART: {"cart": ["1029743", "844179"]},
    Placement.PageType.CATEGORY: {"page": {"category": "Drinks > Coffee"}},
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One way, with the code to copy and what to know about it."""

    key: str
    label: str
    code: str
    words: str


def placement_tags(placement: Placement, *, snippet: str | None, site: str) -> list[Tag]:
    """Script and element, HTML, REST, and one call for a whole page.

    `snippet` is the store's script tag, None without a publishable key; `site` is the address of
    this Vitrine, ending in a slash.
    """
    script = snippet or "<!-- no publishable key: see the settings -->"
    key = script.partition('data-key="')[2].partition('"')[0] or "pk_…"
    slug, n = placement.slug, placement.n_products
    context = _CONTEXT_ATTRIBUTES.get(placement.page_type, "")
    element = (
        f'<vitrine-recommendations placement="{slug}" limit="{n}"{context}>'
        "</vitrine-recommendations>"
    )
    query = f"shopper_id=shopper-1{_CONTEXT_QUERY.get(placement.page_type, '')}&limit={n}"
    address = f"{site}v1/placements/{slug}"
    authorization = f"-H 'Authorization: Bearer {key}'"
    body = json.dumps(
        {
            "shopper_id": "shopper-1",
            **_CONTEXT_BODY.get(placement.page_type, {}),
            "placements": [{"slug": slug, "limit": n}],
        }
    )
    return [
        Tag(
            "element",
            "Element",
            element,
            "Where the products should appear. The page needs the script once, too.",
        ),
        Tag(
            "script",
            "Script",
            script,
            "Once in the head of every page: it fills the elements and sends what shoppers do.",
        ),
        Tag(
            "html",
            "HTML",
            f"curl '{address}/fragment?{query}' \\\n  {authorization}",
            "For pages without script: your server puts the answer into the page. It is a heading"
            " and a list of links, or nothing where there is nothing to show.",
        ),
        Tag(
            "rest",
            "REST",
            f"curl '{address}/recommendations?{query}' \\\n  {authorization}",
            "For apps and servers. Send recommendation_view and recommendation_click yourself.",
        ),
        Tag(
            "page",
            "Whole page",
            f"curl '{site}v1/recommendations' \\\n  {authorization} \\\n"
            f"  -H 'Content-Type: application/json' \\\n  -d '{body}'",
            "Several placements in one call: add their slugs. No product comes twice; the first in"
            " the list chooses first.",
        ),
    ]
