"""What can be wrong with an experiment, planted: each is shown or absorbed, in the page's words."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

import pytest
from django.test import Client

from analytics.results.document import Check, Results
from analytics.services.snapshots import snapshot_refresh
from catalog.models import Event, EventType, Shopper, Store
from recommender.models import Experiment, Exposure, Impression
from tests.conftest import MemberClient
from tests.experiment_worlds import START, ShopOfTests, make_shop
from tests.factories import days

PER_ARM = 400
MINUTES = timedelta(minutes=5)
BOUGHT = START + days(6)
LATER = START + days(9)


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    return make_shop(store, key="planted", cuped=False)


def expose(shop: ShopOfTests, arm: int, n: int = PER_ARM) -> None:
    """So many shoppers of an arm, called "a0" or "b0" and so on, within the first four days."""
    names = {f"{'ab'[arm]}{i}": uuid.uuid4() for i in range(n)}
    moments = {name: START + timedelta(minutes=14 * i) for i, name in enumerate(names)}
    Shopper.objects.bulk_create(
        Shopper(store=shop.store, external_id=name, first_seen_at=START, last_seen_at=START)
        for name in names
    )
    Exposure.objects.bulk_create(
        Exposure(
            store_id=shop.store.pk,
            experiment_id=shop.experiment.pk,
            shopper_external_id=name,
            variant_id=shop.variants[arm].pk,
            exposed_at=moments[name],
            recommendation_id=recommendation_id,
        )
        for name, recommendation_id in names.items()
    )
    Impression.objects.bulk_create(
        Impression(
            store=shop.store,
            recommendation_id=recommendation_id,
            placement_id=shop.placement.pk,
            strategy_version_id=shop.placement.strategy_version_id,
            shopper_external_id=name,
            experiment_id=shop.experiment.pk,
            variant_id=shop.variants[arm].pk,
            product_ids=[product.pk for product in shop.products],
            sources=["trending"] * len(shop.products),
            propensities=[1.0] * len(shop.products),
            delivered_at=moments[name],
            delivered_on=moments[name].date(),
            took_us=1_000,
        )
        for name, recommendation_id in names.items()
    )


def buy(shop: ShopOfTests, arm: int, buyers: range, *, at: datetime = BOUGHT) -> None:
    """One order of 10.00 of each of them, named after the shopper and the day."""
    names = [f"{'ab'[arm]}{i}" for i in buyers]
    ids = dict(
        Shopper.objects.filter(store=shop.store, external_id__in=names).values_list(
            "external_id", "pk"
        )
    )
    Event.objects.bulk_create(
        Event(
            store=shop.store,
            event_id=uuid.uuid4(),
            occurred_on=at.date(),
            occurred_at=at,
            type=EventType.PURCHASE,
            shopper_id=ids[name],
            product=shop.products[0],
            value_minor=1_000,
            order_id=f"{name}-{at:%d}",
        )
        for name in names
    )


def look(shop: ShopOfTests, at: datetime = LATER) -> Results:
    experiment = Experiment.objects.select_related("store").get(pk=shop.experiment.pk)
    results = snapshot_refresh(experiment=experiment, now=at).results
    assert results is not None
    return results


def check_of(results: Results, key: str) -> Check:
    (found,) = (check for check in results.health.checks if check.key == key)
    return found


class Screen:
    """What a member reads on the results page."""

    def __init__(self, client: Client, path: str) -> None:
        self.client = client
        self.path = path

    def html(self) -> str:
        response = self.client.get(self.path)
        assert response.status_code == 200
        return response.content.decode()

    def words(self) -> str:
        text = re.sub(r"<[^>]*>", " ", self.html()).replace("&#x27;", "'").replace("\xa0", " ")
        return " ".join(text.split())

    def line(self, key: str) -> tuple[str, str]:
        """Tone and words of a line of the health strip."""
        found = re.search(
            rf'health__line--(\w+)">\s*<details[^>]*id="check-{key}">(.*?)</details>',
            self.html(),
            re.DOTALL,
        )
        assert found is not None
        return found[1], " ".join(re.sub(r"<[^>]*>", " ", found[2]).split())


@pytest.fixture
def screen(store: Store, shop: ShopOfTests, member_client: MemberClient) -> Screen:
    return Screen(member_client(store, "viewer"), f"/console/{store.slug}/experiments/planted/")


def test_nothing_planted_nothing_alarms(shop: ShopOfTests, screen: Screen) -> None:
    for arm in (0, 1):
        expose(shop, arm)
        buy(shop, arm, range(40))
    results = look(shop)
    alarms = {check.key: check.alarm for check in results.health.checks}
    assert set(alarms.values()) <= {"none", "unknown"}
    assert results.status == "running"
    assert [arm.n_shoppers for arm in results.arms] == [PER_ARM, PER_ARM]
    assert screen.line("split")[0] == "good"


def test_a_wrong_split_makes_every_number_untrustworthy(shop: ShopOfTests, screen: Screen) -> None:
    """As if a cache served the one arm to many of the other: 400 and 280, though B wins clearly."""
    expose(shop, 0, 400)
    expose(shop, 1, 280)
    buy(shop, 0, range(40))
    buy(shop, 1, range(90))
    results = look(shop)
    assert (results.status, results.health.alarm) == ("unhealthy", "red")
    assert results.verdicts[0].advice == "distrust"
    assert results.headline.startswith("Don't trust Variant B: the split between the arms is wrong")
    tone, line = screen.line("split")
    assert tone == "bad"
    assert "Not as planned: Variant A has 400 of 340 expected and Variant B has 280 of 340" in line
    words = screen.words()
    assert "Unhealthy" in words
    assert "Don't trust Variant B" in words
    assert "Ship Variant B" not in words


def test_weights_that_were_changed_on_purpose_are_no_wrong_split(shop: ShopOfTests) -> None:
    """Each phase is asked by its own weights."""
    expose(shop, 0, 400)
    expose(shop, 1, 100)
    shop.experiment.phases.update(weights=[0.8, 0.2])
    assert check_of(look(shop), "split").alarm == "none"


def test_a_guest_who_turns_out_to_be_a_customer_of_the_other_arm_is_left_out(
    shop: ShopOfTests, screen: Screen
) -> None:
    for arm in (0, 1):
        expose(shop, arm)
        buy(shop, arm, range(40))
    before = look(shop)
    for i in range(20):
        shop.link(f"a{i}", f"b{i}", at=LATER + MINUTES)
    after = look(shop, LATER + 2 * MINUTES)
    assert check_of(before, "crossover").value == 0.0
    tone, line = screen.line("crossover")
    assert tone == "warn"
    assert line.endswith("20 shoppers of 780 (2.6 %), left out.")
    assert [arm.n_shoppers for arm in after.arms] == [PER_ARM - 20, PER_ARM - 20]
    # Their orders went with them.
    assert sum(arm.n_orders for arm in after.arms) == 2 * 40 - 2 * 20


def test_arms_that_differed_before_the_test_are_an_alarm(shop: ShopOfTests, screen: Screen) -> None:
    for arm in (0, 1):
        expose(shop, arm)
        buy(shop, arm, range(40))
    buy(shop, 0, range(20), at=START - days(5))
    buy(shop, 1, range(140), at=START - days(5))
    results = look(shop)
    assert results.status == "unhealthy"
    assert "the arms differed before the test" in results.headline
    tone, line = screen.line("bias")
    assert tone == "bad"
    assert re.search(
        r"In the 14 days before anybody was exposed Variant B had .* more orders than Variant A",
        line,
    )
    assert "Don't trust Variant B" in screen.words()


def test_events_that_arrive_late_change_the_numbers_at_the_next_look(
    shop: ShopOfTests, screen: Screen
) -> None:
    for arm in (0, 1):
        expose(shop, arm)
        buy(shop, arm, range(80))
    before = look(shop)
    # An offline till reports a week later what had been bought on the sixth day.
    buy(shop, 1, range(80, 200))
    after = look(shop, LATER + 2 * MINUTES)
    assert [arm.n_orders for arm in before.arms] == [80, 80]
    assert [arm.n_orders for arm in after.arms] == [80, 200]
    assert before.status == "running"
    assert (after.status, after.verdicts[0].state) == ("ship", "better")
    words = screen.words()
    assert "Variant B lifts conversion rate by 150.0 %" in words
    assert "200 buyers of 400" in words


def test_a_purchase_that_is_reported_twice_counts_once_and_is_said(
    shop: ShopOfTests, screen: Screen
) -> None:
    for arm in (0, 1):
        expose(shop, arm)
        buy(shop, arm, range(40))
    before = look(shop)
    # The order's page is opened again: another event of the same order, a day later.
    for i in range(12):
        shop.order(f"b{i}", at=START + days(7), order_id=f"b{i}-08")
    # Nothing that counts is new, so it is looked at when the next day begins.
    after = look(shop, LATER + days(1))
    for results in (before, after):
        assert [arm.n_orders for arm in results.arms] == [40, 40]
        (revenue,) = (each for each in results.metrics if each.key == "revenue_per_shopper")
        assert [cell.numerator for cell in revenue.cells] == [40_000, 40_000]
    tone, line = screen.line("duplicates")
    assert tone == "warn"
    assert "Variant A 0 (0.0 %) and Variant B 12 (23.1 %) of the purchases, counted once." in line
    assert "The arms differ" in line
