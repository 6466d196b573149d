"""From a guest's clicks to the customer's recommendations, and back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.utils import timezone

from catalog.models import Event, EventType, ShopperLink, Store
from catalog.services.shopper_links import shopper_link
from recommender.services.event_weights import event_weights_save
from recommender.services.identity import person_link, person_unlink
from recommender.services.recommend import recommend
from recommender.services.session_rebuild import sessions_rebuild
from recommender.services.session_searches import search_entries
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.stores.session_state import SessionEntry, sessions_restore
from tests.factories import make_event, make_shopper
from tests.integration.test_training_and_serving import use_sources
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, train_all, two_tastes


@pytest.fixture
def world(store: Store) -> TwoTastes:
    """Trained, and so long ago that nothing of it is in a session any more."""
    made = two_tastes(store)
    for event in Event.objects.filter(store=made.store):
        Event.objects.filter(pk=event.pk).update(occurred_at=event.occurred_at - timedelta(days=90))
    train_all(made.store)
    use_sources(made, "home-for-you", sources=[{"source": "for_you", "weight": 1}])
    return made


def for_you(world: TwoTastes, shopper: str) -> set[str]:
    page = recommend(
        store_id=world.store.pk,
        request=RecommendationRequest(shopper_id=shopper),
        placements=[PlacementRequest(slug="home-for-you")],
    )
    return {page.snapshot.external_ids[row] for row in page.recommendations[0].rows}


def look(world: TwoTastes, shopper: str, name: str, kind: int = EventType.VIEW_ITEM) -> None:
    make_event(
        world.store, make_shopper(world.store, shopper), world.products[name], type=kind,
        at=timezone.now(),
    )  # fmt: skip
    sessions_rebuild(store_id=world.store.pk, shopper_external_ids=[shopper])


def test_a_guest_who_logs_in_sees_the_customers_taste_at_once_and_no_more_after_undoing(
    world: TwoTastes, valkey_server: redis.Redis
) -> None:
    look(world, "guest", "saw")
    before = for_you(world, "guest")
    assert before <= set(TOOLS)
    person_link(
        store=world.store,
        shopper_external_id="guest",
        customer_external_id="breakfast-3",
        linked_by=ShopperLink.LinkedBy.API,
    )
    after = for_you(world, "guest")
    assert after & set(BREAKFAST)
    assert for_you(world, "breakfast-3") == after
    valkey_server.flushdb()
    assert for_you(world, "guest") == after
    person_unlink(store=world.store, shopper_external_id="guest")
    assert for_you(world, "guest") == before
    assert for_you(world, "breakfast-3") <= set(BREAKFAST)


def test_the_next_training_gives_the_customer_what_linked_guests_did(world: TwoTastes) -> None:
    store = world.store
    shopper_link(
        store=store, shopper_external_id="tools-3", customer_external_id="breakfast-3",
        linked_by=ShopperLink.LinkedBy.API,
    )  # fmt: skip
    train_all(store)
    RUNTIMES.refresh()
    assert for_you(world, "breakfast-3") & set(TOOLS)


def test_what_was_hidden_is_shown_nowhere(world: TwoTastes) -> None:
    assert "milk" in for_you(world, "breakfast-5")
    at_s = int(timezone.now().timestamp())
    hidden = SessionEntry(at_s, EventType.HIDE_ITEM, world.id_of("milk"))
    sessions_restore(world.store.pk, {"breakfast-5": [hidden]})
    assert "milk" not in for_you(world, "breakfast-5")


def test_a_search_moves_the_next_answer(world: TwoTastes) -> None:
    searched = search_entries(
        store_id=world.store.pk, searches=[(int(timezone.now().timestamp()), "hammer")]
    )
    assert [entry.product_id for entry in searched] == [world.id_of("hammer")]
    assert for_you(world, "visitor") == for_you(world, "other visitor")
    sessions_restore(world.store.pk, {"visitor": searched})
    assert for_you(world, "visitor") & set(TOOLS)


def test_an_event_that_the_store_gives_no_weight_says_nothing(world: TwoTastes) -> None:
    look(world, "visitor", "saw")
    assert for_you(world, "visitor") & set(TOOLS)
    event_weights_save(store=world.store, weights={"view_item": 0.0}, member=None)
    RUNTIMES.refresh()
    assert for_you(world, "visitor") == for_you(world, "nobody")
