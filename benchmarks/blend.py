"""What a learned blend costs: the same requests with learned weights and with the strategy's own.

In this process, `recommend_placement` alone, in turns of one run, by the CPU time of the thread: same
catalog, models and shoppers' states. Both strategies ask the sources of the recipe "automatic" of their
page, leave nothing to chance, and differ in the blend alone. The weights are drawn by chance, none of
them 0: what is learned changes the order, not the work.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.command import main, say
from benchmarks.report import Promise, Report, Table, figure, percentile

if TYPE_CHECKING:
    from benchmarks.world import World
    from recommender.serving.placement import ServingPlacement
    from recommender.serving.runtime import StoreRuntime

# Placements of a new store, by the kind of page whose recipe they are asked with.
PLACES = {"home": "home-for-you", "product": "product-next-click", "cart": "cart-cross-sell"}
N_OF_TURN = 100
ADDED_MS = Promise(at_most=0.5)


@dataclass(slots=True)
class Found:
    """Microseconds, as learned and by weights, of the same requests in the same order."""

    learned: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def added_ms(self, share: float) -> float:
        return (percentile(self.learned, share) - percentile(self.weights, share)) / 1e3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=6_000, help="of each blend")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from threadpoolctl import threadpool_limits

    from recommender.serving.runtime import RUNTIMES

    runtime = RUNTIMES.get(world.store.pk)
    assert runtime is not None
    found = {page: Found() for page in PLACES}
    # As in web processes (`recommender.config.wsgi`).
    with threadpool_limits(1, "blas"):
        for page, slug in PLACES.items():
            say(f"{page}: {options.requests // len(PLACES):,} requests of each blend")
            _measure(world, runtime, page, slug, options.requests // len(PLACES), found[page])
    return _report(found)


def _measure(
    world: World, runtime: StoreRuntime, page: str, slug: str, n: int, found: Found
) -> None:
    ways = _ways(runtime, page, slug, world.rng)
    asked = _asked(world, page, n)
    for turn in range(-1, len(asked) // N_OF_TURN):
        # The first turn warms and isn't counted.
        part = asked[:N_OF_TURN] if turn < 0 else asked[turn * N_OF_TURN :][:N_OF_TURN]
        order = ("learned", "weights") if turn % 2 else ("weights", "learned")
        for name in order:
            took = _answer(*ways[name], part)
            if turn >= 0:
                getattr(found, name).extend(took)


def _ways(
    runtime: StoreRuntime, page: str, slug: str, random: np.random.Generator
) -> dict[str, tuple[StoreRuntime, ServingPlacement]]:
    import msgspec

    from recommender.engine.offline.learned_blend import blend_prior
    from recommender.services.recipes import recipe_find
    from recommender.serving.blends import (
        CONTEXT,
        PERSONAL,
        PRODUCT,
        BlendsModel,
        LearnedWeights,
        log_prices,
        product_columns,
    )
    from recommender.serving.placement import ServingPlacement
    from recommender.serving.strategy import ServingStrategy

    recipe = recipe_find(f"automatic-{page}")
    assert recipe is not None
    snapshot = runtime.snapshot
    document = msgspec.structs.replace(recipe.document, exploration=0.0)
    learned = ServingStrategy(-1, document)
    prior = blend_prior(learned.names, context=CONTEXT, product=PRODUCT, personal=PERSONAL)
    weights = prior.weights + random.normal(0.0, 0.05, len(prior.weights)).astype(np.float32)
    model = replace(prior, weights=weights)
    columns = product_columns(
        snapshot, snapshot.product_ids, np.ones((len(snapshot), 2), np.float32), now_s=0
    )
    blends = BlendsModel(
        {model.sources: LearnedWeights(model, model.item_values(columns))}, log_prices(snapshot)
    )
    by_weights = ServingStrategy(-2, msgspec.structs.replace(document, blend="weights"))
    with_blend = replace(runtime, models=replace(runtime.models, blend=blends))
    settings = runtime.placements[slug].settings
    return {
        "learned": (with_blend, ServingPlacement(settings, learned)),
        "weights": (runtime, ServingPlacement(settings, by_weights)),
    }


def _asked(world: World, page: str, n: int) -> list[tuple[Any, Any]]:
    """Requests with the states of their shoppers, read before anything is measured."""
    from recommender.services.session_reading import session_state
    from recommender.serving.request import RecommendationRequest

    asked = []
    for shopper, product in zip(world.known_shoppers(n), world.products(n), strict=True):
        request = RecommendationRequest(
            shopper_id=shopper,
            product_ids=(product,) if page == "product" else (),
            cart=(product,) if page == "cart" else None,
            device="mobile",
        )
        asked.append((request, session_state(store_id=world.store.pk, shopper_id=shopper)))
    return asked


def _answer(
    runtime: StoreRuntime, placement: ServingPlacement, asked: Sequence[tuple[Any, Any]]
) -> list[float]:
    """What each request takes, in microseconds of this thread."""
    from recommender.serving.pipeline import recommend_placement

    now_s, times = time.time(), []
    gc.collect()
    gc.disable()
    for request, state in asked:
        started = time.thread_time_ns()
        recommend_placement(
            runtime, placement, request, state, limit=None, shown=set(), now_s=now_s
        )
        times.append((time.thread_time_ns() - started) / 1e3)
    gc.enable()
    return times


def _report(found: dict[str, Found]) -> Report:
    every = Found(
        [each for page in found.values() for each in page.learned],
        [each for page in found.values() for each in page.weights],
    )
    shares = (0.5, 0.9, 0.99)
    return Report(
        benchmark="blend",
        figures=[
            figure("p99 that a learned blend adds", every.added_ms(0.99), "ms", promise=ADDED_MS),
            figure("p50 that it adds", every.added_ms(0.5), "ms"),
        ],
        tables=[
            Table(
                "`recommend_placement` in one process, µs of CPU",
                ("page", "blend", "requests", *(f"p{100 * share:g}" for share in shares)),
                [
                    (page, name, len(took), *(percentile(took, share) for share in shares))
                    for page, each in found.items()
                    for name, took in (("by weights", each.weights), ("learned", each.learned))
                ],
            )
        ],
    )


if __name__ == "__main__":
    main(["blend"])
