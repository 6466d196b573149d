"""An experiment's participants and days as arrays: what its results are worked out from.

Rows come by binary COPY. A person's name becomes a number (64 bits of hash) on the way: 60,000
names meet by chance once in ten billion experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from django.db import connection

from analytics.metrics.latency import N_BINS
from analytics.models import ExperimentWatermark, VariantDay
from analytics.results.facts import (
    MEASURES,
    PRE_MEASURES,
    ArmFacts,
    BoolArray,
    Days,
    Facts,
    Int64Array,
    Participants,
    PhaseFacts,
    Plan,
)
from analytics.selectors.experiment_persons import PERSON_KEY, Persons
from analytics.selectors.experiment_scope import ExperimentScope, experiment_scope
from analytics.selectors.experiment_shown import (
    duplicate_orders,
    experiment_votes,
    products_shown,
)
from recommender.models import Experiment, ExperimentPhase, Placement, Variant
from recommender.selectors.training_data import copy_binary

_FLOATS = tuple(name for name in MEASURES if name.endswith("_sum"))


@dataclass(frozen=True, slots=True)
class _Window:
    """Who is in it: exposed from the first to the last day; and what they did up to the last."""

    first_day: date
    last_day: date
    start: datetime
    end: datetime


def experiment_facts(
    *,
    experiment: Experiment,
    now: datetime,
    first_day: date | None = None,
    last_day: date | None = None,
) -> Facts:
    """Everything that is known of a started experiment, as of `now` or of the end of `last_day`.

    With `first_day` only of those who were exposed from then on. A dozen queries, three of them
    over many rows. It reads what the last `experiment_refresh` counted.

    Raises
    ------
    ValueError
        It was never started.
    """
    scope = experiment_scope(experiment=experiment)
    window = _window(scope, now, first_day, last_day)
    variants = list(
        experiment.variants.order_by("position").prefetch_related(
            "strategies__strategy_version__strategy"
        )
    )
    phases = list(experiment.phases.order_by("started_at", "pk"))
    devices, placements = _labels(scope)
    everybody = _everybody(scope, window, variants, devices, placements)
    counts = ~(_crossed(experiment, everybody) | everybody["is_bot"].astype(bool))
    persons = Persons.of(everybody, counts, store_id=experiment.store_id)
    parameters = {**scope.parameters, "window_start": window.start, "window_end": window.end}
    return Facts(
        experiment_id=experiment.pk,
        key=experiment.key,
        name=experiment.name,
        state=cast(Any, experiment.state),
        currency=experiment.store.currency,
        plan=_plan(experiment),
        arms=_arms(
            variants,
            phases,
            everybody,
            _crossed(experiment, everybody),
            duplicate_orders(persons, parameters),
        ),
        phases=_phases(phases, everybody, len(variants)),
        participants=_participants(everybody, counts),
        days=_days(scope, window, persons),
        shown=products_shown(scope, persons, parameters, last_day=window.last_day),
        latency=_latency(scope, window, variants),
        devices=tuple(devices),
        placements=tuple(_placement_names(scope, placements)),
        first_day=window.first_day,
        last_day=window.last_day,
        started_at=experiment.started_at,
        ends_at=experiment_ends_at(experiment=experiment, phases=phases, now=now),
        now=now if last_day is None else min(now, window.end),
        facts_until=_facts_until(scope, window),
        votes=experiment_votes(scope, persons, parameters) if scope.is_interleaving else None,
        stopped_at=experiment.stopped_at,
        since=None if first_day is None else window.start,
    )


def experiment_ends_at(
    *, experiment: Experiment, phases: Sequence[ExperimentPhase], now: datetime
) -> datetime | None:
    """When the plan ends: a pause puts it off by as long as it lasts. None: not started.

    A pause that was never ended lasts until the stop.
    """
    if experiment.started_at is None:
        return None
    paused = timedelta(0)
    for before, after in pairwise(phases):
        if before.ended_at is not None:
            paused += max(after.started_at - before.ended_at, timedelta(0))
    over = now if experiment.state == Experiment.State.PAUSED else experiment.stopped_at
    if over is not None and phases and phases[-1].ended_at is not None:
        paused += max(over - phases[-1].ended_at, timedelta(0))
    return experiment.started_at + timedelta(days=experiment.planned_days) + paused


def _window(
    scope: ExperimentScope, now: datetime, first_day: date | None, last_day: date | None
) -> _Window:
    zone = ZoneInfo(scope.experiment.store.time_zone)
    first = first_day or scope.started_at.astimezone(zone).date()
    last = last_day or min(now, scope.until).astimezone(zone).date()
    return _Window(
        first_day=first,
        last_day=last,
        start=datetime.combine(first, time(), zone).astimezone(UTC),
        end=datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC),
    )


def _plan(experiment: Experiment) -> Plan:
    return Plan(
        kind=cast(Any, experiment.kind),
        primary=experiment.primary_metric,
        guardrails=tuple((each["metric"], float(each["margin"])) for each in experiment.guardrails),
        smallest_lift=experiment.smallest_lift,
        planned_days=experiment.planned_days,
        planned_shoppers=experiment.planned_shoppers,
        cuped=experiment.cuped,
    )


# ---------------------------------------------------------------------------------------- participants


def _labels(scope: ExperimentScope) -> tuple[list[str], list[int]]:
    """Devices and placements that participants were exposed on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT device, placement_id FROM analytics_participant"
            " WHERE store_id = %(store)s AND experiment_id = %(experiment)s",
            scope.parameters,
        )
        rows = cursor.fetchall()
    return sorted({row[0] for row in rows} - {None}), sorted({row[1] for row in rows} - {None})


