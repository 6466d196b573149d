"""Bring the daily rollups and the insights up to date, or count them anew."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.services.insights_rollups import insights_rebuild, insights_refresh
from analytics.services.rollups import rollups_rebuild, rollups_refresh
from catalog.models import Store


class Command(BaseCommand):
    help = "Bring the daily rollups and the insights of every store, or of one, up to date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", metavar="SLUG", help="only this store")
        parser.add_argument(
            "--rebuild", action="store_true", help="count every day anew: after facts were deleted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stores = Store.objects.order_by("pk")
        if options["store"]:
            stores = stores.filter(slug=options["store"])
            if not stores:
                raise CommandError(f"There is no store {options['store']!r}.")
        rebuild = options["rebuild"]
        refresh = rollups_rebuild if rebuild else rollups_refresh
        refresh_insights = insights_rebuild if rebuild else insights_refresh
        for store in stores:
            began = time.monotonic()
            done = refresh(store=store, now=timezone.now())
            refresh_insights(store=store, now=timezone.now())
            took_s = time.monotonic() - began
            days = f"{done.n_days} days ({done.first} to {done.last})" if done.n_days else "no news"
            self.stdout.write(f"{store.slug}: {days}, {took_s:.1f} s")
