"""Experiments with everything that a page says about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from catalog.models import Store
from recommender.models import (
    ExclusionGroup,
    Experiment,
    ExperimentPhase,
    ExperimentPlacement,
    Placement,
    Strategy,
    StrategyVersion,
    Variant,
    VariantStrategy,
)


@dataclass(frozen=True, slots=True)
class StrategyChoice:
    """A strategy with its versions, the newest first."""

    strategy: Strategy
    versions: list[StrategyVersion]


@dataclass(frozen=True, slots=True)
class GroupRow:
    """An exclusion group.

    Attributes
    ----------
    live
        Experiments that run or are paused in it, by their range.
    n_experiments
        That are or ever were in it, drafts included.
    free_share
        Of the group's shoppers, in all gaps together.
    largest_gap
        What the next experiment can have at most.
    """

    group: ExclusionGroup
    live: list[Experiment]
    n_experiments: int
    free_share: float
    largest_gap: float


def experiment_list(*, store: Store) -> list[Experiment]:
    """All but hold-outs, the newest first, with variants, placements and phases. Five queries."""
    found = _with_parts(Experiment.objects.filter(store=store))
    return list(found.exclude(kind=Experiment.Kind.HOLDOUT).order_by("-created_at", "-pk"))


def experiment_get(*, store: Store, key: str) -> Experiment | None:
    """One by its key, hold-outs included, with variants, placements and phases. Five queries."""
    return _with_parts(Experiment.objects.filter(store=store, key=key)).first()


def holdout_get(*, store: Store) -> Experiment | None:
    """The hold-out that runs. Five queries."""
    found = Experiment.objects.filter(
        store=store, kind=Experiment.Kind.HOLDOUT, state__in=Experiment.LIVE
    )
    return _with_parts(found).first()


def experiments_live_by_placement(*, store: Store) -> dict[int, list[Experiment]]:
    """What runs or is paused on each placement, hold-outs left out. Two queries."""
    found: dict[int, list[Experiment]] = defaultdict(list)
    rows = ExperimentPlacement.objects.filter(store=store, experiment__state__in=Experiment.LIVE)
    for row in rows.select_related("experiment").order_by("experiment__started_at", "pk"):
        found[row.placement_id].append(row.experiment)
    return dict(found)


def strategies_to_choose(*, store: Store) -> list[StrategyChoice]:
    """All strategies by name with all their versions. Two queries."""
    versions = StrategyVersion.objects.defer("document").order_by("-number")
    strategies = (
        Strategy.objects.filter(store=store)
        .prefetch_related(Prefetch("versions", queryset=versions))
        .order_by("name")
    )
    return [
        StrategyChoice(each, list(each.versions.all()))
        for each in strategies
        if each.versions.all()
    ]


def exclusion_groups(*, store: Store) -> list[GroupRow]:
    """All groups by name, and how much of each is free. Two queries."""
    groups = (
        ExclusionGroup.objects.filter(store=store)
        .prefetch_related(Prefetch("experiments", queryset=Experiment.objects.order_by("pk")))
        .order_by("name")
    )
    return [_group_row(group) for group in groups]


def variant_shows(variant: Variant, placement: Placement) -> StrategyVersion | None:
    """The version a variant has for a placement; None: nothing, or the placement's own.

    No query after `experiment_get` and `experiment_list`.
    """
    by_placement = {each.placement_id: each.strategy_version for each in variant.strategies.all()}
    return by_placement.get(placement.pk) or by_placement.get(None)


def _group_row(group: ExclusionGroup) -> GroupRow:
    experiments = list(group.experiments.all())
    live = sorted(
        (each for each in experiments if each.state in Experiment.LIVE),
        key=lambda e: e.group_start or 0.0,
    )
    gaps, end = [], 0.0
    for each in live:
        gaps.append((each.group_start or 0.0) - end)
        end = each.group_end or 0.0
    gaps.append(1.0 - end)
    return GroupRow(
        group,
        live,
        len(experiments),
        free_share=round(sum(gaps), 4),
        largest_gap=round(max(gaps), 4),
    )


def _with_parts(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    shown = VariantStrategy.objects.select_related(
        "strategy_version__strategy", "placement"
    ).order_by("placement__name", "pk")
    variants = Variant.objects.order_by("position").prefetch_related(
        Prefetch("strategies", queryset=shown)
    )
    on = ExperimentPlacement.objects.select_related("placement__strategy_version__strategy")
    return experiments.select_related(
        "store", "segment", "group", "created_by", "decided_by", "decided_variant"
    ).prefetch_related(
        Prefetch("variants", queryset=variants),
        Prefetch("on", queryset=on.order_by("placement__name", "pk")),
        Prefetch("phases", queryset=ExperimentPhase.objects.order_by("started_at", "pk")),
    )
