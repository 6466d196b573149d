"""A shop in which one source is right and another wrong, and nobody but the shoppers knows which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from catalog.models import EventType, Product, Shopper, Store
from recommender.engine.offline.learned_blend import LearnedBlend, blend_prior
from recommender.engine.online.learned_blend import N_LINE
from recommender.models import Placement, Run
from recommender.services.publishing import artifact_publish
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.services.training.runs import run_request
from recommender.services.training.trained import Trained
from recommender.serving.blends import CONTEXT, PERSONAL, PRODUCT, blend_arrays
from recommender.serving.runtime import RUNTIMES
from tests.factories import days, make_event, make_impression, make_product, make_shopper


def learned_document(*sources: str, **fields: Any) -> dict[str, Any]:
    """A strategy of these sources, the first weighing most, whose blend is learned."""
    return {
        "sources": [
            {"source": name, "weight": float(len(sources) - place)}
            for place, name in enumerate(sources)
        ],
        "blend": "learned",
        "diversity": 0,
        "fallback": [],
        **fields,
    }


def show_strategy(store: Store, slug: str, document: Mapping[str, Any]) -> Placement:
    """Let a placement show a document, at once."""
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug=slug
    )
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy, document=dict(document)
    )
    placement.save()
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()
    return placement


def hand_made_blend(
    store: Store,
    sources: Sequence[str],
    *,
    scaled: Mapping[str, float],
    other: Mapping[str, float] | None = None,
) -> Run:
    """Publish weights: of each source's score over its largest, and of other features by name."""
    start = blend_prior(sources, context=CONTEXT, product=PRODUCT, personal=PERSONAL)
    weights = np.zeros_like(start.weights)
    for place, name in enumerate(sources):
        weights[N_LINE * place] = scaled.get(name, 0.0)
    names = start.feature_names
    for name, weight in (other or {}).items():
        weights[names.index(name)] = weight
    start.weights[:] = weights
    learned = LearnedBlend(start, np.eye(len(weights)), 100)
    ids = np.array(
        sorted(Product.objects.filter(store=store).values_list("pk", flat=True)), np.int64
    )
    run = run_request(store=store, family=Run.Family.BLEND, trigger=Run.Trigger.COMMAND)
    artifact_publish(
        run=run,
        trained=Trained(
            arrays={
                "item_ids": ids,
                "sold": np.zeros((len(ids), 2), np.float32),
                **blend_arrays([learned.model]),
            },
            parameters={
                "blends": [
                    {
                        "sources": list(sources),
                        "version": 3,
                        "lessons": 100,
                        "clicks": 0,
                        "placements": [],
                        "hits": {"learned": 0.4, "equal": 0.3, "own": 0.35, "n": 200},
                        "counts": [["source", name, scaled.get(name, 0.0)] for name in sources],
                    }
                ],
                "left_out": [],
            },
            counts={},
            quality={},
            headline="blend_hit_rate_at_10",
            as_of_s=0.0,
            state={"precision_0": learned.precision},
            marks={"clicks_us": 1},
        ),
    )
    RUNTIMES.refresh()
    return run


@dataclass(frozen=True)
class Pairs:
    """Whoever looks at `left[k]` looks at `right[k]` next. What is new interests nobody."""

    store: Store
    left: list[Product]
    right: list[Product]
    shoppers: list[Shopper]
    now: datetime


def pairs(store: Store, *, n_pairs: int = 5, n_visits: int = 240, n_shoppers: int = 24) -> Pairs:
    """One visit every hour, the newest an hour ago; and twenty new products that nobody looks at."""
    now = timezone.now()
    left, right = (
        [
            make_product(
                store, f"{side}-{k}", category_path=f"Pair {k}", published_at=now - days(99)
            )
            for k in range(n_pairs)
        ]
        for side in ("left", "right")
    )
    for number in range(20):
        make_product(store, f"new-{number}", category_path="New", published_at=now - days(1))
    shoppers = [make_shopper(store, f"visitor-{number}") for number in range(n_shoppers)]
    for visit in range(n_visits):
        at = now - timedelta(hours=n_visits - visit)
        shopper, k = shoppers[visit % n_shoppers], visit % n_pairs
        for place, product in enumerate((left[k], right[k])):
            make_event(store, shopper, product, at=at + timedelta(minutes=place))
    return Pairs(store, left, right, shoppers, now)


def clicked_answer(
    world: Pairs, placement: Placement, k: int, *, at: datetime, clicked: Product
) -> None:
    """A shopper looks at `left[k]`, is shown a new product before `right[k]`, and clicks."""
    shopper = world.shoppers[k % len(world.shoppers)]
    fresh = Product.objects.get(store=world.store, external_id="new-0")
    shown = make_impression(
        world.store,
        placement,
        shopper.external_id,
        [fresh, world.right[k % len(world.right)]],
        at=at,
        context={"product_ids": [world.left[k % len(world.left)].external_id]},
    )
    make_event(
        world.store,
        shopper,
        clicked,
        type=EventType.RECOMMENDATION_CLICK,
        at=at + timedelta(seconds=20),
        recommendation_id=shown.recommendation_id,
    )
