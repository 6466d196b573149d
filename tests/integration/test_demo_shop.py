"""The demo shop without JavaScript: pages, forms, and what they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Product, Store
from catalog.selectors.products import shelves_forget
from tests.factories import make_order, make_product, make_shopper


class Page(Protocol):
    content: bytes


@pytest.fixture(autouse=True)
def fresh_shelves() -> Iterator[None]:
    shelves_forget()
    yield
    shelves_forget()


@pytest.fixture
def market(store: Store) -> Store:
    store.is_demo = True
    store.save()
    make_product(
        store, "milk", title="Milk <b>&", category_path="Dairy > Milk",
        price_minor=250, list_price_minor=300, attributes={"size": "1 gal"},
    )  # fmt: skip
    make_product(store, "bread", title="Bread", category_path="Bakery", price_minor=100)
    return store


def events_of(response: Page) -> list[dict[str, Any]]:
    """What the page's script would report."""
    found = re.search(r'id="shop-events" type="application/json">(.*?)</script>', text_of(response))
    assert found is not None
    events: list[dict[str, Any]] = json.loads(found[1])
    return events


def text_of(response: Page) -> str:
    return response.content.decode()


def test_without_a_demo_store_the_page_says_how_to_get_one(client: Client, store: Store) -> None:
    response = client.get("/shop/")
    assert response.status_code == 404
    assert "demo_import" in text_of(response)


@pytest.mark.parametrize(
    "path",
    ["", "categories/", "categories/dairy/", "categories/dairy/milk/?sort=price&page=1",
     "categories/dairy/?sort=nonsense&page=9999", "search/", "search/?q=milk", "search/?q=zzz",
     "search/?q=%00", "products/milk/", "cart/", "shoppers/?household=1"],
)  # fmt: skip
def test_every_page_opens_under_the_strict_policy(client: Client, market: Store, path: str) -> None:
    response = client.get(f"/shop/{path}")
    assert response.status_code == 200
    policy = response["Content-Security-Policy"]
    assert "require-trusted-types-for 'script'" in policy
    assert "'unsafe-inline'" not in policy
    assert "<b>&" not in text_of(response)


@pytest.mark.parametrize(
    "path",
    ["categories/nothing/", "products/nothing/", "orders/V-1/", "tiles/a" + "a" * 200 + ".svg"],
)
def test_what_is_not_there_is_a_404(client: Client, market: Store, path: str) -> None:
    assert client.get(f"/shop/{path}").status_code == 404


def test_products_of_other_stores_are_not_sold_here(
    client: Client, market: Store, other_store: Store
) -> None:
    make_product(other_store, "theirs", title="Theirs", category_path="Foreign")
    make_shopper(other_store, "their-shopper")
    assert client.get("/shop/products/theirs/").status_code == 404
    assert client.post("/shop/cart/add/", {"product_id": "theirs"}).status_code == 404
    assert "Theirs" not in text_of(client.get("/shop/search/?q=theirs"))
    assert "Foreign" not in text_of(client.get("/shop/categories/"))
    switched = client.post("/shop/shoppers/switch/", {"shopper_id": "their-shopper"})
    assert switched.status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hidden": True}, "Not sold online"),
        ({"availability": Product.Availability.OUT_OF_STOCK}, "Sold out"),
        ({"price_minor": None}, "No price"),
    ],
)
def test_what_can_not_be_bought_says_why_and_has_no_button(
    client: Client, market: Store, fields: dict[str, Any], said: str
) -> None:
    make_product(market, "x", category_path="Bakery", **fields)
    page = text_of(client.get("/shop/products/x/"))
    assert said in page
    assert "Add to cart" not in page
    assert client.post("/shop/cart/add/", {"product_id": "x"}).status_code == 404


def test_a_product_that_left_the_catalog_is_gone(client: Client, market: Store) -> None:
    make_product(market, "x", deleted_at=timezone.now())
    response = client.get("/shop/products/x/")
    assert response.status_code == 404
    assert "isn’t here any more" in text_of(response)


