"""Celery envelopes."""

from __future__ import annotations

import msgspec
import structlog
from celery import shared_task
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from analytics.models import ExperimentSnapshot
from analytics.services.bandit import bandits_learn
from analytics.services.insights_rollups import insights_refresh
from analytics.services.rollups import rollups_refresh
from analytics.services.snapshots import snapshot_range_compute, snapshot_refresh
from catalog.models import Store
from recommender.artifacts.manifest import ArtifactError
from recommender.models import Experiment

log = structlog.get_logger(__name__)

# What can go wrong with one experiment and is no reason to leave the others alone.
_ONE_EXPERIMENT = (
    DatabaseError,
    InterfaceError,
    ArtifactError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)


@shared_task
def refresh_rollups() -> None:
    """Bring the daily rollups and the insights of every store up to date."""
    for store in Store.objects.order_by("pk"):
        rollups_refresh(store=store, now=timezone.now())
        insights_refresh(store=store, now=timezone.now())


@shared_task
def learn_bandit_weights() -> None:
    """Give running bandits their next weights."""
    bandits_learn(now=timezone.now())


@shared_task
def refresh_experiments() -> None:
    """Look at every experiment that was started, of every store."""
    started = Experiment.objects.exclude(started_at=None).select_related("store").order_by("pk")
    for experiment in started:
        try:
            snapshot_refresh(experiment=experiment, now=timezone.now())
        except _ONE_EXPERIMENT:
            log.exception("results failed", experiment_id=experiment.pk)


@shared_task
def refresh_experiment(experiment_id: int) -> None:
    """Look at one experiment: it was started, changed or stopped just now."""
    experiment = Experiment.objects.select_related("store").get(pk=experiment_id)
    if experiment.started_at is not None:
        snapshot_refresh(experiment=experiment, now=timezone.now())


@shared_task
def compute_range(snapshot_id: int) -> None:
    """Work out the results of the days that somebody asked for."""
    waiting = ExperimentSnapshot.objects.select_related("experiment__store")
    snapshot_range_compute(snapshot=waiting.get(pk=snapshot_id), now=timezone.now())
