"""Looking at some of an experiment's days."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import transaction

from analytics.models import ExperimentSnapshot
from analytics.services.snapshots import snapshot_range_ask
from catalog.models import User
from catalog.services.audit import audit_record
from recommender.models import Experiment


class RangeRefusedError(ValueError):
    """These days can't be looked at; the message says why."""


@transaction.atomic
def experiment_range_ask(
    *, experiment: Experiment, first_day: date, last_day: date, actor: User, now: datetime
) -> ExperimentSnapshot:
    """Have some days worked out. It is written down: who looks at many ranges finds something.

    Whoever asks enqueues `analytics.tasks.compute_range` on commit, if there is no document yet.
    Raises `RangeRefusedError` for days that aren't the experiment's.
    """
    if experiment.started_at is None:
        raise RangeRefusedError("It hasn't been started: there are no days to look at.")
    zone = ZoneInfo(experiment.store.time_zone)
    started = experiment.started_at.astimezone(zone).date()
    ended = (experiment.stopped_at or now).astimezone(zone).date()
    if not started <= first_day <= last_day <= ended:
        raise RangeRefusedError(
            f"Choose days from {started:%Y-%m-%d} to {ended:%Y-%m-%d}, the first before the last."
        )
    asked = snapshot_range_ask(
        experiment=experiment, first_day=first_day, last_day=last_day, now=now
    )
    audit_record(
        store=experiment.store,
        actor=actor,
        action="experiment.range",
        subject=experiment.name,
        subject_key=experiment.key,
        after={"first_day": first_day.isoformat(), "last_day": last_day.isoformat()},
    )
    return asked
