"""The decision at the end of an experiment."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import prefetch_related_objects

from catalog.models import User
from recommender.models import Experiment, Variant
from recommender.selectors.experiments import variant_shows
from recommender.services.experiments.lifecycle import stop_now
from recommender.services.experiments.records import (
    ExperimentRefused,
    experiment_lock,
    experiment_record,
)
from recommender.services.placements import placement_point_at
from recommender.services.strategies import settings_touch

__all__ = ["experiment_decide"]

State = Experiment.State
Decision = Experiment.Decision
MAX_REASON = 2_000


def experiment_decide(
    *,
    experiment: Experiment,
    decision: str,
    variant: Variant | None,
    reason: str,
    actor: User | None,
    now: datetime,
) -> None:
    """Write down what follows from an experiment, once; one that is going on is stopped.

    "ship" publishes the variant's version on each placement of the experiment in the same
    transaction: the next request is answered with it. Raises ExperimentRefused; then nothing is
    changed.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        _refuse_faults(current, decision, variant, reason)
        if current.state != State.STOPPED:
            stop_now(current, actor=actor, action="experiment.stop", now=now)
        current.decision = decision
        current.decided_variant = variant
        current.decision_reason = reason.strip()
        current.decided_at = now
        current.decided_by = actor
        current.save()
        shipped = {}
        if decision == Decision.SHIP and variant is not None:
            shipped = _ship(variant, actor)
        experiment_record(
            current,
            actor,
            "experiment.decide",
            after={
                "decision": decision,
                "variant": variant.name if variant is not None else None,
                "reason": reason.strip(),
                "shipped": shipped,
            },
        )
        settings_touch(store_id=current.store_id)
    experiment.refresh_from_db()


def _refuse_faults(
    experiment: Experiment, decision: str, variant: Variant | None, reason: str
) -> None:
    if experiment.kind == Experiment.Kind.HOLDOUT:
        raise ExperimentRefused("A hold-out measures; there is nothing to decide.")
    if experiment.state == State.DRAFT:
        raise ExperimentRefused("The experiment hasn't run yet.")
    if experiment.decision is not None:
        raise ExperimentRefused("It has been decided already.")
    wrong = {}
    if decision not in Decision.values:
        wrong["decision"] = "Choose what follows."
    if not 1 <= len(reason.strip()) <= MAX_REASON:
        wrong["reason"] = f"A reason of up to {MAX_REASON:,} letters, for who reads it in a year."
    if variant is not None and variant.experiment_id != experiment.pk:
        wrong["variant"] = "Choose a variant of this experiment."
    elif decision == Decision.SHIP:
        if experiment.kind == Experiment.Kind.AA:
            wrong["decision"] = "All variants of an A/A test show the same: there is none to ship."
        elif variant is None:
            wrong["variant"] = "Choose which variant is published."
        elif variant.shows_nothing:
            wrong["variant"] = "It shows nothing: pause the placement instead."
    if wrong:
        raise ExperimentRefused(wrong)


def _ship(variant: Variant, actor: User | None) -> dict[str, str]:
    """Publish on each placement; returns by placement what it shows now."""
    prefetch_related_objects([variant], "strategies__strategy_version__strategy")
    shipped = {}
    for on in variant.experiment.on.select_related("placement__store").order_by("placement_id"):
        version = variant_shows(variant, on.placement)
        if version is not None:
            shipped[on.placement.name] = str(version)
            placement_point_at(placement=on.placement, version=version, actor=actor)
    return shipped
