"""What the services of experiments have in common: refusing, locking, phases, writing down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from catalog.models import User
from catalog.services.audit import audit_record
from recommender.models import Experiment, ExperimentPhase
from recommender.services.strategies import store_lock

Action: TypeAlias = Literal[
    "experiment.create",
    "experiment.edit",
    "experiment.delete",
    "experiment.start",
    "experiment.pause",
    "experiment.resume",
    "experiment.ramp",
    "experiment.stop",
    "experiment.decide",
    "holdout.start",
    "holdout.change",
    "holdout.stop",
]


class ExperimentRefused(Exception):
    """What was asked for is not possible; `fields` says for each field why, "" for the whole."""

    def __init__(self, fields: Mapping[str, str] | str) -> None:
        self.fields = {"": fields} if isinstance(fields, str) else dict(fields)
        super().__init__("; ".join(self.fields.values()))


def experiment_lock(experiment: Experiment) -> Experiment:
    """The experiment as it is now, its store and itself locked, in that order."""
    store_lock(experiment.store_id)
    found = (
        Experiment.objects.select_for_update(of=("self",))
        .select_related("store", "group", "segment")
        .filter(pk=experiment.pk, store_id=experiment.store_id)
        .first()
    )
    if found is None:
        raise ExperimentRefused("Somebody has deleted this experiment.")
    return found


def state_require(experiment: Experiment, *allowed: Experiment.State) -> None:
    """Refuse unless the experiment is in one of the states."""
    if experiment.state not in allowed:
        label = str(experiment.get_state_display()).lower()
        wanted = " or ".join(str(state.label).lower() for state in allowed)
        raise ExperimentRefused(f"The experiment is {label}, not {wanted}.")


def weights_of(experiment: Experiment) -> list[float]:
    """By the position of the variants."""
    return list(experiment.variants.order_by("position").values_list("weight", flat=True))


def moment_after(experiment: Experiment, now: datetime) -> datetime:
    """When something happens to an experiment that is locked: not before what happened last.

    `now` was read before the lock, and whoever had it meanwhile may have read theirs later.
    """
    last = experiment.phases.order_by("started_at", "pk").last()
    return now if last is None else max(now, last.ended_at or last.started_at)


def phase_open(experiment: Experiment, cause: ExperimentPhase.Cause, now: datetime) -> None:
    """A phase with the coverage and weights that the experiment has now."""
    ExperimentPhase.objects.create(
        store_id=experiment.store_id,
        experiment=experiment,
        cause=cause,
        coverage=experiment.coverage,
        weights=weights_of(experiment),
        started_at=now,
    )


def phase_close(experiment: Experiment, now: datetime) -> None:
    """End the open phase, if there is one."""
    experiment.phases.filter(ended_at=None).update(ended_at=now)


def weights_set(experiment: Experiment, weights: Sequence[float]) -> None:
    """Write the weights to the variants, by position."""
    for variant, weight in zip(experiment.variants.order_by("position"), weights, strict=True):
        variant.weight = weight
        variant.save(update_fields=["weight"])


def experiment_record(
    experiment: Experiment,
    actor: User | None,
    action: Action,
    *,
    before: Any = None,
    after: Any = None,
) -> None:
    """The audit entry of a change; call it in the change's transaction."""
    audit_record(
        store=experiment.store,
        actor=actor,
        action=action,
        subject=experiment.name,
        subject_key=experiment.key,
        before=before,
        after=after,
    )
