"""A walk over every address of the API with the keys of one store and the ids of another.

A new address needs a line in `KEYS`, and one in `BODIES` for each method that changes something; a
new parameter a line in `VALUES` (tests/walk.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from catalog.models import ApiKey, Store
from catalog.services.keys import api_key_create
from tests.walk import (
    METHODS,
    UNSAFE,
    Address,
    World,
    addresses,
    browser,
    everything,
    furnished,
    methods_of,
    rows_of,
    untouched,
    values_for,
    words_of,
)

pytestmark = pytest.mark.django_db

ANY_KEY, SECRET, NO_KEY = "any key", "a secret key", "no key"

# Which key opens an address. The last is what answers for addresses that don't exist.
KEYS: dict[str, str] = {
    "v1-events": ANY_KEY,
    "v1-recommendations": ANY_KEY,
    "v1-placement-recommendations": ANY_KEY,
    "v1-placement-fragment": ANY_KEY,
    "v1-products": SECRET,
    "v1-product": SECRET,
    "v1-shopper-link": SECRET,
    "v1-shopper-export": SECRET,
    "v1-shopper": SECRET,
    "v1-imports": SECRET,
    "v1-import": SECRET,
    "v1-experiment-results": SECRET,
    "v1-openapi": NO_KEY,
    "v1-docs": NO_KEY,
    "": NO_KEY,
}
# What to send, by address and method, so that it names what is only in `world`; None without a body.
# Each is good enough to be done with the key of `world`.
BODIES: dict[tuple[str, str], Callable[[World], Any]] = {
    ("v1-events", "POST"): lambda world: {
        "events": [
            {
                "type": "add_to_cart",
                "shopper_id": world.shop.shoppers[1].external_id,
                "items": [{"product_id": world.shop.products[0].external_id}],
            }
        ]
    },
    ("v1-recommendations", "POST"): lambda world: {
        "shopper_id": world.shop.shoppers[1].external_id,
        "placements": [{"slug": world.placement.slug}],
    },
    ("v1-products", "PUT"): lambda world: {
        "products": [
            {"id": product.external_id, "title": "Stolen", "price": "0.01"}
            for product in world.shop.products
        ]
    },
    ("v1-product", "DELETE"): lambda _: None,
    ("v1-imports", "POST"): lambda _: {"url": "https://feeds.example/all.csv"},
    ("v1-shopper-link", "POST"): lambda world: {"customer_id": world.shop.shoppers[0].external_id},
    ("v1-shopper-link", "DELETE"): lambda _: None,
    ("v1-shopper", "DELETE"): lambda _: None,
}
# It only asks.
ASKING = {("v1-recommendations", "POST")}
# Names that merchants give: the same one in two stores is two things, so that sending another's
# makes or finds one's own. Everything else that has a parameter answers 404.
OWN_NAMES = {("v1-shopper-link", "POST")}


@pytest.fixture
def ours(store: Store) -> World:
    return furnished(store)


@pytest.fixture
def theirs(other_store: Store) -> World:
    return furnished(other_store)


def key_of(world: World, kind: str) -> str:
    if kind == ApiKey.Kind.SECRET:
        return api_key_create(store=world.store, kind=kind, name="Walk")[1]
    return ApiKey.objects.get(store=world.store, kind=kind, revoked_at=None).publishable


def send(client: Client, address: Address, method: str, world: World, key: str | None) -> Any:
    make = BODIES.get((address.name, method))
    body = None if make is None else make(world)
    return client.generic(
        method,
        address.path(values_for(address, world)),
        "" if body is None else json.dumps(body),
        content_type="application/json",
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
    )


@pytest.mark.parametrize("kind", ["pk", "sk"])
def test_a_key_of_one_store_reaches_nothing_of_another(
    ours: World, theirs: World, kind: str
) -> None:
    client, key, wrong = browser(), key_of(ours, kind), []
    before = rows_of(theirs.store)
    for address in addresses("api"):
        for method in METHODS:
            with untouched():
                answer = send(client, address, method, theirs, key)
                if rows_of(theirs.store) != before or answer.status_code >= 500:
                    wrong.append((method, address.route, answer.status_code))
                if theirs.store.name in words_of(answer):
                    wrong.append((method, address.route, "it shows something of theirs"))
            # A method that lacks its body answers 404, too: the id is looked at first.
            names_theirs = address.parameters and (address.name, method) not in OWN_NAMES
            refused = answer.status_code in (403, 404, 405)
            if names_theirs and method != "OPTIONS" and not refused:
                wrong.append((method, address.route, answer.status_code))
    assert not wrong


def test_the_walk_reaches_and_changes_what_is_ones_own(ours: World, theirs: World) -> None:
    """Otherwise a walk that is refused everything would prove nothing."""
    client, key, n_changes = browser(), key_of(ours, "sk"), 0
    before, before_theirs = rows_of(ours.store), rows_of(theirs.store)
    for address in addresses("api"):
        for method in METHODS:
            if (address.name, method) in BODIES:
                where = (method, address.route)
                with untouched():
                    answer = send(client, address, method, ours, key)
                    changed = rows_of(ours.store) != before
                    assert rows_of(theirs.store) == before_theirs, where
                assert answer.status_code in (200, 201, 202, 204), (*where, answer.content)
                assert changed == ((address.name, method) not in ASKING), where
                n_changes += changed
    assert n_changes == len(BODIES) - len(ASKING)


@pytest.mark.parametrize(
    "key", [None, "sk_" + "0" * 32, "pk_" + "0" * 32], ids=["without", "secret", "publishable"]
)
def test_without_a_key_that_exists_nothing_opens(ours: World, key: str | None) -> None:
    client, before = browser(), everything()
    for address in addresses("api"):
        for method in METHODS:
            if method == "OPTIONS" or KEYS.get(address.name) == NO_KEY:
                continue
            status = send(client, address, method, ours, key).status_code
            assert status in (401, 405), (method, address.route, status)
    assert everything() == before


def test_a_revoked_key_opens_nothing(ours: World) -> None:
    key = key_of(ours, "sk")
    ApiKey.objects.filter(store=ours.store).update(revoked_at=ours.store.created_at)
    test_without_a_key_that_exists_nothing_opens(ours, key)


def test_a_publishable_key_is_refused_where_a_secret_one_is_needed(ours: World) -> None:
    client, key, before = browser(), key_of(ours, "pk"), everything()
    for address in addresses("api"):
        if KEYS.get(address.name) != SECRET:
            continue
        for method in METHODS:
            if method == "OPTIONS":
                continue
            status = send(client, address, method, ours, key).status_code
            assert status in (403, 405), (method, address.route, status)
    assert everything() == before


def test_every_address_of_the_api_says_which_key_opens_it(ours: World) -> None:
    unsaid = [
        address.name or address.route for address in addresses("api") if address.name not in KEYS
    ]
    assert not unsaid, "add which key opens it to KEYS in tests/api/test_walk.py"
    assert {address.name for address in addresses("api")} == set(KEYS)


def test_every_method_that_changes_something_is_sent(ours: World) -> None:
    client = browser(headers={"Authorization": f"Bearer {key_of(ours, 'sk')}"})
    for address in addresses("api"):
        methods = methods_of(address, client, address.path(values_for(address, ours)))
        for method in methods & UNSAFE:
            assert (address.name, method) in BODIES, (
                f"{method} {address.route}: add to BODIES in tests/api/test_walk.py what to"
                " send, so that it names what only one store has."
            )
