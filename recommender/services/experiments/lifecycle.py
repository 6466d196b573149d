"""From the start of an experiment to its end: what divides shoppers, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from catalog.models import User
from recommender.engine.online.bucketing import bucket_ranges, free_range_start, ramp_moves
from recommender.models import Experiment, ExperimentPhase
from recommender.services.experiments.checks import shares_faults
from recommender.services.experiments.records import (
    Action,
    ExperimentRefused,
    experiment_lock,
    experiment_record,
    moment_after,
    phase_close,
    phase_open,
    state_require,
    weights_of,
    weights_set,
)
from recommender.services.strategies import settings_touch

__all__ = [
    "ExperimentRefused",
    "experiment_pause",
    "experiment_ramp",
    "experiment_resume",
    "experiment_start",
    "experiment_stop",
    "experiment_weights_learn",
]

State = Experiment.State
Cause = ExperimentPhase.Cause
# Weights are learned every hour. A shift that is smaller than this (half the sum of the changes)
# isn't worth the shoppers who would see another variant than before.
SMALLEST_SHIFT = 0.01


def experiment_start(
    *,
    experiment: Experiment,
    actor: User | None,
    now: datetime,
    plan: Mapping[str, Any] | None = None,
    planned_shoppers: int | None = None,
) -> None:
    """From the next second on shoppers are divided, and the experiment is locked.

    `plan` is what the planner knew, `planned_shoppers` how many it expects in all arms together at
    the planned end. Raises ExperimentRefused: not a draft, another experiment on a placement, no
    room in the group. Of two members who start at the same time one is refused.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        state_require(current, State.DRAFT)
        _refuse_neighbours(current)
        _take_group_range(current)
        current.state = State.RUNNING
        current.started_at = now
        current.plan = dict(plan or {})
        current.planned_shoppers = planned_shoppers
        current.save()
        phase_open(current, Cause.START, now)
        after = {
            "placements": _placement_names(current),
            "coverage": current.coverage,
            "weights": weights_of(current),
            "planned_days": current.planned_days,
            "planned_shoppers": planned_shoppers,
        }
        experiment_record(current, actor, "experiment.start", after=after)
        settings_touch(store_id=current.store_id)
    experiment.refresh_from_db()


def experiment_pause(*, experiment: Experiment, actor: User | None, now: datetime) -> None:
    """Everybody sees the placements' own strategies until it is taken up again.

    It keeps its placements and its range of the group: no other experiment comes in between.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        if current.kind == Experiment.Kind.HOLDOUT:
            raise ExperimentRefused(
                "A hold-out isn't paused: stop it, and start another one later."
            )
        _move(current, State.RUNNING, State.PAUSED)
        phase_close(current, moment_after(current, now))
        experiment_record(current, actor, "experiment.pause")
        settings_touch(store_id=current.store_id)
    experiment.refresh_from_db()


def experiment_resume(*, experiment: Experiment, actor: User | None, now: datetime) -> None:
    """Shoppers are divided again, everybody into the variant that they were in."""
    with transaction.atomic():
        current = experiment_lock(experiment)
        _move(current, State.PAUSED, State.RUNNING)
        phase_open(current, Cause.RESUME, moment_after(current, now))
        experiment_record(current, actor, "experiment.resume")
        settings_touch(store_id=current.store_id)
    experiment.refresh_from_db()


def experiment_ramp(
    *,
    experiment: Experiment,
    coverage: float | None,
    weights: Sequence[float] | None,
    actor: User | None,
    now: datetime,
) -> float:
    """Change how many take part, and in what shares; None leaves it as it is.

    Returns the share of the participants who see another variant than before: 0 when the coverage
    rises (`recommender.engine.online.bucketing.ramp_moves` says it beforehand). The same again
    changes nothing. Raises ExperimentRefused.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        state_require(current, State.RUNNING)
        if weights is not None and current.kind in (
            Experiment.Kind.BANDIT,
            Experiment.Kind.INTERLEAVING,
        ):
            raise ExperimentRefused(
                {"weights": "A bandit learns its weights by itself."}
                if current.kind == Experiment.Kind.BANDIT
                else {"weights": "Interleaving shows both strategies to everybody: no weights."}
            )
        if current.kind == Experiment.Kind.HOLDOUT:
            raise ExperimentRefused("Change the share of the hold-out instead.")
        moved = shares_change(
            current,
            coverage=current.coverage if coverage is None else coverage,
            weights=weights_of(current) if weights is None else list(weights),
            cause=Cause.RAMP,
            action="experiment.ramp",
            actor=actor,
            now=now,
        )
    experiment.refresh_from_db()
    return moved


