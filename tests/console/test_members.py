"""The people of a store: roles, removals, and the last owner."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client

from catalog.models import AuditEntry, Invitation, Member, Store, User
from catalog.services.invitations import invitation_create
from catalog.services.members import LastOwner, member_remove, member_role_change
from tests.conftest import MemberClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(store: Store, owner: User) -> Client:
    """The browser of the store's only owner."""
    browser = Client()
    browser.force_login(owner)
    return browser


@pytest.fixture
def anna(store: Store) -> Member:
    user = User.objects.create_user("anna@shop.example", "a-long-password", name="Anna")
    return Member.objects.create(store=store, user=user, role=Member.Role.MERCHANT)


def member_of(store: Store, user: User) -> Member:
    return Member.objects.get(store=store, user=user)


def roles(store: Store) -> dict[str, str]:
    return dict(Member.objects.filter(store=store).values_list("user__email", "role"))


def test_everybody_sees_who_is_in_and_as_what_and_only_an_owner_can_change_it(
    store: Store, client: Client, anna: Member, member_client: MemberClient
) -> None:
    page = client.get("/console/corner/members/").content.decode()
    assert "2 members" in page
    assert "anna@shop.example" in page
    assert f"/console/corner/members/{anna.pk}/" in page
    seen = member_client(store, Member.Role.VIEWER).get("/console/corner/members/")
    assert "anna@shop.example" in seen.content.decode()
    assert f"/console/corner/members/{anna.pk}/" not in seen.content.decode()
    assert "Invite somebody" not in seen.content.decode()


def test_another_role_counts_from_the_next_click_on(
    store: Store, client: Client, anna: Member
) -> None:
    hers = Client()
    hers.force_login(anna.user)
    address = "/console/corner/models/weights/save/"
    assert hers.post(address, {"restore": "1"}).status_code == 302
    answer = client.post(f"/console/corner/members/{anna.pk}/role/", {"role": "viewer"})
    assert answer.status_code == 302
    assert hers.post(address, {"restore": "1"}).status_code == 403
    entry = AuditEntry.objects.get(store=store, action="member.role")
    assert (entry.actor_email, entry.subject) == ("owner@shop.example", "anna@shop.example")
    assert (entry.before, entry.after) == ({"role": "merchant"}, {"role": "viewer"})


def test_a_member_who_is_removed_sees_nothing_any_more_and_keeps_the_account(
    store: Store, client: Client, anna: Member
) -> None:
    hers = Client()
    hers.force_login(anna.user)
    assert hers.get("/console/corner/overview/").status_code == 200
    page = client.post(f"/console/corner/members/{anna.pk}/remove/", follow=True)
    assert "anna@shop.example is no member of Corner shop any more." in page.content.decode()
    assert hers.get("/console/corner/overview/").status_code == 404
    assert User.objects.filter(email="anna@shop.example", is_active=True).exists()
    entry = AuditEntry.objects.get(store=store, action="member.remove")
    assert entry.before is not None
    assert entry.before["role"] == "merchant"


def test_the_page_of_a_member_says_what_removing_touches(
    store: Store, client: Client, anna: Member
) -> None:
    invitation_create(store=store, role="viewer", note="", actor=anna.user)
    page = client.get(f"/console/corner/members/{anna.pk}/").content.decode()
    assert "1 open invitation that they made is revoked." in page
    assert "Keys that they have seen go on working" in page


