"""Runs and artifacts, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from recommender.models import Artifact, Run

ACTIVE = (Run.State.QUEUED, Run.State.RUNNING)
# Trained only where somebody has asked for them; elsewhere there is nothing to say about them.
ON_CHOICE = frozenset({Run.Family.CHOSEN_METHOD, Run.Family.BLEND, Run.Family.SOURCE_BANDIT})


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """One family of a store: what serves, what is happening, what happened last.

    Attributes
    ----------
    as_of
        Time of the newest fact that the serving version knows; None if nothing serves.
    known_until
        Until when what came in is known to it: events, or products for the content embeddings.
    last
        The latest full training.
    failed_increment
        The latest increment, if it failed.
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


def family_statuses(*, store_id: int) -> list[FamilyStatus]:
    """The state of all families; of those on choice once they were asked for. Two queries."""
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
    known_us = marks.get("received_us") or marks.get("updated_us")
    return datetime.fromtimestamp(known_us / 1e6, UTC) if known_us else None


def _as_of(artifact: Artifact | None) -> datetime | None:
    if artifact is None:
        return None
    return datetime.fromtimestamp(artifact.manifest["as_of_s"], UTC)
