"""`manage.py lab`: compare methods on a store's own history, as the Lab of the console does."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.models import Store
from catalog.services.locks import turn
from recommender.config.progress import Progress
from recommender.engine.evaluation.leaderboard import board_from_document
from recommender.engine.evaluation.tables import text_table
from recommender.management.commands._arguments import a_seed
from recommender.management.commands._evaluation_text import cold_start_text, fairness_text
from recommender.models import LabRun
from recommender.services.lab import LabBusy, LabRefused, lab_cancel, lab_request
from recommender.services.lab_running import lab_execute
from recommender.services.lab_shelf import (
    DEFAULT_MINUTES,
    DEFAULT_SEED,
    PROTOCOL_OF,
    QUICK,
)


class Command(BaseCommand):
    help = "Compare methods on a store's own history; the comparison is in its Lab, too."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--store", required=True, help="slug of the store")
        parser.add_argument(
            "--protocol",
            choices=list(PROTOCOL_OF),
            default=next(iter(PROTOCOL_OF)),
            help="what is asked",
        )
        parser.add_argument(
            "--methods", help=f"keys with commas between; without it {', '.join(QUICK)}"
        )
        parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES)
        parser.add_argument("--seed", type=a_seed, default=DEFAULT_SEED)
        parser.add_argument("--reports", action="store_true", help="also who is served well")

    def handle(self, *args: Any, **options: Any) -> None:
        store = Store.objects.filter(slug=options["store"]).first()
        if store is None:
            raise CommandError(f"There is no store {options['store']!r}.")
        chosen = options["methods"]
        methods = QUICK if chosen is None else [key.strip() for key in chosen.split(",")]
        with turn("training") as mine:
            if not mine:
                raise CommandError("Something is being trained; try again when it is done.")
            try:
                run = lab_request(
                    store=store,
                    protocol=options["protocol"],
                    methods=methods,
                    minutes=options["minutes"],
                    seed=options["seed"],
                )
            except (LabRefused, LabBusy) as error:
                raise CommandError(str(error)) from error
            run = self._made(run, verbose=bool(options["verbosity"]))
        if run.state != LabRun.State.DONE:
            raise CommandError(
                run.message or f"The comparison is {run.get_state_display().lower()}."
            )
        self.stdout.write(text_table(board_from_document(run.document["board"])))
        if options["reports"]:
            for report in run.document["reports"]:
                self.stdout.write(f"\nWho is served well by {report['title']}\n")
                self.stdout.write(cold_start_text(report))
                self.stdout.write("")
                self.stdout.write(fairness_text(report["fairness"]))

    def _made(self, run: LabRun, *, verbose: bool) -> LabRun:
        if not verbose:
            return lab_execute(run=run)
        try:
            with Progress("Comparing", total=100) as progress:

                def say(step: str, share: float) -> None:
                    progress.say(step)
                    progress.reach(int(100 * share))

                return lab_execute(run=run, say=say)
        except KeyboardInterrupt:
            lab_cancel(store=run.store, lab_id=run.pk)
            raise
