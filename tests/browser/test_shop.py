"""The demo shop in a real Chromium, on the real API and the real tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog.models import Event, EventType, Product, Store
from catalog.selectors.products import shelves_forget
from recommender.models import Experiment, Exposure, Impression, Placement
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.strategies import strategy_version_create
from recommender.serving.signing import qa_token
from tests.browser.conftest import answer_with, eventually, product
from tests.factories import make_experiment, make_order, make_product, make_shopper

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PLACEMENTS = {
    "/shop/": ["home-for-you", "home-trending", "recently-viewed"],
    "/shop/categories/dairy-eggs/": ["category-top"],
    "/shop/search/?q=nothinglikeit": ["search-no-results"],
    "/shop/products/milk/": ["product-bought-together", "product-similar", "recently-viewed"],
    "/shop/cart/": ["home-for-you", "recently-viewed"],
}


@pytest.fixture
def market(store: Store) -> Store:
    """A small demo shop with a household that has ordered twice."""
    store.is_demo = True
    store.save()
    milk = make_product(
        store, "milk", title="Whole milk, 1 gal", category_path="Dairy & eggs > Milk",
        url="/shop/products/milk/", price_minor=250, list_price_minor=300,
        image_url="/shop/tiles/dairy-eggs--milk.svg",
    )  # fmt: skip
    bread = make_product(store, "bread", title="White bread", category_path="Bakery > Bread")
    household = make_shopper(store, "household-7")
    make_order(store, household, [milk, bread])
    make_order(store, household, [milk])
    shelves_forget()
    return store


@pytest.fixture
def violations(page: Page) -> Callable[[], list[str]]:
    """What the pages' content security policy refused."""
    refused: list[str] = []
    page.on(
        "console",
        lambda message: (
            refused.append(message.text) if "Content Security" in message.text else None
        ),
    )
    return lambda: refused


def stub_recommendations(page: Page) -> list[dict[str, Any]]:
    """Answer recommendations here: what is recommended is tested elsewhere."""
    asked: list[dict[str, Any]] = []
    decide = answer_with(
        [product(number, image_url="/shop/tiles/soup.svg") for number in range(1, 13)]
    )

    def answer(route: Any) -> None:
        body = route.request.post_data_json
        asked.append(body)
        route.fulfill(json=decide(body).body)

    page.route("**/v1/recommendations", answer)
    return asked


@pytest.mark.parametrize("path", PLACEMENTS)
def test_each_page_asks_once_for_its_placements_and_shows_them(
    page: Page, live_server: Any, market: Store, violations: Callable[[], list[str]], path: str
) -> None:
    asked = stub_recommendations(page)
    page.goto(live_server.url + path)
    expect(page.locator("vitrine-recommendations[state=ready]")).to_have_count(
        len(PLACEMENTS[path])
    )
    assert [[each["slug"] for each in body["placements"]] for body in asked] == [PLACEMENTS[path]]
    assert violations() == []


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(page: Page, live_server: Any, market: Store, width: int) -> None:
    stub_recommendations(page)
    page.set_viewport_size({"width": width, "height": 800})
    for path in [*PLACEMENTS, "/shop/categories/", "/shop/search/?q=milk", "/shop/shoppers/"]:
        page.goto(live_server.url + path)
        too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, path


