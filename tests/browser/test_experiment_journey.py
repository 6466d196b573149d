"""A marketer's test from the plan to the shipped winner, with the shoppers in between.

Two weeks are travelled: what was served is moved back in time, what shoppers did is written down as
of those days, and the worker looks once a day.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analytics.models import ExperimentSnapshot, ShopperDay
from analytics.services.snapshots import snapshot_refresh
from catalog.models import Event, EventType, Member, Product, Shopper, Store, User
from recommender.models import (
    Experiment,
    Exposure,
    Impression,
    Placement,
    StrategyVersion,
    Variant,
)
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.strategies import strategy_version_create
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a-long-password"
PLACEMENT = "home-trending"
N_SHOPPERS = 800
N_DAYS = 14
CUPS = [f"cup-{i}" for i in range(12)]
KETTLES = [f"kettle-{i}" for i in range(12)]
# One in so many buys.
BUYS = {"a": 10, "b": 5}


@pytest.fixture
def placement(store: Store) -> Placement:
    """Shows cups."""
    for name in (*CUPS, *KETTLES):
        make_product(
            store,
            name,
            category_path=f"Kitchen > {name.partition('-')[0].title()}s",
            published_at=timezone.now(),
        )
    placement = Placement.objects.get(store=store, slug=PLACEMENT)
    placement.strategy_version = handpicked(placement.strategy_version, CUPS)
    placement.save()
    return placement


@pytest.fixture
def kettles(store: Store, placement: Placement) -> StrategyVersion:
    """What the marketer wants to try instead."""
    other = StrategyVersion.objects.get(store=store, strategy__key="home-for-you")
    return handpicked(other, KETTLES)


def handpicked(version: StrategyVersion, names: list[str]) -> StrategyVersion:
    return strategy_version_create(
        strategy=version.strategy,
        document={
            "sources": [{"source": "handpicked", "weight": 1}],
            "handpicked": names,
            "diversity": 0,
        },
    )


@pytest.fixture
def history(store: Store, placement: Placement) -> None:
    """Four weeks of 60 new shoppers a day, a tenth of whom bought."""
    now = timezone.now()
    shoppers = Shopper.objects.bulk_create(
        Shopper(store=store, external_id=f"earlier-{i}", first_seen_at=now, last_seen_at=now)
        for i in range(28 * 60)
    )
    days = [now - timedelta(days=1 + i // 60) for i in range(len(shoppers))]
    ShopperDay.objects.bulk_create(
        ShopperDay(store=store, day=day.date(), shopper=shopper, visited=True, bought=i % 10 == 0)
        for i, (shopper, day) in enumerate(zip(shoppers, days, strict=True))
    )
    Event.objects.bulk_create(
        Event(
            store=store,
            event_id=uuid.uuid4(),
            occurred_at=day,
            occurred_on=day.date(),
            type=EventType.PURCHASE,
            shopper=shopper,
            order_id=f"earlier-{i}",
            value_minor=2_000,
        )
        for i, (shopper, day) in enumerate(zip(shoppers, days, strict=True))
        if i % 10 == 0
    )


@pytest.fixture
def marketer(page: Page, live_server: LiveServer, store: Store) -> Page:
    """The page of a marketer who has just logged in."""
    user = User.objects.create_user("marketer@shop.example", PASSWORD)
    Member.objects.create(store=store, user=user, role=Member.Role.MARKETER)
    page.goto(f"{live_server.url}/console/login/")
    page.get_by_label("E-mail address").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Experiments", exact=True)).to_be_visible()
    return page


@pytest.fixture(autouse=True)
def nothing_waits(db: None) -> Iterator[None]:
    yield
    IMPRESSIONS.clear()


def plan(page: Page, placement: Placement, other: StrategyVersion) -> Experiment:
    """From the list of experiments to the draft."""
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("link", name="New experiment").first.click()
    page.get_by_label("Name", exact=True).fill("Kettles instead of cups")
    page.get_by_label("Hypothesis").fill(
        "Because cups are known, shoppers who see kettles buy more."
    )
    page.locator(f"#field-placement-{placement.pk}").check()
    page.locator(f"#field-arm_version-b-{placement.pk}").select_option(str(other.pk))
    page.get_by_role("textbox", name="Variant", exact=True).fill("Kettles")
    expect(page.get_by_label("Decided by")).to_have_value("conversion_rate")
    page.get_by_label("Smallest lift worth finding").fill("60")
    page.get_by_label("Planned length").fill(str(N_DAYS))
    planner = page.get_by_role("complementary", name="How long it takes")
    expect(planner).to_contain_text(re.compile(r"At today.s traffic"))
    expect(planner.locator("tr.plan__chosen")).to_contain_text("2 weeks")
    page.get_by_label("Diversity of a list", exact=True).uncheck()
    page.get_by_label("Latency (p95)", exact=True).uncheck()
    page.get_by_label("Revenue per shopper", exact=True).check()
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Kettles instead of cups")
    experiment = Experiment.objects.get(store_id=placement.store_id)
    # Who gets into which arm is the same in every run.
    Experiment.objects.update(seed="a journey")
    return experiment


def answer(headers: dict[str, str], shopper: str) -> dict[str, Any]:
    """What the shop's page gets for a shopper."""
    response = Client().post(
        "/v1/recommendations",
        {"placements": [{"slug": PLACEMENT}], "shopper_id": shopper},
        content_type="application/json",
        headers=headers,
    )
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()["recommendations"][0]
    return found


