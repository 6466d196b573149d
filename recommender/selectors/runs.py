"""Runs and artifacts, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import QuerySet

from recommender.models import Artifact, Run

ACTIVE = (Run.State.QUEUED, Run.State.RUNNING)


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """One family of a store: what serves, what is happening, what happened last.

    Attributes
    ----------
    as_of
        Time of the newest fact that the serving version knows; None if nothing serves.
    """

    family: str
    label: str
    serving: Artifact | None
    as_of: datetime | None
    active: Run | None
    held: Run | None
    last: Run | None


def family_statuses(*, store_id: int) -> list[FamilyStatus]:
    """The state of all families. Two queries."""
    serving = {
        artifact.family: artifact
        for artifact in Artifact.objects.filter(store_id=store_id, serving=True).select_related(
            "run"
        )
    }
    latest: dict[str, Run] = {}
    active: dict[str, Run] = {}
    held: dict[str, Run] = {}
    for run in Run.objects.filter(store_id=store_id).order_by("-queued_at")[:200]:
        latest.setdefault(run.family, run)
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
            active=active.get(family),
            held=held.get(family),
            last=latest.get(family),
        )
        for family in Run.Family
    ]


def runs_latest(*, store_id: int, family: str | None = None) -> QuerySet[Run]:
    """Runs of a store, newest first, with who asked for them."""
    runs = Run.objects.filter(store_id=store_id).select_related("requested_by")
    if family is not None:
        runs = runs.filter(family=family)
    return runs.order_by("-queued_at")


def _as_of(artifact: Artifact | None) -> datetime | None:
    if artifact is None:
        return None
    return datetime.fromtimestamp(artifact.manifest["as_of_s"], UTC)
