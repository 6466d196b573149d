"""Search, shelves and the category tree, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog.models import Product, Store
from catalog.selectors.products import (
    SORTS,
    categories_matching,
    category_find,
    category_of,
    category_tree,
    product_search,
    products_in_category,
    shelves_forget,
)
from catalog.selectors.shoppers import shopper_habits, shoppers_search, shoppers_suggested
from tests.factories import make_order, make_product, make_shopper


@pytest.fixture(autouse=True)
def fresh_shelves() -> Iterator[None]:
    shelves_forget()
    yield
    shelves_forget()


def found(store: Store, query: str) -> list[str]:
    return [product.external_id for product in product_search(store=store, query=query).products]


def test_every_word_must_begin_a_word_of_title_or_brand(store: Store) -> None:
    make_product(store, "a", title="Whole milk, 1 gal", brand="Meadow")
    make_product(store, "b", title="Milk chocolate", brand="Alpine")
    make_product(store, "c", title="Buttermilk", brand="Meadow")
    assert found(store, "milk") == ["b", "a"]
    assert found(store, "MIL meadow") == ["a"]
    assert found(store, "choc mil") == ["b"]
    assert found(store, "cheese") == []


def test_titles_that_begin_with_the_query_come_first_then_what_is_bought_more(
    store: Store,
) -> None:
    make_product(store, "inside", title="Cookies with milk")
    make_product(store, "rare", title="Milk, skimmed")
    often = make_product(store, "often", title="Milk, whole")
    make_order(store, make_shopper(store, "s"), [often], at=timezone.now())
    assert found(store, "milk") == ["often", "rare", "inside"]


@pytest.mark.parametrize(
    ("query", "title"),
    [("berries", "Berry jam"), ("eggs", "Egg noodles"), ("egg", "Large eggs"), ("glass", "Glass")],
)
def test_singular_and_plural_find_each_other(store: Store, query: str, title: str) -> None:
    make_product(store, "a", title=title)
    assert found(store, query) == ["a"]


@pytest.mark.parametrize(
    "query", ["", "  ", "'", "':*", "a & | !", "milk' | 'x", "\\", "%", "<->", "ü" * 90, "🥛"]
)
def test_no_text_breaks_the_search(store: Store, query: str) -> None:
    make_product(store, "a", title="Bread")
    assert found(store, query) == []


def test_what_may_not_be_seen_is_not_found_and_the_sold_out_stand_last(
    store: Store, other_store: Store
) -> None:
    make_product(store, "out", title="Tea", availability=Product.Availability.OUT_OF_STOCK)
    make_product(store, "shown", title="Tea bags")
    make_product(store, "hidden", title="Tea", hidden=True)
    make_product(store, "gone", title="Tea", deleted_at=timezone.now())
    make_product(store, "unpriced", title="Tea", price_minor=None)
    make_product(other_store, "theirs", title="Tea")
    assert found(store, "tea") == ["shown", "out"]
    assert found(other_store, "tea") == ["theirs"]


def test_a_page_of_results_knows_how_many_there_are(store: Store) -> None:
    for number in range(5):
        make_product(store, str(number), title=f"Tea {number}")
    page = product_search(store=store, query="tea", offset=2, limit=2)
    assert [product.title for product in page.products] == ["Tea 2", "Tea 3"]
    assert page.n_products == 5


def test_the_search_uses_its_index(
    store: Store, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Product.objects.bulk_create(
        Product(store=store, external_id=str(n), title=f"Thing {n}", price_minor=1, currency="USD")
        for n in range(4000)
    )
    make_product(store, "tea", title="Tea")
    product_search(store=store, query="tea")  # how often things are bought is read once
    with django_assert_num_queries(2) as captured:
        product_search(store=store, query="tea")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_product")
        cursor.execute("EXPLAIN " + captured.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "product_search" in plan


def test_the_tree_counts_what_can_be_seen_below_each_category(
    store: Store, other_store: Store
) -> None:
    make_product(store, "a", category_path="Dairy & eggs > Milk")
    make_product(store, "b", category_path="Dairy & eggs > Cheese > Sliced")
    make_product(store, "c", category_path="Bakery")
    make_product(store, "d", category_path="Bakery > Secret", hidden=True)
    make_product(other_store, "e", category_path="Theirs")
    tree = category_tree(store=store)
    assert [(each.name, each.n_products) for each in tree.shelves] == [
        ("Dairy & eggs", 2),
        ("Bakery", 1),
    ]
    sliced = category_find(store=store, slug_path="dairy-eggs/cheese/sliced")
    assert sliced is not None
    assert [each.name for each in sliced.trail] == ["Dairy & eggs", "Cheese", "Sliced"]
    assert category_find(store=store, slug_path="bakery/secret") is None
    assert category_find(store=store, slug_path="theirs") is None
    milk = Product.objects.get(store=store, external_id="a")
    assert getattr(category_of(store=store, product=milk), "name", None) == "Milk"
    assert [each.name for each in categories_matching(store=store, query="eggs")] == [
        "Dairy & eggs"
    ]


def test_a_shelf_holds_the_category_and_what_is_below_it(store: Store, other_store: Store) -> None:
    make_product(store, "a", category_path="Dairy > Milk", price_minor=300)
    make_product(store, "b", category_path="Dairy", price_minor=100)
    make_product(store, "c", category_path="Dairy free", price_minor=200)
    make_product(other_store, "d", category_path="Dairy")
    page = products_in_category(store=store, category_path="Dairy", sort="price")
    assert [product.external_id for product in page.products] == ["b", "a"]
    assert page.n_products == 2


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("popular", ["often", "cheap", "offer", "out"]),
        ("offers", ["offer", "often", "cheap", "out"]),
        ("price", ["cheap", "offer", "often", "out"]),
        ("-price", ["often", "offer", "cheap", "out"]),
        ("title", ["often", "cheap", "offer", "out"]),
    ],
)
def test_each_order_of_a_shelf(store: Store, sort: str, order: list[str]) -> None:
    often = make_product(store, "often", title="A", price_minor=300)
    make_product(store, "cheap", title="B", price_minor=100)
    make_product(store, "offer", title="C", price_minor=200, list_price_minor=250)
    make_product(
        store, "out", title="A", price_minor=1, availability=Product.Availability.OUT_OF_STOCK
    )
    make_order(store, make_shopper(store, "s"), [often], at=timezone.now())
    assert sort in SORTS
    page = products_in_category(store=store, category_path="Things", sort=sort)
    assert [product.external_id for product in page.products] == order


def test_habits_are_orders_and_the_departments_they_came_from(
    store: Store, other_store: Store
) -> None:
    milk = make_product(store, "milk", category_path="Dairy > Milk")
    bread = make_product(store, "bread", category_path="Bakery")
    bag = make_product(store, "bag", category_path="Services", hidden=True)
    known = make_shopper(store, "household-7")
    make_order(store, known, [milk, bread, bag])
    make_order(store, known, [milk])
    make_order(
        other_store, make_shopper(other_store, "household-7"), [make_product(other_store, "x")]
    )
    habits = shopper_habits(store=store, external_id="household-7")
    assert (habits.n_orders, habits.departments) == (2, ("Dairy", "Bakery"))
    assert shopper_habits(store=store, external_id="nobody").n_orders == 0


def test_suggested_are_busy_shoppers_with_different_favourites(store: Store) -> None:
    milk = make_product(store, "milk", category_path="Dairy")
    bread = make_product(store, "bread", category_path="Bakery")
    for name, products, n_orders in (
        ("dairy-often", [milk], 3),
        ("dairy-too", [milk], 2),
        ("bakery", [bread], 1),
        ("nothing", [], 0),
    ):
        shopper = make_shopper(store, name)
        for _ in range(n_orders):
            make_order(store, shopper, products)
    names = [habits.external_id for habits in shoppers_suggested(store=store)]
    assert names == ["dairy-often", "bakery"]


def test_a_household_is_found_by_its_number_first(store: Store, other_store: Store) -> None:
    for number in (7, 17, 70, 8):
        make_shopper(store, f"household-{number}")
    make_shopper(other_store, "household-777")
    names = [habits.external_id for habits in shoppers_search(store=store, text="7")]
    assert names[0] == "household-7"
    assert set(names) == {"household-7", "household-17", "household-70"}
    assert shoppers_search(store=store, text=" ") == []
