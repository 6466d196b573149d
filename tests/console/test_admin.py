"""The operator's pages at /admin/."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client

from catalog.models import Product, User
from tests.console.conftest import Shop


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root@shop.example", "a-long-password"))
    return client


def test_every_list_opens(shop: Shop, operator: Client) -> None:
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert operator.get(address).status_code == 200, address


def test_a_member_is_no_operator(shop: Shop, client: Client) -> None:
    client.force_login(User.objects.get(email="owner@shop.example"))
    assert client.get("/admin/").status_code == 302


def test_facts_are_looked_at_and_not_changed(shop: Shop, operator: Client) -> None:
    product = shop.products[0]
    address = f"/admin/catalog/product/{product.pk}/change/"
    assert operator.get(address).status_code == 200
    assert operator.post(address, {"title": "Changed"}).status_code == 403
    assert operator.post(f"/admin/catalog/product/{product.pk}/delete/").status_code == 403
    assert Product.objects.get(pk=product.pk).title == product.title
