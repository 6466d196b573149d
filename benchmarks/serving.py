"""Recommendations over HTTP: saturation against a floor, and latency at a rate that doesn't wait.

Floor and product are taken in turns, because shared machines drift. Everything is on: impressions,
an experiment on the home page, 100,000 products that can all be shown, and the shoppers' states in
Valkey. Requests are mixed as in a shop; answers are looked into, so that empty ones don't count.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from benchmarks.command import main, say
from benchmarks.generator import Driven, drive, get_request, post_request
from benchmarks.report import (
    BenchmarkError,
    Figure,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.traffic import browser_posts
from benchmarks.web import FLOOR, Saturated, saturate, web

if TYPE_CHECKING:
    from benchmarks.world import World

# Share of requests by placement: product pages, the cart, the home page.
MIX = (
    ("product-similar", 0.28),
    ("product-bought-together", 0.27),
    ("cart-cross-sell", 0.10),
    ("home-for-you", 0.35),
)
# Visitors who were never seen before: nothing is in Valkey for them.
NEWCOMER_RATE = 0.05
MIN_ITEMS = 4
# Visits that are under way: what was looked at a moment ago is in the shoppers' states.
N_VISITS = 1_500
# An answer with fewer products than this is no answer; so many of them are tolerated.
MAX_THIN_RATE = 0.01
CONNECTIONS_OPEN = 32

P99_MS = Promise(at_most=7.0)
OF_FLOOR = Promise(at_least=40.0)
THIN = Promise(at_most=100 * MAX_THIN_RATE)
NO_FAILURE = Promise(at_most=0.0)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was in the answers of a run."""

    n: int
    n_thin: int
    n_empty: int
    n_fallback: int
    n_in_experiment: int
    n_items: int
    by_placement: Counter[str]
    by_source: Counter[str]
    bytes_per_answer: float

    def rate(self, count: int) -> float:
        """In percent of all answers."""
        return 100.0 * count / self.n if self.n else float("nan")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=10, help="length of one saturated round")
    parser.add_argument("--rounds", type=int, default=3, help="saturated rounds of each")
    parser.add_argument("--connections", type=int, default=8, help="of a saturated round")
    parser.add_argument("--rate", type=int, default=1000, help="requests offered per second")
    parser.add_argument("--offered-seconds", type=int, default=30, help="for how long")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    n_offered = options.rate * options.offered_seconds
    paths = request_paths(world, 60_000)
    warm = [
        f"/v1/placements/home-for-you/recommendations?{urlencode({'shopper_id': shopper})}"
        for shopper in world.shoppers
    ]
    floors, products = [], []
    with web(FLOOR, ready="/") as floor_address, web() as address:
        say("warming: visits under way, then a home page for every shopper")
        visits = browser_posts(world, N_VISITS, events_per_post=4)
        drive(
            address,
            [post_request("/v1/events", visit.body, key=world.key) for visit in visits],
            connections=8,
        )
        drive(address, _gets(warm, world.key), connections=8)
        saturate(address, paths[::-1], key=world.key, seconds=5, connections=options.connections)
        saturate(floor_address, ["/"], key=None, seconds=2, connections=options.connections)
        for number in range(options.rounds):
            say(f"saturated, round {number + 1} of {options.rounds}")
            floors.append(_saturated(floor_address, ["/"], None, options))
            products.append(_saturated(address, paths, world.key, options))
        say(f"offered {options.rate}/s for {options.offered_seconds} s: floor")
        floor_offered = _offered(floor_address, ["/"] * (options.rate * 5), None, rate=options.rate)
        say(f"offered {options.rate}/s for {options.offered_seconds} s: product")
        start = len(paths) // 2
        chosen = [paths[(start + place) % len(paths)] for place in range(n_offered)]
        _offered(address, chosen[: options.rate * 3], world.key, rate=options.rate)
        offered = _offered(address, chosen, world.key, rate=options.rate)
    answers = look_into(offered.bodies)
    return _report(floors, products, floor_offered, offered, answers, chosen, options)


def request_paths(world: World, n: int) -> list[str]:
    """Requests as a shop's visitors make them, in random order."""
    slugs = [slug for slug, _ in MIX]
    which = world.rng.choice(len(slugs), n, p=[share for _, share in MIX])
    shoppers = world.known_shoppers(n)
    newcomer = world.rng.random(n) < NEWCOMER_RATE
    products = world.products(n)
    cart_sizes = world.rng.integers(1, 6, n)
    paths = []
    for place in range(n):
        slug = slugs[which[place]]
        shopper = f"new-{world.rng.integers(1 << 40):x}" if newcomer[place] else shoppers[place]
        query: list[tuple[str, str]] = [("shopper_id", shopper)]
        if slug.startswith("product-"):
            query.append(("product_id", products[place]))
        elif slug.startswith("cart-"):
            query += [("cart", each) for each in products[place : place + cart_sizes[place]]]
        paths.append(f"/v1/placements/{slug}/recommendations?{urlencode(query)}")
    return paths


def look_into(bodies: Sequence[bytes]) -> Answers:
    """Count what is in the answers of recommendations."""
    by_placement: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    n_thin = n_empty = n_fallback = n_in_experiment = n_items = 0
    for body in bodies:
        answer = json.loads(body) if body.startswith(b"{") else {}
        items = answer.get("items", ())
        n_items += len(items)
        n_thin += len(items) < MIN_ITEMS
        n_empty += not items
        n_fallback += bool(answer.get("fallback"))
        n_in_experiment += bool(answer.get("experiment"))
        by_placement[answer.get("placement", "none")] += 1
        by_source.update(item["source"] for item in items)
    return Answers(
        n=len(bodies),
        n_thin=n_thin,
        n_empty=n_empty,
        n_fallback=n_fallback,
        n_in_experiment=n_in_experiment,
        n_items=n_items,
        by_placement=by_placement,
        by_source=by_source,
        bytes_per_answer=sum(map(len, bodies)) / max(1, len(bodies)),
    )


