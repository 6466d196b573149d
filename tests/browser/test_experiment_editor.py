"""Planning an experiment by keyboard: the fields follow what is chosen, the plan what is typed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analytics.models import ShopperDay
from catalog.models import Member, Shopper, Store, User
from recommender.models import Experiment, Placement, StrategyVersion

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a-long-password"


@pytest.fixture
def marketer(store: Store) -> User:
    user = User.objects.create_user("marketer@shop.example", PASSWORD)
    Member.objects.create(store=store, user=user, role=Member.Role.MARKETER)
    return user


@pytest.fixture
def history(store: Store) -> None:
    """Two weeks of 60 new shoppers a day; none of them bought, so that no plan can be made."""
    now = timezone.now()
    shoppers = Shopper.objects.bulk_create(
        Shopper(store=store, external_id=f"{i}", first_seen_at=now, last_seen_at=now)
        for i in range(14 * 60)
    )
    ShopperDay.objects.bulk_create(
        ShopperDay(
            store=store,
            day=now.date() - timedelta(days=1 + place // 60),
            shopper=shopper,
            visited=True,
            bought=False,
        )
        for place, shopper in enumerate(shoppers)
    )


@pytest.mark.usefixtures("history")
def test_a_marketer_plans_and_starts_an_experiment_without_a_mouse(
    page: Page, live_server: LiveServer, store: Store, marketer: User
) -> None:
    placement = Placement.objects.get(store=store, slug="product-similar")
    other = StrategyVersion.objects.get(store=store, strategy__key="home-trending")
    page.goto(f"{live_server.url}/console/login/?next=/console/{store.slug}/experiments/new/")
    page.get_by_label("E-mail address").fill(marketer.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Name", exact=True).fill("Brighter mix")
    plan = page.get_by_role("complementary", name="How long it takes")
    expect(plan).to_contain_text("Choose a placement")

    # A placement brings the fields of what each arm shows there, and keeps the focus.
    box = page.locator(f"#field-placement-{placement.pk}")
    box.focus()
    page.keyboard.press("Space")
    shows = page.locator(f"#field-arm_version-b-{placement.pk}")
    expect(shows).to_be_visible()
    expect(box).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Brighter mix")
    expect(plan).to_contain_text("Not enough data for a plan")

    shows.select_option(str(other.pk))
    page.get_by_role("button", name="Add a variant").focus()
    page.keyboard.press("Enter")
    third = page.get_by_role("textbox", name="Variant", exact=True).nth(1)
    expect(third).to_have_value("Variant C")
    expect(shows).to_have_value(str(other.pk))
    remove = page.get_by_role("button", name="Remove Variant C")
    remove.focus()
    page.keyboard.press("Enter")
    expect(remove).to_have_count(0)

    # Enter saves, wherever the focus is in a field.
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Brighter mix")
    start = page.get_by_role("link", name="Start …")
    start.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What shoppers will see")).to_be_visible()
    page.get_by_role("button", name="Start the experiment").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("“Brighter mix” runs.")
    assert Experiment.objects.get(store=store).state == Experiment.State.RUNNING
