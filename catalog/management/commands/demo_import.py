"""`manage.py demo_import`: the demo store with a year of real orders."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from catalog.demo.held_back import HELD_BACK_DAYS
from catalog.demo.importing import (
    MEMBER_EMAIL,
    MEMBER_PASSWORD,
    STORE_SLUG,
    DemoImported,
    DemoImportRefused,
    demo_import,
)
from catalog.demo.source import DemoSourceMissing
from catalog.services.stores import StoreRefused


class Command(BaseCommand):
    help = "Make the demo store with a year of a grocer's orders, or complete it after a break."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--keep-dates",
            action="store_true",
            help="leave the orders in 2017 instead of moving the last one into this week",
        )
        parser.add_argument(
            "--whole-year",
            action="store_true",
            help="import the last four weeks too, which `manage.py replay` would play otherwise",
        )
        parser.add_argument(
            "--store-slug", default=STORE_SLUG, help="name of the store in addresses"
        )
        parser.add_argument("--email", default=MEMBER_EMAIL, help="e-mail of the demo member")
        parser.add_argument(
            "--password", default=MEMBER_PASSWORD, help="password of the demo member, if it is new"
        )

    def handle(self, **options: Any) -> None:
        with tqdm(
            total=100,
            unit="%",
            bar_format="{desc:<40} {percentage:3.0f} % {bar}",
            disable=None,  # without a terminal the report at the end is enough
        ) as bar:

            def progress(step: str, share: float) -> None:
                bar.set_description_str(step, refresh=False)
                bar.n = round(share * 100)
                bar.refresh()

            try:
                imported = demo_import(
                    now=timezone.now(),
                    slug=options["store_slug"],
                    email=options["email"],
                    password=options["password"],
                    keep_dates=options["keep_dates"],
                    held_back_days=0 if options["whole_year"] else HELD_BACK_DAYS,
                    progress=progress,
                )
            except (DemoSourceMissing, DemoImportRefused, StoreRefused) as error:
                raise CommandError(str(error)) from error
        self.stdout.write(_report(imported))


def _report(imported: DemoImported) -> str:
    products, events = imported.products, imported.events
    moved = f"moved by {imported.weeks_moved} weeks" if imported.weeks_moved else "as in 2017"
    currency = imported.store.currency
    kept_back = f"{imported.value_minor_held_back / 100:,.2f} {currency}"
    lines = [
        f"{imported.store.name} ({imported.store.slug}), orders {moved}",
        f"  {products.n_read:,} products: {products.n_new:,} new, {products.n_changed:,} changed",
        f"  {imported.n_shoppers:,} shoppers",
        f"  {imported.n_orders:,} orders, {imported.value_minor / 100:,.2f} {currency}",
        f"  {events.n_read:,} lines: {events.n_stored:,} new, {events.n_duplicate:,} there already",
        f"  {imported.n_orders_held_back:,} orders of the last weeks, {kept_back}, left to `manage.py replay`",
        f"  {imported.n_lines_dropped:,} lines without goods and money left out",
        *(f"  {seconds:6.1f} s  {step}" for step, seconds in imported.seconds.items()),
        f"  {sum(imported.seconds.values()):6.1f} s",
    ]
    return "\n".join(lines)
