"""What rules cost: the same requests with none and with 200 active rules, in turns in one run.

Twice. Over HTTP the store's rules are switched on and off, as a member would, and the web processes
take that up; before each turn they are warmed, because either change empties what they keep. In this
process `recommend_placement` alone is measured, on the same catalog, models and shoppers' states, by
the CPU time of the thread, so that what else the machine does counts for less.

Requests are those of the benchmark `serving`, with a device. What the rules say stands in
`rule_mix`; how many of them count for a request is among the figures.
"""

from __future__ import annotations

import argparse
import gc
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from benchmarks.command import main, say
from benchmarks.generator import drive, get_request, post_request
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.rule_mix import DEVICES, SEGMENTS, Document, Shop, rule_documents
from benchmarks.serving import N_VISITS, request_paths
from benchmarks.traffic import browser_posts
from benchmarks.web import web

if TYPE_CHECKING:
    from benchmarks.world import World
    from recommender.serving.runtime import StoreRuntime

NAME = "Benchmark rule"
CONNECTIONS = 16
WARM_S = 4
# Answers in a row that must tell of the change: there are several web processes.
N_CHANGED = 16
RELOAD_WITHIN_S = 30.0
# Requests of one turn in this process.
N_OF_TURN = 200

P99_RATIO = Promise(at_most=1.10)
NO_FAILURE = Promise(at_most=0.0)


@dataclass(slots=True)
class Found:
    """What was measured without and with rules; of each turn by itself, too."""

    none: list[float] = field(default_factory=list)
    rules: list[float] = field(default_factory=list)
    turns: list[tuple[float, float]] = field(default_factory=list)
    n_failed: int = 0

    def add(self, none: Sequence[float], rules: Sequence[float]) -> None:
        self.none += none
        self.rules += rules
        self.turns.append((percentile(none, 0.99), percentile(rules, 0.99)))

    def ratio(self, share: float) -> float:
        return percentile(self.rules, share) / percentile(self.none, share)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rules", type=int, default=200, help="active rules")
    parser.add_argument("--rate", type=int, default=400, help="requests offered per second")
    parser.add_argument("--seconds", type=int, default=5, help="length of a turn over HTTP")
    parser.add_argument("--turns", type=int, default=8, help="turns of each over HTTP")
    parser.add_argument("--requests", type=int, default=8_000, help="of each in this process")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    from recommender.serving.runtime import RUNTIMES

    runtime = RUNTIMES.get(world.store.pk)
    assert runtime is not None
    documents = rule_documents(_shop(world, runtime), options.rules, world.rng)
    with _stored(world, documents), web() as address:
        say("warming: visits under way")
        visits = browser_posts(world, N_VISITS, events_per_post=4)
        drive(
            address,
            [post_request("/v1/events", visit.body, key=world.key) for visit in visits],
            connections=8,
        )
        say(f"in this process: {options.requests:,} requests each")
        alone, compiled_ms, counted = _in_process(world, runtime, documents, options)
        over_http = _over_http(world, address, options)
    return _report(over_http, alone, compiled_ms, counted, options)


def order(turn: int) -> tuple[bool, bool]:
    """Without rules first, or with them: neither always follows the other."""
    return (False, True) if turn % 2 == 0 else (True, False)


def _shop(world: World, runtime: StoreRuntime) -> Shop:
    snapshot = runtime.snapshot
    brands, categories = (
        [codes.names[code] for code in np.bincount(own[own >= 0]).argsort()[::-1].tolist()]
        for codes, own in (
            (snapshot.brands, snapshot.brand_codes),
            (snapshot.categories, snapshot.category_codes),
        )
    )
    departments = dict.fromkeys(path.partition(" > ")[0] for path in categories)
    chart = runtime.models.popularity
    assert chart is not None
    sellers = [snapshot.external_ids[row] for row in chart.bestsellers.ranking[:100].tolist()]
    return Shop(brands, list(departments), categories, sellers)


def _paths(world: World, n: int) -> list[str]:
    devices = world.rng.choice(DEVICES, n, p=(0.6, 0.3, 0.1)).tolist()
    paths = request_paths(world, n)
    return [
        f"{path}&device={device}&locale=en" for path, device in zip(paths, devices, strict=True)
    ]


# --------------------------------------------------------------------------------------- over HTTP


