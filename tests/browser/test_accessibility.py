"""Every page, read by axe-core: nothing that a reader without eyes, mouse or colours stumbles over.

The pages are those of the resolver (tests/walk.py), so that a new one is read without being named
here. Each is read twice: light on a desk, dark on a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any, cast

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Member, Product, Store
from catalog.selectors.keys import publishable_key
from catalog.selectors.products import category_tree, shelves_forget
from catalog.services.invitations import invitation_create
from recommender.models import Placement
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.runtime import RUNTIMES
from tests.walk import Address, World, addresses, furnished, values_for, words_of
from tests.walk import browser as client_of

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
Readers = dict[str, Page]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
READ = """window.readPage = async (tags) => {
  // Parts that arrive after the page are there, and colours have stopped changing.
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const missing = ".htmx-request, vitrine-recommendations:not([state])";
  do await frame(); while (document.querySelector(missing));
  await Promise.allSettled(document.getAnimations().map((each) => each.finished));

  const found = await axe.run(document, {
    runOnly: tags, resultTypes: ["violations"], preload: false,
  });
  const wrong = found.violations.flatMap(({ id, impact, nodes }) => nodes.map((node) =>
    `${impact} ${id}: ${node.target.join(" ")}: ${[...node.any, ...node.all, ...node.none]
      .map((check) => check.message).join("; ")}`));

  // What the keyboard can reach shows that it is there: by a ring of its own or around its box.
  const ringed = (e) => {
    const { outlineStyle, outlineColor, boxShadow } = getComputedStyle(e);
    return (outlineStyle !== "none" && !outlineColor.endsWith(", 0)"))
      || /0px 0px 0px [1-9]/.test(boxShadow);
  };
  const reachable = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  for (const e of document.querySelectorAll(reachable)) {
    if (!e.checkVisibility({ visibilityProperty: true }) || e.disabled || e.tabIndex < 0) continue;
    e.focus({ preventScroll: true });
    const boxes = [e, e.parentElement, e.parentElement.parentElement];
    if (e === document.activeElement && !boxes.some(ringed))
      wrong.push(`no ring: ${e.outerHTML.slice(0, 200)}`);
  }
  return wrong;
}"""
LOOKS: dict[str, dict[str, Any]] = {
    "light, 1280 px": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark, 390 px": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}


@pytest.fixture
def world(store: Store) -> World:
    """A demo store with one of everything, whose placements show its newest products."""
    store.is_demo = True
    store.save()
    made = furnished(store)
    Product.objects.filter(store=store).update(list_price_minor=300, published_at=timezone.now())
    newest = strategy_version_create(
        strategy=made.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 1}], "diversity": 0,
                  "fallback": ["new_arrivals"]},
    )  # fmt: skip
    Placement.objects.filter(store=store).update(strategy_version=newest, n_minimum=1)
    settings_touch(store_id=store.pk)
    RUNTIMES.clear()
    shelves_forget()
    return made


@pytest.fixture
def client(world: World) -> Client:
    """The owner, who has bought something in the shop and has something else in the cart."""
    client = client_of(world.owner)
    for product in world.shop.products[:2]:
        client.post("/shop/checkout/", {"delivery": "pickup"})
        client.post("/shop/cart/add/", {"product_id": product.external_id})
    return client


@pytest.fixture
def readers(browser: Browser, live_server: LiveServer, client: Client) -> Iterator[Readers]:
    """A page of the owner for each look; it carries axe, which the pages' policy wouldn't let in."""
    contexts = {
        look: browser.new_context(base_url=live_server.url, bypass_csp=True, **options)
        for look, options in LOOKS.items()
    }
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    for context in contexts.values():
        context.add_init_script(f"{AXE};{READ}")
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )
        context.set_default_timeout(10_000)
    yield {look: context.new_page() for look, context in contexts.items()}
    for context in contexts.values():
        context.close()


def read(readers: Readers, paths: Iterable[str]) -> dict[str, list[str]]:
    """What is wrong with which page in which look."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for page in readers.values():
            page.goto(path)
            # Not waited for: the next page is opened while this one is read.
            page.evaluate("tags => { window.reading = readPage(tags) }", RULES)
        for look, page in readers.items():
            if wrong := page.evaluate("reading"):
                found[f"{path} ({look})"] = wrong
    return found


def pages_of(client: Client, world: World, area: list[Address], **instead: str) -> Iterator[str]:
    """Those of the addresses that answer GET with a whole page; all of them answer something."""
    for address in area:
        path = address.path(values_for(address, world) | instead)
        answer = client.get(path)
        assert answer.status_code in (200, 301, 302, 405), (path, answer.status_code)
        if answer.status_code == 200 and words_of(cast(HttpResponse, answer)).lstrip().startswith(
            "<!doctype html"
        ):
            yield path


def test_every_page_of_the_console_can_be_read_by_everybody(
    readers: Readers, client: Client, world: World
) -> None:
    assert read(readers, pages_of(client, world, addresses("console"))) == {}


def test_every_page_of_the_shop_can_be_read_by_everybody(
    readers: Readers, client: Client, world: World
) -> None:
    outside = [address for address in addresses("outside") if address.name.startswith("shop:")]
    paths = pages_of(
        client,
        world,
        outside,
        slug_path=category_tree(store=world.store).shelves[0].slug_path,
        order_id=client.session["shop_orders"][0]["id"],
    )
    searches = ["/shop/search/?q=mug", "/shop/search/?q=nothinglikeit", "/shop/products/none/"]
    assert read(readers, [*paths, *searches]) == {}
    for page in readers.values():
        page.goto("/shop/")
        expect(page.locator("vitrine-recommendations[state=ready] .card").first).to_be_visible()


def test_the_doors_can_be_read_by_everybody(
    readers: Readers, browser: Browser, client: Client, world: World, other_store: Store
) -> None:
    Member.objects.create(store=other_store, user=world.owner, role=Member.Role.VIEWER)
    _, token = invitation_create(store=other_store, role="viewer", note="", actor=world.owner)
    inside = ["/console/", "/console/new/", f"/console/{other_store.slug}/audit/", "/console/none/"]
    strangers = ["/console/login/", f"/invitations/{token}/", "/invitations/unknown/"]
    found = read(readers, inside)
    for page in readers.values():
        page.context.clear_cookies()
    assert found | read(readers, strangers) == {}


def test_a_fragment_in_a_page_can_be_read_by_everybody(
    readers: Readers, live_server: LiveServer, client: Client, world: World
) -> None:
    """The fragment brings no style: it is read in the plainest page that there is."""
    answer = client.get(
        "/v1/placements/home-trending/fragment",
        headers={"Authorization": f"Bearer {publishable_key(world.store)}"},
    )
    fragment = answer.content.decode()
    assert fragment.count("<li") == len(world.shop.products)
    for page in readers.values():
        page.route(
            "**/plain",
            lambda route: route.fulfill(
                content_type="text/html; charset=utf-8",
                body='<!doctype html><html lang="en"><title>Shop</title><style>:root {color-scheme:'
                f" light dark}}</style><main><h1>Shop</h1>{fragment}</main></html>",
            ),
        )
    assert read(readers, ["/plain"]) == {}
