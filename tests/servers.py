"""A pytest plugin: real, throw-away PostgreSQL and Valkey for the whole run.

Loaded with `-p tests.servers` before Django's settings, which read the addresses from the
environment. The process that was called starts the servers; xdist's workers inherit them and take
a database of their own on each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from recommender.config import embedded
from recommender.config.env import PROJECT_DIR

# Before the kernels are imported: whatever process a test starts reads what an earlier one compiled.
os.environ.setdefault("NUMBA_CACHE_DIR", str(PROJECT_DIR / ".pytest_cache" / "kernels"))

from recommender.engine.online.kernel import kernels_compile


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start the servers, unless the caller brought some."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        number = int(worker.removeprefix("gw")) + 1
        os.environ["REDIS_URL"] = _with_database(os.environ["REDIS_URL"], number)
    elif not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        running = ExitStack()
        servers = running.enter_context(embedded.temporary())
        os.environ.update(servers.environment())
        early_config.add_cleanup(running.close)
    if getattr(early_config.known_args_namespace, "numprocesses", None):
        kernels_compile()
    yield


def _with_database(url: str, number: int) -> str:
    """The same server, another of its numbered databases."""
    if urlsplit(url).scheme == "unix":
        return f"{url.partition('?')[0]}?db={number}"
    return f"{url.rpartition('/')[0]}/{number}"
