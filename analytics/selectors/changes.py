"""What members, campaigns and trainings changed in what shoppers are shown, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import timezone

from catalog.models import AuditEntry, Store
from recommender.models import Artifact, Placement, Rule, Run, StrategyVersion

# A training on schedule is a change if its quality moved by more than this share; most are the same
# model with a day more.
_QUALITY_MOVED = 0.1
# An audit log of years isn't read for one page.
_MAX_ENTRIES = 500


class Kind(StrEnum):
    STRATEGY = "strategy"
    CAMPAIGN = "campaign"
    MODEL = "model"
    EXPERIMENT = "experiment"


@dataclass(frozen=True, slots=True)
class StoreChange:
    """One change in words. `placements` are slugs; empty: of the whole store."""

    at: datetime
    kind: Kind
    words: str
    placements: tuple[str, ...] = ()


_RULE_WORDS = {
    "rule.create": "Rule “{}” was made",
    "rule.edit": "Rule “{}” was changed",
    "rule.enable": "Rule “{}” was switched on",
    "rule.disable": "Rule “{}” was switched off",
    "rule.delete": "Rule “{}” was deleted",
    "rule.pause": "Campaign “{}” paused itself",
}
_STRATEGY_ACTIONS = ("strategy.edit", "strategy.restore")
_PLACEMENT_WORDS = {
    "placement.create": "Placement “{}” was made",
    "placement.pause": "Placement “{}” was paused",
    "placement.resume": "Placement “{}” is live again",
}
_EXPERIMENT_WORDS = {
    "experiment.start": "Experiment “{}” started",
    "experiment.stop": "Experiment “{}” stopped",
    "experiment.pause": "Experiment “{}” paused",
    "experiment.resume": "Experiment “{}” was taken up again",
    "experiment.ramp": "Experiment “{}” changed its coverage or weights",
    "experiment.decide": "Experiment “{}” was decided",
}


def changes_in(*, store: Store, first: date, last: date) -> list[StoreChange]:
    """What changed from the first to the last day, oldest first. Five queries at most."""
    zone = ZoneInfo(store.time_zone)
    since = datetime.combine(first, datetime.min.time(), zone)
    until = datetime.combine(last, datetime.max.time(), zone)
    found = [
        *_by_members(store, since, until),
        *_campaigns(store, since, until),
        *_models(store, since, until),
    ]
    return sorted(found, key=lambda each: (each.at, each.words))


def _by_members(store: Store, since: datetime, until: datetime) -> Iterator[StoreChange]:
    actions = (*_STRATEGY_ACTIONS, "placement.edit", *_RULE_WORDS, *_PLACEMENT_WORDS, *_EXPERIMENT_WORDS,
               "model.confirm", "event_weights.save")  # fmt: skip
    entries = list(
        AuditEntry.objects.filter(
            store=store, at__range=(since, until), action__in=actions
        ).order_by("-at")[:_MAX_ENTRIES]
    )
    versions = _versions(store, entries)
    names = (
        dict(Placement.objects.filter(store=store).values_list("slug", "name")) if entries else {}
    )
    for entry in entries:
        change = _of_entry(entry, names, versions)
        if change is not None:
            yield change


def _of_entry(
    entry: AuditEntry, names: dict[str, str], versions: dict[int, str]
) -> StoreChange | None:
    after: dict[str, Any] = entry.after if isinstance(entry.after, dict) else {}
    by = f" by {entry.actor_email}" if entry.actor_email else ""
    if entry.action in _STRATEGY_ACTIONS and "placements" not in after:
        words = f"Strategy “{entry.subject}” was changed by an imported configuration{by}"
        return StoreChange(entry.at, Kind.STRATEGY, words)
    if entry.action in _STRATEGY_ACTIONS:
        slugs = tuple(slug for slug in after.get("placements") or () if isinstance(slug, str))
        if not slugs:
            # A version that no placement shows changes nothing for shoppers.
            return None
        on = ", ".join(names.get(slug, slug) for slug in slugs)
        words = f"Strategy “{entry.subject}” version {after.get('version')} went live on {on}{by}"
        return StoreChange(entry.at, Kind.STRATEGY, words, slugs)
    if entry.action == "placement.edit":
        if "strategy_version_id" not in after:
            return None
        shown = versions.get(after["strategy_version_id"], "another strategy")
        words = f"{entry.subject} shows {shown} now{by}"
        return StoreChange(entry.at, Kind.STRATEGY, words, (entry.subject_key,))
    for kind, wording in (
        (Kind.CAMPAIGN, _RULE_WORDS),
        (Kind.STRATEGY, _PLACEMENT_WORDS),
        (Kind.EXPERIMENT, _EXPERIMENT_WORDS),
    ):
        if entry.action in wording:
            slugs = (entry.subject_key,) if wording is _PLACEMENT_WORDS else ()
            return StoreChange(
                entry.at, kind, wording[entry.action].format(entry.subject) + by, slugs
            )
    if entry.action == "model.confirm":
        return StoreChange(entry.at, Kind.MODEL, f"{entry.subject} was confirmed and published{by}")
    return StoreChange(entry.at, Kind.MODEL, f"The event weights were changed{by}")


def _versions(store: Store, entries: list[AuditEntry]) -> dict[int, str]:
    asked = {
        entry.after["strategy_version_id"]
        for entry in entries
        if entry.action == "placement.edit"
        and isinstance(entry.after, dict)
        and isinstance(entry.after.get("strategy_version_id"), int)
    }
    if not asked:
        return {}
    found = StrategyVersion.objects.filter(store=store, pk__in=asked).select_related("strategy")
    return {each.pk: f"“{each.strategy.name}” version {each.number}" for each in found}


def _campaigns(store: Store, since: datetime, until: datetime) -> Iterator[StoreChange]:
    """Campaigns that began or ended by their dates."""
    now = timezone.now()
    dated = Rule.objects.filter(store=store, enabled=True, paused_at=None).filter(
        Q(starts_at__range=(since, until)) | Q(ends_at__range=(since, until))
    )
    for rule in dated:
        for at, word in ((rule.starts_at, "began"), (rule.ends_at, "ended")):
            if at is not None and since <= at <= min(until, now):
                yield StoreChange(at, Kind.CAMPAIGN, f"Campaign “{rule.name}” {word}")


def _models(store: Store, since: datetime, until: datetime) -> Iterator[StoreChange]:
    """Trainings that members asked for, first ones, and those that changed the quality clearly.

    What new events add every minute, and what the schedule does every night, would be a mark on
    every day.
    """
    headlines = dict(
        Artifact.objects.filter(store=store, serving=True).values_list(
            "family", "manifest__headline"
        )
    )
    # These went live when a member said so, which is an entry of its own.
    confirmed = AuditEntry.objects.filter(store=store, action="model.confirm")
    held = set(confirmed.values_list("subject_key", flat=True))
    before: dict[str, Run] = {}
    for run in (
        Run.objects.filter(store=store, state=Run.State.PUBLISHED, finished_at__lte=until)
        .exclude(trigger=Run.Trigger.INCREMENT)
        .only("family", "finished_at", "trigger", "quality")
        .order_by("finished_at")
    ):
        older = before.get(run.family)
        before[run.family] = run
        if run.finished_at is None or run.finished_at < since or str(run.pk) in held:
            continue
        words = _run_words(run, older, headlines.get(run.family))
        if words:
            yield StoreChange(run.finished_at, Kind.MODEL, words)


def _run_words(run: Run, older: Run | None, headline: str | None) -> str:
    name = run.get_family_display()
    if older is None:
        return f"{name} published for the first time"
    now, then = run.quality.get(headline), older.quality.get(headline)
    if isinstance(now, int | float) and isinstance(then, int | float) and then:
        moved = now / then - 1
        if abs(moved) > _QUALITY_MOVED:
            better = "better" if moved > 0 else "worse"
            return f"{name} published, {abs(moved) * 100:.0f} % {better} by its own test"
    if run.trigger in (Run.Trigger.MEMBER, Run.Trigger.COMMAND):
        return f"{name} trained on request and published"
    return ""
