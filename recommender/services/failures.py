"""What broke while something was learned, in words for whoever runs the shop."""

from __future__ import annotations

import structlog
from django.db import DatabaseError
from django.utils import timezone

from recommender.artifacts.manifest import ArtifactError
from recommender.engine.errors import EngineError
from recommender.models import LabRun, Run

log = structlog.get_logger(__name__)


def failure_words(error: Exception) -> str:
    """A sentence or two. Paths, queries and the like are in the log, which is where to look next.

    Examples
    --------
    >>> failure_words(MemoryError())
    'There was not enough memory.'
    """
    if isinstance(error, MemoryError):
        return "There was not enough memory."
    if isinstance(error, ArtifactError):
        return (
            "Something that was learned before can't be read from the disk. Retrain the other"
            " families; the log says which file it is."
        )
    if isinstance(error, EngineError):
        said = str(error)[:500].rstrip(".")
        return f"The numbers couldn't be worked out: {said}."
    if isinstance(error, DatabaseError):
        return "The database refused or went away. The log says what it answered."
    if isinstance(error, OSError):
        said = error.strerror or str(error)[:200]
        return f"The disk or the network refused: {said}. The log says where."
    return (
        f"It broke with an error that nobody expected ({type(error).__name__}). The log says where."
    )


def run_broke(*, run_id: int, error: Exception) -> None:
    """End a training that raised what nobody expected: it would seem to run, and block the next."""
    _end_broken(Run, run_id, error)


def lab_broke(*, run_id: int, error: Exception) -> None:
    """The same for a comparison of the Lab. What it found so far stays."""
    _end_broken(LabRun, run_id, error)


def _end_broken(model: type[Run] | type[LabRun], run_id: int, error: Exception) -> None:
    log.error("it broke", kind=model.__name__, run=run_id, error=repr(error))
    model.objects.filter(pk=run_id, state=model.State.RUNNING).update(
        state=model.State.FAILED,
        message=failure_words(error),
        finished_at=timezone.now(),
        step="",
    )
