"""Writing, ordering and switching rules. Serving follows within a second."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.models import Rule
from recommender.services.strategies import settings_touch, store_lock
from recommender.serving.rules import InvalidRuleError, rule_json, rule_parse

MAX_RULES = 1_000


class RuleRefused(ValueError):
    """A rule that can't be written like this; the text says why."""


def rule_create(
    *,
    store: Store,
    name: str,
    document: Any,
    member: User | None,
    note: str = "",
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    enabled: bool = True,
) -> Rule:
    """Add a rule behind all others. Raises RuleRefused; then nothing is changed."""
    fields = _fields(name, note, document, starts_at, ends_at)
    with transaction.atomic():
        # New rules of a store take their places one after the other.
        Store.objects.select_for_update().get(pk=store.pk)
        if Rule.objects.filter(store=store).count() >= MAX_RULES:
            raise RuleRefused(f"A store has at most {MAX_RULES:,} rules; delete some that ended.")
        last = Rule.objects.filter(store=store).aggregate(last=Max("position"))["last"]
        rule = Rule.objects.create(
            store=store,
            author=member,
            position=0 if last is None else last + 1,
            enabled=enabled,
            **fields,
        )
        _record(rule, member, "rule.create", before=None, after=_told(rule))
    return rule


def rule_edit(
    *,
    rule: Rule,
    name: str,
    document: Any,
    member: User | None,
    note: str = "",
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Rule:
    """Replace what a rule says. Raises RuleRefused; then nothing is changed."""
    fields = _fields(name, note, document, starts_at, ends_at)
    with transaction.atomic():
        current = _locked(rule)
        before = _told(current)
        for field, value in fields.items():
            setattr(current, field, value)
        _save(current)
        _record(current, member, "rule.edit", before=before, after=_told(current))
    return current


def rule_switch(*, rule: Rule, on: bool, member: User | None) -> Rule:
    """Switch a rule on or off; on also ends a pause, whatever its reason."""
    with transaction.atomic():
        current = _locked(rule)
        before = {"enabled": current.enabled, "paused": current.paused_reason}
        current.enabled = on
        if on:
            current.paused_at, current.paused_reason = None, ""
        _save(current)
        after = {"enabled": on, "paused": current.paused_reason}
        if before != after:
            action = "rule.enable" if on else "rule.disable"
            _record(current, member, action, before=before, after=after)
    return current


def rule_move(*, rule: Rule, steps: int, member: User | None) -> bool:
    """Move a rule up (negative) or down in the order. False if it stands at the end already."""
    with transaction.atomic():
        Store.objects.select_for_update().get(pk=rule.store_id)
        ordered = list(Rule.objects.filter(store_id=rule.store_id).order_by("position", "pk"))
        places = {each.pk: place for place, each in enumerate(ordered)}
        if rule.pk not in places:
            return False
        old = places[rule.pk]
        new = min(max(old + steps, 0), len(ordered) - 1)
        if new == old:
            return False
        moved = ordered.pop(old)
        ordered.insert(new, moved)
        for place, each in enumerate(ordered):
            each.position = place
        Rule.objects.bulk_update(ordered, ["position"])
        _record(moved, member, "rule.move", before={"place": old + 1}, after={"place": new + 1})
    return True


def rule_delete(*, rule: Rule, member: User | None) -> None:
    """Delete a rule for good; the audit log keeps what it said."""
    with transaction.atomic():
        current = _locked(rule)
        before = _told(current)
        _record(current, member, "rule.delete", before=before, after=None)
        current.delete()


def _fields(
    name: str,
    note: str,
    document: Any,
    starts_at: datetime | None,
    ends_at: datetime | None,
) -> dict[str, Any]:
    name, note = name.strip(), note.strip()
    if not name:
        raise RuleRefused("Give the rule a name.")
    if len(name) > 120 or len(note) > 300:
        raise RuleRefused("A name has at most 120 characters, a note 300.")
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        raise RuleRefused("The campaign ends before it begins.")
    try:
        parsed = rule_parse(document)
    except InvalidRuleError as error:
        raise RuleRefused(str(error)) from error
    return {
        "name": name,
        "note": note,
        "document": rule_json(parsed),
        "starts_at": starts_at,
        "ends_at": ends_at,
    }


def _locked(rule: Rule) -> Rule:
    store_lock(rule.store_id)
    found = Rule.objects.select_for_update().filter(pk=rule.pk, store_id=rule.store_id).first()
    if found is None:
        raise RuleRefused("Somebody has deleted this rule.")
    return found


def _save(rule: Rule) -> None:
    rule.updated_at = timezone.now()
    rule.save()


def _told(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "note": rule.note,
        "document": rule.document,
        "starts_at": rule.starts_at.isoformat() if rule.starts_at else None,
        "ends_at": rule.ends_at.isoformat() if rule.ends_at else None,
        "enabled": rule.enabled,
    }


def _record(rule: Rule, member: User | None, action: str, *, before: Any, after: Any) -> None:
    audit_record(
        store=rule.store,
        actor=member,
        action=action,
        subject=rule.name,
        subject_key=str(rule.pk),
        before=before,
        after=after,
    )
    settings_touch(store_id=rule.store_id)
