"""Adding what is new to what serves: trending every minute, a new product within seconds.

An increment is a function of the serving version and the facts since its watermark. It holds no
run while it works and publishes only if what it started from still serves, so a full training
never waits for it, and whichever of two comes second gives way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from catalog.models import Store
from catalog.services.locks import turn
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.writer import artifact_folder
from recommender.engine.errors import EngineError
from recommender.models import Artifact, Run
from recommender.selectors.training_increments import events_waiting
from recommender.services.failures import failure_words
from recommender.services.publishing import (
    artifact_marks_update,
    increment_failed,
    increment_publish,
)
from recommender.services.training.base import Base, Looked, NeedsRebuild
from recommender.services.training.blend import add_to_blend, blend_has_news
from recommender.services.training.content import add_to_content, content_has_news
from recommender.services.training.popularity import add_to_popularity, popularity_has_news
from recommender.services.training.runs import RunActive, run_request
from recommender.services.training.schedule import increment_is_due, rebuild_may_be_asked
from recommender.services.training.sessions import add_to_sessions, sessions_have_news
from recommender.services.training.source_bandit import (
    add_to_source_bandit,
    source_bandit_has_news,
)
from recommender.services.training.trained import Trained

# So many new events cost as much to add as to count everything.
MAX_EVENTS = 200_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Increment:
    """How a family is added to. `counts_events` says that its marks are of events."""

    has_news: Callable[[Base, datetime], bool]
    add: Callable[[Base, datetime], Trained | Looked]
    counts_events: bool


INCREMENTS: Mapping[str, Increment] = {
    Run.Family.POPULARITY: Increment(popularity_has_news, add_to_popularity, counts_events=True),
    Run.Family.SESSIONS: Increment(sessions_have_news, add_to_sessions, counts_events=True),
    Run.Family.CONTENT: Increment(content_has_news, add_to_content, counts_events=False),
    Run.Family.BLEND: Increment(blend_has_news, add_to_blend, counts_events=False),
    Run.Family.SOURCE_BANDIT: Increment(
        source_bandit_has_news, add_to_source_bandit, counts_events=False
    ),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of the increments: published runs, and full ones to hand to the workers."""

    published: list[Run]
    rebuilds: list[Run]


def increments_learn(
    *,
    families: Iterable[str] = tuple(INCREMENTS),
    now: datetime | None = None,
    store: Store | None = None,
    at_once: bool = False,
) -> Learned:
    """Add what is new to the families that are due, of one store or all.

    `at_once` doesn't wait for the interval. A family that another process is adding to is left to
    it.
    """
    learned = Learned([], [])
    serving = Artifact.objects.filter(serving=True, family__in=tuple(families))
    if store is not None:
        serving = serving.filter(store=store)
    # In no order: should the time of a task end within one store, it isn't always the same ones that
    # come too late.
    for base in serving.select_related("store").order_by("?"):
        moment = now or timezone.now()
        if not at_once and not increment_is_due(base=base, now=moment):
            continue
        with turn(f"increment:{base.store_id}:{base.family}") as mine:
            if mine:
                _learn(base, moment, learned)
    return learned


def _learn(base: Artifact, now: datetime, learned: Learned) -> None:
    started_at = timezone.now()
    try:
        trained = _add(base, now)
        if isinstance(trained, Trained):
            run = increment_publish(base=base, trained=trained, started_at=started_at)
            if run is not None:
                learned.published.append(run)
        elif trained.marks:
            artifact_marks_update(artifact=base, marks=trained.marks)
    except NeedsRebuild as reason:
        log.info("a full training is needed", family=base.family, reason=str(reason))
        if rebuild_may_be_asked(base=base, now=now):
            try:
                learned.rebuilds.append(
                    run_request(store=base.store, family=base.family, trigger=Run.Trigger.SCHEDULE)
                )
            except RunActive:
                return
    except (ArtifactError, EngineError, DatabaseError, OSError, MemoryError) as error:
        log.error("increment failed", store=base.store_id, family=base.family, error=str(error))
        increment_failed(base=base, started_at=started_at, message=failure_words(error))


def _add(base: Artifact, now: datetime) -> Trained | Looked:
    """What the family makes of the news, if there is any."""
    increment = INCREMENTS[base.family]
    known = base.manifest
    if not known.get("marks"):
        raise NeedsRebuild("It was trained by a version of Vitrine that couldn't add to it.")
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=base.store_id,
        family=base.family,
        version=base.version,
    )
    start = Base(base.store_id, folder, known["marks"], known["headline"])
    if not increment.has_news(start, now):
        return Looked()
    if increment.counts_events:
        waiting = events_waiting(
            store_id=base.store_id, mark=start.watermark, at_most=MAX_EVENTS + 1
        )
        if waiting > MAX_EVENTS:
            raise NeedsRebuild(f"More than {MAX_EVENTS:,} events are new.")
    return increment.add(start, now)
