"""A placement as a request needs it: its strategy, and the experiment that runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from recommender.engine.online.bucketing import NOT_IN, bucket_of, variant_of
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.strategy import ServingStrategy

# A shopper asks for several pages in a row.
_bucket_of = lru_cache(maxsize=16_384)(bucket_of)


@dataclass(frozen=True, slots=True)
class ServingVariant:
    """One arm of an experiment."""

    variant_id: int
    key: str
    strategy: ServingStrategy


@dataclass(frozen=True, slots=True)
class ServingExperiment:
    """A running experiment.

    Attributes
    ----------
    ranges
        Per variant its half-open range of buckets: `engine.online.bucketing.bucket_ranges`.
    """

    experiment_id: int
    key: str
    seed: str
    ranges: tuple[tuple[float, float], ...]
    variants: tuple[ServingVariant, ...]


@dataclass(frozen=True, slots=True)
class ServingPlacement:
    """A placement with its strategy, parsed."""

    settings: PlacementSettings
    strategy: ServingStrategy
    experiment: ServingExperiment | None = None

    def choose(self, shopper_id: str | None) -> tuple[ServingVariant | None, ServingStrategy]:
        """The variant of a shopper and what it shows; None and the placement's own for others.

        A visitor without an id can't be recognised again, so they take no part.
        """
        experiment = self.experiment
        if experiment is None or shopper_id is None:
            return None, self.strategy
        place = variant_of(_bucket_of(experiment.seed, shopper_id), experiment.ranges)
        if place == NOT_IN:
            return None, self.strategy
        variant = experiment.variants[place]
        return variant, variant.strategy
