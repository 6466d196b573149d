"""A small shop that has everything a page of the console can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from analytics.services.insights_rollups import insights_refresh
from analytics.services.rollups import rollups_refresh
from catalog.models import EventType, Product, Shopper, ShopperLink, Store
from recommender.artifacts.writer import artifact_write
from recommender.models import Artifact, Placement, Run
from recommender.services.impressions import ImpressionRow, impressions_store
from recommender.serving.signing import recommendation_id_new
from tests.factories import make_event, make_order, make_product, make_shopper


@dataclass(frozen=True, slots=True)
class Shop:
    """What `furnish` put into a store."""

    store: Store
    products: list[Product]
    shoppers: list[Shopper]
    placement: Placement
    serving: Run
    held: Run
    active: Run

    def pages(self) -> list[str]:
        """Every page of the store that every member can open with GET."""
        base = f"/console/{self.store.slug}"
        return [
            f"{base}/overview/",
            f"{base}/insights/",
            f"{base}/insights/by/placement/",
            f"{base}/insights/by/source/also_viewed/",
            f"{base}/insights/diversity/",
            f"{base}/insights/never-shown/",
            f"{base}/insights/tracking/",
            f"{base}/catalog/",
            f"{base}/catalog/{self.products[0].pk}/",
            f"{base}/catalog/imports/",
            f"{base}/placements/",
            f"{base}/placements/{self.placement.slug}/",
            f"{base}/strategies/",
            f"{base}/strategies/new/",
            f"{base}/strategies/{self.placement.slug}/",
            f"{base}/campaigns/",
            f"{base}/campaigns/new/",
            f"{base}/segments/",
            f"{base}/segments/new/",
            f"{base}/configuration/",
            f"{base}/experiments/",
            f"{base}/experiments/groups/",
            f"{base}/experiments/hold-out/",
            f"{base}/radar/",
            f"{base}/events/",
            f"{base}/models/",
            f"{base}/models/{self.serving.pk}/",
            f"{base}/models/{self.held.pk}/",
            f"{base}/models/{self.active.pk}/",
            f"{base}/models/weights/",
            f"{base}/models/similarity/",
            f"{base}/lab/",
            f"{base}/shoppers/",
            f"{base}/shoppers/{self.shoppers[0].pk}/",
            f"{base}/settings/",
            f"{base}/members/",
        ]

    def editor_pages(self) -> list[str]:
        """Those that only owners and merchants can open."""
        base = f"/console/{self.store.slug}"
        return [
            f"{base}/catalog/imports/new/",
            f"{base}/placements/new/",
            f"{base}/placements/{self.placement.slug}/edit/",
            f"{base}/strategies/{self.placement.slug}/edit/",
            f"{base}/audit/",
        ]

    def addresses(self) -> list[str]:
        """The pages of every member, and the parts of pages that are fetched by themselves."""
        base = f"/console/{self.store.slug}"
        parts = (
            "overview/events/",
            "overview/tracking/",
            "preview/",
            "models/ages/",
            "models/similarity/look/",
            "preview/shoppers/",
            "pick/product/",
        )
        return [*self.pages(), *(f"{base}/{part}" for part in parts)]


@pytest.fixture
def shop(store: Store) -> Shop:
    return furnish(store)


@pytest.fixture
def other_shop(other_store: Store) -> Shop:
    return furnish(other_store)


def furnish(store: Store, *, n_products: int = 6) -> Shop:
    now = timezone.now()
    products = [
        make_product(
            store,
            f"{store.slug}-{i}",
            title=f"{store.name} mug {i}",
            category_path="Kitchen > Mugs" if i % 2 else "Kitchen > Bowls",
            attributes={"colour": "blue"},
        )
        for i in range(n_products)
    ]
    shoppers = [make_shopper(store, f"{store.slug}-shopper-{i}") for i in range(3)]
    for days_ago in (0, 1, 2, 40):
        at = now - timedelta(days=days_ago, minutes=5)
        for shopper in shoppers:
            make_event(store, shopper, products[0], at=at)
        make_order(store, shoppers[0], products[:3], at=at)
    make_event(store, shoppers[0], type=EventType.SEARCH, query="teapot", at=now)
    ShopperLink.objects.create(
        store=store, shopper=shoppers[1], customer=shoppers[2], linked_by=ShopperLink.LinkedBy.API
    )
    placement = Placement.objects.get(store=store, slug="product-bought-together")
    deliver(store, placement, [product.pk for product in products[:3]], at=now)
    deliver(store, placement, [], at=now)
    rollups_refresh(store=store, now=now)
    insights_refresh(store=store, now=now)
    return Shop(
        store=store,
        products=products,
        shoppers=shoppers,
        placement=placement,
        serving=serving_run(store, products),
        held=held_run(store),
        active=Run.objects.create(
            store=store,
            family=Run.Family.POPULARITY,
            trigger=Run.Trigger.SCHEDULE,
            state=Run.State.RUNNING,
            step="Counting",
            progress=0.4,
            started_at=now,
            heartbeat_at=now,
        ),
    )


def deliver(store: Store, placement: Placement, product_ids: list[int], *, at: datetime) -> None:
    """One impression; an empty one says why."""
    impressions_store(
        rows=[
            ImpressionRow(
                store_id=store.pk,
                recommendation_id=recommendation_id_new(int(at.timestamp() * 1000)),
                delivered_at_s=at.timestamp(),
                placement_id=placement.pk,
                strategy_version_id=placement.strategy_version_id,
                experiment_id=None,
                variant_id=None,
                shopper_external_id="somebody",
                session_id=None,
                product_ids=product_ids,
                sources=["bought_together"] * len(product_ids),
                propensities=[1.0] * len(product_ids),
                fallback=None,
                reason=None if product_ids else "no_context",
                device=None,
                took_us=900,
            )
        ]
    )


def serving_run(store: Store, products: Sequence[Product]) -> Run:
    """Item similarities in which each product's neighbours are the two after it."""
    n = len(products)
    rows = np.array([[(i + 1) % n, (i + 2) % n] for i in range(n)], np.int32)
    scores = np.tile(np.array([0.9, 0.3], np.float32), (n, 1))
    manifest = artifact_write(
        Path(settings.ARTIFACT_DIR),
        store_id=store.pk,
        family=Run.Family.ITEM_SIMILARITY,
        version="v1",
        created_at_s=0.0,
        as_of_s=0.0,
        parameters={},
        counts={"products": n},
        quality={"basket_hit_rate_at_20": 0.25},
        arrays={
            "item_ids": np.array([product.pk for product in products], np.int64),
            "bought_together_rows": rows,
            "bought_together_scores": scores,
            "also_viewed_rows": np.full_like(rows, -1),
            "also_viewed_scores": np.zeros_like(scores),
        },
    )
    run = Run.objects.create(
        store=store,
        family=Run.Family.ITEM_SIMILARITY,
        trigger=Run.Trigger.COMMAND,
        state=Run.State.PUBLISHED,
        quality={"basket_hit_rate_at_20": 0.25, "n_test_orders": 40.0},
        counts={"orders": 400},
        started_at=timezone.now() - timedelta(seconds=90),
        finished_at=timezone.now(),
    )
    _artifact(run, "v1", manifest.size_bytes, serving=True)
    return run


def held_run(store: Store) -> Run:
    run = Run.objects.create(
        store=store,
        family=Run.Family.ITEM_SIMILARITY,
        trigger=Run.Trigger.SCHEDULE,
        state=Run.State.HELD,
        quality={"basket_hit_rate_at_20": 0.1},
        message="basket_hit_rate_at_20 fell from 0.250 to 0.100.",
    )
    _artifact(run, "v2", 10, serving=False)
    return run


def _artifact(run: Run, version: str, size_bytes: int, *, serving: bool) -> Artifact:
    return Artifact.objects.create(
        store=run.store,
        run=run,
        family=run.family,
        version=version,
        size_bytes=size_bytes,
        manifest={"as_of_s": datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
                  "headline": "basket_hit_rate_at_20"},
        serving=serving,
        published_at=timezone.now() if serving else None,
    )  # fmt: skip
