"""What recommendations led to: which click is credited, and that days equal a count by hand."""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics import tasks
from analytics.metrics.concentration import gini
from analytics.metrics.periods import Period
from analytics.models import (
    AttributedLine,
    CategoryDay,
    InsightsWatermark,
    ProductDay,
    ProductMonth,
    Reach,
    RecommendationDay,
    SourceDay,
    TrackingDay,
    TrackingHour,
)
from analytics.selectors.insights import Dimension, period_slices
from analytics.selectors.insights_products import catalog_reach, top_products
from analytics.selectors.product_totals import product_totals, totals_unpacked
from analytics.services.insights_lists import known_forget, lists_measure
from analytics.services.insights_rollups import insights_rebuild, insights_refresh
from catalog.models import Event, EventType, Product, Shopper, ShopperLink, Store
from recommender.models import Impression, Placement
from tests.factories import days, make_event, make_product, make_shopper

MODELS: tuple[Any, ...] = (
    RecommendationDay, SourceDay, CategoryDay, ProductDay, ProductMonth, Reach, AttributedLine,
    TrackingHour, TrackingDay,
)  # fmt: skip
START = datetime(2026, 10, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLICK, SEEN = EventType.RECOMMENDATION_CLICK, EventType.RECOMMENDATION_VIEW


@pytest.fixture(autouse=True)
def unknown() -> None:
    known_forget()


@pytest.fixture
def placement(store: Store) -> Placement:
    return Placement.objects.get(store=store, slug="product-bought-together")


def deliver(
    store: Store,
    placement: Placement,
    products: Sequence[Product],
    *,
    at: datetime,
    source: str = "also_viewed",
    fallback: str | None = None,
) -> uuid.UUID:
    return Impression.objects.create(
        store=store,
        recommendation_id=uuid.uuid4(),
        delivered_on=at.date(),
        delivered_at=at,
        placement_id=placement.pk,
        strategy_version_id=placement.strategy_version_id,
        shopper_external_id="somebody",
        product_ids=[product.pk for product in products],
        sources=[source] * len(products),
        propensities=[1.0] * len(products),
        fallback=fallback,
        took_us=900,
    ).recommendation_id


def buy(
    store: Store, shopper: Shopper, products: Sequence[Product], at: datetime, **fields: Any
) -> str:
    """One purchase event, a line per product, 10.00 each."""
    order_id: str = fields.pop("order_id", uuid.uuid4().hex)
    event_id = fields.pop("event_id", uuid.uuid4())
    for line, product in enumerate(products):
        make_event(
            store, shopper, product, type=EventType.PURCHASE, at=at, event_id=event_id, line=line,
            order_id=order_id, value_minor=1000, **fields,
        )  # fmt: skip
    return order_id


def refresh(store: Store) -> None:
    insights_refresh(store=store, now=timezone.now())


def credited(store: Store) -> list[tuple[str, str, int]]:
    """Product, source and revenue of every credited line."""
    titles = dict(Product.objects.values_list("pk", "external_id"))
    return sorted(
        (titles[line.product_id], line.source, line.revenue_minor)
        for line in AttributedLine.objects.filter(store=store)
    )


# ------------------------------------------------------------------------------ what is credited


def test_the_last_click_on_the_product_is_credited(store: Store, placement: Placement) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    older = deliver(store, placement, [mug], at=START, source="trending")
    newer = deliver(store, placement, [mug], at=START, source="also_viewed")
    make_event(store, anna, mug, type=CLICK, at=START + days(2), recommendation_id=newer)
    make_event(store, anna, mug, type=CLICK, at=START + days(1), recommendation_id=older)
    buy(store, anna, [mug], START + days(3))
    refresh(store)
    assert credited(store) == [("mug", "also_viewed", 1000)]
    line = AttributedLine.objects.get()
    assert (line.placement_id, line.clicked_at) == (placement.pk, START + days(2))


@pytest.mark.parametrize(
    ("after", "counts"),
    [(days(7), True), (days(7) + timedelta(seconds=1), False), (timedelta(0), True),
     (-timedelta(seconds=1), False)],
)  # fmt: skip
def test_a_click_counts_for_seven_days_and_never_backwards(
    store: Store, placement: Placement, after: timedelta, counts: bool
) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=shown)
    buy(store, anna, [mug], START + after)
    refresh(store)
    assert bool(credited(store)) is counts


