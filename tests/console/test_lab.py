"""The Lab's pages: asking, watching, cancelling, reading, using."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from catalog.models import Member, Store
from recommender.console import lab as lab_pages
from recommender.models import LabChoice, LabRun, Placement, Run, Strategy
from recommender.services.lab_running import lab_execute
from tests.conftest import MemberClient
from tests.worlds import two_tastes

pytestmark = pytest.mark.django_db

FORM = {"protocol": "basket-completion", "methods": ["bestsellers", "also_viewed"], "minutes": "2"}


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MERCHANT)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Comparisons and trainings handed to the workers."""
    found: list[int] = []
    for name in ("lab_hand_over", "run_hand_over"):
        monkeypatch.setattr(lab_pages, name, lambda *, run: found.append(run.pk))
    return found


def estimate(value: float, half: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def row(key: str, title: str, hit_rate: float, **changes: Any) -> dict[str, Any]:
    return {
        "key": key,
        "title": title,
        "family": "linear",
        "source": None,
        "parameters": {"k": 50},
        "metrics": {
            "hr@20": estimate(hit_rate),
            "diversity@20": estimate(1 - hit_rate),
            "gini@20": estimate(0.9),
        },
        "metrics_without_repeats": {},
        "fit_s": 1.25,
        "peak_mb": 12.0,
        "query_us": {"p50": 81.4, "p99": 200.0},
        "missing": None,
        "n_queries": 2000,
        "tried": 7,
        "auc_of": None,
        **changes,
    }


ROWS = [
    row("svd", "Truncated SVD", 0.5),
    row("for_you", "EASE on shoppers", 0.45, source="for_you"),
    row("bestsellers", "Popularity, decayed", 0.1, source="bestsellers"),
    row("markov", "Markov chain", 0.0, metrics={}, missing="there are no sessions to learn from"),
]
REPORT = {
    "key": "svd",
    "title": "Truncated SVD",
    "n_queries": 1000,
    "shoppers": [
        {"label": "0", "n": 0, "metrics": {}},
        {"label": "1", "n": 400, "metrics": {"hr@20": estimate(0.31)}},
    ],
    "same_shoppers": [{"at_most": 2, "n": 300, "metrics": {"hr@20": estimate(0.22)}}],
    "products": [{"label": "100+", "n": 90, "metrics": {"recall@20": estimate(0.41)}}],
    "fairness": [
        {
            "of": "brands",
            "by_relevance": estimate(0.83),
            "by_catalog": estimate(0.61),
            "groups": [
                {"name": "Leaf", "n_items": 7, "catalog": 0.1, "relevance": 0.2, "exposure": 0.3}
            ],
        }
    ],
}


def comparison(store: Store, **changes: Any) -> LabRun:
    now = timezone.now()
    values: dict[str, Any] = {
        "state": LabRun.State.DONE,
        "settings": {"protocol": "basket-completion", "methods": [], "minutes": 3, "seed": 1},
        "document": {
            "board": {
                "rows": ROWS,
                "n_queries": 2400,
                "n_items": 900,
                "diversity_of": "texts",
            },
            "history": {
                "first_at": "2026-01-01T00:00:00+00:00",
                "cut_at": "2026-10-01T00:00:00+00:00",
                "last_at": "2026-10-29T00:00:00+00:00",
                "n_events": 12345,
                "untuned": "",
            },
            "reports": [REPORT],
        },
        "finished_at": now,
    }
    return LabRun.objects.create(store=store, **values | changes)


def test_a_store_without_a_history_is_told_what_is_missing(client: Client) -> None:
    page = client.get("/console/corner/lab/").content.decode()
    assert "The history is still too short" in page
    assert "Needs 100 orders of three or more products; there is none yet." in page
    assert "Compare</button>" not in page


def test_questions_that_can_be_asked_are_open_and_the_others_say_why(
    store: Store, client: Client
) -> None:
    two_tastes(store, shoppers_per_taste=13)
    page = client.get("/console/corner/lab/").content.decode()
    assert "Needs 50 shoppers with orders on two days; there are 26 shoppers" in page
    assert (
        'value="basket-completion" aria-describedby="lab-basket-completion-words" checked' in page
    )
    assert 'value="svd" checked' in page
    assert 'value="slim">' in page
    assert "Nothing was compared yet" in page


def test_comparing_queues_a_run_for_the_workers_and_shows_it(
    store: Store,
    client: Client,
    handed: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/console/corner/lab/start/", FORM)
    run = LabRun.objects.get(store=store)
    assert answer.headers["Location"] == f"/console/corner/lab/{run.pk}/"
    assert handed == [run.pk]
    assert run.settings == {
        "protocol": "basket-completion",
        "methods": ["bestsellers", "also_viewed"],
        "minutes": 2.0,
        "seed": 1,
    }
    page = client.get(answer.headers["Location"]).content.decode()
    assert "Waiting for its turn" in page
    assert 'hx-trigger="every 1s"' in page
    again = client.post("/console/corner/lab/start/", FORM, follow=True)
    assert "on its way already" in again.content.decode()
    assert LabRun.objects.count() == 1


def test_a_form_that_makes_no_sense_keeps_what_was_typed(
    store: Store, client: Client, handed: list[int]
) -> None:
    two_tastes(store, shoppers_per_taste=13)
    answer = client.post(
        "/console/corner/lab/start/", {"protocol": "basket-completion", "minutes": "9999"}
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Tick at least one method." in page
    assert 'value="9999" aria-invalid="true"' in page
    assert 'value="svd" checked' not in page
    assert (LabRun.objects.count(), handed) == (0, [])


def test_a_running_one_shows_progress_its_table_so_far_and_can_be_cancelled(
    store: Store, client: Client
) -> None:
    run = comparison(
        store, state=LabRun.State.RUNNING, step="Markov chain (2 of 4): learning", progress=0.4
    )
    address = f"/console/corner/lab/{run.pk}/"
    fragment = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert fragment.strip().startswith('<div class="stack" id="lab-run" data-poll')
    for words in ('aria-valuenow="40"', "Markov chain (2 of 4): learning", "Best so far", "0.500"):
        assert words in fragment
    assert "Use this" not in fragment
    assert "data-chart" not in fragment
    page = client.post(f"{address}cancel/", follow=True).content.decode()
    assert "What was measured until then stands below." in page
    run.refresh_from_db()
    assert run.state == LabRun.State.CANCELLED


def test_the_form_stays_open_while_one_runs_since_only_its_own_part_of_the_page_follows_it(
    store: Store, client: Client
) -> None:
    two_tastes(store, shoppers_per_taste=13)
    comparison(store, state=LabRun.State.RUNNING)
    page = client.get("/console/corner/lab/").content.decode()
    assert '<button class="button button--primary" type="submit">Compare</button>' in page


def test_a_finished_one_is_a_table_with_intervals_a_plot_and_reports(
    store: Store, client: Client
) -> None:
    run = comparison(store)
    page = client.get(f"/console/corner/lab/{run.pk}/").content.decode()
    for words in (
        "Truncated SVD finds the most; EASE on shoppers is about as good.",
        "Truncated SVD is the most accurate, Popularity, decayed the most varied",
        "<strong>0.500</strong>",
        "± 0.050",
        "1.2 s",
        "81 µs",
        "<strong>Markov chain</strong>: there are no sessions to learn from.",
        "12,345 events from 1 Jan 2026 to 29 Oct 2026",
        "k 50",
        "(best of 7)",
        "31.0 %",
        "Exposure of brands",
        "0.83 of 1",
        "less is better".capitalize(),
        'data-chart="lab-plot-data"',
    ):
        assert words in page, words
    assert page.count("Use this<span") == 3
    assert "every 1s" not in page


def test_a_failed_one_says_why(store: Store, client: Client) -> None:
    run = comparison(
        store, state=LabRun.State.FAILED, message="The history is too short.", document={}
    )
    page = client.get(f"/console/corner/lab/{run.pk}/").content.decode()
    assert "The history is too short." in page
    assert "CSV" not in page


def test_a_viewer_sees_everything_and_can_start_nothing(
    store: Store, member_client: MemberClient
) -> None:
    run = comparison(store)
    client = member_client(store, Member.Role.VIEWER)
    for address in ("", f"{run.pk}/"):
        page = client.get(f"/console/corner/lab/{address}").content.decode()
        assert "Truncated SVD finds the most" in page
        assert "Use this<span" not in page
    assert client.post("/console/corner/lab/start/", FORM).status_code == 403
    active = comparison(store, state=LabRun.State.QUEUED)
    for address in (f"{run.pk}/use/", f"{active.pk}/cancel/"):
        answer = client.post(f"/console/corner/lab/{address}", {"method": "svd"})
        assert answer.status_code == 403, address
    active.refresh_from_db()
    assert active.state == LabRun.State.QUEUED
    assert not LabChoice.objects.exists()
    assert not Strategy.objects.filter(name__startswith="Lab").exists()


def test_earlier_comparisons_are_listed_and_another_store_s_are_not(
    store: Store, other_store: Store, client: Client
) -> None:
    first, second = comparison(store), comparison(store)
    theirs = comparison(other_store)
    page = client.get("/console/corner/lab/").content.decode()
    assert f"/lab/{first.pk}/" in page
    assert "Truncated SVD, 0.500" in page
    assert f"/lab/{theirs.pk}/" not in page
    assert client.get(f"/console/corner/lab/{theirs.pk}/").status_code == 404
    assert client.get(f"/console/corner/lab/{theirs.pk}/table.json").status_code == 404
    assert second.pk > first.pk


def test_the_table_can_be_taken_along(store: Store, client: Client) -> None:
    run = comparison(store)
    said = client.get(f"/console/corner/lab/{run.pk}/table.json").json()
    assert (said["comparison"], said["board"]["rows"][0]["key"]) == (run.pk, "svd")
    answer = client.get(f"/console/corner/lab/{run.pk}/table.csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [line["key"] for line in lines] == ["svd", "for_you", "bestsellers", "markov"]
    assert (lines[0]["hr@20"], lines[0]["hr@20_low"]) == ("0.5", "0.45")
    assert (lines[3]["hr@20"], lines[3]["missing"]) == ("", "there are no sessions to learn from")


def test_use_this_leads_to_the_editor_of_a_strategy_in_no_placement(
    store: Store, client: Client, handed: list[int]
) -> None:
    run = comparison(store)
    answer = client.post(f"/console/corner/lab/{run.pk}/use/", {"method": "for_you"})
    strategy = Strategy.objects.get(store=store, name="Lab: EASE on shoppers")
    assert answer.headers["Location"] == f"/console/corner/strategies/{strategy.key}/edit/"
    version = strategy.versions.get()
    assert [each["source"] for each in version.document["sources"]] == ["for_you"]
    assert not Placement.objects.filter(strategy_version=version).exists()
    assert "in no placement yet" in client.get(answer.headers["Location"]).content.decode()
    assert handed == []
    assert (
        client.post(f"/console/corner/lab/{run.pk}/use/", {"method": "markov"}).status_code == 404
    )


def test_a_method_without_a_source_is_trained_as_the_lab_s_choice(
    store: Store,
    client: Client,
    handed: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    run = comparison(store)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"/console/corner/lab/{run.pk}/use/", {"method": "svd"}, follow=True)
    assert "The method is being trained for it" in answer.content.decode()
    training = Run.objects.get(store=store, family=Run.Family.CHOSEN_METHOD)
    assert handed == [training.pk]
    choice = LabChoice.objects.get(store=store)
    assert (choice.method, choice.parameters) == ("svd", {"k": 50})
    assert "Truncated SVD</strong>, chosen" in client.get("/console/corner/lab/").content.decode()


def test_a_choice_while_another_is_trained_says_when_its_turn_is(
    store: Store, client: Client, handed: list[int]
) -> None:
    Run.objects.create(store=store, family=Run.Family.CHOSEN_METHOD, state=Run.State.RUNNING)
    run = comparison(store)
    answer = client.post(f"/console/corner/lab/{run.pk}/use/", {"method": "svd"}, follow=True)
    assert "comes with it or right after it" in answer.content.decode()
    assert handed == []


def test_what_the_worker_keeps_is_what_the_page_reads(store: Store, client: Client) -> None:
    two_tastes(store, shoppers_per_taste=13)
    client.post("/console/corner/lab/start/", FORM | {"minutes": "0.05"})
    run = lab_execute(run=LabRun.objects.get(store=store))
    page = client.get(f"/console/corner/lab/{run.pk}/").content.decode()
    assert "finds the most" in page
    assert "Exposure of brands" in page
    assert "Item kNN, cosine, published lists" in page


def test_the_page_of_many_comparisons_takes_as_many_queries_as_that_of_one(
    store: Store, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        comparison(store)
    with django_assert_max_num_queries(12):
        page = client.get("/console/corner/lab/").content.decode()
    assert "1–10 of 12" in page
