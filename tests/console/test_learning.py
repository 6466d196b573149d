"""The page on which a merchant says what events weigh."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.models import Member
from recommender.console.learning import EVENT_MEANINGS
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import EventWeights
from recommender.selectors.event_weights import event_weights
from tests.conftest import MemberClient
from tests.console.conftest import Shop


@pytest.fixture
def merchant(shop: Shop, member_client: MemberClient) -> Client:
    return member_client(shop.store, Member.Role.MERCHANT)


def form(**changed: str) -> dict[str, str]:
    return {name: f"{weight:g}" for name, weight in EVENT_WEIGHTS.items()} | changed


def address(shop: Shop) -> str:
    return f"/console/{shop.store.slug}/models/weights/"


def test_every_event_that_has_a_weight_is_explained() -> None:
    assert set(EVENT_MEANINGS) == set(EVENT_WEIGHTS)


def test_a_merchant_changes_weights_and_goes_back(shop: Shop, merchant: Client) -> None:
    page = merchant.get(address(shop)).content.decode()
    assert "These are the defaults" in page
    assert page.count('type="number"') == len(EVENT_WEIGHTS)
    answer = merchant.post(f"{address(shop)}save/", form(view_item="0,4"), follow=True)
    assert event_weights(store_id=shop.store.pk)["view_item"] == 0.4
    page = answer.content.decode()
    assert "within a second" in page
    assert 'value="0.4"' in page
    assert "merchant-corner@shop.example" in page
    merchant.post(f"{address(shop)}save/", {"restore": "1"})
    assert event_weights(store_id=shop.store.pk) == EVENT_WEIGHTS


def test_a_wrong_number_is_told_beside_its_field_and_what_was_typed_stays(
    shop: Shop, merchant: Client
) -> None:
    answer = merchant.post(f"{address(shop)}save/", form(view_item="a lot", purchase="2"))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="a lot"' in page
    assert 'value="2"' in page
    assert 'id="error-view_item"' in page
    assert 'id="error-purchase"' not in page
    assert not EventWeights.objects.exists()


def test_a_marketer_reads_the_weights_and_has_no_form(
    shop: Shop, member_client: MemberClient
) -> None:
    page = member_client(shop.store, Member.Role.MARKETER).get(address(shop)).content.decode()
    assert 'type="number"' not in page
    assert "Owners and merchants can change them" in page


def test_the_models_page_and_the_settings_lead_here(shop: Shop, merchant: Client) -> None:
    for name in ("models", "settings"):
        page = merchant.get(f"/console/{shop.store.slug}/{name}/").content.decode()
        assert f'href="{address(shop)}"' in page
