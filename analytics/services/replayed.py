"""Counting again what a replay has written into the past."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from analytics.models import ExperimentSnapshot
from analytics.services.insights_rollups import insights_refresh
from analytics.services.participants import experiment_refresh
from analytics.services.rollups import rollups_refresh
from analytics.services.snapshots import snapshot_refresh
from catalog.models import Store
from recommender.models import Experiment

Kind = ExperimentSnapshot.Kind


def replayed_count(*, store: Store, since: datetime, now: datetime) -> None:
    """Bring every figure of a demo store up to date, whatever was played in whatever order.

    What was received is found by when it was. Answers are looked for by the time of their delivery,
    and a replay's lies in the past: no watermark waits there, so `since` is the beginning of what
    was played. Each running experiment then gets its planned look anew: while its weeks were played,
    their end had passed by the clock already, with most of the facts still to come.
    """
    if not store.is_demo:
        raise ValueError(f"{store.slug!r} is no demo store")
    rollups_refresh(store=store, now=now, delivered_since=since)
    insights_refresh(store=store, now=now, delivered_since=since)
    running = Experiment.objects.filter(store=store, state=Experiment.State.RUNNING)
    for experiment in running.select_related("store").order_by("pk"):
        with transaction.atomic():
            experiment_refresh(experiment=experiment, now=now, since=since)
            ExperimentSnapshot.objects.filter(
                store=store,
                experiment=experiment,
                kind__in=(Kind.FOUND, Kind.PLANNED_END, Kind.LATEST),
            ).delete()
            snapshot_refresh(experiment=experiment, now=now, anew=True)
