"""Campaigns: rules in their order, as sentences, and their editor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.models import Store
from recommender.console.rule_form import (
    ACTIONS,
    MEANT_PARTS,
    WHEN_PARTS,
    rule_dates_from_form,
    rule_document_from_form,
    rule_form_typed,
    rule_form_values,
)
from recommender.console.rule_words import (
    AVAILABILITY_WORDS,
    PAGE_LABELS,
    STATE_BADGES,
    STATE_WORDS,
    WEEKDAYS,
    Names,
    document_sentence,
    rule_sentence,
)
from recommender.models import Rule
from recommender.selectors.placement_figures import placements_of
from recommender.selectors.rules import RuleState, rule_find, rule_state, rules_of, segments_of
from recommender.services.rule_findings import Finding, Meant, rule_findings, rule_meant
from recommender.services.rules import (
    RuleRefused,
    rule_create,
    rule_delete,
    rule_edit,
    rule_move,
    rule_switch,
)
from recommender.serving.rules import DEVICES, InvalidRuleError, rule_parse
from recommender.serving.runtime import RUNTIMES

NEW = {"action": {"type": "boost", "factor": 2}}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One line of the list."""

    rule: Rule
    sentence: str
    state: RuleState
    state_words: str
    badge: str
    icon: str
    findings: list[Finding]


