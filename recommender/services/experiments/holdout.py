"""The hold-out: a share of the shoppers who see the baseline everywhere, always."""

from __future__ import annotations

import math
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from catalog.models import Shopper, Store, User
from recommender.models import (
    Experiment,
    ExperimentPhase,
    Metric,
    StrategyVersion,
    Variant,
    VariantStrategy,
)
from recommender.services.experiments.checks import MAX_DAYS
from recommender.services.experiments.drafts import key_free
from recommender.services.experiments.lifecycle import shares_change, stop_now
from recommender.services.experiments.records import (
    ExperimentRefused,
    experiment_lock,
    experiment_record,
    phase_open,
    state_require,
)
from recommender.services.strategies import settings_touch, store_lock

__all__ = ["holdout_change", "holdout_start", "holdout_stop"]

State = Experiment.State
# Half of the shoppers are as many as a comparison can use; more only cost.
MIN_SHARE, MAX_SHARE = 0.001, 0.5
# A new shop will have at least so many.
LEAST_PLANNED = 10_000


def holdout_start(
    *,
    store: Store,
    share: float,
    baseline: StrategyVersion | None,
    actor: User | None,
    now: datetime,
) -> Experiment:
    """Hold a share of the shoppers out of all placements, those to come included.

    They see `baseline` everywhere; without one, nothing. The first variant (the control) are those
    held out, the second one everybody else. A store has one. Raises ExperimentRefused.
    """
    share = _checked(share)
    if baseline is not None and baseline.store_id != store.pk:
        raise ExperimentRefused({"baseline": "Choose a strategy of this store."})
    with transaction.atomic():
        locked = store_lock(store.pk)
        if Experiment.objects.filter(
            store=locked,
            kind=Experiment.Kind.HOLDOUT,
            state__in=Experiment.LIVE,
        ).exists():
            raise ExperimentRefused(
                "The store has a hold-out already: change its share, or stop it."
            )
        experiment = Experiment.objects.create(
            store=locked,
            key=key_free(locked, "Hold-out"),
            name="Hold-out",
            kind=Experiment.Kind.HOLDOUT,
            hypothesis="What recommendations bring, against shoppers who see none of them.",
            seed=secrets.token_hex(8),
            primary_metric=Metric.REVENUE,
            planned_days=MAX_DAYS,
            planned_shoppers=_shoppers_of_a_year(locked, now),
            state=State.RUNNING,
            started_at=now,
            created_by=actor,
        )
        held_out, _ = Variant.objects.bulk_create(
            Variant(store=locked, experiment=experiment, position=place, **fields)
            for place, fields in enumerate(
                (
                    {
                        "key": "held-out",
                        "name": "Held out",
                        "weight": share,
                        "shows_nothing": baseline is None,
                    },
                    {
                        "key": "recommendations",
                        "name": "With recommendations",
                        "weight": 1 - share,
                    },
                )
            )
        )
        if baseline is not None:
            VariantStrategy.objects.create(
                store=locked, variant=held_out, placement=None, strategy_version=baseline
            )
        phase_open(experiment, ExperimentPhase.Cause.START, now)
        shows = str(baseline) if baseline is not None else "nothing"
        experiment_record(
            experiment, actor, "holdout.start", after={"share": share, "shows": shows}
        )
        settings_touch(store_id=store.pk)
    return experiment


def _shoppers_of_a_year(store: Store, now: datetime) -> int:
    """What the confidence sequence is made for: it must be a number that is fixed at the start."""
    year = now - timedelta(days=MAX_DAYS)
    seen = Shopper.objects.filter(store=store, last_seen_at__gte=year).count()
    return max(seen, LEAST_PLANNED)


def holdout_change(
    *, experiment: Experiment, share: float, actor: User | None, now: datetime
) -> float:
    """Another share, from now on; returns the share of all shoppers who change sides.

    No more than the difference: those who were held out stay so when the share rises.
    """
    share = _checked(share)
    with transaction.atomic():
        current = experiment_lock(experiment)
        _require_holdout(current)
        state_require(current, State.RUNNING)
        moved = shares_change(
            current,
            coverage=1.0,
            weights=[share, 1 - share],
            cause=ExperimentPhase.Cause.RAMP,
            action="holdout.change",
            actor=actor,
            now=now,
        )
    experiment.refresh_from_db()
    return moved


def holdout_stop(*, experiment: Experiment, actor: User | None, now: datetime) -> None:
    """From the next second on everybody sees recommendations; what was measured stays."""
    with transaction.atomic():
        current = experiment_lock(experiment)
        _require_holdout(current)
        stop_now(current, actor=actor, action="holdout.stop", now=now)
    experiment.refresh_from_db()


def _require_holdout(experiment: Experiment) -> None:
    if experiment.kind != Experiment.Kind.HOLDOUT:
        raise ExperimentRefused("This is no hold-out.")


def _checked(share: float) -> float:
    if not (math.isfinite(share) and MIN_SHARE <= share <= MAX_SHARE):
        words = f"A share of the shoppers from {MIN_SHARE:.1%} to {MAX_SHARE:.0%}."
        raise ExperimentRefused({"share": words})
    return round(share, 4)