def names_of(found: dict[str, Any]) -> set[str]:
    """Kinds of products in an answer."""
    return {item["product_id"].partition("-")[0] for item in found["items"]}


def serve(headers: dict[str, str], store: Store) -> None:
    """Every shopper asks once, and is a shopper of the store."""
    now = timezone.now()
    RUNTIMES.refresh()
    for i in range(N_SHOPPERS):
        answer(headers, f"shopper-{i}")
    IMPRESSIONS.flush()
    Shopper.objects.bulk_create(
        Shopper(store=store, external_id=f"shopper-{i}", first_seen_at=now, last_seen_at=now)
        for i in range(N_SHOPPERS)
    )


def travel(experiment: Experiment, products: dict[str, Product]) -> datetime:
    """Two weeks pass: shoppers come one after the other, look, click and buy. The new start."""
    started_at = timezone.now() - timedelta(days=N_DAYS, minutes=10)
    Experiment.objects.filter(pk=experiment.pk).update(started_at=started_at)
    experiment.phases.update(started_at=started_at)
    shoppers = {
        each.external_id: each for each in Shopper.objects.filter(external_id__startswith="shopper")
    }
    keys = dict(Variant.objects.filter(experiment=experiment).values_list("pk", "key"))
    counts = dict.fromkeys(BUYS, 0)
    events: list[Event] = []
    for i, exposure in enumerate(
        Exposure.objects.filter(experiment_id=experiment.pk).order_by("exposed_at")
    ):
        at = started_at + timedelta(minutes=5) + i * timedelta(days=N_DAYS - 1) / N_SHOPPERS
        shopper, key = shoppers[exposure.shopper_external_id], keys[exposure.variant_id]
        mine = Exposure.objects.filter(
            experiment_id=experiment.pk, shopper_external_id=shopper.external_id
        )
        mine.update(exposed_at=at)
        assert exposure.recommendation_id is not None
        Impression.objects.filter(recommendation_id=exposure.recommendation_id).update(
            delivered_at=at, delivered_on=at.date()
        )
        shown = products["kettle-0" if key == "b" else "cup-0"]
        did = [EventType.RECOMMENDATION_VIEW, EventType.VIEW_ITEM]
        if counts[key] % (BUYS[key] - 1) == 0:
            did += [EventType.RECOMMENDATION_CLICK, EventType.ADD_TO_CART]
        if counts[key] % BUYS[key] == 0:
            did.append(EventType.PURCHASE)
        counts[key] += 1
        for seconds, kind in enumerate(did, start=1):
            is_about_list = kind in (EventType.RECOMMENDATION_VIEW, EventType.RECOMMENDATION_CLICK)
            events.append(
                Event(
                    store_id=experiment.store_id,
                    event_id=uuid.uuid4(),
                    occurred_at=at + timedelta(seconds=seconds),
                    occurred_on=(at + timedelta(seconds=seconds)).date(),
                    type=kind,
                    shopper=shopper,
                    product=shown,
                    recommendation_id=exposure.recommendation_id if is_about_list else None,
                    order_id=f"order-{i}" if kind == EventType.PURCHASE else None,
                    value_minor=2_000 if kind == EventType.PURCHASE else None,
                )
            )
    Event.objects.bulk_create(events)
    return started_at


