"""The Lab in a real browser: asked, watched, read, used; on a small shop with both kinds of past."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Page, expect

from catalog.models import Store
from recommender.console import lab as lab_pages
from recommender.models import LabRun, Strategy
from recommender.services.lab_running import lab_execute
from recommender.services.lab_shelf import QUICK
from tests.factories import make_event
from tests.worlds import TwoTastes, two_tastes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(store: Store) -> TwoTastes:
    found = two_tastes(store, shoppers_per_taste=30)
    for number, (name, shopper) in enumerate(found.shoppers.items()):
        taste = "milk muesli honey" if name.startswith("breakfast") else "nails hammer saw"
        for step, product in enumerate(taste.split()):
            at = timezone.now() - timedelta(hours=24 + 14 * number - step / 60)
            make_event(store, shopper, found.products[product], at=at, session_id=f"s{number}")
    return found


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """Comparisons are made in a thread, as a worker would, a little slower than they could be."""
    threads: list[threading.Thread] = []

    def compare(run: LabRun) -> None:
        def dawdle(step: str, share: float) -> None:
            time.sleep(0.25 if "learning" in step else 0)

        try:
            lab_execute(run=LabRun.objects.get(pk=run.pk), say=dawdle)
        finally:
            connections.close_all()

    def hand_over(*, run: LabRun) -> None:
        threads.append(threading.Thread(target=compare, args=(run,)))
        threads[-1].start()

    monkeypatch.setattr(lab_pages, "lab_hand_over", hand_over)
    monkeypatch.setattr(lab_pages, "run_hand_over", lambda *, run: None)
    yield threads
    for thread in threads:
        thread.join(timeout=60)


def test_the_quick_methods_are_compared_with_progress_and_one_is_used(
    world: TwoTastes, store: Store, worker: list[threading.Thread], member_page: Page
) -> None:
    member_page.goto("/console/corner/lab/")
    expect(member_page.get_by_role("checkbox", checked=True)).to_have_count(len(QUICK))
    member_page.get_by_label("Next purchases", exact=False).check()
    member_page.get_by_label("Minutes for all of them").fill("0.3")
    member_page.get_by_role("button", name="Compare").click()
    member_page.wait_for_url("**/lab/*/")

    bar = member_page.get_by_role("progressbar", name="Progress of the comparison")
    seen = {bar.get_attribute("aria-valuenow")}
    member_page.get_by_text("Best so far").wait_for()
    seen.add(bar.get_attribute("aria-valuenow"))
    assert len(seen) == 2
    fits(member_page)

    member_page.get_by_role("heading", name="finds the most").wait_for()
    table = member_page.get_by_role("table", name="Methods, the best first by recall")
    expect(table.get_by_role("row")).to_have_count(1 + 8)
    member_page.get_by_text("2 not measured").click()
    expect(member_page.get_by_text("there are no sessions to learn from.").first).to_be_visible()
    chart = member_page.locator("[data-chart='lab-plot-data']")
    chart.scroll_into_view_if_needed()
    chart.locator(".scatterlayer .point").first.wait_for(state="attached")
    expect(chart.locator(".scatterlayer .point")).to_have_count(8)
    fits(member_page)

    use = member_page.get_by_role("button", name=re.compile("Use this.*Truncated SVD"))
    use.focus()
    member_page.keyboard.press("Enter")
    member_page.wait_for_url("**/strategies/*/edit/")
    assert Strategy.objects.filter(store=store, name="Lab: Truncated SVD").exists()
    expect(member_page.get_by_text("in no placement yet")).to_be_visible()


def test_a_comparison_can_be_left_found_again_and_cancelled(
    world: TwoTastes, store: Store, worker: list[threading.Thread], member_page: Page
) -> None:
    member_page.goto("/console/corner/lab/")
    member_page.get_by_role("button", name="Compare").click()
    member_page.wait_for_url("**/lab/*/")
    member_page.goto("/console/corner/overview/")
    member_page.goto("/console/corner/lab/")
    expect(member_page.get_by_role("button", name="Compare")).to_be_enabled()
    member_page.get_by_role("button", name="Cancel").click()
    member_page.get_by_text("Cancelled").first.wait_for()
    assert LabRun.objects.get(store=store).state == LabRun.State.CANCELLED


def fits(page: Page) -> None:
    """Nothing scrolls sideways but tables in their frames."""
    sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(sideways)
