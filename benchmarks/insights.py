"""Insights of a year: counting it, a minute's refresh, and every tab as a member opens it.

300,000 lists of eight are spread over a year and all placements, with what shoppers did with them,
in a store with 1.4 million other event lines. Pages are asked for in this process, with templates
and without network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.command import main, say
from benchmarks.report import Promise, Report, Table, figure, percentile

if TYPE_CHECKING:
    from django.test import Client

    from benchmarks.world import World

DAYS = 365
# Of the catalog; how often falls with the square.
N_SHOWN = 68_000
PAGE_MS = Promise(at_most=500.0)
TABS = ("", "by/placement/", "by/strategy/", "by/source/", "by/category/", "diversity/",
        "never-shown/", "tracking/", "by/placement/home-trending/", "by/source/trending/")  # fmt: skip

_IMPRESSIONS = """
INSERT INTO recommender_impression (
  store_id, recommendation_id, delivered_on, delivered_at, placement_id, strategy_version_id,
  shopper_external_id, product_ids, sources, propensities, fallback, took_us
)
SELECT %(store)s, gen_random_uuid(), (at AT TIME ZONE 'UTC')::date, at,
  (%(placements)s::bigint[])[1 + i %% cardinality(%(placements)s::bigint[])],
  (%(versions)s::bigint[])[1 + i %% cardinality(%(versions)s::bigint[])],
  (%(shoppers)s::text[])[1 + (i::bigint * 7919) %% cardinality(%(shoppers)s::text[])],
  (SELECT array_agg((%(products)s::bigint[])[
     1 + (floor(power(random(), 2) * cardinality(%(products)s::bigint[])))::int])
   FROM generate_series(1, 8) WHERE i > 0),
  (SELECT array_agg((ARRAY['trending', 'also_viewed', 'for_you', 'bought_together'])[1 + (i + n) %% 4])
   FROM generate_series(1, 8) AS n),
  array_fill(1.0::float8, ARRAY[8]), CASE WHEN i %% 20 = 0 THEN 'bestsellers' END, 900
FROM (
  SELECT i, date_trunc('milliseconds', %(end)s::timestamptz - random() * interval '365 days') AS at
  FROM generate_series(1, %(impressions)s) AS i
) AS answer
"""

# Of a list: seen (6 of 10), a product of it clicked (1 of 10); of the clicked ones bought (1 of 4).
_EVENTS = """
WITH lists AS (
  SELECT i.*, shopper.id AS shopper_id, random() AS clicks, random() AS buys,
    i.product_ids[1 + floor(random() * 8)::int] AS product_id
  FROM recommender_impression i
    JOIN catalog_shopper shopper
      ON shopper.store_id = i.store_id AND shopper.external_id = i.shopper_external_id
  WHERE i.store_id = %(store)s
)
INSERT INTO catalog_event (
  store_id, event_id, line, occurred_on, type, shopper_id, product_id, quantity, price_minor,
  value_minor, order_id, session_id, recommendation_id, is_bot, occurred_at, received_at
)
SELECT store_id, gen_random_uuid(), 0, (at AT TIME ZONE 'UTC')::date, kind.type, shopper_id,
  CASE WHEN kind.type <> 12 THEN lists.product_id END, 1, 1000, 1000,
  CASE WHEN kind.type = 8 THEN gen_random_uuid()::text END, shopper_id::text || at::date,
  CASE WHEN kind.type <> 8 THEN recommendation_id END, false, at, at + interval '2 seconds'
FROM lists
  CROSS JOIN (VALUES (12, interval '3 seconds'), (13, interval '20 seconds'), (8, interval '1 hour'))
    AS kind (type, later)
  CROSS JOIN LATERAL (SELECT lists.delivered_at + kind.later AS at) AS moment
WHERE CASE kind.type WHEN 12 THEN clicks < 0.6 WHEN 13 THEN clicks < 0.1
  ELSE clicks < 0.1 AND buys < 0.25 END
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--impressions", type=int, default=300_000, help="lists of the year")
    parser.add_argument("--opened", type=int, default=20, help="how often each tab is opened")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from django.test import Client

    with _year(world, options.impressions) as end:
        counted = _counted(world, end)
        client = Client(headers={"host": "localhost"})
        client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
        took = pages_timed(client, world.store.slug, end, options.opened)
    return _report(world, options, counted, took)


