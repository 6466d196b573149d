"""Erasing a shopper, and everything held about one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.test import Client
from django.utils import timezone

from analytics.models import AttributedLine, DailyRollup, Participant, ShopperDay
from analytics.services.insights_rollups import insights_rebuild, insights_refresh
from analytics.services.participants import experiment_refresh
from analytics.services.rollups import rollups_refresh
from analytics.services.snapshots import snapshot_refresh
from catalog.contract.events import ANONYMOUS
from catalog.models import (
    AuditEntry,
    Erasure,
    Event,
    EventType,
    Member,
    QuarantinedEvent,
    Shopper,
    ShopperLink,
    Store,
    User,
)
from recommender.models import Experiment, Exposure, Impression
from recommender.selectors.shopper_held import shopper_export
from recommender.services.erasure import Erased, EraseRefused, erasure_digest, shopper_erase
from recommender.stores.client import StoreUnavailable, Valkey
from recommender.stores.keys import session_key
from tests.conftest import MemberClient
from tests.experiment_worlds import START, ShopOfTests, make_shop
from tests.factories import make_event
from tests.walk import everything, rows_of

HOUR = timedelta(hours=1)


def fill(store: Store) -> ShopOfTests:
    """Anna and Bert: each was shown something in a test, clicked it and bought it."""
    shop = make_shop(store)
    for name, variant in (("anna", shop.control), ("bert", shop.other)):
        shown = shop.expose(name, variant, shown=shop.products[:2], session_id=f"s-{name}")
        shopper = shop.shopper(name)
        Shopper.objects.filter(pk=shopper.pk).update(profile={"likes": "tea"})
        made: dict[str, Any] = {"product": shop.products[0], "recommendation_id": shown}
        make_event(store, shopper, type=EventType.VIEW_ITEM, at=START - 48 * HOUR)
        make_event(store, shopper, type=EventType.RECOMMENDATION_CLICK, at=START + HOUR, **made)
        make_event(
            store,
            shopper,
            shop.products[0],
            type=EventType.PURCHASE,
            at=START + 24 * HOUR,
            order_id=f"order-{name}",
            value_minor=1_000,
        )
        QuarantinedEvent.objects.create(
            store=store, code="bad", message="No.", payload={"anonymousId": name, "type": "?"}
        )
    return shop


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    return fill(store)


def erase(shop: ShopOfTests, name: str = "anna", **asked: Any) -> Erased:
    erased = shopper_erase(store=shop.store, external_id=name, **asked)
    assert erased is not None
    return erased


def link(shop: ShopOfTests, guest: str, customer: str) -> None:
    ShopperLink.objects.create(
        store=shop.store,
        shopper=shop.shopper(guest),
        customer=shop.shopper(customer),
        linked_by=ShopperLink.LinkedBy.API,
    )


def test_nothing_names_the_shopper_any_more_and_everybody_else_is_untouched(
    shop: ShopOfTests, other_store: Store, valkey_server: redis.Redis
) -> None:
    theirs = fill(other_store)
    before = rows_of(other_store)
    for store in (shop.store, other_store):
        valkey_server.rpush(session_key(store.pk, "anna"), b"x")
    pk = shop.shopper("anna").pk
    erased = erase(shop)
    assert erased == Erased(
        dry_run=False,
        n_events=3,
        n_impressions=1,
        n_exposures=1,
        n_links=0,
        n_refused=1,
        had_profile=True,
        linked=(),
        sessions_forgotten=True,
    )
    store = shop.store
    assert not Shopper.objects.filter(store=store, external_id="anna").exists()
    assert not Event.objects.filter(store=store, shopper_id=pk).exists()
    assert not Exposure.objects.filter(store=store, shopper_external_id="anna").exists()
    assert QuarantinedEvent.objects.get(store=store).payload["anonymousId"] == "bert"
    kept = Impression.objects.get(store=store, shopper_external_id=None)
    assert (kept.session_id, kept.context, len(kept.product_ids)) == (None, None, 2)
    assert Event.objects.filter(store=store).count() == 3
    assert Exposure.objects.get(store=store).shopper_external_id == "bert"
    assert not valkey_server.exists(session_key(store.pk, "anna"))
    assert rows_of(other_store) == before
    assert valkey_server.exists(session_key(other_store.pk, "anna"))
    assert shopper_erase(store=store, external_id="anna") is None
    assert shopper_erase(store=theirs.store, external_id="nobody") is None


def test_a_dry_run_counts_the_same_and_changes_nothing(shop: ShopOfTests) -> None:
    link(shop, "anna", "bert")
    link(shop, "phone", "bert")
    before = everything()
    counted = erase(shop, dry_run=True)
    assert everything() == before
    assert counted.dry_run
    assert set(counted.linked) == {"bert", "phone"}
    done = erase(shop)
    assert done.n_links == counted.n_links == 1
    for name in ("n_events", "n_impressions", "n_exposures", "n_refused", "linked", "had_profile"):
        assert getattr(done, name) == getattr(counted, name)


def test_erasing_a_customer_leaves_the_guests_as_they_were(shop: ShopOfTests) -> None:
    link(shop, "bert", "anna")
    erase(shop)
    assert not ShopperLink.objects.filter(store=shop.store).exists()
    assert Event.objects.filter(store=shop.store, shopper=shop.shopper("bert")).count() == 3


def test_the_log_says_that_somebody_was_erased_and_by_whom_but_not_the_id(
    shop: ShopOfTests, owner: User
) -> None:
    erase(shop, member=owner)
    entry = AuditEntry.objects.get(store=shop.store, action="shopper.erase")
    assert entry.actor == owner
    assert entry.before is not None
    assert entry.before["events"] == 3
    assert entry.subject_key == erasure_digest(store=shop.store, external_id="anna")
    assert "anna" not in json.dumps([entry.subject, entry.subject_key, entry.before, entry.after])
    erasure = Erasure.objects.get(store=shop.store)
    assert erasure.member == owner
    assert erasure.days == [(START + each * HOUR).date() for each in (-48, 0, 24)]


def test_a_new_event_makes_a_new_shopper(shop: ShopOfTests) -> None:
    old = shop.shopper("anna").pk
    erase(shop)
    new = shop.shopper("anna")
    assert new.pk != old
    assert new.profile == {}
    assert not Event.objects.filter(store=shop.store, shopper=new).exists()


def test_everybody_who_denied_consent_is_nobody_in_particular(shop: ShopOfTests) -> None:
    shop.shopper(ANONYMOUS)
    with pytest.raises(EraseRefused):
        shopper_erase(store=shop.store, external_id=ANONYMOUS)
    assert Shopper.objects.filter(store=shop.store, external_id=ANONYMOUS).exists()


def test_what_was_only_shown_is_erased_and_what_is_written_later_at_the_next_call(
    shop: ShopOfTests,
) -> None:
    shop.expose("carl", shown=shop.products[:1])
    assert erase(shop, "carl").n_impressions == 1
    shop.show("carl", at=START + HOUR, shown=shop.products[:1])
    assert erase(shop, "carl").n_impressions == 1
    assert shopper_erase(store=shop.store, external_id="carl") is None


def test_without_valkey_it_is_erased_and_says_what_is_left(
    shop: ShopOfTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Valkey, commands: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(Valkey, "pipeline", away)
    assert not erase(shop).sessions_forgotten
    assert not Shopper.objects.filter(store=shop.store, external_id="anna").exists()


def test_rollups_and_insights_follow_at_the_next_refresh(shop: ShopOfTests) -> None:
    store, pk = shop.store, shop.shopper("anna").pk
    bought_on = (START + 24 * HOUR).date()
    rollups_refresh(store=store, now=timezone.now())
    insights_refresh(store=store, now=timezone.now())
    assert DailyRollup.objects.get(store=store, day=bought_on).revenue_minor == 2_000
    assert AttributedLine.objects.filter(store=store).count() == 2
    # Long ago: no watermark looks back as far as those days.
    Event.objects.filter(store=store).update(received_at=START)
    erase(shop)
    rollups_refresh(store=store, now=timezone.now())
    insights_refresh(store=store, now=timezone.now())
    day = DailyRollup.objects.get(store=store, day=bought_on)
    assert (day.revenue_minor, day.n_orders, day.n_shoppers) == (1_000, 1, 1)
    assert not ShopperDay.objects.filter(store=store, shopper_id=pk).exists()
    left = list(AttributedLine.objects.filter(store=store).values())
    assert [line["order_key"] for line in left] == ["order-bert"]
    insights_rebuild(store=store, now=timezone.now())
    assert list(AttributedLine.objects.filter(store=store).values()) == left


def test_an_experiment_goes_on_without_the_shopper(shop: ShopOfTests) -> None:
    now = timezone.now()
    first = snapshot_refresh(experiment=shop.experiment, now=now).results
    assert first is not None
    assert set(Participant.objects.values_list("person", flat=True)) == {"anna", "bert"}
    erase(shop)
    second = snapshot_refresh(experiment=shop.experiment, now=timezone.now()).results
    assert second is not None
    assert Participant.objects.get().person == "bert"
    assert [arm.n_shoppers for arm in first.arms] == [1, 1]
    assert [arm.n_shoppers for arm in second.arms] == [0, 1]


def test_a_customer_of_an_experiment_loses_what_an_erased_guest_did(shop: ShopOfTests) -> None:
    link(shop, "anna", "bert")
    experiment_refresh(experiment=shop.experiment, now=timezone.now())
    assert bought(shop) == {"bert": 2}
    Exposure.objects.filter(shopper_external_id="anna").delete()
    experiment_refresh(experiment=shop.experiment, now=timezone.now())
    assert bought(shop) == {"bert": 2}
    erase(shop)
    experiment_refresh(experiment=shop.experiment, now=timezone.now())
    assert bought(shop) == {"bert": 1}


def bought(shop: ShopOfTests) -> dict[str, int]:
    return {
        each.person: sum(
            day.n_orders for day in shop.experiment.participant_days.filter(person=each.person)
        )
        for each in Participant.objects.filter(experiment=shop.experiment)
    }


def test_an_experiment_that_is_long_over_forgets_the_shopper_too(shop: ShopOfTests) -> None:
    Experiment.objects.filter(pk=shop.experiment.pk).update(
        state=Experiment.State.STOPPED, stopped_at=START + timedelta(days=3)
    )
    shop.experiment.refresh_from_db()
    assert snapshot_refresh(experiment=shop.experiment, now=timezone.now()).refreshed is not None
    assert snapshot_refresh(experiment=shop.experiment, now=timezone.now()).refreshed is None
    erase(shop)
    snapshot_refresh(experiment=shop.experiment, now=timezone.now())
    assert Participant.objects.get().person == "bert"


# ------------------------------------------------------------------------------- export, API, console


def exported(store: Store, name: str) -> dict[str, Any]:
    pieces = shopper_export(store=store, external_id=name)
    assert pieces is not None
    document: dict[str, Any] = json.loads(b"".join(pieces))
    return document


def test_the_export_has_everything_about_the_shopper_and_nothing_of_anybody_else(
    shop: ShopOfTests, other_store: Store
) -> None:
    fill(other_store)
    link(shop, "phone", "anna")
    document = exported(shop.store, "anna")
    assert document["shopper_id"] == "anna"
    assert document["profile"] == {"likes": "tea"}
    assert document["linked"] == ["phone"]
    assert [each["type"] for each in document["events"]] == [
        "view_item",
        "recommendation_click",
        "purchase",
    ]
    assert document["events"][-1]["order_id"] == "order-anna"
    assert [each["session_id"] for each in document["impressions"]] == ["s-anna"]
    assert len(document["exposures"]) == len(document["refused_events"]) == 1
    assert [each["shopper_id"] for each in document["links"]] == ["phone"]
    assert "bert" not in json.dumps(document)
    erase(shop)
    assert shopper_export(store=shop.store, external_id="anna") is None


def called(client: Client, method: str, path: str, key: str) -> Any:
    return client.generic(method, path, headers={"Authorization": f"Bearer {key}"})


def test_the_api_erases_with_a_secret_key_and_counts_first(
    client: Client, shop: ShopOfTests, secret_key: str, publishable_key: str, other_store: Store
) -> None:
    fill(other_store)
    where = "/v1/shoppers/anna"
    assert called(client, "DELETE", where, publishable_key).status_code == 403
    assert called(client, "DELETE", f"{where}?dry_run=perhaps", secret_key).status_code == 400
    counted = called(client, "DELETE", f"{where}?dry_run=true", secret_key).json()
    assert (counted["dry_run"], counted["events"], counted["session_forgotten"]) == (True, 3, False)
    done = called(client, "DELETE", where, secret_key)
    assert done.status_code == 200
    assert done.json() == {**counted, "dry_run": False, "session_forgotten": True}
    assert called(client, "DELETE", where, secret_key).status_code == 404
    assert called(client, "DELETE", f"/v1/shoppers/{ANONYMOUS}", secret_key).status_code == 400
    assert Event.objects.filter(store=other_store).count() == 6


@pytest.mark.parametrize("name", ["a/b", "ünï %2F?#", "x" * 128])
def test_the_api_exports_and_erases_whatever_the_id_is(
    client: Client, shop: ShopOfTests, secret_key: str, publishable_key: str, name: str
) -> None:
    make_event(shop.store, shop.shopper(name), at=datetime(2026, 3, 3, tzinfo=UTC))
    where = f"/v1/shoppers/{quote(name, safe='')}"
    answer = called(client, "GET", f"{where}/export", secret_key)
    assert answer.status_code == 200
    assert json.loads(answer.getvalue())["shopper_id"] == name
    assert called(client, "GET", f"{where}/export", publishable_key).status_code == 403
    assert called(client, "DELETE", where, secret_key).json()["events"] == 1
    assert called(client, "GET", f"{where}/export", secret_key).status_code == 404


def test_an_owner_sees_what_erasing_touches_and_then_erases(
    shop: ShopOfTests, member_client: MemberClient
) -> None:
    owner = member_client(shop.store, Member.Role.OWNER)
    link(shop, "anna", "bert")
    anna = shop.shopper("anna")
    base = f"/console/{shop.store.slug}/shoppers/{anna.pk}/"
    assert "Erase…" in owner.get(base).content.decode()
    assert json.loads(owner.get(f"{base}export/").getvalue())["shopper_id"] == "anna"
    page = owner.get(f"{base}erase/").content.decode()
    assert "Erase for good" in page
    assert f"shoppers/{shop.shopper('bert').pk}/" in page
    assert Shopper.objects.filter(pk=anna.pk).exists()
    assert owner.post(f"{base}erase/").status_code == 302
    assert not Shopper.objects.filter(pk=anna.pk).exists()
    assert owner.get(base).status_code == 404


@pytest.mark.parametrize("role", [Member.Role.MERCHANT, Member.Role.VIEWER])
def test_whoever_is_no_owner_neither_exports_nor_erases(
    shop: ShopOfTests, member_client: MemberClient, role: str
) -> None:
    member = member_client(shop.store, role)
    anna = shop.shopper("anna")
    base = f"/console/{shop.store.slug}/shoppers/{anna.pk}/"
    assert "Erase…" not in member.get(base).content.decode()
    assert member.get(f"{base}export/").status_code == 403
    assert member.get(f"{base}erase/").status_code == 403
    assert member.post(f"{base}erase/").status_code == 403
    assert Shopper.objects.filter(pk=anna.pk).exists()
