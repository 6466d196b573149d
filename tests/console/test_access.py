"""Who gets in, and that nobody else learns anything."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.models import ApiKey, Member, QuarantinedEvent, ShopperLink, Store, User
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import Artifact, EventWeights, Run
from tests.conftest import MemberClient
from tests.console.conftest import Shop

# Session, user and member take three; every page has the store switcher's one besides its own.
MAX_QUERIES = 22


def changes(shop: Shop) -> list[tuple[str, dict[str, str]]]:
    """Every address that changes something, with what it takes."""
    base = f"/console/{shop.store.slug}"
    key = ApiKey.objects.filter(store=shop.store).latest("pk")
    return [
        (f"{base}/models/retrain/", {"family": "content"}),
        (f"{base}/models/{shop.held.pk}/confirm/", {}),
        (f"{base}/models/{shop.held.pk}/discard/", {}),
        (f"{base}/models/weights/save/", dict.fromkeys(EVENT_WEIGHTS, "0.7")),
        (f"{base}/models/weights/save/", {"restore": "1"}),
        (f"{base}/events/replay/", {}),
        (f"{base}/shoppers/{shop.shoppers[0].pk}/link/", {"customer_id": "somebody"}),
        (f"{base}/shoppers/{shop.shoppers[1].pk}/unlink/", {}),
        (f"{base}/settings/keys/", {"kind": "sk", "name": "Stolen"}),
        (f"{base}/settings/keys/{key.pk}/revoke/", {}),
    ]


def state_of(store: Store) -> list[object]:
    """Everything that the console can change."""
    return [
        list(Run.objects.filter(store=store).order_by("pk").values_list("pk", "state")),
        list(Artifact.objects.filter(store=store).order_by("pk").values_list("pk", "serving")),
        list(ApiKey.objects.filter(store=store).order_by("pk").values_list("pk", "revoked_at")),
        list(EventWeights.objects.filter(store=store).values_list("weights", "updated_at")),
        list(QuarantinedEvent.objects.filter(store=store).values_list("replayed_at", flat=True)),
        list(ShopperLink.objects.filter(store=store).order_by("pk").values_list("pk", "undone_at")),
    ]


@pytest.mark.parametrize("role", Member.Role.values)
def test_every_page_opens_for_every_role(
    shop: Shop, member_client: MemberClient, role: str
) -> None:
    client = member_client(shop.store, role)
    for address in shop.addresses():
        assert client.get(address).status_code == 200, address


def test_every_page_needs_a_bounded_number_of_queries(
    shop: Shop,
    member_client: MemberClient,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    client = member_client(shop.store)
    for address in shop.addresses():
        with django_assert_max_num_queries(MAX_QUERIES):
            client.get(address)


def test_an_anonymous_visitor_is_sent_to_the_login_page_and_back(
    shop: Shop, client: Client
) -> None:
    for address in shop.addresses():
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/console/login/?next={quote(address)}"


def test_an_anonymous_visitor_changes_nothing(shop: Shop, client: Client) -> None:
    before = state_of(shop.store)
    for address, body in changes(shop):
        assert client.post(address, body).headers["Location"].startswith("/console/login/")
    assert state_of(shop.store) == before


def test_a_fragment_that_polls_after_logging_out_reloads_its_page(
    shop: Shop, client: Client
) -> None:
    answer = client.get(
        f"/console/{shop.store.slug}/overview/events/", headers={"HX-Request": "true"}
    )
    assert answer.headers["HX-Refresh"] == "true"
    assert not answer.content


def test_a_member_of_one_store_finds_nothing_of_another(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    for address in other_shop.addresses():
        assert client.get(address).status_code == 404, address


def test_a_member_of_one_store_changes_nothing_of_another(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    before = state_of(other_shop.store)
    for address, body in changes(other_shop):
        assert client.post(address, body).status_code == 404, address
    assert state_of(other_shop.store) == before


def test_ids_of_another_store_lead_nowhere_under_the_own_address(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    base, other = f"/console/{shop.store.slug}", other_shop
    before = state_of(other.store)
    for path in (
        f"{base}/catalog/{other.products[0].pk}/",
        f"{base}/models/{other.serving.pk}/",
        f"{base}/models/{other.held.pk}/",
        f"{base}/shoppers/{other.shoppers[0].pk}/",
    ):
        assert client.get(path).status_code == 404, path
    key = ApiKey.objects.filter(store=other.store).latest("pk")
    for path in (
        f"{base}/models/{other.held.pk}/confirm/",
        f"{base}/models/{other.held.pk}/discard/",
        f"{base}/shoppers/{other.shoppers[0].pk}/link/",
        f"{base}/shoppers/{other.shoppers[1].pk}/unlink/",
        f"{base}/settings/keys/{key.pk}/revoke/",
    ):
        assert client.post(path).status_code == 404, path
    assert state_of(other.store) == before


def test_a_placement_of_the_same_name_is_the_own_one(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    other_shop.placement.name = "Their secret plan"
    other_shop.placement.save()
    client = member_client(shop.store)
    answer = client.get(f"/console/{shop.store.slug}/placements/{shop.placement.slug}/")
    assert "Their secret plan" not in answer.content.decode()


def test_no_page_shows_a_word_of_another_store(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    for address in shop.addresses():
        content = client.get(address).content.decode()
        assert other_shop.store.name not in content, address
        assert f"{other_shop.store.slug}-shopper" not in content, address


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_whoever_only_looks_changes_nothing(
    shop: Shop, member_client: MemberClient, role: str
) -> None:
    client = member_client(shop.store, role)
    before = state_of(shop.store)
    for address, body in changes(shop):
        answer = client.post(address, body)
        assert answer.status_code == 403, address
    assert state_of(shop.store) == before


def test_a_merchant_retrains_but_makes_no_keys(shop: Shop, member_client: MemberClient) -> None:
    client = member_client(shop.store, Member.Role.MERCHANT)
    n_keys = ApiKey.objects.filter(store=shop.store).count()
    answer = client.post(
        f"/console/{shop.store.slug}/settings/keys/", {"kind": "sk", "name": "Mine"}
    )
    assert answer.status_code == 403
    assert ApiKey.objects.filter(store=shop.store).count() == n_keys


def test_what_changes_something_answers_no_get(shop: Shop, member_client: MemberClient) -> None:
    client = member_client(shop.store)
    for address, _ in changes(shop):
        assert client.get(address).status_code == 405, address


def test_a_form_without_its_token_is_refused(shop: Shop, owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    before = state_of(shop.store)
    for address, body in changes(shop):
        assert client.post(address, body).status_code == 403, address
    assert state_of(shop.store) == before
