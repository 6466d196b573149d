"""What members wait for while they steer: previews, and the price tag of a change.

In this process, without network and templates: the preview of an edit on the whole catalog, and the
replay of logged requests, slice after slice as the page asks for them. The requests are made first,
through the request path, and logged.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.command import main, say
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)

if TYPE_CHECKING:
    from benchmarks.world import World
    from recommender.services.preview import AnyEdit
    from recommender.services.price_tag import PriceTag

Found = TypeVar("Found")
PREVIEW_MS = Promise(at_most=300.0)
PRICE_TAG_S = Promise(at_most=5.0)
PLACEMENT = "product-bought-together"
# As a member does who moves a slider, asks for another minimum, bars a brand.
KINDS = ("strategy", "placement", "rule")


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds on the clock, and of this process's processor."""

    wall_ms: float
    cpu_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--previews", type=int, default=100, help="of each kind of edit")
    parser.add_argument("--requests", type=int, default=1_000, help="logged ones")
    parser.add_argument("--price-tags", type=int, default=3, help="of each kind of edit")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from threadpoolctl import threadpool_limits

    # As in web processes (`recommender.config.wsgi`).
    with threadpool_limits(1, "blas"):
        return _measured(world, options)


def _measured(world: World, options: argparse.Namespace) -> Report:
    from recommender.models import Placement

    placement = Placement.objects.select_related("strategy_version").get(
        store=world.store, slug=PLACEMENT
    )
    edits = _edits(world, placement)
    say(f"{options.requests} requests are made and logged")
    _requests_log(world, options.requests)
    say(f"{options.previews} previews of each kind")
    previews = {kind: _previews(world, edits[kind], options.previews) for kind in KINDS}
    say(f"{options.price_tags} price tags of each kind")
    tags = {
        kind: [
            _price_tag(world, placement, edits[kind], options) for _ in range(options.price_tags)
        ]
        for kind in KINDS
    }
    return _report(world, options, previews, tags)


def _edits(world: World, placement: Any) -> dict[str, AnyEdit]:
    from recommender.services.preview import PlacementEdit, RuleEdit, StrategyEdit

    document = {**placement.strategy_version.document, "diversity": 0.6, "exploration": 0.1}
    brand = world.store.products.exclude(brand="").order_by("pk").values_list("brand", flat=True)[0]
    return {
        "strategy": StrategyEdit(document=document),
        "placement": PlacementEdit(values={"n_products": 6, "n_minimum": 2}),
        "rule": RuleEdit(document={"action": {"type": "exclude"}, "target": {"brands": [brand]}}),
    }


def _requests_log(world: World, n: int) -> None:
    from recommender.services.impression_log import IMPRESSIONS
    from recommender.services.recommend import recommend
    from recommender.serving.request import PlacementRequest, RecommendationRequest

    in_view, in_cart = world.products(n), world.products(n)
    for shopper, product, cart in zip(world.known_shoppers(n), in_view, in_cart, strict=True):
        request = RecommendationRequest(
            shopper_id=shopper, product_ids=(product,), cart=(cart,), device="mobile"
        )
        recommend(
            store_id=world.store.pk,
            request=request,
            placements=[PlacementRequest(slug=PLACEMENT)],
        )
    if IMPRESSIONS.flush() != n:
        raise BenchmarkError("Not all requests were logged.")


def _previews(world: World, edit: AnyEdit, n: int) -> list[Took]:
    from recommender.services.preview import Who, preview

    took = []
    in_view, asked = world.products(n + 1), world.products(n + 1)
    for shopper, product, why in zip(world.known_shoppers(n + 1), in_view, asked, strict=True):
        who = Who(shopper_id=shopper, product_ids=(product,), why_not=(why,))
        work = partial(preview, store=world.store, placement=PLACEMENT, who=who, edit=edit)
        took.append(_timed(work)[0])
    # The first one finds what nobody has needed before.
    return took[1:]


def _price_tag(
    world: World, placement: Any, edit: AnyEdit, options: argparse.Namespace
) -> tuple[Took, list[Took]]:
    """The whole of it, and its slices."""
    from django.utils import timezone

    from recommender.services.price_tag import price_tag_continue, price_tag_start

    # What was logged in this moment may be stamped with the next millisecond.
    now = timezone.now() + timedelta(seconds=1)
    begin = partial(price_tag_start, store=world.store, placements=[placement], edit=edit, now=now)
    slices: list[Took] = []
    tag: PriceTag | None = None
    while tag is None or not tag.is_done:
        work = begin
        if tag is not None:
            work = partial(price_tag_continue, store=world.store, token=tag.token)
        took, tag = _timed(work)
        slices.append(took)
    comparison = tag.comparison
    if comparison is None or comparison.n != min(options.requests, 1_000):
        raise BenchmarkError(f"Not all requests were answered again: {comparison}")
    whole = Took(sum(each.wall_ms for each in slices), sum(each.cpu_ms for each in slices))
    return whole, slices


def _timed(work: Callable[[], Found]) -> tuple[Took, Found]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    took = Took((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
    return took, found


def _report(
    world: World,
    options: argparse.Namespace,
    previews: dict[str, list[Took]],
    tags: dict[str, list[tuple[Took, list[Took]]]],
) -> Report:
    every = [each for found in previews.values() for each in found]
    wholes = [whole for found in tags.values() for whole, _ in found]
    slices = [each for found in tags.values() for _, parts in found for each in parts]
    return Report(
        benchmark="steering",
        figures=[
            figure("p95 of a preview", _wall(every, 0.95), "ms", promise=PREVIEW_MS),
            figure("p95 of a preview, processor", _cpu(every, 0.95), "ms"),
            figure(
                "slowest price tag", _wall(wholes, 1.0) / 1e3, "s",
                promise=PRICE_TAG_S if options.requests >= 1_000 else None,
            ),
            figure("slowest price tag, processor", _cpu(wholes, 1.0) / 1e3, "s"),
            figure("longest slice of a price tag", _wall(slices, 1.0), "ms"),
        ],
        tables=[
            Table(
                "By kind of edit",
                ("edit", "preview p50 ms", "p95 ms", "processor p95 ms", "price tag s",
                 "processor s", "slices"),
                [
                    (
                        kind, _wall(previews[kind], 0.5), _wall(previews[kind], 0.95),
                        _cpu(previews[kind], 0.95),
                        _wall([whole for whole, _ in tags[kind]], 1.0) / 1e3,
                        _cpu([whole for whole, _ in tags[kind]], 1.0) / 1e3,
                        max(len(parts) for _, parts in tags[kind]),
                    )
                    for kind in KINDS
                ],
            )
        ],
        notes=[
            (f"{world.built.n_products:,} products; each preview answers twice, with its trace, for"
            f" a known shopper and a product in view, and is asked why another isn't shown."),
            (f"{options.requests:,} logged requests of one placement, each answered twice; between"
            f" two slices the page waits 80 ms, which isn't counted."),
        ],
    )  # fmt: skip


def _wall(took: Sequence[Took], share: float) -> float:
    return percentile([each.wall_ms for each in took], share)


def _cpu(took: Sequence[Took], share: float) -> float:
    return percentile([each.cpu_ms for each in took], share)


if __name__ == "__main__":
    main(["steering"])
