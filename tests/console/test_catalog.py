"""The list of products, and a product with its neighbours."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Product, Store
from catalog.selectors import product_list
from catalog.selectors.product_list import ProductFilter, categories_of, product_page
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.factories import make_product


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def titles(store: Store, **wanted: str) -> set[str]:
    page = product_page(store=store, wanted=ProductFilter(**{"state": "all", **wanted}), number=1)
    assert page.n_found == len(page.products)
    return {product.title for product in page.products}


def test_a_search_finds_the_beginnings_of_words_in_title_and_brand(store: Store) -> None:
    make_product(store, "1", title="Red teapot", brand="Kiln")
    make_product(store, "2", title="Blue kettle", brand="Steam")
    assert titles(store, words="teap") == {"Red teapot"}
    assert titles(store, words="kil tea") == {"Red teapot"}
    assert titles(store, words="steam") == {"Blue kettle"}
    assert titles(store, words="pot") == set()


def test_a_search_finds_a_product_by_its_id(store: Store) -> None:
    make_product(store, "SKU-0042/b", title="Odd one")
    assert titles(store, words=" SKU-0042/b ") == {"Odd one"}


@pytest.mark.parametrize("words", ["'", "&", "a & ! b", ":*", "\\", "(", "%", "--", "é'"])
def test_no_search_breaks_the_query(store: Store, client: Client, words: str) -> None:
    assert client.get("/console/corner/catalog/", {"q": words}).status_code == 200


def test_a_category_holds_what_is_below_it_and_not_its_namesakes(store: Store) -> None:
    for path in ("Tea", "Tea > Green", "Tea > Green > Sencha", "Teapots", "Coffee > Tea"):
        make_product(store, path, title=path, category_path=path)
    assert titles(store, category="Tea") == {"Tea", "Tea > Green", "Tea > Green > Sencha"}
    assert titles(store, category="Tea > Green") == {"Tea > Green", "Tea > Green > Sencha"}


def test_categories_are_listed_level_by_level(store: Store, other_store: Store) -> None:
    paths = ("Tea", "Tea > Green > Sencha", "Tea > Black", "Tea > Green", "Teapots", "Café > Ü", "")
    for path in paths:
        make_product(store, path, category_path=path)
    make_product(other_store, "x", category_path="Elsewhere")
    assert categories_of(store=store) == ["Café", "Tea", "Teapots"]
    assert categories_of(store=store, parent="Tea") == ["Black", "Green"]
    assert categories_of(store=store, parent="Tea > Green") == ["Sencha"]
    assert categories_of(store=store, parent="Teapots") == []


def test_states_divide_what_can_be_recommended_from_what_can_not(store: Store) -> None:
    out = Product.Availability.OUT_OF_STOCK
    make_product(store, "1", title="fine")
    make_product(store, "2", title="hidden", hidden=True)
    make_product(store, "3", title="sold out", availability=out)
    make_product(store, "4", title="none left", stock_count=0)
    make_product(store, "5", title="no price", price_minor=None)
    make_product(store, "6", title="gone", deleted_at=timezone.now())
    assert titles(store, state="available") == {"fine"}
    assert titles(store, state="hidden") == {"hidden"}
    assert titles(store, state="out_of_stock") == {"sold out", "none left"}
    assert titles(store, state="no_price") == {"no price"}
    assert titles(store) == {"fine", "hidden", "sold out", "none left", "no price"}


@pytest.mark.parametrize("sort", product_list.SORTS)
def test_leafing_shows_each_product_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr(product_list, "PER_PAGE", 3)
    for i in range(8):
        make_product(store, str(i), title="same", price_minor=100)
    pages = [
        product_page(store=store, wanted=ProductFilter(sort=sort), number=n) for n in (1, 2, 3)
    ]
    seen = [product.external_id for page in pages for product in page.products]
    assert sorted(seen) == [str(i) for i in range(8)]
    assert [page.n_pages for page in pages] == [3, 3, 3]


def test_a_page_too_far_is_the_last_one(store: Store) -> None:
    make_product(store, "1")
    page = product_page(store=store, wanted=ProductFilter(), number=9999)
    assert (page.number, len(page.products)) == (1, 1)


@pytest.mark.parametrize("query", ["page=x", "page=-1", "sort=drop", "state=nice"])
def test_nonsense_in_the_address_is_not_found(store: Store, client: Client, query: str) -> None:
    assert client.get(f"/console/corner/catalog/?{query}").status_code == 404


def test_htmx_gets_the_table_alone(shop: Shop, client: Client) -> None:
    page = client.get("/console/corner/catalog/?q=mug", headers={"HX-Request": "true"})
    assert b"<html" not in page.content
    assert page.content.count(b"product-cell") == 6


def test_filters_stay_in_the_form(shop: Shop, client: Client) -> None:
    page = client.get("/console/corner/catalog/?q=mug&category=Kitchen&state=all").content.decode()
    assert 'value="mug"' in page
    assert '<option value="Kitchen" selected>' in page
    assert '<option value="all" selected>' in page
    assert '<option value="Kitchen &gt; Mugs">' in page


def test_an_empty_answer_offers_all_states_and_an_empty_catalog_the_api(
    store: Store, client: Client
) -> None:
    assert "The catalog is empty" in client.get("/console/corner/catalog/").content.decode()
    make_product(store, "1", hidden=True)
    page = client.get("/console/corner/catalog/").content.decode()
    assert "No product fits" in page
    assert "Look in all states" in page


def test_units_sold_are_of_the_last_weeks(shop: Shop, client: Client) -> None:
    page = client.get("/console/corner/catalog/?sort=title").content.decode()
    first = " ".join(page.partition("mug 0")[2].partition("</tr>")[0].split())
    # One today and on each of two days before; the one 40 days ago is too old.
    assert '<td class="number wide-only">3</td>' in first


def test_a_product_shows_its_facts_and_its_neighbours_in_words(shop: Shop, client: Client) -> None:
    page = client.get(f"/console/corner/catalog/{shop.products[0].pk}/").content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "3 in the last 28 days · 4 in all, in 4 orders" in text
    assert "Colour blue" in text
    together = text.partition("What completes this basket?")[2].partition("Also viewed")[0]
    assert re.search(r"mug 1 .* strong 0\.900 .*mug 2 .* weak 0\.300", together)
    assert "Too few shoppers had it together with something else." in text
    assert "No model has been published yet." in text


def test_a_neighbour_that_was_deleted_is_left_out(shop: Shop, client: Client) -> None:
    Product.objects.filter(pk=shop.products[1].pk).update(deleted_at=timezone.now())
    page = client.get(f"/console/corner/catalog/{shop.products[0].pk}/").content.decode()
    assert "mug 1" not in page
    assert "mug 2" in page
    assert client.get(f"/console/corner/catalog/{shop.products[1].pk}/").status_code == 404


def test_a_product_newer_than_the_model_is_said_to_be(shop: Shop, client: Client) -> None:
    product = make_product(shop.store, "new")
    page = client.get(f"/console/corner/catalog/{product.pk}/").content.decode()
    assert "the next run will know it" in page


def test_why_a_product_is_never_recommended_is_said(shop: Shop, client: Client) -> None:
    product = make_product(shop.store, "new", hidden=True, price_minor=None)
    page = client.get(f"/console/corner/catalog/{product.pk}/").content.decode()
    assert "a member has hidden it and it has no price" in page
