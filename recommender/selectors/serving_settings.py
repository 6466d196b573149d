"""What serving must know of a store beside products and artifacts, in three queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog.models import Store
from recommender.models import Artifact, Placement


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """One placement with the document of its strategy version, as stored."""

    placement_id: int
    slug: str
    title: str
    page_type: str
    n_products: int
    n_minimum: int
    paused: bool
    strategy_version_id: int
    strategy_name: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    store_id: int
    currency: str
    signing_secret: bytes
    settings_version: int
    placements: tuple[PlacementSettings, ...]


@dataclass(frozen=True, slots=True)
class StoreVersions:
    """The numbers that tell a serving process what has changed."""

    catalog_version: int
    settings_version: int
    artifacts: dict[str, str]


def store_settings(*, store_id: int) -> StoreSettings | None:
    """Settings of a store, None if it doesn't exist."""
    store = Store.objects.filter(pk=store_id).first()
    if store is None:
        return None
    placements = Placement.objects.filter(store_id=store_id).select_related(
        "strategy_version__strategy"
    )
    return StoreSettings(
        store_id=store_id,
        currency=store.currency,
        signing_secret=bytes(store.signing_secret),
        settings_version=store.settings_version,
        placements=tuple(
            PlacementSettings(
                placement_id=placement.pk,
                slug=placement.slug,
                title=placement.title,
                page_type=placement.page_type,
                n_products=placement.n_products,
                n_minimum=placement.n_minimum,
                paused=placement.paused,
                strategy_version_id=placement.strategy_version_id,
                strategy_name=placement.strategy_version.strategy.name,
                document=placement.strategy_version.document,
            )
            for placement in placements.order_by("pk")
        ),
    )


def store_versions() -> dict[int, StoreVersions]:
    """The current versions of every store. Polled by each serving process once a second."""
    versions = {
        pk: StoreVersions(catalog_version, settings_version, {})
        for pk, catalog_version, settings_version in Store.objects.values_list(
            "pk", "catalog_version", "settings_version"
        )
    }
    serving = Artifact.objects.filter(serving=True)
    for store_id, family, version in serving.values_list("store_id", "family", "version"):
        versions[store_id].artifacts[family] = version
    return versions
