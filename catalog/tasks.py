"""Celery envelopes."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from catalog.services.partitions import partitions_ensure, partitions_relieve
from catalog.services.quarantine import quarantine_prune


@shared_task(name="catalog.tasks.prepare_partitions")
def prepare_partitions() -> None:
    """Make the partitions of this month, of the next two, and of all rows that have none.

    Does nothing a second time.
    """
    today = timezone.now().date()
    # 62 days after the first of a month are always in the second month after it.
    partitions_ensure(first=today, last=today.replace(day=1) + timedelta(days=62))
    partitions_relieve()


@shared_task(name="catalog.tasks.prune_quarantine")
def prune_quarantine() -> None:
    """Forget refused events after their 30 days."""
    quarantine_prune()
