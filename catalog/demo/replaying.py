"""The demo's last four weeks, played visit by visit: which are left, and in what order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from catalog.demo.held_back import (
    HELD_BACK_DAYS,
    Visit,
    held_back_from_s,
    orders_from,
    visits_of,
    visits_of_share,
)
from catalog.demo.importing import weeks_moved
from catalog.demo.playing import Api, Pages, Played, visit_play
from catalog.demo.source import read_orders, read_products
from catalog.demo.timing import moved
from catalog.models import Store
from catalog.selectors.demo_replays import orders_there

# How long to wait for a visit before looking whether somebody wants to stop.
_LOOK_S = 0.5


class NothingImported(Exception):
    """The store has none of the demo's orders yet."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What is to be played.

    Attributes
    ----------
    visits
        Still to be played, oldest first.
    n_visits, n_wanted, n_played
        Of all households in the time that is played; of the share that is wanted; of those, how many
        were played before.
    n_shoppers
        The households of the share.
    """

    visits: list[Visit]
    from_at: datetime
    until_at: datetime
    n_visits: int
    n_wanted: int
    n_played: int
    n_shoppers: int


def replay_plan(
    *,
    store: Store,
    share: float = 1.0,
    held_back_days: int = HELD_BACK_DAYS,
    n_orders: int | None = None,
) -> ReplayPlan:
    """Read the held-back orders, and leave out those that the store has.

    `n_orders` is that of `demo_import`. Raises NothingImported, DemoSourceMissing.
    """
    orders = read_orders(read_products(), n_orders=n_orders)
    weeks = weeks_moved(store=store, orders=orders)
    if weeks is None:
        raise NothingImported
    begins_s = held_back_from_s(orders, days=held_back_days)
    held_back = orders_from(orders, begins_s)
    ends = moved(np.array([begins_s, orders.sold_at_s[-1]]), weeks=weeks)
    from_at, until_at = (datetime.fromtimestamp(second, UTC) for second in ends.tolist())
    everything = visits_of(held_back, weeks_moved=weeks)
    there = orders_there(store=store, from_at=from_at, until_at=until_at)
    wanted = [
        visit
        for visit in visits_of_share(everything, share)
        if visit.order_id not in there.imported
    ]
    left = [visit for visit in wanted if visit.order_id not in there.played]
    return ReplayPlan(
        visits=left,
        from_at=from_at,
        until_at=until_at,
        n_visits=len(everything),
        n_wanted=len(wanted),
        n_played=len(wanted) - len(left),
        n_shoppers=len({visit.shopper_id for visit in wanted}),
    )


def visits_play(
    visits: Sequence[Visit],
    *,
    apis: Sequence[Api],
    pages: Pages,
    on_played: Callable[[Played], None],
    stopping: Callable[[], bool] = lambda: False,
    visits_per_s: float | None = None,
) -> None:
    """Play visits in the order of time, as many at once as there are APIs to call.

    Never two of one household at once: its second visit knows of the first. When `stopping` says so
    no other is begun, and those under way are played to their end. `on_played` is called by the
    calling thread. Raises what `visit_play` raises.
    """
    due = _paced(visits, visits_per_s, stopping)
    if len(apis) == 1:
        for visit in due:
            on_played(visit_play(visit, api=apis[0], pages=pages))
        return
    free = list(apis)
    busy: dict[Future[Played], tuple[Api, str]] = {}

    def collect() -> None:
        for future in wait(busy, timeout=_LOOK_S, return_when=FIRST_COMPLETED).done:
            api, _ = busy.pop(future)
            free.append(api)
            on_played(future.result())

    with ThreadPoolExecutor(len(apis)) as pool:
        for visit in due:
            while not free or any(visit.shopper_id == shopper for _, shopper in busy.values()):
                collect()
            api = free.pop()
            busy[pool.submit(visit_play, visit, api=api, pages=pages)] = (api, visit.shopper_id)
        while busy:
            collect()


def _paced(
    visits: Sequence[Visit], visits_per_s: float | None, stopping: Callable[[], bool]
) -> Iterator[Visit]:
    """One visit after the other, not faster than wanted, until somebody wants to stop."""
    pause_s = 1 / visits_per_s if visits_per_s else 0.0
    next_s = time.monotonic()
    for visit in visits:
        while not stopping() and (left_s := next_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
        if stopping():
            return
        next_s = max(next_s + pause_s, time.monotonic())
        yield visit
