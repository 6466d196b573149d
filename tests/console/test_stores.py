"""Several stores: switching between them, and opening another."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.models import ApiKey, AuditEntry, Member, Store, User
from recommender.models import Placement
from tests.conftest import MemberClient

pytestmark = pytest.mark.django_db

FORM = {
    "name": "Second shop",
    "slug": "",
    "currency": "eur",
    "locale": "de-AT",
    "time_zone": "Europe/Vienna",
}


@pytest.fixture
def client(store: Store, owner: User) -> Client:
    browser = Client()
    browser.force_login(owner)
    return browser


def switch_of(page: str) -> str:
    return page.split('class="store-switch"')[1].split("</details>")[0]


def test_a_member_of_several_stores_stays_in_the_section_when_switching(
    store: Store, other_store: Store, owner: User, client: Client
) -> None:
    Member.objects.create(store=other_store, user=owner, role=Member.Role.VIEWER)
    switch = switch_of(client.get("/console/corner/models/").content.decode())
    assert "2 stores: switch" in switch
    assert 'href="/console/other/models/"' in switch
    assert "Viewer" in switch
    switch = switch_of(client.get("/console/corner/members/").content.decode())
    assert 'href="/console/other/settings/"' in switch
    assert client.get("/console/other/settings/").status_code == 200


def test_stores_of_others_are_not_in_the_switch(
    store: Store, other_store: Store, client: Client
) -> None:
    page = client.get("/console/corner/models/").content.decode()
    assert "other" not in switch_of(page).lower()
    assert "New store" in switch_of(page)


def test_a_member_of_one_store_who_owns_none_has_nothing_to_switch(
    store: Store, member_client: MemberClient
) -> None:
    page = member_client(store, Member.Role.MERCHANT).get("/console/corner/models/")
    assert '<details class="store-switch"' not in page.content.decode()
    assert "New store" not in page.content.decode()


def test_the_switch_costs_one_query_however_many_stores_there_are(
    store: Store, owner: User, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(30) as alone:
        client.get("/console/corner/settings/")
    for number in range(5):
        more = Store.objects.create(
            slug=f"more-{number}", name=f"More {number}", signing_secret=b"0" * 32
        )
        Member.objects.create(store=more, user=owner, role=Member.Role.OWNER)
    with django_assert_max_num_queries(len(alone.captured_queries)):
        client.get("/console/corner/settings/")


def test_an_owner_opens_a_store_with_its_key_and_its_usual_placements(
    client: Client, owner: User, store: Store
) -> None:
    page = client.get("/console/new/").content.decode()
    assert f'value="{store.currency}"' in page
    answer = client.post("/console/new/", FORM)
    assert answer.headers["Location"] == "/console/second-shop/overview/"
    made = Store.objects.get(slug="second-shop")
    assert (made.name, made.currency, made.locale) == ("Second shop", "EUR", "de-AT")
    assert made.time_zone == "Europe/Vienna"
    assert Member.objects.get(store=made).user == owner
    assert Member.objects.get(store=made).role == Member.Role.OWNER
    assert ApiKey.objects.filter(store=made, kind="pk").count() == 1
    ours = set(Placement.objects.filter(store=store).values_list("slug", flat=True))
    assert set(Placement.objects.filter(store=made).values_list("slug", flat=True)) == ours
    assert AuditEntry.objects.get(store=made, action="store.create").actor == owner
    assert client.get("/console/second-shop/overview/").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "A store needs a name."),
        ({"name": "x" * 121}, "at most 120 characters"),
        ({"slug": "corner"}, "exists already"),
        ({"slug": "Not A Slug"}, "Small letters, digits"),
        ({"currency": "EURO"}, "An ISO 4217 code"),
        ({"currency": ""}, "This field is required"),
        ({"locale": "../../etc"}, "A language tag"),
        ({"time_zone": "Mars/Olympus"}, "is not one of the available choices"),
        ({"name": "a\x00b"}, "Null characters"),
    ],
)
def test_a_store_that_can_not_be_is_refused_and_the_form_keeps_what_was_typed(
    client: Client, store: Store, wrong: dict[str, str], said: str
) -> None:
    n_stores, n_placements = Store.objects.count(), Placement.objects.count()
    answer = client.post("/console/new/", FORM | {"slug": "second"} | wrong)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert 'value="de-AT"' in page or "locale" in wrong
    assert (Store.objects.count(), Placement.objects.count()) == (n_stores, n_placements)


@pytest.mark.parametrize("role", [Member.Role.MERCHANT, Member.Role.MARKETER, Member.Role.VIEWER])
def test_whoever_owns_no_store_opens_none(
    store: Store, member_client: MemberClient, role: str
) -> None:
    client = member_client(store, role)
    assert client.get("/console/new/").status_code == 403
    assert client.post("/console/new/", FORM).status_code == 403
    assert not Store.objects.filter(slug="second-shop").exists()


def test_strangers_log_in_first(client: Client, store: Store) -> None:
    stranger = Client()
    assert stranger.get("/console/new/").headers["Location"].startswith("/console/login/")
    assert stranger.post("/console/new/", FORM).status_code == 302
    assert Store.objects.count() == 1


def test_the_chooser_of_stores_offers_owners_a_new_one(
    store: Store, other_store: Store, owner: User, client: Client
) -> None:
    Member.objects.create(store=other_store, user=owner, role=Member.Role.VIEWER)
    assert 'href="/console/new/"' in client.get("/console/").content.decode()
    Member.objects.filter(user=owner).update(role=Member.Role.MERCHANT)
    assert 'href="/console/new/"' not in client.get("/console/").content.decode()
