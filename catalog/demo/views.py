"""The demo shop: what a merchant's shop looks like with Vitrine in it.

Every page works as plain HTML with forms. The events it reports are written into the page as data;
`static/js/shop.js` hands them to `vitrine.js`, as a merchant's own script would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from csp.constants import NONE, SELF
from csp.decorators import csp_replace, csp_update
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
)
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from catalog.demo.cart import (
    CART,
    ORDERS,
    cart_add,
    cart_count,
    cart_read,
    cart_set,
    event_item,
    events_pop,
    order_find,
    order_place,
)
from catalog.demo.tiles import SLUG_LENGTH, tile_svg, tile_url
from catalog.demo.visitor import visitor_read, visitor_switch
from catalog.models import ApiKey, Product, Shopper, Store
from catalog.selectors.keys import publishable_key
from catalog.selectors.products import (
    DEFAULT_SORT,
    SORTS,
    categories_matching,
    category_find,
    category_of,
    category_tree,
    product_find,
    product_search,
    products_by_external_id,
    products_in_category,
)
from catalog.selectors.shoppers import shoppers_search, shoppers_suggested

PAGE_SIZE = 24
MAX_PAGE = 500
MAX_QUERY = 100
N_DEPARTMENTS_ON_HOME = 12
DELIVERIES = {
    "delivery": "Home delivery, tomorrow 9–12",
    "pickup": "Pick-up at the store, today from 17:00",
}

ShopEvent = dict[str, Any]
View = Callable[..., HttpResponse]


def shop_page(view: View) -> View:
    """Open a view with `store`, the demo store, under a policy as strict as a careful merchant's.

    Without a demo store the page says how to get one.
    """

    @wraps(view)
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        store = Store.objects.filter(is_demo=True).order_by("pk").first()
        if store is None:
            return render(request, "shop/closed.html", status=404)
        return view(request, store, *args, **kwargs)

    strict = csp_update({"require-trusted-types-for": ["'script'"], "trusted-types": [NONE]})
    own_styles = csp_replace({"style-src": [SELF]})
    return cast(View, own_styles(strict(opened)))


# ------------------------------------------------------------------------------------------- pages


@require_GET
@shop_page
def home(request: HttpRequest, store: Store) -> HttpResponse:
    return _page(request, store, "shop/home.html", {"n_departments": N_DEPARTMENTS_ON_HOME})


@require_GET
@shop_page
def departments(request: HttpRequest, store: Store) -> HttpResponse:
    return _page(request, store, "shop/departments.html", {})


@require_GET
@shop_page
def category(request: HttpRequest, store: Store, slug_path: str) -> HttpResponse:
    node = category_find(store=store, slug_path=slug_path)
    if node is None:
        raise Http404
    sort = request.GET.get("sort", DEFAULT_SORT)
    sort = sort if sort in SORTS else DEFAULT_SORT
    page = _page_number(request)
    shelf = products_in_category(
        store=store,
        category_path=node.path,
        sort=sort,
        offset=(page - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )
    seen = _list_event(shelf.products, category=node.path)
    context = {"category": node, "shelf": shelf, "sort": sort, "sorts": SORTS}
    context |= _paging(page, shelf.n_products)
    return _page(request, store, "shop/category.html", context, events=[seen])


@require_GET
@shop_page
def search(request: HttpRequest, store: Store) -> HttpResponse:
    query = " ".join(request.GET.get("q", "").replace("\x00", "").split())[:MAX_QUERY]
    page = _page_number(request)
    found = product_search(store=store, query=query, offset=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    events: list[ShopEvent] = []
    if query and page == 1:
        events.append(
            {"type": "search", "query": query, "properties": {"n_results": found.n_products}}
        )
    context = {
        "query": query,
        "shelf": found,
        "matching_categories": categories_matching(store=store, query=query),
    }
    context |= _paging(page, found.n_products)
    return _page(request, store, "shop/search.html", context, events=events)


@require_GET
@shop_page
def product(request: HttpRequest, store: Store, external_id: str) -> HttpResponse:
    found = product_find(store=store, external_id=external_id)
    if found is None or found.deleted_at is not None:
        return _page(request, store, "shop/gone.html", {}, status=404)
    context = {
        "product": found,
        "category": category_of(store=store, product=found),
        "facts": _facts(found),
        "picture": found.image_url or tile_url(found.category_path),
        "buyable": _buyable(found),
        "in_cart": request.session.get(CART, {}).get(found.external_id, 0),
    }
    viewed = {"type": "view_item", "items": [event_item(found)]}
    return _page(request, store, "shop/product.html", context, events=[viewed])


@require_GET
@shop_page
def cart(request: HttpRequest, store: Store) -> HttpResponse:
    context = {"cart": cart_read(session=request.session, store=store)}
    return _page(request, store, "shop/cart.html", context)


@shop_page
def checkout(request: HttpRequest, store: Store) -> HttpResponse:
    filled = cart_read(session=request.session, store=store)
    if not filled.lines:
        return redirect("shop:cart")
    if request.method == "POST":
        delivery = request.POST.get("delivery", "")
        delivery = delivery if delivery in DELIVERIES else next(iter(DELIVERIES))
        order_id = order_place(session=request.session, store=store, delivery=delivery)
        return redirect("shop:order", order_id=order_id) if order_id else redirect("shop:cart")
    begun = {
        "type": "begin_checkout",
        "items": [event_item(line.product, line.quantity) for line in filled.lines],
    }
    context = {"cart": filled, "deliveries": DELIVERIES}
    return _page(request, store, "shop/checkout.html", context, events=[begun])


@require_GET
@shop_page
def order(request: HttpRequest, store: Store, order_id: str) -> HttpResponse:
    placed = order_find(session=request.session, order_id=order_id)
    if placed is None:
        raise Http404
    context = {"order": placed, "delivery": DELIVERIES.get(placed["delivery"], "")}
    return _page(request, store, "shop/order.html", context)


@require_GET
@shop_page
def shoppers(request: HttpRequest, store: Store) -> HttpResponse:
    text = request.GET.get("household", "").replace("\x00", "").strip()[:128]
    context = {"text": text, "found": shoppers_search(store=store, text=text)}
    return _page(request, store, "shop/shoppers.html", context)


# ----------------------------------------------------------------------------------------- actions


@require_POST
@shop_page
def cart_add_product(request: HttpRequest, store: Store) -> HttpResponse:
    """Add to the cart: back to the product for a form, JSON for the page's script."""
    found = product_find(store=store, external_id=_field(request, "product_id"))
    if found is None or not _buyable(found):
        raise Http404
    n_added = cart_add(
        session=request.session, product=found, quantity=max(1, _quantity(request, default=1))
    )
    if "application/json" not in request.headers.get("Accept", ""):
        return redirect(_back(request))
    return JsonResponse(
        {
            "n_added": n_added,
            "n_pieces": cart_count(request.session),
            "n_of_product": request.session[CART].get(found.external_id, 0),
            "product_ids": list(request.session.get(CART, {})),
            "title": found.title,
            "events": events_pop(request.session),
        }
    )