def _placement_names(scope: ExperimentScope, placements: list[int]) -> list[str]:
    names = dict(
        Placement.objects.filter(store=scope.experiment.store_id, pk__in=placements).values_list(
            "pk", "name"
        )
    )
    return [names.get(placement, str(placement)) for placement in placements]


_FIELDS: tuple[tuple[str, str], ...] = (
    ("person", ">i8"), ("shopper_id", ">i8"), ("arm", ">i4"), ("day", ">i4"),
    ("exposed_us", ">i8"), ("device", ">i4"), ("placement", ">i4"), ("is_returning", ">i4"),
    ("is_crossover", ">i4"), ("is_bot", ">i4"), ("is_silent", ">i4"), ("is_unlogged", ">i4"),
    *((name, ">i8") for name in PRE_MEASURES),
)  # fmt: skip

_EVERYBODY = f"""
SELECT {PERSON_KEY.format(name="person")}, coalesce(shopper.id, 0),
  array_position(%(variants)s::bigint[], variant_id) - 1, day - %(first_day)s::date,
  (extract(epoch FROM exposed_at) * 1000000)::int8,
  coalesce(array_position(%(devices)s::text[], device::text), 0) - 1,
  coalesce(array_position(%(labels)s::bigint[], placement_id), 0) - 1,
  is_returning::int, is_crossover::int, is_bot::int, is_silent::int,
  (placement_id IS NULL)::int, {", ".join(f"{name}::int8" for name in PRE_MEASURES)}
FROM analytics_participant AS participant
LEFT JOIN catalog_shopper AS shopper ON shopper.store_id = participant.store_id
  AND shopper.external_id = participant.person
WHERE participant.store_id = %(store)s AND experiment_id = %(experiment)s
  AND variant_id = ANY(%(variants)s)
  AND day BETWEEN %(first_day)s::date AND %(last_day)s::date
"""


def _everybody(
    scope: ExperimentScope,
    window: _Window,
    variants: list[Variant],
    devices: list[str],
    placements: list[int],
) -> npt.NDArray[Any]:
    """All participants, those who don't count too, by ascending person."""
    raw = copy_binary(
        _EVERYBODY,
        {
            **scope.parameters,
            "variants": [variant.pk for variant in variants],
            "devices": devices,
            "labels": placements,
            "first_day": window.first_day,
            "last_day": window.last_day,
        },
        _FIELDS,
    )
    return raw[np.argsort(raw["person"].astype(np.int64), kind="stable")]


def _crossed(experiment: Experiment, everybody: npt.NDArray[Any]) -> BoolArray:
    """Who is left out because they were in several arms.

    The weights of a bandit move, and those who come back with them: nobody crosses there. They
    stay in the arm they were in first.
    """
    if experiment.kind == Experiment.Kind.BANDIT:
        return np.zeros(len(everybody), np.bool_)
    crossed: BoolArray = everybody["is_crossover"].astype(np.bool_)
    return crossed


def _participants(everybody: npt.NDArray[Any], counts: BoolArray) -> Participants:
    mine = everybody[counts]
    return Participants(
        arm=mine["arm"].astype(np.int64),
        day=mine["day"].astype(np.int64),
        device=mine["device"].astype(np.int64),
        placement=mine["placement"].astype(np.int64),
        returning=mine["is_returning"].astype(np.bool_),
        pre={name: mine[name].astype(np.float64) for name in PRE_MEASURES},
    )


