"""The limiter: who calls too often waits, nobody else does, and no address is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from catalog.models import Event, Product, Store
from recommender.stores import limiter
from recommender.stores.client import StoreUnavailable
from recommender.stores.limiter import (
    address_pseudonym,
    client_address,
    limiter_forget,
    retry_after,
)

pytestmark = pytest.mark.django_db

VISITOR = "203.0.114.77"


@pytest.fixture
def post(client: Client, publishable_key: str) -> Any:
    def send(address: str = VISITOR, key: str = publishable_key) -> Any:
        return client.post(
            "/v1/events",
            {"events": [{"type": "search", "query": "tea", "shopper_id": "s"}]},
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
            REMOTE_ADDR=address,
        )

    return send


def test_who_calls_too_often_is_told_when_to_come_back(
    post: Any, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ADDRESS_CALLS_PER_MINUTE = 2
    monkeypatch.setattr(limiter, "WINDOW_S", 1_000_000)
    assert [post().status_code for _ in range(3)] == [202, 202, 429]
    refused = post()
    assert int(refused["Retry-After"]) >= 1
    assert json.loads(refused.content)["error"]["code"] == "too_many_requests"
    assert Event.objects.count() == 2
    # Somebody else, and whoever comes through a proxy that doesn't say for whom, goes on.
    assert post("203.0.114.78").status_code == 202
    assert [post("10.0.0.1").status_code for _ in range(3)] == [202, 202, 202]


def test_a_key_has_a_limit_of_its_own(
    post: Any, secret_key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PUBLISHABLE_CALLS_PER_MINUTE = 1
    monkeypatch.setattr(limiter, "WINDOW_S", 1_000_000)
    assert [post("10.0.0.1").status_code for _ in range(2)] == [202, 429]
    assert post(key=secret_key).status_code == 202


def test_the_next_window_starts_at_zero(valkey_server: redis.Redis) -> None:
    assert [retry_after({"a": 1}, now_s=59) for _ in range(2)] == [None, 1]
    assert retry_after({"a": 1}, now_s=60) is None


def test_processes_count_together(valkey_server: redis.Redis) -> None:
    assert retry_after({"a": 3}, now_s=0) is None
    for _ in range(2):  # as many processes that know nothing of each other but what Valkey says
        limiter_forget()
        assert retry_after({"a": 3}, now_s=0) is None
    limiter_forget()
    assert retry_after({"a": 3}, now_s=10) == 50


def test_far_from_a_limit_valkey_is_told_now_and_then(valkey_server: redis.Redis) -> None:
    most = 10 * limiter.STEPS
    for _ in range(most - 5):
        assert retry_after({"a": most}, now_s=0) is None
    told = valkey_server.info("commandstats")["cmdstat_incrby"]["calls"]
    (key,) = valkey_server.scan_iter("*:limit:a:*")
    assert int(valkey_server.get(key) or 0) == most - 10
    # Whoever passes it is refused at the very next call, and from then on without asking.
    assert [retry_after({"a": most}, now_s=0) for _ in range(8)] == [*([None] * 5), 60, 60, 60]
    asked = valkey_server.info("commandstats")["cmdstat_incrby"]["calls"] - told
    assert asked <= 3


def test_products_and_shoppers_count_too(
    client: Client, secret_key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_CALLS_PER_MINUTE = 3
    monkeypatch.setattr(limiter, "WINDOW_S", 1_000_000)

    def call(method: str, path: str, body: dict[str, Any]) -> Any:
        return client.generic(
            method,
            path,
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret_key}"},
        )

    product = {"id": "tea", "title": "Tea", "price": "2.50"}
    assert call("PUT", "/v1/products", {"products": [product]}).status_code == 200
    assert call("DELETE", "/v1/products/tea", {}).status_code == 204
    assert call("POST", "/v1/shoppers/a/link", {"customer_id": "b"}).status_code == 200
    refused = call("PUT", "/v1/products", {"products": [{**product, "id": "cup"}]})
    assert (refused.status_code, int(refused["Retry-After"]) >= 1) == (429, True)
    assert json.loads(refused.content)["error"]["code"] == "too_many_requests"
    assert not Product.objects.filter(external_id="cup").exists()


def test_nothing_is_limited_while_valkey_is_away(
    post: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def pipeline(self, _: object) -> None:
            raise StoreUnavailable("away")

    settings.ADDRESS_CALLS_PER_MINUTE = 0
    monkeypatch.setattr(limiter, "valkey", Away)
    assert post().status_code == 202


def test_valkey_holds_no_address_and_forgets_its_pseudonym(
    post: Any, valkey_server: redis.Redis, settings: Settings
) -> None:
    settings.ADDRESS_CALLS_PER_MINUTE = 100
    post()
    keys = [bytes(key).decode() for key in valkey_server.scan_iter()]
    counted = [key for key in keys if ":limit:address:" in key]
    assert len(counted) == 1
    assert not any(VISITOR in key for key in keys)
    assert 0 < valkey_server.ttl(counted[0]) <= 120
    assert address_pseudonym(VISITOR, now_s=0) != address_pseudonym(VISITOR, now_s=86_400)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("8.8.8.8", None, "8.8.8.8"),
        ("8.8.8.8", "9.9.9.9", "8.8.8.8"),
        ("10.0.0.1", "1.1.1.1, 9.9.9.9", "9.9.9.9"),
        ("127.0.0.1", "nonsense", None),
        ("127.0.0.1", None, None),
        ("", None, None),
    ],
)
def test_the_address_is_the_peer_s_or_what_a_proxy_of_ours_saw(
    peer: str, forwarded_for: str | None, address: str | None
) -> None:
    assert client_address(peer=peer, forwarded_for=forwarded_for) == address
