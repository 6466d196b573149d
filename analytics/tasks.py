"""Celery envelopes."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from analytics.services.rollups import rollups_refresh
from catalog.models import Store


@shared_task
def refresh_rollups() -> None:
    """Bring the daily rollups of every store up to date."""
    for store in Store.objects.order_by("pk"):
        rollups_refresh(store=store, now=timezone.now())
