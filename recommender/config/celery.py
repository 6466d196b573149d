"""Celery: settings that lose no task, and the schedule."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")

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
        # Longer than any task: a task that runs longer would be delivered twice.
        "visibility_timeout": 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # A Valkey restart must not leave a worker waiting on a dead connection.
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    broker_connection_retry_on_startup=True,
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
        "rollups": {
            "task": "analytics.tasks.refresh_rollups",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        "partitions": {
            "task": "catalog.tasks.prepare_partitions",
            "schedule": 6 * 3600.0,
            "options": {"expires": 3600},
        },
        "quarantine": {
            "task": "catalog.tasks.prune_quarantine",
            "schedule": 24 * 3600.0,
            "options": {"expires": 3600},
        },
    },
)
app.autodiscover_tasks(["catalog", "recommender", "analytics"])


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Celery would install its own handlers over the ones of the settings."""
