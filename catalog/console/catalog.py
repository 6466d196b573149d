"""The catalog: what the shop sells, as Vitrine knows it."""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.console.access import ConsoleRequest, can_edit, member_page
from catalog.models.products import CATEGORY_SEPARATOR
from catalog.selectors.product_list import (
    ALL_STATES,
    DEFAULT_STATE,
    SORTS,
    STATES,
    ProductFilter,
    categories_of,
    has_products,
    product_page,
    units_sold,
)

# Over which days the list says what was sold.
LATELY = timedelta(days=28)


@require_safe
@member_page()
def product_list(request: ConsoleRequest) -> HttpResponse:
    """The list; its table alone for htmx."""
    store, wanted = request.store, filter_read(request.GET)
    page = product_page(store=store, wanted=wanted, number=_page_number(request))
    sold = units_sold(
        store=store,
        product_ids=[product.pk for product in page.products],
        since=timezone.now() - LATELY,
    )
    context = {
        "wanted": wanted,
        "page": page,
        "rows": [(product, sold.get(product.pk, 0)) for product in page.products],
        "lately_days": LATELY.days,
        "catalog_is_empty": not page.n_found and not has_products(store=store),
        "can_edit": can_edit(request.member),
        "read_at": timezone.now(),
    }
    if request.htmx:
        return render(request, "console/catalog/_table.html", context)
    context |= {
        "states": [(key, label) for key, (label, _) in STATES.items()],
        "categories": _category_choices(request, wanted.category),
    }
    return render(request, "console/catalog/list.html", context)


def filter_read(query: QueryDict) -> ProductFilter:
    """What a member asked for, from an address or a form. 404 for states and orders that don't exist."""
    wanted = ProductFilter(
        words=query.get("q", "").strip()[:200],
        category=query.get("category", "").strip()[:400],
        state=query.get("state", "") or DEFAULT_STATE,
        sort=query.get("sort", "") or "updated",
    )
    if wanted.sort not in SORTS or wanted.state not in (ALL_STATES, *STATES):
        raise Http404("The catalog has no such state or order.")
    return wanted


def _page_number(request: ConsoleRequest) -> int:
    text = request.GET.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise Http404("This is no page number.")
    return int(text)


def _category_choices(request: ConsoleRequest, chosen: str) -> list[tuple[str, str]]:
    """Paths and labels: the first level, the way to the chosen one, and what is below it."""
    choices = []
    below_chosen = categories_of(store=request.store, parent=chosen) if chosen else []
    for name in categories_of(store=request.store):
        choices.append((name, name))
        if chosen == name or chosen.startswith(name + CATEGORY_SEPARATOR):
            parts = chosen.split(CATEGORY_SEPARATOR)
            choices += [
                (CATEGORY_SEPARATOR.join(parts[:depth]), f"{'· ' * (depth - 1)}{parts[depth - 1]}")
                for depth in range(2, len(parts) + 1)
            ]
            choices += [
                (chosen + CATEGORY_SEPARATOR + child, f"{'· ' * len(parts)}{child}")
                for child in below_chosen
            ]
    return choices