@contextmanager
def _stored(world: World, documents: Sequence[Document]) -> Iterator[None]:
    """The rules and their segments in the store, switched off; gone afterwards."""
    from recommender.models import Rule, Segment
    from recommender.services.strategies import settings_touch

    store = world.store
    _forget(world)
    Segment.objects.bulk_create(
        Segment(store=store, key=key, name=key, document=document) for key, document in SEGMENTS
    )
    Rule.objects.bulk_create(
        Rule(store=store, name=f"{NAME} {n}", document=each, position=n, enabled=False)
        for n, each in enumerate(documents)
    )
    try:
        yield
    finally:
        _forget(world)
        settings_touch(store_id=store.pk)


def _forget(world: World) -> None:
    from recommender.models import Rule, Segment

    Rule.objects.filter(store=world.store, name__startswith=NAME).delete()
    Segment.objects.filter(store=world.store, key__in=[key for key, _ in SEGMENTS]).delete()


def _over_http(world: World, address: str, options: argparse.Namespace) -> Found:
    found = Found()
    n = options.rate * options.seconds
    for turn in range(options.turns):
        say(f"over HTTP, turn {turn + 1} of {options.turns}")
        requests = [get_request(path, key=world.key) for path in _paths(world, n)]
        warm = [get_request(path, key=world.key) for path in _paths(world, options.rate * WARM_S)]
        took: dict[bool, list[float]] = {}
        for active in order(turn):
            _switch(world, address, active)
            drive(address, warm, connections=CONNECTIONS, rate=options.rate)
            driven = drive(address, requests, connections=CONNECTIONS, rate=options.rate)
            took[active] = driven.latencies_ms
            found.n_failed += driven.n_failed
        found.add(took[False], took[True])
    return found


def _switch(world: World, address: str, active: bool) -> None:
    """Switch the rules, and wait until every web process has taken it up."""
    from recommender.models import Rule
    from recommender.services.strategies import settings_touch

    Rule.objects.filter(store=world.store, name__startswith=NAME).update(enabled=active)
    settings_touch(store_id=world.store.pk)
    asked = urllib.request.Request(
        f"{address}/v1/placements/home-for-you/recommendations?explain=true",
        headers={"Authorization": f"Bearer {world.secret_key}"},
    )
    patience = time.monotonic() + RELOAD_WITHIN_S
    n_right = 0
    while n_right < N_CHANGED:
        if time.monotonic() > patience:
            raise BenchmarkError("the web processes did not take up the change of the rules")
        with urllib.request.urlopen(asked, timeout=5) as answer:
            told = NAME.encode() in answer.read()
        n_right = n_right + 1 if told is active else 0
        time.sleep(0.05)


# ---------------------------------------------------------------------------------- in this process


