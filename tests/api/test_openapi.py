"""The OpenAPI document says what the views do."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.test import Client

from analytics.api.urls import urlpatterns as analytics_patterns
from catalog.api.errors import ERRORS
from catalog.contract import event_names
from catalog.contract.dialects import SentEvent
from catalog.models import Store
from recommender.api.urls import urlpatterns
from tests.factories import make_product

pytestmark = pytest.mark.django_db

UNDESCRIBED = {"openapi.json", "docs", ""}


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    answer = client.get("/v1/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.content)
    return found


def validator(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


def test_every_address_is_described(document: dict[str, Any]) -> None:
    described = {re.sub(r"{\w+}", "{}", path) for path in document["paths"]}
    routes = {str(each.pattern) for each in [*urlpatterns, *analytics_patterns]}
    served = {
        "/v1/" + re.sub(r"<\w+:\w+>", "{}", route) for route in routes if route not in UNDESCRIBED
    }
    assert described == served


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names
    assert names <= set(document["components"]["schemas"])
    operations = [
        each["operationId"] for path in document["paths"].values() for each in path.values()
    ]
    assert len(set(operations)) == len(operations) >= 7


def test_every_error_code_is_described(document: dict[str, Any]) -> None:
    error = document["components"]["schemas"]["Error"]["properties"]["error"]
    assert error["properties"]["code"]["enum"] == [code.value for code in ERRORS]


def test_every_member_of_an_event_is_one_that_is_read(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["Event"]["properties"]
    assert set(described) <= set(SentEvent.__struct_fields__)
    assert all(f"`{name}`" in described["type"]["description"] for name in event_names.NAME_OF)


def test_the_example_is_accepted_and_the_answers_are_as_described(
    client: Client, document: dict[str, Any], store: Store, publishable_key: str
) -> None:
    headers = {"Authorization": f"Bearer {publishable_key}"}
    make_product(store, "1082185")
    example = document["components"]["schemas"]["EventsBody"]["example"]
    validator(document, "EventsBody").validate(example)
    example = {**example, "sent_at": None, "events": [dict(example["events"][0])] * 2}
    example["events"][0]["occurred_at"] = None
    example["events"][0]["event_id"] = "again"
    answer = client.post("/v1/events", example, content_type="application/json", headers=headers)
    assert answer.json() == {"accepted": 1, "duplicate": 1, "rejected": []}
    validator(document, "EventsAnswer").validate(answer.json())

    slug = store.placements.values_list("slug", flat=True)[0]
    one = client.get(f"/v1/placements/{slug}/recommendations", headers=headers)
    assert one.status_code == 200
    validator(document, "Recommendation").validate(one.json())

    body = {"placements": [{"slug": slug}], "key": publishable_key}
    validator(document, "PageBody").validate(body)
    page = client.post("/v1/recommendations", body, content_type="application/json")
    assert page.status_code == 200
    validator(document, "PageAnswer").validate(page.json())

    refusal = client.post("/v1/recommendations", {}, content_type="application/json")
    validator(document, "Error").validate(refusal.json())


def test_the_page_for_people_needs_no_other_host_and_no_inline_script(client: Client) -> None:
    page = client.get("/v1/docs", headers={"Accept": "text/html"})
    assert page.status_code == 200
    html = page.content.decode()
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert not re.search(r"<script(?![^>]*src=)", html)
    script = client.get("/v1/docs?script=")
    assert script.status_code == 200
    assert "/v1/openapi.json" in script.content.decode()
