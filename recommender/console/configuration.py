"""The whole configuration as a file: export, and import with a look at what it would do."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from recommender.services.configuration import (
    MAX_BYTES,
    ConfigurationRefused,
    configuration_export,
    configuration_import,
    configuration_plan,
    configuration_read,
)
from recommender.services.configuration_writing import TRAINED_KINDS


@require_safe
@member_page()
def configuration_page(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@require_safe
@member_page()
def configuration_download(request: ConsoleRequest) -> HttpResponse:
    """One JSON file. It holds no keys and no people."""
    today = timezone.localdate().isoformat()
    answer = HttpResponse(
        configuration_export(store=request.store), content_type="application/json"
    )
    name = f"vitrine-{request.store.slug}-{today}.json"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_POST
@member_page(roles=EDITORS)
def configuration_look(request: ConsoleRequest) -> HttpResponse:
    """What a file would do. Nothing is changed."""
    upload = request.FILES.get("file")
    if upload is None:
        return _page(request, problems=["Choose a file first."], status=422)
    return _look(request, upload.read(MAX_BYTES + 1))


@require_POST
@member_page(roles=EDITORS)
def configuration_apply(request: ConsoleRequest) -> HttpResponse:
    """Do what was looked at, if nothing changed since."""
    raw = request.POST.get("configuration", "").encode()
    try:
        plan = configuration_import(
            store=request.store,
            configuration=configuration_read(store=request.store, raw=raw),
            digest=request.POST.get("digest", ""),
            member=request.user,
        )
    except ConfigurationRefused as error:
        return _page(request, problems=error.problems, status=422)
    done = [*plan.of("create"), *plan.of("change")]
    n_changed = len(plan.of("change"))
    trained = ", ".join(f"“{each.name}”" for each in done if each.kind in TRAINED_KINDS)
    waits = (
        f"; what has to be trained first ({trained}) follows when that is done" if trained else ""
    )
    messages.success(
        request,
        f"Imported: {len(done) - n_changed} created, {n_changed} changed. Shoppers see it within a"
        f" second{waits}.",
    )
    return redirect("console-configuration", request.store.slug)


def _look(request: ConsoleRequest, raw: bytes) -> HttpResponse:
    try:
        configuration = configuration_read(store=request.store, raw=raw)
    except ConfigurationRefused as error:
        return _page(request, problems=error.problems, status=422)
    plan = configuration_plan(store=request.store, configuration=configuration)
    return _page(request, plan=plan, raw=raw.decode(), source=configuration.store)


def _page(request: ConsoleRequest, *, status: int = 200, **found: Any) -> HttpResponse:
    plan = found.get("plan")
    context = {
        "can_edit": can_edit(request.member),
        "max_mb": MAX_BYTES // 1_000_000,
        **found,
    }
    if plan is not None:
        context["groups"] = [
            (words, plan.of(verb))
            for verb, words in (
                ("create", "Would be created"),
                ("change", "Would be changed"),
                ("same", "Are the same already"),
                ("left", "Aren't in the file and stay as they are"),
            )
        ]
    return render(request, "console/configuration/page.html", context, status=status)
