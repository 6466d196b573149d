"""Strategies: creating versions, and a store's first set of them with its placements."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F, Max

from catalog.models import Store, User
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.services.recipes import RECIPES
from recommender.serving.strategy import strategy_digest, strategy_parse


def strategy_version_create(
    *,
    strategy: Strategy,
    document: dict[str, Any],
    note: str = "",
    author: User | None = None,
) -> StrategyVersion:
    """Add a version. The same document as the latest version gives that version back.

    Raises
    ------
    InvalidStrategyError
    """
    parsed = strategy_parse(document)
    digest = strategy_digest(parsed)
    with transaction.atomic():
        Strategy.objects.select_for_update().get(pk=strategy.pk)
        latest = strategy.versions.order_by("-number").first()
        if latest is not None and latest.digest == digest:
            return latest
        last = strategy.versions.aggregate(last=Max("number"))["last"] or 0
        return StrategyVersion.objects.create(
            strategy=strategy,
            store_id=strategy.store_id,
            number=last + 1,
            document=msgspec.to_builtins(parsed),
            digest=digest,
            note=note,
            author=author,
        )


def store_recipes_install(*, store: Store) -> list[Placement]:
    """Give a store its usual placements, each with a strategy of its own. Existing ones stay."""
    placements = []
    with transaction.atomic():
        for recipe in RECIPES:
            if Placement.objects.filter(store=store, slug=recipe.slug).exists():
                continue
            strategy, _ = Strategy.objects.get_or_create(
                store=store,
                key=recipe.slug,
                defaults={"name": recipe.name, "description": recipe.description},
            )
            version = strategy_version_create(
                strategy=strategy,
                document=msgspec.to_builtins(recipe.document),
                note="Installed with the store",
            )
            placements.append(
                Placement.objects.create(
                    store=store,
                    slug=recipe.slug,
                    name=recipe.name,
                    title=recipe.title,
                    page_type=recipe.page_type,
                    strategy_version=version,
                    n_products=recipe.n_products,
                    n_minimum=recipe.n_minimum,
                )
            )
        settings_touch(store_id=store.pk)
    return placements


def settings_touch(*, store_id: int) -> None:
    """Tell serving processes, with the commit, that placements or strategies changed."""
    Store.objects.filter(pk=store_id).update(settings_version=F("settings_version") + 1)
