"""What both servers share: a process of its own session, its log, and a bounded stop."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from recommender.config.env import OperatorError, operator_errors

from .account import Account

MAX_SOCKET_PATH = 103  # bytes: 107 on Linux, 103 on macOS
PLAIN_PATH = re.compile(r"[A-Za-z0-9 ._/~@+=-]+")
LOG_LIMIT_BYTES = 10_000_000


class Server(subprocess.Popen[bytes]):
    """A process that may outlive the command that started it, so Python needn't warn of that."""

    def __del__(self) -> None:
        self.poll()


def start_server(
    command: Sequence[str | Path],
    *,
    log: Path,
    account: Account | None,
    folder: Path,
    with_parent: signal.Signals | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that a Ctrl-C in the terminal doesn't reach it.

    With ``with_parent`` the kernel sends that signal when this process dies, however it dies (Linux).
    """
    with operator_errors(f"the log {log}"):
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        output = log.open("ab")
    with output:
        return Server(
            [str(part) for part in command],
            cwd=folder if account is None else "/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(with_parent) if with_parent else None,
            **(account.popen_arguments() if account else {}),
        )


def die_with_parent(signum: signal.Signals) -> Callable[[], None] | None:
    """A function for the new process: ask the kernel (Linux) for ``signum`` when the parent is gone."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(1, int(signum), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # died before the request
            os.kill(os.getpid(), signum)

    return ask


def stop_process(
    pid: int,
    signals: Sequence[tuple[signal.Signals, float]],
    *,
    child: subprocess.Popen[bytes] | None = None,
) -> None:
    """Send each signal and wait its seconds, until the process is gone; SIGKILL at the end."""
    for signum, seconds in [*signals, (signal.SIGKILL, 5.0)]:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return
        if wait_for(lambda: _gone(pid, child), seconds):
            return


def _gone(pid: int, child: subprocess.Popen[bytes] | None) -> bool:
    if child is not None and child.pid == pid:
        return child.poll() is not None
    return not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Whether the process runs. One that ended and whose parent hasn't noticed yet doesn't."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def wait_for(condition: Callable[[], bool], seconds: float, *, step: float = 0.02) -> bool:
    """Whether ``condition`` became true within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def command_line(pid: int) -> list[str]:
    """The command line of a process, empty if it is gone or can't be read."""
    import psutil

    with suppress(psutil.Error):
        return [str(part) for part in psutil.Process(pid).cmdline()]
    return []


def last_lines(log: Path, since: int = 0, count: int = 12) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(since)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    return ""


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def socket_folder(preferred: Path, socket_name: str, account: Account | None) -> Path:
    """``preferred``, or a short private folder if the path of the socket in it would not do.

    It may be too long for the system, or hold what has a meaning in an address or a list.
    """
    path = str(preferred / socket_name)
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH and PLAIN_PATH.fullmatch(path):
        return preferred
    owner = account.uid if account else os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR") if account is None else None
    name = f"vitrine-{owner}-{hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]}"
    folder = Path(runtime if runtime and Path(runtime).is_dir() else tempfile.gettempdir()) / name
    if len(os.fsencode(folder / socket_name)) > MAX_SOCKET_PATH:
        folder = Path("/tmp") / name  # noqa: S108  (its owner and mode are checked below)
    with operator_errors(f"the folder {folder} for sockets"):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            if account:
                account.own(folder)
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise OperatorError(
            f"{folder} is needed for the sockets of the databases, but it belongs to somebody else or is open to"
            " others: remove it, or set VITRINE_DATA_DIR to a folder with a shorter path."
        )
    return folder
