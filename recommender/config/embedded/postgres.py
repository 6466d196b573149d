"""The embedded PostgreSQL of one data folder: made, recognised, started, stopped."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recommender.config.env import (
    DATABASE_NAME,
    DATABASE_USER,
    OperatorError,
    operator_errors,
    postgres_socket_url,
)

from . import process
from .account import SYSTEM_DIR, Account, make_system_dir, postgres_account
from .binaries import PostgresPrograms, find_postgres, reachable_postgres

SOCKET_NAME = ".s.PGSQL.5432"
MIB = 2**20
ROOM_FOR_NEW_DATA = 1024 * MIB
ROOM_TO_START = 150 * MIB
STARTS_WITHIN_SECONDS = 120.0
LEFTOVERS_END_WITHIN_SECONDS = 15.0
STILL_IN_USE = "is still in use"
PID_IN_USE = 'lock file "postmaster.pid" already exists'
SYNC_NEW_DATA = True  # tests of this module don't wait for the disk
NOBODYS_PID = str(2**31 - 2)  # above every system's largest

# For a machine that it shares with the web processes and the worker; kept in postgresql.conf, where
# they can be changed.
TUNING: Mapping[str, str] = {
    "max_connections": "60",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_compression": "pglz",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
}

# A server for tests is thrown away: nothing of it must survive a power cut.
THROW_AWAY: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "128MB",
}


@dataclass(slots=True)
class Postgres:
    """A PostgreSQL server: programs, data, socket and the user who runs it."""

    programs: PostgresPrograms
    data: Path
    socket_dir: Path
    log: Path
    account: Account | None
    throw_away: bool = False
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return postgres_socket_url(self.socket_dir)

    # ------------------------------------------------------------------------------------------ start

    def start(self) -> None:
        """Make the data folder if there is none, start the server if it doesn't run, make the database."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        if self.running_pid() is not None:
            self._await_connection(since=process.size(self.log))
            return
        self._check_room(10 * MIB if self.throw_away else ROOM_TO_START)
        self._disown_pid_file()
        deadline = time.monotonic() + LEFTOVERS_END_WITHIN_SECONDS
        while True:
            since = process.size(self.log)
            try:
                self._launch(since)
            except OperatorError:
                # A killed server takes a moment to be gone for the kernel, its children end by
                # themselves, and PostgreSQL starts only after both.
                lines = process.last_lines(self.log, since)
                in_use = STILL_IN_USE in lines or (PID_IN_USE in lines and not self.running_pid())
                if not in_use or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def _initialise(self) -> None:
        self._check_room(200 * MIB if self.throw_away else ROOM_FOR_NEW_DATA)
        # Made aside and moved when complete: an initdb that is killed leaves nothing that looks whole.
        draft = self.data.with_name(f"{self.data.name}.making")
        with operator_errors(f"the databases in {self.data}"):
            if self.data.exists() and any(self.data.iterdir()):
                raise OperatorError(
                    f"{self.data} holds something that is not PostgreSQL's: move it away and start again."
                )
            if draft.exists():
                shutil.rmtree(draft)
            draft.mkdir(mode=0o700)
            if self.account:
                self.account.own(draft)
        self._initdb(draft)
        with operator_errors(f"the databases in {self.data}"):
            draft.rename(self.data)

    def _initdb(self, folder: Path) -> None:
        settings = {**TUNING, "dynamic_shared_memory_type": _shared_memory_type()}
        if self.throw_away:
            settings |= THROW_AWAY
        command: list[str | Path] = [self.programs.initdb, "--pgdata", folder]
        command += ["--username", DATABASE_USER, "--auth=trust", "--no-instructions"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8"]
        command += [f"--set={name}={value}" for name, value in settings.items()]
        if self.throw_away or not SYNC_NEW_DATA:
            command.append("--no-sync")
        since = process.size(self.log)
        initdb = process.start_server(command, log=self.log, account=self.account, folder=folder)
        try:
            returncode = initdb.wait()
        except BaseException:
            initdb.kill()
            initdb.wait()
            raise
        if returncode != 0:
            raise self._failure("could not be set up", since)

    def _launch(self, since: int) -> None:
        command: list[str | Path] = [self.programs.postgres, "-D", self.data]
        command += ["-c", "listen_addresses="]
        command += ["-c", f"unix_socket_directories={self.socket_dir}"]
        # Whoever reaches the socket is trusted: only the owner does (and root).
        command += ["-c", "unix_socket_permissions=0700"]
        self.child = process.start_server(
            command,
            log=self.log,
            account=self.account,
            folder=self.data,
            with_parent=signal.SIGQUIT if self.throw_away else None,
        )
        self._await_connection(since)

    def _await_connection(self, since: int) -> None:
        """Wait until the database answers; recovery after a crash may take its time."""
        import psycopg

        def answers() -> bool:
            if self.child is not None and self.child.poll() is not None:
                raise self._failure("did not start", since)
            try:
                self._ensure_database()
            except psycopg.OperationalError:
                return False
            return True

        try:
            ready = process.wait_for(answers, STARTS_WITHIN_SECONDS)
        except BaseException:
            self.stop()
            raise
        if not ready:
            raise self._failure(f"did not answer within {STARTS_WITHIN_SECONDS:.0f} seconds", since)

    def _ensure_database(self) -> None:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=3).close()
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            url = self.url.replace(f"/{DATABASE_NAME}?", "/postgres?")
            with psycopg.connect(url, connect_timeout=3, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{DATABASE_NAME}"')

    # ----------------------------------------------------------------------------------- state and stop

    def running_pid(self) -> int | None:
        """The server that runs on this data, whoever started it."""
        pid = self._noted_pid()
        if pid is None or not process.is_alive(pid):
            return None
        if self.child is not None and self.child.pid == pid:
            return pid if self.child.poll() is None else None
        command = process.command_line(pid)
        # The pid of a killed server may belong to anybody by now.
        return pid if command and "postgres" in command[0] and str(self.data) in command else None

    def stop(self) -> None:
        pid = self.running_pid() or (
            self.child.pid if self.child and self.child.poll() is None else None
        )
        if pid is not None:
            # Fast shutdown, then immediate: it recovers from its log at the next start.
            process.stop_process(
                pid, [(signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)], child=self.child
            )
        self.child = None

    def _noted_pid(self) -> int | None:
        with suppress(OSError, ValueError, IndexError):
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        return None

    def _disown_pid_file(self) -> None:
        """Make PostgreSQL believe that the pid in its file is free, if a stranger has it by now.

        The file itself stays: its other lines keep a new server away from the memory of the old one.
        """
        pid = self._noted_pid()
        if pid is None or not process.is_alive(pid):
            return
        path = self.data / "postmaster.pid"
        with operator_errors(f"the databases in {self.data}"):
            path.write_text(path.read_text().replace(str(pid), NOBODYS_PID, 1))

    # ------------------------------------------------------------------------------------------ checks

    def _check_version(self) -> None:
        with operator_errors(f"the databases in {self.data}"):
            found = (self.data / "PG_VERSION").read_text().strip()
        if found != self.programs.major:
            raise OperatorError(
                f"The databases in {self.data} were made by PostgreSQL {found}, but PostgreSQL {self.programs.major} is"
                f" installed: go back to the Vitrine that made them, dump them there with pg_dump, or set"
                " VITRINE_DATA_DIR to a new folder."
            )

    def _check_room(self, needed: int) -> None:
        folder = self.data if self.data.exists() else self.data.parent
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise OperatorError(
                f"The disk of {folder} is full: {free / MIB:.0f} MB are free and PostgreSQL needs"
                f" {needed / MIB:.0f} MB. Free some space, or set VITRINE_DATA_DIR to a folder on another disk."
            )

    def _failure(self, what: str, since: int) -> OperatorError:
        lines = process.last_lines(self.log, since)
        if os.strerror(errno.ENOSPC) in lines:
            return OperatorError(
                f"PostgreSQL {what}, because the disk of {self.data} is full: free at least 1 GB and start again."
            )
        if (
            "could not resize shared memory" in lines
            or "could not map anonymous shared memory" in lines
        ):
            return OperatorError(
                f"PostgreSQL {what}, because this machine has too little memory for it: lower shared_buffers in"
                f" {self.data}/postgresql.conf."
            )
        return OperatorError(f"PostgreSQL {what}; its log {self.log} ends with:\n{lines}")


def postgres_of(data_dir: Path) -> Postgres:
    """The PostgreSQL that belongs to a data folder, running or not."""
    programs = find_postgres()
    link = data_dir / "postgres"
    account = postgres_account(link)
    data = link
    if account is not None:
        programs = reachable_postgres(programs, account)
        data = _reachable_data(data_dir, link, account)
    return Postgres(
        programs=programs,
        data=data,
        socket_dir=process.socket_folder(data, SOCKET_NAME, account),
        log=data_dir / "logs" / "postgres.log",
        account=account,
    )


def throw_away_postgres(folder: Path) -> Postgres:
    """A PostgreSQL for tests in ``folder``, which its user must be able to enter."""
    programs = find_postgres()
    data = folder / "postgres"
    account = postgres_account(data)
    if account is not None:
        programs = reachable_postgres(programs, account)
    return Postgres(
        programs=programs,
        data=data,
        socket_dir=process.socket_folder(data, SOCKET_NAME, account),
        log=folder / "postgres.log",
        account=account,
        throw_away=True,
    )


def _reachable_data(data_dir: Path, link: Path, account: Account) -> Path:
    """Where the data lies: in the data folder, or behind a link if its user can't get there."""
    if link.is_symlink():
        data = link.readlink()
    elif link.exists() or account.can_enter(data_dir):
        data = link
    else:
        make_system_dir()
        data = SYSTEM_DIR / f"{data_dir.parent.name or 'data'}-{secrets.token_hex(4)}" / "postgres"
    if data == link:
        if link.exists() and not account.can_enter(data_dir):
            raise OperatorError(
                f"The user {account.name}, who runs PostgreSQL, can no longer enter {data_dir}: open its parent"
                " folders for passing through (chmod o+x), or move the folder to where it was."
            )
        return data
    _keep_outside(data_dir, link, data)
    return data


def _keep_outside(data_dir: Path, link: Path, data: Path) -> None:
    with operator_errors(f"the databases in {data}"):
        if not data.parent.exists():
            data.parent.mkdir(parents=True)
            data.parent.chmod(0o711)
        (data.parent / "BELONGS_TO").write_text(f"{data_dir}\n")
        if not link.is_symlink():
            link.symlink_to(data)
            (data_dir / "README.txt").write_text(
                f"PostgreSQL's own user can't enter this folder, so its data lies in {data.parent}\n"
                "(the link `postgres` leads there). Delete both to start from nothing.\n"
            )


def _shared_memory_type() -> str:
    """`posix`, unless a container's /dev/shm is too small for parallel queries."""
    with suppress(OSError):
        if shutil.disk_usage("/dev/shm").total >= 256 * MIB:  # noqa: S108
            return "posix"
    return "sysv" if Path("/proc/sysvipc").exists() else "posix"
