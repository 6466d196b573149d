"""A guest turns out to be a customer: one person from the next request on, and undone as quickly."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.contract.events import ANONYMOUS
from catalog.models import EventType, Product, Shopper, ShopperLink, Store, User
from catalog.selectors.shopper_links import Person, person_of, persons_of
from catalog.services.shopper_links import LinkRefused
from recommender.services import identity, session_rebuild
from recommender.services.identity import person_link, person_unlink
from recommender.services.session_reading import session_state
from recommender.services.session_rebuild import MAX_MEMBERS, sessions_rebuild
from recommender.services.session_recording import MAX_SESSIONS
from recommender.stores.client import StoreUnavailable
from recommender.stores.session_state import OUTAGE, SessionState, session_read, sessions_restore
from tests.factories import make_event, make_product, make_shopper

pytestmark = pytest.mark.django_db

Send = Callable[..., None]


@pytest.fixture
def products(store: Store) -> dict[str, int]:
    return {name: make_product(store, name).pk for name in ("tea", "cup", "pot", "jug")}


@pytest.fixture
def view(client: Client, publishable_key: str) -> Send:
    """`view("guest", "tea")`: the shopper looks at the product."""

    def post(
        shopper: str, *names: str, key: str = publishable_key, type: str = "view_item"
    ) -> None:
        events = [
            {
                "event_id": str(uuid4()),
                "type": type,
                "shopper_id": shopper,
                "product_id": name,
                "occurred_at": datetime.now(UTC).isoformat(),
            }
            for name in names
        ]
        response = client.post(
            "/v1/events",
            {"events": events},
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )
        assert response.status_code == 202, response.content

    return post


def link(store: Store, shopper: str, customer: str) -> ShopperLink:
    return person_link(
        store=store,
        shopper_external_id=shopper,
        customer_external_id=customer,
        linked_by=ShopperLink.LinkedBy.API,
    )


def unlink(store: Store, shopper: str) -> ShopperLink | None:
    return person_unlink(store=store, shopper_external_id=shopper)


def state(store: Store, shopper: str) -> SessionState:
    return session_state(store_id=store.pk, shopper_id=shopper)


def seen(store: Store, shopper: str) -> set[int]:
    return set(state(store, shopper).product_ids.tolist())


# -------------------------------------------------------------------------------------- who is who


def test_linking_makes_whoever_is_new_and_says_who_did_it(store: Store, owner: User) -> None:
    made = person_link(
        store=store,
        shopper_external_id="guest",
        customer_external_id="anna",
        linked_by=ShopperLink.LinkedBy.MEMBER,
        member=owner,
    )
    assert (made.shopper.external_id, made.customer.external_id) == ("guest", "anna")
    assert (made.linked_by, made.member, made.undone_at) == ("member", owner, None)
    assert Shopper.objects.filter(store=store).count() == 2


def test_linking_again_changes_nothing(store: Store) -> None:
    first = link(store, "guest", "anna")
    assert link(store, "guest", "anna") == first
    assert ShopperLink.objects.count() == 1


def test_a_guest_of_somebody_else_is_taken_from_there_and_that_is_on_record(store: Store) -> None:
    link(store, "tablet", "anna")
    link(store, "tablet", "ben")
    old, new = ShopperLink.objects.order_by("pk")
    assert old.undone_at is not None
    assert new.undone_at is None
    assert person_of(store=store, external_id="anna") is None
    assert person_of(store=store, external_id="ben") == Person("ben", ("ben", "tablet"))


def test_several_devices_and_chains_lead_to_one_customer(store: Store) -> None:
    link(store, "phone", "anna-old")
    link(store, "laptop", "anna-old")
    link(store, "anna-old", "anna")
    people = persons_of(
        store_id=store.pk, external_ids=["phone", "laptop", "anna-old", "anna", "ben"]
    )
    assert set(people) == {"phone", "laptop", "anna-old", "anna"}
    assert {person.customer for person in people.values()} == {"anna"}
    for person in people.values():
        assert person.members[0] == "anna"
        assert set(person.members) == {"phone", "laptop", "anna-old", "anna"}
    unlink(store, "anna-old")
    assert person_of(store=store, external_id="anna") is None
    assert person_of(store=store, external_id="phone") == Person(
        "anna-old", ("anna-old", "laptop", "phone")
    )


@pytest.mark.parametrize(
    ("shopper", "customer", "field"),
    [
        ("guest", "guest", "customer_id"),
        ("anna", "guest", "customer_id"),
        ("anna", "phone", "customer_id"),
        ("x" * 129, "anna", "shopper_id"),
        ("guest", "nul\0", "customer_id"),
        ("guest", " ", "customer_id"),
        (ANONYMOUS, "anna", "shopper_id"),
        ("guest", ANONYMOUS, "customer_id"),
    ],
)
def test_impossible_links_are_refused_and_nothing_changes(
    store: Store, shopper: str, customer: str, field: str
) -> None:
    link(store, "guest", "anna")
    link(store, "phone", "guest")
    before = list(ShopperLink.objects.values_list("pk", "undone_at"))
    with pytest.raises(LinkRefused) as refused:
        link(store, shopper, customer)
    assert refused.value.field == field
    assert list(ShopperLink.objects.values_list("pk", "undone_at")) == before
    assert Shopper.objects.count() == 3


def test_links_of_stores_are_apart(store: Store, other_store: Store) -> None:
    link(store, "guest", "anna")
    make_shopper(other_store, "guest")
    assert person_of(store=other_store, external_id="guest") is None
    assert unlink(other_store, "guest") is None
    assert person_of(store=store, external_id="guest") is not None


# ------------------------------------------------------------------------------- the next request


def test_with_the_link_guest_and_customer_have_one_past(
    store: Store, view: Send, products: dict[str, int]
) -> None:
    view("anna", "tea")
    view("guest", "cup")
    assert seen(store, "guest") == {products["cup"]}
    assert state(store, "guest").person is None
    link(store, "guest", "anna")
    for shopper in ("guest", "anna"):
        read = session_read(store.pk, shopper)
        assert set(read.product_ids.tolist()) == {products["tea"], products["cup"]}
        assert read.person == "anna"


def test_what_one_device_does_the_other_one_knows_at_once(
    store: Store, view: Send, products: dict[str, int], valkey_server: redis.Redis
) -> None:
    link(store, "phone", "anna")
    link(store, "laptop", "anna")
    view("phone", "tea")
    for shopper in ("phone", "laptop", "anna"):
        assert set(session_read(store.pk, shopper).product_ids.tolist()) == {products["tea"]}
    valkey_server.flushdb()
    view("laptop", "cup", type="add_to_cart")
    for shopper in ("phone", "laptop", "anna"):
        read = session_read(store.pk, shopper)
        assert set(read.product_ids.tolist()) == {products["tea"], products["cup"]}
        assert read.cart.tolist() == [products["cup"]]
        assert read.person == "anna"


def test_undone_each_has_their_own_past_at_once(
    store: Store, view: Send, products: dict[str, int]
) -> None:
    link(store, "guest", "anna")
    view("anna", "tea")
    view("guest", "cup")
    assert unlink(store, "guest") is not None
    assert unlink(store, "guest") is None
    for shopper, name in (("guest", "cup"), ("anna", "tea")):
        read = session_read(store.pk, shopper)
        assert read.product_ids.tolist() == [products[name]]
        assert read.person is None
    view("anna", "pot")
    assert seen(store, "guest") == {products["cup"]}


def test_the_customer_whom_a_guest_was_taken_from_forgets_what_the_guest_did(
    store: Store, view: Send, products: dict[str, int]
) -> None:
    view("tablet", "tea")
    link(store, "tablet", "anna")
    link(store, "tablet", "ben")
    assert set(session_read(store.pk, "anna").product_ids.tolist()) == set()
    assert set(session_read(store.pk, "ben").product_ids.tolist()) == {products["tea"]}


def test_the_name_of_the_person_stays_in_a_long_list(
    store: Store, view: Send, products: dict[str, int]
) -> None:
    link(store, "guest", "anna")
    for _ in range(10):
        view("guest", *(["tea", "cup"] * 10))
        view("anna", "pot", type="hide_item")
    for number in range(30):
        make_product(store, f"more-{number}")
    for _ in range(5):
        view("guest", *(f"more-{number}" for number in range(30)))
    assert state(store, "guest").person == "anna"
    assert state(store, "anna").person == "anna"


@pytest.mark.parametrize("customer", ["a", "1234567", "ünïcödé", "c" * 128])
def test_a_customer_id_of_any_length_comes_back_as_it_was(store: Store, customer: str) -> None:
    link(store, "guest", customer)
    assert session_read(store.pk, "guest").person == customer
    assert session_read(store.pk, "guest").product_ids.tolist() == []


def test_a_shopper_who_is_not_linked_costs_no_query_more_for_the_links_of_others(
    store: Store, products: dict[str, int], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    link(store, "guest", "anna")
    with django_assert_num_queries(1):
        state(store, "nobody")
    with django_assert_num_queries(0):
        state(store, "nobody")
        state(store, "guest")


def test_everything_comes_back_when_valkey_has_lost_it(
    store: Store, view: Send, products: dict[str, int], valkey_server: redis.Redis
) -> None:
    link(store, "guest", "anna")
    view("anna", "tea")
    view("guest", "cup")
    valkey_server.flushdb()
    for shopper in ("guest", "anna"):
        read = state(store, shopper)
        assert set(read.product_ids.tolist()) == {products["tea"], products["cup"]}
        assert read.person == "anna"
        assert session_read(store.pk, shopper).person == "anna"


def test_a_large_batch_drops_the_lists_of_the_whole_person(
    store: Store, view: Send, secret_key: str, products: dict[str, int], client: Client
) -> None:
    link(store, "guest", "anna")
    view("anna", "tea")
    events = [
        {"type": "view_item", "shopper_id": f"s{n}", "product_id": "cup"}
        for n in range(MAX_SESSIONS)
    ]
    events.append({"type": "purchase", "shopper_id": "guest", "product_id": "pot"})
    answer = client.post(
        "/v1/events",
        {"events": events},
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret_key}"},
    )
    assert json.loads(answer.content)["accepted"] == MAX_SESSIONS + 1
    assert seen(store, "anna") == {products["tea"], products["pot"]}


def test_of_a_person_with_very_many_devices_nobody_misses_what_they_did_themselves(
    store: Store, view: Send, products: dict[str, int]
) -> None:
    for number in range(MAX_MEMBERS + 3):
        link(store, f"device-{number}", "anna")
    view("device-0", "tea")
    assert products["tea"] in seen(store, "device-0")
    assert products["tea"] in seen(store, "anna")
    view("anna", "cup")
    assert products["cup"] in seen(store, "device-0")


# ----------------------------------------------------------------------------------- what goes wrong


def test_a_link_made_while_valkey_is_away_is_in_force_when_it_is_back(
    store: Store, view: Send, products: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    view("anna", "tea")
    view("guest", "cup")

    def away(*_: object) -> None:
        OUTAGE.note()
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(identity, "sessions_forget", away)
        link(store, "guest", "anna")
    assert seen(store, "guest") == {products["tea"], products["cup"]}
    assert state(store, "guest").person == "anna"


def test_a_rebuild_that_an_undoing_overtakes_leaves_nothing_of_the_other(
    store: Store, view: Send, products: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    link(store, "guest", "anna")
    view("anna", "tea")
    done: list[None] = []

    def slow(*args: Any, **kwargs: Any) -> None:
        """The link is undone after the past was read, and before it is written."""
        if not done:
            done.append(None)
            unlink(store, "guest")
        sessions_restore(*args, **kwargs)

    monkeypatch.setattr(session_rebuild, "sessions_restore", slow)
    sessions_rebuild(store_id=store.pk, shopper_external_ids=["guest"])
    assert done
    assert seen(store, "guest") == set()
    assert state(store, "guest").person is None


def test_an_event_between_reading_and_writing_is_in_the_lists_of_all(
    store: Store, view: Send, products: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    link(store, "phone", "anna")
    done: list[None] = []

    def slow(*args: Any, **kwargs: Any) -> None:
        if not done:
            done.append(None)
            view("phone", "tea")
        sessions_restore(*args, **kwargs)

    monkeypatch.setattr(session_rebuild, "sessions_restore", slow)
    link(store, "laptop", "anna")
    for shopper in ("phone", "laptop", "anna"):
        assert products["tea"] in seen(store, shopper), shopper


def test_a_call_that_was_cut_off_after_its_commit_is_made_good_by_the_next(
    store: Store, view: Send, products: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    view("anna", "tea")
    view("guest", "cup")
    with monkeypatch.context() as patch:
        patch.setattr(identity, "_renew", lambda *_: None)
        link(store, "guest", "anna")
    assert seen(store, "guest") == {products["cup"]}
    link(store, "guest", "anna")
    assert seen(store, "guest") == {products["tea"], products["cup"]}
    with monkeypatch.context() as patch:
        patch.setattr(identity, "_renew", lambda *_: None)
        unlink(store, "guest")
    assert unlink(store, "guest") is None
    assert seen(store, "anna") == {products["tea"]}
    assert seen(store, "guest") == {products["cup"]}


def test_hidden_by_one_device_is_hidden_for_the_person(
    store: Store, products: dict[str, int]
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    make_event(
        store,
        make_shopper(store, "phone"),
        Product.objects.get(external_id="jug"),
        type=EventType.HIDE_ITEM,
        at=long_ago,
    )
    link(store, "phone", "anna")
    read = state(store, "anna")
    assert read.product_ids.tolist() == [products["jug"]]
    assert read.types.tolist() == [EventType.HIDE_ITEM]
