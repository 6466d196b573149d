"""Which runs are due: often for what is cheap, nightly for what is thorough, never without news."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from catalog.models import Event, Product, Store
from recommender.models import Run
from recommender.services.training.runs import RunActive, run_request, runs_bury_dead

INTERVALS = {
    Run.Family.POPULARITY: timedelta(minutes=10),
    Run.Family.PROFILES: timedelta(hours=6),
    Run.Family.ITEM_SIMILARITY: timedelta(hours=12),
    Run.Family.CONTENT: timedelta(hours=24),
}
# A queued run that no worker took is handed over again: the broker may have forgotten it.
FORGOTTEN_AFTER = timedelta(minutes=2)


def runs_due() -> list[Run]:
    """Runs to hand to the workers now: newly due ones, and queued ones that were forgotten."""
    now = timezone.now()
    runs: list[Run] = []
    for store in Store.objects.all():
        runs_bury_dead(store=store)
        news_at = _news_at(store)
        for family, interval in INTERVALS.items():
            last = Run.objects.filter(store=store, family=family).order_by("-queued_at").first()
            if last is not None and (
                last.queued_at > now - interval or news_at is None or news_at <= last.queued_at
            ):
                continue
            if last is None and news_at is None:
                continue
            try:
                runs.append(run_request(store=store, family=family, trigger=Run.Trigger.SCHEDULE))
            except RunActive:
                continue
    fresh = [run.pk for run in runs]
    forgotten = Run.objects.filter(
        state=Run.State.QUEUED, queued_at__lt=now - FORGOTTEN_AFTER
    ).exclude(pk__in=fresh)
    return runs + list(forgotten)


def _news_at(store: Store) -> datetime | None:
    """When the store last got an event or a product, None if never."""
    event = (
        Event.objects.filter(store=store)
        .order_by("-received_at")
        .values_list("received_at", flat=True)[:1]
    )
    product = Product.objects.filter(store=store).aggregate(at=Max("updated_at"))["at"]
    times = [at for at in (*event, product) if at is not None]
    return max(times) if times else None
