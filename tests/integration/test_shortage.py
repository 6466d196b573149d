"""An answer that rules have made too short says so, and names the rule that left out most."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Product, Store
from catalog.services.products import catalog_changed
from recommender.models import Impression, Placement, Rule
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.request import PlacementRequest, Recommendation, RecommendationRequest
from recommender.serving.trace import Reason
from tests.console.conftest import serving_run
from tests.factories import make_product

EXCLUDE, ONLY = {"type": "exclude"}, {"type": "include_only"}


@pytest.fixture
def placement(store: Store) -> Placement:
    """Each of six products has the next two as neighbours; two are asked at least."""
    products = [
        make_product(store, f"p{n}", brand=("Ash", "Birch", "Cedar")[n % 3]) for n in range(6)
    ]
    serving_run(store, products)
    placement = Placement.objects.get(store=store, slug="product-bought-together")
    document = {
        "sources": [{"source": "bought_together", "weight": 1.0}],
        "diversity": 0.0,
        "fallback": ["new_arrivals"],
    }
    version = strategy_version_create(
        strategy=placement.strategy_version.strategy, document=document
    )
    Placement.objects.filter(pk=placement.pk).update(strategy_version=version, n_minimum=2)
    settings_touch(store_id=store.pk)
    placement.refresh_from_db()
    return placement


def rule(store: Store, action: dict[str, Any], **target: Any) -> Rule:
    document = {"action": action, "target": target}
    found = Rule.objects.create(store=store, name=str(target), document=document)
    settings_touch(store_id=store.pk)
    return found


def ask(placement: Placement, *, view: str = "p0", **request: Any) -> Recommendation:
    page = recommend(
        store_id=placement.store_id,
        request=RecommendationRequest(product_ids=(view,), **request),
        placements=[PlacementRequest(slug=placement.slug)],
    )
    return page.recommendations[0]


def test_what_rules_left_too_short_names_the_rule_that_left_out_most(placement: Placement) -> None:
    store = placement.store
    rule(store, EXCLUDE, brands=["Ash"])
    most = rule(store, EXCLUDE, brands=["Birch", "Cedar"])
    rule(store, EXCLUDE, brands=["Cedar"])
    for _ in range(2):  # computed, and from what is kept for everybody
        answer = ask(placement)
        assert (answer.rows, answer.reason) == ([], Reason.EXCLUDED_BY_RULES)
        assert answer.rule_id == most.pk


def test_an_answer_that_is_short_and_not_empty_names_its_rule_as_well(placement: Placement) -> None:
    only = rule(placement.store, ONLY, brands=["Birch"])
    answer = ask(placement)
    assert (len(answer.rows), answer.reason) == (1, Reason.EXCLUDED_BY_RULES)
    assert answer.rule_id == only.pk


def test_what_would_be_too_short_without_rules_is_not_their_doing(placement: Placement) -> None:
    rule(placement.store, EXCLUDE, brands=["Birch"])
    # One of the two neighbours is in the cart: no two are left whatever the rules say.
    answer = ask(placement, cart=("p2",))
    assert (answer.rows, answer.reason) == ([], Reason.ALL_EXCLUDED)
    assert answer.rule_id is None


def test_rules_that_leave_enough_and_rules_that_leave_nothing_out_are_not_blamed(
    placement: Placement,
) -> None:
    rule(placement.store, {"type": "boost", "factor": 2}, brands=["Birch"])
    rule(placement.store, EXCLUDE, brands=["Ash"])
    assert (ask(placement).reason, len(ask(placement).rows)) == (None, 2)
    Product.objects.filter(store=placement.store).update(brand="Ash")
    assert ask(placement, cart=("p1", "p2")).rule_id is None


def test_a_fallback_says_that_rules_were_why_it_was_needed(placement: Placement) -> None:
    barred = rule(placement.store, EXCLUDE, product_ids=["p1", "p2"])
    Product.objects.filter(store=placement.store).update(published_at="2026-01-01T00:00:00Z")
    catalog_changed(store_id=placement.store_id)
    answer = ask(placement)
    assert answer.fallback == "new_arrivals"
    assert (answer.reason, answer.rule_id) == (Reason.EXCLUDED_BY_RULES, barred.pk)


def test_the_rule_is_written_into_the_log(placement: Placement) -> None:
    barred = rule(placement.store, EXCLUDE, product_ids=["p1", "p2"])
    ask(placement)
    ask(placement, view="p3")
    IMPRESSIONS.flush()
    logged = Impression.objects.filter(store=placement.store)
    assert {(each.reason, each.rule_id) for each in logged} == {
        ("excluded_by_rules", barred.pk),
        (None, None),
    }
