"""Web processes that die, and a stop that nobody notices."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from recommender.config import ports, programs
from recommender.config.env import from_environ
from tests.faults.client import Crowd, Page, Tally, event
from tests.faults.figures import FULL, Figures, Judge, long_form
from tests.faults.stack import WEB, Stack, free_port, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]


def both_listen(stack: Stack) -> bool:
    """A process that was started again needs seconds until it takes connections."""
    listening = 0
    for child in stack.children(WEB):
        with suppress(psutil.NoSuchProcess):
            sockets = child.net_connections(kind="tcp")
            listening += any(each.status == psutil.CONN_LISTEN for each in sockets)
    return listening == 2


def test_killing_web_processes_in_the_middle_of_posts_loses_and_doubles_nothing(
    stack: Stack, judge: Judge
) -> None:
    kills = 20 if FULL else 2
    with Crowd(stack.port, stack.publishable) as crowd:
        for _ in range(kills):
            wait_until(lambda: both_listen(stack), 60, "both web processes listen")
            time.sleep(0.3)
            os.kill(stack.children(WEB)[0].pid, signal.SIGKILL)
            time.sleep(0.2)
        wait_until(lambda: both_listen(stack), 60, "both web processes listen")
    judge.events(f"kill -9 web mid-post ×{kills}", crowd.tally, recovery_s=crowd.tally.silence_s())
    with Page(stack.port, stack.publishable) as page:
        page.send(Tally(), [event(7, shopper="after-kills")])
        assert page.recently_viewed("after-kills") == ["p7"]


@long_form
def test_killing_all_web_processes_at_once_loses_and_doubles_nothing(
    stack: Stack, judge: Judge
) -> None:
    with Crowd(stack.port, stack.publishable) as crowd:
        time.sleep(0.5)
        os.killpg(stack.group(WEB), signal.SIGKILL)
        wait_until(lambda: both_listen(stack), 60, "both web processes listen")
    judge.events(
        "kill -9 web and all its children", crowd.tally, recovery_s=crowd.tally.silence_s()
    )


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=long_form),
    ],
)
def test_a_stop_or_a_rolling_restart_cuts_no_request(
    stack: Stack, judge: Judge, signum: signal.Signals
) -> None:
    port = free_port()
    env = from_environ({**stack.environ, "VITRINE_PORT": str(port)})
    server = stack.python(*programs.web(env).command[1:])
    wait_until(lambda: ports.answers("127.0.0.1", port), 60, "the second server answers")
    time.sleep(1.0)
    looks = Looks(port, stack)
    with looks:
        time.sleep(1.0)
        server.send_signal(signum)
        if signum == signal.SIGTERM:
            assert server.wait(15) == 0
        else:
            time.sleep(2.5 * programs.ROLLING_SECONDS)
    # What was connected when the port was closed, and not read yet, is closed without a byte; no
    # process has seen it, which is held against the impressions below.
    n_refused = looks.outcomes["refused"] + looks.outcomes["reset"]
    if signum == signal.SIGHUP:
        server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0
    assert looks.outcomes["answered"] > 50
    assert looks.outcomes["cut"] == 0, looks.outcomes
    if signum == signal.SIGHUP:
        assert n_refused == 0

    def n_logged() -> int:
        query = "SELECT count(*) FROM recommender_impression WHERE shopper_external_id = %s"
        return int(stack.ask(query, looks.shopper)[0][0])

    # Nothing else runs that could write them later: they were written before it ended.
    assert n_logged() == looks.outcomes["answered"]
    name = "graceful stop (SIGTERM)" if signum == signal.SIGTERM else "rolling restart (SIGHUP)"
    judge.keep(
        Figures(
            name,
            sent=looks.outcomes["answered"] + looks.outcomes["cut"],
            accepted=looks.outcomes["answered"],
            stored=n_logged(),
            lost=looks.outcomes["cut"],
            retries=n_refused,
        )
    )


class Looks:
    """Visitors who ask all the time, each time over a new connection."""

    def __init__(self, port: int, stack: Stack, *, n_visitors: int = 4) -> None:
        self.shopper = f"visitor-{port}"
        self.outcomes: Counter[str] = Counter()
        self._port = port
        self._key = stack.publishable
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(n_visitors)]

    def __enter__(self) -> Looks:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _visit(self) -> None:
        request = (
            f"GET /v1/placements/category-top/recommendations?shopper_id={self.shopper} HTTP/1.1\r\n"
            f"Host: localhost\r\nAuthorization: Bearer {self._key}\r\nConnection: close\r\n\r\n"
        ).encode()
        while not self._stop.is_set():
            self.outcomes[self._look(request)] += 1
            time.sleep(0.002)

    def _look(self, request: bytes) -> str:
        with socket.socket() as connection:
            connection.settimeout(10)
            try:
                connection.connect(("127.0.0.1", self._port))
            except OSError:
                return "refused"
            try:
                connection.sendall(request)
                received = connection.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                return "reset"
            except OSError:
                return "cut"
        if not received:
            return "reset"
        return "answered" if received.startswith(b"HTTP/1.1 200 ") else "cut"
