"""The embedded Valkey of one data folder."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recommender.config.env import OperatorError, operator_errors, valkey_socket_url

from . import process
from .binaries import find_valkey

SOCKET_NAME = "valkey.sock"
STARTS_WITHIN_SECONDS = 60.0
MAX_MEMORY = "512mb"


@dataclass(slots=True)
class Valkey:
    """A Valkey server: program, data folder and socket."""

    program: Path
    data: Path
    socket: Path
    log: Path
    throw_away: bool = False
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return valkey_socket_url(self.socket)

    def start(self) -> None:
        """Start the server unless it runs; data that it can't read is put aside."""
        if self.running_pid() is not None:
            return
        try:
            self._launch()
        except OperatorError:
            # Nothing in it is the only copy: a damaged log must not keep the shop closed.
            if not any(self.data.glob("appendonlydir/*")) or "aof" not in self._log_end().lower():
                raise
            with operator_errors(f"the folder {self.data}"):
                self.data.rename(
                    self.data.with_name(f"valkey-damaged-{time.strftime('%Y%m%d-%H%M%S')}")
                )
                self.data.mkdir(mode=0o700)
            self._launch()

    def running_pid(self) -> int | None:
        """The server that answers on the socket, whoever started it."""
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(b"INFO server\r\n")
            answer = connection.recv(65536).decode(errors="replace")
            for line in answer.splitlines():
                if line.startswith("process_id:"):
                    return int(line.partition(":")[2])
            if "LOADING" in answer:
                time.sleep(0.05)
        return None

    def stop(self) -> None:
        pid = self.running_pid() or (
            self.child.pid if self.child and self.child.poll() is None else None
        )
        if pid is not None:
            process.stop_process(pid, [(signal.SIGTERM, 10.0)], child=self.child)
        self.child = None

    def _launch(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            "databases": "16",
            "maxmemory": MAX_MEMORY,
            # Session state expires by itself; evicting a queued task would lose work without a word.
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no" if self.throw_away else "yes",
            "appendfsync": "everysec",
        }
        command: list[str | Path] = [self.program]
        for name, value in options.items():
            command += [f"--{name}", value]
        with operator_errors(f"the folder {self.data}"):
            self.data.mkdir(mode=0o700, exist_ok=True)
        since = process.size(self.log)
        self.child = process.start_server(
            command,
            log=self.log,
            account=None,
            folder=self.data,
            with_parent=signal.SIGKILL if self.throw_away else None,
        )

        def answers() -> bool:
            if self.child is not None and self.child.poll() is not None:
                raise self._failure("did not start", since)
            return self.running_pid() is not None

        try:
            ready = process.wait_for(answers, STARTS_WITHIN_SECONDS)
        except BaseException:
            self.stop()
            raise
        if not ready:
            self.stop()
            raise self._failure(f"did not answer within {STARTS_WITHIN_SECONDS:.0f} seconds", since)

    def _failure(self, what: str, since: int) -> OperatorError:
        lines = process.last_lines(self.log, since)
        if os.strerror(errno.ENOSPC) in lines:
            return OperatorError(
                f"Valkey {what}, because the disk of {self.data} is full: free at least 1 GB and start again."
            )
        return OperatorError(f"Valkey {what}; its log {self.log} ends with:\n{lines}")

    def _log_end(self) -> str:
        return process.last_lines(self.log, max(0, process.size(self.log) - 4096))


def valkey_of(data_dir: Path) -> Valkey:
    """The Valkey that belongs to a data folder, running or not."""
    return Valkey(
        program=find_valkey(),
        data=data_dir / "valkey",
        socket=process.socket_folder(data_dir / "run", SOCKET_NAME, None) / SOCKET_NAME,
        log=data_dir / "logs" / "valkey.log",
    )


def throw_away_valkey(folder: Path) -> Valkey:
    """A Valkey for tests: it writes nothing to the disk."""
    return Valkey(
        program=find_valkey(),
        data=folder / "valkey",
        socket=process.socket_folder(folder, SOCKET_NAME, None) / SOCKET_NAME,
        log=folder / "valkey.log",
        throw_away=True,
    )
