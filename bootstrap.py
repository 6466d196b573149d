"""Makes `.venv` with the locked dependencies; the Makefile calls it before everything else.

    python3 bootstrap.py install [--dev]     make or complete .venv
    python3 bootstrap.py step NAME COMMAND…  run one step of `make test` and say how long it took
    python3 bootstrap.py clean               delete .venv and the data folder, after asking

Nothing but the standard library, because nothing else is there yet.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python meets first)
    sys.exit(
        f"Vitrine needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}:"
        " install a newer one and run `make demo PYTHON=python3.12`."
    )

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
# Written when everything is installed: the hash of what was asked for.
STAMP = VENV / "vitrine-installed"
# There while an installation is under way, and after one that was interrupted.
UNFINISHED = VENV / "vitrine-unfinished"
ROOM_BYTES = 2 * 2**30
LINE_EVERY_SECONDS = 5.0

NETWORK_WORDS = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Connection refused",
    "Network is unreachable",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "ProxyError",
    "SSLError",
    "Connection reset by peer",
)


class InstallError(Exception):
    """The installation can't go on; the text says why and what to do."""


def install(*, dev: bool) -> None:
    """Make `.venv` complete. Costs a few milliseconds if it is; one that was interrupted is made anew."""
    requirements = PROJECT / ("requirements-dev.txt" if dev else "requirements.txt")
    with one_at_a_time(requirements):
        if is_complete(dev=dev):
            return
        check_room()
        if UNFINISHED.exists() or not is_usable():
            make_venv()
        UNFINISHED.touch()
        pip_install(requirements)
        done = {fingerprint(requirements)}
        if dev:  # the development lock holds the other one
            done.add(fingerprint(PROJECT / "requirements.txt"))
        STAMP.write_text("\n".join(sorted(done)))
        UNFINISHED.unlink()


def is_complete(*, dev: bool) -> bool:
    wanted = fingerprint(PROJECT / ("requirements-dev.txt" if dev else "requirements.txt"))
    return (
        STAMP.exists()
        and not UNFINISHED.exists()
        and wanted in STAMP.read_text().split()
        and is_usable()
    )


def fingerprint(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def is_usable() -> bool:
    """Whether `.venv` has a Python that runs: it is gone after an upgrade of the system's Python."""
    if not (VENV / "pyvenv.cfg").exists() or not PYTHON.exists():
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0


def make_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise InstallError(
            "This Python can't make virtual environments. Debian and Ubuntu keep that in a package of its own:"
            f" run `apt install python{sys.version_info.major}.{sys.version_info.minor}-venv` and start again."
        )
    if VENV.exists() or VENV.is_symlink():
        say("The environment in .venv is not complete; it is made again.")
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        else:
            shutil.rmtree(VENV)
    VENV.mkdir()
    UNFINISHED.touch()
    with Waiting("Making the environment"):
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
        )
    if made.returncode != 0:
        raise InstallError(
            f"The environment {VENV} could not be made: {(made.stdout + made.stderr).strip()}"
        )


