"""From facts to answers: train a world whose answers are known, then ask."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from django.db.models import F
from django.utils import timezone

from catalog.models import EventType, Product, Store
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact
from recommender.models import Artifact, Impression, Placement, Run
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import Page, UnknownPlacement, recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.services.training.trained import TrainingData
from recommender.serving.models import model_check
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.stores.session_state import SessionEntry, sessions_restore
from tests.factories import make_event, make_product
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, train_all, two_tastes


@pytest.fixture
def world(store: Store) -> TwoTastes:
    made = two_tastes(store)
    runs = train_all(store)
    assert {run.state for run in runs.values()} == {Run.State.PUBLISHED}, [
        (run.family, run.message) for run in runs.values()
    ]
    return made


def ask(world: TwoTastes, *slugs: str, **context: object) -> Page:
    return recommend(
        store_id=world.store.pk,
        request=RecommendationRequest(**context),  # type: ignore[arg-type]
        placements=[PlacementRequest(slug=slug) for slug in slugs],
    )


def ids(page: Page, number: int = 0) -> list[str]:
    return [page.snapshot.external_ids[row] for row in page.recommendations[number].rows]


def use_sources(world: TwoTastes, slug: str, **document: object) -> None:
    """Give a placement another strategy version."""
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=world.store, slug=slug
    )
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"fallback": [], "diversity": 0, **document},
    )
    placement.save()
    settings_touch(store_id=world.store.pk)
    RUNTIMES.refresh()


def test_bought_together_answers_with_the_partners_of_the_product(world: TwoTastes) -> None:
    use_sources(
        world,
        "product-bought-together",
        sources=[{"source": "bought_together", "weight": 1}],
    )
    page = ask(world, "product-bought-together", product_ids=("muesli",))
    found = ids(page)
    assert found[0] == "milk"
    assert set(found) <= set(BREAKFAST) - {"muesli"}
    assert page.recommendations[0].fallback is None


def test_similar_content_knows_a_product_that_was_never_sold(world: TwoTastes) -> None:
    page = ask(world, "product-similar", product_ids=("tofu",))
    first = ids(page)[0]
    assert first in BREAKFAST
    assert page.recommendations[0].sources[0] == "similar_content"


def test_for_you_follows_the_shoppers_taste(world: TwoTastes) -> None:
    use_sources(world, "home-for-you", sources=[{"source": "for_you", "weight": 1}])
    assert set(ids(ask(world, "home-for-you", shopper_id="breakfast-3"))) <= set(BREAKFAST)
    assert set(ids(ask(world, "home-for-you", shopper_id="tools-3"))) <= set(TOOLS)


def test_buy_again_offers_what_the_shopper_bought(world: TwoTastes) -> None:
    page = ask(world, "home-buy-again", shopper_id="tools-1")
    assert {"hammer", "nails"} <= set(ids(page)) <= set(TOOLS)


def test_an_unknown_shopper_gets_no_buy_again_and_is_told_why(world: TwoTastes) -> None:
    recommendation = ask(world, "home-buy-again", shopper_id="stranger").recommendations[0]
    assert (recommendation.rows, recommendation.reason) == ([], "unknown_shopper")


def test_a_click_changes_the_next_answer(world: TwoTastes) -> None:
    before = ids(ask(world, "home-for-you", shopper_id="visitor"))
    sessions_restore(
        world.store.pk,
        {"visitor": [SessionEntry(int(time.time()), EventType.VIEW_ITEM, world.id_of("saw"))]},
    )
    after = ids(ask(world, "home-for-you", shopper_id="visitor"))
    assert after != before
    assert after[0] in TOOLS


def test_no_product_is_shown_twice_on_a_page(world: TwoTastes) -> None:
    page = ask(world, "home-trending", "home-for-you", "category-top", shopper_id="tools-2")
    shown = [name for number in range(3) for name in ids(page, number)]
    assert len(shown) == len(set(shown)) > 0


@pytest.mark.parametrize(
    "change",
    [{"hidden": True}, {"availability": "out_of_stock"}, {"stock_count": 0}, {"price_minor": None}],
)
def test_a_product_that_may_not_be_shown_never_is(
    world: TwoTastes, change: dict[str, object]
) -> None:
    milk = world.products["milk"]
    for name, value in change.items():
        setattr(milk, name, value)
    milk.save()
    RUNTIMES.clear()
    for context in (
        {"product_ids": ("muesli",)},
        {"cart": ("muesli",)},
        {"shopper_id": "breakfast-1"},
    ):
        page = ask(world, "product-bought-together", "cart-cross-sell", "home-buy-again", **context)
        assert "milk" not in [name for number in range(3) for name in ids(page, number)]


def test_cart_view_and_request_exclusions_are_honoured(world: TwoTastes) -> None:
    page = ask(
        world,
        "product-bought-together",
        product_ids=("muesli",),
        cart=("milk",),
        exclude=("honey",),
    )
    assert not {"muesli", "milk", "honey"} & set(ids(page))


def test_a_strategy_that_excludes_purchases_shows_none(world: TwoTastes) -> None:
    page = ask(world, "confirmation-next", shopper_id="breakfast-1")
    assert not {"muesli", "milk"} & set(ids(page))


def test_too_few_products_are_filled_by_the_fallback_and_marked(world: TwoTastes) -> None:
    use_sources(
        world,
        "home-for-you",
        sources=[{"source": "for_you", "weight": 1}],
        fallback=["bestsellers"],
    )
    recommendation = ask(world, "home-for-you", shopper_id="stranger").recommendations[0]
    assert len(recommendation.rows) >= 4
    assert (recommendation.fallback, recommendation.reason) == ("bestsellers", "unknown_shopper")


def test_an_unknown_product_in_view_is_named_as_the_reason(world: TwoTastes) -> None:
    recommendation = ask(
        world, "product-bought-together", product_ids=("no-such-thing",)
    ).recommendations[0]
    assert recommendation.reason == "unknown_product"
    assert recommendation.fallback == "bestsellers"


def test_a_paused_placement_answers_empty_with_its_reason(world: TwoTastes) -> None:
    Placement.objects.filter(slug="home-for-you").update(paused=True)
    RUNTIMES.clear()
    recommendation = ask(world, "home-for-you").recommendations[0]
    assert (recommendation.rows, recommendation.reason) == ([], "placement_paused")


def test_an_untrained_store_serves_new_arrivals_or_says_why_not(store: Store) -> None:
    make_product(store, "lonely")
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(),
        placements=[PlacementRequest(slug="home-trending")],
    )
    assert page.recommendations[0].reason == "not_trained"


def test_an_empty_catalog_is_an_honest_empty_answer(store: Store) -> None:
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(),
        placements=[PlacementRequest(slug="home-for-you")],
    )
    assert page.recommendations[0].reason == "empty_catalog"


def test_an_unknown_placement_is_refused_before_anything_is_logged(world: TwoTastes) -> None:
    logged = len(IMPRESSIONS)
    with pytest.raises(UnknownPlacement, match="no-such"):
        ask(world, "no-such")
    assert len(IMPRESSIONS) == logged


def test_an_unknown_placement_leaves_the_rest_of_the_page_alone(world: TwoTastes) -> None:
    page = ask(world, "no-such", "home-trending")
    assert page.unknown == ["no-such"]
    trending, unknown = map(json.loads, page.as_json())
    assert (unknown["placement"], unknown["reason"], unknown["items"]) == (
        "no-such",
        "unknown_placement",
        [],
    )
    assert trending["placement"] == "home-trending"
    assert trending["items"]


def test_caps_limit_brands(world: TwoTastes) -> None:
    use_sources(
        world,
        "home-trending",
        sources=[{"source": "bestsellers", "weight": 1}],
        max_per_brand=2,
    )
    page = ask(world, "home-trending")
    brands = [page.snapshot.card(row)["brand"] for row in page.recommendations[0].rows]
    assert sorted(brands) == ["Breakfast"] * 2 + ["Tools"] * 2


def test_the_trace_says_where_a_product_came_from_and_why_another_is_missing(
    world: TwoTastes,
) -> None:
    page = ask(
        world,
        "product-bought-together",
        product_ids=("muesli",),
        cart=("honey",),
        explain=True,
        why_not=("honey", "no-such-thing", "saw"),
    )
    trace = page.recommendations[0].trace
    assert trace is not None
    milk = trace.products["milk"]
    assert (milk["source"], milk["because"]) == ("bought_together", "muesli")
    assert milk["parts"]["bought_together"]["rank"] == 1
    assert trace.dropped["honey"] == {
        "step": "eligibility",
        "why": "it is in the cart",
        "causes": ["in the cart"],
    }
    assert trace.dropped["no-such-thing"]["step"] == "catalog"


def test_delivered_recommendations_are_logged_as_they_went_out(world: TwoTastes) -> None:
    IMPRESSIONS.flush()
    Impression.objects.all().delete()
    page = ask(world, "home-for-you", shopper_id="breakfast-1", session_id="s1", device="phone")
    IMPRESSIONS.flush()
    row = Impression.objects.get()
    answer = page.recommendations[0]
    assert row.recommendation_id == answer.recommendation_id
    assert row.product_ids == page.snapshot.product_ids[answer.rows].tolist()
    assert (row.sources, row.shopper_external_id, row.device) == (
        answer.sources,
        "breakfast-1",
        "phone",
    )
    assert row.propensities == [1.0] * len(row.product_ids)


def test_two_stores_never_see_each_other(world: TwoTastes, other_store: Store) -> None:
    make_product(other_store, "muesli", title="Not this one")
    page = recommend(
        store_id=other_store.pk,
        request=RecommendationRequest(shopper_id="breakfast-1", product_ids=("muesli",)),
        placements=[PlacementRequest(slug="product-bought-together")],
    )
    assert page.recommendations[0].rows == []
    ours = set(world.store.products.values_list("pk", flat=True))
    assert ours.isdisjoint(page.snapshot.product_ids.tolist())


def test_a_broken_artifact_is_refused_and_the_old_one_goes_on(
    world: TwoTastes, artifact_folder: Path
) -> None:
    before = ids(ask(world, "product-similar", product_ids=("milk",)))
    train_all(world.store)
    serving = Artifact.objects.get(store=world.store, family="content", serving=True)
    folder = artifact_folder / str(world.store.pk) / "content" / serving.version
    vectors = folder / "vectors.npy"
    raw = bytearray(vectors.read_bytes())
    raw[-1] ^= 1
    vectors.write_bytes(raw)
    RUNTIMES.refresh()
    runtime = RUNTIMES.get(world.store.pk)
    assert runtime is not None
    assert runtime.artifacts["content"].manifest.version != serving.version
    assert ("content", serving.version) in runtime.refused
    assert ids(ask(world, "product-similar", product_ids=("milk",))) == before


def test_a_changed_product_is_served_after_a_refresh_without_a_restart(world: TwoTastes) -> None:
    ask(world, "home-for-you")
    before = RUNTIMES.get(world.store.pk)
    assert before is not None
    make_product(world.store, "brand-new", title="Brand new")
    Product.objects.filter(pk=world.id_of("milk")).update(title="Oat milk", updated_at=world.now)
    Store.objects.filter(pk=world.store.pk).update(catalog_version=1)
    RUNTIMES.refresh()
    after = RUNTIMES.get(world.store.pk)
    assert after is not None
    row = after.snapshot.row_of_external["milk"]
    assert after.snapshot.card(row)["title"] == "Oat milk"
    assert before.snapshot.card(row)["title"] != "Oat milk"
    assert "brand-new" in after.snapshot.row_of_external
    np.testing.assert_array_equal(
        before.snapshot.product_ids, after.snapshot.product_ids[: len(before.snapshot)]
    )


def test_hidden_products_and_shoppers_without_consent_teach_nothing(world: TwoTastes) -> None:
    before = len(TrainingData(store_id=world.store.pk, now=world.now).events)
    shopper = world.shoppers["tools-1"]
    make_event(world.store, shopper, world.products["saw"], at=world.now, consent=0)
    assert len(TrainingData(store_id=world.store.pk, now=world.now).events) == before
    make_event(world.store, shopper, world.products["saw"], at=world.now, consent=1)
    assert len(TrainingData(store_id=world.store.pk, now=world.now).events) == before + 1
    Product.objects.filter(pk=world.id_of("hammer")).update(hidden=True)
    events = TrainingData(store_id=world.store.pk, now=world.now)
    hammer = events.products.ids.rows_of([world.id_of("hammer")])[0]
    assert hammer not in events.events.item_rows


def test_what_one_shopper_hid_is_missing_for_them_alone(world: TwoTastes) -> None:
    use_sources(world, "product-similar", sources=[{"source": "similar_content", "weight": 1}])
    everybody = ids(ask(world, "product-similar", product_ids=("muesli",)))
    entry = SessionEntry(int(time.time()), EventType.HIDE_ITEM, world.id_of(everybody[0]))
    sessions_restore(world.store.pk, {"picky": [entry]})
    mine = ids(ask(world, "product-similar", product_ids=("muesli",), shopper_id="picky"))
    assert mine == everybody[1:]
    assert ids(ask(world, "product-similar", product_ids=("muesli",))) == everybody


def test_what_is_kept_for_everybody_goes_with_a_change_of_the_catalog(world: TwoTastes) -> None:
    use_sources(world, "product-similar", sources=[{"source": "similar_content", "weight": 1}])
    before = ids(ask(world, "product-similar", product_ids=("muesli",)))
    Product.objects.filter(store=world.store, external_id=before[0]).update(
        hidden=True, updated_at=timezone.now()
    )
    Store.objects.filter(pk=world.store.pk).update(catalog_version=F("catalog_version") + 1)
    RUNTIMES.refresh()
    assert before[0] not in ids(ask(world, "product-similar", product_ids=("muesli",)))


def test_an_artifact_that_lacks_what_serving_needs_is_named(world: TwoTastes) -> None:
    RUNTIMES.refresh()
    runtime = RUNTIMES.get(world.store.pk)
    assert runtime is not None
    for family, artifact in runtime.artifacts.items():
        model_check(family, artifact)
        with pytest.raises(ArtifactError, match="another release"):
            model_check(family, LoadedArtifact(artifact.manifest, {}))
