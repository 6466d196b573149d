"""Vitrine's own PostgreSQL and Valkey, started from the programs that their wheels bring along.

    servers = start(data_dir, need_postgres=True, need_valkey=True)
    ...
    servers.stop()                     # stops them, unless another command still uses them

    with temporary() as servers: ...   # throw-away servers for tests

Both listen on unix sockets in folders that only their owner can enter. Several commands may use the
servers of one data folder at the same time: each holds a shared lock, and the last one to leave stops
them. A server that a killed command left running is adopted by the next.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from recommender.config.env import (
    OperatorError,
    broker_url,
    from_environ,
    make_data_dir,
    operator_errors,
)

from .account import SYSTEM_DIR, postgres_account
from .postgres import Postgres, postgres_of, throw_away_postgres
from .valkey import Valkey, throw_away_valkey, valkey_of

__all__ = [
    "FolderLock",
    "Servers",
    "delete",
    "ensure_for_command",
    "revive",
    "start",
    "stop",
    "temporary",
]


@dataclass(slots=True)
class Servers:
    """Running servers and their addresses; empty for a server that wasn't asked for."""

    database_url: str
    redis_url: str
    _postgres: Postgres | None = None
    _valkey: Valkey | None = None
    _data_dir: Path | None = None
    _users: IO[str] | None = None
    _owner_pid: int = field(default_factory=os.getpid)

    @property
    def postgres(self) -> Postgres:
        """The server that was asked for: tests stop and start it."""
        assert self._postgres is not None
        return self._postgres

    @property
    def valkey(self) -> Valkey:
        assert self._valkey is not None
        return self._valkey

    @property
    def broker_url(self) -> str:
        return broker_url(self.redis_url)

    def environment(self) -> dict[str, str]:
        """The variables that lead a child process to these servers."""
        found = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        return {name: url for name, url in found.items() if url}

    def revive(self) -> list[str]:
        """Start again what was killed or has crashed; the names of these servers."""
        found = {"PostgreSQL": self._postgres, "Valkey": self._valkey}
        dead = {
            name: server for name, server in found.items() if server and not server.running_pid()
        }
        if dead and self._data_dir:
            with FolderLock(self._data_dir / "run" / "servers.lock"):
                for server in dead.values():
                    server.start()
        return list(dead)

    def stop(self) -> None:
        """Leave the servers; the last one to leave stops them. A forked copy of this process leaves them alone."""
        if self._data_dir is None or self._users is None or os.getpid() != self._owner_pid:
            return
        with FolderLock(self._data_dir / "run" / "servers.lock"):
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                for server in (self._valkey, self._postgres):
                    if server:
                        server.stop()
            self._users.close()
        self._users = None


def start(data_dir: Path, *, need_postgres: bool = True, need_valkey: bool = True) -> Servers:
    """Start the servers of ``data_dir`` as far as they don't run yet, and make the folder if there is none."""
    make_data_dir(data_dir)
    run = data_dir / "run"
    with FolderLock(run / "servers.lock"):
        postgres = postgres_of(data_dir) if need_postgres else None
        valkey = valkey_of(data_dir) if need_valkey else None
        users = (run / "users.lock").open("a")
        # Before the start, and not after: a Ctrl-C in between leaves no server without a user.
        fcntl.flock(users, fcntl.LOCK_SH)
        servers = Servers(
            database_url=postgres.url if postgres else "",
            redis_url=valkey.url if valkey else "",
            _postgres=postgres,
            _valkey=valkey,
            _data_dir=data_dir,
            _users=users,
        )
        started: list[Postgres | Valkey] = []
        try:
            for server in (valkey, postgres):
                if server:
                    started.append(server)
                    server.start()
        except BaseException:
            for server in started:
                if server.child is not None:
                    server.stop()
            users.close()
            raise
        _note_addresses(run, servers)
    return servers


def stop(data_dir: Path) -> bool:
    """Stop whatever servers run on ``data_dir``, used or not; whether there were any."""
    if not data_dir.exists():
        return False
    running = [
        server for server in (valkey_of(data_dir), postgres_of(data_dir)) if server.running_pid()
    ]
    for server in running:
        server.stop()
    return bool(running)


def delete(data_dir: Path) -> None:
    """Stop the servers of ``data_dir`` and delete the folder, with the databases it leads to.

    So for data folders inside it: the benchmarks keep one with servers of its own.
    """
    if not data_dir.exists():
        return
    for run in data_dir.glob("*/run"):
        delete(run.parent)
    stop(data_dir)
    link = data_dir / "postgres"
    with operator_errors(f"the folder {data_dir}"):
        for sockets in (postgres_of(data_dir).socket_dir, valkey_of(data_dir).socket.parent):
            if sockets.name.startswith("vitrine-"):  # outside, because the path was too long
                shutil.rmtree(sockets, ignore_errors=True)
        if link.is_symlink() and link.readlink().is_relative_to(SYSTEM_DIR):
            shutil.rmtree(link.readlink().parent, ignore_errors=True)
        shutil.rmtree(data_dir)