@require_safe
@member_page()
def campaign_list(request: ConsoleRequest) -> HttpResponse:
    now = timezone.now()
    rules = rules_of(store=request.store)
    names = _names(request.store)
    findings: dict[int, list[Finding]] = {}
    for finding in rule_findings(rules, RUNTIMES.get(request.store.pk), now=now):
        findings.setdefault(finding.rule_id, []).append(finding)
    rows = []
    for rule in rules:
        state = rule_state(rule, now=now)
        badge, icon = STATE_BADGES[state]
        sentence = rule_sentence(rule, names)
        own = findings.get(rule.pk, [])
        rows.append(RuleRow(rule, sentence, state, STATE_WORDS[state], badge, icon, own))
    moved = [row for row in rows if str(row.rule.pk) == request.GET.get("moved")]
    context = {
        "rows": rows,
        "moved": moved[0] if moved else None,
        "moved_to": rows.index(moved[0]) + 1 if moved else None,
        "n_active": sum(row.state is RuleState.ACTIVE for row in rows),
        "n_findings": sum(bool(row.findings) for row in rows),
        "can_edit": can_edit(request.member),
        "read_at": now,
    }
    return render(request, "console/campaigns/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def campaign_new(request: ConsoleRequest) -> HttpResponse:
    """The editor of a new rule; POST saves it."""
    if request.method == "POST":
        return _save(request, None)
    return _editor(request, None, rule_form_values(NEW, request.store.currency))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def campaign_page(request: ConsoleRequest, rule_id: int) -> HttpResponse:
    """The editor of a rule; POST saves it. Who may not edit reads it."""
    rule = _rule(request, rule_id)
    if request.method == "POST":
        return _save(request, rule)
    return _editor(request, rule, _stored(rule, request.store.currency))


@require_POST
@member_page(roles=EDITORS)
def campaign_fields(request: ConsoleRequest) -> HttpResponse:
    """The fields with a part added or removed, as typed."""
    context = _fields_context(request, rule_form_typed(request.POST))
    fields = render(request, "console/campaigns/_fields.html", context)
    return trigger_client_event(fields, "rule-changed", after="settle")


@require_POST
@member_page()
def campaign_words(request: ConsoleRequest) -> HttpResponse:
    """What the form says, as a sentence, and how many products it means now."""
    return render(request, "console/campaigns/_words.html", _words(request))


@require_POST
@member_page(roles=EDITORS)
def campaign_move(request: ConsoleRequest, rule_id: int) -> HttpResponse:
    rule = _rule(request, rule_id)
    rule_move(rule=rule, steps=-1 if "up" in request.POST else 1, member=request.user)
    back = reverse("console-campaigns", args=[request.store.slug])
    return redirect(f"{back}?moved={rule.pk}#rule-{rule.pk}")


@require_POST
@member_page(roles=EDITORS)
def campaign_switch(request: ConsoleRequest, rule_id: int) -> HttpResponse:
    """On (which also ends a pause) or off."""
    rule, on = _rule(request, rule_id), "on" in request.POST
    rule_switch(rule=rule, on=on, member=request.user)
    words = "on. Shoppers see it" if on else "off. Shoppers see it gone"
    messages.success(request, f"“{rule.name}” is {words} within a second.")
    return redirect("console-campaigns", request.store.slug)


@require_POST
@member_page(roles=EDITORS)
def campaign_delete(request: ConsoleRequest, rule_id: int) -> HttpResponse:
    rule = _rule(request, rule_id)
    rule_delete(rule=rule, member=request.user)
    messages.success(request, f"“{rule.name}” is deleted. The audit log keeps what it said.")
    return redirect("console-campaigns", request.store.slug)


def _save(request: ConsoleRequest, rule: Rule | None) -> HttpResponse:
    values = rule_form_typed(request.POST)
    if "change" in request.POST or "remove" in request.POST:
        return _editor(request, rule, values)
    if not can_edit(request.member):
        return _editor(request, rule, values, error="Owners and merchants can change rules.",
                       status=403)  # fmt: skip
    try:
        document = rule_document_from_form(request.POST)
        starts_at, ends_at = rule_dates_from_form(request.POST)
        texts: dict[str, Any] = {
            "name": request.POST.get("name", ""),
            "note": request.POST.get("note", ""),
            "starts_at": starts_at,
            "ends_at": ends_at,
        }
        if rule is None:
            saved = rule_create(
                store=request.store, document=document, member=request.user, **texts
            )
        else:
            saved = rule_edit(rule=rule, document=document, member=request.user, **texts)
    except (InvalidRuleError, RuleRefused) as error:
        return _editor(request, rule, values, error=str(error), status=422)
    messages.success(request, f"“{saved.name}” is saved. Shoppers see it within a second.")
    return redirect("console-campaigns", request.store.slug)


def _editor(
    request: ConsoleRequest,
    rule: Rule | None,
    values: dict[str, Any],
    *,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    context = _fields_context(request, values)
    context |= {"rule": rule, "error": error, "can_edit": can_edit(request.member)}
    if rule is not None:
        now = timezone.now()
        state = rule_state(rule, now=now)
        findings = rule_findings(
            rules_of(store=request.store), RUNTIMES.get(request.store.pk), now=now
        )
        context |= {
            "state": state,
            "state_words": STATE_WORDS[state],
            "badge": STATE_BADGES[state][0],
            "icon_name": STATE_BADGES[state][1],
            "findings": [finding for finding in findings if finding.rule_id == rule.pk],
            "sentence": rule_sentence(rule, _names(request.store)),
        }
    return render(request, "console/campaigns/editor.html", context, status=status)


def _fields_context(request: ConsoleRequest, values: dict[str, Any]) -> dict[str, Any]:
    when, meant = values["when"], values["meant"]
    return {
        "values": values,
        "when": [(part, WHEN_PARTS[part]) for part in when],
        "when_more": [each for each in WHEN_PARTS.items() if each[0] not in when],
        "meant": [(part, MEANT_PARTS[part]) for part in meant],
        "meant_more": [each for each in MEANT_PARTS.items() if each[0] not in meant],
        "actions": ACTIONS,
        "placements": [(each.slug, each.name) for each in placements_of(store=request.store)],
        "segments": [(each.key, each.name) for each in segments_of(store=request.store)],
        "pages": list(PAGE_LABELS.items()),
        "devices": DEVICES,
        "weekdays": [(str(day), name[:-1]) for day, name in enumerate(WEEKDAYS, start=1)],
        "availabilities": list(AVAILABILITY_WORDS.items()),
        "currency": request.store.currency,
        "time_zone": request.store.time_zone,
    }


def _stored(rule: Rule, currency: str) -> dict[str, Any]:
    document = rule.document if isinstance(rule.document, dict) else {}
    values = rule_form_values(document, currency)
    values |= {
        "name": rule.name,
        "note": rule.note,
        "starts_at": _field_moment(rule.starts_at),
        "ends_at": _field_moment(rule.ends_at),
    }
    return values


def _field_moment(at: datetime | None) -> str:
    """As a field of type datetime-local wants it, in the store's time zone."""
    return "" if at is None else f"{timezone.localtime(at):%Y-%m-%dT%H:%M}"


def _words(request: ConsoleRequest) -> dict[str, Any]:
    """The sentence and the counts, or what is missing yet."""
    runtime = RUNTIMES.get(request.store.pk)
    try:
        document = rule_document_from_form(request.POST)
        starts_at, ends_at = rule_dates_from_form(request.POST)
        parsed = rule_parse(document)
    except InvalidRuleError as error:
        return {"missing": str(error)}
    names = _names(request.store)
    sentence = document_sentence(parsed, names, starts_at=starts_at, ends_at=ends_at)
    meant: Meant | None = None
    problem = ""
    if runtime is not None:
        try:
            meant = rule_meant(document, runtime, now=timezone.now())
        except InvalidRuleError as error:
            problem = str(error)
    return {
        "sentence": sentence,
        "meant": meant,
        "problem": problem,
        "compares": parsed.target.is_relative,
        "read_at": timezone.now(),
    }


def _names(store: Store) -> Names:
    return Names(
        store.currency,
        {each.slug: each.name for each in placements_of(store=store)},
        {each.key: each.name for each in segments_of(store=store)},
    )


def _rule(request: ConsoleRequest, rule_id: int) -> Rule:
    rule = rule_find(store=request.store, rule_id=rule_id)
    if rule is None:
        raise Http404
    return rule
