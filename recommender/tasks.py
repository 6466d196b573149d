"""Celery envelopes."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from recommender.models import Run
from recommender.services.campaign_guard import campaigns_guard
from recommender.services.training.execution import run_take
from recommender.services.training.increments import increments_learn
from recommender.services.training.runs import run_hand_over
from recommender.services.training.schedule import runs_due

# An increment that hangs is killed; the next one starts from the same place.
INCREMENT_LIMIT_S = 120


@shared_task(name="recommender.tasks.train_family")
def train_family(run_id: int) -> None:
    """Execute a queued run, or leave it to whoever is training. Delivered twice, it trains once."""
    following = run_take(run_id=run_id)
    if following is not None:
        run_hand_over(run=following)


@shared_task(name="recommender.tasks.train_due")
def train_due() -> None:
    """Queue what the schedule says, and hand queued runs to the workers."""
    for run in runs_due():
        run_hand_over(run=run)


@shared_task(name="recommender.tasks.learn_increments", time_limit=INCREMENT_LIMIT_S)
def learn_increments() -> None:
    """Add new events to what serves."""
    for run in increments_learn(families=(Run.Family.POPULARITY, Run.Family.SESSIONS)).rebuilds:
        run_hand_over(run=run)


@shared_task(name="recommender.tasks.learn_products", time_limit=INCREMENT_LIMIT_S)
def learn_products() -> None:
    """Add new and changed products to what serves."""
    for run in increments_learn(families=(Run.Family.CONTENT,)).rebuilds:
        run_hand_over(run=run)


@shared_task(name="recommender.tasks.guard_campaigns", time_limit=INCREMENT_LIMIT_S)
def guard_campaigns() -> None:
    """Pause campaigns whose stock or margin fell below what a member set."""
    campaigns_guard(now=timezone.now())
