"""The console in a real browser: no error, no sideways scrolling, keyboard and names."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from catalog.models import EventType, Member, Store, User
from tests.console.conftest import Shop, furnish
from tests.factories import make_event

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def shop(store: Store) -> Shop:
    return furnish(store)


def test_every_page_fits_names_its_parts_and_complains_about_nothing(
    shop: Shop, member_page: Page
) -> None:
    for address in (*shop.pages(), *shop.editor_pages()):
        member_page.goto(address)
        assert member_page.locator("h1").count() == 1, address
        sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not member_page.evaluate(sideways), address
        nameless = member_page.evaluate(
            """() => [...document.querySelectorAll("button, a, input:not([type=hidden]), select")]
              .filter((e) => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel
                || e.labels?.length || e.title || e.querySelector("img[alt], svg[aria-label]")))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == [], address
        twice = member_page.evaluate(
            """() => { const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
              return ids.filter((id, i) => ids.indexOf(id) !== i) }"""
        )
        assert twice == [], address


def test_charts_are_drawn_and_change_with_the_theme(shop: Shop, member_page: Page) -> None:
    member_page.goto("/console/corner/overview/")
    chart = member_page.locator("[data-chart='chart-orders-data']")
    chart.scroll_into_view_if_needed()
    line = chart.locator(".scatterlayer .js-line").first
    line.wait_for(state="attached")
    before = line.evaluate("element => getComputedStyle(element).stroke")
    open_menu(member_page)
    member_page.get_by_role("button", name="Change to the dark theme").click()
    member_page.wait_for_function(
        "before => getComputedStyle(document.querySelector('.js-line')).stroke !== before",
        arg=before,
    )
    # The choice outlives the page, and is there before the first paint.
    member_page.reload()
    assert member_page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_keyboard_skips_to_the_content(shop: Shop, member_page: Page) -> None:
    member_page.goto("/console/corner/models/")
    member_page.keyboard.press("Tab")
    link = member_page.get_by_role("link", name="Skip to the content")
    assert link.evaluate("element => element === document.activeElement")
    member_page.keyboard.press("Enter")
    assert member_page.evaluate("document.activeElement.id") == "main"


def test_arrow_keys_move_between_tabs(shop: Shop, member_page: Page) -> None:
    member_page.goto("/console/corner/placements/product-bought-together/")
    member_page.get_by_role("tab", name="Element").focus()
    member_page.keyboard.press("ArrowRight")
    assert member_page.get_by_role("tab", name="Script").get_attribute("aria-selected") == "true"
    assert member_page.get_by_role("tabpanel").text_content() is not None
    member_page.keyboard.press("End")
    member_page.keyboard.press("ArrowLeft")
    assert member_page.get_by_role("tab", name="Element").get_attribute("aria-selected") == "true"


def test_typing_a_search_changes_the_list_and_the_address(shop: Shop, member_page: Page) -> None:
    member_page.goto("/console/corner/catalog/")
    member_page.get_by_label("Search").fill("mug 3")
    member_page.get_by_text("1–1 of 1 products").wait_for()
    assert "q=mug+3" in member_page.url or "q=mug%203" in member_page.url


def test_new_events_appear_by_themselves_unless_paused(shop: Shop, member_page: Page) -> None:
    member_page.goto("/console/corner/overview/")
    make_event(
        shop.store, shop.shoppers[0], type=EventType.SEARCH, query="brand new", at=timezone.now()
    )
    member_page.get_by_text("“brand new”").wait_for()
    pause = member_page.get_by_role("button", name="Pause")
    pause.click()
    assert member_page.locator("#latest-events[data-paused]").count() == 1


def test_a_run_is_watched_until_it_ends(shop: Shop, member_page: Page) -> None:
    run = shop.active
    member_page.goto(f"/console/corner/models/{run.pk}/")
    bar = member_page.get_by_role("progressbar")
    assert bar.get_attribute("aria-valuenow") == "40"
    run.progress = 0.8
    run.save()
    member_page.locator("[role=progressbar][aria-valuenow='80']").wait_for()
    run.state = run.State.FAILED
    run.message = "The disk is full."
    run.save()
    member_page.get_by_text("The disk is full.").wait_for()
    assert bar.count() == 0


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(
    shop: Shop, member_page: Page, owner: User
) -> None:
    member_page.goto("/console/corner/overview/")
    if member_page.viewport_size == {"width": 1280, "height": 900}:
        assert member_page.get_by_role("navigation", name="Sections").is_visible()
        assert not member_page.get_by_role("button", name="Open the menu").is_visible()
        return
    assert not member_page.get_by_role("navigation", name="Sections").is_visible()
    member_page.get_by_role("button", name="Open the menu").focus()
    member_page.keyboard.press("Enter")
    assert member_page.get_by_role("navigation", name="Sections").is_visible()
    member_page.keyboard.press("Escape")
    assert not member_page.get_by_role("navigation", name="Sections").is_visible()
    assert Member.objects.filter(user=owner).count() == 1


def open_menu(page: Page) -> None:
    button = page.get_by_role("button", name="Open the menu")
    if button.is_visible():
        button.click()
