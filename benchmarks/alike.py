"""How often a test of nothing finds something: A/A tests from the rows of the database to the verdict.

A store of its own gets shoppers, and what they did in six weeks; others after every hundred tests.
Again and again, an experiment whose arms are the same strategy: its seed divides the shoppers, their
exposures are written down, the pipeline counts them (`analytics.services.participants`), and on each
of 20 days the results of that day are read from the database and judged by the locked rule.
`benchmarks.verdicts` needs no database.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.command import main, say
from benchmarks.report import Promise, Report, Table, figure

if TYPE_CHECKING:
    from analytics.results.facts import Facts
    from benchmarks.world import World
    from catalog.models import Event, Shopper, Store
    from recommender.models import Experiment, Placement

SEED = 2026
SLUG = "alike"
FIRST_LOOK, LAST_LOOK = 7, 26
STARTED_AT = datetime(2026, 3, 2, tzinfo=UTC)
ENDS_AT = STARTED_AT + timedelta(days=LAST_LOOK)
PAST = timedelta(days=14)
TESTS_PER_POPULATION = 100
SAID = {"absolute": "difference", "relative": "lift", "both": "difference and lift"}
ONE_LOOK = Promise(at_least=2.9, at_most=7.4)
# Of a visitor in a day.
COMES_BACK, BUYS, PUTS_INTO_CART = 0.05, 0.05, 0.15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tests", type=int, default=1000, help="A/A tests")
    parser.add_argument("--shoppers", type=int, default=1500, help="who are exposed in each")


@dataclass(slots=True)
class Found:
    """Counted over tests."""

    tests: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    one_look: Counter[str] = field(default_factory=Counter)
    peeking: int = 0
    split_alarms: int = 0
    fewest_buyers: int = 10**9


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    store, placement = _store()
    found = Found()
    took_s = 0.0
    try:
        for first in range(0, options.tests, TESTS_PER_POPULATION):
            exposed_at = _population(store, options.shoppers, first)
            began = time.monotonic()
            for number in range(first, min(first + TESTS_PER_POPULATION, options.tests)):
                _test(store, placement, exposed_at, number, found)
            took_s += time.monotonic() - began
            say(f"{found.tests} tests, {found.wrong.total()} false verdicts")
    finally:
        _forget(store)
    n = found.tests
    return Report(
        benchmark="alike",
        figures=[
            figure(
                "false verdicts, 20 looks",
                100 * found.wrong.total() / n,
                "%",
                promise=Promise(at_most=5.0),
            ),
            *(
                figure(f"of tests about {metric.replace('_', ' ')}", 200 * wrong / n, "%")
                for metric, wrong in sorted(found.wrong.items())
            ),
            *(
                figure(
                    f"false at one look, fixed test at 5 %, of the {SAID[scale]}",
                    100 * found.one_look[scale] / n,
                    "%",
                    promise=ONE_LOOK if scale == "absolute" else None,
                )
                for scale in SAID
            ),
            figure("false if the fixed test were looked at 20 times", 100 * found.peeking / n, "%"),
            figure("false alarms of the split, red at any look", 100 * found.split_alarms / n, "%"),
            figure("a test with its 20 looks", took_s / n, "s"),
        ],
        tables=[
            Table(
                "What is tested",
                ("tests", "shoppers", "looks", "fewest buyers in an arm"),
                [(n, options.shoppers, LAST_LOOK - FIRST_LOOK + 1, found.fewest_buyers)],
            )
        ],
        notes=[f"Simulation error (95 %): ± {196 * sqrt(0.05 * 0.95 / n):.1f} points of 5 %."],
    )


def _store() -> tuple[Store, Placement]:
    from catalog.models import Store, User
    from catalog.services.stores import store_create
    from recommender.models import Placement
    from recommender.services.strategies import store_recipes_install

    left = Store.objects.filter(slug=SLUG).first()
    if left is not None:
        _forget(left)
    owner, _ = User.objects.get_or_create(email="alike@example.com")
    store = store_create(name="Alike", slug=SLUG, currency="EUR", time_zone="UTC", owner=owner)
    store_recipes_install(store=store)
    return store, Placement.objects.get(store=store, slug="home-trending")


def _population(store: Store, n_shoppers: int, number: int) -> list[datetime]:
    """Other shoppers, and what they did in their past and from their first visit on; when that was."""
    from django.db import connection

    from catalog.models import Event, EventType, Shopper
    from catalog.services.partitions import partitions_ensure

    _forget_shoppers(store)
    rng = np.random.default_rng((SEED, number))
    partitions_ensure(first=(STARTED_AT - PAST).date(), last=ENDS_AT.date())
    first_s = rng.integers(0, (LAST_LOOK - 2) * 86_400, n_shoppers)
    exposed_at = [STARTED_AT + timedelta(seconds=int(each)) for each in first_s]
    shoppers = Shopper.objects.bulk_create(
        Shopper(store=store, external_id=f"s{i}", first_seen_at=at - PAST, last_seen_at=ENDS_AT)
        for i, at in enumerate(exposed_at)
    )
    events = []
    for shopper, at in zip(shoppers, exposed_at, strict=True):
        # Some buy more often than others, before as after: that is what CUPED lives on.
        eager = rng.gamma(2.0, 0.5)
        day = -int(PAST.days)
        while at + timedelta(days=day) < ENDS_AT - timedelta(hours=2):
            if day == 0 or rng.random() < COMES_BACK:
                when = at + timedelta(days=day, seconds=int(rng.integers(1, 3600)))
                events += _visit(store, shopper, when, eager, rng)
            day += 1
    Event.objects.bulk_create(events, batch_size=5_000)
    assert any(event.type == EventType.PURCHASE for event in events)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_event, catalog_shopper")
    return exposed_at


def _visit(
    store: Store, shopper: Shopper, at: datetime, eager: float, rng: np.random.Generator
) -> list[Event]:
    from catalog.models import Event, EventType

    kinds = [EventType.VIEW_ITEM]
    if rng.random() < PUTS_INTO_CART * eager:
        kinds.append(EventType.ADD_TO_CART)
    if rng.random() < BUYS * eager:
        kinds.append(EventType.PURCHASE)
    return [
        Event(
            store=store,
            event_id=uuid.UUID(int=int.from_bytes(rng.bytes(16))),
            occurred_on=(at + timedelta(seconds=i)).date(),
            occurred_at=at + timedelta(seconds=i),
            type=kind,
            shopper=shopper,
            value_minor=int(rng.lognormal(8, 0.8)) if kind == EventType.PURCHASE else None,
        )
        for i, kind in enumerate(kinds)
    ]


def _test(
    store: Store, placement: Placement, exposed_at: list[datetime], number: int, found: Found
) -> None:
    from django.db import transaction

    from analytics.selectors.experiment_facts import experiment_facts
    from analytics.services.participants import experiment_refresh

    with transaction.atomic():
        experiment = _experiment(store, placement, exposed_at, number)
        experiment_refresh(experiment=experiment, now=ENDS_AT)
        _looks(
            found,
            [
                experiment_facts(
                    experiment=experiment,
                    now=ENDS_AT,
                    last_day=(STARTED_AT + timedelta(days=day - 1)).date(),
                )
                for day in range(FIRST_LOOK, LAST_LOOK + 1)
            ],
        )
        transaction.set_rollback(True)


def _looks(found: Found, looks: list[Facts]) -> None:
    from analytics.results.effects import Effects
    from analytics.results.health import health_of
    from analytics.results.verdicts import verdict_of
    from analytics.stats.effects import SCALES, Effect, welch_test

    wrong = peeked = split = False
    significant: dict[str, bool] = {}
    for facts in looks:
        at_end = replace(facts, is_planned_end=facts is looks[-1])
        wrong |= any(each.state in ("better", "worse") for each in verdict_of(at_end))
        effects = Effects(facts)
        for scale in SCALES:
            effect = effects.measured(facts.plan.primary, 1, scale=scale, cuped=False).effect
            significant[scale] = isinstance(effect, Effect) and welch_test(effect).is_significant
        significant["both"] = all(significant[scale] for scale in SCALES)
        peeked |= significant["absolute"]
        health, _ = health_of(effects)
        split |= any(each.key == "split" and each.alarm == "red" for each in health.checks)
    last = looks[-1]
    orders = np.bincount(
        last.days.participant,
        weights=last.days.measures["n_orders"],
        minlength=len(last.participants),
    )
    buyers = np.bincount(last.participants.arm[orders > 0], minlength=2)
    found.fewest_buyers = min(found.fewest_buyers, int(buyers.min()))
    found.tests += 1
    found.wrong[last.plan.primary] += wrong
    found.peeking += peeked
    found.one_look.update(scale for scale, is_wrong in significant.items() if is_wrong)
    found.split_alarms += split


def _experiment(
    store: Store, placement: Placement, exposed_at: list[datetime], number: int
) -> Experiment:
    from recommender.engine.online.bucketing import bucket_of
    from recommender.models import (
        Experiment,
        ExperimentPhase,
        ExperimentPlacement,
        Exposure,
        Metric,
        Variant,
    )

    experiment = Experiment.objects.create(
        store=store,
        key=f"alike-{number}",
        name="Alike",
        # As random as those of real experiments, and the same in every run.
        seed=hashlib.sha256(f"{SEED} {number}".encode()).hexdigest()[:16],
        primary_metric=Metric.CONVERSION if number % 2 else Metric.REVENUE,
        planned_days=LAST_LOOK,
        planned_shoppers=len(exposed_at),
        state=Experiment.State.RUNNING,
        started_at=STARTED_AT,
    )
    ExperimentPlacement.objects.create(store=store, experiment=experiment, placement=placement)
    arms = [
        Variant.objects.create(
            store=store, experiment=experiment, key=key, name=key, position=position, weight=1.0
        )
        for position, key in enumerate("ab")
    ]
    ExperimentPhase.objects.create(
        store=store, experiment=experiment, cause=ExperimentPhase.Cause.START, coverage=1.0,
        weights=[1.0, 1.0], started_at=STARTED_AT,
    )  # fmt: skip
    exposures = []
    for i, at in enumerate(exposed_at):
        bucket = bucket_of(experiment.seed, f"s{i}")
        exposures.append(
            Exposure(
                store=store, experiment_id=experiment.pk, shopper_external_id=f"s{i}",
                variant_id=arms[bucket >= 0.5].pk, exposed_at=at, bucket=bucket,
            )
        )  # fmt: skip
    Exposure.objects.bulk_create(exposures, batch_size=5_000)
    return experiment


def _forget(store: Store) -> None:
    from recommender.models import Experiment, Exposure, Placement

    Experiment.objects.filter(store=store).delete()
    Placement.objects.filter(store=store).delete()
    Exposure.objects.filter(store=store).delete()
    _forget_shoppers(store)
    store.delete()


def _forget_shoppers(store: Store) -> None:
    from catalog.models import Event, Shopper

    Event.objects.filter(store=store).delete()
    Shopper.objects.filter(store=store).delete()


if __name__ == "__main__":
    main(["alike"])
