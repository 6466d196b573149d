"""Results of an experiment with four variants: a first look at everything, and the next one.

60,000 visitors of four weeks are written into the store beside its own shoppers: 300,000 lists of
eight, and what the visitors did with them. The first look counts every participant and day, reads
them, and judges them. Then five minutes of traffic come in, and it looks again.

Seconds are what a worker waits. CPU seconds, of this process and of its database session, count
for more on a machine that does other things as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.command import main, say
from benchmarks.report import Promise, Report, Table, figure, percentile

if TYPE_CHECKING:
    from benchmarks.world import World
    from recommender.models import Experiment

DAYS = 28
N_VARIANTS = 4
NAME = "visitor-"
FIRST_S = Promise(at_most=20.0)
PAGE_MS = Promise(at_most=300.0)
KEY = "benchmark"

_SHOPPERS = """
INSERT INTO catalog_shopper (store_id, external_id, first_seen_at, last_seen_at, profile)
SELECT %(store)s, %(name)s || i, %(start)s, %(end)s, '{}' FROM generate_series(1, %(shoppers)s) AS i
"""

# Visitors come back: half of the answers go to a tenth of them.
_IMPRESSIONS = """
INSERT INTO recommender_impression (
  store_id, recommendation_id, delivered_on, delivered_at, placement_id, strategy_version_id,
  experiment_id, variant_id, shopper_external_id, product_ids, sources, propensities, device,
  fallback, took_us
)
SELECT %(store)s, gen_random_uuid(), (at AT TIME ZONE 'UTC')::date, at, %(placement)s, %(version)s,
  %(experiment)s, (%(variants)s::bigint[])[1 + visitor %% cardinality(%(variants)s::bigint[])],
  %(name)s || visitor,
  (SELECT array_agg((%(products)s::bigint[])[
     1 + (floor(power(random(), 2) * cardinality(%(products)s::bigint[])))::int])
   FROM generate_series(1, 8) WHERE i > 0),
  array_fill('trending'::text, ARRAY[8]), array_fill(1.0::float8, ARRAY[8]),
  CASE WHEN i %% 3 = 0 THEN 'desktop' ELSE 'mobile' END,
  CASE WHEN i %% 20 = 0 THEN 'trending' END, (800 * exp(random() * 2))::int
FROM (
  SELECT i, date_trunc('milliseconds', %(start)s::timestamptz
      + random() * (%(end)s::timestamptz - %(start)s::timestamptz)) AS at,
    CASE WHEN i <= %(shoppers)s THEN i
      ELSE 1 + floor(power(random(), 3) * %(shoppers)s)::int END AS visitor
  FROM generate_series(1, %(impressions)s) AS i
) AS answer
"""

_EXPOSURES = """
INSERT INTO recommender_exposure (
  store_id, experiment_id, shopper_external_id, variant_id, exposed_at, recommendation_id
)
SELECT DISTINCT ON (shopper_external_id) store_id, experiment_id, shopper_external_id, variant_id,
  delivered_at, recommendation_id
FROM recommender_impression
WHERE store_id = %(store)s AND experiment_id = %(experiment)s
ORDER BY shopper_external_id, delivered_at
ON CONFLICT DO NOTHING
"""

# Of a list: seen (6 of 10), clicked (6 of 100), and what is done within the hour after it: two
# products looked at, one put into the cart (1 of 5), bought (1 of 20).
_EVENTS = """
INSERT INTO catalog_event (
  store_id, event_id, line, occurred_on, type, shopper_id, product_id, quantity, price_minor,
  value_minor, order_id, recommendation_id, is_bot, occurred_at, received_at
)
SELECT impression.store_id, gen_random_uuid(), 0, (at AT TIME ZONE 'UTC')::date, kind.type,
  shopper.id, impression.product_ids[1 + kind.place], 1, 1000, 1000,
  CASE WHEN kind.type = 8 THEN gen_random_uuid()::text END,
  CASE WHEN kind.type IN (12, 13) THEN impression.recommendation_id END, false, at,
  -- As they would have come in: a look goes two minutes back behind the newest.
  now() - %(age)s * greatest(1 - extract(epoch FROM at - %(start)s::timestamptz)
    / extract(epoch FROM %(end)s::timestamptz - %(start)s::timestamptz), 0)
