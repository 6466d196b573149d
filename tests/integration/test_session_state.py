"""The shopper's recent events in Valkey: there before the answer, lost without harm."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from catalog.models import Event, EventType, Product, Store
from recommender.config.embedded.process import wait_for
from recommender.services import session_reading, session_rebuild
from recommender.services.session_reading import session_state
from recommender.services.session_rebuild import DATABASE_REST
from recommender.services.session_recording import MAX_SESSIONS
from recommender.stores import client as client_module
from recommender.stores.client import StoreUnavailable, Valkey, valkey
from recommender.stores.session_state import (
    N_ENTRIES,
    SLACK,
    SessionEntry,
    SessionState,
    session_read,
    session_record,
    sessions_forget,
    sessions_restore,
)
from tests.factories import make_event, make_product, make_shopper
from tests.sending import send_events

pytestmark = pytest.mark.django_db

VIEW, ADD, REMOVE, BUY = (
    EventType.VIEW_ITEM,
    EventType.ADD_TO_CART,
    EventType.REMOVE_FROM_CART,
    EventType.PURCHASE,
)


@pytest.fixture
def products(store: Store) -> list[Product]:
    return [make_product(store, name) for name in ("tea", "cup", "pot")]


def ids(state: SessionState) -> list[int]:
    return [int(each) for each in state.product_ids]


# ----------------------------------------------------------------------------------- with the event


def test_an_event_is_in_the_session_when_its_answer_arrives(
    client: Client, store: Store, publishable_key: str, products: list[Product]
) -> None:
    tea, cup, _ = products
    send_events(client, publishable_key, {"type": "view_item", "product_id": "tea"})
    assert ids(session_read(store.pk, "me")) == [tea.pk]
    send_events(
        client, publishable_key, {"type": "add_to_cart", "product_id": "cup", "quantity": 2}
    )
    state = session_read(store.pk, "me")
    assert ids(state) == [tea.pk, cup.pk]
    assert state.types.tolist() == [VIEW, ADD]
    assert state.quantities.tolist() == [1, 2]
    assert state.cart.tolist() == [cup.pk]
    assert abs(int(state.at_s[-1]) - time.time()) < 60


def test_a_duplicate_a_display_and_an_unknown_product_do_not_count(
    client: Client, store: Store, publishable_key: str, products: list[Product]
) -> None:
    once = {"type": "view_item", "product_id": "tea", "event_id": str(uuid4())}
    once["occurred_at"] = datetime.now(UTC).isoformat()
    send_events(client, publishable_key, once)
    send_events(
        client,
        publishable_key,
        once,
        {"type": "recommendation_view", "product_id": "cup"},
        {"type": "view_item", "product_id": "never heard of"},
        {"type": "search", "query": "nothing of ours"},
    )
    assert ids(session_read(store.pk, "me")) == [products[0].pk]


def test_denied_consent_leaves_no_session(
    client: Client,
    store: Store,
    publishable_key: str,
    products: list[Product],
    valkey_server: redis.Redis,
) -> None:
    send_events(
        client,
        publishable_key,
        {"type": "view_item", "product_id": "tea", "consent": "denied"},
    )
    assert valkey_server.keys("vt:*:session:*") == []


def test_sessions_of_stores_and_shoppers_are_apart(
    client: Client, store: Store, other_store: Store, publishable_key: str, products: list[Product]
) -> None:
    send_events(client, publishable_key, {"type": "view_item", "product_id": "tea"})
    assert not session_read(other_store.pk, "me").found
    assert not session_read(store.pk, "you").found


def test_events_a_server_sends_late_do_not_reach_the_session(
    client: Client, store: Store, secret_key: str, products: list[Product]
) -> None:
    old = (datetime.now(UTC) - timedelta(days=90)).isoformat()
    send_events(client, secret_key, {"type": "view_item", "product_id": "tea", "occurred_at": old})
    assert Event.objects.count() == 1
    assert ids(session_state(store_id=store.pk, shopper_id="me")) == []


# -------------------------------------------------------------------------------- lost and rebuilt


def test_whoever_was_never_seen_before_costs_no_look_into_the_past(
    client: Client,
    store: Store,
    other_store: Store,
    publishable_key: str,
    products: list[Product],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    tea, cup, _ = products
    make_event(other_store, make_shopper(other_store, "me"), make_product(other_store, "tea"))
    send_events(
        client, publishable_key, {"type": "hide_item", "product_id": "pot", "shopper_id": "x"}
    )
    with django_assert_num_queries(2):  # products, events
        send_events(
            client,
            publishable_key,
            {"type": "view_item", "product_id": "cup"},
            {"type": "add_to_cart", "product_id": "tea"},
        )
    state = session_read(store.pk, "me")
    assert (ids(state), state.cart.tolist()) == ([cup.pk, tea.pk], [tea.pk])
    # A row without a list is somebody with a past.
    make_event(store, make_shopper(store, "regular"), tea, at=datetime.now(UTC) - timedelta(days=2))
    seen = {"type": "view_item", "product_id": "cup", "shopper_id": "regular"}
    send_events(client, publishable_key, seen)
    assert ids(session_read(store.pk, "regular")) == [tea.pk, cup.pk]


def test_a_flushed_session_comes_back_whole_with_the_next_event(
    client: Client,
    store: Store,
    publishable_key: str,
    products: list[Product],
    valkey_server: redis.Redis,
) -> None:
    send_events(client, publishable_key, {"type": "view_item", "product_id": "tea"})
    send_events(client, publishable_key, {"type": "view_item", "product_id": "cup"})
    valkey_server.flushdb()
    send_events(client, publishable_key, {"type": "view_item", "product_id": "pot"})
    assert set(ids(session_read(store.pk, "me"))) == {each.pk for each in products}


def test_a_flushed_session_comes_back_whole_at_the_next_look(
    client: Client,
    store: Store,
    publishable_key: str,
    products: list[Product],
    valkey_server: redis.Redis,
) -> None:
    send_events(client, publishable_key, {"type": "view_item", "product_id": "tea"})
    send_events(
        client, publishable_key, {"type": "add_to_cart", "product_id": "cup", "quantity": 3}
    )
    before = session_read(store.pk, "me")
    valkey_server.flushdb()
    after = session_state(store_id=store.pk, shopper_id="me")
    stored = session_read(store.pk, "me")
    for state in (after, stored):
        assert ids(state) == ids(before)
        assert state.types.tolist() == before.types.tolist()
        assert state.at_s.tolist() == before.at_s.tolist()
        assert state.quantities.tolist() == before.quantities.tolist()
        assert state.cart.tolist() == before.cart.tolist()


def test_a_shopper_without_a_past_is_looked_up_once(
    store: Store, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert ids(session_state(store_id=store.pk, shopper_id="nobody")) == []
    with django_assert_num_queries(0):
        state = session_state(store_id=store.pk, shopper_id="nobody")
        assert (state.found, ids(state)) == (True, [])


def test_a_rebuild_takes_the_last_sixty_and_none_of_another_store(
    store: Store, other_store: Store
) -> None:
    now = datetime.now(UTC)
    shopper, namesake = make_shopper(store, "me"), make_shopper(other_store, "me")
    ours = [make_product(store, f"p{number}") for number in range(N_ENTRIES + 5)]
    for number, product in enumerate(ours):
        make_event(store, shopper, product, at=now - timedelta(minutes=100 - number))
    make_event(store, shopper, ours[0], type=EventType.VIEW_ITEM_LIST, at=now)
    make_event(other_store, namesake, make_product(other_store, "theirs"), at=now)
    state = session_state(store_id=store.pk, shopper_id="me")
    assert ids(state) == [product.pk for product in ours[5:]]


def test_an_entry_that_is_pushed_twice_counts_once(store: Store) -> None:
    entries = [SessionEntry(100, VIEW, 1), SessionEntry(200, ADD, 2)]
    sessions_restore(store.pk, {"me": entries})
    assert session_record(store.pk, "me", [SessionEntry(200, ADD, 2), SessionEntry(300, VIEW, 3)])
    sessions_restore(store.pk, {"me": entries})
    assert ids(session_read(store.pk, "me")) == [1, 2, 3]


def test_an_event_that_arrives_late_takes_its_place_in_time(store: Store) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(300, VIEW, 3)]})
    session_record(store.pk, "me", [SessionEntry(100, VIEW, 1)])
    assert ids(session_read(store.pk, "me")) == [1, 3]


def test_the_list_keeps_the_last_sixty_entries_for_thirty_days(
    store: Store, valkey_server: redis.Redis
) -> None:
    sessions_restore(store.pk, {"me": []})
    for number in range(100):
        session_record(store.pk, "me", [SessionEntry(number, VIEW, number + 1)])
    kept = ids(session_read(store.pk, "me"))
    assert kept == list(range(101 - len(kept), 101))
    assert N_ENTRIES <= len(kept) < N_ENTRIES + SLACK
    (key,) = valkey_server.keys("vt:*:session:*")
    assert key == f"vt:{store.pk}:session:me".encode()
    assert 29 * 86_400 < valkey_server.ttl(key) <= 30 * 86_400
    assert valkey_server.llen(key) == len(kept)


def test_an_event_never_starts_a_list_that_would_hide_the_past(
    store: Store, valkey_server: redis.Redis
) -> None:
    assert not session_record(store.pk, "me", [SessionEntry(1, VIEW, 1)])
    assert valkey_server.keys("vt:*:session:*") == []


def test_a_forgotten_session_is_gone(store: Store) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(1, VIEW, 1)]})
    sessions_forget(store.pk, ["me", "nobody"])
    assert not session_read(store.pk, "me").found


def test_foreign_bytes_in_the_list_are_ignored(store: Store, valkey_server: redis.Redis) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(1, VIEW, 7)]})
    valkey_server.rpush(f"vt:{store.pk}:session:me", b"junk")
    assert ids(session_read(store.pk, "me")) == [7]


@pytest.mark.parametrize(
    ("entries", "cart"),
    [
        ([(ADD, 1, 1), (ADD, 2, 1)], [1, 2]),
        ([(ADD, 1, 2), (REMOVE, 1, 1)], [1]),
        ([(ADD, 1, 2), (REMOVE, 1, 2)], []),
        ([(ADD, 1, 1), (ADD, 2, 1), (BUY, 1, 1)], [2]),
        ([(ADD, 1, 1), (BUY, 1, 1), (ADD, 1, 1)], [1]),
        ([(REMOVE, 1, 1)], []),
        ([(VIEW, 1, 1), (BUY, 2, 1)], []),
        ([], []),
    ],
)
def test_the_cart_is_what_was_added_and_neither_removed_nor_bought(
    entries: list[tuple[int, int, int]], cart: list[int]
) -> None:
    state = SessionState.of(
        SessionEntry(at, kind, product, quantity)
        for at, (kind, product, quantity) in enumerate(entries, start=1)
    )
    assert state.cart.tolist() == cart


# ------------------------------------------------------------------------------------- round trips


def test_reading_takes_exactly_one_round_trip(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions_restore(store.pk, {"me": [SessionEntry(1, VIEW, 7)]})
    sent: list[object] = []
    original = redis.Connection.send_packed_command

    def counting(self: redis.Connection, *args: Any, **kwargs: Any) -> object:
        sent.append(args)
        return original(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    kind = valkey()._client.connection_pool.connection_class
    monkeypatch.setattr(kind, "send_packed_command", counting)
    assert ids(session_read(store.pk, "me")) == [7]
    assert len(sent) == 1


# ----------------------------------------------------------------------------------------- outages


@pytest.fixture
def dead_valkey(settings: Settings) -> Iterator[None]:
    """An address where nobody answers."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    yield
    client_module._valkey_at.cache_clear()


