"""The decision on an experiment, together with the results that it was made from."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from analytics.models import ExperimentSnapshot
from analytics.services.snapshots import snapshot_freeze
from catalog.models import User
from recommender.models import Experiment, Variant
from recommender.services.experiments.deciding import experiment_decide


def experiment_conclude(
    *,
    experiment: Experiment,
    decision: str,
    variant: Variant | None,
    reason: str,
    actor: User,
    now: datetime,
) -> None:
    """Decide, and keep the results of this moment beside it: both or neither.

    Raises ExperimentRefused; then nothing is changed.
    """
    with transaction.atomic():
        snapshot_freeze(experiment=experiment, kind=ExperimentSnapshot.Kind.DECISION, now=now)
        experiment_decide(
            experiment=experiment,
            decision=decision,
            variant=variant,
            reason=reason,
            actor=actor,
            now=now,
        )
