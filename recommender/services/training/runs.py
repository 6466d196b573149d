"""Asking for a run. Light on imports: web processes ask, only workers train (`execution`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta

import structlog
from celery import current_app
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalog.models import Store, User
from catalog.services.audit import audit_record
from catalog.services.locks import turn
from recommender.models import Run

# A running run touches its row at every step. A method that a member chose in the Lab may take longer
# for one, but whoever trains holds the run (`run_held`).
DEAD_AFTER = timedelta(minutes=15)

log = structlog.get_logger(__name__)


class RunActive(Exception):
    """A run of this family is queued or running already; the text says since when."""


def run_request(
    *, store: Store, family: str, trigger: str, requested_by: User | None = None
) -> Run:
    """Queue a run. Whoever calls it hands it to the workers on commit (`run_hand_over`).

    Raises
    ------
    RunActive
        One is active: the database allows one per store and family.
    """
    runs_bury_dead(store=store)
    try:
        with transaction.atomic():
            run = Run.objects.create(
                store=store,
                family=Run.Family(family),
                trigger=trigger,
                requested_by=requested_by,
                heartbeat_at=timezone.now(),
            )
            if requested_by is not None:
                audit_record(
                    store=store,
                    actor=requested_by,
                    action="model.retrain",
                    subject=Run.Family(family).label,
                    subject_key=str(run.pk),
                )
    except IntegrityError as error:
        active = Run.objects.filter(
            store=store, family=family, state__in=(Run.State.QUEUED, Run.State.RUNNING)
        ).first()
        since = f" since {active.queued_at:%H:%M} UTC" if active else ""
        raise RunActive(f"{Run.Family(family).label}: a run is active{since}.") from error
    return run


def runs_bury_dead(*, store: Store) -> int:
    """End runs without a pulse: their process was killed, and they would block the next one.

    A queued run has none yet. It waits for its turn, and is handed over until it gets it.
    """
    silent = Run.objects.filter(
        store=store,
        state=Run.State.RUNNING,
        heartbeat_at__lt=timezone.now() - DEAD_AFTER,
    )
    n_buried = 0
    for run in silent:
        with run_held(run=run) as nobody_trains:
            if nobody_trains:
                n_buried += Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
                    state=Run.State.FAILED,
                    finished_at=timezone.now(),
                    message="The process that trained it stopped answering.",
                )
    return n_buried


def run_held(*, run: Run) -> AbstractContextManager[bool]:
    """Held by whoever trains the run, a worker or a command; False if another process does."""
    return turn(f"run:{run.pk}")


def run_hand_over(*, run: Run) -> None:
    """Send a queued run to the workers. By name, so that no web process imports what trains.

    Sent twice, it trains once. While the broker is away it stays queued, and the schedule hands it
    over later.
    """
    try:
        current_app.send_task("recommender.tasks.train_family", args=[run.pk], queue="training")
    except OperationalError as error:
        log.warning("the broker is away; the run waits", run=run.pk, error=str(error))
