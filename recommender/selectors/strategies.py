"""Strategies with their versions and the places that show them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count, OuterRef, QuerySet, Subquery

from catalog.models import Store
from recommender.models import Placement, Strategy, StrategyVersion, VariantStrategy


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """A strategy with its latest version, and the placements that show any of its versions."""

    strategy: Strategy
    latest: StrategyVersion
    n_versions: int
    placements: list[Placement] = field(default_factory=list)


def strategies_of(*, store: Store) -> list[StrategyRow]:
    """All strategies by name. Three queries."""
    newest = StrategyVersion.objects.filter(strategy=OuterRef("pk")).order_by("-number")
    strategies = list(
        Strategy.objects.filter(store=store)
        .annotate(n_versions=Count("versions"), latest_id=Subquery(newest.values("pk")[:1]))
        .order_by("name")
    )
    versions = StrategyVersion.objects.filter(store=store).select_related("author")
    latest = versions.in_bulk([each.latest_id for each in strategies if each.latest_id])
    used: dict[int, list[Placement]] = defaultdict(list)
    placements = Placement.objects.filter(store=store).select_related("strategy_version")
    for placement in placements.order_by("name"):
        used[placement.strategy_version.strategy_id].append(placement)
    return [
        StrategyRow(each, latest[each.latest_id], each.n_versions, used[each.pk])
        for each in strategies
        if each.latest_id in latest
    ]


def strategy_find(*, store: Store, key: str) -> Strategy | None:
    return Strategy.objects.filter(store=store, key=key).first()


def strategy_versions(*, strategy: Strategy) -> list[StrategyVersion]:
    """All versions with their authors, the newest first."""
    return list(strategy.versions.select_related("author").order_by("-number"))


def strategy_placements(*, strategy: Strategy) -> list[Placement]:
    """The placements that show a version of the strategy, by name."""
    return list(
        Placement.objects.filter(
            store_id=strategy.store_id, strategy_version__strategy_id=strategy.pk
        )
        .select_related("strategy_version")
        .order_by("name")
    )


def strategy_variants(*, strategy: Strategy) -> QuerySet[VariantStrategy]:
    """Where experiments show a version of the strategy: a row for each variant and placement."""
    return (
        VariantStrategy.objects.filter(
            store_id=strategy.store_id, strategy_version__strategy_id=strategy.pk
        )
        .select_related("variant__experiment", "strategy_version", "placement")
        .order_by("-variant__experiment__created_at", "variant__position", "placement__name", "pk")
    )
