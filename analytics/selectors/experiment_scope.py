"""Which facts belong to an experiment: one definition for counting, for reading and for votes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recommender.models import Experiment, ExperimentPlacement

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

# Of a shopper who takes part, from the first exposure on. A hold-out is about whatever its
# shoppers are shown, tests of others included: who was held out is known by the shopper.
_ITS_OWN = "impression.experiment_id = %(experiment)s"
_ANY = "true"
_ON_ITS_PLACEMENTS = "impression.placement_id = ANY(%(placements)s)"


@dataclass(frozen=True, slots=True)
class ExperimentScope:
    """An experiment as SQL asks for it.

    Attributes
    ----------
    until
        What happened from then on doesn't count: the stop.
    belongs
        A condition on `impression`, with `parameters`.
    """

    experiment: Experiment
    started_at: datetime
    until: datetime
    belongs: str
    placements: list[int]

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "store": self.experiment.store_id,
            "experiment": self.experiment.pk,
            "zone": self.experiment.store.time_zone,
            "started": self.started_at,
            "until": self.until,
            "placements": self.placements,
            "is_interleaving": self.is_interleaving,
        }

    @property
    def is_holdout(self) -> bool:
        return self.experiment.kind == Experiment.Kind.HOLDOUT

    @property
    def is_interleaving(self) -> bool:
        return self.experiment.kind == Experiment.Kind.INTERLEAVING


def experiment_scope(*, experiment: Experiment) -> ExperimentScope:
    """One query.

    Raises
    ------
    ValueError
        It was never started.
    """
    if experiment.started_at is None:
        raise ValueError(f"experiment {experiment.pk} was never started")
    placements = list(
        ExperimentPlacement.objects.filter(
            store=experiment.store_id, experiment=experiment
        ).values_list("placement_id", flat=True)
    )
    belongs = _ITS_OWN
    if experiment.kind == Experiment.Kind.HOLDOUT:
        belongs = _ON_ITS_PLACEMENTS if placements else _ANY
    return ExperimentScope(
        experiment,
        experiment.started_at,
        experiment.stopped_at or FOREVER,
        belongs,
        placements,
    )
