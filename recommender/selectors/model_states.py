"""Which models serve, how old they are, and what is being trained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog.models import Store
from recommender.models import Artifact, Run

ACTIVE = (Run.State.QUEUED, Run.State.RUNNING)


@dataclass(frozen=True, slots=True)
class ModelState:
    """One family of models of a store.

    Attributes
    ----------
    serving
        The artifact that answers now, with its run; None if nothing was published yet.
    active
        A run that waits or works.
    held
        A run that waits for a member's word, if it is younger than what serves.
    last
        The run that was asked for last, whatever became of it.
    """

    family: Run.Family
    serving: Artifact | None
    active: Run | None
    held: Run | None
    last: Run | None

    @property
    def trained_at(self) -> datetime | None:
        """When what serves was made."""
        return self.serving.created_at if self.serving else None


def model_states(*, store: Store) -> list[ModelState]:
    """All families in the order of `Run.Family`. Three queries."""
    serving = {
        artifact.family: artifact
        for artifact in Artifact.objects.filter(store=store, serving=True).select_related("run")
    }
    latest = {
        run.family: run
        for run in Run.objects.filter(store=store)
        .select_related("requested_by")
        .order_by("family", "-queued_at", "-pk")
        .distinct("family")
    }
    waiting: dict[tuple[str, str], Run] = {}
    for run in Run.objects.filter(store=store, state__in=(*ACTIVE, Run.State.HELD)).order_by("pk"):
        waiting[run.family, "held" if run.state == Run.State.HELD else "active"] = run
    return [
        ModelState(
            family=family,
            serving=serving.get(family),
            active=waiting.get((family, "active")),
            held=waiting.get((family, "held")),
            last=latest.get(family),
        )
        for family in Run.Family
    ]
