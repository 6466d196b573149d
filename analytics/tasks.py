"""Celery envelopes."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from analytics.models import ExperimentSnapshot
from analytics.selectors.bandit_arms import bandits_due
from analytics.services.bandit import bandit_learn
from analytics.services.insights_rollups import insights_refresh
from analytics.services.rollups import rollups_refresh
from analytics.services.snapshots import snapshot_range_compute, snapshot_refresh
from catalog.models import Store
from recommender.models import Experiment

# Rollups come a minute later again, the next look five minutes, bandits an hour.
ROLLUPS_EXPIRE_S = 55
LOOK_EXPIRES_S = 290
BANDIT_EXPIRES_S = 3500


@shared_task
def refresh_rollups() -> None:
    """Bring the days of every store up to date, each by a task of its own."""
    for pk in Store.objects.order_by("pk").values_list("pk", flat=True):
        refresh_store_rollups.apply_async((pk,), expires=ROLLUPS_EXPIRE_S)


@shared_task
def refresh_store_rollups(store_id: int) -> None:
    """Bring the daily rollups and the insights of one store up to date."""
    for store in Store.objects.filter(pk=store_id):
        rollups_refresh(store=store, now=timezone.now())
        insights_refresh(store=store, now=timezone.now())


@shared_task
def learn_bandit_weights() -> None:
    """Give running bandits their next weights, each by a task of its own."""
    for experiment in bandits_due(now=timezone.now()):
        learn_bandit.apply_async((experiment.pk,), expires=BANDIT_EXPIRES_S)


@shared_task
def learn_bandit(experiment_id: int) -> None:
    """Give one bandit its next weights, if it is still due."""
    for experiment in bandits_due(now=timezone.now()).filter(pk=experiment_id):
        bandit_learn(experiment=experiment, now=timezone.now())


@shared_task
def refresh_experiments() -> None:
    """Have every experiment that was started looked at, each by a task of its own."""
    for pk in (
        Experiment.objects.exclude(started_at=None).order_by("pk").values_list("pk", flat=True)
    ):
        refresh_experiment.apply_async((pk,), expires=LOOK_EXPIRES_S)


@shared_task
def refresh_experiment(experiment_id: int) -> None:
    """Look at one experiment: it was started, changed or stopped just now."""
    experiments = Experiment.objects.filter(pk=experiment_id).exclude(started_at=None)
    for experiment in experiments.select_related("store"):
        snapshot_refresh(experiment=experiment, now=timezone.now())


@shared_task
def compute_range(snapshot_id: int) -> None:
    """Work out the results of the days that somebody asked for."""
    waiting = ExperimentSnapshot.objects.select_related("experiment__store")
    snapshot_range_compute(snapshot=waiting.get(pk=snapshot_id), now=timezone.now())
