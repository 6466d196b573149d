"""A new merchant, from an empty store to a filled widget, reading nothing but the screen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from playwright.sync_api import Page, expect

from catalog.models import Member, Product, Store
from catalog.tasks import import_products
from recommender.models import Run
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from tests.browser.conftest import FakeShop, LogIn
from tests.feeds import google_feed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BROKEN = range(20, 1000, 33)


@pytest.fixture(autouse=True)
def import_folder() -> Iterator[None]:
    yield
    shutil.rmtree(Path(settings.IMPORT_DIR), ignore_errors=True)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports are executed where they are handed over, instead of by a worker."""

    def send(app: Celery, name: str, args: list[int], **_: Any) -> None:
        assert name == "catalog.tasks.import_products"
        import_products(*args)

    monkeypatch.setattr(Celery, "send_task", send)


@pytest.fixture
def merchant(page: Page, store: Store, log_in: LogIn) -> Page:
    """The page of a logged-in merchant."""
    log_in(store, Member.Role.MERCHANT)
    return page


def learn(store: Store) -> None:
    """What the schedule does within a minute after products have come."""
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.SCHEDULE)
    assert run_execute(run=run).state == Run.State.PUBLISHED


def test_a_new_merchant_imports_a_feed_and_sees_a_filled_widget(
    merchant: Page,
    live_server: Any,
    store: Store,
    shop: FakeShop,
    worker: None,
    tmp_path: Path,
) -> None:
    page = merchant
    feed = tmp_path / "products.xml"
    feed.write_bytes(google_feed(1_000, broken=BROKEN))

    page.goto(f"{live_server.url}/console/{store.slug}/overview/")
    page.get_by_role("link", name="Import products").click()
    page.get_by_label("Product feed").set_input_files(feed)
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("heading", name="Which column is what?")).to_be_visible()
    expect(page.get_by_label("Picture", exact=True)).to_have_value("image_link")
    expect(page.locator("#preview")).to_contain_text("Red mug 1")
    page.get_by_role("button", name="Check the file").click()

    expect(page.get_by_text("This is what the import would do.")).to_be_visible()
    tiles = page.locator(".tile")
    expect(tiles.filter(has_text="New").locator(".tile__value")).to_have_text("970")
    expect(tiles.filter(has_text="Left out").locator(".tile__value")).to_have_text("30")
    expect(page.get_by_role("region", name="Problems").locator("tbody tr").first).to_contain_text(
        "Title: is missing."
    )
    assert not Product.objects.filter(store=store).exists()
    page.get_by_role("button", name="Import 970 products").click()
    expect(page.get_by_text("970 products of the file are in the catalog.")).to_be_visible()
    learn(store)

    page.get_by_role("link", name="Get the snippet for your pages").click()
    snippet = page.locator("#snippet code").inner_text()
    page.get_by_role("link", name="Placements").first.click()
    page.locator(".placement-card", has_text="Similar").get_by_role("link").first.click()
    tag = page.locator("[role=tabpanel]:not([hidden]) code").first.inner_text()

    # What a shop does with both: its page names the product that is in view.
    tag = re.sub(r'product-id="[^"]*"', 'product-id="sku-1"', tag)
    shop.pages["/mug"] = (
        '<!doctype html><html lang="en"><head><title>Mug</title><link rel="icon" href="data:,">'
        f"{snippet}</head><body><h1>Red mug 1</h1>{tag}</body></html>"
    )
    page.goto(f"{shop.url}/mug")
    widget = page.locator("vitrine-recommendations[state=ready]")
    expect(widget).to_have_count(1)
    expect(widget).to_contain_text("mug")
    assert widget.locator("a").count() >= 4
    assert "Red mug 1\n" not in widget.inner_text()
