"""Searches, hides and outages in the sessions: what counts, what stays, what is mended."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.test import Client

from catalog.models import Event, EventType, Product, Store
from catalog.selectors.events import shoppers_past
from catalog.selectors.products import products_searched_first
from catalog.services.shopper_links import shopper_link
from recommender.services import session_mending, session_searches
from recommender.services.session_mending import sessions_mend, sessions_start
from recommender.services.session_reading import session_state
from recommender.services.session_recording import MAX_SESSIONS
from recommender.services.session_searches import N_FOUND
from recommender.stores import session_state as session_store
from recommender.stores.client import StoreUnavailable, valkey
from recommender.stores.keys import session_key
from recommender.stores.session_state import (
    MAX_HIDDEN,
    N_ENTRIES,
    OUTAGE,
    SLACK,
    SessionEntry,
    SessionState,
    session_read,
    session_record,
    sessions_restore,
)
from tests.factories import make_event, make_product, make_shopper
from tests.sending import send_events

pytestmark = pytest.mark.django_db

VIEW, HIDE, SEARCH = EventType.VIEW_ITEM, EventType.HIDE_ITEM, EventType.SEARCH

Send = Callable[..., None]


@pytest.fixture
def send(client: Client, store: Store, publishable_key: str) -> Send:
    def post(*events: dict[str, Any], key: str = publishable_key) -> None:
        assert send_events(client, key, *events)["accepted"] == len(events)

    return post


def of_type(state: SessionState, kind: int) -> list[int]:
    return [int(each) for each in state.product_ids[state.types == kind]]


# ----------------------------------------------------------------------------------------- searches


@pytest.fixture
def teas(store: Store) -> list[Product]:
    """In the order in which a search for tea finds them."""
    return [
        make_product(store, "tea", title="Tea"),
        make_product(store, "tea-mint", title="Tea with mint"),
        make_product(store, "green", title="Green tea"),
        make_product(store, "pot", title="Pot"),
    ]


def test_a_search_counts_for_the_products_that_it_finds_first(
    send: Send, store: Store, teas: list[Product]
) -> None:
    for number in range(N_FOUND):
        make_product(store, f"box-{number}", title=f"Wooden box of many kinds of tea, {number}")
    send({"type": "search", "query": "Tea"})
    state = session_read(store.pk, "me")
    assert of_type(state, SEARCH)[:3] == [product.pk for product in teas[:3]]
    assert len(of_type(state, SEARCH)) == N_FOUND


def test_a_search_finds_nothing_that_cannot_be_bought(
    send: Send, store: Store, other_store: Store
) -> None:
    make_product(store, "hidden", title="Tea", hidden=True)
    make_product(store, "gone", title="Tea", deleted_at=datetime.now(UTC))
    make_product(store, "out", title="Tea", availability=Product.Availability.OUT_OF_STOCK)
    make_product(store, "priceless", title="Tea", price_minor=None)
    make_product(other_store, "theirs", title="Tea")
    send({"type": "search", "query": "tea"})
    assert len(session_state(store_id=store.pk, shopper_id="me").product_ids) == 0


def test_a_rebuild_looks_up_the_last_three_searches_again(
    send: Send, store: Store, teas: list[Product], valkey_server: redis.Redis
) -> None:
    for query in ("green", "mint", "pot", "nothing like it"):
        send({"type": "search", "query": query})
    valkey_server.flushdb()
    found = of_type(session_state(store_id=store.pk, shopper_id="me"), SEARCH)
    assert set(found) == {teas[1].pk, teas[3].pk}


def test_a_search_that_the_database_cannot_answer_does_not_fail_the_post(
    send: Send, store: Store, teas: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> list[int]:
        raise OperationalError("away")

    monkeypatch.setattr(session_searches, "products_searched_first", away)
    send({"type": "search", "query": "tea"}, {"type": "view_item", "product_id": "pot"})
    assert session_read(store.pk, "me").product_ids.tolist() == [teas[3].pk]


def test_the_same_search_is_looked_up_once(
    send: Send, teas: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    send({"type": "search", "query": "tea"})
    searched: list[str] = []

    def counting(**wanted: Any) -> list[int]:
        searched.append(wanted["query"])
        return products_searched_first(**wanted)

    monkeypatch.setattr(session_searches, "products_searched_first", counting)
    send({"type": "search", "query": " TEA "}, {"type": "search", "query": "tea"})
    assert searched == []
    send(*({"type": "search", "query": f"tea {number}"} for number in range(9)))
    assert len(searched) == 3


# -------------------------------------------------------------------------------------------- hides


def test_what_was_hidden_stays_in_a_list_that_has_lost_what_is_older(store: Store) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(1, VIEW, 7), SessionEntry(2, HIDE, 8)]})
    for number in range(5 * N_ENTRIES):
        session_record(store.pk, "me", [SessionEntry(10 + number, VIEW, 100 + number)])
    state = session_read(store.pk, "me")
    assert of_type(state, HIDE) == [8]
    assert 7 not in state.product_ids
    assert len(state.product_ids) < N_ENTRIES + SLACK


def test_of_many_hidden_products_the_last_ones_stay(store: Store) -> None:
    sessions_restore(store.pk, {"me": []})
    for number in range(MAX_HIDDEN + 5):
        session_record(store.pk, "me", [SessionEntry(1 + number, HIDE, 1 + number)])
    for number in range(3 * N_ENTRIES):
        session_record(store.pk, "me", [SessionEntry(100 + number, VIEW, 100 + number)])
    assert of_type(session_read(store.pk, "me"), HIDE) == list(range(6, MAX_HIDDEN + 6))


def test_two_processes_that_shorten_the_same_list_lose_no_hidden_product(store: Store) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(1, HIDE, 8)]})
    views = [SessionEntry(10 + number, VIEW, 100 + number) for number in range(N_ENTRIES + SLACK)]
    key = session_key(store.pk, "me")
    valkey().call("RPUSHX", key, *map(session_store._pack, views))
    seen = valkey().call("LRANGE", key, 0, -1)
    for _ in range(2):
        session_store._shorten(store.pk, {"me": seen})
    for _ in range(2):
        seen = valkey().call("LRANGE", key, 0, -1)
        assert of_type(session_read(store.pk, "me"), HIDE) == [8]


def test_a_rebuild_brings_back_what_was_hidden_years_ago(store: Store, other_store: Store) -> None:
    now = datetime.now(UTC)
    me, namesake = make_shopper(store, "me"), make_shopper(other_store, "me")
    tea, pot = make_product(store, "tea"), make_product(store, "pot")
    make_event(store, me, tea, type=HIDE, at=now - timedelta(days=800))
    make_event(store, me, pot, at=now - timedelta(days=800))
    make_event(other_store, namesake, make_product(other_store, "cup"), type=HIDE, at=now)
    for number in range(N_ENTRIES):
        make_event(store, me, pot, at=now - timedelta(minutes=number))
    state = session_state(store_id=store.pk, shopper_id="me")
    assert of_type(state, HIDE) == [tea.pk]
    assert len(state.product_ids) == N_ENTRIES
    past = shoppers_past(
        store_id=store.pk, external_ids=["me"], types=[HIDE], since=now - timedelta(days=900),
        limit=9, n_hidden=9, n_searches=0,
    )  # fmt: skip
    assert len(past["me"].events) == 1


def test_what_a_machine_did_does_not_come_back(store: Store) -> None:
    now = datetime.now(UTC)
    me, tea = make_shopper(store, "me"), make_product(store, "tea", title="Tea")
    for kind in (VIEW, HIDE):
        make_event(store, me, tea, type=kind, at=now, is_bot=True)
    make_event(store, me, type=SEARCH, query="tea", at=now, is_bot=True)
    assert len(session_state(store_id=store.pk, shopper_id="me").product_ids) == 0


# ------------------------------------------------------------------------------------------ outages


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """`failing(True)`: Valkey stops answering, and keeps what it has."""

    def switch(on: bool) -> None:
        def away() -> Any:
            raise StoreUnavailable("away")

        for module in (session_store, session_mending):
            monkeypatch.setattr(module, "valkey", away if on else valkey)

    return switch


@pytest.fixture
def tea(store: Store) -> Product:
    return make_product(store, "tea")


@pytest.fixture
def pot(store: Store) -> Product:
    return make_product(store, "pot")


def in_another_process() -> None:
    """What follows runs where nobody has noticed anything."""
    OUTAGE.clear()


def test_a_list_that_survived_an_outage_gets_what_happened_meanwhile(
    send: Send, store: Store, tea: Product, pot: Product, failing: Callable[[bool], None]
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    failing(True)
    send({"type": "view_item", "product_id": "pot"})
    assert not session_state(store_id=store.pk, shopper_id="me").available
    failing(False)
    assert session_read(store.pk, "me").product_ids.tolist() == [tea.pk]
    assert set(session_state(store_id=store.pk, shopper_id="me").product_ids.tolist()) == {
        tea.pk,
        pot.pk,
    }
    assert OUTAGE.since_s is None


def test_the_first_event_after_an_outage_mends_the_lists_of_everybody(
    send: Send, store: Store, tea: Product, pot: Product, failing: Callable[[bool], None]
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    failing(True)
    send({"type": "view_item", "product_id": "pot"})
    failing(False)
    send({"type": "view_item", "product_id": "tea", "shopper_id": "somebody else"})
    in_another_process()
    assert len(session_state(store_id=store.pk, shopper_id="me").product_ids) == 2


def test_a_process_that_only_looked_mends_what_a_dead_one_could_not_write(
    send: Send, store: Store, tea: Product, pot: Product, failing: Callable[[bool], None]
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    failing(True)
    send({"type": "view_item", "product_id": "pot"})
    in_another_process()
    session_state(store_id=store.pk, shopper_id="a passer-by")
    failing(False)
    session_state(store_id=store.pk, shopper_id="a passer-by")
    in_another_process()
    assert len(session_state(store_id=store.pk, shopper_id="me").product_ids) == 2


def test_a_process_that_begins_after_valkey_did_mends_what_nobody_remembers(
    send: Send,
    store: Store,
    tea: Product,
    pot: Product,
    failing: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    failing(True)
    send({"type": "view_item", "product_id": "pot"})
    in_another_process()
    failing(False)
    monkeypatch.setattr(session_mending, "valkey_up_for_s", lambda: 5)
    sessions_start()
    assert len(session_state(store_id=store.pk, shopper_id="me").product_ids) == 2


def test_a_process_that_begins_beside_an_old_valkey_believes_it(
    monkeypatch: pytest.MonkeyPatch, valkey_server: redis.Redis
) -> None:
    assert session_store.valkey_up_for_s() >= 0
    monkeypatch.setattr(session_mending, "valkey_up_for_s", lambda: 100_000)
    sessions_start()
    assert OUTAGE.since_s is None


def test_mending_waits_for_postgresql_and_meanwhile_what_valkey_kept_is_believed(
    send: Send, store: Store, tea: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    asked: list[None] = []

    def away(**_: object) -> dict[int, list[str]]:
        asked.append(None)
        raise OperationalError("away")

    OUTAGE.note()
    with monkeypatch.context() as patch:
        patch.setattr(session_mending, "shoppers_changed_since", away)
        for _ in range(3):
            state = session_state(store_id=store.pk, shopper_id="me")
            assert state.product_ids.tolist() == [tea.pk]
    assert len(asked) == 1
    assert OUTAGE.since_s is not None


def test_a_failure_while_mending_is_not_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(**_: object) -> dict[int, list[str]]:
        OUTAGE.note()
        return {}

    OUTAGE.note(since_s=time.time() - 100)
    monkeypatch.setattr(session_mending, "shoppers_changed_since", meanwhile)
    assert sessions_mend()
    since_s = OUTAGE.since_s
    assert since_s is not None
    assert since_s < time.time() - 99


def test_mending_touches_those_of_whom_events_came_in_and_no_other(
    send: Send, store: Store, tea: Product, valkey_server: redis.Redis
) -> None:
    send({"type": "view_item", "product_id": "tea"})
    old = make_shopper(store, "old")
    make_event(store, old, tea, received_at=datetime.now(UTC) - timedelta(days=1))
    session_state(store_id=store.pk, shopper_id="old")
    shopper_link(
        store=store, shopper_external_id="guest", customer_external_id="me", linked_by="api"
    )
    session_state(store_id=store.pk, shopper_id="guest")
    OUTAGE.note()
    assert sessions_mend()
    assert valkey_server.keys("vt:*:session:*") == [f"vt:{store.pk}:session:old".encode()]


def test_a_batch_of_many_searchers_has_every_search_at_the_next_look(
    send: Send, store: Store, secret_key: str, tea: Product
) -> None:
    send({"type": "hide_item", "product_id": "tea", "shopper_id": "s4"})
    searchers = [f"s{number}" for number in range(5)]
    send(*({"type": "search", "query": "tea", "shopper_id": s} for s in searchers), key=secret_key)
    for searcher in searchers:
        state = session_state(store_id=store.pk, shopper_id=searcher)
        assert of_type(state, SEARCH) == [tea.pk], searcher


def test_a_large_batch_with_a_search_only_drops_the_list_too(
    send: Send, store: Store, secret_key: str, tea: Product, valkey_server: redis.Redis
) -> None:
    send({"type": "view_item", "product_id": "tea", "shopper_id": "s0"})
    send(
        *(
            {"type": "search", "query": "tea", "shopper_id": f"s{number}"}
            for number in range(MAX_SESSIONS + 1)
        ),
        key=secret_key,
    )
    assert Event.objects.count() == MAX_SESSIONS + 2
    assert valkey_server.keys("vt:*:session:*") == []
