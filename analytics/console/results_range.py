"""Some of an experiment's days: a worker counts them, and the page waits for it."""

from __future__ import annotations

from functools import partial

from celery import current_app
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from analytics.console.experiments import experiment_found
from analytics.console.results import day_read
from analytics.services.experiment_ranges import RangeRefusedError, experiment_range_ask
from catalog.console.access import TESTERS, ConsoleRequest, member_page

# By its name: the module of the tasks brings SciPy along, which web processes don't load.
COMPUTE = "analytics.tasks.compute_range"


@require_POST
@member_page(roles=TESTERS)
def results_range(request: ConsoleRequest, key: str) -> HttpResponse:
    """Leads to the results of the days from `first` to `last`, which may still be worked out."""
    experiment = experiment_found(request, key)
    page = reverse("console-experiment", args=[request.store.slug, key])
    first = day_read(request.POST.get("first", ""))
    last = day_read(request.POST.get("last", ""))
    if first is None or last is None:
        messages.error(request, "Choose the first and the last day.")
        return redirect(page)
    try:
        asked = experiment_range_ask(
            experiment=experiment,
            first_day=first,
            last_day=last,
            actor=request.user,
            now=timezone.now(),
        )
    except RangeRefusedError as error:
        messages.error(request, str(error))
        return redirect(page)
    if asked.document is None:
        transaction.on_commit(partial(current_app.send_task, COMPUTE, args=[asked.pk]))
    return redirect(f"{page}?snapshot={asked.pk}")
