"""Events: what comes in now, and what was refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.contract.verdicts import Code
from catalog.models import EventType
from catalog.selectors.activity import EVENT_WORDS, latest_events
from catalog.selectors.event_stream import (
    events_by_minute,
    events_by_type,
    refused_groups,
    replayed_count,
    shoppers_called,
)
from catalog.services.quarantine import QUARANTINE_DAYS
from recommender.services.replay import quarantine_replay

N_EVENTS = 25
# A rare type is looked for no further back.
LOOK_BACK = timedelta(days=30)
# Of the drawing, in its own units: a bar and its gap for each minute.
BAR_STEP, CHART_HEIGHT = 10, 100


@require_safe
@member_page()
def event_page(request: ConsoleRequest) -> HttpResponse:
    """The page; its live part alone for htmx."""
    context = _live(request)
    if request.htmx:
        return render(request, "console/events/_live.html", context)
    now = timezone.now()
    context |= {
        "types": EventType.choices,
        "groups": [
            (group, [(row, json.dumps(row.payload, indent=2)) for row in group.examples])
            for group in refused_groups(store=request.store)
        ],
        "n_replayed": replayed_count(
            store=request.store, since=now - timedelta(days=QUARANTINE_DAYS)
        ),
        "quarantine_days": QUARANTINE_DAYS,
        "can_replay": can_edit(request.member),
    }
    return render(request, "console/events/page.html", context)


@require_POST
@member_page(roles=EDITORS)
def replay(request: ConsoleRequest) -> HttpResponse:
    """Judge again: one event (`id`), those refused for one reason (`code`), or all."""
    code, text = request.POST.get("code") or None, request.POST.get("id", "")
    if code is not None and code not in set(Code):
        raise Http404("There is no such reason.")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404("This is no event.")
    result = quarantine_replay(
        store=request.store,
        now=timezone.now(),
        ids=[int(text)] if text else None,
        code=code,
        member=request.user,
    )
    words = (
        f"{result.total:,} judged again: {result.accepted:,} stored, {result.duplicate:,} were"
        f" there already, {result.refused:,} refused again."
    )
    if result.refused or not result.total:
        messages.warning(request, words)
    else:
        messages.success(request, words)
    return redirect("console-events", request.store.slug)


def _live(request: ConsoleRequest) -> dict[str, Any]:
    store, now = request.store, timezone.now()
    kind, name = request.GET.get("type", ""), request.GET.get("shopper", "").strip()[:128]
    if kind and kind not in {str(number) for number in EventType.values}:
        raise Http404("No event is called that.")
    events = latest_events(
        store=store,
        limit=N_EVENTS,
        shoppers=shoppers_called(store=store, external_id=name) if name else None,
        type=int(kind) if kind else None,
        since=now - LOOK_BACK if kind or name else None,
    )
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = events_by_minute(store=store, now=now)
    most = max(minutes.most, 1)
    return {
        "events": [(event, *EVENT_WORDS[event.type]) for event in events],
        "kind": kind,
        "shopper": name,
        "is_filtered": bool(kind or name),
        "look_back_days": LOOK_BACK.days,
        "minutes": minutes,
        "bars": [
            (
                number * BAR_STEP,
                CHART_HEIGHT - round(CHART_HEIGHT * count / most),
                round(CHART_HEIGHT * count / most),
                count,
                minutes.first + timedelta(minutes=number),
            )
            for number, count in enumerate(minutes.counts)
        ],
        "today": events_by_type(store=store, since=midnight, now=now),
        "read_at": now,
    }
