"""Celery envelopes."""

from __future__ import annotations

from celery import shared_task

from recommender.models import Run
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_hand_over
from recommender.services.training.schedule import runs_due


@shared_task(name="recommender.tasks.train_family")
def train_family(run_id: int) -> None:
    """Execute a queued run. Delivered twice, it trains once."""
    run = Run.objects.filter(pk=run_id).first()
    if run is not None:
        run_execute(run=run)


@shared_task(name="recommender.tasks.train_due")
def train_due() -> None:
    """Queue what the schedule says, and hand queued runs to the workers."""
    for run in runs_due():
        run_hand_over(run=run)