def test_from_search_to_order_every_step_becomes_an_event(
    page: Page, live_server: Any, market: Store, violations: Callable[[], list[str]]
) -> None:
    asked = stub_recommendations(page)
    page.goto(live_server.url + "/shop/")
    page.get_by_label("Search the shop").fill("milk")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Whole milk").click()
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Add to cart", exact=True).click()
    expect(page.locator("[data-toast]")).to_contain_text("Added: Whole milk")
    expect(page.locator("[data-cart-count]")).to_have_text("2")
    eventually(lambda: any("milk" in body.get("cart", []) for body in asked), page)
    page.get_by_role("link", name="Cart 2").click()
    expect(page.locator(".sum__total")).to_contain_text("$5.00")
    page.get_by_role("link", name="Checkout").click()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.reload()  # and the order isn't reported again

    def kinds() -> list[int]:
        events = Event.objects.filter(store=market, shopper__external_id__startswith="visitor-")
        return list(events.order_by("occurred_at").values_list("type", flat=True))

    expected = [
        EventType.SEARCH,
        EventType.VIEW_ITEM,
        EventType.ADD_TO_CART,
        EventType.BEGIN_CHECKOUT,
        EventType.PURCHASE,
    ]
    eventually(lambda: [kind for kind in kinds() if kind in expected] == expected, page)
    bought = Event.objects.get(
        store=market, type=EventType.PURCHASE, shopper__external_id__startswith="visitor-"
    )
    assert bought.product == Product.objects.get(store=market, external_id="milk")
    assert (bought.quantity, bought.price_minor) == (2, 250)
    assert str(bought.order_id) in page.content()
    assert violations() == []


def test_a_household_is_picked_and_the_shop_says_what_it_knows(
    page: Page, live_server: Any, market: Store
) -> None:
    asked = stub_recommendations(page)
    page.goto(live_server.url + "/shop/")
    expect(page.locator(".demo__who")).to_contain_text("knows nothing about you yet")
    page.get_by_text("Shop as somebody else").click()
    page.get_by_role("button", name="Household 7").click()
    expect(page.locator(".demo__who")).to_contain_text(
        "household 7 · 2 orders, mostly Dairy & eggs, Bakery"
    )
    eventually(lambda: asked[-1]["shopper_id"] == "household-7", page)
    page.get_by_role("button", name="As a new visitor").click()
    expect(page.locator(".demo__who")).to_contain_text("a new visitor")
    eventually(lambda: asked[-1]["shopper_id"].startswith("visitor-"), page)


def test_a_qa_link_shows_its_variant_through_the_shop_and_leaves_no_trace(
    page: Page, live_server: Any, market: Store, violations: Callable[[], list[str]]
) -> None:
    names = [f"tea-{n}" for n in range(6)]
    for name in names:
        make_product(market, name, title=f"Tea {name}", url=f"/shop/products/{name}/")
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=market, slug="home-trending"
    )
    teas = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "handpicked", "weight": 1}], "handpicked": names},
    )
    draft = make_experiment(
        market, [placement], [None, teas], state=Experiment.State.DRAFT, key="teas"
    )
    variant = draft.variants.get(key="b")
    token = qa_token(bytes(market.signing_secret), draft.pk, variant.pk)
    n_before = Event.objects.count()

    page.goto(f"{live_server.url}/shop/?vitrine_qa={token}")
    row = page.locator("vitrine-recommendations[placement=home-trending]")
    expect(row).to_have_attribute("state", "ready")
    expect(row).to_have_attribute("data-qa", "teas/b")
    expect(row.locator("li")).to_have_count(6)
    picture = os.environ.get("VITRINE_PICTURES")
    if picture:
        page.screenshot(path=f"{picture}/qa.png", full_page=True)
    row.locator("a").first.click()
    page.wait_for_url("**/shop/products/tea-*/")
    page.get_by_role("button", name="Add to cart").first.click()
    expect(page.locator("[data-cart-count]")).to_have_text("1")
    page.goto(f"{live_server.url}/shop/")
    expect(row).to_have_attribute("data-qa", "teas/b")
    page.wait_for_timeout(1500)  # long enough for a view
    IMPRESSIONS.flush()
    assert Event.objects.count() == n_before
    assert not Impression.objects.exists()
    assert not Exposure.objects.exists()

    page.goto(f"{live_server.url}/shop/products/tea-1/?vitrine_qa=off")
    eventually(lambda: Event.objects.count() > n_before, page)
    page.goto(f"{live_server.url}/shop/")
    expect(row).to_have_attribute("state", "empty")
    assert row.get_attribute("data-qa") is None
    assert violations() == []
