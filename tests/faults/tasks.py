"""A task that takes as long as it is told and leaves a trace. Only the fault tests' worker knows it."""

from __future__ import annotations

import os
import time

from celery import current_app, shared_task
from django.db import connection

if os.environ.get("VITRINE_FAULTS") != "full":
    # Most of what the scenarios wait for is that a dead worker's tasks become visible again; workers
    # confirm theirs every two seconds, so half the time does as well.
    current_app.conf.broker_transport_options = {
        **current_app.conf.broker_transport_options,
        "visibility_timeout": 6,
        "unacked_restore_interval": 1,
    }


@shared_task(name="tests.faults.slow")
def slow(token: str, seconds: float) -> None:
    _note(token, "began")
    time.sleep(seconds)
    _note(token, "done")


def _note(token: str, step: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fault_task_log (token, step, pid) VALUES (%s, %s, %s)",
            (token, step, os.getpid()),
        )
