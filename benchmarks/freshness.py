"""From an event to a changed recommendation: must be the very next request, every time.

Each trial asks for the home page's row, posts one event, and asks again right after the 202, over
another connection, which may end at another web process.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from benchmarks.command import main, say
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.traffic import uuid7
from benchmarks.web import web

if TYPE_CHECKING:
    from benchmarks.world import World

PLACEMENT = "home-for-you"
KINDS = (("view_item", 0.70), ("add_to_cart", 0.15), ("hide_item", 0.15))
NEW_RATE = 0.5
N_CONNECTIONS = 8
N_SHOWN = 20  # unchanged trials that are listed


@dataclass(frozen=True, slots=True)
class Trial:
    """What is done."""

    kind: str
    shopper: str
    is_new: bool
    product: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `took_ms` is from sending the event to the end of the second answer."""

    trial: Trial
    before: list[str]
    after: list[str]
    took_ms: float

    @property
    def changed(self) -> bool:
        """The list differs, and what was hidden or put into the cart is gone from it."""
        if self.trial.kind == "hide_item" and self.trial.product in self.after:
            return False
        return bool(self.after) and self.before != self.after


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", type=int, default=1000)


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    trials = _trials(world, options.trials)
    with web() as address:
        shop = _Shop(address, world.key, int(world.rng.integers(1 << 40)))
        say(f"{len(trials)} trials")
        for trial in _trials(world, 30):
            shop.outcome(trial)
        outcomes = [shop.outcome(trial) for trial in trials]
    return _report(outcomes)


def _trials(world: World, n: int) -> list[Trial]:
    kinds = world.rng.choice(len(KINDS), n, p=[share for _, share in KINDS])
    is_new = world.rng.random(n) < NEW_RATE
    known = [world.shoppers[row] for row in world.rng.integers(0, len(world.shoppers), n)]
    return [
        Trial(
            kind=KINDS[kind][0],
            shopper=f"fresh-{world.rng.integers(1 << 48):x}" if new else shopper,
            is_new=bool(new),
            product=product,
        )
        for kind, new, shopper, product in zip(
            kinds, is_new, known, world.products(n, rare_share=0.5), strict=True
        )
    ]


class _Shop:
    """A few keep-alive connections that are taken in turns."""

    def __init__(self, address: str, key: str, seed: int) -> None:
        netloc = urlsplit(address).netloc
        self._connections = [
            http.client.HTTPConnection(netloc, timeout=10) for _ in range(N_CONNECTIONS)
        ]
        self._key = key
        self._number = seed

    def outcome(self, trial: Trial) -> Outcome:
        before = self._recommended(trial.shopper)
        product = trial.product
        if trial.kind == "hide_item" and before:
            product = before[self._number % len(before)]
        began = time.perf_counter()
        self._post(trial, product)
        after = self._recommended(trial.shopper)
        took_ms = 1000 * (time.perf_counter() - began)
        return Outcome(
            Trial(trial.kind, trial.shopper, trial.is_new, product), before, after, took_ms
        )

    def _recommended(self, shopper: str) -> list[str]:
        answer = self._call(
            "GET", f"/v1/placements/{PLACEMENT}/recommendations?shopper_id={quote(shopper)}"
        )
        return [item["product_id"] for item in answer["items"]]

    def _post(self, trial: Trial, product: str) -> None:
        event = {
            "type": trial.kind,
            "event_id": str(uuid7(time.time_ns() // 1_000_000, self._number)),
            "shopper_id": trial.shopper,
            "session_id": f"s-{trial.shopper}"[:64],
            "items": [{"product_id": product}],
        }
        answer = self._call("POST", "/v1/events", json.dumps({"events": [event]}).encode())
        if answer["accepted"] != 1:
            raise BenchmarkError(f"The event {event} was not accepted: {answer}")

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._number += 1
        connection = self._connections[self._number % N_CONNECTIONS]
        connection.request(
            method, path, body, {"Authorization": f"Bearer {self._key}", "Host": "localhost"}
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status not in (200, 202):
            raise BenchmarkError(f"{path} answered {response.status}: {answer[:200]!r}")
        return json.loads(answer)


def _report(outcomes: Sequence[Outcome]) -> Report:
    unchanged = [each for each in outcomes if not each.changed]
    changed_ms = [each.took_ms for each in outcomes if each.changed]
    kinds = [(kind, is_new) for kind, _ in KINDS for is_new in (False, True)]
    notes = [
        (
            "Counts as changed: another list of products, and for hide_item the product is gone."
            f" {NEW_RATE:.0%} of the shoppers were never seen before; half of the products are drawn"
            " from the whole catalog, the others as often as they are bought."
        ),
        "The time is from sending the event to the end of the answer to the next request.",
    ]
    notes += [
        f"Unchanged: {each.trial.kind} of {each.trial.product} by {each.trial.shopper}"
        f" ({'new' if each.trial.is_new else 'known'}), {len(each.before)} products before,"
        f" {len(each.after)} after"
        for each in unchanged[:N_SHOWN]
    ]
    if len(unchanged) > N_SHOWN:
        notes.append(f"… and {len(unchanged) - N_SHOWN} more.")
    return Report(
        benchmark="freshness",
        figures=[
            figure(
                "changed at the next request", len(outcomes) - len(unchanged),
                f"of {len(outcomes):,}", promise=Promise(at_least=len(outcomes)),
            ),
            figure("p50 from event to changed answer", percentile(changed_ms, 0.5), "ms"),
            figure("p99 from event to changed answer", percentile(changed_ms, 0.99), "ms"),
        ],
        tables=[
            Table(
                "By event and shopper",
                ("event", "shopper", "trials", "changed", "p50 ms", "p99 ms"),
                [_row(outcomes, kind, is_new) for kind, is_new in kinds],
            )
        ],
        notes=notes,
    )  # fmt: skip


def _row(
    outcomes: Sequence[Outcome], kind: str, is_new: bool
) -> tuple[str, str, int, int, float, float]:
    own = [each for each in outcomes if each.trial.kind == kind and each.trial.is_new == is_new]
    took = [each.took_ms for each in own]
    return (
        kind,
        "new" if is_new else "known",
        len(own),
        sum(each.changed for each in own),
        percentile(took, 0.5),
        percentile(took, 0.99),
    )


if __name__ == "__main__":
    main(["freshness"])
