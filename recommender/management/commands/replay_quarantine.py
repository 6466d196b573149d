"""`manage.py replay_quarantine --store shop`: judge refused events again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog.contract.verdicts import Code
from catalog.models import Store
from recommender.services.replay import quarantine_replay


class Command(BaseCommand):
    """May run at any time and twice at a time: every event is stored once."""

    help = "Judge a store's refused events again and store those that are good now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", required=True, help="name of the store in addresses")
        parser.add_argument("--code", choices=sorted(Code), help="only those refused for this")

    def handle(self, *args: Any, **options: Any) -> None:
        store = Store.objects.filter(slug=options["store"]).first()
        if store is None:
            raise CommandError(f"There is no store {options['store']!r}.")
        result = quarantine_replay(store=store, now=timezone.now(), code=options["code"])
        self.stdout.write(
            f"{result.total} judged again: {result.accepted} stored,"
            f" {result.duplicate} were there already, {result.refused} refused again."
        )
