"""Events that come again, in another order, at the same time, by another clock."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.faults.client import Page, Tally, event, in_parallel
from tests.faults.figures import FULL, Judge
from tests.faults.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_events_replayed_three_times_in_shuffled_order_are_stored_once(
    stack: Stack, judge: Judge
) -> None:
    n_events = 10_000 if FULL else 1_500
    chance = random.Random(3)
    events = [
        event(chance.randrange(60), shopper=f"replay-{chance.randrange(200)}")
        for _ in range(n_events)
    ]
    tally = Tally()
    portions: list[tuple[str, list[dict[str, Any]]]] = []
    for _ in range(3):
        chance.shuffle(events)
        at = 0
        while at < n_events:
            key, most = chance.choice(
                [(stack.publishable, 10), (stack.publishable, 50), (stack.secret, 1_000)]
            )
            size = chance.randint(1, most)
            portions.append((key, events[at : at + size]))
            at += size
    chance.shuffle(portions)

    def send(portion: tuple[str, list[dict[str, Any]]]) -> None:
        with Page(stack.port, portion[0]) as page:
            page.send(tally, portion[1])

    began = time.monotonic()
    in_parallel(send, portions, n_threads=6)
    took_s = time.monotonic() - began
    assert tally.accepted == n_events
    assert tally.duplicate == 2 * n_events
    judge.events(f"{n_events:,} events ×3, shuffled", tally, recovery_s=took_s)


@pytest.mark.parametrize("hours", [48, -48])
def test_a_clock_that_is_two_days_off_neither_moves_nor_doubles_an_event(
    stack: Stack, judge: Judge, hours: int
) -> None:
    tally = Tally()
    shopper = f"traveller{hours}"
    off_ms = hours * 3_600_000
    began = datetime.now(UTC)

    def by_its_clock() -> int:
        return int(time.time() * 1000) + off_ms

    events = []
    with Page(stack.port, stack.publishable) as page:
        for number in range(50):
            one = event(number % 60, shopper=shopper, occurred_at=by_its_clock())
            events.append(one)
            page.send(tally, [one], sent_at=by_its_clock())
        # Sent again: by the same clock, and after it was put right.
        page.send(tally, events, sent_at=by_its_clock())
        assert tally.rejected == 0
        page.send(tally, events, sent_at=int(time.time() * 1000))
        assert page.recently_viewed(shopper)[0] == "p49"
    # By the right clock they are of the day after tomorrow: refused as that, and stored once.
    assert tally.rejected == (len(events) if hours > 0 else 0)
    times = stack.ask(
        "SELECT occurred_at FROM catalog_event WHERE event_id = ANY(%s)",
        [UUID(one["event_id"]) for one in events],
    )
    slack = timedelta(seconds=5)
    assert all(began - slack <= at <= datetime.now(UTC) + slack for (at,) in times)
    judge.events(f"client clock {hours:+d} h", tally)
