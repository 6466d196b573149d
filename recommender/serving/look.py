"""A member looks at one variant of an experiment, by a link: forced, and never counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from recommender.selectors.serving_experiments import ExperimentSettings, experiment_to_look_at
from recommender.serving.experiments import variant_serving
from recommender.serving.placement import ServingExperiment, ServingPlacement
from recommender.serving.signing import qa_token_read
from recommender.serving.strategy import InvalidStrategyError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What the link is about. Without an experiment it is over, and nothing is forced."""

    experiment: ExperimentSettings | None
    variant_id: int

    def at(self, placement: ServingPlacement) -> ServingPlacement:
        """The placement as the link shows it: with the variant, where the experiment is on it; else
        as shoppers outside of all experiments meet it."""
        outside, experiment = placement.outside(), self.experiment
        settings = placement.settings
        if experiment is None or not experiment.is_on(settings.placement_id):
            return outside
        for stored in experiment.variants:
            if stored.variant_id == self.variant_id:
                try:
                    variant = variant_serving(stored, settings, placement.strategy)
                except InvalidStrategyError as error:
                    log.error("variant refused", key=experiment.key, error=str(error))
                    return outside
                served = ServingExperiment(
                    experiment.experiment_id, experiment.key, experiment.seed, (), (variant,)
                )
                return replace(outside, looked_at=(served, variant))
        return outside


def look_read(*, store_id: int, secret: bytes, token: str) -> Look | None:
    """What a token of this store shows, None for any other text. Four queries if it is one: so a
    draft is shown as it is this second.

    Raises
    ------
    DatabaseError
        PostgreSQL is away.
    """
    named = qa_token_read(secret, token)
    if named is None:
        return None
    experiment_id, variant_id = named
    return Look(experiment_to_look_at(store_id=store_id, experiment_id=experiment_id), variant_id)
