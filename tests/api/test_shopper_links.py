"""`POST` and `DELETE /v1/shoppers/{id}/link`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from django.test import Client

from catalog.models import Shopper, ShopperLink, Store
from catalog.services.keys import api_key_create

pytestmark = pytest.mark.django_db

Call = Callable[..., Any]


@pytest.fixture
def call(client: Client, secret_key: str) -> Call:
    def send(method: str, shopper: str, body: Any = None, key: str = secret_key) -> Any:
        return client.generic(
            method,
            f"/v1/shoppers/{quote(shopper, safe='')}/link",
            body if isinstance(body, str) else "" if body is None else msgspec.json.encode(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )

    return send


def links(store: Store) -> list[tuple[str, str, bool]]:
    return [
        (link.shopper.external_id, link.customer.external_id, link.undone_at is None)
        for link in ShopperLink.objects.filter(store=store).order_by("pk")
    ]


def test_a_guest_is_linked_once_however_often_it_is_said(call: Call, store: Store) -> None:
    first = call("POST", "guest", {"customer_id": 42})
    assert first.status_code == 200
    assert first.json()["shopper_id"] == "guest"
    assert first.json()["customer_id"] == "42"
    again = call("POST", "guest", {"customer_id": "42"})
    assert again.json() == first.json()
    assert links(store) == [("guest", "42", True)]
    assert ShopperLink.objects.get().linked_by == "api"


def test_a_link_is_undone_once(call: Call, store: Store) -> None:
    call("POST", "guest", {"customer_id": "anna"})
    assert call("DELETE", "guest").status_code == 204
    assert links(store) == [("guest", "anna", False)]
    again = call("DELETE", "guest")
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("shopper", ["a/b", "a/link", "ünï %2F?#", "x" * 128, "link"])
def test_an_id_may_contain_anything_that_is_encoded(call: Call, store: Store, shopper: str) -> None:
    assert call("POST", shopper, {"customer_id": "anna"}).status_code == 200
    assert links(store) == [(shopper, "anna", True)]
    assert call("DELETE", shopper).status_code == 204


@pytest.mark.parametrize(
    ("shopper", "body", "code", "field"),
    [
        ("guest", {}, "invalid_request", "customer_id"),
        ("guest", {"customer_id": ""}, "invalid_request", "customer_id"),
        ("guest", {"customer_id": ["anna"]}, "invalid_request", "customer_id"),
        ("guest", {"customer_id": "guest"}, "invalid_request", "customer_id"),
        ("guest", {"customer_id": "a" * 129}, "invalid_request", "customer_id"),
        ("guest", {"customer_id": "a\0"}, "invalid_request", "body"),
        ("x" * 129, {"customer_id": "anna"}, "invalid_request", "shopper_id"),
        ("a\0", {"customer_id": "anna"}, "invalid_request", "shopper_id"),
        ("anonymous", {"customer_id": "anna"}, "invalid_request", "shopper_id"),
        ("guest", "{", "not_json", None),
        ("guest", "[]", "invalid_request", "body"),
    ],
)
def test_what_cannot_be_is_refused_in_the_envelope_and_nothing_is_made(
    call: Call, store: Store, shopper: str, body: Any, code: str, field: str | None
) -> None:
    answer = call("POST", shopper, body)
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    assert error["code"] == code
    assert list(error["fields"]) == ([field] if field else [])
    assert not Shopper.objects.exists()


def test_a_customer_who_is_this_guest_already_is_refused(call: Call, store: Store) -> None:
    call("POST", "guest", {"customer_id": "anna"})
    answer = call("POST", "anna", {"customer_id": "guest"})
    assert answer.status_code == 400
    assert "itself linked" in answer.json()["error"]["fields"]["customer_id"]
    assert links(store) == [("guest", "anna", True)]


def test_the_pages_of_the_shop_may_not_link(call: Call, store: Store, publishable_key: str) -> None:
    for method in ("POST", "DELETE"):
        answer = call(method, "guest", {"customer_id": "anna"}, key=publishable_key)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "secret_key_required"
    assert not ShopperLink.objects.exists()


def test_a_key_of_another_store_reaches_only_its_own_shoppers(
    call: Call, store: Store, other_store: Store
) -> None:
    call("POST", "guest", {"customer_id": "anna"})
    theirs = api_key_create(store=other_store, kind="sk", name="Theirs")[1]
    assert call("DELETE", "guest", key=theirs).status_code == 404
    assert call("POST", "guest", {"customer_id": "ben"}, key=theirs).status_code == 200
    assert links(store) == [("guest", "anna", True)]
    assert links(other_store) == [("guest", "ben", True)]


def test_other_methods_are_refused(call: Call) -> None:
    assert call("GET", "guest").status_code == 405
