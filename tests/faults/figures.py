"""What a scenario did to the events, judged and put in a line."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from tests.faults.client import Tally
from tests.faults.stack import Stack, wait_until

FULL = os.environ.get("VITRINE_FAULTS") == "full"
# Scenarios that mostly wait, or vary one that runs anyway.
long_form = pytest.mark.skipif(not FULL, reason="in the long form only: `make faults`")
PROPERTY = "fault figures"


@dataclass(frozen=True)
class Figures:
    """What a scenario did to the events, and how long Vitrine took to be well again."""

    scenario: str
    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    retries: int = 0
    recovery_s: float | None = None
    p99_ms: float | None = None

    def line(self) -> str:
        recovery = "" if self.recovery_s is None else f"{self.recovery_s:.1f} s"
        p99 = "" if self.p99_ms is None else f"{self.p99_ms:.0f} ms"
        return (
            f"{self.scenario:<44} {self.sent:>7,} {self.accepted:>8,} {self.duplicate:>9,}"
            f" {self.stored:>7,} {self.lost:>5} {self.doubled:>8} {self.retries:>8,} {recovery:>9} {p99:>7}"
        )


HEADER = (
    f"{'scenario':<44} {'sent':>7} {'accepted':>8} {'duplicate':>9} {'stored':>7} {'lost':>5}"
    f" {'doubled':>8} {'retries':>8} {'recovery':>9} {'p99':>7}"
)


@dataclass
class Judge:
    """Compares what was confirmed with what is stored, and keeps the figures."""

    stack: Stack
    record: Any

    def events(
        self,
        scenario: str,
        tally: Tally,
        *,
        recovery_s: float | None = None,
        p99_ms: float | None = None,
    ) -> Figures:
        """Every confirmed id is stored, each once; and no task is left over."""
        stored = self.stack.stored(list(tally.confirmed))
        figures = Figures(
            scenario,
            sent=tally.sent,
            accepted=tally.accepted,
            duplicate=tally.duplicate,
            stored=sum(stored.values()),
            lost=len(tally.confirmed - stored.keys()),
            doubled=sum(count - 1 for count in stored.values()),
            retries=tally.retries,
            recovery_s=recovery_s,
            p99_ms=p99_ms,
        )
        self.keep(figures)
        assert (figures.lost, figures.doubled) == (0, 0), figures
        assert set(tally.statuses) <= {0, 503}, tally.statuses
        assert figures.stored == len(tally.confirmed)
        self.queues_drain()
        return figures

    def keep(self, figures: Figures) -> None:
        self.record(PROPERTY, asdict(figures))

    def queues_drain(self) -> None:
        wait_until(lambda: not any(self.stack.queues().values()), 60, "the queues are empty")
