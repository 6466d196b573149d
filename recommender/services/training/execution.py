"""Training a run: read, learn, publish, and keep the run's row up to date all the while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog
from django.db import DatabaseError
from django.utils import timezone

from catalog.services.locks import turn
from recommender.artifacts.manifest import ArtifactError
from recommender.engine.errors import EngineError
from recommender.models import Run
from recommender.services.failures import failure_words
from recommender.services.publishing import artifact_publish
from recommender.services.training.blend import train_blend
from recommender.services.training.chosen_method import train_chosen_method
from recommender.services.training.content import train_content
from recommender.services.training.item_similarity import train_item_similarity
from recommender.services.training.popularity import train_popularity
from recommender.services.training.profiles import train_profiles
from recommender.services.training.runs import run_held
from recommender.services.training.sessions import train_sessions
from recommender.services.training.source_bandit import train_source_bandit
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

FAMILIES: Mapping[str, Callable[[TrainingData, Report], Trained]] = {
    Run.Family.POPULARITY: train_popularity,
    Run.Family.CONTENT: train_content,
    Run.Family.ITEM_SIMILARITY: train_item_similarity,
    Run.Family.PROFILES: train_profiles,
    # Takes the most memory; one command trains the content embeddings beside the others.
    Run.Family.SESSIONS: train_sessions,
}
# Only where a member has chosen a method in the Lab, or a strategy is shown that has a learned blend
# or lets it be learned whom chance draws.
ON_CHOICE: Mapping[str, Callable[[TrainingData, Report], Trained]] = {
    Run.Family.CHOSEN_METHOD: train_chosen_method,
    Run.Family.BLEND: train_blend,
    Run.Family.SOURCE_BANDIT: train_source_bandit,
}

# A run whose process was killed so often is given up; restarts of Vitrine count, too.
MAX_DEATHS = 3
# Where in a run's parameters they are counted.
DEATHS = "deaths"

log = structlog.get_logger(__name__)


def run_execute(*, run: Run, data: TrainingData | None = None, report: Report | None = None) -> Run:
    """Train, write the artifact and publish it, keeping the run's row up to date.

    Executing a run that has ended already, or that another process is training, does nothing: a task
    that is delivered twice trains once. `data` shares what was read between the families of one command.
    """
    with run_held(run=run) as mine:
        if mine and not _died_too_often(run) and _started(run):
            _train(run, data, report)
        run.refresh_from_db()
    return run


def _started(run: Run) -> bool:
    """Whether the run hasn't ended yet; it is running from now on."""
    return bool(
        Run.objects.filter(pk=run.pk, state__in=(Run.State.QUEUED, Run.State.RUNNING)).update(
            state=Run.State.RUNNING,
            started_at=timezone.now(),
            heartbeat_at=timezone.now(),
            step="Reading events",
            progress=0.0,
        )
    )


def _train(run: Run, data: TrainingData | None, report: Report | None) -> None:
    try:
        facts = data or TrainingData(store_id=run.store_id, now=timezone.now())
        trained = {**FAMILIES, **ON_CHOICE}[run.family](facts, _reporter(run, report))
        _progress(run, "Publishing", 0.97)
        artifact_publish(run=run, trained=trained)
    except NotEnoughData as reason:
        _end(run, Run.State.REJECTED, str(reason))
    except (ArtifactError, EngineError, DatabaseError, OSError, MemoryError) as error:
        log.error("run failed", run=run.pk, family=run.family, error=str(error))
        _end(run, Run.State.FAILED, failure_words(error))
    if report is not None:
        report("Done", 1.0)


def run_take(*, run_id: int) -> Run | None:
    """Execute a queued run if nothing else is being trained; returns the run that is next in line.

    One training at a time: two would take the memory of both, and every worker from the short
    tasks beside. A run that has to wait stays queued, and is handed over by the one before it (or
    by the schedule, should that one be killed).
    """
    with turn("training") as mine:
        if not mine:
            return None
        run = Run.objects.filter(pk=run_id).first()
        if run is not None:
            run_execute(run=run)
    return Run.objects.filter(state=Run.State.QUEUED).order_by("queued_at").first()


def _died_too_often(run: Run) -> bool:
    """Count the deaths of a run that is found running: whoever trained it was killed.

    Nobody else is at it (`run_held`), and the task came back. What takes more memory than there is
    would come back forever.
    """
    found = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).first()
    if found is None:
        return False
    n_deaths = int(found.parameters.get(DEATHS, 0)) + 1
    Run.objects.filter(pk=run.pk).update(parameters={**found.parameters, DEATHS: n_deaths})
    if n_deaths < MAX_DEATHS:
        return False
    log.error("run given up", run=run.pk, family=run.family, deaths=n_deaths, step=found.step)
    _end(
        run,
        Run.State.FAILED,
        f"The process that trained it was killed {n_deaths} times, last at"
        f" “{found.step or 'Starting'}”: most likely there isn't enough memory.",
    )
    return True


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
