"""What serving must know of a store beside products and artifacts, in at most ten queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from catalog.models import Store
from recommender.models import Artifact, Placement, Rule, Segment
from recommender.selectors.event_weights import event_weights
from recommender.selectors.serving_experiments import ExperimentSettings, running_experiments


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
    shows_nothing_below_minimum: bool = False
    title_by_locale: Mapping[str, str] = field(default_factory=dict)
    exclude: Mapping[str, bool] | None = None
    position: int = 0

    def title_for(self, locale: str | None) -> str:
        """The title in a shopper's language: of "de-AT", else of "de", else the default."""
        titles = self.title_by_locale
        if not locale or not titles:
            return self.title
        tag = locale.replace("_", "-").lower()
        return titles.get(tag) or titles.get(tag.partition("-")[0]) or self.title


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """A rule that is switched on, as stored; times are Unix seconds, None without one."""

    rule_id: int
    name: str
    document: dict[str, Any]
    starts_s: float | None = None
    ends_s: float | None = None


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """A segment, as stored."""

    key: str
    name: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """A store. `event_weights` say what each kind of event means for taste, by its name."""

    store_id: int
    currency: str
    signing_secret: bytes
    settings_version: int
    event_weights: Mapping[str, float]
    placements: tuple[PlacementSettings, ...]
    time_zone: str = "UTC"
    rules: tuple[RuleSettings, ...] = ()
    segments: tuple[SegmentSettings, ...] = ()
    experiments: tuple[ExperimentSettings, ...] = ()


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
                shows_nothing_below_minimum=(
                    placement.below_minimum == Placement.BelowMinimum.EMPTY
                ),
                title_by_locale={
                    locale.replace("_", "-").lower(): title
                    for locale, title in placement.title_by_locale.items()
                },
                exclude=placement.exclude,
                position=placement.position,
            )
            for placement in placements.order_by("pk")
        ),
        event_weights=event_weights(store_id=store_id),
        time_zone=store.time_zone,
        rules=_rules(store_id),
        segments=tuple(
            SegmentSettings(key, name, document)
            for key, name, document in Segment.objects.filter(store_id=store_id)
            .order_by("pk")
            .values_list("key", "name", "document")
        ),
        experiments=running_experiments(store_id=store_id),
    )


def _rules(store_id: int) -> tuple[RuleSettings, ...]:
    """Those that are on now or will be, in their order; a paused campaign is off."""
    on = Rule.objects.filter(store_id=store_id, enabled=True, paused_at=None)
    return tuple(
        RuleSettings(
            rule.pk,
            rule.name,
            rule.document,
            rule.starts_at.timestamp() if rule.starts_at is not None else None,
            rule.ends_at.timestamp() if rule.ends_at is not None else None,
        )
        for rule in on.order_by("position", "pk")
        if rule.ends_at is None or rule.ends_at > timezone.now()
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
