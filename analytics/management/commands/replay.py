"""`manage.py replay`: the demo's last four weeks, played through the API of the running server."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.services.replayed import replayed_count
from catalog.demo.http_api import HttpApi, ServerAway
from catalog.demo.playing import Pages, Played, PlayRefused, Tally
from catalog.demo.replaying import NothingImported, ReplayPlan, replay_plan, visits_play
from catalog.demo.source import DemoSourceMissing
from catalog.models import DemoReplay, Store
from catalog.selectors.demo_replays import replay_is_done
from catalog.services.demo_replays import ReplayRefused, replay_advance, replay_begin, replay_end
from catalog.services.partitions import partitions_ensure
from recommender.config import ports
from recommender.config.env import Environment, from_environ
from recommender.config.progress import Progress
from recommender.models import Placement
from recommender.services.demo_experiments import NoDemoPlacement, demo_experiments_start

# Web processes look for new settings once a second, and write impressions twice a second.
SETTLE_S = 3.0
NOTE_EVERY_S = 1.0


class Command(BaseCommand):
    help = (
        "Play the last four weeks of the demo's orders through the API, against its experiment."
        " Stop it with Ctrl-C; the same command goes on."
    )
    # Those of the whole project cost a second; the server has passed them.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", default="demo", metavar="SLUG")
        parser.add_argument(
            "--share", type=_share, default=1.0, help="of the households, 0 to 1 (1)"
        )
        parser.add_argument("--visits", type=_count, metavar="N", help="no more than N visits now")
        parser.add_argument(
            "--connections", type=_count, default=2, metavar="N", help="visits at a time (2)"
        )
        parser.add_argument(
            "--speed", type=float, metavar="N", help="at most N visits a second (no limit)"
        )
        parser.add_argument("--url", help="address of the server (this installation's)")

    def handle(self, *_args: Any, **options: Any) -> None:
        store = Store.objects.filter(slug=options["store"]).first()
        if store is None:
            raise CommandError(f"There is no store {options['store']!r}.")
        if not store.is_demo:
            raise CommandError(
                f"The store {store.slug!r} is a real one: nothing is played into it."
            )
        if replay_is_done(store=store, share=options["share"]):
            self.stdout.write("Played to the end before: there is nothing left to play.")
            return
        env = from_environ(os.environ)
        url = options["url"] or _local_url(env)
        plan = _plan(store, options["share"])
        if not plan.n_wanted:
            self.stdout.write("The import brought the whole year: there is nothing left to play.")
            return
        if not ports.answers(*_host_and_port(url), host_header=ports.host_header(env)):
            raise CommandError(f"Nothing answers at {url}: start Vitrine first (`make demo`).")
        _experiments_start(store, plan)
        visits = plan.visits[: options["visits"]]
        try:
            book = self._play(store, plan, len(visits), url=url, env=env, options=options)
        except ReplayRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_report(book))

    def _play(
        self,
        store: Store,
        plan: ReplayPlan,
        n_visits: int,
        *,
        url: str,
        env: Environment,
        options: dict[str, Any],
    ) -> _Book:
        replay, key = replay_begin(
            store=store,
            from_at=plan.from_at,
            until_at=plan.until_at,
            share=options["share"],
            n_visits=plan.n_visits,
            n_wanted=plan.n_wanted,
            n_played=plan.n_played,
            now=timezone.now(),
        )
        book = _Book(replay)
        stop = threading.Event()
        apis = [
            HttpApi(url, key, host_header=ports.host_header(env), stopping=stop.is_set)
            for _ in range(options["connections"])
        ]
        try:
            with (
                _signals(stop),
                Progress("Playing visits", total=n_visits, unit="visits") as progress,
            ):

                def on_played(played: Played) -> None:
                    book.write(played)
                    progress.advance()

                visits_play(
                    plan.visits[:n_visits],
                    apis=apis,
                    pages=_pages(store),
                    on_played=on_played,
                    stopping=stop.is_set,
                    visits_per_s=options["speed"],
                )
        except (PlayRefused, ServerAway) as error:
            raise CommandError(
                f"The replay stopped: {error}. The same command goes on from here."
            ) from error
        finally:
            for api in apis:
                api.close()
            book.note()
            replay_end(replay=replay, now=timezone.now())
        if book.n_visits:
            self.stdout.write("Counting what was played …")
            time.sleep(SETTLE_S)
            replayed_count(store=store, since=plan.from_at, now=timezone.now())
        return book


class _Book:
    """What was played by this run, and noted down every second for those who watch."""

    def __init__(self, replay: DemoReplay) -> None:
        self.replay = replay
        self.played = Played()
        self.n_visits = 0
        self.began_s = self._noted_s = time.monotonic()
        self.took_s = 0.0
        self._since = Tally()
        self._n_since = 0

    def write(self, played: Played) -> None:
        self.played.add(played)
        self._since.add(played.total)
        self.n_visits += 1
        self._n_since += 1
        if time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self.note()

    def note(self) -> None:
        replay_advance(
            replay=self.replay,
            n_visits=self._n_since,
            n_events=self._since.n_events,
            n_recommendations=self._since.n_recommendations,
            n_clicks=self._since.n_clicks,
            now=timezone.now(),
        )
        self._since, self._n_since = Tally(), 0
        self._noted_s = time.monotonic()
        self.took_s = self._noted_s - self.began_s


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the replay after the visits that are under way."""
    previous = {
        signum: signal.signal(signum, lambda *_: stop.set())
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


# ------------------------------------------------------------------------------------ preparation


def _plan(store: Store, share: float) -> ReplayPlan:
    try:
        return replay_plan(store=store, share=share)
    except NothingImported as error:
        raise CommandError(
            "The store has no orders yet: run `manage.py demo_import` first."
        ) from error
    except DemoSourceMissing as error:
        raise CommandError(str(error)) from error


def _experiments_start(store: Store, plan: ReplayPlan) -> None:
    try:
        new = demo_experiments_start(
            store=store, started_at=plan.from_at, n_shoppers=plan.n_shoppers
        )
    except NoDemoPlacement as error:
        raise CommandError(
            f"The store has no placement {error}, which the demo's experiment is on."
        ) from error
    partitions_ensure(first=plan.from_at.date(), last=plan.until_at.date())
    if new:
        time.sleep(SETTLE_S)


def _pages(store: Store) -> Pages:
    kind = Placement.PageType
    by_kind: dict[str, list[str]] = {}
    placements = Placement.objects.filter(store=store, paused=False).order_by("position", "pk")
    for slug, page_type in placements.values_list("slug", "page_type"):
        by_kind.setdefault(page_type, []).append(slug)
    return Pages(
        home=tuple(by_kind.get(kind.HOME, ())),
        product=tuple(by_kind.get(kind.PRODUCT, ())),
        cart=tuple(by_kind.get(kind.CART, ())),
    )


# ----------------------------------------------------------------------------------------- words


def _report(book: _Book) -> str:
    replay, total = book.replay, book.played.total
    speed = f"{book.n_visits / max(book.took_s, 0.1):.1f} a second"
    done = f"{replay.n_played:,} of {replay.n_wanted:,} are played"
    lines = [
        f"{book.n_visits:,} visits in {book.took_s:.0f} s, {speed}; {done}.",
        f"  {total.n_events:,} events, {total.n_recommendations:,} recommendations, {total.n_clicks:,} clicks",
        "  Clicks by recommendation, placement and variant:",
    ]
    for (placement, experiment, variant), tally in sorted(book.played.by_arm.items()):
        rate = tally.n_clicks / tally.n_recommendations
        arm = f"{placement}, {experiment} {variant}" if experiment else placement
        lines.append(
            f"    {rate:6.1%}  {arm}: {tally.n_clicks:,} clicks,"
            f" {tally.n_recommendations:,} recommendations of {tally.n_shown:,} products"
        )
    return "\n".join(lines)


def _local_url(env: Environment) -> str:
    host = ports.connectable(env.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{env.port}"


def _host_and_port(url: str) -> tuple[str, int]:
    address = urlsplit(url)
    if not address.hostname:
        raise CommandError(f"{url!r} is no address such as http://127.0.0.1:8000")
    return address.hostname, address.port or (443 if address.scheme == "https" else 80)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError(text)
    return share


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count
