"""The connection to Valkey or Redis: plain commands, short waits, one exception.

Everything kept there may be lost at any moment, and the server may be away. Whoever calls it
catches `StoreUnavailable` by name and goes on without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 0.05
READ_TIMEOUT_S = 0.1
# How long nobody asks a server that failed. Then one request tries again, the others go on without.
REST_S = 1.0

Command = tuple[bytes | str | int | float, ...]
T = TypeVar("T")

log = structlog.get_logger(__name__)


class StoreUnavailable(Exception):
    """Valkey didn't answer, answered with an error, or is being left alone after a failure."""


class Valkey:
    """A pool of connections behind a circuit breaker. Safe to use from many threads."""

    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=READ_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._client = client
        self._execute: Callable[..., Any] = client.execute_command
        self._rests_until = 0.0
        self._away = False
        self._trial = threading.Lock()

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
        self._client.close()

    def _guarded(self, run: Callable[[], T]) -> T:
        if not self._away:
            return self._run(run)
        if time.monotonic() < self._rests_until or not self._trial.acquire(blocking=False):
            raise StoreUnavailable("Valkey is left alone after a failure")
        try:
            return self._run(run)
        finally:
            self._trial.release()

    def _run(self, run: Callable[[], T]) -> T:
        try:
            result = run()
        except redis.RedisError as error:
            self._rests_until = time.monotonic() + REST_S
            if not self._away:
                self._away = True
                log.warning("Valkey is away; answers go on without it", error=str(error))
            raise StoreUnavailable(str(error)) from error
        if self._away:
            self._away = False
            log.info("Valkey is back")
        return result


@lru_cache(maxsize=4)
def _valkey_at(url: str) -> Valkey:
    return Valkey(url)


def valkey() -> Valkey:
    """The process's client of the server in the settings."""
    return _valkey_at(settings.REDIS_URL)
