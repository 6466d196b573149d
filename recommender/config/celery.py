"""Celery: settings that lose no task, and the schedule."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")

# After so long a task that its worker didn't confirm belongs to whoever comes first.
VISIBLE_AFTER_S = 12

app = Celery("vitrine")
app.conf.update(
    broker_url=settings.BROKER_URL,
    # Runs are recorded in PostgreSQL; nobody reads a task's result.
    task_ignore_result=True,
    # A killed child or worker loses no task: acknowledge at the end, hand back what was lost.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        # A worker confirms the tasks it executes, however long they take (`config.worker`).
        "visibility_timeout": VISIBLE_AFTER_S,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 10,
        # Neither a restart nor a hanging Valkey leaves anybody waiting on a dead connection.
        "socket_connect_timeout": 3,
        "socket_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A page that starts a task doesn't wait for a broker that is away: the schedule tries again.
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1},
    # A task goes on while its worker has lost the connection: it is confirmed over the next one.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_consumer="recommender.config.worker:PatientConsumer",
    beat_scheduler="recommender.config.beat:SingleBeat",
    beat_max_loop_interval=1,
    # 1.5 GB: a child that trained a large catalog gives its memory back.
    worker_max_memory_per_child=1_500_000,
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    task_routes={"recommender.tasks.train_family": {"queue": "training"}},
    task_default_queue="default",
    beat_schedule={
        "training": {
            "task": "recommender.tasks.train_due",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        # More often than they are due: what is new should not wait for the clock. Late ones expire.
        "increments": {
            "task": "recommender.tasks.learn_increments",
            "schedule": 5.0,
            "options": {"expires": 5},
        },
        "new products": {
            "task": "recommender.tasks.learn_products",
            "schedule": 2.0,
            "options": {"expires": 4},
        },
        "blend weights": {
            "task": "recommender.tasks.learn_blends",
            "schedule": 300.0,
            "options": {"expires": 290},
        },
        # Every minute: whether the five of a store are over since its last look is asked there.
        "sources for chance": {
            "task": "recommender.tasks.learn_source_bandits",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        "campaign guard": {
            "task": "recommender.tasks.guard_campaigns",
            "schedule": 180.0,
            "options": {"expires": 170},
        },
        "rollups": {
            "task": "analytics.tasks.refresh_rollups",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        # Results are never more than six minutes old: five, and the time of the look.
        "experiments": {
            "task": "analytics.tasks.refresh_experiments",
            "schedule": 300.0,
            "options": {"expires": 290},
        },
        "bandits": {
            "task": "analytics.tasks.learn_bandit_weights",
            "schedule": 3600.0,
            "options": {"expires": 3500},
        },
        "partitions": {
            "task": "catalog.tasks.prepare_partitions",
            "schedule": 6 * 3600.0,
            "options": {"expires": 3600},
        },
        "feeds": {
            "task": "catalog.tasks.start_imports",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        "old imports": {
            "task": "catalog.tasks.tidy_imports",
            "schedule": 24 * 3600.0,
            "options": {"expires": 3600},
        },
        "quarantine": {
            "task": "catalog.tasks.prune_quarantine",
            "schedule": 24 * 3600.0,
            "options": {"expires": 3600},
        },
    },
)
app.steps["consumer"].add("recommender.config.worker:Watch")
app.autodiscover_tasks(["catalog", "recommender", "analytics"])


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Celery would install its own handlers over the ones of the settings."""
