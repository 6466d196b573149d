"""Starting the processes that are measured, exactly as `manage.py up` does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import BenchmarkError
from recommender.config import programs
from recommender.config.embedded.process import die_with_parent
from recommender.config.env import PROJECT_DIR, Environment, from_environ

WALK = Path(__file__).with_name("walk.lua")
APPLICATION = "recommender.config.wsgi:application"
FLOOR = "benchmarks.floor:application"
READY_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Saturated:
    """One run of wrk."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    n_requests: int
    n_failed: int
    bytes_per_answer: float


@contextmanager
def web(application: str = APPLICATION, *, ready: str = "/readyz") -> Iterator[str]:
    """The web processes on a free port, ready. Yields their address."""
    env = _environment(_free_port())
    command = list(programs.web(env).command)
    if command[-1] != APPLICATION:
        raise BenchmarkError(f"The web command ends in {command[-1]!r}, not in the application.")
    command[-1] = application
    name = "web" if application == APPLICATION else "floor"
    with running(name, command, env) as process:
        address = f"http://127.0.0.1:{env.port}"
        _wait_until_ready(process, address + ready)
        yield address


@contextmanager
def background() -> Iterator[dict[str, int]]:
    """Beat, worker and trainer. Yields their process ids by name."""
    env = _environment(_free_port())
    chosen = (programs.beat(env), programs.worker(env), programs.trainer(env))
    with ExitStack() as started:
        yield {
            program.name: started.enter_context(
                running(program.name, program.command, env, environ=program.environ)
            ).pid
            for program in chosen
        }


@contextmanager
def running(
    name: str, command: Sequence[str], env: Environment, *, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the environment of `manage.py up`, its output in the log folder."""
    with (env.logs_dir / f"bench-{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_DIR,
            env={
                **os.environ,
                **programs.child_environ(env),
                **(environ or {}),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def saturate(
    address: str, paths: Sequence[str], *, key: str | None, seconds: int, connections: int
) -> Saturated:
    """Ask for the paths in order, as fast as they are answered, with wrk."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("`wrk` is missing: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths))
        file.flush()
        output = subprocess.run(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(WALK), address),
                *("--", file.name),
                *([key] if key else []),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    found = re.search(r"RESULT (.*)", output)
    if found is None:
        raise BenchmarkError(f"wrk answered something else:\n{output}")
    values = json.loads(found[1])
    return Saturated(
        requests_per_s=values["n"] / (values["us"] / 1e6),
        p50_ms=values["p50"] / 1000,
        p99_ms=values["p99"] / 1000,
        n_requests=values["n"],
        n_failed=values["failed"],
        bytes_per_answer=values["bytes"] / max(1, values["n"]),
    )


def _environment(port: int) -> Environment:
    return from_environ({**os.environ, "VITRINE_HOST": "127.0.0.1", "VITRINE_PORT": str(port)})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    patience = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < patience:
        if process.poll() is not None:
            raise BenchmarkError("the web process ended before it answered")
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise BenchmarkError(f"the web process did not get ready within {READY_WITHIN_S:.0f} s")
