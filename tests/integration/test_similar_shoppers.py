"""What people like a shopper buy: trained, published, served, explained, forgotten."""

from __future__ import annotations

import time

import numpy as np
import pytest

from catalog.models import EventType, Product, Store
from recommender.artifacts.reader import LoadedArtifact
from recommender.console.reason_words import shown_products
from recommender.models import Run
from recommender.services.erasure import shopper_erase
from recommender.services.recommend import Page, recommend
from recommender.services.training import profiles
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from recommender.serving.models import bind_models, model_check
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES, StoreRuntime
from recommender.stores.session_state import SessionEntry, sessions_restore
from tests.factories import days, make_order, make_shopper
from tests.integration.test_training_and_serving import ids, use_sources
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, two_tastes

SLUG = "home-for-you"


def train(store: Store) -> Run:
    run = run_execute(
        run=run_request(store=store, family=Run.Family.PROFILES, trigger=Run.Trigger.COMMAND)
    )
    assert run.state == Run.State.PUBLISHED, run.message
    RUNTIMES.clear()
    return run


@pytest.fixture
def untrained(store: Store) -> TwoTastes:
    """Two tastes, and "newcomer", who bought muesli and milk once."""
    world = two_tastes(store)
    newcomer = world.shoppers["newcomer"] = make_shopper(store, "newcomer")
    bought = [world.products["muesli"], world.products["milk"]]
    make_order(store, newcomer, bought, at=world.now - days(2))
    use_sources(world, SLUG, sources=[{"source": "similar_shoppers", "weight": 1}])
    return world


@pytest.fixture
def world(untrained: TwoTastes) -> TwoTastes:
    train(untrained.store)
    return untrained


def ask(store: Store, **context: object) -> Page:
    return recommend(
        store_id=store.pk,
        request=RecommendationRequest(**context),  # type: ignore[arg-type]
        placements=[PlacementRequest(slug=SLUG)],
    )


def runtime_of(store: Store) -> StoreRuntime:
    RUNTIMES.refresh()
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return runtime


def test_a_newcomer_is_shown_what_those_who_bought_the_same_also_buy(world: TwoTastes) -> None:
    found = ids(ask(world.store, shopper_id="newcomer"))
    assert {"honey", "yogurt", "berries"} <= set(found) <= set(BREAKFAST)


def test_the_answer_says_which_product_of_the_past_it_started_from(world: TwoTastes) -> None:
    page = ask(world.store, shopper_id="newcomer", explain=True)
    trace = page.recommendations[0].trace
    assert trace is not None
    honey = trace.products["honey"]
    assert honey["source"] == "similar_shoppers"
    assert honey["because"] in {"muesli", "milk"}
    title = world.products[honey["because"]].title
    (shown,) = (
        each
        for each in shown_products(page.recommendations[0], page.snapshot)
        if each.external_id == "honey"
    )
    assert f"Similar shoppers: chosen by people who also chose “{title}”" in " ".join(shown.reasons)


def test_nobody_is_told_what_they_alone_have(untrained: TwoTastes) -> None:
    only = make_shopper(untrained.store, "only-one")
    bought = [untrained.products[name] for name in ("muesli", "milk", "tofu")]
    make_order(untrained.store, only, bought, at=untrained.now - days(3))
    train(untrained.store)
    assert "tofu" in ids(ask(untrained.store, shopper_id="newcomer"))
    found = ids(ask(untrained.store, shopper_id="only-one"))
    assert "honey" in found
    assert "tofu" not in found


def test_a_strangers_click_is_enough_to_be_like_somebody(world: TwoTastes) -> None:
    clicked = SessionEntry(int(time.time()), EventType.VIEW_ITEM, world.id_of("saw"))
    sessions_restore(world.store.pk, {"visitor": [clicked]})
    found = ids(ask(world.store, shopper_id="visitor"))
    assert found
    assert set(found) <= set(TOOLS)


def test_a_session_moves_the_answer_of_a_shopper_with_a_past(world: TwoTastes) -> None:
    assert not set(ids(ask(world.store, shopper_id="newcomer"))) & set(TOOLS)
    clicked = SessionEntry(int(time.time()), EventType.VIEW_ITEM, world.id_of("saw"))
    sessions_restore(world.store.pk, {"newcomer": [clicked]})
    found = set(ids(ask(world.store, shopper_id="newcomer")))
    assert found & set(TOOLS)
    assert found & set(BREAKFAST)


def test_who_did_nothing_gets_nothing_and_is_told_why(world: TwoTastes) -> None:
    answer = ask(world.store, shopper_id="stranger").recommendations[0]
    assert (answer.rows, answer.reason) == ([], "unknown_shopper")