def test_another_product_and_another_shopper_are_credited_with_nothing(
    store: Store, placement: Placement
) -> None:
    anna, ben = make_shopper(store, "anna"), make_shopper(store, "ben")
    mug, bowl = make_product(store, "mug"), make_product(store, "bowl")
    shown = deliver(store, placement, [mug, bowl], at=START)
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=shown)
    buy(store, anna, [bowl], START + days(1))
    buy(store, ben, [mug], START + days(1))
    refresh(store)
    assert credited(store) == []


def test_a_guest_who_turns_out_to_be_a_customer_is_one_person_as_long_as_they_are_linked(
    store: Store, placement: Placement
) -> None:
    guest, customer = make_shopper(store, "guest"), make_shopper(store, "customer")
    mug = make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    make_event(store, guest, mug, type=CLICK, at=START, recommendation_id=shown)
    buy(store, customer, [mug], START + days(1))
    refresh(store)
    assert credited(store) == []

    link = ShopperLink.objects.create(
        store=store, shopper=guest, customer=customer, linked_by="api"
    )
    refresh(store)
    assert len(credited(store)) == 1

    link.undone_at = timezone.now()
    link.save()
    refresh(store)
    assert credited(store) == []


def test_a_click_that_arrives_late_changes_the_days_after_it(
    store: Store, placement: Placement
) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    long_ago = timezone.now() - timedelta(hours=3)
    buy(store, anna, [mug], START + days(6), received_at=long_ago)
    refresh(store)
    assert credited(store) == []
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=shown)
    refresh(store)
    assert credited(store) == [("mug", "also_viewed", 1000)]
    # Nearer to the order, and later still: it takes over.
    other = deliver(store, placement, [mug], at=START, source="trending")
    make_event(store, anna, mug, type=CLICK, at=START + days(1), recommendation_id=other)
    refresh(store)
    assert credited(store) == [("mug", "trending", 1000)]


def test_an_order_that_arrives_late_is_credited(store: Store, placement: Placement) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    long_ago = timezone.now() - timedelta(hours=3)
    make_event(
        store, anna, mug, type=CLICK, at=START, recommendation_id=shown, received_at=long_ago
    )
    make_event(store, anna, mug, at=START + days(9), received_at=long_ago)
    refresh(store)
    buy(store, anna, [mug], START + days(2))
    refresh(store)
    assert credited(store) == [("mug", "also_viewed", 1000)]


def test_an_order_that_is_reported_twice_is_credited_once(
    store: Store, placement: Placement
) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=shown)
    buy(store, anna, [mug], START + days(0.1), order_id="order-1")
    buy(store, anna, [mug], START + days(0.2), order_id="order-1")
    refresh(store)
    assert credited(store) == [("mug", "also_viewed", 1000)]


@pytest.mark.parametrize(("days_later", "n"), [(0.9, 1), (29.9, 1), (30.1, 2)])
def test_an_order_that_is_reported_again_within_thirty_days_is_one_of_its_first_day(
    store: Store, placement: Placement, days_later: float, n: int
) -> None:
    guest, customer = make_shopper(store, "guest"), make_shopper(store, "customer")
    mug = make_product(store, "mug")
    ShopperLink.objects.create(store=store, shopper=guest, customer=customer, linked_by="api")
    first, again = START + days(1), START + days(1 + days_later)
    for at in (START, again - days(1)):
        shown = deliver(store, placement, [mug], at=at)
        make_event(store, customer, mug, type=CLICK, at=at, recommendation_id=shown)
    buy(store, guest, [mug], first, order_id="order-1")
    buy(store, customer, [mug], again, order_id="order-1")
    refresh(store)
    found = AttributedLine.objects.filter(store=store).order_by("day")
    assert [line.day for line in found] == [first.date(), again.date()][:n]


