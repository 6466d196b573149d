"""`manage.py train`: train families of a store now, in this process."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from catalog.models import Store
from recommender.models import Run
from recommender.services.training.runs import (
    FAMILIES,
    RunActive,
    run_execute,
    run_request,
    training_data,
)


class Command(BaseCommand):
    help = "Train and publish a store's models: item similarities, content, popularity, profiles."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--store", required=True, help="slug of the store")
        parser.add_argument(
            "--family",
            action="append",
            choices=sorted(FAMILIES),
            help="may be given several times; without it all families are trained",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        store = Store.objects.filter(slug=options["store"]).first()
        if store is None:
            raise CommandError(f"There is no store {options['store']!r}.")
        families = options["family"] or list(FAMILIES)
        started = time.monotonic()
        bar = tqdm(
            total=100 * len(families),
            desc="Reading events",
            unit="%",
            bar_format="{desc:<36} {percentage:3.0f} %|{bar:30}| {elapsed}",
            disable=None if options["verbosity"] else True,
        )
        data = training_data(store_id=store.pk)
        lines = []
        for place, family in enumerate(families):

            def report(step: str, share: float, place: int = place, family: str = family) -> None:
                bar.set_description(f"{Run.Family(family).label}: {step}"[:36], refresh=False)
                bar.n = int(100 * (place + share))
                bar.refresh()

            try:
                run = run_request(store=store, family=family, trigger=Run.Trigger.COMMAND)
            except RunActive as error:
                raise CommandError(str(error)) from error
            run = run_execute(run=run, data=data, report=report)
            lines.append(_line(run))
        bar.n = bar.total
        bar.close()
        for line in lines:
            self.stdout.write(line)
        self.stdout.write(f"Trained in {time.monotonic() - started:.1f} s.")


def _line(run: Run) -> str:
    label = Run.Family(run.family).label
    seconds = (
        (run.finished_at - run.started_at).total_seconds()
        if run.finished_at and run.started_at
        else 0.0
    )
    quality = ", ".join(f"{name} {value:g}" for name, value in run.quality.items())
    detail = run.message or quality
    return f"  {label:<20} {run.get_state_display().lower():<12} {seconds:5.1f} s  {detail}"