def _gets(paths: Sequence[str], key: str | None) -> list[bytes]:
    return [get_request(path, key=key) for path in paths]


def _saturated(
    address: str, paths: Sequence[str], key: str | None, options: argparse.Namespace
) -> Saturated:
    return saturate(
        address, paths, key=key, seconds=options.seconds, connections=options.connections
    )


def _offered(address: str, paths: Sequence[str], key: str | None, *, rate: int) -> Driven:
    return drive(
        address, _gets(paths, key), connections=CONNECTIONS_OPEN, rate=rate, keep_bodies=True
    )


def _report(
    floors: list[Saturated],
    products: list[Saturated],
    floor_offered: Driven,
    offered: Driven,
    answers: Answers,
    paths: Sequence[str],
    options: argparse.Namespace,
) -> Report:
    floor, product = (
        statistics.median(each.requests_per_s for each in rounds) for rounds in (floors, products)
    )
    thin_bytes = statistics.median(each.bytes_per_answer for each in products)
    if thin_bytes < 0.7 * answers.bytes_per_answer:
        raise BenchmarkError(
            f"Saturated answers have {thin_bytes:.0f} bytes, those of the same requests at a"
            f" constant rate {answers.bytes_per_answer:.0f}: they aren't the same."
        )
    n_failed = sum(each.n_failed for each in products) + offered.n_failed
    p99 = percentile(offered.latencies_ms, 0.99)
    figures: list[Figure] = [
        figure("saturated: floor", floor, "requests/s"),
        figure("saturated: product", product, "requests/s", floor=floor),
        figure("saturated: product, of the floor", 100 * product / floor, "%", promise=OF_FLOOR),
        figure(
            f"p99 at {options.rate:,} requests/s offered", p99, "ms", promise=P99_MS,
            floor=percentile(floor_offered.latencies_ms, 0.99),
        ),
        figure("answered", offered.per_second, "requests/s"),
        figure("failed requests", n_failed, "", promise=NO_FAILURE),
        figure(
            f"answers with fewer than {MIN_ITEMS} products", answers.rate(answers.n_thin), "%",
            promise=THIN,
        ),
        figure("empty answers", answers.rate(answers.n_empty), "%"),
        figure("answers completed by a fallback", answers.rate(answers.n_fallback), "%"),
        figure("answers within the experiment", answers.rate(answers.n_in_experiment), "%"),
    ]  # fmt: skip
    return Report(
        benchmark="serving",
        figures=figures,
        tables=[
            _rounds_table(floors, products),
            _latency_table(floor_offered, offered),
            _placement_table(offered, paths),
            Table(
                "Where the products came from",
                ("source", "% of products"),
                [
                    (source, 100 * count / max(1, answers.n_items))
                    for source, count in answers.by_source.most_common()
                ],
            ),
        ],
        notes=[
            "Mix: " + ", ".join(f"{share:.0%} {slug}" for slug, share in MIX)
            + f"; {NEWCOMER_RATE:.0%} of the requests come from visitors never seen before.",
            (f"At a constant rate {CONNECTIONS_OPEN} connections are open; latency counts from when a"
            f" request was due. The generator used {offered.core_share:.0%} of a core and sent the"
            f" 99th percentile {percentile(offered.late_ms, 0.99):.2f} ms after it was due."),
            (f"Saturated: {options.connections} connections, {options.rounds} rounds of"
            f" {options.seconds} s each, floor and product in turns; medians."),
        ],
    )  # fmt: skip


def _rounds_table(floors: list[Saturated], products: list[Saturated]) -> Table:
    return Table(
        "Saturated rounds",
        ("", "requests/s", "lowest", "highest", "p50 ms", "p99 ms", "bytes per answer"),
        [
            (
                name,
                statistics.median(each.requests_per_s for each in rounds),
                min(each.requests_per_s for each in rounds),
                max(each.requests_per_s for each in rounds),
                statistics.median(each.p50_ms for each in rounds),
                statistics.median(each.p99_ms for each in rounds),
                statistics.median(each.bytes_per_answer for each in rounds),
            )
            for name, rounds in (("floor", floors), ("product", products))
        ],
    )


def _latency_table(floor: Driven, product: Driven) -> Table:
    shares = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
    return Table(
        "Latency at the offered rate, ms",
        ("", *(f"p{100 * share:g}" for share in shares)),
        [
            (name, *(percentile(driven.latencies_ms, share) for share in shares))
            for name, driven in (("floor", floor), ("product", product))
        ],
    )


def _placement_table(driven: Driven, paths: Sequence[str]) -> Table:
    """By placement of the request, with how many answers and products it got."""
    latencies: dict[str, list[float]] = {slug: [] for slug, _ in MIX}
    items: Counter[str] = Counter()
    for path, latency, body in zip(paths, driven.latencies_ms, driven.bodies, strict=True):
        slug = path.split("/")[3]
        latencies[slug].append(latency)
        items[slug] += body.count(b'"position":')
    return Table(
        "By placement at the offered rate",
        ("placement", "requests", "products per answer", "p50 ms", "p99 ms"),
        [
            (
                slug,
                len(found),
                items[slug] / max(1, len(found)),
                percentile(found, 0.5),
                percentile(found, 0.99),
            )
            for slug, found in latencies.items()
        ],
    )


if __name__ == "__main__":
    main(["serving"])
