"""A placement as a request needs it: its strategy, and the experiments that concern it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from recommender.engine.online.bucketing import NOT_IN, bucket_of, variant_of
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.segments import InSegment, SegmentDocument
from recommender.serving.strategy import ServingStrategy

# A shopper asks for several pages in a row.
_bucket_of = lru_cache(maxsize=16_384)(bucket_of)


@dataclass(frozen=True, slots=True)
class ServingVariant:
    """One arm of an experiment on a placement; without a strategy it shows nothing there."""

    variant_id: int
    key: str
    strategy: ServingStrategy | None


class Exposed(NamedTuple):
    """That a shopper takes part in an experiment, and in which variant. `bucket` says why."""

    experiment: ServingExperiment
    variant: ServingVariant
    bucket: float


@dataclass(frozen=True, slots=True)
class ServingExperiment:
    """A running experiment on one placement.

    Attributes
    ----------
    is_holdout
        The first variant is held out: what it shows is all that those shoppers see.
    is_interleaved
        Everybody sees one list of both variants.
    ranges
        Per variant its half-open range of buckets: `engine.online.bucketing.bucket_ranges`.
    segment
        Who takes part, None for all. Nobody is in a segment that can't be read (`no_one`).
    group_seed, group_range
        Its half-open range of the buckets of its exclusion group, None without a group.
    """

    experiment_id: int
    key: str
    seed: str
    ranges: tuple[tuple[float, float], ...]
    variants: tuple[ServingVariant, ...]
    is_holdout: bool = False
    is_interleaved: bool = False
    segment: SegmentDocument | None = None
    no_one: bool = False
    group_seed: str | None = None
    group_range: tuple[float, float] | None = None

    def expose(self, shopper_id: str, in_segment: InSegment) -> Exposed | None:
        """The part that a shopper takes, None for none. Cheap questions first."""
        if self.no_one:
            return None
        if self.group_seed is not None and self.group_range is not None:
            start, end = self.group_range
            if not start <= _bucket_of(self.group_seed, shopper_id) < end:
                return None
        bucket = _bucket_of(self.seed, shopper_id)
        place = variant_of(bucket, self.ranges)
        if place == NOT_IN or (self.segment is not None and not in_segment(self.segment)):
            return None
        return Exposed(self, self.variants[place], bucket)


class Choice(NamedTuple):
    """What a shopper is shown on a placement, and what they take part in by that.

    Attributes
    ----------
    strategy
        None shows nothing.
    interleaved
        The second strategy of an interleaved list, whose first is `strategy`.
    experiment, variant
        Of the answer; no variant where two are interleaved.
    exposures
        To be written down: the hold-out's and the experiment's own.
    is_look
        A member looks at the variant: nothing of it is counted.
    """

    strategy: ServingStrategy | None
    experiment: ServingExperiment | None = None
    variant: ServingVariant | None = None
    exposures: tuple[Exposed, ...] = ()
    interleaved: ServingStrategy | None = None
    is_look: bool = False


@dataclass(frozen=True, slots=True)
class ServingPlacement:
    """A placement with its strategy, parsed.

    Attributes
    ----------
    experiments
        Those that run here, a hold-out first, then in the order in which they are asked.
    looked_at
        The one variant that a member looks at, None for shoppers.
    """

    settings: PlacementSettings
    strategy: ServingStrategy
    experiments: tuple[ServingExperiment, ...] = ()
    looked_at: tuple[ServingExperiment, ServingVariant] | None = None

    def outside(self) -> ServingPlacement:
        """The placement as shoppers outside of all experiments meet it."""
        return replace(self, experiments=()) if self.experiments else self

    def choose(self, shopper_id: str | None, in_segment: InSegment) -> Choice:
        """What a shopper sees here.

        The hold-out is asked first: who is held out takes part in nothing else. Of the others, the
        first experiment that they take part in counts. A visitor without an id can't be recognised
        again, so they take no part; and nobody does while the placement is paused.

        Parameters
        ----------
        in_segment
            Asked only where an experiment has a segment.
        """
        if self.looked_at is not None:
            experiment, variant = self.looked_at
            return Choice(variant.strategy, experiment, variant, is_look=True)
        if not self.experiments or shopper_id is None or self.settings.paused:
            return Choice(self.strategy)
        exposures: tuple[Exposed, ...] = ()
        for experiment in self.experiments:
            exposed = experiment.expose(shopper_id, in_segment)
            if exposed is None:
                continue
            exposures += (exposed,)
            if experiment.is_interleaved:
                first, second = (variant.strategy for variant in experiment.variants)
                return Choice(first, experiment, None, exposures, second)
            if not experiment.is_holdout or exposed.variant is experiment.variants[0]:
                return _shown(exposed, exposures)
        return _shown(exposures[0], exposures) if exposures else Choice(self.strategy)


def _shown(exposed: Exposed, exposures: tuple[Exposed, ...]) -> Choice:
    """The variant of an experiment."""
    return Choice(exposed.variant.strategy, exposed.experiment, exposed.variant, exposures)
