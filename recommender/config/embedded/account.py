"""The system user that PostgreSQL runs as when Vitrine is started by root.

PostgreSQL refuses to run as root. Its own user must reach the programs and the data; whether it does is
tried out as that user, never guessed from permissions. Only folders made here change owner or mode.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.config.env import OperatorError, operator_errors

ACCOUNT_NAME = "vitrine-postgres"
SYSTEM_DIR = Path("/var/lib/vitrine")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs PostgreSQL, if not the user who starts Vitrine."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Hand over a folder that was just made."""
        os.chown(folder, self.uid, self.gid)
        folder.chmod(0o700)

    def can_enter(self, folder: Path) -> bool:
        return self._succeeds(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])

    def can_run(self, program: Path, *, reading: Path) -> bool:
        return self._succeeds(
            ["/bin/sh", "-c", 'ls "$1" && exec "$2" --version', "sh", str(reading), str(program)]
        )

    def _succeeds(self, command: list[str]) -> bool:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self.popen_arguments(),
        )
        return done.returncode == 0


def postgres_account(data: Path) -> Account | None:
    """Who is to run the PostgreSQL of the folder ``data``: None for the user of this process."""
    owner = _owner(data)
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise OperatorError(
                f"The databases in {data} belong to the user {_name(owner)}: start Vitrine as root or as that user,"
                " or set VITRINE_DATA_DIR to a folder of your own."
            )
        return None
    if owner:  # data that an ordinary user made stays theirs
        return _account(_entry(owner))
    return _account(_system_user())


def make_system_dir() -> None:
    with operator_errors(f"the folder {SYSTEM_DIR}"):
        if not SYSTEM_DIR.exists():
            SYSTEM_DIR.mkdir(parents=True, exist_ok=True)
            SYSTEM_DIR.chmod(0o755)


def _owner(data: Path) -> int | None:
    try:
        return data.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise OperatorError(
            f"This user may not enter {data}: start Vitrine as the user who owns it, or set VITRINE_DATA_DIR to a"
            " folder of your own."
        ) from error


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        # A container may run as a number without a name; PostgreSQL's tools need the name.
        raise OperatorError(
            f"The databases belong to the user number {uid}, which this machine doesn't know: add that user, or set"
            " VITRINE_DATA_DIR to another folder."
        ) from None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        pass
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    useradd, adduser = shutil.which("useradd", path=search), shutil.which("adduser", path=search)
    if useradd:
        command = [
            useradd,
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
        ]
        command += ["--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    elif adduser:  # BusyBox
        command = [
            adduser,
            "-S",
            "-D",
            "-H",
            "-h",
            "/nonexistent",
            "-s",
            "/sbin/nologin",
            ACCOUNT_NAME,
        ]
    else:
        raise OperatorError(
            "PostgreSQL does not run as root, and there is no `useradd` to make a user for it: start Vitrine as an"
            f" ordinary user, make a system user named {ACCOUNT_NAME}, or set DATABASE_URL."
        )
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    try:
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        raise OperatorError(
            f"PostgreSQL does not run as root, and making the user {ACCOUNT_NAME} for it failed"
            f" ({(done.stderr or done.stdout).strip() or done.returncode}): start Vitrine as an ordinary"
            " user, make that user, or set DATABASE_URL."
        ) from None
