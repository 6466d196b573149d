"""A task that takes as long as it is told and leaves a trace. Only the fault tests' worker knows it."""

from __future__ import annotations

import os
import time

from celery import shared_task
from django.db import connection


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
