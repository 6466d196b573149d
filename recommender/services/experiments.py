"""Experiments on placements: made as a draft, then started, paused and stopped."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from recommender.engine.online.bucketing import bucket_ranges
from recommender.models import Experiment, Placement, StrategyVersion, Variant
from recommender.services.strategies import settings_touch


class ExperimentRefused(Exception):
    """What was asked for is not possible now; the text says why."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant to be."""

    key: str
    name: str
    strategy_version: StrategyVersion
    weight: float = 1.0


def experiment_create(
    *, placement: Placement, key: str, name: str, arms: Sequence[Arm], coverage: float = 1.0
) -> Experiment:
    """A draft; the first arm is the control. Shoppers see nothing of it.

    Raises
    ------
    ExperimentRefused
        Fewer than two arms, or a version of another store.
    InvalidInputError
        Weights or coverage that can't be.
    """
    if len(arms) < 2:
        raise ExperimentRefused("An experiment compares at least two variants.")
    if any(arm.strategy_version.store_id != placement.store_id for arm in arms):
        raise ExperimentRefused("A variant shows a strategy version of another store.")
    bucket_ranges([arm.weight for arm in arms], coverage)
    with transaction.atomic():
        experiment = Experiment.objects.create(
            store_id=placement.store_id,
            placement=placement,
            key=key,
            name=name,
            seed=secrets.token_hex(8),
            coverage=coverage,
        )
        Variant.objects.bulk_create(
            Variant(
                store_id=placement.store_id,
                experiment=experiment,
                key=arm.key,
                name=arm.name,
                position=position,
                weight=arm.weight,
                strategy_version=arm.strategy_version,
            )
            for position, arm in enumerate(arms)
        )
    return experiment


def experiment_start(*, experiment: Experiment, now: datetime) -> None:
    """From the next second on shoppers are divided. Also takes a paused experiment up again."""
    _move(
        experiment,
        {Experiment.State.DRAFT, Experiment.State.PAUSED},
        Experiment.State.RUNNING,
        started_at=experiment.started_at or now,
    )


def experiment_pause(*, experiment: Experiment) -> None:
    """Everybody sees the placement's own strategy until it is started again."""
    _move(experiment, {Experiment.State.RUNNING}, Experiment.State.PAUSED)


def experiment_stop(*, experiment: Experiment, now: datetime) -> None:
    """The end: everybody sees the placement's own strategy."""
    running = {Experiment.State.RUNNING, Experiment.State.PAUSED}
    _move(experiment, running, Experiment.State.STOPPED, stopped_at=now)


def _move(
    experiment: Experiment,
    allowed: set[Experiment.State],
    state: Experiment.State,
    **times: datetime,
) -> None:
    """Change the state unless somebody else did so before, and tell the serving processes."""
    try:
        with transaction.atomic():
            moved = Experiment.objects.filter(
                pk=experiment.pk, store_id=experiment.store_id, state__in=allowed
            ).update(state=state, **times)
            if not moved:
                experiment.refresh_from_db()
                raise ExperimentRefused(f"The experiment is {experiment.get_state_display()}.")
            settings_touch(store_id=experiment.store_id)
    except IntegrityError as error:
        raise ExperimentRefused("Another experiment runs on this placement.") from error
    experiment.refresh_from_db()
