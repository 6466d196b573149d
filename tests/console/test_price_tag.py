"""The price tag of a change: what logged requests would get, and that asking changes nothing."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Member, Store
from recommender.models import Impression, Placement
from recommender.services import price_tag
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.preview import PlacementEdit, StrategyEdit
from recommender.services.price_tag import (
    PriceTag,
    PriceTagGone,
    price_tag_continue,
    price_tag_start,
)
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.strategy import MAX_EXPLORATION
from recommender.stores.sliced_jobs import job_read
from tests.conftest import MemberClient
from tests.console.conftest import Shop, furnish

HTMX = {"HX-Request": "true"}


@pytest.fixture
def visited(shop: Shop) -> Shop:
    """Twelve logged requests of a placement, of three kinds; the two of `furnish` have no context."""
    _visit(shop)
    return shop


def _visit(shop: Shop) -> None:
    for number in range(12):
        recommend(
            store_id=shop.store.pk,
            request=RecommendationRequest(
                shopper_id=shop.shoppers[number % 3].external_id,
                product_ids=(shop.products[number % 3].external_id,),
                cart=(),
                locale="en-GB",
                device="mobile",
                query="mugs" if number % 2 else None,
            ),
            placements=[PlacementRequest(slug=shop.placement.slug)],
        )
    IMPRESSIONS.flush()


def finished(store: Store, tag: PriceTag) -> PriceTag:
    while not tag.is_done:
        tag = price_tag_continue(store=store, token=tag.token)
    return tag


def start(shop: Shop, edit: StrategyEdit | PlacementEdit) -> PriceTag:
    return price_tag_start(
        store=shop.store, placements=[shop.placement], edit=edit, now=timezone.now()
    )


def test_what_the_page_asked_with_is_written_down_and_the_words_of_a_search_are_not(
    visited: Shop,
) -> None:
    logged = Impression.objects.filter(store=visited.store).exclude(context=None)
    assert logged.count() == 12
    contexts = [each.context or {} for each in logged]
    assert all(set(each) <= {"product_ids", "cart", "locale", "search"} for each in contexts)
    assert {each["locale"] for each in contexts} == {"en-GB"}
    assert sum("search" in each for each in contexts) == 6
    assert "mugs" not in str(contexts)


def test_an_edit_that_says_the_same_changes_no_answer(visited: Shop) -> None:
    document = visited.placement.strategy_version.document
    tag = finished(visited.store, start(visited, StrategyEdit(document=document)))
    assert tag.comparison is not None
    assert (tag.comparison.n, tag.comparison.n_changed) == (12, 0)
    assert (tag.n_logged, tag.n_replayable) == (14, 12)


# Each product has two neighbours, of which the strategy in the recipe shows the one of the other
# category; this shows both.
BOTH = StrategyEdit(
    document={
        "sources": [{"source": "bought_together", "weight": 1.0}],
        "diversity": 0.0,
        "fallback": [],
    }
)


def test_a_wider_strategy_shows_more_and_the_tag_says_what(visited: Shop) -> None:
    found = finished(visited.store, start(visited, BOTH)).comparison
    assert found is not None
    assert (found.n, found.n_changed) == (12, 12)
    # Three products are looked at four times each: 1, 2 and 3 are shown now; 2, 3 and 4 as well.
    products = [product.pk for product in visited.products]
    assert found.appear == [(products[4], 4)]
    assert (found.vanish, found.n_vanish) == ([], 0)
    assert found.then.n_products == found.now.n_products + 1


def test_edits_that_are_tried_one_after_another_know_nothing_of_each_other(visited: Shop) -> None:
    finished(visited.store, start(visited, BOTH))
    same = StrategyEdit(document=visited.placement.strategy_version.document)
    found = finished(visited.store, start(visited, same)).comparison
    assert found is not None
    assert found.n_changed == 0


def test_a_strategy_that_finds_nothing_leaves_every_answer_empty(visited: Shop) -> None:
    nothing = {"sources": [{"source": "recently_viewed", "weight": 1.0}], "fallback": []}
    visited_by_nobody = PlacementEdit(values={"paused": True})
    for edit in (
        StrategyEdit(document={**nothing, "exclude": {"viewed": True}}),
        visited_by_nobody,
    ):
        found = finished(visited.store, start(visited, edit)).comparison
        assert found is not None
        assert found.then.empty_rate == 1.0
        assert found.n_vanish == found.now.n_products


@pytest.fixture
def exploring(shop: Shop) -> Shop:
    """120 requests of a placement of one place, which is often given to chance."""
    version = strategy_version_create(
        strategy=shop.placement.strategy_version.strategy,
        document={**BOTH.document, "exploration": MAX_EXPLORATION},
    )
    Placement.objects.filter(pk=shop.placement.pk).update(strategy_version=version, n_products=1)
    settings_touch(store_id=shop.store.pk)
    shop.placement.refresh_from_db()
    for _ in range(10):
        _visit(shop)
    return shop


def test_what_is_left_to_chance_falls_as_it_fell_when_it_was_logged(exploring: Shop) -> None:
    logged = Impression.objects.filter(store=exploring.store).exclude(context=None)
    assert any(each.propensities[0] < 1 for each in logged)
    shown = Counter(product for each in logged for product in each.product_ids)
    # Three products come first for the three that were looked at; only chance shows a fourth.
    assert len(shown) == 4
    job = start(exploring, PlacementEdit(values={"title": "Else"}))
    assert finished(exploring.store, job).comparison is not None
    packed = job_read(exploring.store.pk, "price-tag", job.token, "state")
    assert packed is not None
    assert json.loads(packed)["tally"]["now"]["exposure"] == {
        str(product): n for product, n in shown.items()
    }


def test_an_unchanged_strategy_that_explores_changes_no_answer(exploring: Shop) -> None:
    same = StrategyEdit(document=exploring.placement.strategy_version.document)
    found = finished(exploring.store, start(exploring, same)).comparison
    assert found is not None
    assert (found.n, found.n_changed) == (120, 0)


def test_slices_of_any_size_end_in_the_same_figures(
    visited: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = BOTH
    at_once = finished(visited.store, start(visited, edit))
    ticks = iter(range(10_000))
    # Every look at the clock is a second later: each slice answers one request.
    monkeypatch.setattr(price_tag, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(price_tag, "SLICE_S", 1.5)
    tag = start(visited, edit)
    assert (tag.n_done, tag.is_done) == (1, False)
    looks = 0
    while not tag.is_done:
        tag = price_tag_continue(store=visited.store, token=tag.token)
        looks += 1
    assert looks == 11
    assert tag.comparison == at_once.comparison


def test_pricing_changes_nothing_that_is_kept(visited: Shop) -> None:
    before = (
        Impression.objects.count(),
        len(IMPRESSIONS),
        list(Store.objects.values_list("settings_version", "catalog_version")),
        list(Placement.objects.order_by("pk").values_list("n_products", "updated_at")),
    )
    finished(visited.store, start(visited, PlacementEdit(values={"n_products": 2})))
    assert before == (
        Impression.objects.count(),
        len(IMPRESSIONS),
        list(Store.objects.values_list("settings_version", "catalog_version")),
        list(Placement.objects.order_by("pk").values_list("n_products", "updated_at")),
    )


def test_a_price_tag_of_another_store_is_gone(visited: Shop, other_store: Store) -> None:
    tag = start(visited, PlacementEdit(values={"n_products": 1}))
    assert job_read(visited.store.pk, "price-tag", tag.token, "job") is not None
    with pytest.raises(PriceTagGone):
        price_tag_continue(store=other_store, token=tag.token)
    with pytest.raises(PriceTagGone):
        price_tag_continue(store=visited.store, token="../job")


def test_only_requests_of_the_own_store_are_answered_again(
    visited: Shop, other_store: Store
) -> None:
    _visit(furnish(other_store))
    tag = finished(visited.store, start(visited, PlacementEdit(values={"n_products": 1})))
    assert tag.n_logged == 14


def test_a_store_without_requests_says_what_to_do(shop: Shop, member_client: MemberClient) -> None:
    Impression.objects.all().delete()
    page = _begin(member_client(shop.store, Member.Role.MERCHANT), shop, n_products="1")
    assert "Nobody asked for this placement in the last 7 days" in page


def test_the_page_shows_the_progress_and_then_the_figures(
    visited: Shop, member_client: MemberClient
) -> None:
    client = member_client(visited.store, Member.Role.VIEWER)
    page = client.post(
        f"/console/{visited.store.slug}/preview/price-tag/?kind=strategy&form=f"
        f"&subject={visited.placement.strategy_version.strategy_id}",
        {"source-bought_together": "100", "category": "any", "fallback": ""},
        headers=HTMX,
    ).content.decode()
    while poll := re.search(r'hx-get="(/console/[^"]*/price-tag/[0-9a-f]{32}/)"', page):
        page = client.get(poll[1], headers=HTMX).content.decode()
    assert "of the answers change" in page
    assert "Different products" in page
    assert "12 of them could be answered again" in page


def test_an_edit_that_cannot_be_understood_has_no_price(
    visited: Shop, member_client: MemberClient
) -> None:
    page = _begin(member_client(visited.store), visited, n_products="many")
    assert "whole number from 1 to 50" in page


def _begin(client: Client, shop: Shop, *, n_products: str) -> str:
    answer = client.post(
        f"/console/{shop.store.slug}/preview/price-tag/?kind=placement&form=f"
        f"&subject={shop.placement.pk}",
        {
            "name": "x",
            "n_products": n_products,
            "n_minimum": "1",
            "below_minimum": "fill",
            "page_type": "product",
            "strategy": str(shop.placement.strategy_version_id),
        },
        headers=HTMX,
    )
    assert answer.status_code == 200
    return answer.content.decode()