def experiment_weights_learn(
    *, experiment: Experiment, weights: Sequence[float], now: datetime
) -> bool:
    """Give a running bandit its next weights; returns whether they differ enough to be taken.

    The phase is the record: there would be an audit entry every hour.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        if current.kind != Experiment.Kind.BANDIT or current.state != State.RUNNING:
            return False
        before = weights_of(current)
        old, new = sum(before), sum(weights)
        shift = sum(abs(a / old - b / new) for a, b in zip(before, weights, strict=True)) / 2
        if shift < SMALLEST_SHIFT:
            return False
        shares_change(
            current,
            coverage=current.coverage,
            weights=list(weights),
            cause=Cause.BANDIT,
            action=None,
            actor=None,
            now=now,
        )
    return True


def experiment_stop(*, experiment: Experiment, actor: User | None, now: datetime) -> None:
    """The end: everybody sees the placements' own strategies. It can't be started again."""
    with transaction.atomic():
        current = experiment_lock(experiment)
        if current.kind == Experiment.Kind.HOLDOUT:
            raise ExperimentRefused("Stop the hold-out in the store's hold-out page.")
        stop_now(current, actor=actor, action="experiment.stop", now=now)
    experiment.refresh_from_db()


def stop_now(current: Experiment, *, actor: User | None, action: Action, now: datetime) -> None:
    """Stop an experiment that is locked, in the caller's transaction."""
    state_require(current, *Experiment.LIVE)
    now = moment_after(current, now)
    current.state = State.STOPPED
    current.stopped_at = now
    current.save(update_fields=["state", "stopped_at"])
    phase_close(current, now)
    experiment_record(current, actor, action)
    settings_touch(store_id=current.store_id)


def shares_change(
    current: Experiment,
    *,
    coverage: float,
    weights: list[float],
    cause: ExperimentPhase.Cause,
    action: Action | None,
    actor: User | None,
    now: datetime,
) -> float:
    """Open a phase with other shares, in the caller's transaction; returns the share who move."""
    old_coverage, old_weights = current.coverage, weights_of(current)
    if len(weights) != len(old_weights):
        raise ExperimentRefused({"weights": f"{len(old_weights)} variants need a weight each."})
    if wrong := shares_faults(weights, coverage):
        raise ExperimentRefused(wrong)
    if (coverage, weights) == (old_coverage, old_weights):
        return 0.0
    now = moment_after(current, now)
    moved = ramp_moves(bucket_ranges(old_weights, old_coverage), bucket_ranges(weights, coverage))
    current.coverage = coverage
    current.save(update_fields=["coverage"])
    weights_set(current, weights)
    phase_close(current, now)
    phase_open(current, cause, now)
    if action is not None:
        experiment_record(
            current,
            actor,
            action,
            before={"coverage": old_coverage, "weights": old_weights},
            after={"coverage": coverage, "weights": weights, "moved": round(moved, 4)},
        )
    settings_touch(store_id=current.store_id)
    return moved


def _move(current: Experiment, allowed: Experiment.State, state: Experiment.State) -> None:
    state_require(current, allowed)
    current.state = state
    current.save(update_fields=["state"])


def _placement_names(experiment: Experiment) -> list[str]:
    return list(experiment.on.order_by("placement__name").values_list("placement__name", flat=True))


def _on_now(experiment: Experiment) -> list[Experiment]:
    """Other experiments of the store that run or are paused, hold-outs left out."""
    return list(
        Experiment.objects.filter(store_id=experiment.store_id, state__in=Experiment.LIVE)
        .exclude(kind=Experiment.Kind.HOLDOUT)
        .exclude(pk=experiment.pk)
        .prefetch_related("on__placement")
        .order_by("pk")
    )


def _refuse_neighbours(experiment: Experiment) -> None:
    """A placement has one experiment at a time, or several of one exclusion group."""
    here = set(experiment.on.values_list("placement_id", flat=True))
    for other in _on_now(experiment):
        if experiment.group_id is not None and other.group_id == experiment.group_id:
            continue
        shared = [each.placement for each in other.on.all() if each.placement_id in here]
        if shared:
            state = "runs" if other.state == State.RUNNING else "is paused"
            raise ExperimentRefused(
                f"“{other.name}” {state} on “{shared[0].name}”. Stop it first, or put both into one"
                " exclusion group."
            )


def _take_group_range(experiment: Experiment) -> None:
    """The first free range of the group's buckets that is as large as wanted."""
    if experiment.group is None:
        return
    share = (experiment.group_end or 0.0) - (experiment.group_start or 0.0)
    others = [each for each in _on_now(experiment) if each.group_id == experiment.group_id]
    taken = [
        (each.group_start, each.group_end)
        for each in others
        if each.group_start is not None and each.group_end is not None
    ]
    start = free_range_start(taken, share)
    if start is None:
        names = ", ".join(f"“{each.name}”" for each in others)
        raise ExperimentRefused(
            {
                "group_share": (
                    f"There is no room for {share:.0%} of the shoppers in “{experiment.group.name}”"
                    f" beside {names}."
                )
            }
        )
    experiment.group_start, experiment.group_end = start, round(start + share, 4)
