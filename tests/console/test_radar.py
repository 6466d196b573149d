"""The radar: which answers were left wanting and why, and what each source still needs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from analytics.console.radar_words import cause_of
from analytics.console.readiness_words import (
    BASKETS_NEEDED,
    NEEDS,
    Readiness,
    forecast_words,
    meanwhile_words,
    readiness_of,
)
from analytics.selectors.empty_slots import (
    CatalogGaps,
    Shortage,
    catalog_gaps,
    placement_answers,
)
from analytics.services.rollups import rollups_rebuild
from catalog.models import Member, Product, Store
from recommender.models import Placement, Run
from recommender.selectors.readiness import Stock, learning_stocks
from recommender.serving.sources import SOURCES
from recommender.serving.strategy import strategy_parse
from tests.conftest import MemberClient
from tests.console.conftest import Shop, deliver
from tests.factories import days, make_event, make_order, make_product, make_shopper

NO_GAPS = CatalogGaps(10, 0, 0, 0)


@pytest.fixture
def viewer(shop: Shop, member_client: MemberClient) -> Client:
    return member_client(shop.store, Member.Role.VIEWER)


def test_an_answer_counts_once_as_empty_short_or_filled(shop: Shop) -> None:
    now = timezone.now()
    products = [product.pk for product in shop.products]
    Placement.objects.filter(pk=shop.placement.pk).update(n_minimum=2)
    deliver(shop.store, shop.placement, products[:1], at=now)
    deliver(shop.store, shop.placement, products[:4], at=now - timedelta(days=9))
    rollups_rebuild(store=shop.store, now=now)
    found = placement_answers(store=shop.store, since=now - timedelta(days=7), step="day")
    own = found[shop.placement.pk]
    # `furnish` delivered one full answer and one without products.
    assert (own.total.n, own.total.n_empty, own.total.n_short, own.total.n_fallback) == (3, 1, 1, 0)
    assert own.total.wanting_rate == pytest.approx(2 / 3)
    assert own.reasons == [Shortage("no_context", None, 1)]
    assert sum(each.n for _, each in own.over_time) == 3
    longer = placement_answers(store=shop.store, since=now - timedelta(days=30), step="day")
    assert [each.n for _, each in longer[shop.placement.pk].over_time] == [1, 3]


def test_the_radar_knows_nothing_of_other_stores(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    found = placement_answers(
        store=shop.store, since=timezone.now() - timedelta(days=1), step="hour"
    )
    assert other_shop.placement.pk not in found
    Product.objects.filter(store=other_shop.store).update(price_minor=None)
    assert catalog_gaps(store=shop.store).n_no_price == 0
    mine = learning_stocks(store=shop.store, now=timezone.now())
    make_order(other_shop.store, other_shop.shoppers[0], other_shop.products[:2], at=timezone.now())
    assert learning_stocks(store=shop.store, now=timezone.now()) == mine
    client = member_client(shop.store, Member.Role.OWNER)
    assert client.get(f"/console/{other_shop.store.slug}/radar/").status_code == 404


@pytest.mark.parametrize("period", ["24h", "7d", "30d"])
def test_the_page_names_the_cause_and_leads_to_it(shop: Shop, viewer: Client, period: str) -> None:
    answer = viewer.get(f"/console/{shop.store.slug}/radar/", {"period": period})
    page = answer.content.decode()
    assert "Sometimes empty" in page
    assert "The page named no product, cart or category to start from." in page
    assert f'href="/console/corner/placements/{shop.placement.slug}/"' in page
    assert "Readiness of the sources" in page
    assert viewer.get(f"/console/{shop.store.slug}/radar/", {"period": "1y"}).status_code == 404


def test_a_store_that_nobody_asks_says_what_to_do(
    store: Store, member_client: MemberClient
) -> None:
    page = member_client(store).get(f"/console/{store.slug}/radar/").content.decode()
    assert "Nobody asked in the last 7 days" in page
    assert f"{BASKETS_NEEDED} more orders of two or more products needed" in page
    assert "None so far, so there is no pace to go by." in page
    assert "Give products a date of publication in your feed." in page


def test_what_there_is_to_learn_from_is_counted(store: Store) -> None:
    now = timezone.now()
    shopper, other = make_shopper(store, "a"), make_shopper(store, "b")
    products = [make_product(store, f"p{n}", list_price_minor=900 * (n == 0)) for n in range(3)]
    make_order(store, shopper, products[:2], at=now - days(20))
    make_order(store, shopper, products[:1], at=now - days(1))
    make_event(store, other, products[0], at=now - days(2))
    make_event(store, other, products[1], at=now - days(2))
    # Whose consent was denied and who calls itself a machine teach nothing.
    make_event(store, make_shopper(store, "c"), products[2], at=now, consent=0)
    make_event(store, make_shopper(store, "d"), products[2], at=now, is_bot=True)
    stocks = learning_stocks(store=store, now=now)
    assert stocks["baskets"] == Stock(1, 0.0)
    assert stocks["repeats"] == Stock(1, 1 / 7)
    assert stocks["visits"].n == 2
    assert stocks["people"].n == 2
    assert stocks["events"].n == 5
    assert (stocks["titles"].n, stocks["reduced"].n, stocks["dated"].n) == (3, 1, 0)


def judged(store: Store, now: datetime) -> dict[str, Readiness]:
    stocks = learning_stocks(store=store, now=now)
    return {
        source: readiness_of(source, stocks[need.kind], trained=set(), users={})
        for source, need in NEEDS.items()
    }


def test_an_empty_store_lacks_everything_and_has_no_pace(store: Store) -> None:
    found = judged(store, timezone.now())
    assert {each.state for each in found.values()} == {"waiting"}
    assert {each.share for each in found.values()} == {0.0}
    by_catalog = {"similar_content", "new_arrivals", "on_sale"}
    for source, each in found.items():
        if source in by_catalog:
            assert each.forecast == NEEDS[source].advice != ""
        else:
            assert each.forecast == "None so far, so there is no pace to go by."


def test_ten_products_without_events_lack_two_for_a_row_and_wait_for_no_day(store: Store) -> None:
    for n in range(10):
        make_product(
            store,
            f"p{n}",
            list_price_minor=5_000 if n < 4 else None,
            published_at=timezone.now() - days(n),
        )
    found = judged(store, timezone.now())
    content = found["similar_content"]
    assert (content.has, content.missing) == (
        "10 of 12 products with a title",
        "2 more products with a title",
    )
    # They came today, all at once: that is no pace.
    assert content.forecast == "Add products to your catalog."
    assert found["new_arrivals"].missing == "2 more products with a date of publication"
    assert found["on_sale"].has == "4 of 12 reduced products"
    assert found["bestsellers"].has == "0 of 200 events with a product"


def test_a_store_of_one_day_is_judged_by_the_pace_of_its_day(store: Store) -> None:
    now = timezone.now()
    products = [make_product(store, f"p{n}") for n in range(4)]
    for n in range(20):
        shopper = make_shopper(store, f"shopper-{n}")
        at = now - timedelta(minutes=60 * 24 - 60 * n)
        make_event(store, shopper, products[n % 4], at=at)
        make_event(store, shopper, products[(n + 1) % 4], at=at)
        if n < 6:
            make_order(store, shopper, products[:2], at=at)
    found = judged(store, now)
    # 6 orders in one day, not in seven: 294 more take 49 days.
    assert found["bought_together"].forecast == "At 6 a day: about 49 days."
    assert found["also_viewed"].has == "20 of 1,000 visits to two or more products"
    assert found["also_viewed"].forecast == "At 20 a day: about 49 days."
    assert found["for_you"].forecast == "At 20 a day: about 4 days."
    assert found["trending"].has == "52 of 200 events with a product"
    assert found["trending"].forecast == "At 52 a day: about 3 days."
    assert found["buy_again"].forecast == "None so far, so there is no pace to go by."


def test_the_first_hour_is_not_multiplied_up_to_a_day(store: Store) -> None:
    now = timezone.now()
    products = [make_product(store, f"p{n}") for n in range(2)]
    for n in range(3):
        make_order(store, make_shopper(store, f"s{n}"), products, at=now - timedelta(minutes=9))
    assert learning_stocks(store=store, now=now)["baskets"] == Stock(3, 3.0)


def test_what_is_missing_is_said_with_its_days_and_what_serves_meanwhile() -> None:
    found = readiness_of(
        "bought_together",
        Stock(BASKETS_NEEDED - 240, 40.0),
        trained=set(),
        users={"Product page": ("similar_content", "bestsellers")},
    )
    assert (found.state, found.missing) == ("waiting", "240 more orders of two or more products")
    assert found.forecast == "At 40 a day: about 6 days."
    assert found.meanwhile == "Meanwhile Similar products, then Bestsellers fill in."
    assert found.share == pytest.approx(1 - 240 / BASKETS_NEEDED)


def test_enough_without_a_model_is_not_ready() -> None:
    def state(trained: set[str]) -> str:
        stock = Stock(BASKETS_NEEDED, 0.0)
        return readiness_of("bought_together", stock, trained=trained, users={}).state

    assert state(set()) == "untrained"
    assert state({Run.Family.ITEM_SIMILARITY}) == "ready"
    assert readiness_of("on_sale", Stock(99), trained=set(), users={}).state == "ready"


@pytest.mark.parametrize(
    ("n_missing", "per_day", "words"),
    [
        (1, 1.0, "At 1 a day: about 1 day."),
        (10, 0.0, "None came in the last 7 days: at this pace, never."),
        (1_000, 0.5, "At 0.5 a day it takes more than a year."),
        (300, 1 / 70, "At less than 0.1 a day it takes more than a year."),
    ],
)
def test_forecasts(n_missing: int, per_day: float, words: str) -> None:
    assert forecast_words(n_missing, per_day) == words


def test_an_empty_chain_leaves_the_row_away() -> None:
    assert meanwhile_words({}) == "No placement uses it."
    assert "nothing is shown" in meanwhile_words({"Home": ()})


def test_every_source_that_learns_has_a_need() -> None:
    # These need nothing but the shopper's own visit, the merchant's own list, or a choice in the
    # Lab, which says itself what a method lacks.
    assert set(SOURCES) - set(NEEDS) <= {"recently_viewed", "handpicked", "chosen"}


def test_causes_say_what_the_store_can_do_now() -> None:
    document = strategy_parse({"sources": [{"source": "bought_together", "weight": 1.0}]})

    def link(reason: str, trained: set[str], gaps: CatalogGaps) -> str:
        return cause_of(reason, document=document, trained=trained, gaps=gaps).link

    assert link("not_trained", set(), NO_GAPS) == "Models → item similarities not trained"
    assert link("not_trained", {"item_similarity"}, NO_GAPS) == "Models → trained since then"
    gaps = CatalogGaps(400, 312, 5, 0)
    assert link("all_excluded", set(), gaps) == "Catalog → 312 products without a price"
    assert cause_of("all_excluded", document=None, trained=set(), gaps=gaps).query == (
        "?state=no_price"
    )