def test_an_untrained_store_says_so(untrained: TwoTastes) -> None:
    answer = ask(untrained.store, shopper_id="newcomer").recommendations[0]
    assert (answer.rows, answer.reason) == ([], "not_trained")


def test_profiles_of_an_older_release_serve_without_this_source(world: TwoTastes) -> None:
    runtime = runtime_of(world.store)
    artifact = runtime.artifacts["profiles"]
    kept = {name: a for name, a in artifact.arrays.items() if not name.startswith("alike_")}
    assert len(kept) < len(artifact.arrays)
    older = LoadedArtifact(artifact.manifest, kept)
    model_check("profiles", older)
    profiles_model = bind_models({"profiles": older}, runtime.snapshot).profiles
    assert profiles_model is not None
    assert profiles_model.alike is None


def test_what_was_bought_is_left_out_where_the_strategy_says_so(world: TwoTastes) -> None:
    assert "milk" in ids(ask(world.store, shopper_id="newcomer"))
    use_sources(
        world,
        SLUG,
        sources=[{"source": "similar_shoppers", "weight": 1}],
        exclude={"purchased": True},
    )
    assert set(ids(ask(world.store, shopper_id="newcomer"))) == {"honey", "yogurt", "berries"}


@pytest.mark.parametrize("change", [{"hidden": True}, {"stock_count": 0}, {"price_minor": None}])
def test_a_product_that_may_not_be_shown_never_is(
    world: TwoTastes, change: dict[str, object]
) -> None:
    Product.objects.filter(pk=world.id_of("honey")).update(**change)
    RUNTIMES.clear()
    found = ids(ask(world.store, shopper_id="newcomer"))
    assert "honey" not in found
    assert "yogurt" in found


def test_another_store_with_a_shopper_of_the_same_id_sees_nothing_of_it(
    world: TwoTastes, other_store: Store
) -> None:
    theirs = two_tastes(other_store)
    use_sources(theirs, SLUG, sources=[{"source": "similar_shoppers", "weight": 1}])
    shopper = make_shopper(other_store, "newcomer")
    make_order(other_store, shopper, [theirs.products["hammer"]], at=theirs.now - days(2))
    assert ask(other_store, shopper_id="newcomer").recommendations[0].reason == "not_trained"
    train(other_store)
    assert set(ids(ask(other_store, shopper_id="newcomer"))) <= set(TOOLS)
    assert set(ids(ask(world.store, shopper_id="newcomer"))) <= set(BREAKFAST)


def test_an_erased_shopper_speaks_for_nothing_after_the_next_training(
    untrained: TwoTastes,
) -> None:
    only = make_shopper(untrained.store, "only-one")
    bought = [untrained.products[name] for name in ("muesli", "milk", "tofu")]
    make_order(untrained.store, only, bought, at=untrained.now - days(3))
    before = train(untrained.store)
    assert "tofu" in ids(ask(untrained.store, shopper_id="newcomer"))
    shopper_erase(store=untrained.store, external_id="only-one")
    after = train(untrained.store)
    assert after.counts["shoppers_compared"] == before.counts["shoppers_compared"] - 1
    assert "tofu" not in ids(ask(untrained.store, shopper_id="newcomer"))


def test_rows_of_the_index_name_nobody(world: TwoTastes) -> None:
    artifact = runtime_of(world.store).artifacts["profiles"]
    hashes = np.asarray(artifact["shopper_hashes"])
    places = np.asarray(artifact["alike_places"])
    assert places.max() < len(hashes)
    n_lines = len(artifact["alike_shopper_items"])
    lengths = {
        name: len(array) for name, array in artifact.arrays.items() if name.startswith("alike_")
    }
    assert lengths["alike_item_shoppers"] == lengths["alike_shopper_weights"] == n_lines
    assert artifact["alike_item_shoppers"].max() < len(places)
    for name in lengths:
        assert not np.isin(hashes, artifact[name]).any()


def test_only_the_newest_shoppers_and_their_best_products_are_compared(
    untrained: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "ALIKE_SHOPPERS", 5)
    monkeypatch.setattr(profiles, "ALIKE_PRODUCTS", 2)
    run = train(untrained.store)
    assert run.counts["shoppers_compared"] == 5
    artifact = runtime_of(untrained.store).artifacts["profiles"]
    assert np.diff(artifact["alike_shopper_offsets"]).tolist() == [2] * 5


def test_the_run_says_how_much_of_the_next_purchases_similar_shoppers_foresee(
    untrained: TwoTastes,
) -> None:
    run = train(untrained.store)
    assert run.quality["similar_shoppers_recall_at_20"] == 1.0
