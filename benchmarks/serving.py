"""Recommendations under load, with the floor beside them.

    python -m benchmarks serving [--store demo] [--seconds 10] [--connections 8]

Needs `wrk` (a Debian package) and a trained store. Starts its own web processes on free ports,
warms them, and takes floor and product in turns, because shared machines drift.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WALK = Path(__file__).with_name("walk.lua")
ROUNDS = 3
WORKERS = 2


@dataclass(frozen=True)
class Measured:
    """One run of wrk."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    n_requests: int
    n_failed: int


@dataclass(frozen=True)
class Scenario:
    """A list of requests that is walked through in order."""

    name: str
    paths: Sequence[str]
    key: str | None = None


class BenchmarkError(Exception):
    """What is missing for the measurement, in a sentence."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web(application: str, *, ready: str) -> Iterator[str]:
    """granian with `WORKERS` processes, as `manage.py up` starts it. Yields its address."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)),
            *("--blocking-threads", "4", "--log-level", "warning", application),
        ],
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, address + ready)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise BenchmarkError("the web process ended before it answered")
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise BenchmarkError("the web process did not get ready within a minute")


def load(address: str, scenario: Scenario, *, seconds: int, connections: int) -> Measured:
    """Run wrk over the paths of a scenario."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(scenario.paths))
        file.flush()
        output = subprocess.run(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(WALK), address),
                *("--", file.name),
                *([scenario.key] if scenario.key else []),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    found = re.search(r"RESULT (.*)", output)
    if found is None:
        raise BenchmarkError(f"wrk answered something else:\n{output}")
    values = json.loads(found[1])
    return Measured(
        requests_per_s=values["n"] / (values["us"] / 1e6),
        p50_ms=values["p50"] / 1000,
        p99_ms=values["p99"] / 1000,
        n_requests=values["n"],
        n_failed=values["failed"],
    )


def run(*, store_slug: str, seconds: int, connections: int) -> str:
    """Measure and return the report as Markdown."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("`wrk` is missing: apt-get install wrk")
    scenarios = _scenarios(store_slug)
    results: dict[str, list[Measured]] = {"floor": [], **{each.name: [] for each in scenarios}}
    floor = Scenario("floor", ["/"])
    with (
        web("benchmarks.floor:application", ready="/") as floor_address,
        web("recommender.config.wsgi:application", ready="/readyz") as address,
    ):
        for each in scenarios:
            load(address, each, seconds=3, connections=connections)
        load(floor_address, floor, seconds=2, connections=connections)
        for _ in range(ROUNDS):
            results["floor"].append(
                load(floor_address, floor, seconds=seconds, connections=connections)
            )
            for each in scenarios:
                results[each.name].append(
                    load(address, each, seconds=seconds, connections=connections)
                )
    return _report(results, connections=connections, seconds=seconds)


def _scenarios(store_slug: str) -> list[Scenario]:
    from catalog.models import Product, Shopper, Store
    from catalog.selectors.keys import publishable_key

    store = Store.objects.filter(slug=store_slug).first()
    if store is None:
        raise BenchmarkError(f"There is no store {store_slug!r}: run `make demo` once.")
    key = publishable_key(store)
    products = list(
        Product.objects.filter(store=store, hidden=False, price_minor__gt=0)
        .order_by("?")
        .values_list("external_id", flat=True)[:2000]
    )
    shoppers = list(
        Shopper.objects.filter(store=store)
        .order_by("?")
        .values_list("external_id", flat=True)[:1000]
    )
    if not products or not shoppers:
        raise BenchmarkError(f"The store {store_slug!r} has no products or no shoppers.")

    def paths(slug: str, *, product: bool) -> list[str]:
        return [
            f"/v1/placements/{slug}/recommendations?shopper_id={shoppers[n % len(shoppers)]}"
            + (f"&product_id={products[n % len(products)]}" if product else "")
            for n in range(4000)
        ]

    return [
        Scenario("product-bought-together", paths("product-bought-together", product=True), key),
        Scenario("product-similar", paths("product-similar", product=True), key),
        Scenario("home-for-you", paths("home-for-you", product=False), key),
    ]


def _report(results: dict[str, list[Measured]], *, connections: int, seconds: int) -> str:
    floor = statistics.median(each.requests_per_s for each in results["floor"])
    lines = [
        (
            f"{connections} connections, {WORKERS} web processes, {ROUNDS} rounds of {seconds} s"
            " each, floor and product in turns; medians, in brackets the lowest and highest round."
        ),
        "",
        "| | requests/s | of the floor | p50 ms | p99 ms | failed |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, rounds in results.items():
        rates = [each.requests_per_s for each in rounds]
        rate = statistics.median(rates)
        p50 = statistics.median(each.p50_ms for each in rounds)
        p99s = [each.p99_ms for each in rounds]
        lines.append(
            f"| {name} | {rate:,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) | {rate / floor:.0%} |"
            f" {p50:.2f} | {statistics.median(p99s):.2f} ({min(p99s):.2f}–{max(p99s):.2f}) |"
            f" {sum(each.n_failed for each in rounds)} |"
        )
    return "\n".join(lines)


RESULTS = Path(__file__).parent / "RESULTS.md"
