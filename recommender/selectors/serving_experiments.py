"""Experiments as serving needs them: where, for whom, and what each variant shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from recommender.models import Experiment, ExperimentPlacement, Variant, VariantStrategy

# A member may look at a variant before the start and during a pause, not after the end.
_LOOKED_AT = (Experiment.State.DRAFT, Experiment.State.RUNNING, Experiment.State.PAUSED)


@dataclass(frozen=True, slots=True)
class VersionSettings:
    """A strategy version with its document, as stored."""

    strategy_version_id: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VariantSettings:
    """One arm. `strategies` by placement id; under None what it shows everywhere else."""

    variant_id: int
    key: str
    position: int
    weight: float
    shows_nothing: bool
    strategies: Mapping[int | None, VersionSettings]

    def on(self, placement_id: int) -> VersionSettings | None:
        """What it shows on a placement; None is the placement's own strategy."""
        return self.strategies.get(placement_id) or self.strategies.get(None)


@dataclass(frozen=True, slots=True)
class ExperimentSettings:
    """An experiment; the control is its first variant.

    Attributes
    ----------
    placement_ids
        Where it is; empty is everywhere.
    segment
        Key of the segment whose shoppers take part, None for all.
    group_seed, group_range
        Of its exclusion group, None without one.
    """

    experiment_id: int
    key: str
    kind: str
    seed: str
    coverage: float
    placement_ids: frozenset[int]
    segment: str | None
    group_seed: str | None
    group_range: tuple[float, float] | None
    variants: tuple[VariantSettings, ...]

    def is_on(self, placement_id: int) -> bool:
        return not self.placement_ids or placement_id in self.placement_ids


def running_experiments(*, store_id: int) -> tuple[ExperimentSettings, ...]:
    """Those that divide shoppers now, the oldest first. One query; four if there are any."""
    running = Experiment.objects.filter(store_id=store_id, state=Experiment.State.RUNNING)
    return tuple(map(_settings, _with_parts(running).order_by("pk")))


def experiment_to_look_at(*, store_id: int, experiment_id: int) -> ExperimentSettings | None:
    """An experiment that isn't over, drafts included. Four queries."""
    found = Experiment.objects.filter(store_id=store_id, pk=experiment_id, state__in=_LOOKED_AT)
    experiment = _with_parts(found).first()
    return None if experiment is None else _settings(experiment)


def _with_parts(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    strategies = VariantStrategy.objects.select_related("strategy_version")
    variants = Variant.objects.order_by("position").prefetch_related(
        Prefetch("strategies", queryset=strategies)
    )
    return experiments.select_related("segment", "group").prefetch_related(
        Prefetch("on", queryset=ExperimentPlacement.objects.order_by("pk")),
        Prefetch("variants", queryset=variants),
    )


def _settings(experiment: Experiment) -> ExperimentSettings:
    return ExperimentSettings(
        experiment_id=experiment.pk,
        key=experiment.key,
        kind=experiment.kind,
        seed=experiment.seed,
        coverage=experiment.coverage,
        placement_ids=frozenset(row.placement_id for row in experiment.on.all()),
        segment=None if experiment.segment is None else experiment.segment.key,
        group_seed=None if experiment.group is None else experiment.group.seed,
        group_range=_group_range(experiment),
        variants=tuple(
            VariantSettings(
                variant_id=variant.pk,
                key=variant.key,
                position=variant.position,
                weight=variant.weight,
                shows_nothing=variant.shows_nothing,
                strategies={
                    shown.placement_id: VersionSettings(
                        shown.strategy_version_id, shown.strategy_version.document
                    )
                    for shown in variant.strategies.all()
                },
            )
            for variant in experiment.variants.all()
        ),
    )


def _group_range(experiment: Experiment) -> tuple[float, float] | None:
    """Its share of the group; without one it has none of it, so that nobody is shared."""
    if experiment.group_id is None:
        return None
    if experiment.group_start is None or experiment.group_end is None:
        return 0.0, 0.0
    return experiment.group_start, experiment.group_end
