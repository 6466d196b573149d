"""The life of a run: asked for, started, watched, ended. Every state is a row that can be looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from catalog.models import Store, User
from recommender.engine.errors import EngineError
from recommender.models import Run
from recommender.services.publishing import artifact_publish
from recommender.services.training.content import train_content
from recommender.services.training.item_similarity import train_item_similarity
from recommender.services.training.popularity import train_popularity
from recommender.services.training.profiles import train_profiles
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

# A running run touches its row at every step; no step of a supported store takes longer than this.
DEAD_AFTER = timedelta(minutes=15)

FAMILIES: Mapping[str, Callable[[TrainingData, Report], Trained]] = {
    Run.Family.POPULARITY: train_popularity,
    Run.Family.CONTENT: train_content,
    Run.Family.ITEM_SIMILARITY: train_item_similarity,
    Run.Family.PROFILES: train_profiles,
}

log = structlog.get_logger(__name__)


class RunActive(Exception):
    """A run of this family is queued or running already; the text says since when."""


def run_request(
    *, store: Store, family: str, trigger: str, requested_by: User | None = None
) -> Run:
    """Queue a run. Whoever calls it enqueues the task on commit (`recommender.tasks`).

    Raises
    ------
    RunActive
        One is active: the database allows one per store and family.
    """
    runs_bury_dead(store=store)
    try:
        with transaction.atomic():
            return Run.objects.create(
                store=store,
                family=Run.Family(family),
                trigger=trigger,
                requested_by=requested_by,
                heartbeat_at=timezone.now(),
            )
    except IntegrityError as error:
        active = Run.objects.filter(
            store=store, family=family, state__in=(Run.State.QUEUED, Run.State.RUNNING)
        ).first()
        since = f" since {active.queued_at:%H:%M} UTC" if active else ""
        raise RunActive(f"{Run.Family(family).label}: a run is active{since}.") from error


def run_execute(*, run: Run, data: TrainingData | None = None, report: Report | None = None) -> Run:
    """Train, write the artifact and publish it, keeping the run's row up to date.

    Executing a run that has ended already does nothing: a task that is delivered twice trains
    once. `data` shares what was read between the families of one command.
    """
    started = Run.objects.filter(pk=run.pk, state__in=(Run.State.QUEUED, Run.State.RUNNING)).update(
        state=Run.State.RUNNING,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        step="Reading events",
        progress=0.0,
    )
    run.refresh_from_db()
    if not started:
        return run
    try:
        facts = data or TrainingData(store_id=run.store_id, now=timezone.now())
        trained = FAMILIES[run.family](facts, _reporter(run, report))
        _progress(run, "Publishing", 0.97)
        artifact_publish(run=run, trained=trained)
    except NotEnoughData as reason:
        _end(run, Run.State.REJECTED, str(reason))
    except (EngineError, DatabaseError, OSError, MemoryError) as error:
        log.error("run failed", run=run.pk, family=run.family, error=str(error))
        _end(run, Run.State.FAILED, f"{type(error).__name__}: {error}"[:1000])
    run.refresh_from_db()
    if report is not None:
        report("Done", 1.0)
    return run


def runs_bury_dead(*, store: Store) -> int:
    """End runs without a pulse: their process was killed, and they would block the next one."""
    return Run.objects.filter(
        store=store,
        state__in=(Run.State.QUEUED, Run.State.RUNNING),
        heartbeat_at__lt=timezone.now() - DEAD_AFTER,
    ).update(
        state=Run.State.FAILED,
        finished_at=timezone.now(),
        message="The process that trained it stopped answering.",
    )


def _reporter(run: Run, report: Report | None) -> Report:
    last = 0.0

    def tell(step: str, share: float) -> None:
        nonlocal last
        # The row is what the console watches; four writes a second are enough for a bar.
        if time.monotonic() - last > 0.25:
            last = time.monotonic()
            _progress(run, step, share)
        if report is not None:
            report(step, share)

    return tell


def _progress(run: Run, step: str, share: float) -> None:
    Run.objects.filter(pk=run.pk).update(
        step=step[:120], progress=min(max(share, 0.0), 1.0), heartbeat_at=timezone.now()
    )


def _end(run: Run, state: str, message: str) -> None:
    Run.objects.filter(pk=run.pk).update(
        state=state, message=message, finished_at=timezone.now(), step=""
    )