@require_POST
@shop_page
def cart_update_product(request: HttpRequest, store: Store) -> HttpResponse:
    external_id = _field(request, "product_id")
    found = products_by_external_id(store=store, external_ids=[external_id]).get(external_id)
    if found is None:
        raise Http404
    quantity = 0 if "remove" in request.POST else _quantity(request, default=1)
    cart_set(session=request.session, product=found, quantity=quantity)
    return redirect("shop:cart")


@require_POST
@shop_page
def shopper_switch(request: HttpRequest, store: Store) -> HttpResponse:
    wanted = _field(request, "shopper_id")
    if wanted and not Shopper.objects.filter(store=store, external_id=wanted).exists():
        raise Http404
    visitor_switch(session=request.session, shopper_id=wanted or None)
    return redirect("shop:home")


@require_GET
@cache_control(public=True, max_age=31_536_000, immutable=True)
def tile(request: HttpRequest, slug: str) -> HttpResponse:
    """A category's picture. The address says all there is to know, so it never changes."""
    if len(slug) > SLUG_LENGTH:
        raise Http404
    return HttpResponse(tile_svg(slug), content_type="image/svg+xml")


# ------------------------------------------------------------------------------------------- parts


def _page(
    request: HttpRequest,
    store: Store,
    template: str,
    context: dict[str, Any],
    *,
    events: list[ShopEvent] | None = None,
    status: int = 200,
) -> HttpResponse:
    session = request.session
    tree = category_tree(store=store)
    common = {
        "store": store,
        "visitor": visitor_read(session=session, store=store),
        "suggested": shoppers_suggested(store=store),
        "departments": tree.shelves,
        "tree": tree,
        "n_pieces": cart_count(session),
        "cart_ids": ",".join(session.get(CART, {})),
        "orders": session.get(ORDERS, []),
        "shop_events": [*events_pop(session), *(events or [])],
        "publishable_key": _publishable_key(store),
    }
    return render(request, template, {**common, **context}, status=status)


def _publishable_key(store: Store) -> str:
    try:
        return publishable_key(store)
    except ApiKey.DoesNotExist:
        return ""


def _list_event(products: list[Product], *, category: str) -> ShopEvent:
    return {
        "type": "view_item_list",
        "items": [event_item(product) for product in products],
        "properties": {"category": category},
    }


def _buyable(product: Product) -> bool:
    return (
        not product.hidden
        and product.deleted_at is None
        and product.price_minor is not None
        and product.availability != Product.Availability.OUT_OF_STOCK
    )


def _facts(product: Product) -> list[tuple[str, str]]:
    """What is known about a product, as rows of a table."""
    attributes = [
        (name.replace("_", " ").capitalize(), str(value))
        for name, value in product.attributes.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    known = [("Brand", product.brand), *attributes, ("Product number", product.external_id)]
    return [(name, value) for name, value in known if value]


def _paging(page: int, n_products: int) -> dict[str, int | None]:
    n_pages = max(1, -(-n_products // PAGE_SIZE))
    return {
        "page": page,
        "n_pages": n_pages,
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < n_pages else None,
    }


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    return min(max(1, int(text)), MAX_PAGE) if text.isascii() and text.isdigit() else 1


def _quantity(request: HttpRequest, *, default: int) -> int:
    text = _field(request, "quantity")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else default


def _field(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\x00", "").strip()[:128]


def _back(request: HttpRequest) -> str:
    """Where a form wants to return to, if that is a page of this host; else the cart."""
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return wanted
    return "/shop/cart/"
