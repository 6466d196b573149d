"""The page that an experiment is decided with: it shows what a worker wrote, and computes nothing."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import (
    Http404,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from analytics.console.experiments import experiment_found
from analytics.console.results_context import page_context, snapshot_read
from analytics.console.results_export import results_rows
from analytics.console.results_look import InvalidLookError
from analytics.models import ExperimentSnapshot
from analytics.results.document import Results, results_json
from analytics.selectors.snapshots import (
    snapshot_find,
    snapshot_latest,
    snapshot_of_day,
    snapshot_stamp,
)
from analytics.services.experiment_notes import MAX_NOTE_CHARS, experiment_note_add
from catalog.api.errors import json_response
from catalog.console.access import TESTERS, ConsoleRequest, member_page
from catalog.spreadsheet import csv_lines
from recommender.models import Experiment

_LAYOUTS = {"": "console/layout.html", "print": "console/results/print.html"}


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
@member_page()
def results_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """The page; for htmx what a toggle exchanges."""
    experiment = experiment_found(request, key)
    view = request.GET.get("view", "")
    if view not in _LAYOUTS:
        raise Http404("There is no such view.")
    context = _context(request, experiment, request.GET)
    context |= {"layout": _LAYOUTS[view], "is_print": view == "print"}
    if request.htmx.target == "results":
        return render(request, "console/results/_part.html", context)
    return render(request, "console/results/page.html", context)


@require_safe
@member_page()
def results_fresh(request: ConsoleRequest, key: str) -> HttpResponse:
    """Asked every minute: 204 while nothing is new, otherwise what a toggle exchanges."""
    stamp = snapshot_stamp(store=request.store, key=key)
    if stamp is None:
        raise Http404
    if stamp == request.GET.get("seen"):
        return HttpResponse(status=204)
    # How the member looks at it stands in the address of the page, not in that of this request.
    query = QueryDict(urlsplit(request.htmx.current_url or "").query)
    experiment = experiment_found(request, key)
    return render(request, "console/results/_part.html", _context(request, experiment, query))


@require_safe
@member_page()
def results_csv(request: ConsoleRequest, key: str) -> HttpResponseBase:
    """What is looked at as a CSV file, unrounded."""
    results = _results_or_404(request, key)
    response = StreamingHttpResponse(
        csv_lines(results_rows(results)), content_type="text/csv; charset=utf-8"
    )
    return _as_file(response, request, results, "csv")


@require_safe
@member_page()
def results_download(request: ConsoleRequest, key: str) -> HttpResponseBase:
    """What is looked at as the document that the page is made from."""
    results = _results_or_404(request, key)
    return _as_file(json_response(results_json(results)), request, results, "json")


@require_POST
@member_page(roles=TESTERS)
def results_note(request: ConsoleRequest, key: str) -> HttpResponse:
    """Write something down beside the results; it can't be changed afterwards."""
    experiment = experiment_found(request, key)
    text = request.POST.get("note", "").strip()
    if not text or len(text) > MAX_NOTE_CHARS:
        messages.error(request, f"A note has 1 to {MAX_NOTE_CHARS:,} characters.")
    else:
        experiment_note_add(experiment=experiment, text=text, actor=request.user)
    page = reverse("console-experiment", args=[request.store.slug, key])
    return redirect(f"{page}#notes-title")


def _context(request: ConsoleRequest, experiment: Experiment, query: QueryDict) -> dict[str, Any]:
    snapshot = _snapshot(experiment, query)
    try:
        return page_context(request, experiment, snapshot, query)
    except InvalidLookError as error:
        raise Http404(str(error)) from error


def _snapshot(experiment: Experiment, query: QueryDict) -> ExperimentSnapshot | None:
    """The one that the address names, else the latest; None if nothing was looked at yet.

    404 for one that isn't there, or isn't of this experiment.
    """
    if wanted := query.get("snapshot"):
        found = None
        if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19:
            found = snapshot_find(experiment=experiment, snapshot_id=int(wanted))
    elif wanted := query.get("day"):
        day = day_read(wanted)
        found = None if day is None else snapshot_of_day(experiment=experiment, day=day)
    else:
        return snapshot_latest(experiment=experiment)
    if found is None:
        raise Http404("These results weren't kept.")
    return found


def _results_or_404(request: ConsoleRequest, key: str) -> Results:
    snapshot = _snapshot(experiment_found(request, key), request.GET)
    results = snapshot_read(snapshot)
    if results is None:
        raise Http404("There are no results yet.")
    return results


def _as_file(
    response: HttpResponseBase, request: ConsoleRequest, results: Results, suffix: str
) -> HttpResponseBase:
    name = f"{request.store.slug}-{results.key}-{results.computed_at:%Y-%m-%d}.{suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def day_read(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