def pip_install(requirements: Path) -> None:
    total = len(re.findall(r"^[A-Za-z0-9]", requirements.read_text(), re.MULTILINE))
    command = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
    ]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--requirement"]
    lines: list[str] = []
    started = time.monotonic()
    seen = 0
    # Two statements, and not one in parentheses, which a Python before 3.9 can't even read.
    with Waiting("Installing") as waiting:  # noqa: SIM117
        with subprocess.Popen(
            [*command, str(requirements)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as pip:
            for line in pip.stdout or []:
                lines.append(line.rstrip())
                if line.startswith(("Collecting ", "Requirement already satisfied", "Ignoring ")):
                    seen += 1
                    waiting.show(f"Downloading {min(seen, total)} of {total} packages")
                elif line.startswith("Installing collected packages"):
                    waiting.show(
                        lambda: f"Installing {min(count_installed(), total)} of {total} packages"
                    )
    if pip.returncode != 0:
        raise InstallError(why_pip_failed(lines))
    say(f"Installed {total} packages in {time.monotonic() - started:.0f} s.")


def count_installed() -> int:
    return len(list(VENV.glob("lib/python*/site-packages/*.dist-info")))


def why_pip_failed(lines: list[str]) -> str:
    """Pip's last words as a sentence that says what to do."""
    text = "\n".join(lines)
    machine = f"Python {sys.version_info.major}.{sys.version_info.minor} on {platform.system()} {platform.machine()}"
    missing = re.search(r"No matching distribution found for ([\w.-]+)(?:==([\w.]+))?", text)
    if "No space left on device" in text:
        return f"The disk is full: free at least 2 GB on the disk of {PROJECT}."
    # A registry that answers nothing, not even for the first package, isn't there.
    silent = missing and not re.search(
        r"^ +(Downloading|Using cached|Processing) ", text, re.MULTILINE
    )
    if silent or any(word in text for word in NETWORK_WORDS):
        return (
            "The package registry can't be reached: check the network, or pip's settings (`pip config list`),"
            " and start again; what was downloaded is kept."
        )
    if missing:
        return (
            f"The package {missing[1]} {missing[2] or ''} has no ready-made wheel for {machine} in the registry"
            " that pip uses: take Python 3.11, 3.12 or 3.13 on 64-bit Linux or macOS (`make demo PYTHON=python3.12`)."
        )
    if "DO NOT MATCH THE HASHES" in text:
        return "A downloaded package is not the one that was locked: run `pip cache purge` and start again."
    if "Permission denied" in text:
        return f"This user may not write in {PROJECT}: start as the user who owns it."
    return "pip could not install the packages; it ended with:\n" + "\n".join(lines[-15:])


def check_room() -> None:
    free = shutil.disk_usage(PROJECT).free
    if free < ROOM_BYTES:
        raise InstallError(
            f"The disk of {PROJECT} is full: {free / 2**20:.0f} MB are free, and the packages need"
            f" {ROOM_BYTES / 2**30:.0f} GB. Free some space and start again."
        )


@contextmanager
def one_at_a_time(requirements: Path) -> Iterator[None]:
    try:
        lock = requirements.open()
    except FileNotFoundError:
        raise InstallError(
            f"{requirements} is missing: the copy of Vitrine is not complete."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another installation is under way; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ------------------------------------------------------------------------------------------ other actions


def step(name: str, command: list[str]) -> int:
    """Run one step of the tests: a line with its time if it succeeds, its output if it fails."""
    started = time.monotonic()
    with Waiting(name):
        done = subprocess.run(
            [str(PYTHON), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    mark = "ok" if done.returncode == 0 else "FAILED"
    say(f"{name:<28} {mark:<6} {time.monotonic() - started:6.1f} s")
    if done.returncode != 0:
        say(f"{done.stdout}{done.stderr}".rstrip())
    return done.returncode


def clean() -> int:
    data = Path(os.environ.get("VITRINE_DATA_DIR") or PROJECT / ".vitrine").expanduser().absolute()
    there = [str(path) for path in (data, VENV) if path.exists()]
    if not there:
        say("There is nothing to delete.")
        return 0
    say(f"This deletes {' and '.join(there)}, with all databases in it.")
    if os.environ.get("YES") != "1":
        if not sys.stdin.isatty():
            raise InstallError(
                "Nothing was deleted: say `make clean YES=1` where nobody can be asked."
            )
        if input("Delete them? [y/N] ").strip().lower() not in ("y", "yes"):
            say("Nothing was deleted.")
            return 0
    if data.exists():
        if not is_usable():
            raise InstallError(
                "The environment is needed to stop the databases first: run `make install`, then this again."
            )
        command = [str(PYTHON), "-m", "recommender.config.embedded", "delete"]
        deleted = subprocess.run(command, cwd=PROJECT, check=False).returncode
        if deleted:
            return deleted
    if VENV.exists():
        shutil.rmtree(VENV)
    say("Deleted.")
    return 0


# ------------------------------------------------------------------------------------------------ output


def say(text: str) -> None:
    print(text, flush=True)


class Waiting:
    """What is going on and for how long: a moving line in a terminal, now and then a line elsewhere."""

    def __init__(self, text: str) -> None:
        self._text: Callable[[], str] = lambda: text
        self._started = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def show(self, text: str | Callable[[], str]) -> None:
        self._text = text if callable(text) else lambda: text

    def __enter__(self) -> "Waiting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        terminal = sys.stdout.isatty()
        shown = False
        while not self._over.wait(0.2 if terminal else LINE_EVERY_SECONDS):
            seconds = time.monotonic() - self._started
            text = self._text()
            if terminal and seconds > 0.5:
                shown = True
                print(f"\r\033[K{_bar(text)}{text}, {seconds:.0f} s", end="", flush=True)
            elif not terminal:
                say(f"{text}, {seconds:.0f} s")
        if shown:
            print("\r\033[K", end="", flush=True)


def _bar(text: str) -> str:
    """A bar for a text that says "n of m"."""
    count = re.search(r"(\d+) of (\d+)", text)
    if not count:
        return ""
    filled = 30 * int(count[1]) // max(1, int(count[2]))
    return f"[{'█' * filled}{'·' * (30 - filled)}] "


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes .venv with the locked dependencies.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("install").add_argument("--dev", action="store_true")
    for_step = actions.add_parser("step")
    for_step.add_argument("name")
    for_step.add_argument("command", nargs=argparse.REMAINDER)
    actions.add_parser("clean")
    asked = parser.parse_args()
    try:
        if asked.action == "step":
            return step(asked.name, asked.command)
        if asked.action == "clean":
            return clean()
        install(dev=asked.dev)
        return 0
    except InstallError as reason:
        print(f"vitrine: {reason}", file=sys.stderr)
    except OSError as error:
        print(f"vitrine: {_sentence(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nvitrine: interrupted; start again to continue.", file=sys.stderr)
        return 130
    return 1


def _sentence(error: OSError) -> str:
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return f"The disk is full: free at least 2 GB on the disk of {PROJECT}."
    if isinstance(error, PermissionError) or error.errno == 30:  # EROFS
        return f"This user may not write {error.filename or PROJECT}: start as the user who owns the folder."
    return f"The system refused {error.filename or 'the installation'}: {error.strerror}."


if __name__ == "__main__":
    sys.exit(main())