def test_an_order_whose_first_report_comes_late_moves_to_its_day(
    store: Store, other_store: Store, placement: Placement
) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    for at in (START, START + days(20)):
        shown = deliver(store, placement, [mug], at=at)
        make_event(store, anna, mug, type=CLICK, at=at, recommendation_id=shown)
    long_ago = timezone.now() - timedelta(hours=3)
    buy(store, anna, [mug], START + days(21), order_id="order-1", received_at=long_ago)
    make_event(store, anna, at=START + days(40), received_at=long_ago)
    refresh(store)
    assert [line.day for line in AttributedLine.objects.all()] == [(START + days(21)).date()]
    # The same id in another store is another order.
    buy(other_store, make_shopper(other_store, "anna"), [], START, order_id="order-1")
    buy(store, anna, [mug], START + days(1), order_id="order-1")
    insights_refresh(store=store, now=timezone.now())
    assert [line.day for line in AttributedLine.objects.all()] == [(START + days(1)).date()]


def test_how_old_a_clicked_list_is_counts_from_the_click_whichever_days_are_counted_together(
    store: Store, placement: Placement
) -> None:
    anna, mug, pot = make_shopper(store, "anna"), *(make_product(store, n) for n in ("mug", "pot"))
    for day in range(14):
        make_event(store, anna, mug, at=START + days(day))
    refresh(store)
    for product, clicked in ((mug, START + days(12)), (pot, START + days(8))):
        make_event(
            store, anna, product, type=CLICK, at=clicked,
            recommendation_id=deliver(store, placement, [product], at=START),
        )  # fmt: skip
        buy(store, anna, [product], clicked + HOUR)
    refresh(store)
    assert credited(store) == [("mug", "", 1000), ("pot", "also_viewed", 1000)]
    found = everything(store)
    insights_rebuild(store=store, now=timezone.now())
    assert everything(store) == found


def test_what_machines_clicked_and_bought_does_not_count(
    store: Store, placement: Placement
) -> None:
    crawler, mug = make_shopper(store, "crawler"), make_product(store, "mug")
    shown = deliver(store, placement, [mug], at=START)
    make_event(store, crawler, type=SEEN, at=START, recommendation_id=shown, is_bot=True)
    make_event(store, crawler, mug, type=CLICK, at=START, recommendation_id=shown, is_bot=True)
    buy(store, crawler, [mug], START + days(1))
    anna = make_shopper(store, "anna")
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=shown)
    buy(store, anna, [mug], START + days(1), is_bot=True)
    refresh(store)
    assert credited(store) == []
    row = RecommendationDay.objects.get(store=store, day=START.date())
    assert (row.n_impressions, row.n_seen, row.n_clicks) == (1, 0, 1)


def test_a_click_on_a_recommendation_that_nobody_knows_is_counted_as_unknown(
    store: Store, other_store: Store, placement: Placement
) -> None:
    anna, mug = make_shopper(store, "anna"), make_product(store, "mug")
    theirs = deliver(other_store, Placement.objects.filter(store=other_store)[0], [], at=START)
    make_event(store, anna, mug, type=CLICK, at=START, recommendation_id=theirs)
    make_event(store, anna, mug, type=CLICK, at=START)
    buy(store, anna, [mug], START + days(1))
    refresh(store)
    row = RecommendationDay.objects.get(store=store, day=START.date())
    assert (row.placement_id, row.strategy_version_id, row.n_clicks) == (0, 0, 2)
    assert credited(store) == [("mug", "", 1000)]


# ----------------------------------------------------------------------- a random world, by hand


