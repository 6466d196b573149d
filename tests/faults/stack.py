"""A whole Vitrine in processes of its own, and hands to kill them with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import psycopg
import redis

from recommender.config import embedded
from recommender.config.embedded.process import die_with_parent
from recommender.config.env import PROJECT_DIR

WEB, BEAT, WORKER, TRAINER = range(4)  # as in `tests.faults.supervise`


@dataclass
class Stack:
    """One running Vitrine."""

    data_dir: Path
    port: int
    servers: embedded.Servers
    environ: dict[str, str]
    store_id: int
    publishable: str
    secret: str
    other_id: int
    other_secret: str
    supervisor: subprocess.Popen[bytes]
    extra: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # ------------------------------------------------------------------------------------ processes

    def group(self, which: int) -> int:
        """The process group of web, beat, worker or trainer: the number of its first process."""
        state = json.loads((self.data_dir / "run" / "processes.json").read_text())
        return int(state["groups"][which])

    def children(self, which: int) -> list[psutil.Process]:
        """The processes that do the work, the oldest first."""
        try:
            found = psutil.Process(self.group(which)).children()
        except psutil.NoSuchProcess:
            return []
        return sorted(found, key=lambda each: each.pid)

    def python(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Another process of this Vitrine, which ends with the test run at the latest."""
        log = self.data_dir / "logs" / f"extra-{len(self.extra)}.log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT_DIR,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        self.extra.append(started)
        return started

    def said(self) -> str:
        """What the supervisor has printed."""
        return (self.data_dir / "supervisor.log").read_text()

    # ------------------------------------------------------------------------------------ databases

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def do(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            connection.execute(statement, parameters)

    def leading_beats(self) -> int:
        """How many hold the advisory lock."""
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        return int(self.ask(locks)[0][0])

    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(self.servers.redis_url)

    def stored(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often each of these events is stored; those that aren't are left out."""
        found = self.ask(
            "SELECT event_id, count(*) FROM catalog_event"
            " WHERE store_id = %s AND line = 0 AND event_id = ANY(%s) GROUP BY 1",
            self.store_id,
            list(ids),
        )
        return dict(found)

    def queues(self) -> dict[str, int]:
        """Tasks that wait or are in work."""
        with self.valkey() as client:
            return {
                "default": client.llen("default"),
                "training": client.llen("training"),
                "unacked": client.hlen("unacked"),
            }


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Databases, a shop, and the processes; all gone at the end, also if the tests are killed."""
    with embedded.temporary() as servers:
        _make_durable(servers)
        data_dir = folder / "data"
        (data_dir / "static").mkdir(parents=True)
        port = free_port()
        environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")},
            **servers.environment(),
            "DJANGO_SETTINGS_MODULE": "recommender.config.settings.base",
            "VITRINE_DATA_DIR": str(data_dir),
            "VITRINE_PORT": str(port),
            "VITRINE_WEB_WORKERS": "2",
            "VITRINE_WORKER_CONCURRENCY": "2",
            # The feeds of the scenarios come from this machine.
            "VITRINE_IMPORT_ALLOWED_HOSTS": "127.0.0.1",
            "PYTHONWARNINGS": "ignore",
        }
        shop = subprocess.run(
            [sys.executable, "-m", "tests.faults.shop"],
            cwd=PROJECT_DIR,
            env=environ,
            stdout=subprocess.PIPE,
            check=True,
        )
        made = json.loads(shop.stdout.splitlines()[-1])
        with (data_dir / "supervisor.log").open("wb") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.supervise"],
                cwd=PROJECT_DIR,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        stack = Stack(data_dir, port, servers, environ, supervisor=supervisor, **made)
        try:
            wait_until(
                lambda: "ready" in stack.said() or supervisor.poll() is not None,
                90,
                "the processes are ready",
            )
            assert supervisor.poll() is None, stack.said()
            yield stack
        finally:
            for extra in stack.extra:
                extra.kill()
                extra.wait()
            _stop(supervisor)


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    """Told twice, it waits for nobody: how a stop goes is proved elsewhere."""
    deadline = time.monotonic() + 30
    while supervisor.poll() is None and time.monotonic() < deadline:
        supervisor.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    supervisor.kill()
    supervisor.wait()


def _make_durable(servers: embedded.Servers) -> None:
    """As in a shop: what was committed is in the log when the answer goes out."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = on")
        connection.execute("ALTER SYSTEM SET fsync = on")
        connection.execute("ALTER SYSTEM SET full_page_writes = on")
        connection.execute("SELECT pg_reload_conf()")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until it is so; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        took = time.monotonic() - began
        assert took < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began
