"""The limiter: who calls too often waits, nobody else does, and no address is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.test import Client

from catalog.models import Event, Store
from recommender.stores import limiter
from recommender.stores.client import StoreUnavailable
from recommender.stores.limiter import address_pseudonym, client_address, retry_after

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
    post: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "ADDRESS_PER_WINDOW", 2)
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
    post: Any, secret_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "PUBLISHABLE_PER_WINDOW", 1)
    monkeypatch.setattr(limiter, "WINDOW_S", 1_000_000)
    assert [post("10.0.0.1").status_code for _ in range(2)] == [202, 429]
    assert post(key=secret_key).status_code == 202


def test_the_next_window_starts_at_zero(valkey_server: redis.Redis) -> None:
    assert [retry_after({"a": 1}, now_s=59) for _ in range(2)] == [None, 1]
    assert retry_after({"a": 1}, now_s=60) is None


def test_nothing_is_limited_while_valkey_is_away(
    post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def pipeline(self, _: object) -> None:
            raise StoreUnavailable("away")

    monkeypatch.setattr(limiter, "ADDRESS_PER_WINDOW", 0)
    monkeypatch.setattr(limiter, "valkey", Away)
    assert post().status_code == 202


def test_valkey_holds_no_address_and_forgets_its_pseudonym(
    post: Any, valkey_server: redis.Redis
) -> None:
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
