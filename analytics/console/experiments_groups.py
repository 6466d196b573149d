"""Exclusion groups: experiments that never share a shopper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import TESTERS, ConsoleRequest, can_test, member_page
from recommender.models import ExclusionGroup
from recommender.selectors.experiments import GroupRow, exclusion_groups
from recommender.services.experiments.groups import (
    exclusion_group_create,
    exclusion_group_delete,
    exclusion_group_rename,
)
from recommender.services.experiments.records import ExperimentRefused


@require_safe
@member_page()
def group_list(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@require_POST
@member_page(roles=TESTERS)
def group_new(request: ConsoleRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        group = exclusion_group_create(store=request.store, name=name, actor=request.user)
    except ExperimentRefused as error:
        return _page(request, typed=name, errors=error.fields)
    messages.success(request, f"The group “{group.name}” is made. Choose it in an experiment.")
    return redirect("console-experiment-groups", request.store.slug)


@require_POST
@member_page(roles=TESTERS)
def group_name(request: ConsoleRequest, group_id: int) -> HttpResponse:
    group = _found(request, group_id)
    name = request.POST.get("name", "")
    try:
        exclusion_group_rename(group=group, name=name, actor=request.user)
    except ExperimentRefused as error:
        return _page(request, typed=name, errors=error.fields, group_id=group_id)
    messages.success(request, f"The group is called “{group.name}” now.")
    return redirect("console-experiment-groups", request.store.slug)


@require_POST
@member_page(roles=TESTERS)
def group_remove(request: ConsoleRequest, group_id: int) -> HttpResponse:
    group = _found(request, group_id)
    try:
        exclusion_group_delete(group=group, actor=request.user)
    except ExperimentRefused as error:
        return _page(request, errors={"delete": str(error)}, group_id=group_id)
    messages.success(request, f"The group “{group.name}” is deleted.")
    return redirect("console-experiment-groups", request.store.slug)


def _found(request: ConsoleRequest, group_id: int) -> ExclusionGroup:
    for row in exclusion_groups(store=request.store):
        if row.group.pk == group_id:
            return row.group
    raise Http404


def _page(
    request: ConsoleRequest,
    *,
    typed: str = "",
    errors: Mapping[str, str] | None = None,
    group_id: int | None = None,
) -> HttpResponse:
    rows = [_row(row) for row in exclusion_groups(store=request.store)]
    context = {
        "rows": rows,
        "typed": typed,
        "errors": errors or {},
        "error": " ".join((errors or {}).values()),
        "wrong_id": group_id,
        "can_test": can_test(request.member),
    }
    status = 422 if errors else 200
    return render(request, "console/experiments/groups.html", context, status=status)


def _row(row: GroupRow) -> dict[str, Any]:
    """With the ranges as parts of a bar, in per cent."""
    return {
        "group": row.group,
        "n_experiments": row.n_experiments,
        "free_share": row.free_share,
        "largest_gap": row.largest_gap,
        "parts": [
            {
                "experiment": each,
                "place": place % 3 + 1,
                "x": (each.group_start or 0.0) * 100,
                "width": ((each.group_end or 0.0) - (each.group_start or 0.0)) * 100,
                "share": (each.group_end or 0.0) - (each.group_start or 0.0),
            }
            for place, each in enumerate(row.live)
        ],
    }
