"""A merchant's day without a mouse: every key goes to the page, and what has the focus shows it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Member, Store, User
from recommender.models import Placement, Rule, StrategyVersion
from tests.factories import make_product

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SLUG = "product-similar"
# Whether the wanted element has the focus, and what is wrong with how the focus shows.
FOCUS = """(wanted) => {
  const e = document.activeElement, box = e.getBoundingClientRect(), look = getComputedStyle(e);
  const outlined = look.outlineStyle !== "none" && !look.outlineColor.endsWith(", 0)");
  const ringed = outlined || /0px 0px 0px [1-9]/.test(look.boxShadow);
  const x = Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1);
  const y = Math.min(Math.max(box.y + box.height / 2, 0), innerHeight - 1);
  const top = document.elementFromPoint(x, y);
  const wrong = e === document.body || e === document.documentElement ? "nothing"
    : !ringed ? "no ring"
    : box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth
      ? "out of sight"
    : !(e.contains(top) || top?.contains(e)) ? "covered" : null;
  return [e === wanted, wrong && `${wrong}: ${e.outerHTML.slice(0, 200)}`];
}"""


@pytest.fixture
def two_stores(store: Store, other_store: Store, owner: User) -> Store:
    """The owner of one store is a merchant in the other, which sells something."""
    Member.objects.create(store=other_store, user=owner, role=Member.Role.MERCHANT)
    for number in range(4):
        make_product(other_store, f"mug-{number}", title=f"Mug {number}")
    return other_store


def tab_to(page: Page, wanted: Locator, *, most: int = 90) -> None:
    """Tab until the element has the focus. Wherever the focus comes by, it can be seen."""
    unseen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        there, wrong = wanted.evaluate(FOCUS)
        # After the last element the focus leaves the page, and comes back to the first.
        if wrong and not wrong.startswith("nothing"):
            unseen.append(wrong)
        if there:
            break
    else:
        raise AssertionError(f"Tab doesn't come to {wanted}")
    assert unseen == []


def enter(page: Page, wanted: Locator) -> None:
    tab_to(page, wanted)
    page.keyboard.press("Enter")


def section(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Sections").get_by_role("link", name=name)


def skip(page: Page) -> None:
    """Over the navigation, by the first link of every page."""
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the content")
    assert link.evaluate(FOCUS) == [True, None]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_merchant_works_without_a_mouse(
    page: Page, live_server: LiveServer, two_stores: Store, owner: User
) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{live_server.url}/console/{two_stores.slug}/placements/")

    # The door.
    page.keyboard.type(owner.email)
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type("a-long-password")
    enter(page, page.get_by_role("button", name="Log in"))
    page.wait_for_url("**/placements/")

    # To the other store and back: the page stays the same.
    switch = page.locator(".store-switch > summary")
    enter(page, switch)
    enter(page, page.get_by_role("navigation", name="Stores").get_by_role("link", name="Corner"))
    page.wait_for_url("**/corner/placements/")
    enter(page, switch)
    enter(page, page.get_by_role("navigation", name="Stores").get_by_role("link", name="Other"))
    page.wait_for_url("**/other/placements/")

    # A strategy: a share by arrow keys, a note, a version.
    enter(page, section(page, "Strategies"))
    page.wait_for_url("**/strategies/")
    skip(page)
    enter(page, page.get_by_role("link", name="Home: for you").first)
    page.wait_for_url("**/strategies/home-for-you/")
    enter(page, page.get_by_role("link", name="Edit with preview"))
    page.wait_for_url("**/edit/")
    skip(page)
    slider = page.get_by_role("slider", name=re.compile("share in per cent")).first
    tab_to(page, slider)
    before = float(slider.input_value())
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert float(slider.input_value()) == before - 3
    expect(page.locator("[data-mix-total]")).to_have_text("100 % in all")
    tab_to(page, page.get_by_label("Why this change?"))
    page.keyboard.type("Without a mouse")
    enter(page, page.get_by_role("button", name="Save version 2"))
    page.get_by_text("Version 2 is saved.").wait_for()
    version = StrategyVersion.objects.get(store=two_stores, strategy__key="home-for-you", number=2)
    assert version.note == "Without a mouse"
    assert round(100 * version.document["sources"][0]["weight"]) == before - 3

    # A rule, whose parts are added one by one: what was added has the focus.
    enter(page, section(page, "Campaigns"))
    page.wait_for_url("**/campaigns/")
    skip(page)
    enter(page, page.get_by_role("link", name="New rule"))
    page.wait_for_url("**/campaigns/new/")
    skip(page)
    tab_to(page, page.get_by_label("Products by"))
    page.keyboard.type("Price")
    enter(page, page.get_by_role("button", name="Add").first)
    least = page.get_by_role("group", name="Price").get_by_role("textbox").first
    expect(least).to_be_focused()
    page.keyboard.type("2")
    enter(page, page.get_by_role("button", name="Remove price"))
    expect(page.get_by_label("Products by")).to_be_focused()
    page.keyboard.type("Price")
    enter(page, page.get_by_role("button", name="Add").first)
    expect(least).to_be_focused()
    page.keyboard.type("1.50")
    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.type("What costs something")
    enter(page, page.get_by_role("button", name="Save").last)
    page.get_by_text("“What costs something” is saved.").wait_for()
    rule = Rule.objects.get(store=two_stores)
    assert rule.document["target"] == {"price_from_minor": 150}

    # A placement rests.
    enter(page, section(page, "Placements"))
    page.wait_for_url("**/placements/")
    skip(page)
    enter(page, page.get_by_role("link", name="Product: similar"))
    page.wait_for_url(f"**/{SLUG}/")
    skip(page)
    enter(page, page.get_by_role("button", name="Pause"))
    page.get_by_text("Paused: answers are empty").wait_for()
    assert Placement.objects.get(store=two_stores, slug=SLUG).paused
