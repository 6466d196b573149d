"""Experiments on placements, from how they are stored to what a request can ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.bucketing import bucket_ranges
from recommender.models import Experiment
from recommender.selectors.serving_experiments import ExperimentSettings, VariantSettings
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.placement import ServingExperiment, ServingVariant
from recommender.serving.segments import SegmentDocument
from recommender.serving.strategy import InvalidStrategyError, ServingStrategy, strategy_parse

log = structlog.get_logger(__name__)


def experiments_on(
    placement: PlacementSettings,
    strategy: ServingStrategy,
    stored: Sequence[ExperimentSettings],
    segments: Mapping[str, SegmentDocument],
) -> tuple[ServingExperiment, ...]:
    """The experiments of a placement in the order to ask them. One that can't be understood is
    reported and left out: everybody sees the placement's own strategy."""
    served = []
    for each in stored:
        if not each.is_on(placement.placement_id):
            continue
        try:
            served.append(experiment_serving(each, placement, strategy, segments))
        except (InvalidStrategyError, InvalidInputError) as error:
            log.error("experiment refused", key=each.key, error=str(error))
    return tuple(sorted(served, key=lambda each: not each.is_holdout))


def experiment_serving(
    stored: ExperimentSettings,
    placement: PlacementSettings,
    strategy: ServingStrategy,
    segments: Mapping[str, SegmentDocument],
) -> ServingExperiment:
    """One experiment on one placement, whose own `strategy` a variant may show.

    Raises
    ------
    InvalidStrategyError, InvalidInputError
        A document, weights or coverage that can't be; or not two variants to interleave.
    """
    is_interleaved = stored.kind == Experiment.Kind.INTERLEAVING
    if is_interleaved and [each.shows_nothing for each in stored.variants] != [False, False]:
        raise InvalidInputError("two variants that show something can be interleaved, no others")
    return ServingExperiment(
        experiment_id=stored.experiment_id,
        key=stored.key,
        seed=stored.seed,
        ranges=bucket_ranges([each.weight for each in stored.variants], stored.coverage),
        variants=tuple(variant_serving(each, placement, strategy) for each in stored.variants),
        is_holdout=stored.kind == Experiment.Kind.HOLDOUT,
        is_interleaved=is_interleaved,
        segment=None if stored.segment is None else segments.get(stored.segment),
        no_one=stored.segment is not None and stored.segment not in segments,
        group_seed=stored.group_seed,
        group_range=stored.group_range,
    )


def variant_serving(
    stored: VariantSettings, placement: PlacementSettings, own: ServingStrategy
) -> ServingVariant:
    """One variant on a placement, whose own strategy it shows where it has no other.

    Raises
    ------
    InvalidStrategyError
        Its document can't be read.
    """
    version = stored.on(placement.placement_id)
    strategy: ServingStrategy | None = own
    if stored.shows_nothing:
        strategy = None
    elif version is not None:
        document = strategy_parse(version.document)
        strategy = ServingStrategy(version.strategy_version_id, document, exclude=placement.exclude)
    return ServingVariant(stored.variant_id, stored.key, strategy)
