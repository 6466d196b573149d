"""Results of an experiment as they were kept, and what there is before the first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, QuerySet

from analytics.models import ExperimentSnapshot
from catalog.models import Store
from recommender.models import Experiment, Exposure, Impression

_Kind = ExperimentSnapshot.Kind
# Frozen ones that a member may want to go back to, besides those of days.
_KEPT = (_Kind.FOUND, _Kind.PLANNED_END, _Kind.DECISION, _Kind.RANGE)


def snapshot_latest(*, experiment: Experiment) -> ExperimentSnapshot | None:
    """None before the first look, or while it waits for a worker."""
    return _of(experiment).filter(kind=_Kind.LATEST, document__isnull=False).first()


def snapshot_stamp(*, store: Store, key: str) -> str | None:
    """What changes with every look at an experiment, without its document. One query.

    None: there is no such experiment. Empty: nothing was looked at yet.
    """
    row = (
        Experiment.objects.filter(store=store, key=key)
        .values_list("pk", "state", "decided_at")
        .first()
    )
    if row is None:
        return None
    pk, state, decided_at = row
    computed_at = (
        ExperimentSnapshot.objects.filter(store=store, experiment_id=pk, kind=_Kind.LATEST)
        .values_list("computed_at", flat=True)
        .first()
    )
    return stamp_of(state, decided_at, computed_at)


def stamp_of(state: str, decided_at: datetime | None, computed_at: datetime | None) -> str:
    """As one word for an address: the same as long as the page would look the same."""
    moments = (decided_at, computed_at)
    return "-".join([state, *("0" if at is None else f"{at.timestamp():.6f}" for at in moments)])


def snapshot_find(*, experiment: Experiment, snapshot_id: int) -> ExperimentSnapshot | None:
    """By its id; it may still wait for a worker."""
    return _of(experiment).filter(pk=snapshot_id).first()


def snapshot_of_day(*, experiment: Experiment, day: date) -> ExperimentSnapshot | None:
    """The results as they were at the end of a day."""
    return _of(experiment).filter(kind=_Kind.DAY, last_day=day, document__isnull=False).first()


def snapshot_list(*, experiment: Experiment) -> tuple[list[date], list[ExperimentSnapshot]]:
    """Days whose end was kept, the newest first, and the other frozen ones without documents.

    One query.
    """
    found = list(
        _of(experiment)
        .filter(Q(kind=_Kind.DAY, document__isnull=False) | Q(kind__in=_KEPT))
        .defer("document")
        .order_by("-last_day", "-asked_at")
    )
    days = [each.last_day for each in found if each.kind == _Kind.DAY and each.last_day]
    return days, sorted(
        (each for each in found if each.kind != _Kind.DAY), key=lambda each: each.asked_at
    )


@dataclass(frozen=True, slots=True)
class Traces:
    """What there is of a running experiment before its first results."""

    any_exposed: bool
    any_answer: bool


def experiment_traces(*, experiment: Experiment) -> Traces:
    """Whether anybody was exposed, and whether its placements answered since the start."""
    answers = Impression.objects.filter(
        store_id=experiment.store_id, delivered_at__gte=experiment.started_at
    )
    placements = [each.placement_id for each in experiment.on.all()]
    if placements:
        answers = answers.filter(placement_id__in=placements)
    return Traces(
        Exposure.objects.filter(store_id=experiment.store_id, experiment_id=experiment.pk).exists(),
        experiment.started_at is not None and answers.exists(),
    )


def _of(experiment: Experiment) -> QuerySet[ExperimentSnapshot]:
    return ExperimentSnapshot.objects.filter(
        store_id=experiment.store_id, experiment_id=experiment.pk
    )


def experiment_snapshot(*, store_id: int, key_or_id: str) -> tuple[bool, object | None]:
    """Whether there is such an experiment, and its latest document. At most two queries.

    A key wins over an id that looks the same.
    """
    named = Q(key=key_or_id)
    if key_or_id.isascii() and key_or_id.isdecimal() and len(key_or_id) < 19:
        named |= Q(pk=int(key_or_id))
    found = list(Experiment.objects.filter(named, store_id=store_id).values_list("pk", "key"))
    if not found:
        return False, None
    pk = min(found, key=lambda each: each[1] != key_or_id)[0]
    document = (
        ExperimentSnapshot.objects.filter(store_id=store_id, experiment_id=pk, kind=_Kind.LATEST)
        .values_list("document", flat=True)
        .first()
    )
    return True, document
