"""Segments: a request and the console's count hold the same people for the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Product, Shopper, ShopperLink, Store
from recommender.models import Rule
from recommender.selectors.segments import segment_sizes
from recommender.services.campaign_guard import campaigns_guard
from recommender.services.session_reading import session_state
from recommender.serving.runtime import RUNTIMES
from recommender.serving.segments import segment_json, segment_parse, shopper_in, shopper_seen
from recommender.stores.session_state import UNAVAILABLE
from tests.factories import make_event, make_order, make_product, make_shopper
from tests.worlds import train_all, two_tastes

SEGMENTS: dict[str, dict[str, Any]] = {
    "new": {"type": "new", "days": 5},
    "returning": {"type": "returning", "days": 5},
    "two orders": {"type": "high_value", "days": 30, "orders": 2},
    "spenders": {"type": "high_value", "days": 90, "spend_minor": 2_000},
    "lapsed": {"type": "lapsed", "days": 20},
    "lapsed buyers": {"type": "lapsed", "days": 10, "since": "purchase"},
    "breakfast": {"type": "affinity", "categories": ["Breakfast"], "products": 3, "days": 60},
    "tools lately": {"type": "affinity", "brands": ["Tools"], "products": 2, "days": 3},
}


@pytest.fixture
def people(store: Store) -> list[Shopper]:
    """The two tastes, and some whom they lack; profiles are trained before the last events."""
    world = two_tastes(store, shoppers_per_taste=6)
    now = world.now
    products = world.products
    lapsed, away = make_shopper(store, "lapsed"), make_shopper(store, "away")
    make_order(store, lapsed, [products["saw"]], at=now - timedelta(days=40))
    make_event(store, away, products["milk"], at=now - timedelta(days=30))
    guest, customer = make_shopper(store, "guest"), make_shopper(store, "customer")
    ShopperLink.objects.create(
        store=store, shopper=guest, customer=customer, linked_by=ShopperLink.LinkedBy.API
    )
    make_order(store, guest, [products["glue"]] * 4, at=now - timedelta(days=9))
    make_order(store, customer, [products["nails"]] * 4, at=now - timedelta(days=8))
    train_all(store)
    # What the profiles don't know yet.
    fresh = make_shopper(store, "fresh")
    make_event(store, fresh, products["saw"], at=now - timedelta(hours=1))
    make_event(store, fresh, products["glue"], at=now - timedelta(minutes=50))
    make_event(store, lapsed, products["saw"], at=now - timedelta(minutes=5))
    make_order(store, away, [products["honey"]], at=now - timedelta(minutes=4))
    make_order(store, away, [products["milk"]], at=now - timedelta(minutes=2))
    assert RUNTIMES.get(store.pk)
    return [shopper for shopper in Shopper.objects.filter(store=store) if shopper != guest]


def members(
    store: Store, people: list[Shopper], document: dict[str, Any], now: datetime
) -> set[str]:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    found = set()
    for shopper in people:
        state = session_state(store_id=store.pk, shopper_id=shopper.external_id)
        seen = shopper_seen(shopper.external_id, state, runtime.models.profiles, runtime.snapshot)
        segment = segment_parse(document)
        if shopper_in(
            segment, seen, device=None, snapshot=runtime.snapshot, now_s=int(now.timestamp())
        ):
            found.add(shopper.external_id)
    return found


def test_the_count_in_sql_is_that_of_the_requests(store: Store, people: list[Shopper]) -> None:
    now = timezone.now()
    documents = {key: segment_json(segment_parse(each)) for key, each in SEGMENTS.items()}
    counted = segment_sizes(store=store, documents=documents, now=now)
    asked = {key: members(store, people, each, now) for key, each in SEGMENTS.items()}
    assert counted.sizes == {key: len(found) for key, found in asked.items()}
    assert counted.n_shoppers == len(people)
    assert asked["new"] == {"fresh"}
    assert {"lapsed"} == asked["lapsed"] & {"lapsed", "fresh", "breakfast-1"}
    assert "customer" in asked["two orders"]
    assert "away" in asked["two orders"]
    assert asked["spenders"] == {"customer"} | {
        shopper.external_id for shopper in people if "-" in shopper.external_id
    }
    assert {"fresh"} == asked["tools lately"] & {"fresh", "away", "lapsed"}


def test_who_may_not_be_known_is_in_no_segment(store: Store, people: list[Shopper]) -> None:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    for shopper_id, state in ((None, UNAVAILABLE), ("breakfast-1", UNAVAILABLE)):
        seen = shopper_seen(shopper_id, state, runtime.models.profiles, runtime.snapshot)
        for document in SEGMENTS.values():
            assert not shopper_in(
                segment_parse(document), seen, device=None, snapshot=runtime.snapshot, now_s=0
            )
    phone = segment_parse({"type": "device", "devices": ["mobile"]})
    assert shopper_in(phone, None, device="mobile", snapshot=runtime.snapshot, now_s=0)


# --------------------------------------------------------------------------------------- guard


def campaign(store: Store, guard: dict[str, Any], **document: Any) -> Rule:
    written = {"action": {"type": "boost", "factor": 2}, "target": {"brands": ["Maker"]}}
    return Rule.objects.create(
        store=store, name="Campaign", document={**written, **document, "guard": guard}
    )


def reason(rule: Rule) -> str:
    rule.refresh_from_db()
    return rule.paused_reason


def stocked(store: Store, name: str, stock: int | None, **fields: Any) -> Product:
    return make_product(store, name, stock_count=stock, **fields)


def test_a_campaign_pauses_when_a_named_product_runs_out_and_only_once(store: Store) -> None:
    product = stocked(store, "mug", 6, title="Mug")
    stocked(store, "plate", 90)
    pins = campaign(
        store,
        {"stop_when_stock_below": 5},
        action={"type": "pin", "product_ids": ["mug", "plate"]},
        target={},
    )
    now = timezone.now()
    assert campaigns_guard(now=now) == []
    Product.objects.filter(pk=product.pk).update(stock_count=4)
    assert campaigns_guard(now=now) == [pins]
    assert reason(pins) == "The stock of “Mug” is 4, below 5."
    assert campaigns_guard(now=now) == []
    Product.objects.filter(pk=product.pk).update(stock_count=100)
    assert campaigns_guard(now=now) == []
    assert reason(pins) != ""


def test_products_meant_by_what_they_are_count_together(store: Store, other_store: Store) -> None:
    stocked(store, "mug", 3, margin_minor=100)
    stocked(store, "plate", 3, margin_minor=25)
    stocked(other_store, "mug", 1, margin_minor=1)
    fine = campaign(store, {"stop_when_stock_below": 6, "stop_when_margin_below": 25})
    low = campaign(store, {"stop_when_stock_below": 7})
    thin = campaign(store, {"stop_when_margin_below": 25.5})
    theirs = campaign(other_store, {"stop_when_stock_below": 1})
    assert set(campaigns_guard(now=timezone.now())) == {low, thin}
    assert reason(low) == "The stock of all its products is 6, below 7."
    assert reason(thin) == "The mean margin of its products is 25.0 %, below 25.5 %."
    assert (reason(fine), reason(theirs)) == ("", "")


def test_a_product_that_is_out_of_stock_has_none_and_an_unknown_stock_is_no_reason(
    store: Store,
) -> None:
    stocked(store, "mug", None, title="Mug")
    rule = campaign(store, {"stop_when_stock_below": 1}, target={"product_ids": ["mug"]})
    assert campaigns_guard(now=timezone.now()) == []
    Product.objects.update(availability="out_of_stock")
    assert campaigns_guard(now=timezone.now()) == [rule]


def test_a_campaign_that_does_not_count_now_is_left_alone(store: Store) -> None:
    stocked(store, "mug", 0)
    now = timezone.now()
    guard = {"stop_when_stock_below": 5}
    rules = [campaign(store, guard) for _ in range(3)]
    Rule.objects.filter(pk=rules[0].pk).update(enabled=False)
    Rule.objects.filter(pk=rules[1].pk).update(starts_at=now + timedelta(days=1))
    Rule.objects.filter(pk=rules[2].pk).update(ends_at=now - timedelta(days=1))
    assert campaigns_guard(now=now) == []