@contextmanager
def _year(world: World, impressions: int) -> Iterator[datetime]:
    """The store with its year of lists; what was counted of them is taken away at the end."""
    from analytics import models

    try:
        end = world._newest
        with _said("writing the facts"):
            year_write(store_id=world.store.pk, end=end, impressions=impressions)
        yield end
    finally:
        for model in (
            models.RecommendationDay, models.SourceDay, models.CategoryDay, models.ProductDay,
            models.ProductMonth, models.Reach, models.AttributedLine, models.TrackingHour,
            models.TrackingDay, models.InsightsWatermark,
        ):  # fmt: skip
            model.objects.filter(store=world.store).delete()


def year_write(*, store_id: int, end: datetime, impressions: int) -> None:
    """Lists of the year up to `end`, and what shoppers did with them."""
    from django.db import connection, transaction

    from catalog.models import Product, Shopper
    from catalog.services.partitions import partitions_ensure
    from recommender.models import Placement

    partitions_ensure(
        first=(end - timedelta(days=DAYS)).date(), last=end.date() + timedelta(days=1)
    )
    products = Product.objects.filter(store_id=store_id).order_by("external_id")
    shoppers = Shopper.objects.filter(store_id=store_id).order_by("pk")
    placements = list(
        Placement.objects.filter(store_id=store_id)
        .order_by("pk")
        .values_list("pk", "strategy_version_id")
    )
    parameters: dict[str, Any] = {
        "store": store_id,
        "end": end,
        "impressions": impressions,
        "placements": [placement_id for placement_id, _ in placements],
        "versions": [version_id for _, version_id in placements],
        "shoppers": list(shoppers.values_list("external_id", flat=True)[:20_000]),
        "products": list(products.values_list("pk", flat=True)[:N_SHOWN]),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.2026)")
        for statement in (_IMPRESSIONS, _EVENTS):
            cursor.execute(statement, parameters)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_event, recommender_impression")


def _counted(world: World, end: datetime) -> dict[str, float]:
    """Seconds to count the year, and to look again without and with news of a minute."""
    from django.db import connection
    from django.utils import timezone

    from analytics.services.insights_rollups import insights_rebuild, insights_refresh
    from catalog.models import Event, EventType

    now = timezone.now() + timedelta(minutes=5)
    counted = {"the whole year": _seconds(lambda: insights_rebuild(store=world.store, now=now))}
    with connection.cursor() as cursor:
        # What autovacuum has done long before a year is full.
        for table in ("productday", "recommendationday", "sourceday", "categoryday",
                      "attributedline", "shopperday"):  # fmt: skip
            cursor.execute(f"ANALYZE analytics_{table}")
    counted["a refresh"] = _seconds(lambda: insights_refresh(store=world.store, now=now))
    sold = Event.objects.filter(store=world.store, type=EventType.PURCHASE).latest("occurred_at")
    Event.objects.filter(store=world.store, pk=sold.pk).update(received_at=now)
    counted["a refresh with an order"] = _seconds(
        lambda: insights_refresh(store=world.store, now=now)
    )
    return counted


def pages_timed(client: Client, slug: str, end: datetime, opened: int) -> dict[str, list[float]]:
    """Milliseconds of each tab for the year up to the day before `end`, after opening it once."""
    last = (end - timedelta(days=1)).date()
    took: dict[str, list[float]] = {}
    for tab in TABS:
        address = f"/console/{slug}/insights/{tab}?days=365&until={last}"
        for number in range(opened + 1):
            began = time.perf_counter()
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)
            if number:
                took.setdefault(tab, []).append(1000 * (time.perf_counter() - began))
    return took


def _report(
    world: World,
    options: argparse.Namespace,
    counted: dict[str, float],
    took: dict[str, list[float]],
) -> Report:
    p95 = {tab: percentile(times, 0.95) for tab, times in took.items()}
    return Report(
        benchmark="insights",
        figures=[
            figure("p95 of the slowest tab, a year", max(p95.values()), "ms", promise=PAGE_MS),
            *(figure(name, seconds, "s") for name, seconds in counted.items()),
        ],
        tables=[
            Table(
                "Tabs, slowest first",
                ("tab", "p50 ms", "p95 ms"),
                [
                    (f"`insights/{tab}`", percentile(took[tab], 0.5), p95[tab])
                    for tab in sorted(took, key=lambda tab: -p95[tab])
                ],
            )
        ],
        notes=[
            (
                f"{options.impressions:,} lists of eight over {DAYS} days, in a store with"
                f" {world.built.n_event_lines:,} other event lines and"
                f" {world.built.n_products:,} products."
            )
        ],
    )


@contextmanager
def _said(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{name}: {time.monotonic() - began:.1f} s")


def _seconds(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main(["insights"])
