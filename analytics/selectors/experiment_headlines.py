"""What is known about each experiment, for lists: the latest results in a few words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from analytics.models import ExperimentSnapshot
from catalog.models import AuditEntry, Store
from recommender.models import Experiment

_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Headline:
    """Out of the latest snapshot's document. None: it doesn't say."""

    status: str
    words: str
    n_shoppers: int | None
    days_left: int | None
    progress: float | None
    computed_at: datetime | None


def experiment_headlines(*, store: Store, ids: Collection[int]) -> dict[int, Headline]:
    """By experiment; those that no worker has looked at yet are left out. One query.

    Only these few values leave the database: the documents are large.
    """
    rows = ExperimentSnapshot.objects.filter(
        store=store,
        experiment_id__in=ids,
        kind=ExperimentSnapshot.Kind.LATEST,
        document__isnull=False,
    ).values_list(
        "experiment_id",
        "document__status",
        "document__headline",
        "document__power__n_shoppers",
        "document__power__days_left",
        "document__power__progress",
        "computed_at",
    )
    return {
        experiment_id: Headline(status or "", words or "", n_shoppers, days_left, progress, at)
        for experiment_id, status, words, n_shoppers, days_left, progress, at in rows
    }


def experiment_history(*, store: Store, experiment: Experiment) -> list[AuditEntry]:
    """Who changed what about an experiment, the newest first. One query."""
    return list(
        AuditEntry.objects.filter(
            Q(action__startswith="experiment.") | Q(action__startswith="holdout."),
            store=store,
            subject_key=experiment.key,
        )
        .select_related("actor")
        .order_by("-at", "-pk")[:_ENTRIES]
    )
