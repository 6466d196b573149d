"""The results of a test on paper: nothing is cut off, and a table stays a table."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Member, Store
from tests.browser.conftest import LogIn
from tests.console.results_fixture import keep, make_experiment, make_results

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

A4_LESS_MARGINS = 703


def test_the_print_view_fits_a_sheet(
    page: Page, live_server: LiveServer, store: Store, log_in: LogIn
) -> None:
    log_in(store, Member.Role.MARKETER)
    experiment = make_experiment(store)
    keep(experiment, make_results(experiment))
    page.goto(f"{live_server.url}/console/corner/experiments/{experiment.key}/?view=print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    charts = page.locator("[data-chart] svg.main-svg")
    expect(charts.first).to_be_attached()
    drawn = [box["width"] for box in map(Locator.bounding_box, charts.all()) if box is not None]
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4_LESS_MARGINS, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= A4_LESS_MARGINS
    # Charts stay as they were drawn.
    assert max(drawn) <= A4_LESS_MARGINS
    table = page.get_by_role("region", name="Scorecard, as a table").get_by_role("table")
    expect(table.get_by_role("columnheader", name="Metric")).to_be_visible()
    box = table.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= A4_LESS_MARGINS