def watch(experiment: Experiment, started_at: datetime) -> None:
    """What the worker does, but once a day only: to the planned end, and now."""
    moments = [started_at + timedelta(days=day, minutes=1) for day in range(1, N_DAYS + 1)]
    for now in (*moments, timezone.now()):
        snapshot_refresh(
            experiment=Experiment.objects.select_related("store").get(pk=experiment.pk), now=now
        )


@pytest.mark.usefixtures("history")
def test_a_marketer_plans_starts_watches_reads_the_verdict_and_ships(
    marketer: Page,
    live_server: LiveServer,
    store: Store,
    placement: Placement,
    kettles: StrategyVersion,
    publishable_key: str,
) -> None:
    page, headers = marketer, {"Authorization": f"Bearer {publishable_key}"}
    experiment = plan(page, placement, kettles)

    page.get_by_role("link", name="Start …").click()
    expect(page.get_by_role("heading", name="What shoppers will see")).to_be_visible()
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_role("status")).to_contain_text("“Kettles instead of cups” runs.")
    serve(headers, store)
    in_arms = Exposure.objects.filter(experiment_id=experiment.pk).values_list(
        "variant_id", flat=True
    )
    assert len(in_arms) == N_SHOPPERS
    assert len(set(in_arms)) == 2

    products = {each.external_id: each for each in Product.objects.filter(store=store)}
    watch(experiment, travel(experiment, products))
    kinds = set(
        ExperimentSnapshot.objects.filter(experiment=experiment).values_list("kind", flat=True)
    )
    assert kinds == {"latest", "day", "found", "planned_end"}

    page.goto(f"{live_server.url}/console/{store.slug}/experiments/{experiment.key}/")
    badge = page.locator(".title-line .badge")
    expect(badge).to_have_text("Ship now")
    verdict = page.locator(".verdict__sentence")
    expect(verdict).to_contain_text("Kettles lifts conversion rate by 101.3 %")
    expect(verdict).to_contain_text("Guardrails are fine. Ship Kettles.")
    expect(page.locator(".health .health__line--bad, .health .health__line--warn")).to_have_count(0)

    # The same differently looked at; the address says how, and the verdict stays.
    change = page.locator(".score__row--primary .score__change")
    expect(change).to_have_text("+101.3 %")
    page.get_by_role("link", name="Absolute", exact=True).click()
    expect(change).to_have_text("+10.16 points")
    page.get_by_role("link", name="Off", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?scale=absolute&cuped=off$"))
    expect(page.get_by_role("link", name="Off", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    expect(verdict).to_contain_text("101.3 %")

    # Beside what it sells, what it shows.
    panel = page.get_by_role("region", name="What it sells, and what it shows")
    coverage = panel.locator(".dial", has_text="Catalog coverage")
    expect(coverage.locator(".dial__value")).to_have_text(["41.7 %", "41.7 %"])
    diversity = panel.locator(".dial", has_text="Diversity of a list")
    expect(diversity).to_contain_text("not enough data")
    expect(diversity).to_contain_text("content model")

    decide = page.locator("#decide")
    expect(decide.get_by_label("Ship Kettles")).to_be_checked()
    decide.get_by_label("Why?").fill("Twice as many buy, and nothing else got worse.")
    decide.get_by_role("button", name="Decide").click()
    expect(page.get_by_role("status").first).to_contain_text("“Kettles” is shipped")

    # The next request of anybody, those who saw cups included.
    RUNTIMES.refresh()
    for shopper in ("shopper-0", "shopper-1", "shopper-2", "shopper-3", "a-new-one"):
        found = answer(headers, shopper)
        assert (names_of(found), found["experiment"]) == ({"kettle"}, None)
    IMPRESSIONS.flush()
    shown = Impression.objects.filter(store=store, shopper_external_id="a-new-one").get()
    assert (shown.strategy_version_id, shown.experiment_id) == (kettles.pk, None)
    assert Exposure.objects.filter(experiment_id=experiment.pk).count() == N_SHOPPERS

    expect(badge).to_have_text("Shipped Kettles")
    decision = page.get_by_role("region", name=re.compile("^Decision"))
    expect(decision).to_contain_text("Twice as many buy, and nothing else got worse.")
    expect(decision).to_contain_text("marketer@shop.example")
    page.get_by_role("link", name="Decision", exact=True).click()
    expect(page.get_by_text("Results as they were at the decision")).to_be_visible()
    expect(verdict).to_contain_text("Kettles lifts conversion rate by 101.3 %")
