"""Strategies: creating versions, and a store's first set of them with its placements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F, Max

from catalog.models import Store, User
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.services.recipes import RECIPES, Recipe
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
    """Give a store its usual placements, each with a strategy of its own. Existing ones stay.

    A new store takes seven queries, whatever the number of recipes.
    """
    with transaction.atomic():
        Store.objects.select_for_update().get(pk=store.pk)
        there = set(Placement.objects.filter(store=store).values_list("slug", flat=True))
        recipes = [recipe for recipe in RECIPES if recipe.slug not in there]
        versions = _recipe_versions(store, recipes)
        placements = Placement.objects.bulk_create(
            Placement(
                store=store,
                slug=recipe.slug,
                name=recipe.name,
                title=recipe.title,
                page_type=recipe.page_type,
                strategy_version=versions[recipe.slug],
                n_products=recipe.n_products,
                n_minimum=recipe.n_minimum,
            )
            for recipe in recipes
        )
        settings_touch(store_id=store.pk)
    return placements


def _recipe_versions(store: Store, recipes: Sequence[Recipe]) -> dict[str, StrategyVersion]:
    """The version of each recipe's strategy, by its key; strategies that aren't there are made."""
    keys = [recipe.slug for recipe in recipes]
    known = {each.key: each for each in Strategy.objects.filter(store=store, key__in=keys)}
    made = Strategy.objects.bulk_create(
        Strategy(store=store, key=each.slug, name=each.name, description=each.description)
        for each in recipes
        if each.slug not in known
    )
    documents = {each.slug: each.document for each in recipes}
    note = "Installed with the store"
    first = StrategyVersion.objects.bulk_create(
        StrategyVersion(
            strategy=strategy,
            store=store,
            number=1,
            document=msgspec.to_builtins(documents[strategy.key]),
            digest=strategy_digest(documents[strategy.key]),
            note=note,
        )
        for strategy in made
    )
    versions = {version.strategy.key: version for version in first}
    for key, strategy in known.items():
        document = msgspec.to_builtins(documents[key])
        versions[key] = strategy_version_create(strategy=strategy, document=document, note=note)
    return versions


def store_lock(store_id: int) -> Store:
    """One member at a time changes what a store shows. To be taken before any other row is locked:
    `settings_touch` writes to the store at the end of a change."""
    return Store.objects.select_for_update(no_key=True).get(pk=store_id)


def settings_touch(*, store_id: int) -> None:
    """Tell serving processes, with the commit, that placements or strategies changed."""
    Store.objects.filter(pk=store_id).update(settings_version=F("settings_version") + 1)
