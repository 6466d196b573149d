"""Placements in words; the snippet and keys."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from catalog.models import ApiKey, Member, Store
from catalog.selectors.keys import api_key_resolve
from recommender.console.strategy_words import strategy_words
from recommender.serving.strategy import strategy_parse
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.console.pages import words_of


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def test_weights_are_said_as_shares_of_the_whole() -> None:
    document = {
        "sources": [{"source": "trending", "weight": 1}, {"source": "for_you", "weight": 3}],
        "max_per_brand": 2,
        "category": "same",
        "exclude": {"in_cart": False, "purchased": True},
        "fallback": ["bestsellers"],
    }
    words = strategy_words(strategy_parse(document))
    assert [(s.label, s.share) for s in words.sources] == [("For you", 0.75), ("Trending", 0.25)]
    assert words.rules[1] == "At most 2 of one brand."
    assert words.exclusions == ["what the shopper bought before"]
    assert words.fallback == ["Bestsellers"]
    assert words.diversity.startswith("Low (20 %)")


@pytest.mark.parametrize(("diversity", "word"), [(0, "None"), (0.3, "Medium"), (0.9, "High")])
def test_diversity_has_a_word(diversity: float, word: str) -> None:
    document = {"sources": [{"source": "trending", "weight": 1}], "diversity": diversity}
    assert strategy_words(strategy_parse(document)).diversity.startswith(word)


def test_a_placement_says_what_it_delivered_and_why_it_stayed_empty(
    shop: Shop, client: Client
) -> None:
    text = words_of(client, "/console/corner/placements/product-bought-together/")
    assert "Recommendations 2" in text
    assert "50.0 % 1 of 2" in text
    assert "The page named no product, cart or category to start from. 1" in text
    assert "Bought together 100.0 % · 3" in text
    assert "95 % answered within 0.9 ms" in text


def test_a_placement_that_nobody_asked_for_says_so_instead_of_zero_per_cent(
    shop: Shop, client: Client
) -> None:
    text = words_of(client, "/console/corner/placements/home-trending/")
    assert "Nobody asked for this placement." in text
    assert "By fallback Not enough data" in text


def test_a_placement_brings_its_tags_with_the_stores_own_key(
    shop: Shop, client: Client, publishable_key: str
) -> None:
    page = client.get("/console/corner/placements/product-bought-together/").content.decode()
    assert "placement=&quot;product-bought-together&quot;" in page
    assert f"data-key=&quot;{publishable_key}&quot;" in page
    assert f"Authorization: Bearer {publishable_key}" in page


def test_a_document_that_nobody_can_read_any_more_breaks_no_page(
    shop: Shop, client: Client
) -> None:
    version = shop.placement.strategy_version
    version.document = {"sources": [], "written_by": "a version of long ago"}
    version.save()
    for address in ("", "product-bought-together/"):
        text = words_of(client, f"/console/corner/placements/{address}")
        assert "can't be read" in text.replace("&#x27;", "'")


def test_an_unknown_placement_is_not_found(shop: Shop, client: Client) -> None:
    assert client.get("/console/corner/placements/nowhere/").status_code == 404


def test_the_snippet_holds_the_newest_publishable_key(
    shop: Shop, client: Client, publishable_key: str
) -> None:
    assert (
        f"data-key=&quot;{publishable_key}&quot;"
        in client.get("/console/corner/settings/").content.decode()
    )


def test_a_secret_key_is_shown_once_and_works(shop: Shop, client: Client) -> None:
    answer = client.post("/console/corner/settings/keys/", {"kind": "sk", "name": "Warehouse"})
    found = re.search(r"sk_[0-9A-Za-z]{32}", answer.content.decode())
    assert found
    assert answer.headers["Cache-Control"] == "no-store"
    resolved = api_key_resolve(found[0])
    assert resolved is not None
    assert resolved.store_id == shop.store.pk
    later = client.get("/console/corner/settings/").content.decode()
    assert "Warehouse" in later
    assert found[0] not in later


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "sk", "name": ""},
        {"kind": "xx", "name": "Mine"},
        {"kind": "pk", "name": "Mine", "origins": "not an origin"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused_and_the_form_keeps_what_was_typed(
    shop: Shop, client: Client, form: dict[str, str]
) -> None:
    n_keys = ApiKey.objects.count()
    answer = client.post("/console/corner/settings/keys/", form)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'role="alert"' in page
    assert f'value="{form["name"]}"' in page
    assert ApiKey.objects.count() == n_keys


def test_a_revoked_key_stops_and_says_when(
    shop: Shop, client: Client, publishable_key: str
) -> None:
    key = ApiKey.objects.get(store=shop.store)
    answer = client.post(f"/console/corner/settings/keys/{key.pk}/revoke/", follow=True)
    page = answer.content.decode()
    assert "is revoked" in page
    assert "The snippet needs a publishable key." in page
    assert api_key_resolve(publishable_key) is None


def test_a_viewer_sees_no_button_for_keys(shop: Shop, member_client: MemberClient) -> None:
    text = words_of(member_client(shop.store, Member.Role.VIEWER), "/console/corner/settings/")
    assert "Make a key" not in text
    assert "Revoke" not in text
