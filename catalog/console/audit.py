"""The audit log: who changed what in the store, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.console.access import EDITORS, ConsoleRequest, member_page
from catalog.console.audit_words import (
    MAX_CHANGES,
    action_words,
    changes_between,
    family_words,
)
from catalog.models import AuditEntry
from catalog.selectors.audit import AuditFilter, audit_actors, audit_entries, audit_families
from catalog.spreadsheet import csv_lines

PER_PAGE = 50
PERIODS: dict[str, tuple[str, int | None]] = {
    "1": ("Last 24 hours", 1),
    "7": ("Last 7 days", 7),
    "30": ("Last 30 days", 30),
    "90": ("Last 90 days", 90),
    "all": ("All time", None),
}
DEFAULT_PERIOD = "30"
# In an address; an e-mail address is never this.
VITRINE_ITSELF = "vitrine"
COLUMNS = ("time (UTC)", "member", "action", "subject", "key", "before", "after")


@require_safe
@member_page(roles=EDITORS)
def audit_page(request: ConsoleRequest) -> HttpResponse:
    """The log; its entries alone for htmx."""
    wanted, period = _wanted(request)
    page = Paginator(audit_entries(store=request.store, wanted=wanted), PER_PAGE).get_page(
        request.GET.get("page")
    )
    context: dict[str, Any] = {
        "page": page,
        "rows": [_row(entry) for entry in page],
        "period": period,
        "period_words": PERIODS[period][0].lower(),
        "export_url": _export_url(request, period),
        "is_narrowed": wanted.is_narrowed or period != DEFAULT_PERIOD,
        "read_at": timezone.now(),
    }
    if request.htmx:
        return render(request, "console/audit/_entries.html", context)
    context |= {
        "actors": [
            (actor or VITRINE_ITSELF, actor or "Vitrine itself")
            for actor in audit_actors(store=request.store)
        ],
        "families": [
            (family, family_words(family)) for family in audit_families(store=request.store)
        ],
        "periods": [(key, label) for key, (label, _) in PERIODS.items()],
        "who": request.GET.get("who", ""),
        "family": wanted.family or "",
        "can_audit": True,
    }
    return render(request, "console/audit/page.html", context)


@require_safe
@member_page(roles=EDITORS)
def audit_export(request: ConsoleRequest) -> StreamingHttpResponse:
    """What the filters find, all of it, as a CSV file."""
    wanted, _ = _wanted(request)
    entries = audit_entries(store=request.store, wanted=wanted)
    response = StreamingHttpResponse(
        csv_lines(_export(entries.iterator(chunk_size=1000))),
        content_type="text/csv; charset=utf-8",
    )
    name = f"{request.store.slug}-audit-{timezone.localdate():%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _export_url(request: ConsoleRequest, period: str) -> str:
    """The export of what the page shows, all pages of it."""
    query = QueryDict(mutable=True)
    query.update(
        {"period": period} | {n: request.GET[n] for n in ("who", "family") if n in request.GET}
    )
    return f"{reverse('console-audit-export', args=[request.store.slug])}?{query.urlencode()}"


def _wanted(request: ConsoleRequest) -> tuple[AuditFilter, str]:
    """What the address asks for, and its period."""
    who, family = request.GET.get("who", ""), request.GET.get("family", "")
    period = request.GET.get("period", "") or DEFAULT_PERIOD
    if period not in PERIODS or "\x00" in who + family:
        raise Http404("The log has no such period.")
    days = PERIODS[period][1]
    actor = {"": None, VITRINE_ITSELF: ""}.get(who, who)
    since = None if days is None else timezone.now() - timedelta(days=days)
    return AuditFilter(actor=actor, family=family or None, since=since), period


def _row(entry: AuditEntry) -> dict[str, Any]:
    changes = changes_between(entry.before, entry.after)
    return {
        "entry": entry,
        "words": action_words(entry.action),
        "changes": changes[:MAX_CHANGES],
        "n_more": max(len(changes) - MAX_CHANGES, 0),
    }


def _export(entries: Iterator[AuditEntry]) -> Iterator[tuple[object, ...]]:
    yield COLUMNS
    for entry in entries:
        yield (
            f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            entry.actor_email or "Vitrine itself",
            entry.action,
            entry.subject,
            entry.subject_key,
            _json(entry.before),
            _json(entry.after),
        )


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