def _note_addresses(run: Path, servers: Servers) -> None:
    path = run / "servers.json"
    noted: dict[str, str] = {}
    with suppress(OSError, ValueError):
        noted = json.loads(path.read_text())
    found = {"database_url": servers.database_url, "redis_url": servers.redis_url}
    new = noted | {name: url for name, url in found.items() if url}
    if new != noted:
        draft = path.with_suffix(".draft")
        with operator_errors(f"the folder {run}"):
            draft.write_text(json.dumps(new, indent=1))
            draft.replace(path)


# -------------------------------------------------------------------------------------------- commands

WITHOUT_SERVERS = frozenset(
    {
        "help",
        "version",
        "--help",
        "-h",
        "--version",
        "check",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "evaluate",
        "findstatic",
        "makemessages",
        "makemigrations",
        "spectacular",
        "startapp",
        "startproject",
        "test",
    }
)


_started_here: list[Servers] = []


def ensure_for_command(argv: Sequence[str]) -> None:
    """Start the embedded servers for the time of a `manage.py` command that needs them.

    Their addresses go into DATABASE_URL and REDIS_URL, unless these are set already.
    """
    command = argv[1] if len(argv) > 1 else "help"
    if command in WITHOUT_SERVERS or {"--help", "-h"} & set(argv):
        return
    env = from_environ()
    if not (env.embedded_postgres or env.embedded_valkey):
        return
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _exit)  # an ordinary end, so that the servers are stopped
    servers = start(
        env.data_dir, need_postgres=env.embedded_postgres, need_valkey=env.embedded_valkey
    )
    os.environ.update(servers.environment())
    atexit.register(servers.stop)
    _started_here.append(servers)


def revive() -> list[str]:
    """Start again what has died of the servers that this command started; their names."""
    return [name for servers in _started_here for name in servers.revive()]


def _exit(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


# ---------------------------------------------------------------------------------------------- tests

TEMPORARY_PREFIX = "vitrine-test-"


@contextmanager
def temporary() -> Iterator[Servers]:
    """Throw-away servers in a temporary folder: no fsync, no append-only file, gone at the end.

    If this process is killed, the kernel stops the servers (Linux), and the next call removes the folder.
    """
    _remove_leftovers()
    folder = _temporary_folder()
    postgres, valkey = throw_away_postgres(folder), throw_away_valkey(folder)
    with _owned(folder):
        try:
            valkey.start()
            postgres.start()
            yield Servers(postgres.url, valkey.url, postgres, valkey)
        finally:
            valkey.stop()
            postgres.stop()
            _remove(postgres, valkey, folder)


def _temporary_folder() -> Path:
    """A new folder that PostgreSQL's user can enter, even when TMPDIR is closed to it."""
    account = postgres_account(Path("/nonexistent"))
    refused = ""
    for base in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=base))
            if account is None:
                return folder
            folder.chmod(0o711)
            if account.can_enter(folder):
                return folder
            folder.rmdir()
            refused = f", where the user {account.name} could enter"
    raise OperatorError(
        f"There is no temporary folder{refused}: set TMPDIR to one with room for 200 MB."
    )


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock that tells other test runs that the folder is in use."""
    draft = folder / "owner.draft"
    with draft.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.rename(folder / "owner.lock")
        yield


def _remove_leftovers() -> None:
    for base in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108
        for folder in Path(base).glob(f"{TEMPORARY_PREFIX}*"):
            with suppress(OSError):
                if folder.lstat().st_uid == os.geteuid() and _abandoned(folder):
                    postgres, valkey = throw_away_postgres(folder), throw_away_valkey(folder)
                    valkey.stop()
                    postgres.stop()
                    _remove(postgres, valkey, folder)


def _abandoned(folder: Path) -> bool:
    lock = folder / "owner.lock"
    if not lock.exists():
        return time.time() - folder.stat().st_mtime > 600
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _remove(postgres: Postgres, valkey: Valkey, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for sockets in (postgres.socket_dir, valkey.socket.parent):
        if folder not in (sockets, *sockets.parents):
            shutil.rmtree(sockets, ignore_errors=True)


# ---------------------------------------------------------------------------------------------- locks


class FolderLock:
    """A lock file of a data folder, free again when its holder is gone, however it went."""

    def __init__(self, path: Path, *, busy: str | None = None) -> None:
        """With ``busy``, a lock that is taken is an error with this sentence; else it is waited for."""
        self.path = path
        self.busy = busy
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        with operator_errors(f"the lock {self.path}"):
            self._file = self.path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (fcntl.LOCK_NB if self.busy else 0))
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise OperatorError((self.busy or "").format(holder=holder)) from None
        return self

    def note(self, text: str) -> None:
        """Write who holds it, for the sentence that others read."""
        if self._file:
            self._file.truncate(0)
            self._file.write(text)
            self._file.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()
            self._file = None
