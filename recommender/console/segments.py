"""Segments of shoppers: who is in them, how many they are now, and their editor."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.money import price_text
from recommender.console.rule_form import amount_typed, lines_typed, whole_typed
from recommender.console.rule_words import segment_sentence
from recommender.models import Segment
from recommender.selectors.rules import segment_find, segment_users, segments_of
from recommender.selectors.segments import HISTORY_DAYS, SegmentSizes, segment_sizes
from recommender.services.segments import (
    SegmentRefused,
    segment_create,
    segment_delete,
    segment_edit,
)
from recommender.serving.rules import DEVICES, InvalidRuleError
from recommender.serving.segments import (
    InvalidSegmentError,
    SegmentDocument,
    segment_json,
    segment_parse,
)

KINDS = {
    "new": "New shoppers",
    "returning": "Returning shoppers",
    "high_value": "High value",
    "lapsed": "Lapsed",
    "affinity": "Affinity to a category or brand",
    "device": "Device",
}


@require_safe
@member_page()
def segment_list(request: ConsoleRequest) -> HttpResponse:
    rows = []
    for segment in segments_of(store=request.store):
        users = segment_users(store=request.store, key=segment.key)
        rows.append((segment, _sentence(segment, request.store.currency), users))
    context = {"rows": rows, "can_edit": can_edit(request.member)}
    return render(request, "console/segments/list.html", context)


@require_safe
@member_page()
def segment_count(request: ConsoleRequest, segment_id: int) -> HttpResponse:
    """How many shoppers are in a segment now; asked for when the page is open already."""
    segment = _segment(request, segment_id)
    now = timezone.now()
    document = _readable(segment)
    context: dict[str, Any] = {"read_at": now, "history_days": HISTORY_DAYS, "document": document}
    if document is not None:
        sizes: SegmentSizes = segment_sizes(
            store=request.store, documents={segment.key: segment_json(document)}, now=now
        )
        size, n = sizes.sizes[segment.key], sizes.n_shoppers
        context |= {"size": size, "n_shoppers": n, "share": size / n if n else None}
    return render(request, "console/segments/_size.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def segment_new(request: ConsoleRequest) -> HttpResponse:
    """The editor of a new segment; POST saves it."""
    return _handle(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def segment_page(request: ConsoleRequest, segment_id: int) -> HttpResponse:
    """The editor of a segment; POST saves it."""
    return _handle(request, _segment(request, segment_id))


@require_POST
@member_page(roles=EDITORS)
def segment_remove(request: ConsoleRequest, segment_id: int) -> HttpResponse:
    segment = _segment(request, segment_id)
    try:
        segment_delete(segment=segment, member=request.user)
    except SegmentRefused as error:
        messages.error(request, f"“{segment.name}” stays. {error}")
    else:
        messages.success(request, f"“{segment.name}” is deleted.")
    return redirect("console-segments", request.store.slug)


def segment_document_from_form(post: QueryDict, currency: str) -> dict[str, Any]:
    """What was typed as a document. Raises InvalidRuleError for a number that can't be read."""
    kind = post.get("kind", "")
    document: dict[str, Any] = {"type": kind}
    if kind in ("new", "returning", "high_value", "lapsed", "affinity"):
        days = whole_typed(post, "days", "The number of days")
        if days is not None:
            document["days"] = days
    if kind == "high_value":
        document["orders"] = whole_typed(post, "orders", "The number of orders")
        document["spend_minor"] = amount_typed(post, "spend", currency)
    if kind == "lapsed":
        document["since"] = post.get("since", "visit")
    if kind == "affinity":
        document["categories"] = lines_typed(post, "categories")
        document["brands"] = lines_typed(post, "brands")
        document["products"] = whole_typed(post, "products", "The number of products") or 3
    if kind == "device":
        document["devices"] = post.getlist("devices")
    return document


def _handle(request: ConsoleRequest, segment: Segment | None) -> HttpResponse:
    store = request.store
    if request.method != "POST":
        values = _stored(segment, store.currency) if segment is not None else {"kind": "new"}
        if segment is None and request.GET.get("kind") in KINDS:
            values["kind"] = request.GET["kind"]
        return _editor(request, segment, values)
    typed: dict[str, Any] = {key: request.POST.get(key, "") for key in request.POST}
    typed["devices"] = request.POST.getlist("devices")
    if "change" in request.POST:
        return _editor(request, segment, typed)
    if not can_edit(request.member):
        return _editor(request, segment, typed, error="Owners and merchants can change segments.",
                       status=403)  # fmt: skip
    name = request.POST.get("name", "")
    try:
        document = segment_document_from_form(request.POST, store.currency)
        if segment is None:
            saved = segment_create(store=store, name=name, document=document, member=request.user)
        else:
            saved = segment_edit(segment=segment, name=name, document=document, member=request.user)
    except (InvalidRuleError, SegmentRefused) as error:
        return _editor(request, segment, typed, error=str(error), status=422)
    messages.success(request, f"“{saved.name}” is saved. Rules may name it from now on.")
    return redirect("console-segments", store.slug)


def _editor(
    request: ConsoleRequest,
    segment: Segment | None,
    values: dict[str, Any],
    *,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "segment": segment,
        "values": values,
        "error": error,
        "kinds": KINDS,
        "device_names": DEVICES,
        "currency": request.store.currency,
        "can_edit": can_edit(request.member),
        "users": segment_users(store=request.store, key=segment.key) if segment else [],
        "sentence": _sentence(segment, request.store.currency) if segment else "",
    }
    return render(request, "console/segments/editor.html", context, status=status)


def _stored(segment: Segment, currency: str) -> dict[str, Any]:
    document = segment.document if isinstance(segment.document, dict) else {}
    values = {**document, "kind": document.get("type", "new"), "name": segment.name}
    for part in ("categories", "brands"):
        values[part] = "\n".join(document.get(part, ()))
    spend = document.get("spend_minor")
    values["spend"] = "" if spend is None else price_text(spend, currency)
    return values


def _sentence(segment: Segment, currency: str) -> str:
    document = _readable(segment)
    return "This segment can't be read; nobody is in it." if document is None else (
        segment_sentence(document, currency)
    )  # fmt: skip


def _readable(segment: Segment) -> SegmentDocument | None:
    try:
        return segment_parse(segment.document)
    except InvalidSegmentError:
        return None


def _segment(request: ConsoleRequest, segment_id: int) -> Segment:
    segment = segment_find(store=request.store, segment_id=segment_id)
    if segment is None:
        raise Http404
    return segment
