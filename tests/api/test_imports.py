"""`POST /v1/imports` and `GET /v1/imports/{id}`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.api.schemas import IMPORT_STATES
from catalog.models import ApiKey, Product, ProductImport, Store
from catalog.services import import_running
from catalog.services.import_running import import_take
from catalog.services.keys import api_key_create
from tests.factories import make_product
from tests.feeds import google_feed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def import_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(import_running, "feed_fetch", lambda url: iter([google_feed(5)]))
    yield
    shutil.rmtree(Path(settings.IMPORT_DIR), ignore_errors=True)


@pytest.fixture
def headers(secret_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_key}"}


def post(client: Client, headers: dict[str, str], body: Any) -> Any:
    return client.post("/v1/imports", body, content_type="application/json", headers=headers)


def validate(client: Client, answer: Any) -> dict[str, Any]:
    document = json.loads(client.get("/v1/openapi.json").content)
    schema = {"$ref": "#/components/schemas/Import", "components": document["components"]}
    found: dict[str, Any] = answer.json()
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def test_a_feed_is_imported_by_its_address(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    answer = post(client, headers, {"url": "https://shop.example/feed.xml"})
    assert answer.status_code == 202
    begun = validate(client, answer)
    assert (begun["state"], begun["dry_run"]) == ("queued", False)
    import_take(import_id=begun["id"])
    done = validate(client, client.get(f"/v1/imports/{begun['id']}", headers=headers))
    assert (done["state"], done["new"], done["rows"], done["progress"]) == ("done", 5, 5, 1)
    assert Product.objects.filter(store=store).count() == 5


def test_a_file_is_checked_without_a_change_and_problems_are_told(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    make_product(store, "1")
    body = {
        "file": SimpleUploadedFile("f.csv", b"sku,name\n1,Tea\n2,\n"),
        "mapping": json.dumps({"id": "sku", "title": "name"}),
        "dry_run": "true",
    }
    answer = client.post("/v1/imports", body, headers=headers)
    assert answer.status_code == 202, answer.content
    import_take(import_id=answer.json()["id"])
    done = validate(client, client.get(f"/v1/imports/{answer.json()['id']}", headers=headers))
    assert (done["state"], done["changed"], done["left_out"]) == ("checked", 1, 1)
    assert done["problems"] == [
        {"line": 3, "column": "name", "value": "", "reason": "Title: is missing."}
    ]
    assert Product.objects.get().title == "Product 1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "http://me:secret@shop.example/"}, "url"),
        ({"url": 5}, "url"),
        ({"url": "https://x.example/", "format": "pdf"}, "format"),
        ({"url": "https://x.example/", "mapping": {"title": "t"}}, "mapping.id"),
        ({"url": "https://x.example/", "mapping": {"id": 5}}, "mapping[...]"),
        ({"url": "https://x.example/", "dry_run": "maybe"}, "dry_run"),
    ],
)
def test_what_cannot_be_imported_names_its_member(
    client: Client, store: Store, headers: dict[str, str], body: dict[str, Any], field: str
) -> None:
    answer = post(client, headers, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert list(answer.json()["error"]["fields"]) == [field]
    assert not ProductImport.objects.exists()


def test_a_file_that_is_no_feed_or_missing_or_too_large_is_refused(
    client: Client, store: Store, headers: dict[str, str], settings: Any
) -> None:
    pdf = {"file": SimpleUploadedFile("f", b"%PDF-1.7")}
    assert (
        "PDF" in client.post("/v1/imports", pdf, headers=headers).json()["error"]["fields"]["file"]
    )
    missing = client.post("/v1/imports", {"dry_run": "1"}, headers=headers)
    assert list(missing.json()["error"]["fields"]) == ["file"]
    settings.IMPORT_MAX_BYTES = 10
    large = {"file": SimpleUploadedFile("f", b"x" * 100_000)}
    assert client.post("/v1/imports", large, headers=headers).status_code == 413
    assert not ProductImport.objects.exists()


def test_a_body_that_is_not_json_is_refused(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    answer = client.post("/v1/imports", b"{", content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_json")


def test_only_a_secret_key_of_the_store_gets_in(
    client: Client, store: Store, other_store: Store, headers: dict[str, str], publishable_key: str
) -> None:
    begun = post(client, headers, {"url": "https://shop.example/feed.xml"}).json()
    address = f"/v1/imports/{begun['id']}"
    _, theirs = api_key_create(store=other_store, kind=ApiKey.Kind.SECRET, name="Theirs")
    assert client.get(address, headers={"Authorization": f"Bearer {theirs}"}).status_code == 404
    public = {"Authorization": f"Bearer {publishable_key}"}
    assert client.get(address, headers=public).status_code == 403
    assert post(client, public, {"url": "https://x.example/"}).status_code == 403
    assert client.get(address).status_code == 401
    assert ProductImport.objects.count() == 1


def test_the_described_states_are_those_that_there_are() -> None:
    assert ProductImport.State.values == IMPORT_STATES
