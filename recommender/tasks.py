"""Celery envelopes."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from django.utils import timezone

from recommender.models import Run
from recommender.services.campaign_guard import campaigns_guard
from recommender.services.failures import lab_broke, run_broke
from recommender.services.lab import lab_hand_over, labs_bury_killed, labs_forgotten
from recommender.services.lab_running import lab_take
from recommender.services.training.execution import run_take
from recommender.services.training.increments import increments_learn
from recommender.services.training.runs import run_hand_over
from recommender.services.training.schedule import runs_due

# The longest comparison that can be asked for, and a fit that doesn't end in its time.
LAB_LIMIT_S = 2 * 3600
# An increment that hangs is killed; the next one starts from the same place.
INCREMENT_LIMIT_S = 120


class Training(Task):  # type: ignore[type-arg]
    """Whatever breaks it ends the run that it was given."""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        run_broke(run_id=args[0], error=exc)


class Comparison(Task):  # type: ignore[type-arg]
    """Whatever breaks it ends the comparison that it was given."""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        lab_broke(run_id=args[0], error=exc)


@shared_task(name="recommender.tasks.train_family", base=Training)
def train_family(run_id: int) -> None:
    """Execute a queued run, or leave it to whoever is training. Delivered twice, it trains once."""
    following = run_take(run_id=run_id)
    if following is not None:
        run_hand_over(run=following)


@shared_task(name="recommender.tasks.compare_methods", base=Comparison, time_limit=LAB_LIMIT_S)
def compare_methods(run_id: int) -> None:
    """Make a comparison of the Lab, and give the turn on. Delivered twice, it is made once."""
    following = lab_take(run_id=run_id)
    if following is not None:
        run_hand_over(run=following)


@shared_task(name="recommender.tasks.train_due")
def train_due() -> None:
    """Queue what the schedule says, and hand queued runs and comparisons to the workers."""
    labs_bury_killed()
    for run in runs_due():
        run_hand_over(run=run)
    for comparison in labs_forgotten():
        lab_hand_over(run=comparison)


@shared_task(name="recommender.tasks.learn_increments", time_limit=INCREMENT_LIMIT_S)
def learn_increments() -> None:
    """Add new events to what serves."""
    for run in increments_learn(families=(Run.Family.POPULARITY, Run.Family.SESSIONS)).rebuilds:
        run_hand_over(run=run)


@shared_task(name="recommender.tasks.learn_blends", time_limit=INCREMENT_LIMIT_S)
def learn_blends() -> None:
    """Let what was clicked lately change the weights of learned blends."""
    for run in increments_learn(families=(Run.Family.BLEND,)).rebuilds:
        run_hand_over(run=run)


@shared_task(name="recommender.tasks.learn_source_bandits", time_limit=INCREMENT_LIMIT_S)
def learn_source_bandits() -> None:
    """Let what was clicked at places given to chance say which source deserves them."""
    for run in increments_learn(families=(Run.Family.SOURCE_BANDIT,)).rebuilds:
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