_DAYS = f"""
SELECT {PERSON_KEY.format(name="person")}, day - %(first_day)s::date, {", ".join(MEASURES)}
FROM analytics_participantday
WHERE store_id = %(store)s AND experiment_id = %(experiment)s
  AND day BETWEEN %(first_day)s::date AND %(last_day)s::date
"""
_DAY_FIELDS: tuple[tuple[str, str], ...] = (
    ("person", ">i8"),
    ("day", ">i4"),
    *(
        (name, ">f8" if name in _FLOATS else ">i8" if name == "revenue_minor" else ">i4")
        for name in MEASURES
    ),
)


def _days(scope: ExperimentScope, window: _Window, persons: Persons) -> Days:
    raw = copy_binary(
        _DAYS,
        {**scope.parameters, "first_day": window.first_day, "last_day": window.last_day},
        _DAY_FIELDS,
    )
    rows = persons.rows_of(raw["person"].astype(np.int64))
    known = rows >= 0
    return Days(
        participant=rows[known],
        day=raw["day"][known].astype(np.int64),
        measures={name: raw[name][known].astype(np.float64) for name in MEASURES},
    )


# --------------------------------------------------------------------------------- arms and phases


def _arms(
    variants: list[Variant],
    phases: list[ExperimentPhase],
    everybody: npt.NDArray[Any],
    crossover: BoolArray,
    duplicates: Int64Array,
) -> tuple[ArmFacts, ...]:
    weights = list(phases[-1].weights) if phases else [variant.weight for variant in variants]
    total = sum(weights)
    machine = everybody["is_bot"].astype(bool) & ~crossover
    counts = ~crossover & ~machine

    def per_arm(mask: npt.NDArray[np.bool_]) -> list[int]:
        found: list[int] = np.bincount(everybody["arm"][mask], minlength=len(variants)).tolist()
        return found

    crossovers, bots = per_arm(crossover), per_arm(machine)
    silent = per_arm(counts & everybody["is_silent"].astype(bool))
    unlogged = per_arm(counts & everybody["is_unlogged"].astype(bool))
    repeated = np.bincount(
        everybody["arm"][counts], weights=duplicates, minlength=len(variants)
    ).astype(int)
    return tuple(
        ArmFacts(
            variant_id=variant.pk,
            key=variant.key,
            name=variant.name,
            share=weights[i] / total if total else 0.0,
            strategies=_strategies(variant),
            n_crossovers=crossovers[i],
            n_bots=bots[i],
            n_duplicate_orders=int(repeated[i]),
            n_silent=silent[i],
            n_unlogged=unlogged[i],
        )
        for i, variant in enumerate(variants)
    )


def _strategies(variant: Variant) -> tuple[str, ...]:
    """What the arm shows, each once; empty: the placements' own."""
    names = {
        f"{shown.strategy_version.strategy.name}, version {shown.strategy_version.number}"
        for shown in variant.strategies.all()
    }
    return tuple(sorted(names))


def _phases(
    phases: list[ExperimentPhase], everybody: npt.NDArray[Any], n_arms: int
) -> tuple[PhaseFacts, ...]:
    """Exposed in each phase, and in the moments after its end until everybody knew of it."""
    starts = np.array([round(phase.started_at.timestamp() * 1e6) for phase in phases], np.int64)
    of_phase = np.searchsorted(starts, everybody["exposed_us"].astype(np.int64), "right") - 1
    return tuple(
        PhaseFacts(
            started_at=phase.started_at,
            ended_at=phase.ended_at,
            weights=tuple(phase.weights),
            exposed=tuple(np.bincount(everybody["arm"][of_phase == i], minlength=n_arms).tolist()),
        )
        for i, phase in enumerate(phases)
    )


def _latency(scope: ExperimentScope, window: _Window, variants: list[Variant]) -> Int64Array:
    found = np.zeros((len(variants), N_BINS), np.int64)
    place = {variant.pk: i for i, variant in enumerate(variants)}
    rows = VariantDay.objects.filter(
        store=scope.experiment.store_id,
        experiment=scope.experiment,
        day__range=(window.first_day, window.last_day),
    ).values_list("variant_id", "latency_counts")
    for variant_id, counts in rows:
        if variant_id in place:
            found[place[variant_id]] += np.array(counts, np.int64)
    return found


def _facts_until(scope: ExperimentScope, window: _Window) -> datetime | None:
    watermark = ExperimentWatermark.objects.filter(experiment=scope.experiment).first()
    if watermark is None:
        return None
    marks = (watermark.events_received_at, watermark.impressions_delivered_at)
    newest = max((mark for mark in marks if mark is not None), default=None)
    return None if newest is None else min(newest, window.end, scope.until)
