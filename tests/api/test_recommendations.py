"""How a request for recommendations is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from catalog.models import Store
from recommender.api.recommendations import _query_read
from recommender.models import Placement
from recommender.services.strategies import strategy_version_create
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

PATH = "/v1/placements/home-trending/recommendations"


@pytest.fixture
def headers(store: Store, publishable_key: str) -> dict[str, str]:
    for external_id in [*(f"tea-{n}" for n in range(6)), "tea/grün & mint"]:
        make_product(store, external_id, published_at=datetime(2026, 3, 1, tzinfo=UTC))
    placement = Placement.objects.get(store=store, slug="home-trending")
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 1}]},
    )
    placement.save()
    RUNTIMES.refresh()
    return {"Authorization": f"Bearer {publishable_key}"}


def shown(client: Client, headers: dict[str, str], query: str) -> set[str]:
    response = client.get(f"{PATH}?{query}", headers=headers)
    assert response.status_code == 200, response.content
    return {item["product_id"] for item in response.json()["items"]}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", {}),
        ("a=1&a=2&b", {"a": ["1", "2"], "b": [""]}),
        ("a=x%2Fy+z%26", {"a": ["x/y z&"]}),
        ("%61=1&&", {"a": ["1"]}),
        ("a=%E8%8C%B6", {"a": ["茶"]}),
        ("a=" + "茶".encode().decode("latin-1"), {"a": ["茶"]}),
        ("a=%ff", {"a": ["\ufffd"]}),
        ("a=b=c", {"a": ["b=c"]}),
    ],
)
def test_a_query_is_read_as_django_reads_it(raw: str, expected: dict[str, list[str]]) -> None:
    assert _query_read(raw) == expected


def test_escaped_ids_and_repeated_parameters_are_understood(
    client: Client, headers: dict[str, str]
) -> None:
    assert "tea/grün & mint" in shown(client, headers, "limit=50")
    query = "exclude=tea-0&exclude=tea%2Fgr%C3%BCn+%26+mint"
    assert shown(client, headers, query) == {f"tea-{n}" for n in range(1, 6)}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("limit=%EF%BC%91", "limit"),
        ("shopper=x", "shopper"),
        (f"shopper_id={'x' * 129}", "shopper_id"),
        (f"product_id={'x' * 129}", "product_id"),
        ("consent=perhaps", "consent"),
        ("shopper_id=a%00b", "shopper_id"),
        ("&".join(f"cart={n}" for n in range(201)), "cart"),
        ("&".join(f"cart={n}" for n in range(1_002)), "query"),
    ],
)
def test_what_can_not_be_is_named(
    client: Client, headers: dict[str, str], query: str, field: str
) -> None:
    response = client.get(f"{PATH}?{query}", headers=headers)
    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == [field]


def test_who_denied_consent_is_not_looked_up(client: Client, headers: dict[str, str]) -> None:
    assert shown(client, headers, "shopper_id=somebody&consent=denied")


def test_an_unknown_placement_is_not_found(client: Client, headers: dict[str, str]) -> None:
    response = client.get("/v1/placements/nowhere/recommendations", headers=headers)
    assert response.status_code == 404