@pytest.mark.parametrize("way", ["role", "remove"])
def test_the_last_owner_stays(store: Store, client: Client, owner: User, way: str) -> None:
    member = member_of(store, owner)
    answer = client.post(f"/console/corner/members/{member.pk}/{way}/", {"role": "viewer"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "owner@shop.example is the only owner of Corner shop." in page
    assert "Make somebody else an owner first." in page
    assert roles(store) == {"owner@shop.example": "owner"}
    assert not AuditEntry.objects.filter(action__startswith="member.").exists()


def test_an_owner_of_another_store_is_no_owner_here(
    store: Store, other_store: Store, owner: User
) -> None:
    """A person may own one store and be the only owner of another."""
    other = Member.objects.create(store=other_store, user=owner, role=Member.Role.OWNER)
    assert other.store != store
    with pytest.raises(LastOwner):
        member_remove(store=store, member_id=member_of(store, owner).pk, actor=owner)


def test_an_owner_who_leaves_is_led_to_the_other_stores(
    store: Store, other_store: Store, client: Client, owner: User, anna: Member
) -> None:
    member_role_change(store=store, member_id=anna.pk, role="owner", actor=owner)
    member = member_of(store, owner)
    answer = client.post(f"/console/corner/members/{member.pk}/remove/")
    assert answer.headers["Location"] == "/console/"
    assert roles(store) == {"anna@shop.example": "owner"}


@pytest.mark.parametrize("way", ["role", "remove"])
def test_invitations_of_an_owner_who_is_none_any_more_let_nobody_in(
    store: Store, client: Client, owner: User, anna: Member, way: str
) -> None:
    """A link kept in a drawer would lead back in."""
    member_role_change(store=store, member_id=anna.pk, role="owner", actor=owner)
    kept, _ = invitation_create(store=store, role="owner", note="drawer", actor=anna.user)
    mine, _ = invitation_create(store=store, role="viewer", note="mine", actor=owner)
    client.post(f"/console/corner/members/{anna.pk}/{way}/", {"role": "viewer"})
    kept.refresh_from_db()
    mine.refresh_from_db()
    assert kept.revoked_at is not None
    assert mine.revoked_at is None
    entry = AuditEntry.objects.filter(store=store, action=f"member.{way}").latest("pk")
    assert entry.after == {"invitations revoked": 1} | ({"role": "viewer"} if way == "role" else {})


def test_a_role_that_does_not_exist_is_refused(client: Client, store: Store, anna: Member) -> None:
    answer = client.post(f"/console/corner/members/{anna.pk}/role/", {"role": "emperor"})
    assert answer.status_code == 422
    assert roles(store)["anna@shop.example"] == "merchant"


def test_the_same_role_again_is_no_entry_in_the_log(
    store: Store, owner: User, anna: Member
) -> None:
    member_role_change(store=store, member_id=anna.pk, role="merchant", actor=owner)
    assert not AuditEntry.objects.filter(action="member.role").exists()


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_depose_each_other_at_the_same_time_leave_one(
    store: Store, owner: User
) -> None:
    other = Member.objects.create(
        store=store,
        user=User.objects.create_user("second@shop.example", "a-long-password"),
        role=Member.Role.OWNER,
    )
    pairs = [(owner, other.pk), (other.user, member_of(store, owner).pk)]
    start, refused = threading.Barrier(2), []

    def depose(actor: User, member_id: int) -> None:
        start.wait(timeout=10)
        try:
            member_remove(store=store, member_id=member_id, actor=actor)
        except LastOwner:
            refused.append(actor.email)
        finally:
            connection.close()

    threads = [threading.Thread(target=depose, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(refused) == 1
    assert list(roles(store).values()) == ["owner"]


# ---------------------------------------------------------------------------------- invitations


def test_the_link_of_an_invitation_is_shown_once_and_only_its_digest_is_kept(
    store: Store, client: Client
) -> None:
    answer = client.post(
        "/console/corner/members/invite/", {"role": "merchant", "note": "Anna, warehouse"}
    )
    assert answer.headers["Cache-Control"] == "no-store"
    page = answer.content.decode()
    link = page.split("<code>")[1].split("</code>")[0]
    assert link.startswith("http://testserver/invitations/")
    token = link.rstrip("/").rpartition("/")[2]
    assert len(token) >= 43
    invitation = Invitation.objects.get(store=store)
    assert token not in str(invitation.__dict__)
    assert len(invitation.token_digest) == 64
    again = client.get("/console/corner/members/").content.decode()
    assert "Anna, warehouse" in again
    assert token not in again
    assert token not in str(list(AuditEntry.objects.values()))
    assert (invitation.expires_at - invitation.created_at).days == 7


def test_an_invitation_that_makes_no_sense_is_refused_and_keeps_what_was_typed(
    store: Store, client: Client
) -> None:
    answer = client.post("/console/corner/members/invite/", {"role": "", "note": "Anna"})
    assert answer.status_code == 422
    assert 'value="Anna"' in answer.content.decode()
    too_long = client.post("/console/corner/members/invite/", {"role": "viewer", "note": "x" * 121})
    assert too_long.status_code == 422
    assert not Invitation.objects.exists()


def test_a_revoked_invitation_leaves_the_list_and_revoking_twice_is_one_entry(
    store: Store, client: Client, owner: User
) -> None:
    invitation, _ = invitation_create(store=store, role="viewer", note="Beatrix", actor=owner)
    address = f"/console/corner/members/invitations/{invitation.pk}/revoke/"
    for _ in range(2):
        page = client.post(address, follow=True).content.decode()
        assert "Its link lets nobody in any more." in page
    assert "Beatrix" not in client.get("/console/corner/members/").content.decode()
    assert AuditEntry.objects.filter(action="invitation.revoke").count() == 1
