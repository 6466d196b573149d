"""Models: retraining, watching, confirming, discarding."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from catalog.models import Member, Store
from recommender.console import models as models_pages
from recommender.console.model_words import measures_of
from recommender.models import Artifact, Run
from recommender.selectors.runs import family_statuses
from tests.conftest import MemberClient
from tests.console.conftest import Shop


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MERCHANT)


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Runs handed to the workers."""
    handed: list[int] = []
    monkeypatch.setattr(models_pages, "run_hand_over", lambda *, run: handed.append(run.pk))
    return handed


def test_retraining_queues_a_run_for_the_workers_and_shows_it(
    shop: Shop,
    client: Client,
    queued: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/console/corner/models/retrain/", {"family": "content"})
    run = Run.objects.get(store=shop.store, family=Run.Family.CONTENT)
    assert answer.headers["Location"] == f"/console/corner/models/{run.pk}/"
    assert queued == [run.pk]
    assert (run.state, run.trigger) == (Run.State.QUEUED, Run.Trigger.MEMBER)
    assert run.requested_by is not None
    assert run.requested_by.email == "merchant-corner@shop.example"
    assert "Waiting for a worker" in client.get(answer.headers["Location"]).content.decode()


def test_a_family_in_training_is_not_started_twice(
    shop: Shop, client: Client, queued: list[int]
) -> None:
    page = client.get("/console/corner/models/").content.decode()
    assert page.count("disabled title=") == 1
    n_runs = Run.objects.count()
    answer = client.post("/console/corner/models/retrain/", {"family": "popularity"}, follow=True)
    assert "a run is active" in answer.content.decode()
    assert (Run.objects.count(), queued) == (n_runs, [])


def test_an_unknown_family_is_not_found(shop: Shop, client: Client) -> None:
    n_runs = Run.objects.count()
    answer = client.post("/console/corner/models/retrain/", {"family": "magic"})
    assert answer.status_code == 404
    assert client.get("/console/corner/models/?family=magic").status_code == 404
    assert Run.objects.count() == n_runs


def test_whoever_only_looks_sees_no_button(shop: Shop, member_client: MemberClient) -> None:
    page = member_client(shop.store, Member.Role.VIEWER).get("/console/corner/models/")
    assert "Retrain now" not in page.content.decode()


def test_an_active_run_polls_and_a_finished_one_does_not(shop: Shop, client: Client) -> None:
    active = client.get(f"/console/corner/models/{shop.active.pk}/").content.decode()
    assert 'hx-trigger="every 1s"' in active
    assert 'aria-valuenow="40"' in active
    assert "Counting" in active
    finished = client.get(f"/console/corner/models/{shop.serving.pk}/").content.decode()
    assert "every 1s" not in finished
    fragment = client.get(
        f"/console/corner/models/{shop.active.pk}/", headers={"HX-Request": "true"}
    )
    assert fragment.content.strip().startswith(b'<div id="run"')


def test_a_finished_run_says_what_it_learned_and_how_good_it_is(shop: Shop, client: Client) -> None:
    page = client.get(f"/console/corner/models/{shop.serving.pk}/").content.decode()
    for words in ("Answers now", "Baskets completed", "25.0 %", "400", "1 min", "v1"):
        assert words in page


def test_a_held_run_can_be_published_after_all(shop: Shop, client: Client) -> None:
    held = f"/console/corner/models/{shop.held.pk}/"
    page = client.get(held).content.decode()
    assert "This run waits for your decision." in page
    answer = client.post(f"{held}confirm/", follow=True)
    assert "serves within seconds" in answer.content.decode()
    shop.held.refresh_from_db()
    shop.serving.artifact.refresh_from_db()
    assert shop.held.state == Run.State.PUBLISHED
    assert shop.held.artifact.serving
    assert not shop.serving.artifact.serving


def test_a_held_run_can_be_discarded_and_what_served_goes_on(shop: Shop, client: Client) -> None:
    client.post(f"/console/corner/models/{shop.held.pk}/discard/")
    shop.held.refresh_from_db()
    shop.serving.artifact.refresh_from_db()
    assert shop.held.state == Run.State.REJECTED
    assert shop.serving.artifact.serving


@pytest.mark.parametrize("action", ["confirm", "discard"])
def test_a_run_that_is_not_held_stays_as_it_is(shop: Shop, client: Client, action: str) -> None:
    address = f"/console/corner/models/{shop.serving.pk}/{action}/"
    assert "The run is published." in client.post(address, follow=True).content.decode()
    shop.serving.refresh_from_db()
    assert shop.serving.state == Run.State.PUBLISHED


def test_runs_are_listed_by_family(shop: Shop, client: Client) -> None:
    page = client.get("/console/corner/models/?family=popularity").content.decode()
    assert f"/models/{shop.active.pk}/" in page
    assert "1–1 of 1 runs" in page


def test_increments_have_a_list_of_their_own(shop: Shop, client: Client) -> None:
    runs = [
        Run.objects.create(
            store=shop.store, family="popularity", trigger=trigger, state=Run.State.PUBLISHED
        )
        for trigger in (Run.Trigger.INCREMENT, Run.Trigger.SCHEDULE)
    ]
    added, full = (f"/models/{run.pk}/" for run in runs)
    for kind, shown in (("", {full}), ("increments", {added}), ("all", {added, full})):
        page = client.get(f"/console/corner/models/?kind={kind}").content.decode()
        assert {address for address in (added, full) if address in page} == shown
    assert client.get("/console/corner/models/?kind=magic").status_code == 404


def test_a_full_training_is_found_behind_any_number_of_increments(shop: Shop) -> None:
    now = timezone.now()
    Run.objects.bulk_create(
        Run(
            store=shop.store,
            family="popularity",
            trigger=Run.Trigger.INCREMENT,
            state=Run.State.PUBLISHED,
            queued_at=now + timedelta(minutes=number),
        )
        for number in range(250)
    )
    statuses = {status.family: status for status in family_statuses(store_id=shop.store.pk)}
    assert statuses["popularity"].active == statuses["popularity"].last == shop.active
    assert statuses["item_similarity"].held == shop.held


def test_the_age_of_each_family_is_said_in_seconds_and_kept_up_to_date(
    shop: Shop, client: Client
) -> None:
    Run.objects.filter(pk=shop.active.pk).update(state=Run.State.PUBLISHED)
    made_at = timezone.now() - timedelta(seconds=75)
    known_until = timezone.now() - timedelta(seconds=130)
    Artifact.objects.filter(pk=shop.serving.artifact.pk).update(
        created_at=made_at,
        manifest={
            **shop.serving.artifact.manifest,
            "increments": 3,
            "marks": {"received_us": int(known_until.timestamp() * 1_000_000)},
        },
    )
    page = client.get("/console/corner/models/").content.decode()
    assert 'hx-get="/console/corner/models/ages/" hx-trigger="every 3s"' in page
    fresh = client.get("/console/corner/models/ages/")
    for words in ("75 s", "3 increments on a full training", "2 min ago"):
        assert words in page
        assert words in fresh.content.decode()
    assert fresh.content.decode().count('hx-swap-oob="true"') == len(
        family_statuses(store_id=shop.store.pk)
    )
    assert "HX-Trigger" not in fresh.headers
    Run.objects.filter(pk=shop.active.pk).update(state=Run.State.RUNNING)
    assert client.get("/console/corner/models/ages/").headers["HX-Trigger"] == "models-changed"


def test_an_increment_that_failed_is_shown_until_one_succeeds(shop: Shop, client: Client) -> None:
    run = Run.objects.create(
        store=shop.store,
        family="content",
        trigger=Run.Trigger.INCREMENT,
        state=Run.State.FAILED,
        message="The disk or the network refused: No space left on device. The log says where.",
    )
    assert "No space left on device" in client.get("/console/corner/models/").content.decode()
    Run.objects.create(
        store=shop.store,
        family="content",
        trigger=Run.Trigger.INCREMENT,
        state=Run.State.PUBLISHED,
    )
    assert f"/models/{run.pk}/" not in client.get("/console/corner/models/").content.decode()


def test_the_headline_comes_first_and_unknown_figures_keep_their_name() -> None:
    measures = measures_of(
        {"n_test_orders": 12.0, "shiny_new_rate": 0.5, "basket_hit_rate_at_20": 0.25},
        headline="basket_hit_rate_at_20",
    )
    assert [(m.label, m.value, m.headline) for m in measures] == [
        ("Baskets completed", "25.0 %", True),
        ("Orders tested", "12", False),
        ("Shiny new rate", "50.0 %", False),
    ]
