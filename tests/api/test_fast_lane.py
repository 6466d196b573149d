"""The short way answers as Django does, and hands on what isn't its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory

from catalog.models import Event, Store
from recommender.api.fast_lane import FastLane
from recommender.models import Placement
from recommender.services.strategies import strategy_version_create
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

pytestmark = pytest.mark.django_db

PLACEMENT = "/v1/placements/home-trending/recommendations"
# Django's middleware adds these to whatever a page of ours may be; an answer in JSON needs none.
OF_PAGES = {
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
}
NEW_EACH_TIME = {"recommendation_id", "took_us", "request_id"}


def not_ours(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("299 Handed On", [])
    return (environ["PATH_INFO"].encode(),)


def by_lane(method: str, path: str, **sent: Any) -> tuple[str, dict[str, str], bytes]:
    environ = RequestFactory().generic(method, path, **sent).environ
    said: list[Any] = []
    body = b"".join(FastLane(not_ours)(environ, lambda *begun: said.extend(begun)))  # type: ignore[arg-type]
    return said[0], dict(said[1]), body


def without(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_PAGES}


def comparable(body: bytes) -> Any:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: clean(each) for name, each in value.items() if name not in NEW_EACH_TIME}
        return [clean(each) for each in value] if isinstance(value, list) else value

    return clean(json.loads(body)) if body else None


@pytest.fixture(autouse=True)
def looked_after(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connection isn't closed in the middle of the test's own transaction, only written down."""
    looked: list[str] = []
    monkeypatch.setattr(
        "recommender.api.fast_lane.connection.close_if_unusable_or_obsolete",
        lambda: looked.append("looked after"),
    )
    return looked


@pytest.fixture
def key(store: Store, publishable_key: str) -> str:
    for n in range(6):
        make_product(store, f"tea-{n}")
    placement = Placement.objects.get(store=store, slug="home-trending")
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 1}]},
    )
    placement.save()
    RUNTIMES.refresh()
    return publishable_key


PAGE = json.dumps({"placements": [{"slug": "home-trending"}, {"slug": "none"}]})


@pytest.mark.parametrize(
    ("expected", "method", "path", "sent"),
    [
        (200, "GET", PLACEMENT + "?limit=3", {}),
        (200, "GET", PLACEMENT, {"HTTP_ORIGIN": "https://shop.example"}),
        (
            401,
            "GET",
            PLACEMENT,
            {"HTTP_AUTHORIZATION": "Bearer pk_short", "HTTP_ORIGIN": "https://x.y"},
        ),
        (400, "GET", PLACEMENT + "?limit=0", {}),
        (200, "GET", PLACEMENT + "?q=%E8%8C%B6", {}),
        (404, "GET", "/v1/placements/none/recommendations", {}),
        (204, "OPTIONS", PLACEMENT, {"HTTP_ORIGIN": "https://shop.example"}),
        (405, "POST", PLACEMENT, {"data": "{}"}),
        (200, "POST", "/v1/recommendations", {"data": PAGE}),
        (400, "POST", "/v1/recommendations", {"data": "{"}),
        (400, "POST", "/v1/events", {"data": '{"events": 1}'}),
        (400, "POST", "/v1/events", {"data": '{"events": []}', "content_type": "text/plain"}),
        (405, "GET", "/v1/events", {}),
    ],
)
def test_both_ways_give_the_same_answer(
    client: Client, key: str, expected: int, method: str, path: str, sent: dict[str, Any]
) -> None:
    sent = {"HTTP_AUTHORIZATION": f"Bearer {key}", "content_type": "application/json"} | sent
    status, headers, body = by_lane(method, path, **sent)
    usual = client.generic(method, path, **sent)
    assert status == f"{usual.status_code} {usual.reason_phrase}"
    assert usual.status_code == expected
    assert without(headers) == without(dict(usual.items()))
    assert comparable(body) == comparable(usual.content)


def test_an_event_is_stored(key: str, store: Store) -> None:
    event = {
        "type": "view_item",
        "event_id": str(uuid4()),
        "shopper_id": "s-1",
        "product_id": "tea-1",
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    status, _, body = by_lane(
        "POST",
        "/v1/events",
        data=json.dumps({"events": [event]}),
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {key}",
    )
    assert (status, json.loads(body)["accepted"]) == ("202 Accepted", 1)
    assert Event.objects.filter(store=store).count() == 1


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/v1/products",
        "/v1/placements/x/fragment",
        PLACEMENT + "/",
        "/v1/placements/茶",
    ],
)
def test_other_calls_are_handed_on(path: str) -> None:
    status, _, body = by_lane("GET", path)
    assert (status, body.decode()) == ("299 Handed On", path)


def test_a_mistake_of_ours_is_logged_and_told_in_the_envelope(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("recommender.api.recommendations.recommend", broken)
    with caplog.at_level(logging.ERROR, logger="django.request"):
        status, _, body = by_lane("GET", PLACEMENT, HTTP_AUTHORIZATION=f"Bearer {key}")
    assert status == "500 Internal Server Error"
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert "a mistake" in caplog.text


def test_a_connection_that_the_database_closed_is_replaced_before_a_hot_call(
    key: str, looked_after: list[str]
) -> None:
    by_lane("GET", PLACEMENT, HTTP_AUTHORIZATION=f"Bearer {key}")
    by_lane("GET", "/console/")
    assert looked_after == ["looked after"]