def test_the_forms_lead_from_product_to_order(client: Client, market: Store) -> None:
    form = {"product_id": "milk", "quantity": "3", "next": "/shop/products/milk/"}
    assert client.post("/shop/cart/add/", form).headers["Location"] == "/shop/products/milk/"
    client.post("/shop/cart/add/", {"product_id": "bread"})
    client.post("/shop/cart/update/", {"product_id": "milk", "quantity": "2"})
    cart = client.get("/shop/cart/")
    assert "$6.00" in text_of(cart)
    assert "−$1.00" in text_of(cart)
    assert [(event["type"], event["items"][0]["quantity"]) for event in events_of(cart)] == [
        ("add_to_cart", 3),
        ("add_to_cart", 1),
        ("remove_from_cart", 1),
    ]
    begun = events_of(client.get("/shop/checkout/"))
    assert [event["type"] for event in begun] == ["begin_checkout"]
    placed = client.post("/shop/checkout/", {"delivery": "pickup"})
    thanks = client.get(placed.headers["Location"])
    [purchase] = events_of(thanks)
    assert purchase["type"] == "purchase"
    assert purchase["order_id"] in placed.headers["Location"]
    assert purchase["items"] == [
        {"product_id": "milk", "price": "2.50", "quantity": 2},
        {"product_id": "bread", "price": "1.00", "quantity": 1},
    ]
    assert events_of(client.get(placed.headers["Location"])) == []
    assert "empty" in text_of(client.get("/shop/cart/"))
    assert client.get("/shop/checkout/").headers["Location"] == "/shop/cart/"


def test_the_script_gets_json_and_the_events_to_report(client: Client, market: Store) -> None:
    response = client.post(
        "/shop/cart/add/", {"product_id": "milk"}, headers={"Accept": "application/json"}
    )
    added = response.json()
    assert (added["n_pieces"], added["product_ids"]) == (1, ["milk"])
    assert [event["type"] for event in added["events"]] == ["add_to_cart"]
    assert events_of(client.get("/shop/cart/")) == []


@pytest.mark.parametrize("quantity", ["0", "-5", "1000", "1e9", "", "x", "²"])
def test_a_strange_quantity_becomes_one(client: Client, market: Store, quantity: str) -> None:
    client.post("/shop/cart/add/", {"product_id": "milk", "quantity": quantity})
    assert client.session["shop_cart"] == {"milk": 1}


def test_a_form_does_not_lead_to_another_site(client: Client, market: Store) -> None:
    form = {"product_id": "milk", "next": "https://evil.example/"}
    assert client.post("/shop/cart/add/", form).headers["Location"] == "/shop/cart/"


def test_another_shopper_gets_another_cart_and_an_order_is_its_own(
    client: Client, market: Store
) -> None:
    household = make_shopper(market, "household-1")
    make_order(market, household, [Product.objects.get(store=market, external_id="milk")])
    client.post("/shop/cart/add/", {"product_id": "milk"})
    client.post("/shop/shoppers/switch/", {"shopper_id": "household-1"})
    page = text_of(client.get("/shop/"))
    assert 'data-shopper-id="household-1"' in page
    assert "1 order, mostly Dairy" in page
    assert "empty" in text_of(client.get("/shop/cart/"))
    client.post("/shop/cart/add/", {"product_id": "milk"})
    placed = client.post("/shop/checkout/", {}).headers["Location"]
    assert Client().get(placed).status_code == 404
    client.post("/shop/shoppers/switch/", {"shopper_id": ""})
    assert 'data-shopper-id="visitor-' in text_of(client.get("/shop/"))


def test_a_tile_is_the_same_drawing_for_ever(client: Client) -> None:
    response = client.get("/shop/tiles/dairy--milk.svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert "immutable" in response["Cache-Control"]
    assert response.content == client.get("/shop/tiles/dairy--milk.svg").content
