"""Where the link of an invitation leads: in, or to a page that tells a stranger nothing."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog.models import AuditEntry, Invitation, Member, Store, User
from catalog.selectors.invitations import token_digest
from catalog.services.invitations import (
    AlreadyMember,
    InvitationRefused,
    invitation_accept,
    invitation_create,
    invitation_revoke,
)
from tests.conftest import MemberClient

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
ANNA = {"email": "Anna@Shop.example ", "name": "Anna", "password": PASSWORD}


@pytest.fixture
def token(store: Store, owner: User) -> str:
    return invitation_create(store=store, role="merchant", note="for Anna", actor=owner)[1]


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna@shop.example", PASSWORD)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def invitation_of(token: str) -> Invitation:
    return Invitation.objects.get(token_digest=token_digest(token))


def test_somebody_with_an_account_joins_with_one_click(
    store: Store, token: str, anna: User
) -> None:
    client = logged_in(anna)
    page = client.get(f"/invitations/{token}/").content.decode()
    assert "Join Corner shop" in page
    assert "for Anna" not in page, "the note is for owners"
    assert not Member.objects.filter(user=anna).exists(), "looking changes nothing"
    answer = client.post(f"/invitations/{token}/")
    assert answer.headers["Location"] == "/console/corner/overview/"
    assert Member.objects.get(store=store, user=anna).role == "merchant"
    assert invitation_of(token).accepted_by == anna
    entry = AuditEntry.objects.get(store=store, action="member.join")
    assert entry.actor == anna
    assert entry.after == {"role": "merchant", "invitation": "for Anna"}


def test_somebody_new_makes_an_account_and_is_in_and_logged_in(store: Store, token: str) -> None:
    client = Client()
    assert "Make an account and join" in client.get(f"/invitations/{token}/").content.decode()
    answer = client.post(f"/invitations/{token}/", ANNA)
    assert answer.headers["Location"] == "/console/corner/overview/"
    assert client.get("/console/corner/overview/").status_code == 200
    user = User.objects.get(email="anna@shop.example")
    assert user.check_password(PASSWORD)
    assert (user.name, user.is_staff, user.is_superuser) == ("Anna", False, False)
    assert Member.objects.get(user=user).role == "merchant"


def test_who_logs_in_first_comes_back_to_the_invitation(token: str, anna: User) -> None:
    client = Client()
    page = client.get(f"/invitations/{token}/").content.decode()
    login = f"/console/login/?next=/invitations/{token}/"
    assert f'href="{login}"' in page
    answer = client.post(
        login,
        {"username": anna.email, "password": PASSWORD, "next": f"/invitations/{token}/"},
    )
    assert answer.headers["Location"] == f"/invitations/{token}/"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "anna"}, "This is no e-mail address."),
        ({"email": "owner@shop.example"}, "This address has an account already: log in with it."),
        ({"name": " "}, "This field is required."),
        ({"password": "short"}, "at least 8 characters"),
        ({"password": "password1"}, "too common"),
        ({"name": "A\x00nna"}, "Null characters are not allowed."),
    ],
)
def test_an_account_that_can_not_be_leaves_the_invitation_open_and_keeps_what_was_typed(
    token: str, wrong: dict[str, str], said: str
) -> None:
    n_users = User.objects.count()
    answer = Client().post(f"/invitations/{token}/", ANNA | wrong)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert PASSWORD not in page
    assert 'value="Anna' in page or "name" in wrong
    assert User.objects.count() == n_users
    assert invitation_of(token).accepted_at is None


def test_a_link_works_once(store: Store, token: str, anna: User) -> None:
    assert (
        Client().post(f"/invitations/{token}/", ANNA | {"email": "b@c.example"}).status_code == 302
    )
    for client in (Client(), logged_in(anna)):
        for answer in (client.get(f"/invitations/{token}/"), client.post(f"/invitations/{token}/")):
            assert answer.status_code == 410
            assert "This invitation was used" in answer.content.decode()
    assert not Member.objects.filter(user=anna).exists()


@pytest.mark.parametrize("state", ["used", "revoked", "expired", "unknown"])
def test_a_link_that_lets_nobody_in_tells_nothing_about_the_store(
    store: Store, owner: User, token: str, anna: User, state: str
) -> None:
    invitation = invitation_of(token)
    if state == "used":
        guest = User.objects.create_user("guest@shop.example", PASSWORD)
        invitation_accept(token=token, user=guest)
    elif state == "revoked":
        invitation_revoke(store=store, invitation_id=invitation.pk, actor=owner)
    elif state == "expired":
        past = timezone.now() - timedelta(seconds=1)
        Invitation.objects.filter(pk=invitation.pk).update(expires_at=past)
    else:
        token = "x" * 43
    n_members, n_users = Member.objects.count(), User.objects.count()
    for client in (Client(), logged_in(anna)):
        for answer in (
            client.get(f"/invitations/{token}/"),
            client.post(f"/invitations/{token}/", ANNA | {"email": "new@shop.example"}),
        ):
            assert answer.status_code == (404 if state == "unknown" else 410)
            page = answer.content.decode()
            for secret in (store.name, store.slug, owner.email, "for Anna", "merchant", "guest@"):
                assert secret.lower() not in page.lower(), secret
            assert answer.headers["Cache-Control"].startswith("max-age=0")
    assert (Member.objects.count(), User.objects.count()) == (n_members, n_users)


def test_a_member_already_stays_what_they_are_and_is_told(
    store: Store, token: str, member_client: MemberClient
) -> None:
    client = member_client(store, Member.Role.VIEWER)
    for answer in (client.get(f"/invitations/{token}/"), client.post(f"/invitations/{token}/")):
        assert answer.status_code == 200
        assert "You are a member already" in answer.content.decode()
    assert Member.objects.get(user__email="viewer-corner@shop.example").role == "viewer"
    assert invitation_of(token).accepted_at is None


def test_opening_the_link_again_after_joining_says_so(token: str, anna: User) -> None:
    client = logged_in(anna)
    client.post(f"/invitations/{token}/")
    assert "You are a member already" in client.get(f"/invitations/{token}/").content.decode()


@pytest.mark.parametrize("strange", ["%00", "%ff%fe", "a" * 3000, "..", "'--", "%F0%9F%8D%B5"])
def test_whatever_stands_in_the_address_is_an_unknown_invitation(
    store: Store, strange: str
) -> None:
    assert Client().get(f"/invitations/{strange}/").status_code == 404


def test_the_member_of_another_store_joins_this_one_and_keeps_that(
    store: Store, other_store: Store, other_owner: User, token: str
) -> None:
    logged_in(other_owner).post(f"/invitations/{token}/")
    assert dict(Member.objects.filter(user=other_owner).values_list("store__slug", "role")) == {
        "corner": "merchant",
        "other": "owner",
    }


def test_joining_takes_a_form_with_its_token(token: str, anna: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    assert client.post(f"/invitations/{token}/").status_code == 403
    assert not Member.objects.filter(user=anna).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_open_one_link_at_the_same_time_one_comes_in(store: Store, token: str) -> None:
    people = [User.objects.create_user(f"p{i}@shop.example", PASSWORD) for i in range(4)]
    start, outcomes = threading.Barrier(len(people)), []

    def open_link(user: User) -> None:
        start.wait(timeout=10)
        try:
            invitation_accept(token=token, user=user)
            outcomes.append("in")
        except InvitationRefused as error:
            outcomes.append(error.state.value)
        finally:
            connection.close()

    threads = [threading.Thread(target=open_link, args=(user,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == ["in", "used", "used", "used"]
    assert Member.objects.filter(store=store, user__in=people).count() == 1


def test_a_member_already_is_refused_by_the_service_too(
    store: Store, token: str, owner: User
) -> None:
    with pytest.raises(AlreadyMember):
        invitation_accept(token=token, user=owner)
    assert Member.objects.get(store=store, user=owner).role == "owner"
