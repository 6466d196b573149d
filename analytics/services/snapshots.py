"""Results of experiments as they are judged, and those that are kept.

The latest results are replaced at every look. Others stay as they were: where a verdict was found
first, the one look at the planned end, the last look of every day, what a decision was based on,
and ranges of days that somebody asked for.

What judges needs SciPy, which web processes don't load: it is imported where it is called. Web
processes freeze and ask; workers look.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from django.db import transaction
from django.utils import timezone

from analytics.models import ExperimentSnapshot, ExperimentWatermark
from analytics.results.document import Results, results_json, results_read
from analytics.results.facts import Facts, Found
from analytics.selectors.experiment_facts import experiment_ends_at, experiment_facts
from analytics.services.participants import Refreshed, experiment_refresh
from analytics.services.rollups import EVENT_OVERLAP
from catalog.models import Erasure
from recommender.models import Experiment

Kind = ExperimentSnapshot.Kind

# Facts that had happened before the stop may still come in.
LATE = timedelta(days=14)
# Ranges can be worked out again.
RANGE_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look did. `results` is None if there was nothing new."""

    refreshed: Refreshed | None
    results: Results | None
    took_s: float


def snapshot_refresh(*, experiment: Experiment, now: datetime, anew: bool = False) -> Looked:
    """Count what is new and judge it; results that wouldn't change only get the time of the look.

    One transaction: if it fails, the next look finds the same news. `anew` looks in any case. A
    stopped experiment is looked at once more in full, then for 14 days when facts come in late.
    """
    began = time.monotonic()
    if not anew and _is_over(experiment, now):
        return Looked(None, None, 0.0)
    with transaction.atomic():
        latest = _latest(experiment)
        refreshed = experiment_refresh(
            experiment=experiment,
            now=now,
            refreshed_at=None if latest is None else latest.computed_at,
        )
        if latest is not None:
            _keep_day(experiment, latest, now)
        if not (anew or latest is None or _is_news(experiment, latest, refreshed, now)):
            _looked_again(latest, now)
            return Looked(refreshed, None, time.monotonic() - began)
        results = _look(experiment, latest, now, began)
    return Looked(refreshed, results, time.monotonic() - began)


def snapshot_freeze(
    *, experiment: Experiment, kind: str, now: datetime | None = None
) -> ExperimentSnapshot | None:
    """Keep the latest results as they are, for a decision; None if there are none yet."""
    with transaction.atomic():
        latest = _latest(experiment)
        if latest is None:
            return None
        frozen, _ = ExperimentSnapshot.objects.update_or_create(
            store=experiment.store,
            experiment=experiment,
            kind=kind,
            first_day=None,
            last_day=None,
            defaults={
                "document": latest.document,
                "asked_at": now or timezone.now(),
                "computed_at": latest.computed_at,
                "took_ms": latest.took_ms,
            },
        )
    return frozen


def snapshot_range_ask(
    *, experiment: Experiment, first_day: date, last_day: date, now: datetime | None = None
) -> ExperimentSnapshot:
    """A row for the results of some days. Without a document it waits for a worker.

    Whoever asks enqueues `analytics.tasks.compute_range`, on commit. Asked again, a range that
    wasn't over when it was worked out waits again.
    """
    now = now or timezone.now()
    with transaction.atomic():
        asked, is_new = ExperimentSnapshot.objects.get_or_create(
            store=experiment.store,
            experiment=experiment,
            kind=Kind.RANGE,
            first_day=min(first_day, last_day),
            last_day=max(first_day, last_day),
            defaults={"asked_at": now},
        )
        latest = _latest(experiment)
        if not is_new:
            asked.asked_at = now
            newest = latest.computed_at if latest is not None else None
            if asked.computed_at is None or newest is None or newest > asked.computed_at:
                asked.document = asked.computed_at = asked.took_ms = None
            asked.save()
    return asked


def snapshot_range_compute(*, snapshot: ExperimentSnapshot, now: datetime) -> Results:
    """Work out the days that somebody asked for. Nothing is found by them: they are chosen."""
    from analytics.results.judgement import judge_range

    began = time.monotonic()
    facts = experiment_facts(
        experiment=snapshot.experiment,
        now=now,
        first_day=snapshot.first_day,
        last_day=snapshot.last_day,
    )
    results = judge_range(facts)
    snapshot.document = results_json(results)
    snapshot.computed_at = now
    snapshot.took_ms = _ms(began)
    snapshot.save(update_fields=["document", "computed_at", "took_ms"])
    return results


# --------------------------------------------------------------------------------------------- a look


def _is_over(experiment: Experiment, now: datetime) -> bool:
    """Whether a stopped experiment can't change any more, and its last look was taken."""
    stopped_at = experiment.stopped_at
    if stopped_at is None or now <= stopped_at + LATE:
        return False
    latest = _latest(experiment)
    if latest is None or latest.computed_at is None or latest.computed_at <= stopped_at:
        return False
    # Who was erased since isn't in it any more.
    erased_since = latest.computed_at - EVENT_OVERLAP
    erasures = Erasure.objects.filter(store=experiment.store_id, erased_at__gt=erased_since)
    return not erasures.exists()


