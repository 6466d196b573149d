"""A merchant builds a strategy, sees what it would show and why, saves it, and goes back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Member, Store
from recommender.models import Placement, StrategyVersion
from recommender.serving.runtime import RUNTIMES
from tests.bandit_worlds import hand_made_table
from tests.browser.conftest import FakeShop, LogIn
from tests.worlds import train_all, two_tastes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SLUG = "product-similar"
NAME = "House specials"


@pytest.fixture
def merchant(page: Page, store: Store, log_in: LogIn) -> Page:
    """The page of a logged-in merchant whose shop sells breakfast and tools."""
    two_tastes(store)
    train_all(store)
    log_in(store, Member.Role.MERCHANT)
    page.on("dialog", lambda dialog: dialog.accept())
    return page


@pytest.fixture
def shown_in_shop(
    page: Page, shop: FakeShop, live_server: LiveServer, publishable_key: str
) -> Callable[[], list[str]]:
    """What a shopper sees who opens the page of the muesli now."""
    address = shop.serve("")
    shop.pages["/"] = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Muesli</title>'
        '<link rel="icon" href="data:,">'
        f'<script defer src="{live_server.url}/static/js/vitrine.js" data-key="{publishable_key}">'
        "</script></head><body>"
        f'<vitrine-recommendations placement="{SLUG}" limit="4" product-id="muesli">'
        "</vitrine-recommendations></body>"
    )

    def look() -> list[str]:
        # A serving process does this by itself once a second.
        RUNTIMES.refresh()
        tab = page.context.new_page()
        tab.goto(address)
        titles = tab.locator("vitrine-recommendations .title")
        titles.first.wait_for()
        expect(titles.first).not_to_be_empty()
        found = titles.all_inner_texts()
        tab.close()
        return found

    return look


def total(page: Page) -> Locator:
    return page.locator("[data-mix-total]")


def shares(page: Page) -> float:
    return sum(float(field.input_value()) for field in page.locator("[data-mix-number]").all())


def with_edit(page: Page) -> Locator:
    """The preview's column of what would be shown."""
    return page.locator("#preview-result").get_by_role("region", name="With your edit")


def test_a_strategy_is_built_previewed_explained_saved_seen_live_and_taken_back(
    merchant: Page,
    live_server: LiveServer,
    store: Store,
    shown_in_shop: Callable[[], list[str]],
) -> None:
    page = merchant
    assert "Hammer of the house" not in shown_in_shop()

    # Built from a recipe: the slider of one source moves the others, and the sum stays 100.
    page.goto(f"{live_server.url}/console/corner/strategies/")
    page.get_by_role("link", name="New strategy").click()
    page.get_by_role("link", name="Product: similar").click()
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_text("More sources").click()
    slider = page.get_by_label("Handpicked, share in per cent")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(total(page)).to_have_text("100 % in all")
    assert shares(page) == pytest.approx(100)
    # A source that took everything gives it back.
    page.keyboard.press("End")
    similar = page.get_by_role("spinbutton", name=re.compile("Similar products"))
    expect(similar).to_have_value("0")
    page.keyboard.press("ArrowLeft")
    expect(similar).to_have_value("1")
    share = page.get_by_role("spinbutton", name=re.compile("Handpicked"))
    share.fill("70")
    share.press("Tab")
    expect(similar).to_have_value("30")
    page.get_by_text("Handpicked products", exact=True).click()
    handpicked = page.get_by_role("combobox", name="Products, the first first")
    for typed in ("hammer", "saw of"):
        handpicked.fill(typed)
        page.get_by_role("option", name=re.compile(f"^{typed}", re.IGNORECASE)).wait_for()
        handpicked.press("Enter")
    expect(page.locator("#field-handpicked")).to_have_value("hammer\nsaw")

    # Seen before it is saved, beside what is shown now, with the reason.
    page.get_by_label("Placement", exact=True).select_option(SLUG)
    in_view = page.get_by_label("Product in view", exact=True)
    in_view.fill("muesli")
    page.get_by_role("option", name=re.compile("Muesli of the house")).click()
    expect(with_edit(page).get_by_text("Hammer of the house").first).to_be_visible()
    now = page.locator("#preview-result").get_by_role("region", name="Now")
    expect(now.get_by_text("Hammer of the house")).to_have_count(0)
    hammer = with_edit(page).get_by_role("listitem").filter(has_text="Hammer of the house").first
    hammer.get_by_text("Why").first.click()
    expect(hammer).to_contain_text("Handpicked")
    assert not StrategyVersion.objects.filter(strategy__name=NAME).exists()

    # Saved, chosen in a placement, and there for the next shopper who opens the page.
    page.get_by_label("Why this change?").fill("Tools for everybody")
    page.get_by_role("button", name="Save").click()
    page.get_by_text(f"“{NAME}” is saved.").wait_for()
    assert "Hammer of the house" not in shown_in_shop()
    page.goto(f"{live_server.url}/console/corner/placements/{SLUG}/edit/")
    page.get_by_label("Strategy", exact=True).select_option(label=f"{NAME}, version 1")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved. Shoppers see it within a second.").wait_for()
    assert shown_in_shop()[:2] == ["Hammer of the house", "Saw of the house"]

    # A second version without the tools is live at once, too; one click goes back.
    page.goto(f"{live_server.url}/console/corner/strategies/house-specials/")
    page.get_by_role("link", name="Edit with preview").click()
    share = page.get_by_role("spinbutton", name=re.compile("Handpicked"))
    share.fill("0")
    share.press("Tab")
    assert shares(page) == pytest.approx(100)
    page.get_by_role("button", name="Save version 2").click()
    page.get_by_text("Version 2 is saved.").wait_for()
    assert "Hammer of the house" not in shown_in_shop()
    changes = page.get_by_role("listitem").filter(has_text="Handpicked removed, was 70 %")
    expect(changes.first).to_be_visible()
    page.get_by_role("button", name=re.compile("Go back to this.*version 1")).click()
    page.get_by_text("Version 3 is saved.").wait_for()
    assert shown_in_shop()[:2] == ["Hammer of the house", "Saw of the house"]
    version = Placement.objects.get(store=store, slug=SLUG).strategy_version
    assert (version.number, version.note) == (3, "Back to version 1")


