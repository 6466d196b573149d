"""What the planner reads from a shop's own days."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from pytest_django import DjangoAssertNumQueries

from analytics.models import ShopperDay
from analytics.results.planning import History
from analytics.selectors import plan_history as plan_history_module
from analytics.selectors.plan_history import plan_histories
from analytics.services.plans import PlanAnswer, plan_of
from analytics.stats.answers import NotEnoughData, Reason
from catalog.models import Event, EventType, Product, Shopper, ShopperLink, Store
from recommender.models import GOALS, Impression, Placement, Segment
from recommender.stores.client import StoreUnavailable, Valkey
from tests.factories import make_product

# Midnight in the store's zone is whole days away from everything below.
NOW = datetime(2026, 3, 30, 15, tzinfo=UTC)
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
PER_DAY = 20


@pytest.fixture
def placement(store: Store) -> Placement:
    return Placement.objects.get(store=store, slug="home-for-you")


def day(number: float) -> datetime:
    """Noon of a day of the history, 0 is the first."""
    return BEGIN + timedelta(days=number, hours=12)


def shown(placement: Placement, who: str, at: datetime, **fields: Any) -> Impression:
    return Impression(
        store_id=placement.store_id,
        recommendation_id=uuid.uuid4(),
        delivered_on=at.date(),
        delivered_at=at,
        placement_id=placement.pk,
        strategy_version_id=placement.strategy_version_id,
        shopper_external_id=who,
        product_ids=[],
        sources=[],
        propensities=[],
        took_us=1_000,
        **fields,
    )


def did(shopper: Shopper, kind: EventType, at: datetime, **fields: Any) -> Event:
    return Event(
        store_id=shopper.store_id,
        event_id=fields.pop("event_id", uuid.uuid4()),
        occurred_on=at.date(),
        occurred_at=at,
        type=kind.value,
        shopper=shopper,
        **fields,
    )


def bought(shopper: Shopper, at: datetime, cents: int = 1_000, **fields: Any) -> Event:
    values = {"order_id": uuid.uuid4().hex, "value_minor": cents, **fields}
    return did(shopper, EventType.PURCHASE, at, **values)


def shoppers(store: Store, n: int, prefix: str = "s") -> list[Shopper]:
    return Shopper.objects.bulk_create(
        Shopper(
            store=store, external_id=f"{prefix}-{each}", first_seen_at=BEGIN, last_seen_at=BEGIN
        )
        for each in range(n)
    )


@pytest.fixture
def people(store: Store, placement: Placement) -> list[Shopper]:
    """20 new shoppers a day for 28 days; everybody comes back the day after. Every fourth buys."""
    found = shoppers(store, 28 * PER_DAY)
    Impression.objects.bulk_create(
        shown(placement, shopper.external_id, day(n // PER_DAY + later))
        for n, shopper in enumerate(found)
        for later in (0, 1)
    )
    Event.objects.bulk_create(
        bought(shopper, day(n // PER_DAY) + timedelta(hours=1))
        for n, shopper in enumerate(found)
        if n % 4 == 0
    )
    return found


def history_of(
    placement: Placement, goal: str = "conversion_rate", segment: Segment | None = None
) -> History | NotEnoughData:
    found = plan_histories(
        store=placement.store, placement_ids=[placement.pk], segment=segment, now=NOW
    )
    return found[goal]


def found(answer: History | NotEnoughData) -> History:
    assert isinstance(answer, History), answer
    return answer


def missing(answer: History | NotEnoughData) -> NotEnoughData:
    assert isinstance(answer, NotEnoughData), answer
    return answer


def test_shoppers_are_new_once_and_the_goal_is_theirs_after_each_length(
    placement: Placement, people: list[Shopper]
) -> None:
    history = found(history_of(placement))
    assert history.arrivals == (float(PER_DAY),) * 28
    assert [each.days for each in history.horizons] == [7, 14, 28]
    assert [each.n_shoppers for each in history.horizons] == [140, 280, 560]
    assert [each.n_conversions for each in history.horizons] == [35, 70, 140]
    assert all(each.mean == 0.25 for each in history.horizons)
    assert all(each.variance == 0.25 * 0.75 for each in history.horizons)
    assert history.basis == (
        "560 shoppers with impressions of these placements, on 28 days from 2026-03-02."
    )


def test_only_what_came_after_the_first_impression_and_before_the_end_counts(
    placement: Placement, people: list[Shopper]
) -> None:
    other = people[1::4]
    Event.objects.bulk_create(
        [
            # Before they came in, after the first week, and today.
            *(bought(each, day(1)) for each in people[401:440:4]),
            *(bought(each, BEGIN - timedelta(hours=1)) for each in other[:10]),
            *(bought(each, day(8)) for each in other[10:15]),
            *(bought(each, NOW) for each in other[15:30]),
            # Machines.
            *(bought(each, day(27), is_bot=True) for each in other[30:40]),
        ]
    )
    history = found(history_of(placement))
    assert [each.n_conversions for each in history.horizons] == [35, 75, 145]


def test_a_guest_and_the_customer_they_are_count_once(
    store: Store, placement: Placement, people: list[Shopper]
) -> None:
    ShopperLink.objects.bulk_create(
        ShopperLink(
            store=store,
            shopper=people[n],
            customer=people[PER_DAY + n],
            linked_by="api",
            undone_at=NOW if n >= 12 else None,
        )
        for n in range(16)
    )
    history = found(history_of(placement))
    assert history.arrivals[:2] == (20.0, 8.0)
    # Numbers 0, 4 and 8 are the same people as 20, 24 and 28; 12 isn't any more.
    assert history.horizons[0].n_conversions == 32


def test_an_order_that_is_reported_twice_is_one_and_its_lines_are_summed(
    placement: Placement, people: list[Shopper]
) -> None:
    event_id, order_id = uuid.uuid4(), "order-1"
    line: dict[str, Any] = {"event_id": event_id, "order_id": order_id, "price_minor": 500}
    Event.objects.bulk_create(
        [
            did(people[1], EventType.PURCHASE, day(5), line=0, quantity=2, **line),
            did(people[1], EventType.PURCHASE, day(5), line=1, quantity=1, **line),
            bought(people[1], day(6), 1_500, order_id=order_id),
        ]
    )
    revenue = found(history_of(placement, "revenue_per_shopper")).horizons[-1]
    orders = found(history_of(placement, "average_order_value")).horizons[-1]
    # 140 orders of 10.00 and one of 15.00, which the cap takes next to all of.
    assert revenue.n_conversions == 141
    assert revenue.mean * 560 == pytest.approx(140 * 1_000 + 1_500, rel=1e-3)
    assert orders.mean == pytest.approx((140 * 1_000 + 1_500) / 141)
    assert orders.variance > 0


def test_one_wholesale_order_does_not_decide_the_plan(
    placement: Placement, people: list[Shopper]
) -> None:
    before = found(history_of(placement, "revenue_per_shopper")).horizons[-1]
    Event.objects.bulk_create(
        [
            *(bought(each, day(27), 1_100) for each in people[1:400:4]),
            bought(people[2], day(27), 10_000_000),
        ]
    )
    after = found(history_of(placement, "revenue_per_shopper")).horizons[-1]
    uncapped = 10_000_000**2 / 560
    assert before.variance < after.variance < uncapped


def test_carts_and_clicks_are_goals_of_their_own(
    placement: Placement, people: list[Shopper], store: Store
) -> None:
    impressions = list(
        Impression.objects.filter(store=store, delivered_at__lt=day(14.5)).order_by(
            "delivered_at", "shopper_external_id"
        )
    )
    by_name = {each.external_id: each for each in people}
    mug = make_product(store, "mug")
    elsewhere = Placement.objects.get(store=store, slug="home-trending")
    stranger = shown(elsewhere, people[0].external_id, day(3))
    stranger.save(force_insert=True)

    def looked(each: Impression, kind: EventType, product: Product | None = None) -> Event:
        who = by_name[each.shopper_external_id or ""]
        at = each.delivered_at + timedelta(minutes=1)
        return did(who, kind, at, recommendation_id=each.recommendation_id, product=product)

    view, click = EventType.RECOMMENDATION_VIEW, EventType.RECOMMENDATION_CLICK
    Event.objects.bulk_create(
        [
            *(looked(each, view) for each in impressions),
            # Seen once, however often the page said so.
            *(looked(each, view) for each in impressions[:50]),
            *(looked(each, click) for each in impressions[::10]),
            # Clicked once, however often; another product of it is another click.
            *(looked(each, click) for each in impressions[::10]),
            *(looked(each, click, mug) for each in (*impressions[::10], *impressions[::10])),
            looked(stranger, click),
            *(did(each, EventType.ADD_TO_CART, day(20)) for each in people[:56]),
        ]
    )
    clicks = found(history_of(placement, "click_rate")).horizons[1]
    n_seen, n_clicked = len(impressions), 2 * len(impressions[::10])
    assert clicks.mean == pytest.approx(n_clicked / n_seen, rel=0.08)
    carts = found(history_of(placement, "add_to_cart_rate"))
    assert [each.days for each in carts.horizons] == [28]
    assert carts.horizons[-1].mean == 0.1


def test_a_segment_by_device_is_counted_and_others_are_said_to_be_unknown(
    store: Store, placement: Placement, people: list[Shopper]
) -> None:
    Impression.objects.filter(store=store, delivered_at__hour=12).update(device="desktop")
    phones = shoppers(store, 140, "phone")
    Impression.objects.bulk_create(
        shown(placement, each.external_id, day(n % 28), device="mobile")
        for n, each in enumerate(phones)
    )
    Event.objects.bulk_create(bought(each, day(27.2)) for each in phones[::2])
    mobile = Segment(
        store=store, key="m", name="M", document={"type": "device", "devices": ["mobile"]}
    )
    history = found(history_of(placement, segment=mobile))
    assert sum(history.arrivals) == 140
    assert history.horizons[-1].mean == 0.5
    assert history.basis.startswith("140 shoppers with impressions on its devices of")
    lapsed = Segment(store=store, key="l", name="L", document={"type": "lapsed", "days": 90})
    history = found(history_of(placement, segment=lapsed))
    assert sum(history.arrivals) == 700
    assert history.basis.endswith(
        "The segment isn’t known of past shoppers: all of them were taken."
    )


def visited(store: Store, who: list[Shopper], first: int = 0) -> None:
    """20 new visitors a day, as the rollups have them."""
    ShopperDay.objects.bulk_create(
        ShopperDay(
            store=store,
            day=day(first + n // PER_DAY + later).date(),
            shopper=each,
            visited=True,
            bought=False,
        )
        for n, each in enumerate(who)
        for later in (0, 1)
    )


def test_before_anything_was_shown_for_a_week_all_visitors_are_taken_and_it_says_so(
    store: Store, placement: Placement
) -> None:
    who = shoppers(store, 14 * PER_DAY)
    visited(store, who, first=14)
    Event.objects.bulk_create(bought(each, day(27.4)) for each in who[::8])
    Impression.objects.bulk_create(shown(placement, each.external_id, day(26)) for each in who)
    history = found(history_of(placement))
    assert history.arrivals == (20.0,) * 14
    assert [(each.days, each.n_conversions) for each in history.horizons] == [(14, 35)]
    assert history.basis == (
        "These placements have not been shown for a week yet, so all 280 visitors of the shop were"
        " taken, on 14 days from 2026-03-16."
    )
    assert missing(history_of(placement, "click_rate")).reason == Reason.NO_BASELINE


def test_a_shop_without_history_is_told_what_is_missing(
    store: Store, placement: Placement, other_store: Store
) -> None:
    assert missing(history_of(placement)).reason == Reason.TOO_EARLY
    few = shoppers(store, 60)
    visited(store, few, first=14)
    answer = missing(history_of(placement))
    assert (answer.reason, answer.words) == (
        Reason.TOO_FEW_SHOPPERS,
        "60 of 100 shoppers in 14 days",
    )
    visited(store, shoppers(store, 200, "more"), first=16)
    Event.objects.bulk_create(bought(each, day(27)) for each in few[:24])
    answer = missing(history_of(placement))
    assert (answer.reason, answer.words) == (
        Reason.TOO_FEW_CONVERSIONS,
        "24 of 25 buyers in 14 days",
    )
    theirs = Placement.objects.get(store=other_store, slug="home-for-you")
    assert missing(history_of(theirs)).reason == Reason.TOO_EARLY


def test_another_stores_shoppers_are_none_of_the_plan(
    store: Store, other_store: Store, placement: Placement, people: list[Shopper]
) -> None:
    theirs = Placement.objects.get(store=other_store, slug="home-for-you")
    same_names = shoppers(other_store, 100)
    Impression.objects.bulk_create(shown(theirs, each.external_id, day(3)) for each in same_names)
    Event.objects.bulk_create(bought(each, day(4)) for each in same_names)
    assert sum(found(history_of(placement)).arrivals) == 560
    answers = plan_histories(store=store, placement_ids=[theirs.pk], segment=None, now=NOW)
    assert isinstance(answers["conversion_rate"], NotEnoughData)


def test_the_plan_answers_in_days_and_with_the_shoppers_to_expect(
    store: Store, placement: Placement, people: list[Shopper]
) -> None:
    plan = plan_of(
        store=store,
        placement_ids=[placement.pk],
        goal="conversion_rate",
        lift=0.5,
        weights=[1.0, 1.0],
        coverage=0.5,
        now=NOW,
    )
    assert plan.sketch is not None
    assert plan.sketch.shoppers_per_day == 10
    assert plan.sketch.n_days is not None
    assert plan.expected_shoppers(14) == 140
    assert plan.expected_shoppers(60) == 600
    assert plan.words == plan.sketch.words
    assert plan.as_json()["basis"].startswith("560 shoppers")


def test_without_history_the_answer_says_what_is_missing(
    store: Store, placement: Placement
) -> None:
    plan = plan_of(
        store=store,
        placement_ids=[placement.pk],
        goal="conversion_rate",
        lift=0.05,
        weights=[1.0, 1.0],
        now=NOW,
    )
    assert plan.sketch is None
    assert plan.expected_shoppers(14) is None
    assert plan.words == (
        "Not enough data for a plan: a week of visits is needed, and there is none of whole days"
        " before today."
    )
    assert plan.as_json() == {"missing": plan.words}


def plan(placement: Placement, goal: str = "conversion_rate", **asked: Any) -> PlanAnswer:
    values: dict[str, Any] = {"lift": 0.5, "weights": [1.0, 1.0], "now": NOW, **asked}
    return plan_of(
        store=placement.store,
        placement_ids=values.pop("placement_ids", [placement.pk]),
        goal=goal,
        **values,
    )


def test_another_goal_lift_or_split_asks_postgresql_nothing(
    placement: Placement,
    people: list[Shopper],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    plan(placement)
    with django_assert_num_queries(0):
        kept = {goal.value: plan(placement, goal).history for goal in GOALS}
        longer = plan(placement, lift=0.1, weights=[3.0, 1.0, 1.0], coverage=0.5)
        earlier = plan(placement, now=NOW - timedelta(hours=14))
    assert kept == {
        goal.value: read if isinstance(read, History) else None
        for goal in GOALS
        for read in [history_of(placement, goal)]
    }
    assert sum(each is not None for each in kept.values()) == 2
    assert longer.history == earlier.history == kept["conversion_rate"]
    assert plan(placement, "click_rate").missing == history_of(placement, "click_rate")


def test_a_new_day_other_placements_a_segment_or_another_store_are_looked_at_anew(
    placement: Placement, other_store: Store, people: list[Shopper]
) -> None:
    before = plan(placement)
    Event.objects.bulk_create(bought(each, day(27.3)) for each in people[1:400:4])
    assert plan(placement) == before
    tomorrow = plan(placement, now=NOW + timedelta(days=1))
    assert tomorrow.history is not None
    assert before.history is not None
    assert tomorrow.history.horizons[-1].n_conversions > before.history.horizons[-1].n_conversions
    elsewhere = Placement.objects.get(store=placement.store, slug="home-trending")
    both = plan(placement, placement_ids=[placement.pk, elsewhere.pk])
    assert both.history is not None
    assert both.history.horizons[-1].n_conversions == 240
    assert plan(placement, placement_ids=[elsewhere.pk, placement.pk]) == both
    phones = Segment(
        store=placement.store,
        key="m",
        name="M",
        document={"type": "device", "devices": ["mobile"]},
    )
    assert plan(placement, segment=phones).history != before.history
    theirs = Placement.objects.get(store=other_store, slug="home-for-you")
    assert plan(theirs, placement_ids=[placement.pk]).history is None


def test_a_shop_without_history_is_asked_again(store: Store, placement: Placement) -> None:
    assert plan(placement).history is None
    who = shoppers(store, 200, "late")
    visited(store, who, first=7)
    Event.objects.bulk_create(bought(each, day(12)) for each in who[:40])
    assert plan(placement).history is not None


def test_without_valkey_the_plan_is_the_same(
    placement: Placement, people: list[Shopper], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Valkey, *command: object) -> None:
        raise StoreUnavailable("away")

    with_it = plan(placement)
    monkeypatch.setattr(Valkey, "call", away)
    assert plan(placement) == with_it


def test_what_an_older_version_kept_is_read_anew(
    placement: Placement, people: list[Shopper], valkey_server: redis.Redis
) -> None:
    before = plan(placement)
    (key,) = valkey_server.keys("vt:*:plan:2026-03-30:*")
    assert 0 < valkey_server.ttl(key) <= 86_400
    valkey_server.set(key, b'{"found": 1}')
    assert plan(placement) == before


def test_of_many_shoppers_some_tell_for_all_and_it_says_so(
    placement: Placement, people: list[Shopper], monkeypatch: pytest.MonkeyPatch
) -> None:
    ShopperLink.objects.bulk_create(
        ShopperLink(store=placement.store, shopper=guest, customer=customer, linked_by="api")
        for guest, customer in zip(people[1::8], people[::8], strict=True)
    )
    everybody = found(history_of(placement))
    monkeypatch.setattr(plan_history_module, "N_LOOKED_AT", 300)
    some = found(history_of(placement))
    assert found(history_of(placement)) == some
    # Every second of 490 persons, chosen by a hash, stands for two.
    assert {each % 2 for each in some.arrivals} == {0.0}
    n_looked_at = int(sum(some.arrivals) / 2)
    assert n_looked_at == pytest.approx(245, abs=50)
    assert some.horizons[-1].n_shoppers == n_looked_at
    assert some.horizons[-1].mean == pytest.approx(everybody.horizons[-1].mean, abs=0.09)
    assert some.basis == (
        f"About {2 * n_looked_at:,} shoppers with impressions of these placements, on 28 days from"
        f" 2026-03-02, as 1 in 2 of them tells ({n_looked_at:,})."
    )
