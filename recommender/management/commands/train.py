"""`manage.py train`: train families of a store now, on two cores if there are two."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog.models import Store
from recommender.config.env import PROJECT_DIR
from recommender.config.progress import Progress
from recommender.models import Run
from recommender.services.training.execution import FAMILIES, ON_CHOICE, run_execute
from recommender.services.training.increments import INCREMENTS, increments_learn
from recommender.services.training.runs import RunActive, run_hand_over, run_request
from recommender.services.training.trained import TrainingData

# Takes as long as the others together and shares no facts with them, so it has a process of its own.
BESIDE = Run.Family.CONTENT


class Command(BaseCommand):
    help = "Train and publish a store's models, or add to them what is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--store", required=True, help="slug of the store")
        parser.add_argument(
            "--family",
            action="append",
            choices=sorted(Run.Family(name).value for name in (*FAMILIES, *ON_CHOICE)),
            help="may be given several times; without it all that every store has, and not"
            f" {', '.join(sorted(ON_CHOICE))}",
        )
        parser.add_argument(
            "--increment",
            action="store_true",
            help=f"only add what is new, to {', '.join(sorted(INCREMENTS))}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        store = Store.objects.filter(slug=options["store"]).first()
        if store is None:
            raise CommandError(f"There is no store {options['store']!r}.")
        if options["increment"]:
            self._increment(store, options["family"] or list(INCREMENTS))
            return
        families = options["family"] or list(FAMILIES)
        started = time.monotonic()
        beside = None
        if len(families) > 1 and BESIDE in families and (os.cpu_count() or 1) > 1:
            families = [family for family in families if family != BESIDE]
            beside = self._start(store, BESIDE)
        try:
            for line in self._train(store, families):
                self.stdout.write(line)
        finally:
            if beside is not None:
                output, _ = beside.communicate()
        if beside is not None:
            self.stdout.write(output.rstrip("\n"))
            if beside.returncode:
                raise CommandError(f"{Run.Family(BESIDE).label} failed; see above.")
        if options["verbosity"] and not options["family"]:
            self.stdout.write(f"Trained in {time.monotonic() - started:.1f} s.")

    def _increment(self, store: Store, families: list[str]) -> None:
        lasting = sorted(set(families) - set(INCREMENTS))
        if lasting:
            raise CommandError(f"These are only trained in full: {', '.join(lasting)}.")
        learned = increments_learn(families=families, store=store, at_once=True)
        for run in learned.published:
            self.stdout.write(_line(run))
        for run in learned.rebuilds:
            run_hand_over(run=run)
            label = Run.Family(run.family).label
            self.stdout.write(f"  {label:<24} can't be added to; run {run.pk} trains it in full")
        if not learned.published and not learned.rebuilds:
            self.stdout.write("  Nothing is new.")

    def _start(self, store: Store, family: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROJECT_DIR / "manage.py"), "train"]
        return subprocess.Popen(
            [*command, "--store", store.slug, "--family", family],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _train(self, store: Store, families: list[str]) -> list[str]:
        data = TrainingData(store_id=store.pk, now=timezone.now())
        lines = []
        quiet = len(families) == 1
        with Progress("Training", total=100 * len(families)) as progress:
            for place, family in enumerate(families):

                def report(step: str, share: float, place: int = place, name: str = family) -> None:
                    progress.say(f"{Run.Family(name).label}: {step}")
                    progress.reach(int(100 * (place + share)))

                try:
                    run = run_request(store=store, family=family, trigger=Run.Trigger.COMMAND)
                except RunActive as error:
                    raise CommandError(str(error)) from error
                run = run_execute(run=run, data=data, report=None if quiet else report)
                lines.append(_line(run))
        return lines


def _line(run: Run) -> str:
    label = Run.Family(run.family).label
    seconds = (
        (run.finished_at - run.started_at).total_seconds()
        if run.finished_at and run.started_at
        else 0.0
    )
    quality = ", ".join(f"{name} {value:g}" for name, value in run.quality.items())
    detail = run.message or quality
    return f"  {label:<24} {run.get_state_display().lower():<12} {seconds:5.1f} s  {detail}"