def _in_process(
    world: World, plain: StoreRuntime, documents: Sequence[Document], options: argparse.Namespace
) -> tuple[Found, float, list[int]]:
    """Microseconds of CPU, of compiling the milliseconds, and how many rules counted."""
    from recommender.selectors.serving_settings import RuleSettings, SegmentSettings
    from recommender.serving.runtime import runtime_rules

    segments = tuple(SegmentSettings(key, key, document) for key, document in SEGMENTS)
    plain = replace(plain, rules=None, settings=replace(plain.settings, segments=segments))
    stored = [RuleSettings(n + 1, f"{NAME} {n}", each) for n, each in enumerate(documents)]
    started = time.thread_time()
    ruled = _kept_apart(replace(plain, rules=runtime_rules(plain, stored)))
    compiled_ms = (time.thread_time() - started) * 1e3
    assert ruled.rules is not None
    if ruled.rules.problems:
        raise BenchmarkError(f"a rule is left out: {ruled.rules.problems[0].words}")
    asked = _Asked(world, _paths(world, options.requests))
    found = Found()
    n_turns = max(1, options.requests // N_OF_TURN)
    # Once before: what is kept from one request to the next is the same for both then.
    for measured in (False, True):
        for turn in range(n_turns):
            part = slice(turn * N_OF_TURN, (turn + 1) * N_OF_TURN)
            took = {
                active: asked.answer(ruled if active else plain, part) for active in order(turn)
            }
            if measured:
                found.add(took[False], took[True])
    return found, compiled_ms, asked.counted(ruled)


def _kept_apart(runtime: StoreRuntime) -> StoreRuntime:
    """With a memory of its own for the answers that are the same for everybody."""
    from recommender.serving.recent import Recent
    from recommender.serving.runtime import N_CONTEXTUAL

    return replace(runtime, contextual=Recent(N_CONTEXTUAL))


class _Asked:
    """Requests with the states of their shoppers, read before anything is measured."""

    def __init__(self, world: World, paths: Sequence[str]) -> None:
        from recommender.services.session_reading import session_state
        from recommender.serving.request import RecommendationRequest

        self._asked: list[tuple[str, Any, Any]] = []
        for path in paths:
            parts = urlsplit(path)
            query = parse_qs(parts.query)
            shopper_id = query["shopper_id"][0]
            request = RecommendationRequest(
                shopper_id=shopper_id,
                product_ids=tuple(query.get("product_id", ())),
                cart=tuple(query["cart"]) if "cart" in query else None,
                device=query["device"][0],
                locale=query["locale"][0],
            )
            state = session_state(store_id=world.store.pk, shopper_id=shopper_id)
            self._asked.append((parts.path.split("/")[3], request, state))

    def answer(self, runtime: StoreRuntime, part: slice) -> list[float]:
        """What each of some requests takes, in microseconds of this thread."""
        from recommender.serving.pipeline import recommend_placement

        now_s = time.time()
        times = []
        gc.collect()
        gc.disable()
        for slug, request, state in self._asked[part]:
            placement = runtime.placements[slug]
            started = time.thread_time_ns()
            recommend_placement(
                runtime, placement, request, state, limit=None, shown=set(), now_s=now_s
            )
            times.append((time.thread_time_ns() - started) / 1e3)
        gc.enable()
        return times

    def counted(self, runtime: StoreRuntime) -> list[int]:
        """How many rules count for each of the first requests."""
        from recommender.serving.pipeline import recommend_placement

        counted = []
        for slug, request, state in self._asked[:500]:
            trace = recommend_placement(
                runtime,
                runtime.placements[slug],
                replace(request, explain=True),
                state,
                limit=None,
                shown=set(),
                now_s=time.time(),
            ).trace
            assert trace is not None
            active = [step["active"] for step in trace.steps if "active" in step]
            counted.append(len(active[0]) if active else 0)
        return counted


# ------------------------------------------------------------------------------------------ report


def _report(
    over_http: Found,
    alone: Found,
    compiled_ms: float,
    counted: Sequence[int],
    options: argparse.Namespace,
) -> Report:
    n = options.rules
    of_turns = [rules / none for none, rules in over_http.turns]
    return Report(
        benchmark="rules",
        figures=[
            figure(
                f"HTTP: p99 with {n} rules, of that with none", over_http.ratio(0.99), "",
                promise=P99_RATIO,
            ),
            figure("HTTP: p50, the same", over_http.ratio(0.5), ""),
            figure("HTTP: p99, the same, median of the turns", percentile(of_turns, 0.5), ""),
            figure("in process, CPU: p99, the same", alone.ratio(0.99), ""),
            figure("in process, CPU: p50, the same", alone.ratio(0.5), ""),
            figure(
                "in process, CPU: mean, the same",
                sum(alone.rules) / sum(alone.none), "",
            ),
            figure("failed requests", over_http.n_failed, "", promise=NO_FAILURE),
            figure("rules that count for a request, mean", sum(counted) / len(counted), ""),
            figure("rules that count for a request, most", max(counted), ""),
            figure(f"compiling {n} rules, CPU", compiled_ms, "ms"),
        ],
        tables=[
            _table("Over HTTP, ms", over_http),
            _table("`recommend_placement` in one process, µs of CPU", alone),
        ],
        notes=[
            (
                f"{options.rate} requests a second are offered in {options.turns} turns of"
                f" {options.seconds} s each without and with rules; latency counts from when a"
                " request was due."
            ),
        ],
    )  # fmt: skip


def _table(title: str, found: Found) -> Table:
    shares = (0.5, 0.9, 0.95, 0.99, 0.999)
    return Table(
        title,
        ("", "requests", *(f"p{100 * share:g}" for share in shares)),
        [
            (name, len(took), *(percentile(took, share) for share in shares))
            for name, took in (("none", found.none), ("rules", found.rules))
        ],
    )


if __name__ == "__main__":
    main(["rules"])
