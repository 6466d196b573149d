"""Celery envelopes."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from catalog.services.feed_imports import import_hand_over
from catalog.services.feed_schedule import imports_due, imports_tidy
from catalog.services.import_running import import_take
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


@shared_task(name="catalog.tasks.import_products")
def import_products(import_id: int) -> None:
    """Execute a queued import, or leave it to whoever is at one of the store. Done once."""
    following = import_take(import_id=import_id)
    if following is not None:
        import_hand_over(import_id=following)


@shared_task(name="catalog.tasks.start_imports")
def start_imports() -> None:
    """Read the feeds whose time has come, and hand over what was forgotten."""
    for import_id in imports_due():
        import_hand_over(import_id=import_id)


@shared_task(name="catalog.tasks.tidy_imports")
def tidy_imports() -> None:
    """Give up what nobody decided about within a week."""
    imports_tidy()
