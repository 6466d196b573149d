"""Runs and artifacts, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from recommender.models import Artifact, LabChoice, Run
from recommender.selectors.blend import learned_blend_is_live
from recommender.selectors.source_bandit import source_bandit_is_live

ACTIVE = (Run.State.QUEUED, Run.State.RUNNING)
# Trained only where somebody has asked for them; elsewhere there is nothing to say about them.
ON_CHOICE = frozenset({Run.Family.CHOSEN_METHOD, Run.Family.BLEND, Run.Family.SOURCE_BANDIT})
# Marks that say so: of events, products, clicks of a blend, answers with places given to chance.
_KNOWN_UNTIL = ("received_us", "updated_us", "clicks_us", "delivered_us")


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """One family of a store: what serves, what is happening, what happened last.

    Attributes
    ----------
    as_of
        Time of the newest fact that the serving version knows; None if nothing serves.
    known_until
        Until when what came in is known to it: events, products for the content embeddings, clicks
        for blends, answers for places given to chance.
    last
        The latest full training.
    failed_increment
        The latest increment, if it failed.
    is_asked_for
        Whether it is trained on: not once no strategy that is shown needs it any more.
    """

    family: str
    label: str
    serving: Artifact | None
    as_of: datetime | None
    known_until: datetime | None
    active: Run | None
    held: Run | None
    last: Run | None
    failed_increment: Run | None
    is_asked_for: bool = True


def families_asked_for(*, store_id: int) -> list[Run.Family]:
    """All, but the Lab's choice only where there is one, and what a strategy has to ask for (blend
    weights, sources for chance) where one does. At most five queries."""
    unasked = set()
    if not LabChoice.objects.filter(store_id=store_id).exists():
        unasked.add(Run.Family.CHOSEN_METHOD)
    if not learned_blend_is_live(store_id=store_id):
        unasked.add(Run.Family.BLEND)
    if not source_bandit_is_live(store_id=store_id):
        unasked.add(Run.Family.SOURCE_BANDIT)
    return [each for each in Run.Family if each not in unasked]


def family_statuses(*, store_id: int) -> list[FamilyStatus]:
    """The state of all families; of those on choice once they were asked for. Two queries;
    at most seven where one of those serves."""
    serving = {
        artifact.family: artifact
        for artifact in Artifact.objects.filter(store_id=store_id, serving=True).select_related(
            "run"
        )
    }
    own = Run.objects.filter(store_id=store_id)
    latest = own.order_by("family", "-queued_at", "-pk").distinct("family")
    is_increment = Q(trigger=Run.Trigger.INCREMENT)
    telling = own.filter(
        Q(pk__in=latest.filter(is_increment).values("pk"))
        | Q(pk__in=latest.exclude(is_increment).values("pk"))
        | Q(state__in=(*ACTIVE, Run.State.HELD))
    )
    last: dict[str, Run] = {}
    active: dict[str, Run] = {}
    held: dict[str, Run] = {}
    failed: dict[str, Run] = {}
    for run in telling.order_by("-queued_at", "-pk"):
        if run.trigger == Run.Trigger.INCREMENT:
            if run.state == Run.State.FAILED:
                failed[run.family] = run
            continue
        last.setdefault(run.family, run)
        if run.state in ACTIVE:
            active.setdefault(run.family, run)
        if run.state == Run.State.HELD:
            held.setdefault(run.family, run)
    asked_for = set(Run.Family)
    if any(family in serving for family in ON_CHOICE):
        asked_for = set(families_asked_for(store_id=store_id))
    return [
        FamilyStatus(
            family=family.value,
            label=family.label,
            serving=serving.get(family),
            as_of=_as_of(serving.get(family)),
            known_until=_known_until(serving.get(family)),
            active=active.get(family),
            held=held.get(family),
            last=last.get(family),
            failed_increment=failed.get(family),
            is_asked_for=family in asked_for,
        )
        for family in Run.Family
        if family not in ON_CHOICE or family in last or family in serving
    ]


def runs_latest(
    *, store_id: int, family: str | None = None, increments: bool | None = None
) -> QuerySet[Run]:
    """Runs of a store, newest first, with who asked for them; only or no increments, if asked."""
    runs = Run.objects.filter(store_id=store_id).select_related("requested_by")
    if family is not None:
        runs = runs.filter(family=family)
    if increments is not None:
        is_increment = Q(trigger=Run.Trigger.INCREMENT)
        runs = runs.filter(is_increment if increments else ~is_increment)
    return runs.order_by("-queued_at", "-pk")


def _known_until(artifact: Artifact | None) -> datetime | None:
    marks = artifact.manifest.get("marks", {}) if artifact is not None else {}
    known_us = next((marks[name] for name in _KNOWN_UNTIL if marks.get(name)), None)
    return datetime.fromtimestamp(known_us / 1e6, UTC) if known_us else None


def _as_of(artifact: Artifact | None) -> datetime | None:
    if artifact is None:
        return None
    return datetime.fromtimestamp(artifact.manifest["as_of_s"], UTC)
