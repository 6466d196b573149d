"""The audit log: everything that a member changes is in it, and nothing in it changes."""

from __future__ import annotations

import csv
import doctest
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog import spreadsheet
from catalog.console import audit_words
from catalog.console.audit_words import MAX_CHANGES, changes_between
from catalog.models import ApiKey, AuditEntry, Member, QuarantinedEvent, Store, User
from catalog.services.audit import audit_record
from catalog.services.stores import store_create
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import Run
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.walk import words_of

pytestmark = pytest.mark.django_db

LOG = "/console/corner/audit/"


@pytest.fixture
def client(store: Store, owner: User) -> Client:
    browser = Client()
    browser.force_login(owner)
    return browser


def record(store: Store, actor: User | None, action: str = "placement.edit", **fields: Any) -> Any:
    return audit_record(
        store=store, actor=actor, action=action, **{"subject": "Home: for you", **fields}
    )


def backdate(entry: AuditEntry, **ago: float) -> None:
    """Entries don't change: one of another day is written as one."""
    AuditEntry.objects.create(
        store=entry.store,
        actor=entry.actor,
        actor_email=entry.actor_email,
        action=entry.action,
        subject=f"{entry.subject} (old)",
        at=timezone.now() - timedelta(**ago),
    )


# ------------------------------------------------------------------------------ in the database


