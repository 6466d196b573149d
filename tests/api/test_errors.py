"""One envelope for every refusal below /v1/."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.api.errors import ERRORS, ErrorCode
from catalog.models import Store

ENVELOPE = {"code", "message", "fields"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/", "/v1/placements/x", "/v1/products/"])
def test_an_address_that_does_not_exist_is_told_in_json(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (401, 404)
    assert answer["Content-Type"].startswith("application/json")
    assert set(answer.json()["error"]) == ENVELOPE


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "/v1/events", "POST, OPTIONS"),
        ("delete", "/v1/recommendations", "POST, OPTIONS"),
        ("post", "/v1/placements/home/recommendations", "GET, OPTIONS"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer["Allow"] == allowed


def test_a_wrong_method_of_a_rest_view_is_in_the_envelope_too(
    client: Client, secret_key: str
) -> None:
    answer = client.post("/v1/products", headers={"Authorization": f"Bearer {secret_key}"})
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_mistake_of_ours_is_a_500_in_the_envelope(
    store: Store, publishable_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("recommender.api.events.events_ingest", broken)
    client = Client(raise_request_exception=False)
    answer = client.post(
        "/v1/events",
        {"events": [{}]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "ZeroDivisionError" not in answer.content.decode()


def test_every_code_has_a_status_and_a_meaning() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert all(400 <= status < 600 and meaning for status, meaning in ERRORS.values())