FROM recommender_impression AS impression
  JOIN catalog_shopper AS shopper ON shopper.store_id = impression.store_id
    AND shopper.external_id = impression.shopper_external_id
  CROSS JOIN (VALUES (12, 0.6, 0), (13, 0.06, 1), (1, 1.0, 2), (1, 1.0, 3), (4, 0.2, 2), (8, 0.05, 2))
    AS kind (type, share, place)
  CROSS JOIN LATERAL (
    SELECT impression.delivered_at + random() * interval '1 hour' AS at
    WHERE random() < kind.share
  ) AS moment
WHERE impression.store_id = %(store)s AND impression.experiment_id = %(experiment)s
  AND impression.delivered_at >= %(start)s
"""


@dataclass(slots=True)
class Clock:
    """Seconds and CPU seconds of named steps."""

    session: psutil.Process
    rows: list[tuple[str, float, float, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        own, began = time.process_time(), time.monotonic()
        theirs = sum(self.session.cpu_times()[:2])
        yield
        took = time.monotonic() - began
        self.rows.append(
            (name, took, time.process_time() - own, sum(self.session.cpu_times()[:2]) - theirs)
        )
        say(f"{name}: {took:.1f} s")

    def seconds(self, name: str) -> float:
        return next(row[1] for row in self.rows if row[0] == name)

    def cpu_seconds(self, name: str) -> float:
        return next(row[2] + row[3] for row in self.rows if row[0] == name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shoppers", type=int, default=60_000, help="visitors who take part")
    parser.add_argument("--impressions", type=int, default=300_000, help="lists they were shown")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from django.db import connection

    connection.ensure_connection()
    clock = Clock(psutil.Process(connection.connection.info.backend_pid))
    with _experiment(world) as experiment:
        now = world._newest
        with clock.step("writing the facts"):
            parameters = _parameters(world, experiment, options, now - timedelta(days=DAYS), now)
            _write(parameters, with_shoppers=True)
        return _measured(world, experiment, options, clock, parameters)


def _measured(
    world: World,
    experiment: Experiment,
    options: argparse.Namespace,
    clock: Clock,
    parameters: dict[str, Any],
) -> Report:
    from analytics.results.judgement import judge
    from analytics.selectors.experiment_facts import experiment_facts
    from analytics.services.participants import experiment_rebuild
    from analytics.services.snapshots import snapshot_refresh

    now: datetime = parameters["end"]
    with clock.step("first look"):
        first = snapshot_refresh(experiment=experiment, now=now)
    assert first.refreshed is not None
    with clock.step("look without news"):
        snapshot_refresh(experiment=experiment, now=now + timedelta(minutes=4))
    # 300,000 lists in four weeks are some 40 in five minutes; ten times as many at a busy hour.
    later = now + timedelta(minutes=5)
    _write(
        {
            **parameters,
            "age": timedelta(0),
            "start": now,
            "end": later,
            "impressions": 400,
            "shoppers": 400,
        }
    )
    with clock.step("look at five minutes of traffic"):
        second = snapshot_refresh(experiment=experiment, now=later + timedelta(minutes=1))
    assert second.refreshed is not None
    page_ms = _page_ms(world, experiment)
    with clock.step("… of a first look: counting"):
        experiment_rebuild(experiment=experiment, now=later)
    with clock.step("… reading"):
        facts = experiment_facts(experiment=experiment, now=later)
    with clock.step("… judging"):
        judge(facts)
    return Report(
        benchmark="experiments",
        figures=[
            figure("first look", clock.seconds("first look"), "s", promise=FIRST_S),
            figure("first look, CPU", clock.cpu_seconds("first look"), "s"),
            figure("next look", clock.seconds("look at five minutes of traffic"), "s"),
            figure("look without news", clock.seconds("look without news"), "s"),
            figure("p95 of the results page", percentile(page_ms, 0.95), "ms", promise=PAGE_MS),
            figure("p50 of the results page", percentile(page_ms, 0.5), "ms"),
            figure("participants", first.refreshed.n_participants, ""),
            figure("persons counted at the next look", second.refreshed.n_touched, ""),
        ],
        tables=[
            Table(
                "Where the time goes",
                ("step", "s", "CPU s here", "CPU s database"),
                [row for row in clock.rows if row[0] != "writing the facts"],
            )
        ],
        notes=[
            (
                f"{options.impressions:,} lists of eight for {options.shoppers:,} visitors in four"
                f" variants over {DAYS} days, and {_n_events(world):,} events of theirs, in a store"
                f" with {world.built.n_event_lines:,} other event lines and"
                f" {world.built.n_products:,} products."
            ),
        ],
    )


def _page_ms(world: World, experiment: Experiment) -> list[float]:
    """Milliseconds of the results page, opened once before."""
    from django.test import Client

    client = Client(headers={"host": "localhost"})
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    address = f"/console/{world.store.slug}/experiments/{experiment.key}/"
    took = []
    for _ in range(41):
        began = time.perf_counter()
        answer = client.get(address)
        took.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, answer.status_code
    return took[1:]


@contextmanager
def _experiment(world: World) -> Iterator[Experiment]:
    """A running experiment of four variants that began four weeks before the newest event."""
    from recommender.models import (
        Experiment,
        ExperimentPhase,
        ExperimentPlacement,
        Placement,
        Variant,
    )

    start = world._newest - timedelta(days=DAYS)
    Experiment.objects.filter(store=world.store, key=KEY).delete()
    placement = Placement.objects.filter(store=world.store).order_by("pk")[0]
    experiment = Experiment.objects.create(
        store=world.store,
        key=KEY,
        name="Benchmark",
        seed=KEY,
        guardrails=[{"metric": "diversity", "margin": 0.05}, {"metric": "latency", "margin": 0.2}],
        planned_days=DAYS + 1,
        planned_shoppers=60_000,
        state=Experiment.State.RUNNING,
        started_at=start,
    )
    ExperimentPlacement.objects.create(
        store=world.store, experiment=experiment, placement=placement
    )
    for position, letter in enumerate("abcdefgh"[:N_VARIANTS]):
        Variant.objects.create(
            store=world.store, experiment=experiment, key=letter, name=letter.upper(),
            position=position, weight=1.0,
        )  # fmt: skip
    ExperimentPhase.objects.create(
        store=world.store, experiment=experiment, cause=ExperimentPhase.Cause.START, coverage=1.0,
        weights=[1.0] * N_VARIANTS, started_at=start,
    )  # fmt: skip
    try:
        yield experiment
    finally:
        experiment.delete()


def _parameters(
    world: World,
    experiment: Experiment,
    options: argparse.Namespace,
    start: datetime,
    end: datetime,
) -> dict[str, Any]:
    from catalog.models import Product
    from recommender.models import ExperimentPlacement

    placement = ExperimentPlacement.objects.get(experiment=experiment).placement
    products = Product.objects.filter(store=world.store).order_by("external_id")
    return {
        "store": world.store.pk,
        "age": _age(world),
        "name": NAME,
        "start": start,
        "end": end,
        "shoppers": options.shoppers,
        "impressions": options.impressions,
        "experiment": experiment.pk,
        "placement": placement.pk,
        "version": placement.strategy_version_id,
        "variants": list(experiment.variants.values_list("pk", flat=True)),
        "products": list(products.values_list("pk", flat=True)[:20_000]),
    }


def _write(parameters: dict[str, Any], *, with_shoppers: bool = False) -> None:
    from django.db import connection, transaction

    from catalog.services.partitions import partitions_ensure

    partitions_ensure(
        first=parameters["start"].date(), last=parameters["end"].date() + timedelta(days=1)
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.2026)")
        statements = (_IMPRESSIONS, _EXPOSURES, _EVENTS)
        for statement in (_SHOPPERS, *statements) if with_shoppers else statements:
            cursor.execute(statement, parameters)
    if with_shoppers:
        with connection.cursor() as cursor:
            # Facts of four weeks were looked after meanwhile.
            cursor.execute(
                "VACUUM (ANALYZE) catalog_event, catalog_shopper, recommender_impression,"
                " recommender_exposure"
            )


def _age(world: World) -> timedelta:
    """How long ago the first event came in: after those of the store, so that it is taken away."""
    from django.utils import timezone

    built_at = datetime.fromisoformat(world.built.newest_received_at)
    return min(timezone.now() - built_at - timedelta(minutes=1), timedelta(days=1))


def _n_events(world: World) -> int:
    from catalog.models import Event

    return Event.objects.filter(
        store=world.store, shopper_id__gt=world.built.last_shopper_id
    ).count()


if __name__ == "__main__":
    main(["experiments"])
