"""The first page."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from analytics.services.rollups import rollups_refresh
from catalog.models import EventType, Store
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.factories import make_event, make_order, make_product, make_shopper


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def overview(client: Client, query: str = "") -> str:
    answer = client.get(f"/console/corner/overview/{query}")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_an_empty_store_is_told_what_to_do_next(store: Store, client: Client) -> None:
    page = overview(client)
    assert "Setting up: 1 of 5 done" in page
    assert "Bring in the catalog" in page
    assert "No event yet." in page
    assert "Not enough data" in page


def test_the_setup_disappears_when_it_is_done(shop: Shop, client: Client) -> None:
    assert "Setting up" not in overview(client)


def test_every_figure_says_its_period_and_age(shop: Shop, client: Client) -> None:
    page = overview(client, "?days=7")
    yesterday = timezone.now().date() - timedelta(days=1)
    assert f"{yesterday.day} {yesterday:%b %Y}" in page
    assert re.search(r"as of <time [^>]*>\d\d:\d\d UTC</time>, <time [^>]* data-age>just now", page)


def test_today_stands_apart_from_the_complete_days(shop: Shop, client: Client) -> None:
    page = overview(client)
    # Three views, an order and a search today; two complete days of four events each.
    assert '<dt>events</dt><dd class="number">5</dd>' in page
    assert '<dt>Events</dt> <dd class="tile__value">8</dd>' in page


def test_days_before_the_first_one_are_not_compared_with(store: Store, client: Client) -> None:
    make_event(store, make_shopper(store, "a"), at=timezone.now() - timedelta(days=3))
    rollups_refresh(store=store, now=timezone.now())
    page = overview(client)
    assert "No days before to compare with" in page
    assert "compared with" not in page
    assert "rose" not in page


def test_the_title_of_a_chart_says_what_happened(store: Store, client: Client) -> None:
    shopper, product = make_shopper(store, "a"), make_product(store, "p")
    for days_ago in (1, 2, 3, 9, 9, 14):
        at = timezone.now() - timedelta(days=days_ago)
        make_order(store, shopper, [product], at=at)
    make_order(store, shopper, [product], at=timezone.now() - timedelta(days=4))
    rollups_refresh(store=store, now=timezone.now())
    page = overview(client, "?days=7")
    assert "Orders rose 33 % against the 7 days before" in page
    assert "Conversion can&#x27;t be told for these days" in page


def test_conversion_counts_those_whose_visit_was_seen(shop: Shop, client: Client) -> None:
    page = overview(client)
    assert "33.3 % of the visitors bought something" in page
    assert "1 buyers of 3 visitors" in page


def test_the_figure_of_a_chart_and_the_table_behind_it_agree(shop: Shop, client: Client) -> None:
    page = overview(client, "?days=7")
    found = re.search(
        r'<script id="chart-orders-data" type="application/json">(.*?)</script>', page
    )
    assert found
    figure = json.loads(found[1])
    orders = next(trace for trace in figure["data"] if trace["name"] == "Orders")
    table = page.partition('id="chart-orders-title"')[2].partition("</table>")[0]
    rows = re.findall(r'<th scope="row">[^<]*</th><td class="number">([\d,]+)</td>', table)
    assert [int(n) for n in rows] == orders["y"][::-1]
    assert sum(orders["y"]) == 2


@pytest.mark.parametrize("query", ["?days=8", "?days=x", "?until=never", "?until=2999-01-01"])
def test_a_period_that_is_not_offered_is_not_found(
    store: Store, client: Client, query: str
) -> None:
    assert client.get(f"/console/corner/overview/{query}").status_code == 404


@pytest.mark.parametrize("n_days", [7, 28, 90, 365])
def test_each_period_opens_and_marks_itself(shop: Shop, client: Client, n_days: int) -> None:
    assert f'href="?days={n_days}" aria-current="true"' in overview(client, f"?days={n_days}")


def test_data_that_ends_early_offers_the_period_up_to_its_end(store: Store, client: Client) -> None:
    at = timezone.now() - timedelta(days=60)
    make_event(store, make_shopper(store, "a"), at=at)
    rollups_refresh(store=store, now=timezone.now())
    assert f'href="?until={at.date()}"' in overview(client)
    assert "a period of the past" in overview(client, f"?until={at.date()}")


def test_the_latest_events_say_who_did_what(shop: Shop, client: Client) -> None:
    answer = client.get("/console/corner/overview/events/", headers={"HX-Request": "true"})
    page = " ".join(answer.content.decode().split())
    assert "<html" not in page
    assert "searched for “teapot”" in page
    assert "bought <a" in page
    assert "and 2 more" in page


def test_what_shoppers_send_is_only_text(store: Store, client: Client) -> None:
    evil = '<script>alert("x")</script>'
    make_event(store, make_shopper(store, evil), type=EventType.SEARCH, query=evil)
    make_event(store, make_shopper(store, "b"), unknown_product=evil)
    page = overview(client)
    assert evil not in page
    assert "&lt;script&gt;alert" in page


def test_a_held_and_a_running_model_are_named(shop: Shop, client: Client) -> None:
    page = overview(client)
    assert "Held: your decision" in page
    assert "Training" in page
    assert "Not trained" in page
