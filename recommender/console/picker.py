"""What the pickers of forms suggest, and the chips of what was chosen (`components/picker.html`).

A picker is a text field with one value a line; with JavaScript it becomes a combobox with chips
(static/js/picker.js). Everything is of the member's own store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import ConsoleRequest, member_page
from catalog.models import Product
from catalog.money import money_text
from catalog.selectors.product_list import products_named, products_suggested
from recommender.serving.runtime import RUNTIMES
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.suggestions import Kind, attribute_parts, suggestions, values_known

PRODUCT = "product"
KINDS = (PRODUCT, *Kind)
N_OFFERED = 12
MAX_CHARS = 400
# More chips than anybody chooses one by one; a pasted list may be as long as a form takes.
MAX_CHIPS = 500
NOUNS = {
    PRODUCT: ("product", "No product has this id"),
    Kind.CATEGORY: ("category", "No product is in this category"),
    Kind.BRAND: ("brand", "No product is of this brand"),
    Kind.TAG: ("tag", "No product has this tag"),
    Kind.ATTRIBUTE: ("attribute", "No product has this attribute"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One suggestion. `is_typed` is what stands in the field, which nothing of the catalog is."""

    value: str
    detail: str
    product: Product | None = None
    is_typed: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """One chosen value. `problem` says what is odd about it, empty if nothing is."""

    value: str
    detail: str = ""
    problem: str = ""
    product: Product | None = None


@require_safe
@member_page()
def picker_options(request: ConsoleRequest, kind: str) -> HttpResponse:
    """At most a dozen options for what is typed as `q`. Two queries for products, else none."""
    _kind_check(kind)
    words = " ".join(request.GET.get("q", "").replace("\x00", "").split())[:MAX_CHARS]
    if kind == PRODUCT:
        products = products_suggested(store=request.store, words=words, limit=N_OFFERED)
        options = [Option(each.external_id, _detail(each), each) for each in products]
    else:
        found = suggestions(_snapshot(request), kind=Kind(kind), words=words, limit=N_OFFERED)
        options = [Option(each.value, _products(each.n_shown)) for each in found]
    may_be = kind != Kind.ATTRIBUTE or attribute_parts(words) is not None
    if words and may_be and all(each.value != words for each in options):
        options.append(Option(words, NOUNS[kind][1], is_typed=True))
    context = {"options": options, "words": words, "kind": kind}
    return render(request, "components/picker_options.html", context)


@require_POST
@member_page()
def picker_chosen(request: ConsoleRequest, kind: str) -> HttpResponse:
    """The values that stand in `field`, as chips; what the catalog doesn't have says so."""
    _kind_check(kind)
    field = request.GET.get("field", "chosen")
    text = request.POST.get(field, "").replace("\x00", "")
    values = values_typed(kind, text)[:MAX_CHIPS]
    chips = _product_chips(request, values) if kind == PRODUCT else _chips(request, kind, values)
    return render(request, "components/picker_chips.html", {"chips": chips, "field": field})


def values_typed(kind: str, text: str) -> list[str]:
    """The values of a picker's text field, each once: one a line; ids between commas, too."""
    separators = r"[\n,;]" if kind == PRODUCT else r"\n"
    found = (part.strip() for part in re.split(separators, text))
    return list(dict.fromkeys(part for part in found if part))


def _product_chips(request: ConsoleRequest, values: list[str]) -> list[Chip]:
    found = products_named(store=request.store, external_ids=[each[:128] for each in values])
    chips = []
    for value in values:
        product = found.get(value)
        if product is None:
            chips.append(Chip(value, problem=NOUNS[PRODUCT][1]))
        elif product.deleted_at is not None:
            chips.append(Chip(value, problem="Deleted from the catalog", product=product))
        else:
            chips.append(Chip(value, detail=_price(product), product=product))
    return chips


def _chips(request: ConsoleRequest, kind: str, values: list[str]) -> list[Chip]:
    chips = []
    known = values_known(_snapshot(request), kind=Kind(kind), values=values)
    for value in values:
        if kind == Kind.ATTRIBUTE and attribute_parts(value) is None:
            problem = "Written as colour: red"
        elif not known[value].n:
            problem = NOUNS[kind][1]
        elif not known[value].n_shown:
            problem = "None of its products can be recommended now"
        else:
            problem = ""
        chips.append(Chip(value, "" if problem else f"{known[value].n_shown:,}", problem))
    return chips


def _kind_check(kind: str) -> None:
    if kind not in KINDS:
        raise Http404("There is nothing of this kind to pick.")


def _snapshot(request: ConsoleRequest) -> CatalogSnapshot:
    runtime = RUNTIMES.get(request.store.pk)
    return CatalogSnapshot.empty() if runtime is None else runtime.snapshot


def _detail(product: Product) -> str:
    parts = [product.external_id, product.brand, _price(product)]
    if product.hidden:
        parts.append("hidden")
    elif not product.is_available:
        parts.append("out of stock")
    return " · ".join(part for part in parts if part)


def _price(product: Product) -> str:
    if product.price_minor is None:
        return "no price"
    return money_text(product.price_minor, product.currency)


def _products(n: int) -> str:
    return f"{n:,} product{'' if n == 1 else 's'}"
