"""The connection to Valkey or Redis: plain commands, short waits, one exception.

Everything kept there may be lost at any moment, and the server may be away. Whoever calls it
catches `StoreUnavailable` by name and goes on without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from recommender.telemetry import VALKEY_UNAVAILABLE

# A request waits once for a server that hangs, and stays below 50 ms with all the rest it does.
CONNECT_TIMEOUT_S = 0.03
READ_TIMEOUT_S = 0.03
# While the server is away a thread asks for it. No request does, so none of them waits.
PROBE_INTERVAL_S = 0.2
PROBE_TIMEOUT_S = 1.0

Command = tuple[bytes | str | int | float, ...]
T = TypeVar("T")

log = structlog.get_logger(__name__)


class StoreUnavailable(Exception):
    """Valkey didn't answer, answered with an error, or is being left alone after a failure."""


class Valkey:
    """A pool of connections behind a circuit breaker. Safe to use from many threads.

    The first failure opens it: from then on every call fails at once, until a thread of its own
    has got an answer. A stall of a moment costs little more than the moment.
    """

    def __init__(self, url: str) -> None:
        client = _client(url, connect_s=CONNECT_TIMEOUT_S, read_s=READ_TIMEOUT_S)
        self._url = url
        self._client = client
        self._execute: Callable[..., Any] = client.execute_command
        self._away = False
        self._probe: threading.Thread | None = None
        self._opening = threading.Lock()
        self._closed = threading.Event()

    @property
    def is_away(self) -> bool:
        return self._away

    def call(self, *command: bytes | str | int | float) -> Any:
        """One command, one round trip."""
        return self._guarded(lambda: self._execute(*command))

    def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands in one round trip, in order, without a transaction."""

        def run() -> list[Any]:
            with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                return pipe.execute()

        return self._guarded(run)

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    def _guarded(self, run: Callable[[], T]) -> T:
        if self._away:
            VALKEY_UNAVAILABLE.inc()
            if self._probe is None or not self._probe.is_alive():
                self._open()  # a forked process inherits the state, but not the thread
            raise StoreUnavailable("Valkey is left alone until it answers again")
        try:
            return run()
        except redis.ResponseError as error:
            # The server is there and refuses this one command: no reason to leave it alone.
            VALKEY_UNAVAILABLE.inc()
            raise StoreUnavailable(str(error)) from error
        except redis.RedisError as error:
            VALKEY_UNAVAILABLE.inc()
            self._open(str(error))
            raise StoreUnavailable(str(error)) from error

    def _open(self, reason: str = "") -> None:
        with self._opening:
            if self._probe is not None and self._probe.is_alive():
                return
            if reason:
                log.warning("Valkey is away; answers go on without it", error=reason)
            self._away = True
            self._probe = threading.Thread(
                target=self._ask_until_it_answers, name="vitrine-valkey-probe", daemon=True
            )
            self._probe.start()

    def _ask_until_it_answers(self) -> None:
        while not self._answers():
            if self._closed.wait(PROBE_INTERVAL_S):
                return
        # Under the lock: a failure that comes now finds either an open breaker or no thread.
        with self._opening:
            self._away = False
            self._probe = None
        log.info("Valkey is back")

    def _answers(self) -> bool:
        # On a connection of its own: those of the pool may hang in the middle of an answer.
        client = _client(self._url, connect_s=PROBE_TIMEOUT_S, read_s=PROBE_TIMEOUT_S)
        try:
            client.ping()
        except redis.RedisError:
            return False
        finally:
            client.close()
        return True


def _client(url: str, *, connect_s: float, read_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=connect_s,
        socket_timeout=read_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


@lru_cache(maxsize=4)
def _valkey_at(url: str) -> Valkey:
    return Valkey(url)


def valkey() -> Valkey:
    """The process's client of the server in the settings."""
    return _valkey_at(settings.REDIS_URL)