def test_chance_is_told_to_learn_and_the_strategy_says_what_it_has_learned(
    merchant: Page, live_server: LiveServer, store: Store
) -> None:
    page = merchant
    strategy = f"{live_server.url}/console/corner/strategies/{SLUG}/"
    page.goto(f"{strategy}edit/")
    share = page.get_by_role("spinbutton", name="Places given to chance")
    share.fill("10")
    page.get_by_label("What chance goes by").select_option(
        label="Learn which source deserves the places"
    )
    page.get_by_role("button", name="Save version 2").click()
    page.get_by_text("Version 2 is saved.").wait_for()
    card = page.get_by_role("region", name="What exploration has learned")
    expect(card).to_contain_text("No place given to chance has been counted here yet")

    placement = Placement.objects.get(store=store, slug=SLUG)
    assert placement.strategy_version.document["explore_by"] == "bandit"
    hand_made_table(store, placement, {"also_viewed": 0.8, "similar_content": 0.2})
    page.reload()
    row = card.get_by_role("row", name=re.compile("Also viewed"))
    expect(row).to_contain_text("80")
    expect(row).to_contain_text("10 of 200")

    page.goto(f"{strategy}edit/")
    expect(page.get_by_role("spinbutton", name="Places given to chance")).to_have_value("10")
    expect(page.get_by_label("What chance goes by")).to_have_value("bandit")


def test_the_editor_works_without_a_script(
    merchant: Page, live_server: LiveServer, store: Store
) -> None:
    context = merchant.context.browser
    assert context is not None
    plain = context.new_context(
        java_script_enabled=False, storage_state=merchant.context.storage_state()
    )
    page = plain.new_page()
    page.goto(f"{live_server.url}/console/corner/strategies/{SLUG}/edit/")
    assert page.get_by_role("slider").count() == 0
    page.get_by_text("More sources").click()
    page.get_by_role("spinbutton", name=re.compile("Bestsellers")).fill("100")
    # What the pickers are made of: a field with one id a line.
    page.get_by_text("Handpicked products", exact=True).click()
    page.get_by_label("Products, the first first").fill("hammer\nsaw")
    page.get_by_role("button", name="Save version 2").click()
    page.get_by_text("Version 2 is saved.").wait_for()
    plain.close()
    version = Placement.objects.get(store=store, slug=SLUG).strategy_version
    assert [entry["weight"] for entry in version.document["sources"]] == [0.5, 0.5]
    assert version.document["handpicked"] == ["hammer", "saw"]
