"""`PUT /v1/products` and `DELETE /v1/products/{id}`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from catalog.models import Product, Store
from tests.factories import make_product

pytestmark = pytest.mark.django_db

Put = Callable[..., Any]


@pytest.fixture
def put(client: Client, secret_key: str) -> Put:
    def call(*products: Any) -> Any:
        return client.put(
            "/v1/products",
            {"products": list(products)},
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret_key}"},
        )

    return call


def counts(response: Any) -> tuple[int, int, int, int]:
    assert response.status_code == 200, response.content
    answer = json.loads(response.content)
    return answer["created"], answer["updated"], answer["unchanged"], len(answer["rejected"])


def version(store: Store) -> int:
    store.refresh_from_db()
    return store.catalog_version


def test_products_are_created_changed_and_left_alone(put: Put, store: Store) -> None:
    tea = {
        "id": "tea",
        "title": "Green tea",
        "description": "From Uji",
        "url": "https://shop.example/tea",
        "image_url": "/img/tea.jpg",
        "price": "12.50",
        "list_price": 15,
        "margin": 4.2,
        "availability": "in stock",
        "stock_count": 7,
        "brand": "Uji",
        "category": ["Drinks", "Tea"],
        "tags": ["new", "new", "organic"],
        "attributes": {"weight": 100},
        "vector": [0.5, -1],
        "published_at": "2026-11-01T00:00:00Z",
    }
    before = version(store)
    assert counts(put(tea, {"id": 2, "title": "Cup"})) == (2, 0, 0, 0)
    first = version(store)
    assert first > before
    assert counts(put(tea)) == (0, 0, 1, 0)
    assert version(store) == first
    stored = Product.objects.get(store=store, external_id="tea")
    assert (stored.price_minor, stored.list_price_minor, stored.margin_minor) == (1250, 1500, 420)
    assert (stored.currency, stored.availability, stored.stock_count) == ("USD", "in_stock", 7)
    assert (stored.category_path, stored.brand) == ("Drinks > Tea", "Uji")
    assert (stored.tags, stored.attributes) == (["new", "organic"], {"weight": 100})
    assert stored.vector == [0.5, -1.0]
    assert Product.objects.get(external_id="2").price_minor is None
    Product.objects.filter(pk=stored.pk).update(hidden=True)
    assert counts(put({**tea, "price": "11.00"}, {"id": "tea", "title": "Last"})) == (0, 1, 0, 0)
    changed = Product.objects.get(pk=stored.pk)
    # Replaced as a whole, by what was sent last; what members decide stays.
    assert (changed.title, changed.price_minor, changed.tags) == ("Last", None, [])
    assert changed.hidden
    assert changed.updated_at > stored.updated_at


def test_the_vectors_of_large_text_models_are_taken_as_they_come(put: Put, store: Store) -> None:
    vector = [-0.012345678901234567 * (1 + i) for i in range(4_096)]
    assert counts(put({"id": "tea", "title": "Green tea", "vector": vector})) == (1, 0, 0, 0)
    assert Product.objects.get(store=store).vector == vector


def test_google_merchant_names_are_understood(put: Put, store: Store) -> None:
    google = {
        "id": "g1",
        "title": "Mug",
        "link": "https://shop.example/mug",
        "image_link": "https://shop.example/mug.jpg",
        "price": "15.00 USD",
        "sale_price": "USD 12.00",
        "availability": "out_of_stock",
        "product_type": "Home > Kitchen > Mugs",
        "google_product_category": 2169,
        "custom_label_0": "winter",
        "color": "blue",
        "gtin": 4001234567890,
        "quantity": 0,
    }
    assert counts(put(google)) == (1, 0, 0, 0)
    mug = Product.objects.get(store=store)
    assert (mug.price_minor, mug.list_price_minor) == (1200, 1500)
    assert (mug.url, mug.image_url) == (google["link"], google["image_link"])
    assert mug.category_path == "Home > Kitchen > Mugs"
    assert (mug.tags, mug.availability, mug.stock_count) == (["winter"], "out_of_stock", 0)
    assert mug.attributes == {"color": "blue", "gtin": 4001234567890}


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"id": None}, "missing", "id"),
        ({"id": "x" * 129}, "too_long", "id"),
        ({"title": "  "}, "missing", "title"),
        ({"title": "x" * 301}, "too_long", "title"),
        ({"title": "a\x00"}, "nul_character", ""),
        ({"url": "javascript:alert(1)"}, "out_of_range", "url"),
        ({"image_link": "data:text/html,x"}, "out_of_range", "image_url"),
        ({"url": "http://[broken"}, "out_of_range", "url"),
        ({"price": "12,50"}, "wrong_type", "price"),
        ({"price": "5 GBP"}, "currency_mismatch", "price"),
        ({"currency": "GBP"}, "currency_mismatch", "currency"),
        ({"price": -1}, "out_of_range", "price"),
        ({"availability": "maybe"}, "out_of_range", "availability"),
        ({"stock_count": -1}, "out_of_range", "stock_count"),
        ({"vector": []}, "out_of_range", "vector"),
        ({"vector": [0.5] * 4_097}, "out_of_range", "vector"),
        ({"description": "x" * 128 * 1024}, "too_large", ""),
        ({"tags": ["x" * 61]}, "too_long", "tags"),
        ({"published_at": "soon"}, "unreadable_time", "published_at"),
    ],
)
def test_a_product_that_can_not_be_taken_is_refused_and_the_others_are_not(
    put: Put, store: Store, members: dict[str, Any], code: str, field: str
) -> None:
    response = put({"id": "bad", "title": "Bad", **members}, {"id": "good", "title": "Good"})
    assert counts(response) == (1, 0, 0, 1)
    (rejected,) = json.loads(response.content)["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, code, field)
    assert list(Product.objects.values_list("external_id", flat=True)) == ["good"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"nonsense", 400, "not_json"),
        (b'{"products": []}', 400, "invalid_request"),
        (b'{"products": [' + b"{}," * 1_000 + b"{}]}", 400, "too_many_products"),
        (b'{"products": ["' + b"x" * 4_200_000 + b'"]}', 413, "body_too_large"),
    ],
)
def test_a_body_that_can_not_be_taken_is_refused_as_a_whole(
    client: Client, secret_key: str, body: bytes, status: int, code: str
) -> None:
    response = client.put(
        "/v1/products",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret_key}"},
    )
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert not Product.objects.exists()


def test_a_product_is_deleted_and_comes_back_when_it_is_sent_again(
    client: Client, put: Put, store: Store, other_store: Store, secret_key: str
) -> None:
    headers = {"Authorization": f"Bearer {secret_key}"}
    ours, theirs = make_product(store, "a/b c"), make_product(other_store, "a/b c")
    make_product(other_store, "only theirs")
    before = version(store)
    assert client.delete("/v1/products/a%2Fb%20c", headers=headers).status_code == 204
    assert version(store) == before + 1
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert ours.deleted_at is not None
    assert theirs.deleted_at is None
    for gone in ("a%2Fb%20c", "only%20theirs", "nothing", "x" * 200, "%00"):
        response = client.delete(f"/v1/products/{gone}", headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert version(store) == before + 1
    assert counts(put({"id": "a/b c", "title": "Back"})) == (0, 1, 0, 0)
    ours.refresh_from_db()
    assert ours.deleted_at is None


def test_a_publishable_key_deletes_nothing(
    client: Client, store: Store, publishable_key: str
) -> None:
    make_product(store, "tea")
    response = client.delete(
        "/v1/products/tea", headers={"Authorization": f"Bearer {publishable_key}"}
    )
    assert (response.status_code, response.json()["error"]["code"]) == (403, "secret_key_required")
    assert Product.objects.filter(deleted_at__isnull=True).count() == 1
