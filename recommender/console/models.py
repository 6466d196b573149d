"""Models: what serves, how good it is, what is being trained; retrain, confirm, discard."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.models import Store
from catalog.selectors.activity import newest_event_received_at
from recommender.console.model_words import (
    STATE_BADGES,
    ModelCard,
    counts_of,
    freshness_of,
    headline_of,
    measures_of,
    model_card,
)
from recommender.models import Run
from recommender.selectors.runs import ACTIVE, family_statuses, runs_latest
from recommender.services.publishing import RunNotHeld, run_confirm, run_discard
from recommender.services.training.runs import RunActive, run_hand_over, run_request
from recommender.services.training.schedule import store_news_at

RUNS_PER_PAGE = 25
# Increments come every minute: they have a list of their own.
KINDS: dict[str, tuple[str, bool | None]] = {
    "": ("Full trainings", False),
    "increments": ("Increments", True),
    "all": ("Both", None),
}
DECISIONS: dict[str, tuple[Callable[..., Run], str]] = {
    "confirm": (run_confirm, "serves within seconds."),
    "discard": (run_discard, "is discarded. What served goes on serving."),
}


@require_safe
@member_page()
def model_list(request: ConsoleRequest) -> HttpResponse:
    store, family, kind = request.store, request.GET.get("family", ""), request.GET.get("kind", "")
    if family not in ("", *Run.Family.values) or kind not in KINDS:
        raise Http404("There is no such family or kind.")
    runs = runs_latest(store_id=store.pk, family=family or None, increments=KINDS[kind][1])
    page = Paginator(runs.select_related("requested_by", "artifact"), RUNS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    cards = _cards(store)
    context = {
        "cards": cards,
        "page": page,
        "rows": [(run, *_row(run)) for run in page],
        "family": family,
        "families": Run.Family.choices,
        "kind": kind,
        "kinds": [(value, label) for value, (label, _) in KINDS.items()],
        "can_edit": can_edit(request.member),
        "read_at": timezone.now(),
        "any_active": any(card.active for card in cards),
    }
    # While something is being trained the page polls itself; only what changes is sent.
    template = "_body.html" if request.htmx else "page.html"
    return render(request, f"console/models/{template}", context)


@require_safe
@member_page()
def model_ages(request: ConsoleRequest) -> HttpResponse:
    """How fresh each family is, for the page that is open: it asks every few seconds."""
    cards = _cards(request.store)
    answer = render(request, "console/models/_ages.html", {"cards": cards, "again": True})
    if any(card.active for card in cards):
        # Somebody or the schedule started a training: the page shows it.
        answer["HX-Trigger"] = "models-changed"
    return answer


@require_safe
@member_page()
def run_page(request: ConsoleRequest, run_id: int) -> HttpResponse:
    run = (
        Run.objects.filter(store=request.store, pk=run_id)
        .select_related("requested_by", "artifact")
        .first()
    )
    if run is None:
        raise Http404
    artifact = getattr(run, "artifact", None)
    kind, icon = STATE_BADGES[run.state]
    context = {
        "run": run,
        "artifact": artifact,
        "badge": (kind, icon),
        "is_active": run.state in ACTIVE,
        "is_held": run.state == Run.State.HELD,
        "percent": round(run.progress * 100),
        "measures": measures_of(run.quality, headline=headline_of(artifact)),
        "counts": counts_of(run.counts),
        "parameters": counts_of(run.parameters),
        "took_s": _took_s(run),
        "can_edit": can_edit(request.member),
        "read_at": timezone.now(),
    }
    template = "_run.html" if request.htmx else "run.html"
    return render(request, f"console/models/{template}", context)


@require_POST
@member_page(roles=EDITORS)
def retrain(request: ConsoleRequest) -> HttpResponse:
    """Queue a run and go to its page. While one is active, to the page of the models, saying so."""
    family = request.POST.get("family", "")
    if family not in Run.Family.values:
        raise Http404("There is no such family.")
    try:
        run = run_request(
            store=request.store,
            family=family,
            trigger=Run.Trigger.MEMBER,
            requested_by=request.user,
        )
    except RunActive as error:
        messages.warning(request, str(error))
        return redirect("console-models", request.store.slug)
    transaction.on_commit(lambda: run_hand_over(run=run))
    return redirect("console-run", request.store.slug, run.pk)


@require_POST
@member_page(roles=EDITORS)
def decide(request: ConsoleRequest, run_id: int, decision: str) -> HttpResponse:
    """Publish or discard a held run, as the address says."""
    service, done = DECISIONS[decision]
    try:
        run = service(store=request.store, run_id=run_id, member=request.user)
    except Run.DoesNotExist as error:
        raise Http404 from error
    except RunNotHeld as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, f"{run.get_family_display()}: run {run.pk} {done}")
    return redirect("console-run", request.store.slug, run_id)


def _cards(store: Store) -> list[ModelCard]:
    now, news_at = timezone.now(), store_news_at(store=store)
    newest, zone = newest_event_received_at(store=store), ZoneInfo(store.time_zone)
    return [
        model_card(
            status,
            newest_event_at=newest,
            freshness=freshness_of(status, now=now, news_at=news_at, zone=zone),
        )
        for status in family_statuses(store_id=store.pk)
    ]


def _row(run: Run) -> tuple[str, str, float | None, str]:
    """Badge kind, its icon, seconds taken, and the headline figure of a run."""
    kind, icon = STATE_BADGES[run.state]
    measures = measures_of(run.quality, headline=headline_of(getattr(run, "artifact", None)))
    headline = f"{measures[0].label}: {measures[0].value}" if measures else ""
    return kind, icon, _took_s(run), headline


def _took_s(run: Run) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()