def test_without_valkey_events_are_stored_and_the_session_is_there_when_it_is_back(
    client: Client,
    store: Store,
    publishable_key: str,
    products: list[Product],
    settings: Settings,
) -> None:
    address = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = send_events(client, publishable_key, {"type": "view_item", "product_id": "tea"})
    assert answer["accepted"] == 1
    assert Event.objects.count() == 1
    assert not session_state(store_id=store.pk, shopper_id="me").available
    settings.REDIS_URL = address
    assert ids(session_state(store_id=store.pk, shopper_id="me")) == [products[0].pk]


def test_a_dead_valkey_costs_the_requests_after_the_first_nothing(
    dead_valkey: None, caplog: pytest.LogCaptureFixture
) -> None:
    state = session_read(1, "me")
    assert (state.available, state.found) == (False, False)
    started = time.perf_counter()
    for _ in range(100):
        assert not session_read(1, "me").available
    assert time.perf_counter() - started < 0.05


def test_a_valkey_that_hangs_is_given_up_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = Valkey(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.perf_counter()
        with pytest.raises(StoreUnavailable):
            hanging.call("GET", "x")
        assert time.perf_counter() - started < 0.5
        hanging.close()


def test_the_circuit_closes_when_valkey_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Valkey(settings.REDIS_URL)
    with monkeypatch.context() as patch:

        def away(*_: object) -> None:
            raise redis.ConnectionError("away")

        patch.setattr(server, "_execute", away)
        with pytest.raises(StoreUnavailable):
            server.call("PING")
    assert wait_for(lambda: not server.is_away, 10)
    assert server.call("PING")
    server.close()


def test_without_postgresql_an_unknown_shopper_has_no_state_and_no_mark(
    store: Store, monkeypatch: pytest.MonkeyPatch, valkey_server: redis.Redis
) -> None:
    def away(**_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(session_rebuild, "shoppers_past", away)
    state = session_state(store_id=store.pk, shopper_id="me")
    assert (state.available, ids(state)) == (True, [])
    assert valkey_server.keys("vt:*:session:*") == []


def test_without_a_shopper_nobody_is_asked(
    dead_valkey: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert session_state(store_id=1, shopper_id=None).available


def test_a_large_batch_of_a_server_drops_the_lists_and_the_next_look_has_everything(
    client: Client,
    store: Store,
    secret_key: str,
    products: list[Product],
    valkey_server: redis.Redis,
) -> None:
    tea, cup, _ = products
    send_events(client, secret_key, {"type": "view_item", "product_id": "tea", "shopper_id": "s0"})
    shoppers = [f"s{number}" for number in range(MAX_SESSIONS + 1)]
    send_events(
        client,
        secret_key,
        *({"type": "view_item", "product_id": "cup", "shopper_id": each} for each in shoppers),
    )
    assert valkey_server.keys("vt:*:session:*") == []
    assert sorted(ids(session_state(store_id=store.pk, shopper_id="s0"))) == [tea.pk, cup.pk]


def test_a_database_that_answers_nobody_keeps_one_request_waiting_not_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gone = threading.Event(), threading.Event()
    n_asked = 0

    def silent(**_: object) -> None:
        nonlocal n_asked
        n_asked += 1
        asked.set()
        gone.wait(20)
        raise OperationalError("connection timeout expired")

    def look(shopper_id: str) -> bool:
        return session_state(store_id=store.pk, shopper_id=shopper_id).found

    monkeypatch.setattr(session_reading, "sessions_rebuild", silent)
    monkeypatch.setattr(session_rebuild, "PATIENCE_S", 0.0)
    monkeypatch.setattr(session_rebuild, "REST_S", 0.0)
    for round_number in (1, 2):  # at first, and when it is tried again
        asked.clear()
        gone.clear()
        first = threading.Thread(target=look, args=["first"])
        first.start()
        assert asked.wait(10)
        assert not look("second")
        assert n_asked == round_number
        gone.set()
        first.join()
        monkeypatch.setattr(session_rebuild, "PATIENCE_S", 60.0)
    monkeypatch.undo()
    assert look("third"), "a database that answers is asked by everybody again"
    assert not DATABASE_REST.rests()
