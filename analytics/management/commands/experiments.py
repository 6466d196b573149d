"""Bring the results of experiments up to date, or count them anew."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.services.participants import experiment_rebuild
from analytics.services.snapshots import snapshot_refresh
from recommender.models import Experiment


class Command(BaseCommand):
    help = "Bring the results of every started experiment, or of some, up to date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", metavar="SLUG", help="only of this store")
        parser.add_argument("--experiment", metavar="KEY", help="only experiments with this key")
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="count every participant and day anew: after facts were deleted",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        experiments = Experiment.objects.exclude(started_at=None).select_related("store")
        if options["store"]:
            experiments = experiments.filter(store__slug=options["store"])
        if options["experiment"]:
            experiments = experiments.filter(key=options["experiment"])
        if not experiments and (options["store"] or options["experiment"]):
            raise CommandError("There is no started experiment like that.")
        for experiment in experiments.order_by("store__slug", "key"):
            self.stdout.write(self._looked_at(experiment, rebuild=options["rebuild"]))

    def _looked_at(self, experiment: Experiment, *, rebuild: bool) -> str:
        now, began = timezone.now(), time.monotonic()
        counted = experiment_rebuild(experiment=experiment, now=now) if rebuild else None
        looked = snapshot_refresh(experiment=experiment, now=now, anew=rebuild)
        refreshed = counted or looked.refreshed
        took_s = time.monotonic() - began
        if refreshed is None:
            figures = "over"
        else:
            figures = (
                f"{refreshed.n_participants:,} participants, {refreshed.n_touched:,} counted,"
                f" {refreshed.n_changed:,} rows changed"
            )
        headline = f": {looked.results.headline}" if looked.results is not None else ""
        name = f"{experiment.store.slug}/{experiment.key}"
        return f"{name}: {figures}, {took_s:.1f} s{headline}"
