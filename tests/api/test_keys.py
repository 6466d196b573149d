"""Who gets in: keys, web origins, and what each kind of key may do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.models import ApiKey, Event, Product, Shopper, Store
from catalog.selectors import keys as key_selectors
from catalog.selectors.keys import KeysUnavailable, api_key_resolve, publishable_key
from catalog.services.keys import (
    OriginRefused,
    api_key_create,
    api_key_revoke,
    origin_normalise,
)

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"


def post_event(client: Client, key: str | None, **headers: str) -> Any:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    event = {"type": "search", "query": "tea", "shopper_id": "s"}
    return client.post(
        "/v1/events", {"events": [event]}, content_type="application/json", headers=headers
    )


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def nothing_stored() -> bool:
    return not Event.objects.exists() and not Shopper.objects.exists()


def test_a_request_without_a_key_is_refused(client: Client, store: Store) -> None:
    answer = post_event(client, None)
    assert (answer.status_code, code(answer)) == (401, "key_missing")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert nothing_stored()


@pytest.mark.parametrize(
    "wrong", ["pk_" + "0" * 32, "sk_" + "0" * 32, "pk_short", "hello", "pk_" + "é" * 32]
)
def test_a_wrong_key_is_refused(client: Client, store: Store, wrong: str) -> None:
    answer = post_event(client, wrong)
    assert (answer.status_code, code(answer)) == (401, "key_unknown")
    assert nothing_stored()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Token pk_x"])
def test_another_scheme_than_bearer_is_refused(client: Client, store: Store, header: str) -> None:
    answer = client.post(
        "/v1/events", {}, content_type="application/json", headers={"Authorization": header}
    )
    assert (answer.status_code, code(answer)) == (401, "key_malformed")


def test_a_revoked_key_is_refused_within_five_seconds(
    client: Client, store: Store, secret_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("catalog.selectors.keys.time.monotonic", lambda: now[0])
    assert post_event(client, secret_key).status_code == 202
    # Revoked by another process: this one isn't told.
    ApiKey.objects.filter(store=store, kind="sk").update(revoked_at=datetime.now(UTC))
    now[0] += 5.0
    answer = post_event(client, secret_key)
    assert (answer.status_code, code(answer)) == (401, "key_unknown")
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_process_that_revokes_a_key_refuses_it_at_once(
    client: Client, store: Store, secret_key: str
) -> None:
    assert post_event(client, secret_key).status_code == 202
    key = ApiKey.objects.get(store=store, kind="sk")
    revoked = api_key_revoke(store=store, key_id=key.pk)
    assert code(post_event(client, secret_key)) == "key_unknown"
    again = api_key_revoke(store=store, key_id=key.pk)
    assert again.revoked_at == revoked.revoked_at


def test_a_key_of_another_store_can_not_be_revoked(store: Store, other_store: Store) -> None:
    theirs = ApiKey.objects.get(store=other_store)
    with pytest.raises(ApiKey.DoesNotExist):
        api_key_revoke(store=store, key_id=theirs.pk)
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_events_go_to_the_store_of_the_key(
    client: Client, store: Store, other_store: Store
) -> None:
    theirs = publishable_key(other_store)
    assert post_event(client, theirs).status_code == 202
    assert list(Event.objects.values_list("store_id", flat=True)) == [other_store.pk]
    assert Shopper.objects.filter(store=store).count() == 0


def test_a_placement_of_another_store_does_not_exist(
    client: Client, store: Store, other_store: Store, publishable_key: str
) -> None:
    slug = other_store.placements.values_list("slug", flat=True)[0]
    store.placements.filter(slug=slug).delete()
    answer = client.get(
        f"/v1/placements/{slug}/recommendations",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert (answer.status_code, code(answer)) == (404, "not_found")


@pytest.mark.parametrize("query", ["key={}", "access_token={}", "q={}", "KEY=x"])
def test_a_key_in_the_url_is_refused_with_a_hint(
    client: Client, store: Store, publishable_key: str, query: str
) -> None:
    answer = client.get(
        f"/v1/placements/home/recommendations?{query.format(publishable_key)}",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert (answer.status_code, code(answer)) == (400, "key_in_url")
    assert "Authorization: Bearer" in answer.json()["error"]["message"]


def test_searching_for_keyboards_is_no_key_in_the_url(
    client: Client, store: Store, publishable_key: str
) -> None:
    slug = store.placements.values_list("slug", flat=True)[0]
    answer = client.get(
        f"/v1/placements/{slug}/recommendations?q=keyboard+token",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert answer.status_code == 200


def test_a_beacon_carries_the_key_in_its_body_as_plain_text(
    client: Client, store: Store, publishable_key: str
) -> None:
    event = {"type": "search", "query": "tea", "shopper_id": "s"}
    body = json.dumps({"key": publishable_key, "events": [event]})
    answer = client.post(
        "/v1/events", body, content_type="text/plain;charset=UTF-8", headers={"Origin": SHOP}
    )
    assert answer.status_code == 202
    assert Event.objects.filter(store=store).count() == 1


def test_a_secret_key_in_a_body_is_refused(client: Client, store: Store, secret_key: str) -> None:
    body = {"key": secret_key, "events": [{"type": "search", "query": "t", "shopper_id": "s"}]}
    answer = client.post("/v1/events", body, content_type="application/json")
    assert (answer.status_code, code(answer)) == (401, "secret_key_in_body")
    assert nothing_stored()


def test_a_secret_key_from_a_web_page_is_refused(
    client: Client, store: Store, secret_key: str
) -> None:
    answer = post_event(client, secret_key, Origin=SHOP)
    assert (answer.status_code, code(answer)) == (403, "secret_key_in_browser")
    assert "Revoke it" in answer.json()["error"]["message"]
    assert nothing_stored()


def test_products_need_a_secret_key(client: Client, store: Store, publishable_key: str) -> None:
    answer = client.put(
        "/v1/products",
        {"products": [{"id": "1", "title": "Tea"}]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert (answer.status_code, code(answer)) == (403, "secret_key_required")
    assert not Product.objects.exists()


def test_products_without_a_key_are_refused(client: Client, store: Store) -> None:
    answer = client.put("/v1/products", {"products": []}, content_type="application/json")
    assert (answer.status_code, code(answer)) == (401, "key_missing")
    assert answer["WWW-Authenticate"] == "Bearer"


# ------------------------------------------------------------------------------- origins and CORS


@pytest.fixture
def bound_key(store: Store) -> str:
    return api_key_create(
        store=store, kind="pk", name="Bound", origins=["https://Shop.example:443/"]
    )[1]


def test_a_bound_key_works_on_its_origin_and_the_page_may_read_the_answer(
    client: Client, bound_key: str
) -> None:
    answer = post_event(client, bound_key, Origin=SHOP)
    assert answer.status_code == 202
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert answer["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example", "https://shop.example.evil", "null"]
)
def test_a_bound_key_is_refused_on_another_origin(
    client: Client, bound_key: str, origin: str
) -> None:
    answer = post_event(client, bound_key, Origin=origin)
    assert (answer.status_code, code(answer)) == (403, "origin_not_allowed")
    # Readable, so that the script knows that trying again is of no use.
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert nothing_stored()


def test_a_key_without_origins_works_everywhere(client: Client, publishable_key: str) -> None:
    answer = post_event(client, publishable_key, Origin="https://anything.example")
    assert answer.status_code == 202
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert int(answer["Content-Length"]) == len(answer.content)


def test_a_request_without_origin_gets_no_cors_headers(
    client: Client, publishable_key: str
) -> None:
    assert "Access-Control-Allow-Origin" not in post_event(client, publishable_key)


@pytest.mark.parametrize(
    "path", ["/v1/events", "/v1/recommendations", "/v1/placements/home/recommendations"]
)
def test_preflight_is_answered_without_a_key(client: Client, store: Store, path: str) -> None:
    answer = client.options(
        path,
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert answer["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert int(answer["Access-Control-Max-Age"]) >= 3600


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(written: str, kept: str) -> None:
    assert origin_normalise(written) == kept


@pytest.mark.parametrize("wrong", ["shop.example", "ftp://shop.example", "https://a/b", "", "*"])
def test_what_no_browser_sends_is_no_origin(wrong: str) -> None:
    with pytest.raises(OriginRefused):
        origin_normalise(wrong)


# ------------------------------------------------------------------------------------- the lookup


def test_a_known_key_costs_no_query(
    secret_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        api_key_resolve(secret_key)
    with django_assert_num_queries(0):
        api_key_resolve(secret_key)
        assert api_key_resolve(secret_key) is not None


def test_keys_are_kept_as_digests_only(store: Store, secret_key: str) -> None:
    row = ApiKey.objects.get(store=store, kind="sk")
    assert secret_key not in f"{row.__dict__}"
    assert row.publishable == ""
    assert len(bytes(row.digest)) == 32
    assert len(row.prefix) == 8


def test_a_known_key_goes_on_working_while_the_database_is_away(
    store: Store, secret_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("catalog.selectors.keys.time.monotonic", lambda: now[0])
    known = api_key_resolve(secret_key)
    attempts = []

    def away(**_: object) -> None:
        attempts.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(ApiKey.objects, "filter", away)
    now[0] += 3600
    for _ in range(10):
        assert api_key_resolve(secret_key) == known
    # Not every request waits for a database that is away.
    assert len(attempts) == 1
    with pytest.raises(KeysUnavailable):
        api_key_resolve("sk_" + "1" * 32)


def test_wrong_keys_do_not_fill_the_memory(
    store: Store, secret_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_selectors, "MAX_REMEMBERED", 10)
    api_key_resolve(secret_key)
    for number in range(50):
        assert api_key_resolve(f"sk_{number:032}") is None
    assert len(key_selectors._remembered) <= 11
    assert any(entry.key is not None for entry in key_selectors._remembered.values())
