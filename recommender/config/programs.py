"""The programs that Vitrine consists of: each with its command, its environment, and how it is ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from recommender.config.env import PROJECT_DIR, Environment

# A worker or beat tells every second that it works. A busy machine may keep it waiting for a while.
SILENT_SECONDS = 10.0
# Until a new web process answers: loading the code, the stores, and the models.
ROLLING_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Program:
    """One process to run, and how to end it: each signal with the seconds to wait before the next.

    With ``waits`` it is started when the others are ready: whoever waits at the terminal waits for
    those, and on two cores everything else would only slow them down.
    """

    name: str
    command: Sequence[str]
    colour: int
    stop: Sequence[tuple[signal.Signals, float]]
    waits: bool = False
    # It has an end: then it isn't started again, and at the stop it is the first to go.
    once: bool = False
    # It gives signs of life (`config.pulse`): silent for so long, it is killed and started again.
    silent_after_seconds: float | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


def child_environ(env: Environment) -> dict[str, str]:
    """The variables that tell a process of ours which installation it belongs to."""
    return {
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "DATABASE_URL": env.database_url,
        "REDIS_URL": env.redis_url,
        "VITRINE_DATA_DIR": str(env.data_dir),
        "VITRINE_HOST": env.host,
        "VITRINE_PORT": str(env.port),
    }


def web(env: Environment) -> Program:
    """Granian with WSGI; whitenoise serves the static files."""
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi"),
        *("--host", env.host, "--port", str(env.port)),
        *("--workers", str(env.web_workers), "--blocking-threads", str(env.web_threads)),
        # A thread takes its database connection with it when it ends.
        *("--blocking-threads-idle-timeout", "600"),
        # Counts open connections, not requests: idle keep-alive connections must not lock out others.
        *("--backlog", "1024", "--backpressure", "1024"),
        *("--http", "1", "--no-ws", "--no-access-log", "--log-level", "warning"),
        # In a rolling restart (SIGHUP) the old process goes when the new one has had time to load.
        *("--respawn-failed-workers", "--respawn-interval", str(ROLLING_SECONDS)),
        *("--workers-kill-timeout", "8"),
        "recommender.config.wsgi:application",
    ]
    return Program("web", command, 36, [(signal.SIGTERM, 10.0)])


# Else the C library keeps what large arrays leave behind, more with every size it has seen. Smaller
# ones than this come from its heap; other C libraries take no notice.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def worker(env: Environment) -> Program:
    """Celery's worker for all but trainings: what is new is learned within seconds, whatever trains."""
    # One more, for an import: of those there is one at a time, however slow its feed comes.
    concurrency = env.worker_concurrency + 1
    program = _celery_worker(env, "worker", queue="default", concurrency=concurrency)
    return replace(program, environ=_GIVE_BACK)


def trainer(env: Environment) -> Program:
    """Celery's worker for what takes minutes and much memory: one training at a time."""
    return _celery_worker(env, "trainer", queue="training", concurrency=1)


def _celery_worker(env: Environment, name: str, *, queue: str, concurrency: int) -> Program:
    """A task that is cut off at the end goes back to the queue and runs at the next start."""
    command = [
        *(sys.executable, "-m", "celery", "--app", "recommender.config.celery", "worker"),
        *("--hostname", f"{name}@%h", "--queues", queue, "--concurrency", str(concurrency)),
        *("--loglevel", env.log_level),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    stop = [(signal.SIGTERM, 6.0), (signal.SIGQUIT, 4.0)]
    return Program(name, command, 33, stop, waits=True, silent_after_seconds=SILENT_SECONDS)


def replay(env: Environment, *, store: str, share: float) -> Program:
    """The demo's last weeks, played one visit at a time: whoever looks around comes first."""
    command = [
        *(sys.executable, str(PROJECT_DIR / "manage.py"), "replay", "--store", store),
        *("--share", str(share), "--connections", "1"),
    ]
    return Program("replay", command, 32, [(signal.SIGTERM, 10.0)], waits=True, once=True)


def beat(env: Environment) -> Program:
    """Celery's clock."""
    command = [
        *(sys.executable, "-m", "celery", "--app", "recommender.config.celery", "beat"),
        *("--pidfile", "", "--loglevel", env.log_level),
    ]
    stop = [(signal.SIGTERM, 5.0)]
    return Program("beat", command, 35, stop, waits=True, silent_after_seconds=SILENT_SECONDS)