def _latest(experiment: Experiment) -> ExperimentSnapshot | None:
    return ExperimentSnapshot.objects.filter(
        store=experiment.store_id, experiment=experiment, kind=Kind.LATEST, document__isnull=False
    ).first()


def _is_news(
    experiment: Experiment, latest: ExperimentSnapshot, refreshed: Refreshed, now: datetime
) -> bool:
    looked_at = latest.computed_at
    if looked_at is None or refreshed.n_changed:
        return True
    if experiment.stopped_at is None and _day(experiment, looked_at) != _day(experiment, now):
        return True
    watermark = ExperimentWatermark.objects.filter(experiment=experiment).first()
    # Another refresh than this one may have found the news.
    moments: list[datetime | None] = [experiment.stopped_at, experiment.decided_at]
    if watermark is not None:
        moments.append(watermark.computed_at)
    phases = list(experiment.phases.order_by("started_at", "pk"))
    for phase in phases:
        moments += [phase.started_at, phase.ended_at]
    moments.append(experiment_ends_at(experiment=experiment, phases=phases, now=now))
    return any(moment is not None and looked_at < moment <= now for moment in moments)


def _look(
    experiment: Experiment, latest: ExperimentSnapshot | None, now: datetime, began: float
) -> Results:
    facts = experiment_facts(experiment=experiment, now=now)
    facts = replace(
        facts, found=_found(experiment), is_planned_end=_is_planned_end(experiment, facts, now)
    )
    results = _judged(facts)
    document = results_json(results)
    _keep(experiment, Kind.LATEST, document, now, began)
    if facts.is_planned_end:
        _keep(experiment, Kind.PLANNED_END, document, now, began)
    known = facts.found or {}
    if any(variant_id not in known for variant_id in _verdicts(results)):
        _keep(experiment, Kind.FOUND, document, now, began, last_day=_day(experiment, now))
    return results


def _judged(facts: Facts) -> Results:
    from analytics.results.judgement import judge

    return judge(facts)


def _is_planned_end(experiment: Experiment, facts: Facts, now: datetime) -> bool:
    """Whether this is the first look at or after the planned end: the one at which Welch counts."""
    ends_at = facts.ends_at
    if ends_at is None or ends_at > min(now, experiment.stopped_at or now):
        return False
    return not ExperimentSnapshot.objects.filter(
        store=experiment.store_id, experiment=experiment, kind=Kind.PLANNED_END
    ).exists()


def _found(experiment: Experiment) -> dict[int, Found]:
    """The verdicts that were found at earlier looks, each as it was found first."""
    found: dict[int, Found] = {}
    documents = (
        ExperimentSnapshot.objects.filter(
            store=experiment.store_id,
            experiment=experiment,
            kind__in=(Kind.FOUND, Kind.PLANNED_END, Kind.LATEST),
            document__isnull=False,
        )
        .order_by("computed_at")
        .values_list("document", flat=True)
    )
    for document in documents:
        for variant_id, verdict in _verdicts(results_read(document)).items():
            before = found.get(variant_id)
            if before is None or verdict.found_at < before.found_at:
                found[variant_id] = verdict
    return found


def _verdicts(results: Results) -> Mapping[int, Found]:
    return {
        each.variant_id: Found(cast(Any, each.state), each.found_by, each.found_at)
        for each in results.verdicts
        if each.state in ("better", "worse") and each.found_by and each.found_at
    }


# ------------------------------------------------------------------------------------------- keeping


def _keep(
    experiment: Experiment,
    kind: str,
    document: object,
    now: datetime,
    began: float,
    *,
    last_day: date | None = None,
) -> None:
    ExperimentSnapshot.objects.update_or_create(
        store=experiment.store,
        experiment=experiment,
        kind=kind,
        first_day=None,
        last_day=last_day,
        defaults={
            "document": document,
            "asked_at": now,
            "computed_at": now,
            "took_ms": _ms(began),
        },
    )


def _looked_again(latest: ExperimentSnapshot, now: datetime) -> None:
    """Nothing is new: the results are those of now."""
    document = {**cast(dict[str, Any], latest.document), "computed_at": msgspec.to_builtins(now)}
    ExperimentSnapshot.objects.filter(pk=latest.pk).update(document=document, computed_at=now)


def _keep_day(experiment: Experiment, latest: ExperimentSnapshot, now: datetime) -> None:
    """When a day is over, its last look stays; and what was asked for long ago goes."""
    if latest.computed_at is None or _day(experiment, latest.computed_at) >= _day(experiment, now):
        return
    ExperimentSnapshot.objects.get_or_create(
        store=experiment.store,
        experiment=experiment,
        kind=Kind.DAY,
        first_day=None,
        last_day=_day(experiment, latest.computed_at),
        defaults={
            "document": latest.document,
            "asked_at": latest.asked_at,
            "computed_at": latest.computed_at,
            "took_ms": latest.took_ms,
        },
    )
    ExperimentSnapshot.objects.filter(
        store=experiment.store_id,
        experiment=experiment,
        kind=Kind.RANGE,
        asked_at__lt=now - RANGE_KEPT,
    ).delete()


def _day(experiment: Experiment, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(experiment.store.time_zone)).date()


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
