"""Rules and campaigns as members see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from catalog.models import Store
from recommender.models import Rule, Segment


class RuleState(StrEnum):
    """What a rule does at a moment, as far as dates and switches say."""

    ACTIVE = "active"
    PLANNED = "planned"
    ENDED = "ended"
    PAUSED = "paused"
    OFF = "off"


def rules_of(*, store: Store) -> list[Rule]:
    """All rules in their order. One query."""
    return list(
        Rule.objects.filter(store=store).select_related("author").order_by("position", "pk")
    )


def rule_find(*, store: Store, rule_id: int) -> Rule | None:
    return Rule.objects.filter(store=store, pk=rule_id).first()


def rule_state(rule: Rule, *, now: datetime) -> RuleState:
    """Off before paused before its dates: what a member has to change first."""
    if not rule.enabled:
        return RuleState.OFF
    if rule.paused_at is not None:
        return RuleState.PAUSED
    if rule.ends_at is not None and rule.ends_at <= now:
        return RuleState.ENDED
    if rule.starts_at is not None and rule.starts_at > now:
        return RuleState.PLANNED
    return RuleState.ACTIVE


def campaigns_guarded(*, now: datetime) -> list[Rule]:
    """Rules of all stores that count now and say when to pause. One query."""
    on = Rule.objects.filter(enabled=True, paused_at=None, document__guard__isnull=False)
    rules = on.select_related("store").order_by("store_id", "position", "pk")
    return [rule for rule in rules if rule_state(rule, now=now) is RuleState.ACTIVE]


def segment_users(*, store: Store, key: str) -> list[Rule]:
    """The rules whose condition names a segment."""
    return list(
        Rule.objects.filter(store=store, document__condition__segments__contains=[key]).order_by(
            "position", "pk"
        )
    )


def segments_of(*, store: Store) -> list[Segment]:
    return list(Segment.objects.filter(store=store).order_by("name", "pk"))


def segment_find(*, store: Store, segment_id: int) -> Segment | None:
    return Segment.objects.filter(store=store, pk=segment_id).first()
