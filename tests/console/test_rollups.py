"""Daily rollups: equal to counting by hand, whatever comes late, twice or in between."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.utils import timezone

from analytics.metrics.periods import Period
from analytics.models import DailyRollup, RollupWatermark, ShopperDay
from analytics.selectors.overview import Figures, bucket_figures, day_figures, period_figures
from analytics.services.rollups import rollups_rebuild, rollups_refresh
from analytics.tasks import refresh_store_rollups
from catalog.models import Event, EventType, Store
from recommender.models import Impression, Placement
from tests.console.conftest import deliver
from tests.factories import days, make_event, make_order, make_product, make_shopper

# Two days around the end of summer time: one of them has 25 hours.
START = datetime(2026, 10, 30, 12, tzinfo=UTC)
COLUMNS = tuple(name for name in Figures.__slots__ if name not in ("n_visitors", "n_converted"))


@pytest.fixture
def new_york(store: Store) -> Store:
    store.time_zone = "America/New_York"
    store.save()
    return store


def random_world(store: Store, rng: random.Random, n_events: int = 60) -> None:
    """Events of all kinds on four days, some of them orders that are reported twice."""
    products = [make_product(store, f"p{uuid.uuid4().hex}", price_minor=100 + i) for i in range(3)]
    shoppers = [make_shopper(store, uuid.uuid4().hex) for _ in range(4)]
    for _ in range(n_events):
        shopper, at = rng.choice(shoppers), START + timedelta(minutes=rng.randrange(4 * 24 * 60))
        kind = rng.choice([EventType.VIEW_ITEM, EventType.PURCHASE, *EventType])
        if kind == EventType.PURCHASE:
            order(store, shopper, products[: rng.randint(1, 3)], at, f"order-{rng.randrange(8)}")
        else:
            make_event(store, shopper, rng.choice([*products, None]), type=kind, at=at)
    placement = Placement.objects.filter(store=store)[0]
    for _ in range(10):
        at = START + timedelta(minutes=rng.randrange(4 * 24 * 60))
        deliver(store, placement, rng.choice([[], [products[0].pk]]), at=at)


def order(store: Store, shopper: Any, products: Iterable[Any], at: datetime, order_id: str) -> None:
    event_id = uuid.uuid4()
    for line, product in enumerate(products):
        make_event(
            store,
            shopper,
            product,
            type=EventType.PURCHASE,
            at=at,
            event_id=event_id,
            line=line,
            order_id=order_id,
            quantity=line + 1,
            value_minor=product.price_minor * (line + 1),
        )


def counted_by_hand(store: Store) -> dict[date, dict[str, int]]:
    """The oracle: every line is looked at, nothing is clever."""
    zone = ZoneInfo(store.time_zone)
    found: dict[date, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    shoppers: dict[date, set[int]] = defaultdict(set)
    buyers: dict[date, set[int]] = defaultdict(set)
    orders: dict[tuple[date, str], dict[uuid.UUID, list[Event]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for line in Event.objects.filter(store=store):
        day = line.occurred_at.astimezone(zone).date()
        shoppers[day].add(line.shopper_id)
        if line.line == 0:
            found[day]["n_events"] += 1
            found[day]["n_views"] += line.type == EventType.VIEW_ITEM
            found[day]["n_carts"] += line.type == EventType.ADD_TO_CART
            found[day]["n_recommendation_views"] += line.type == EventType.RECOMMENDATION_VIEW
            found[day]["n_recommendation_clicks"] += line.type == EventType.RECOMMENDATION_CLICK
        if line.type == EventType.PURCHASE:
            buyers[day].add(line.shopper_id)
            orders[day, line.order_id or str(line.event_id)][line.event_id].append(line)
    for (day, _), events in orders.items():
        lines = events[min(events)]
        found[day]["n_orders"] += 1
        found[day]["n_units"] += sum(line.quantity for line in lines)
        found[day]["revenue_minor"] += sum(line.value_minor or 0 for line in lines)
    for day in shoppers:
        found[day]["n_shoppers"] = len(shoppers[day])
        found[day]["n_buyers"] = len(buyers[day])
    for impression in Impression.objects.filter(store=store):
        day = impression.delivered_at.astimezone(zone).date()
        found[day]["n_recommendations"] += 1
        found[day]["n_fallbacks"] += impression.fallback is not None
        found[day]["n_empty"] += not impression.product_ids
    return dict(found)


def rollups(store: Store) -> dict[date, dict[str, int]]:
    rows = DailyRollup.objects.filter(store=store).values("day", *COLUMNS)
    return {row.pop("day"): row for row in rows}


@pytest.mark.parametrize("seed", range(4))
def test_rollups_equal_counting_by_hand(new_york: Store, other_store: Store, seed: int) -> None:
    rng = random.Random(seed)
    random_world(new_york, rng)
    random_world(other_store, rng)
    rollups_refresh(store=new_york, now=timezone.now())
    assert rollups(new_york) == counted_by_hand(new_york)
    assert not DailyRollup.objects.filter(store=other_store).exists()


@pytest.mark.parametrize("seed", range(4))
def test_refreshing_in_between_gives_the_same_as_once_at_the_end(
    new_york: Store, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        random_world(new_york, rng, n_events=20)
        # Its recommendations were delivered weeks ago, as a replay's.
        rollups_refresh(store=new_york, now=timezone.now(), delivered_since=START)
    assert rollups(new_york) == counted_by_hand(new_york)


def test_a_second_refresh_changes_no_figure(new_york: Store) -> None:
    random_world(new_york, random.Random(1))
    rollups_refresh(store=new_york, now=timezone.now())
    before = rollups(new_york), list(ShopperDay.objects.order_by("pk").values_list())
    rollups_refresh(store=new_york, now=timezone.now())
    assert (rollups(new_york), list(ShopperDay.objects.order_by("pk").values_list())) == before


def test_a_late_event_changes_the_day_it_happened_on_and_no_other(store: Store) -> None:
    shopper, product = make_shopper(store, "a"), make_product(store, "p")
    old = timezone.now() - timedelta(hours=5)
    make_event(store, shopper, product, at=START, received_at=old)
    make_event(store, shopper, product, at=START + timedelta(days=3), received_at=old - days(0.1))
    rollups_refresh(store=store, now=timezone.now())
    counted_at = dict(DailyRollup.objects.values_list("day", "computed_at"))

    make_event(store, shopper, product, at=START, received_at=timezone.now())
    refreshed = rollups_refresh(store=store, now=timezone.now())

    assert (refreshed.n_days, refreshed.first) == (1, START.date())
    assert rollups(store)[START.date()]["n_views"] == 2
    other = START.date() + timedelta(days=3)
    assert DailyRollup.objects.get(day=other).computed_at == counted_at[other]


def test_an_event_stamped_before_the_last_look_but_committed_after_it_is_counted(
    store: Store,
) -> None:
    shopper, product, now = make_shopper(store, "a"), make_product(store, "p"), timezone.now()
    make_event(store, shopper, product, at=START, received_at=now)
    rollups_refresh(store=store, now=now)
    make_event(store, shopper, product, at=START, received_at=now - timedelta(seconds=90))
    rollups_refresh(store=store, now=now)
    assert rollups(store)[START.date()]["n_views"] == 2


def test_what_came_in_once_is_not_counted_again_for_ever(store: Store) -> None:
    shopper, now = make_shopper(store, "a"), timezone.now()
    make_event(store, shopper, at=START, received_at=now)
    deliver(store, Placement.objects.filter(store=store)[0], [], at=now)
    found = [
        rollups_refresh(store=store, now=now + timedelta(minutes=minutes)).n_days
        for minutes in (0, 1, 5, 6, 66, 67)
    ]
    # Minutes long something may become visible that was stamped before; answers for an hour.
    assert found == [2, 2, 2, 1, 1, 0]


def test_an_import_that_was_open_for_long_names_its_start(store: Store) -> None:
    shopper, product, now = make_shopper(store, "a"), make_product(store, "p"), timezone.now()
    make_event(store, shopper, product, at=START, received_at=now)
    rollups_refresh(store=store, now=now)
    began = now - timedelta(hours=3)
    make_event(store, shopper, product, at=START, received_at=began + timedelta(seconds=1))
    rollups_refresh(store=store, now=now, since=began)
    assert rollups(store)[START.date()]["n_views"] == 2


def test_an_order_reported_twice_is_one_order(store: Store) -> None:
    shopper, product = make_shopper(store, "a"), make_product(store, "p", price_minor=250)
    for _ in range(2):
        order(store, shopper, [product, product], START, "order-1")
    rollups_refresh(store=store, now=timezone.now())
    day = rollups(store)[START.date()]
    assert (day["n_orders"], day["n_units"], day["revenue_minor"]) == (1, 3, 750)


def test_days_are_those_of_the_store(store: Store) -> None:
    shopper, product = make_shopper(store, "a"), make_product(store, "p")
    make_event(store, shopper, product, at=datetime(2026, 3, 3, 3, tzinfo=UTC))
    rollups_refresh(store=store, now=timezone.now())
    assert list(rollups(store)) == [date(2026, 3, 3)]
    store.time_zone = "America/New_York"
    store.save()
    rollups_refresh(store=store, now=timezone.now())
    assert list(rollups(store)) == [date(2026, 3, 2)]


def test_a_rebuild_forgets_days_whose_events_were_deleted(store: Store) -> None:
    shopper, product = make_shopper(store, "a"), make_product(store, "p")
    make_event(store, shopper, product, at=START)
    rollups_refresh(store=store, now=timezone.now())
    Event.objects.filter(store=store).delete()
    rollups_rebuild(store=store, now=timezone.now())
    assert rollups(store) == {}
    assert not ShopperDay.objects.exists()


def test_a_store_without_events_gets_a_watermark_and_no_day(store: Store) -> None:
    assert rollups_refresh(store=store, now=timezone.now()).n_days == 0
    assert RollupWatermark.objects.get(store=store).events_received_at is None
    make_event(store, make_shopper(store, "a"), at=START)
    assert rollups_refresh(store=store, now=timezone.now()).n_days == 1


def test_the_task_and_the_command_refresh_every_store(
    store: Store, other_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in (store, other_store):
        make_event(each, make_shopper(each, "a"), at=START)
    for each in (store, other_store):
        refresh_store_rollups(each.pk)
    assert DailyRollup.objects.count() == 2
    call_command("rollups", rebuild=True, store=store.slug)
    assert capsys.readouterr().out.startswith("corner: 1 days (2026-10-30 to 2026-10-30)")


# ------------------------------------------------------------------------------------- reading them


def test_shoppers_of_a_period_are_counted_once(store: Store) -> None:
    anna, ben = make_shopper(store, "anna"), make_shopper(store, "ben")
    product = make_product(store, "p")
    for n in (0, 1, 9):
        make_event(store, anna, product, at=START + timedelta(days=n))
    make_event(store, ben, product, at=START + timedelta(days=8))
    make_order(store, ben, [product], at=START + timedelta(days=8))
    rollups_refresh(store=store, now=timezone.now())
    now, before = period_figures(store=store, period=Period(7, START.date() + timedelta(days=9)))
    assert (now.n_shoppers, now.n_buyers, now.n_visitors, now.n_converted) == (2, 1, 2, 1)
    assert (before.n_shoppers, before.n_buyers, before.n_views) == (1, 0, 2)


def test_an_order_without_a_visit_says_nothing_of_conversion(store: Store) -> None:
    make_order(store, make_shopper(store, "till"), [make_product(store, "p")], at=START)
    rollups_refresh(store=store, now=timezone.now())
    figures = day_figures(store=store, day=START.date())
    assert (figures.n_buyers, figures.n_visitors, figures.n_converted) == (1, 0, 0)


def test_buckets_of_weeks_end_with_the_last_day_and_leave_out_what_fills_none(
    store: Store,
) -> None:
    shopper, last = make_shopper(store, "a"), START.date()
    for n in range(20):
        make_event(store, shopper, at=START - timedelta(days=n))
    rollups_refresh(store=store, now=timezone.now())
    buckets = bucket_figures(store=store, period=Period(9, last), bucket_days=7)
    assert [(b.first, b.last) for b in buckets] == [
        (last - timedelta(days=13), last - timedelta(days=7)),
        (last - timedelta(days=6), last),
    ]
    assert [(b.figures.n_events, b.figures.n_shoppers) for b in buckets] == [(7, 1), (7, 1)]


def test_a_day_without_a_row_is_zero(store: Store) -> None:
    assert day_figures(store=store, day=START.date()) == Figures()


def test_what_machines_did_is_not_counted(store: Store) -> None:
    shopper = make_shopper(store, "crawler")
    product = make_product(store, "tea")
    make_event(store, shopper, product, is_bot=True)
    make_event(store, shopper, product)
    rollups_refresh(store=store, now=timezone.now())
    rollup = DailyRollup.objects.get(store=store)
    assert (rollup.n_events, rollup.n_views, rollup.n_shoppers) == (1, 1, 1)
