"""Choosing values of the catalog: by mouse, by keyboard alone, and rules that change places."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Member, Store
from recommender.models import Rule
from tests.browser.conftest import LogIn
from tests.factories import make_product

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def merchant(page: Page, store: Store, log_in: LogIn) -> Page:
    """The page of a logged-in merchant who sells tea."""
    make_product(store, "green", title="Green tea", brand="Uji", category_path="Drinks > Tea")
    make_product(store, "black", title="Black tea", brand="Assam", category_path="Drinks > Tea")
    make_product(store, "mug", title="Mug", brand="Assembly", category_path="Kitchen")
    log_in(store, Member.Role.MERCHANT)
    return page


def open_rule(page: Page, live_server: LiveServer, part: str) -> Locator:
    """A new rule with a field for one part of its target; answers its combobox."""
    page.goto(f"{live_server.url}/console/corner/campaigns/new/")
    page.get_by_label("Products by", exact=True).select_option(part)
    page.get_by_role("button", name="Add").first.click()
    return page.locator(f"#field-{part}-search")


def chips(page: Page, name: str) -> Locator:
    return page.locator(f"#field-{name} + .picker__box").locator("[data-picker-chips] > li")


def test_brands_are_chosen_by_keyboard_alone(merchant: Page, live_server: LiveServer) -> None:
    page = merchant
    search = open_rule(page, live_server, "brands")
    posted = page.locator("#field-brands")
    expect(posted).to_be_hidden()
    expect(search).to_have_role("combobox")
    expect(search).to_have_accessible_name("Brand")
    search.focus()
    expect(search).to_have_attribute("aria-expanded", "false")

    # The arrows open the list and go through it, around its ends.
    search.press("ArrowDown")
    options = page.locator("#field-brands-list [role=option]")
    expect(options).to_have_count(3)
    expect(search).to_have_attribute("aria-expanded", "true")
    assert search.get_attribute("aria-activedescendant") is None
    search.press("ArrowUp")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    assert search.get_attribute("aria-activedescendant") == options.nth(2).get_attribute("id")
    search.press("ArrowDown")
    expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    expect(options.nth(2)).to_have_attribute("aria-selected", "false")

    # Escape closes the list and changes nothing; once more empties the field.
    search.press_sequentially("ass")
    expect(options).to_have_count(3)
    expect(options.first).to_have_attribute("aria-selected", "true")
    search.press("Escape")
    expect(search).to_have_attribute("aria-expanded", "false")
    expect(search).to_have_value("ass")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(posted).to_have_value("")

    # Enter takes the one that is marked, and the form follows.
    search.press_sequentially("ass")
    expect(search).to_have_attribute("aria-expanded", "true")
    expect(options.first).to_contain_text("Assam")
    search.press("ArrowDown")
    search.press("Enter")
    expect(posted).to_have_value("Assembly")
    expect(search).to_have_value("")
    expect(page.get_by_text("Boost products of brand Assembly × 2.")).to_be_visible()

    # Faster than the answer: the best of what comes.
    search.press_sequentially("uj")
    search.press("Enter")
    expect(posted).to_have_value("Assembly\nUji")
    expect(chips(page, "brands")).to_have_count(2)

    # What no product has is taken as typed, and pointed out.
    search.press_sequentially("Nobody & Sons")
    expect(options.last).to_contain_text("Use “Nobody & Sons” as typed")
    search.press("Enter")
    odd = chips(page, "brands").last
    expect(odd).to_contain_text("No product is of this brand")

    # Backspace in the empty field takes the last one away again, and says so.
    search.press("Backspace")
    expect(posted).to_have_value("Assembly\nUji")
    expect(chips(page, "brands")).to_have_count(2)
    status = page.locator("#field-brands + .picker__box").get_by_role("status")
    expect(status).to_have_text("Nobody & Sons removed")
    # A chip's button is reached by Tab, and gives the focus back.
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove Uji")).to_be_focused()
    page.keyboard.press("Enter")
    expect(posted).to_have_value("Assembly")
    expect(search).to_be_focused()


def test_products_are_chosen_by_mouse_pasted_and_saved(
    merchant: Page, live_server: LiveServer
) -> None:
    page = merchant
    page.set_viewport_size({"width": 390, "height": 844})
    search = open_rule(page, live_server, "product_ids")
    posted = page.locator("#field-product_ids")
    search.click()
    expect(page.locator("#field-product_ids-list [role=option]")).to_have_count(3)
    search.press_sequentially("tea")
    green = page.get_by_role("option", name=re.compile("Green tea"))
    expect(green).to_contain_text("green · Uji · $2.50")
    green.click()
    expect(posted).to_have_value("green")
    chip = chips(page, "product_ids").first
    expect(chip).to_contain_text("Green tea")
    expect(chip).to_contain_text("$2.50")

    # A list of ids, as it comes out of a spreadsheet.
    search.evaluate(
        """(field) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text", "black, mug\\nlost");
          field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }"""
    )
    expect(posted).to_have_value("green\nblack\nmug\nlost")
    expect(chips(page, "product_ids").last).to_contain_text("No product has this id")
    page.get_by_role("button", name="Remove lost").click()
    expect(posted).to_have_value("green\nblack\nmug")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    # What was only typed isn't lost by leaving the field; a part that is added keeps the rest.
    page.get_by_label("Products by", exact=True).select_option("categories")
    page.get_by_role("button", name="Add").first.click()
    expect(chips(page, "product_ids")).to_have_count(3)
    page.locator("#field-categories-search").press_sequentially("drinks")
    suggested = page.locator("#field-categories-list [role=option]")
    expect(suggested.last).to_contain_text("Use “drinks” as typed")
    expect(suggested.first).to_contain_text("Drinks")
    page.get_by_role("textbox", name="Name").fill("Tea week")
    expect(page.locator("#field-categories")).to_have_value("Drinks")
    page.get_by_role("button", name="Save").last.click()
    page.get_by_text("“Tea week” is saved.").wait_for()
    target = Rule.objects.get().document["target"]
    assert target["product_ids"] == ["green", "black", "mug"]
    assert target["categories"] == ["Drinks"]


@pytest.fixture
def three_rules(merchant: Page, live_server: LiveServer, store: Store) -> Page:
    """The list of three rules, "First" to "Third"."""
    for position, name in enumerate(("First", "Second", "Third")):
        Rule.objects.create(
            store=store, name=name, position=position,
            document={"action": {"type": "exclude"}, "target": {"product_ids": ["mug"]}},
        )  # fmt: skip
    merchant.goto(f"{live_server.url}/console/corner/campaigns/")
    return merchant


def test_a_rule_moves_by_keyboard_and_the_focus_moves_with_it(three_rules: Page) -> None:
    page = three_rules
    titles = page.locator(".rule h2")
    expect(titles).to_have_text(["First", "Second", "Third"])
    up = page.get_by_role("button", name=re.compile("Move “Third” up"))
    up.focus()
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["First", "Third", "Second"])
    expect(page.locator("#rules-order")).to_have_text("“Third” is number 2 of 3 now.")
    expect(up).to_be_focused()
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["Third", "First", "Second"])
    expect(up).to_be_focused()
    # At the top there is nowhere to go.
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["Third", "First", "Second"])
    assert list(Rule.objects.order_by("position").values_list("name", flat=True)) == [
        "Third", "First", "Second"
    ]  # fmt: skip


def test_a_press_right_after_a_move_moves_the_rule_again_without_a_reload(
    three_rules: Page,
) -> None:
    page = three_rules
    page.evaluate(
        """() => {
          window.sameDocument = true;
          const exchanged = new MutationObserver(() => {
            exchanged.disconnect();
            document.querySelector("[aria-label^='Move “Third” up']").click();
          });
          exchanged.observe(document.querySelector("#rules").parentElement, { childList: true });
        }"""
    )
    page.get_by_role("button", name=re.compile("Move “Third” up")).click()
    expect(page.locator(".rule h2")).to_have_text(["Third", "First", "Second"])
    assert page.evaluate("window.sameDocument")
