"""Models: retraining, watching, confirming, discarding."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from catalog.models import Member, Store
from recommender.console import models as models_pages
from recommender.console.model_words import measures_of
from recommender.models import Run
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