def test_an_entry_can_not_be_changed(store: Store, owner: User) -> None:
    entry = record(store, owner, before={"name": "a"}, after={"name": "b"})
    for change in (
        {"after": {"name": "c"}},
        {"actor_email": "somebody@else.example"},
        {"at": timezone.now() - timedelta(days=1)},
        {"subject": "Something else"},
        {"actor": None, "action": "placement.pause"},
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditEntry.objects.filter(pk=entry.pk).update(**change)
    other = User.objects.create_user("other@shop.example", "a-long-password")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(actor=other)
    entry.refresh_from_db()
    assert (entry.after, entry.actor) == ({"name": "b"}, owner)


@pytest.mark.django_db(transaction=True)
def test_an_entry_can_not_be_deleted_while_its_store_is_there(store: Store, owner: User) -> None:
    entry = record(store, owner)
    with pytest.raises(DatabaseError, match="goes with its store only"):
        AuditEntry.objects.filter(pk=entry.pk).delete()
    with (
        pytest.raises(DatabaseError, match="goes with its store only"),
        connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM catalog_auditentry")
    assert AuditEntry.objects.filter(pk=entry.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_entries_go_with_their_store_and_those_of_others_stay(owner: User) -> None:
    gone = store_create(name="Gone", slug="gone", owner=owner)
    stays = store_create(name="Stays", slug="stays", owner=owner)
    n_staying = AuditEntry.objects.filter(store=stays).count()
    assert n_staying
    gone.delete()
    assert AuditEntry.objects.count() == n_staying


@pytest.mark.django_db(transaction=True)
def test_an_account_that_goes_leaves_its_address_in_the_log(store: Store) -> None:
    user = User.objects.create_user("gone@shop.example", "a-long-password")
    entry = record(store, user)
    user.delete()
    entry.refresh_from_db()
    assert (entry.actor, entry.actor_email) == (None, "gone@shop.example")


# ------------------------------------------------------------------------------ what is recorded


def actions(store: Store) -> list[str]:
    entries = AuditEntry.objects.filter(store=store, actor_email="owner@shop.example")
    return list(entries.order_by("pk").values_list("action", flat=True))


def test_every_change_of_a_member_is_written_down(shop: Shop, client: Client) -> None:
    base, before = "/console/corner", actions(shop.store)
    assert before == ["store.create", "key.create"]
    client.post(f"{base}/settings/keys/", {"kind": "sk", "name": "Warehouse"})
    key = ApiKey.objects.get(store=shop.store, name="Warehouse")
    client.post(f"{base}/settings/keys/{key.pk}/revoke/")
    client.post(f"{base}/models/weights/save/", {**dict.fromkeys(EVENT_WEIGHTS, "0.7")})
    client.post(f"{base}/models/weights/save/", {"restore": "1"})
    client.post(f"{base}/models/retrain/", {"family": "content"})
    client.post(f"{base}/models/{shop.held.pk}/discard/")
    client.post(f"{base}/shoppers/{shop.shoppers[1].pk}/unlink/")
    client.post(f"{base}/shoppers/{shop.shoppers[1].pk}/link/", {"customer_id": "c-1"})
    QuarantinedEvent.objects.create(store=shop.store, code="unknown_type", message="", payload={})
    client.post(f"{base}/events/replay/")
    assert actions(shop.store)[2:] == [
        "key.create",
        "key.revoke",
        "event_weights.save",
        "event_weights.save",
        "model.retrain",
        "model.discard",
        "shopper.unlink",
        "shopper.link",
        "quarantine.replay",
    ]
    entries = {entry.action: entry for entry in AuditEntry.objects.order_by("pk")}
    assert entries["key.revoke"].subject == "Warehouse"
    assert entries["model.discard"].before == {"state": Run.State.HELD.label}
    assert entries["model.discard"].after == {"state": Run.State.REJECTED.label}
    assert entries["quarantine.replay"].before == {"waiting": 1}
    assert entries["shopper.link"].after == {"customer": "c-1"}
    weights = AuditEntry.objects.filter(action="event_weights.save").earliest("pk")
    assert weights.before == EVENT_WEIGHTS
    assert weights.after == dict.fromkeys(EVENT_WEIGHTS, 0.7)


def test_what_was_refused_is_not_written_down(shop: Shop, client: Client) -> None:
    base, before = "/console/corner", actions(shop.store)
    client.post(f"{base}/settings/keys/", {"kind": "pk", "name": "A", "origins": "not an origin"})
    client.post(f"{base}/models/weights/save/", dict.fromkeys(EVENT_WEIGHTS, "99"))
    client.post(f"{base}/models/{shop.serving.pk}/confirm/")
    client.post(f"{base}/models/retrain/", {"family": "popularity"})
    client.post(f"{base}/shoppers/{shop.shoppers[0].pk}/link/", {"customer_id": ""})
    assert actions(shop.store) == before


def test_no_secret_is_in_the_log(store: Store, client: Client, secret_key: str) -> None:
    client.post("/console/corner/settings/keys/", {"kind": "sk", "name": "Back office"})
    whole = str(list(AuditEntry.objects.values()))
    for key in ApiKey.objects.filter(kind="sk"):
        assert bytes(key.digest).hex() not in whole
    assert secret_key not in whole


# -------------------------------------------------------------------------------------- the page


def test_the_newest_stands_first_with_what_was_before_and_after(
    store: Store, owner: User, client: Client
) -> None:
    record(store, owner, after={"n_products": 8}, subject="First")
    record(store, owner, before={"n_products": 8}, after={"n_products": 12}, subject="Second")
    page = client.get(LOG).content.decode()
    assert page.index("Second") < page.index("First")
    assert "Placement: changed" in page
    second = page[page.index("Second") : page.index("First")]
    assert "n products" in second
    assert "was </span>8</del>" in second
    assert "now </span>12</ins>" in second


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("merchant", 200),
                                              ("marketer", 403), ("viewer", 403)])  # fmt: skip
def test_owners_and_merchants_read_it(
    store: Store, member_client: MemberClient, role: str, status: int
) -> None:
    reader = member_client(store, role)
    assert reader.get(LOG).status_code == status
    assert reader.get(f"{LOG}export/").status_code == status


def test_it_can_be_narrowed_by_member_family_and_period(
    store: Store, owner: User, other_owner: User, client: Client
) -> None:
    entry = record(store, owner, subject="Mine")
    record(store, other_owner, subject="Hers")
    record(store, None, action="campaign.pause", subject="By itself")
    backdate(entry, days=40)

    def found(query: str) -> set[str]:
        page = client.get(f"{LOG}?{query}", headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in page
        return {s for s in ("Mine (old)", "Mine<", "Hers", "By itself") if s in page}

    assert found("") == {"Mine<", "Hers", "By itself"}
    assert found("period=all") == {"Mine<", "Hers", "By itself", "Mine (old)"}
    assert found("who=owner@shop.example&period=all&family=placement") == {"Mine<", "Mine (old)"}
    assert found("who=vitrine") == {"By itself"}
    assert found("family=campaign") == {"By itself"}
    assert found("family=camp") == set()
    assert client.get(f"{LOG}?period=century").status_code == 404
    assert client.get(f"{LOG}?who=%00").status_code == 404


def test_nothing_of_another_store_is_in_it(
    store: Store, other_store: Store, other_owner: User, client: Client
) -> None:
    record(other_store, other_owner, action="secret_plan.make", subject="Their secret plan")
    page = client.get(f"{LOG}?period=all").content.decode()
    export = words_of(client.get(f"{LOG}export/?period=all"))  # type: ignore[arg-type]
    for text in (page, export):
        assert "Their secret plan" not in text
        assert other_owner.email not in text
        assert "ecret plan" not in text


def test_many_entries_come_in_pages_at_the_same_cost(
    store: Store, owner: User, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(120):
        record(store, owner, subject=f"Change {number}")
    with django_assert_max_num_queries(9):
        first = client.get(LOG).content.decode()
    assert "Change 119" in first
    assert "of 122 entries" in first
    last = client.get(f"{LOG}?page=3").content.decode()
    assert "Change 0<" in last
    assert "Change 119" not in last


def test_an_empty_log_says_what_to_do(store: Store, client: Client) -> None:
    page = client.get(f"{LOG}?family=nothing").content.decode()
    assert "No entry fits" in page
    assert "Look at all time, everybody" in page


def test_what_members_typed_is_text_on_the_page(store: Store, owner: User, client: Client) -> None:
    record(store, owner, subject="<script>alert(1)</script>", after={"<b>": "<i>"})
    page = client.get(LOG).content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>" not in page


# ------------------------------------------------------------------------------------ the export


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1"])
def test_a_cell_of_the_export_is_never_a_formula(
    store: Store, owner: User, client: Client, evil: str
) -> None:
    record(store, owner, subject=evil, subject_key=evil, before=evil, after={evil: evil})
    answer = client.get(f"{LOG}export/")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="corner-audit-')
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = words_of(answer)  # type: ignore[arg-type]
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert rows[0][:3] == ["time (UTC)", "member", "action"]
    assert rows[1][3:5] == [f"'{evil}", f"'{evil}"]
    for row in rows:
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝")), cell


def test_the_export_has_all_pages_of_what_was_asked_for(
    store: Store, owner: User, client: Client
) -> None:
    for number in range(60):
        record(store, owner, subject=f"Change {number}")
    page = client.get(f"{LOG}?family=placement").content.decode()
    link = page.split('href="/console/corner/audit/export/')[1].split('"')[0]
    answer = client.get(f"/console/corner/audit/export/{link.replace('&amp;', '&')}")
    lines = words_of(answer).strip().split("\r\n")  # type: ignore[arg-type]
    assert len(lines) == 61


# --------------------------------------------------------------------------------- the small diff


@pytest.mark.parametrize("module", [audit_words, spreadsheet])
def test_the_examples_of_the_pure_parts_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_list_of_named_things_is_compared_by_name() -> None:
    before = {
        "sources": [{"source": "trending", "weight": 0.3}, {"source": "for_you", "weight": 1}]
    }
    after = {"sources": [{"source": "for_you", "weight": 1}, {"source": "trending", "weight": 0.5}]}
    (change,) = changes_between(before, after)
    assert (change.path, change.before, change.after) == (
        "sources › trending › weight",
        "0.3",
        "0.5",
    )


def test_yes_no_nothing_and_lists_are_said_in_words() -> None:
    before = {"paused": True, "tags": ["a"], "note": "x"}
    after = {"paused": False, "tags": ["a", "b"], "note": ""}
    assert [(c.before, c.after) for c in changes_between(before, after)] == [
        ("yes", "no"),
        ("a", "a, b"),
        ("x", "–"),
    ]


def test_single_values_and_nothing_at_all_are_compared_too() -> None:
    assert changes_between(None, None) == []
    (change,) = changes_between("a", "b")
    assert (change.path, change.before, change.after) == ("", "a", "b")


def test_a_huge_change_is_cut_and_says_so(store: Store, owner: User, client: Client) -> None:
    record(store, owner, after={f"field {i}": i for i in range(MAX_CHANGES + 5)})
    assert "and 5 more; the export has them all" in client.get(LOG).content.decode()


def test_a_member_of_the_log_is_found_after_leaving(
    store: Store, owner: User, client: Client
) -> None:
    user = User.objects.create_user("left@shop.example", "a-long-password")
    record(store, user, subject="Before leaving")
    assert not Member.objects.filter(store=store, user=user).exists()
    assert "Before leaving" in client.get(f"{LOG}?who=left@shop.example").content.decode()