def random_world(store: Store, rng: random.Random, n: int = 60) -> None:
    """Lists, views, clicks and orders of three weeks over the end of a month and of summer time."""
    products = list(Product.objects.filter(store=store)) or [
        make_product(store, f"p{i}", category_path=("Cups > Mugs", "Plates", "")[i % 3])
        for i in range(6)
    ]
    shoppers = list(Shopper.objects.filter(store=store)) or [
        make_shopper(store, f"s{i}") for i in range(4)
    ]
    placements = list(Placement.objects.filter(store=store).order_by("pk")[:2])

    def moment() -> datetime:
        return START + timedelta(minutes=rng.randrange(21 * 24 * 60))

    shown = list(Impression.objects.filter(store=store).values_list("recommendation_id", flat=True))
    shown += [
        deliver(
            store, rng.choice(placements), rng.sample(products, rng.randint(0, 4)), at=moment(),
            source=rng.choice(["also_viewed", "trending"]),
            fallback=rng.choice([None, "bestsellers"]),
        )
        for _ in range(n // 3)
    ]  # fmt: skip
    for _ in range(n):
        kind = rng.choice([CLICK, CLICK, SEEN, EventType.PURCHASE, EventType.VIEW_ITEM])
        shopper, at = rng.choice(shoppers), moment()
        bot = {"is_bot": rng.random() < 0.1}
        if kind == EventType.PURCHASE:
            buy(
                store, shopper, rng.sample(products, 2), at, order_id=f"o{rng.randrange(30)}", **bot
            )
        else:
            known = rng.choice([*shown, None]) if kind in (CLICK, SEEN) else None
            product = None if kind == SEEN else rng.choice(products)
            received = rng.choice([timezone.now(), at + timedelta(minutes=1)])
            make_event(
                store, shopper, product, type=kind, at=at, recommendation_id=known,
                received_at=max(received, timezone.now() - timedelta(minutes=1)), **bot,
            )  # fmt: skip


def rows(store: Store, model: Any) -> list[tuple[Any, ...]]:
    """What was counted; sums of floats to twelve digits, for they depend on the order."""
    hidden = {"id", "pk", "store", "computed_at"}
    names = [f.attname for f in model._meta.fields if f.name not in hidden]
    found = model.objects.filter(store=store).values_list(*names)
    return sorted(
        (tuple(f"{v:.12g}" if isinstance(v, float) else v for v in row) for row in found), key=str
    )


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {model.__name__: rows(store, model) for model in MODELS}


def reported_before(events: list[Event], line: Event, day: date, zone: ZoneInfo) -> bool:
    """The same person reported the order on an earlier day, at most thirty days ago."""
    return any(
        e.occurred_at.astimezone(zone).date() < day and line.occurred_at - e.occurred_at <= days(30)
        for e in events
        if e.type == EventType.PURCHASE
        and (e.shopper_id, e.order_id) == (line.shopper_id, line.order_id)
    )


def list_of(lists: dict[uuid.UUID | None, Impression], event: Event) -> Impression | None:
    """The list an event names, if its page can still be open."""
    shown = lists.get(event.recommendation_id)
    age = event.occurred_at - shown.delivered_at if shown else timedelta(0)
    return shown if -days(1) < age <= days(9) else None


def shown_by_hand(
    lists: dict[uuid.UUID | None, Impression], events: list[Event], zone: ZoneInfo
) -> tuple[Counter[Any], Counter[Any]]:
    """What happened to recommendations, and to the products in them."""
    recommendations: Counter[Any] = Counter()
    places: Counter[Any] = Counter()
    for each in lists.values():
        day = each.delivered_at.astimezone(zone).date()
        recommendations[day, each.placement_id, "impressions"] += 1
        recommendations[day, each.placement_id, "empty"] += not each.product_ids
        recommendations[day, each.placement_id, "fallback"] += each.fallback is not None
        for product_id in each.product_ids:
            places[day, product_id, "shown"] += 1
    for event in events:
        day = event.occurred_at.astimezone(zone).date()
        shown = list_of(lists, event)
        word = {CLICK: "clicks", SEEN: "seen"}.get(EventType(event.type))
        if word:
            recommendations[day, shown.placement_id if shown else 0, word] += 1
        if event.type == CLICK:
            places[day, event.product_id, "clicks"] += 1
    return recommendations, places


def by_hand(store: Store) -> dict[str, Any]:
    """The oracle: every fact is looked at, nothing is clever."""
    zone = ZoneInfo(store.time_zone)
    lists: dict[uuid.UUID | None, Impression] = {
        each.recommendation_id: each for each in Impression.objects.filter(store=store)
    }
    paths: dict[int | None, str] = dict(
        Product.objects.filter(store=store).values_list("pk", "category_path")
    )
    events = list(Event.objects.filter(store=store, is_bot=False))
    recommendations, places = shown_by_hand(lists, events, zone)
    orders: dict[Any, dict[uuid.UUID, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.type == EventType.PURCHASE:
            day = event.occurred_at.astimezone(zone).date()
            orders[day, event.order_id][event.event_id].append(event)
    lines = set()
    for (day, order_id), reported in orders.items():
        first = min(
            (line for lines in reported.values() for line in lines),
            key=lambda e: (e.occurred_at, e.event_id),
        )
        if reported_before(events, first, day, zone):
            continue
        for line in reported[first.event_id]:
            clicks = [
                e for e in events
                if e.type == CLICK and e.shopper_id == line.shopper_id
                and e.product_id == line.product_id
                and timedelta(0) <= line.occurred_at - e.occurred_at <= timedelta(days=7)
            ]  # fmt: skip
            if clicks:
                last = max(clicks, key=lambda e: e.occurred_at)
                shown = list_of(lists, last)
                source = ""
                if shown and last.product_id in shown.product_ids:
                    source = shown.sources[shown.product_ids.index(last.product_id)]
                lines.add((day, order_id, line.product_id, source,
                           paths[line.product_id].split(" > ")[0]))  # fmt: skip
    return {"recommendations": +recommendations, "places": +places, "lines": lines}


def as_by_hand(store: Store) -> dict[str, Any]:
    recommendations: Counter[Any] = Counter()
    for row in RecommendationDay.objects.filter(store=store):
        for word in ("impressions", "empty", "fallback", "seen", "clicks"):
            recommendations[row.day, row.placement_id, word] += getattr(row, f"n_{word}")
    places: Counter[Any] = Counter()
    for each in ProductDay.objects.filter(store=store):
        totals = totals_unpacked([each.totals])
        for product_id in totals.product_ids.tolist():
            places[each.day, product_id, "shown"], places[each.day, product_id, "clicks"] = (
                totals.of(product_id)
            )
    lines = {
        (line.day, line.order_key, line.product_id, line.source, line.category)
        for line in AttributedLine.objects.filter(store=store)
    }
    return {"recommendations": +recommendations, "places": +places, "lines": lines}


@pytest.fixture
def new_york(store: Store) -> Store:
    store.time_zone = "America/New_York"
    store.save()
    return store


@pytest.mark.parametrize("seed", range(5))
def test_days_equal_a_count_by_hand_and_slices_in_between_equal_a_rebuild(
    new_york: Store, other_store: Store, seed: int
) -> None:
    rng = random.Random(seed)
    random_world(other_store, rng)
    for _ in range(3):
        random_world(new_york, rng, n=40)
        insights_refresh(store=new_york, now=timezone.now(), since=START)
        known_forget()
    assert as_by_hand(new_york) == by_hand(new_york)
    assert AttributedLine.objects.filter(store=new_york).exists()
    assert not any(model.objects.filter(store=other_store).exists() for model in MODELS)

    in_between = everything(new_york)
    insights_rebuild(store=new_york, now=timezone.now())
    after = everything(new_york)
    for name in after:
        if name == "RecommendationDay":
            # Novelty is measured by what was known when the day was counted.
            assert [row[:-2] for row in after[name]] == [row[:-2] for row in in_between[name]]
        else:
            assert after[name] == in_between[name], name


def test_a_second_refresh_changes_nothing(new_york: Store) -> None:
    random_world(new_york, random.Random(7))
    refresh(new_york)
    before = everything(new_york)
    refresh(new_york)
    assert everything(new_york) == before


@pytest.mark.parametrize(
    ("n_days", "last"),
    [(31, date(2026, 10, 31)), (40, date(2026, 12, 3)), (365, date(2026, 12, 5)),
     (3, date(2026, 11, 4)), (28, date(2026, 11, 28)), (30, date(2026, 11, 30))],
)  # fmt: skip
def test_months_and_edge_days_equal_the_days(store: Store, n_days: int, last: date) -> None:
    random_world(store, random.Random(3), n=120)
    refresh(store)
    period = Period(n_days, last)
    by_day: Counter[int] = Counter()
    for row in ProductDay.objects.filter(store=store, day__range=(period.first, period.last)):
        totals = totals_unpacked([row.totals])
        by_day.update(dict(zip(totals.product_ids.tolist(), totals.n_shown.tolist(), strict=True)))
    totals = product_totals(store=store, period=period)
    found = dict(zip(totals.product_ids.tolist(), totals.n_shown.tolist(), strict=True))
    assert {pk: n for pk, n in found.items() if n} == dict(+by_day)


def test_a_month_is_summed_when_it_is_over(store: Store, placement: Placement) -> None:
    mug = make_product(store, "mug")
    october = Period(31, date(2026, 10, 31))
    deliver(store, placement, [mug], at=START)
    running = START + timedelta(hours=1)
    insights_refresh(store=store, now=running)
    assert not ProductMonth.objects.exists()
    # It is over, and nobody has counted since: the days tell it.
    assert product_totals(store=store, period=october).n_shown.tolist() == [1]
    insights_refresh(store=store, now=START + days(30))
    assert ProductMonth.objects.filter(store=store).count() == 1
    assert product_totals(store=store, period=october).n_shown.tolist() == [1]
    # What comes late is added.
    deliver(store, placement, [mug], at=START - days(2))
    insights_refresh(store=store, now=START + days(31), delivered_since=START - days(3))
    assert product_totals(store=store, period=october).n_shown.tolist() == [2]


def test_sources_categories_and_placements_tell_the_same_orders(store: Store) -> None:
    random_world(store, random.Random(4), n=150)
    refresh(store)
    period = Period(28, date(2026, 11, 20))
    whole = period_slices(store=store, period=period, dimension=None)[None][0]
    assert whole.revenue_minor > 0
    for dimension in Dimension:
        parts = period_slices(store=store, period=period, dimension=dimension).values()
        assert sum(now.revenue_minor for now, _ in parts) == whole.revenue_minor, dimension
        assert sum(now.n_clicks for now, _ in parts) == whole.n_clicks, dimension
    top = top_products(store=store, period=period, limit=100)
    assert sum(each.revenue_minor for each in top) == whole.revenue_minor
    assert [each.revenue_minor for each in top] == sorted(
        (each.revenue_minor for each in top), reverse=True
    )


def test_reach_is_that_of_the_catalog_that_can_be_shown(store: Store, placement: Placement) -> None:
    mugs = [make_product(store, f"mug{i}") for i in range(4)]
    make_product(store, "sold-out", stock_count=0)
    make_product(store, "free", price_minor=None)
    deliver(store, placement, mugs[:2], at=START)
    deliver(store, placement, mugs[:1], at=START)
    refresh(store)
    reach = Reach.objects.get(store=store, step="day")
    assert (reach.n_shown, reach.n_catalog) == (2, 4)
    assert reach.gini == pytest.approx(gini(np.array([2, 1, 0, 0])))
    assert Reach.objects.get(store=store, step="week").first == date(2026, 10, 26)


def test_what_was_shown_and_is_sold_out_by_now_belongs_to_the_catalog(
    store: Store, placement: Placement
) -> None:
    mugs = [make_product(store, f"mug{i}") for i in range(4)]
    deliver(store, placement, mugs[:2], at=START)
    Product.objects.filter(pk=mugs[0].pk).update(stock_count=0)
    Product.objects.filter(pk=mugs[3].pk).update(stock_count=0)
    refresh(store)
    reach = Reach.objects.get(store=store, step="day")
    assert (reach.n_shown, reach.n_catalog) == (2, 3)
    found = catalog_reach(store=store, period=Period(1, START.date()))
    assert (found.n_shown, found.n_catalog) == (2, 3)


def test_a_list_of_what_everybody_knows_is_less_novel(store: Store, placement: Placement) -> None:
    anna = make_shopper(store, "anna")
    known, unknown = make_product(store, "known"), make_product(store, "unknown")
    for _ in range(7):
        make_event(store, anna, known, at=START - days(7))
    make_event(store, anna, unknown, at=START - days(7))
    deliver(store, placement, [known], at=START)
    deliver(store, placement, [unknown], at=START + days(1))
    refresh(store)
    sums = dict(
        RecommendationDay.objects.filter(store=store, n_impressions=1).values_list(
            "day", "novelty_sum"
        )
    )
    assert sums[START.date()] == pytest.approx(-np.log2(7 / 8))
    assert sums[START.date() + days(1)] == pytest.approx(3.0)


def test_without_views_or_a_content_model_novelty_and_diversity_are_unknown(
    store: Store, placement: Placement
) -> None:
    deliver(store, placement, [make_product(store, "a"), make_product(store, "b")], at=START)
    refresh(store)
    row = RecommendationDay.objects.get(store=store)
    assert (row.n_diversity, row.n_novelty) == (0, 0)


def test_what_came_in_once_is_not_counted_again_for_ever(
    store: Store, placement: Placement
) -> None:
    anna, mug, now = make_shopper(store, "anna"), make_product(store, "mug"), timezone.now()
    make_event(store, anna, mug, at=START, received_at=now)
    deliver(store, placement, [mug], at=now)
    found = [
        insights_refresh(store=store, now=now + timedelta(minutes=minutes)).n_days
        for minutes in (0, 1, 5, 6, 66, 67)
    ]
    # Minutes long something may become visible that was stamped before; answers for an hour.
    assert found == [2, 2, 2, 1, 1, 0]


def test_another_time_zone_counts_every_day_anew(store: Store, placement: Placement) -> None:
    deliver(store, placement, [], at=datetime(2026, 3, 3, 3, tzinfo=UTC))
    refresh(store)
    assert RecommendationDay.objects.get().day == date(2026, 3, 3)
    store.time_zone = "America/New_York"
    store.save()
    refresh(store)
    assert RecommendationDay.objects.get().day == date(2026, 3, 2)


def test_each_store_is_a_task_of_its_own(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        tasks.refresh_store_rollups, "apply_async", lambda args, expires: asked.append(args[0])
    )
    for each in (store, other_store):
        deliver(each, Placement.objects.filter(store=each)[0], [], at=START)
    tasks.refresh_rollups()
    assert asked == [store.pk, other_store.pk]
    tasks.refresh_store_rollups(other_store.pk)
    assert RecommendationDay.objects.get().store == other_store
    assert InsightsWatermark.objects.get().store == other_store


def test_lists_of_a_kind_that_comes_in_while_days_are_counted_wait_for_the_next_refresh(
    store: Store, placement: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    mugs = [make_product(store, name) for name in ("mug", "cup")]
    deliver(store, placement, mugs, at=START)
    other = Placement.objects.get(store=store, slug="home-for-you")

    def committed_in_between(**asked: Any) -> None:
        deliver(store, other, mugs, at=START)
        lists_measure(**asked)

    with monkeypatch.context() as between:
        between.setattr("analytics.services.insights_rollups.lists_measure", committed_in_between)
        refresh(store)
    assert RecommendationDay.objects.get(placement_id=placement.pk).n_impressions == 1
    insights_refresh(store=store, now=timezone.now(), delivered_since=START - days(1))
    assert RecommendationDay.objects.get(placement_id=other.pk).n_impressions == 1


def test_a_refresh_without_news_takes_few_queries(store: Store) -> None:
    refresh(store)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        refresh(store)
    assert len(queries) <= 12
