"""What rules cost a request: the same requests with none and with 200 active rules, in turns.

    python -m benchmarks.rules [--products 100000] [--rules 200] [--requests 4000]

Everything happens in one process on made-up data, without network, Valkey and PostgreSQL: what is
compared is the time of `recommend_placement` alone, where the share of rules is largest. Turns
alternate, so that a machine that gets slower gets slower for both.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import django
import numpy as np

django.setup()

from recommender.engine.types import Neighbours  # noqa: E402
from recommender.selectors.catalog_rows import ProductRow  # noqa: E402
from recommender.selectors.serving_settings import (  # noqa: E402
    PlacementSettings,
    RuleSettings,
    StoreSettings,
)
from recommender.serving.models import (  # noqa: E402
    Chart,
    ItemSimilarityModel,
    PopularityModel,
    RowMap,
    ServingModels,
)
from recommender.serving.pipeline import recommend_placement  # noqa: E402
from recommender.serving.placement import ServingPlacement  # noqa: E402
from recommender.serving.request import RecommendationRequest  # noqa: E402
from recommender.serving.runtime import StoreRuntime, runtime_rules  # noqa: E402
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply  # noqa: E402
from recommender.serving.strategy import ServingStrategy, strategy_parse  # noqa: E402
from recommender.stores.session_state import NO_STATE  # noqa: E402

N_BRANDS, N_CATEGORIES, N_NEIGHBOURS = 400, 300, 100
TURNS = 20
# Above one row of neighbours and one chart, as on a product page with a fallback at hand.
DOCUMENT = {
    "sources": [
        {"source": "bought_together", "weight": 0.7},
        {"source": "bestsellers", "weight": 0.3},
    ],
    "diversity": 0,
    "max_per_brand": 3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--requests", type=int, default=4_000)
    asked = parser.parse_args()
    chance = np.random.default_rng(7)
    plain = _runtime(asked.products, chance)
    stored = [
        RuleSettings(n + 1, f"Rule {n}", _document(n, chance), 0.0, 4e9) for n in range(asked.rules)
    ]
    started = time.process_time()
    ruled = replace(plain, rules=runtime_rules(plain, stored))
    print(f"compiling {asked.rules} rules: {(time.process_time() - started) * 1e3:.0f} ms")
    assert ruled.rules is not None
    assert not ruled.rules.problems
    pages = [f"p{n}" for n in chance.integers(0, asked.products, 1_000)]
    times: dict[str, list[float]] = {"none": [], "rules": []}
    for turn in range(TURNS + 1):
        for name, runtime in (("none", plain), ("rules", ruled)):
            found = _turn(runtime, pages, asked.requests // TURNS, chance)
            # The first turn fills what is kept from one request to the next.
            if turn:
                times[name] += found
    for name, found in times.items():
        told = ", ".join(f"p{q} {np.percentile(found, q):.0f} µs" for q in (50, 95, 99))
        print(f"{name:>6}: {told}")
    for q in (50, 99):
        ratio = np.percentile(times["rules"], q) / np.percentile(times["none"], q)
        print(f"p{q} with {asked.rules} rules / without: {ratio:.3f}")


def _turn(
    runtime: StoreRuntime, pages: Sequence[str], n: int, chance: np.random.Generator
) -> list[float]:
    """Microseconds of n requests. Asking for CPU time takes longer than what is measured."""
    placement = next(iter(runtime.placements.values()))
    asked = chance.integers(0, len(pages), n).tolist()
    now_s = time.time()
    times = []
    gc.collect()
    gc.disable()
    for k in asked:
        # A cart makes each answer the shopper's own, so that none is kept.
        request = RecommendationRequest(
            product_ids=(pages[k],), cart=(pages[k - 1],), device="mobile"
        )
        started = time.perf_counter_ns()
        recommend_placement(
            runtime, placement, request, NO_STATE, limit=None, shown=set(), now_s=now_s
        )
        times.append((time.perf_counter_ns() - started) / 1e3)
    gc.enable()
    return times


def _document(n: int, chance: np.random.Generator) -> dict[str, Any]:
    """Of all kinds; a third of them without a condition, the others by category, device, page."""
    brand = f"brand {chance.integers(N_BRANDS)}"
    category = f"shelf {chance.integers(N_CATEGORIES) // 10} > part {chance.integers(10)}"
    actions: list[dict[str, Any]] = [
        {"type": "boost", "factor": 2},
        {"type": "bury", "factor": 2},
        {"type": "exclude"},
        {"type": "reserve", "slots": 1, "position": 3},
    ]
    action = actions[n % 4]
    target: dict[str, Any] = {"brands": [brand]}
    if n % 20 == 1:
        target = {"price_within_percent": 20, "same_category": True}
    conditions: list[dict[str, Any]] = [
        {},
        {"viewed": {"categories": [category.partition(" > ")[0]]}},
        {"devices": ["mobile"], "page_types": ["product"]},
    ]
    condition = conditions[n % 3]
    if action["type"] == "reserve":
        condition = {"viewed": {"categories": [category]}}
    return {"action": action, "target": target, "condition": condition}


def _runtime(n: int, chance: np.random.Generator) -> StoreRuntime:
    rows = [
        ProductRow(
            product_id=k + 1,
            external_id=f"p{k}",
            title=f"Product {k}",
            url="",
            image_url="",
            price_minor=int(price),
            list_price_minor=None,
            currency="USD",
            available=True,
            shown=True,
            brand=f"brand {k % N_BRANDS}",
            category_path=f"shelf {k % N_CATEGORIES // 10} > part {k % 10}",
            published_at_s=None,
            updated_at_us=1,
            stock_count=int(price) % 100,
            tags=[f"tag {k % 7}"],
            attributes=f'{{"colour": "{k % 11}"}}',
        )
        for k, price in enumerate(chance.integers(100, 10_000, n))
    ]
    snapshot = snapshot_apply(CatalogSnapshot.empty(), rows)
    everything = np.arange(n, dtype=np.int32)
    neighbours = chance.integers(0, n, (n, N_NEIGHBOURS), dtype=np.int32)
    scores = np.sort(chance.random((n, N_NEIGHBOURS), np.float32))[:, ::-1]
    similar = Neighbours(neighbours, np.ascontiguousarray(scores))
    chart = Chart(np.linspace(2, 1, n, dtype=np.float32), everything)
    models = ServingModels(
        item_similarity=ItemSimilarityModel(RowMap(everything, everything), similar, similar),
        popularity=PopularityModel(chart, chart),
    )
    settings = PlacementSettings(
        1, "here", "Here", "product", 10, 4, False, 1, "Strategy", DOCUMENT
    )
    placement = ServingPlacement(settings, ServingStrategy(1, strategy_parse(DOCUMENT)))
    store = StoreSettings(1, "USD", b"x" * 32, 1, {}, (settings,))
    return StoreRuntime(
        settings=store,
        placements={"here": placement},
        snapshot=snapshot,
        artifacts={},
        models=models,
        catalog_version=1,
    )


if __name__ == "__main__":
    main()
