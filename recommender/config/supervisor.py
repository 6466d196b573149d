"""The supervisor behind `manage.py up`: starts the programs, restarts what crashes, stops all in order.

Each process has a session of its own, so a Ctrl-C in the terminal reaches only the supervisor, which then
stops them one after the other. If the supervisor itself is killed, the kernel ends them (Linux), and the
next start cleans up what is left.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from recommender.config.embedded.process import die_with_parent, last_lines, size, wait_for
from recommender.config.env import operator_errors
from recommender.config.programs import Program
from recommender.config.pulse import PULSE_FILE, pulse_of

LOG_LIMIT_BYTES = 10_000_000
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A process that ran this long was healthy: its next crash counts as the first.
HEALTHY_SECONDS = 60.0
# A process that crashes this often before it ever was ready will not get better by itself.
HOPELESS_STARTS = 5
READY_WITHIN_SECONDS = 120.0
FIRST_SIGN_WITHIN_SECONDS = 90.0
# The variable that marks every process of a supervisor, found again after it was killed.
MARK = "VITRINE_SUPERVISOR"


@dataclass(slots=True)
class _Running:
    """A program and its present process."""

    program: Program
    log: Path
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    log_start: int = 0
    crashes: int = 0
    start_again_at: float | None = None
    shown: int = field(default=0)
    sign: str = ""
    first_sign: str = ""
    silent_seconds: float = 0.0


class Supervisor:
    """Runs programs until a signal ends it. ``programs`` are started in order and stopped in order."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        data_dir: Path,
        environ: Mapping[str, str],
        say: Callable[[str], None] = print,
        verbose: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.say = say
        self.verbose = verbose
        self.environ = {
            **os.environ,
            **environ,
            MARK: secrets.token_hex(8),
            "PYTHONUNBUFFERED": "1",
        }
        self._running = [
            _Running(program, data_dir / "logs" / f"{program.name}.log") for program in programs
        ]
        self._stop_signals = 0
        self._ready = False
        self._listened_at = 0.0

    def run(
        self,
        *,
        ready: Callable[[], bool],
        on_ready: Callable[[], None],
        every_second: Callable[[], None] = lambda: None,
    ) -> int:
        """Start all, call ``on_ready`` once ``ready()`` is true, and stay until SIGINT, SIGTERM or SIGHUP.

        Returns the exit code: 0 after a signal, 1 if a program would not start.
        """
        previous = {
            signum: signal.signal(signum, self._asked_to_stop)
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            for running in self._running:
                if not running.program.waits:
                    self._start(running)
            self._remember()
            return self._watch(ready, on_ready, every_second)
        finally:
            self._stop_all()
            for signum, handler in previous.items():
                signal.signal(signum, handler)

    # ----------------------------------------------------------------------------------------- running

    def _watch(
        self,
        ready: Callable[[], bool],
        on_ready: Callable[[], None],
        every_second: Callable[[], None],
    ) -> int:
        patience = time.monotonic() + READY_WITHIN_SECONDS
        next_question = next_trim = next_second = 0.0
        while not self._stop_signals:
            now = time.monotonic()
            for running in self._running:
                if not self._look_after(running, now):
                    return 1
            if not self._ready and now >= next_question:
                next_question = now + 0.1
                if ready():
                    self._ready = True
                    for running in self._running:
                        if running.program.waits:
                            self._start(running)
                    self._remember()
                    on_ready()
                elif now > patience:
                    self.say(
                        f"The web process does not answer after {READY_WITHIN_SECONDS:.0f} seconds."
                    )
                    self.say(self._ending(self._running[0]))
                    return 1
            if now >= next_second:
                next_second = now + 1
                self._listen(now)
                every_second()
            if now >= next_trim:
                next_trim = now + 30
                for running in self._running:
                    _trim(running.log)
            time.sleep(0.05)
        return 0

    def _start(self, running: _Running) -> None:
        _trim(running.log)
        with operator_errors(f"the log {running.log}"):
            output = running.log.open("ab")
        with output:
            running.log_start = running.shown = size(running.log)
            running.started_at = time.monotonic()
            running.start_again_at = None
            running.silent_seconds = 0.0
            running.sign = running.first_sign = pulse_of(self._pulse_file(running))
            # Straight into its log file, and not through a pipe of ours: a terminal that is held
            # (Ctrl-S) must not hold the shop.
            running.child = subprocess.Popen(
                running.program.command,
                env={
                    **self.environ,
                    **running.program.environ,
                    PULSE_FILE: str(self._pulse_file(running)),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    def _pulse_file(self, running: _Running) -> Path:
        return self.data_dir / "run" / f"{running.program.name}.pulse"

    def _listen(self, now: float) -> None:
        """Kill what is alive but does nothing: stopped, or waiting for something that never comes."""
        # Time that this process didn't have either (a laptop's lid, SIGSTOP) is no silence of others.
        awake = min(now - self._listened_at, 2.0)
        self._listened_at = now
        for running in self._running:
            limit = running.program.silent_after_seconds
            if limit is None or running.child is None or running.child.poll() is not None:
                continue
            sign = pulse_of(self._pulse_file(running))
            if sign != running.sign:
                running.sign, running.silent_seconds = sign, 0.0
                continue
            running.silent_seconds += awake
            started = sign != running.first_sign
            if running.silent_seconds > (limit if started else FIRST_SIGN_WITHIN_SECONDS):
                running.silent_seconds = 0.0
                self.say(
                    f"{running.program.name} runs but doesn't work: no sign of life for {limit:.0f} s."
                )
                # Its end is noticed, and it is started again, like any other crash.
                with suppress(ProcessLookupError):
                    os.killpg(running.child.pid, signal.SIGKILL)

    def _look_after(self, running: _Running, now: float) -> bool:
        """Start a crashed program again after a pause; False if there is no hope."""
        if self.verbose:
            self._show_log(running)
        if running.start_again_at is not None:
            if now >= running.start_again_at:
                self._start(running)
                self._remember()
            return True
        if running.child is None or running.child.poll() is None:
            return True
        _kill_group(running.child.pid)  # its own children, which would hold the port
        if running.program.once:
            self._ended(running)
            return True
        running.crashes = 1 if now - running.started_at > HEALTHY_SECONDS else running.crashes + 1
        how = _how_it_ended(running.child.returncode)
        if not self._ready and running.crashes >= HOPELESS_STARTS:
            self.say(
                f"{running.program.name} {how} {running.crashes} times in a row; Vitrine stops."
            )
            self.say(self._ending(running))
            return False
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (running.crashes - 1), LONGEST_PAUSE_SECONDS)
        self.say(
            f"{running.program.name} {how}; it is started again in {pause:g} s. Its log: {running.log}"
        )
        running.start_again_at = now + pause
        return True

    def _ended(self, running: _Running) -> None:
        """What had an end is over; why, if it was before its time."""
        assert running.child is not None
        if running.child.returncode:
            how = _how_it_ended(running.child.returncode)
            self.say(f"{running.program.name} {how}; the next start goes on.")
            self.say(self._ending(running))
        running.child = None

    def _ending(self, running: _Running) -> str:
        return f"Its log {running.log} ends with:\n{last_lines(running.log, running.log_start)}"

    def _show_log(self, running: _Running) -> None:
        with suppress(OSError), running.log.open("rb") as file:
            if size(running.log) < running.shown:  # trimmed meanwhile
                running.shown = 0
            file.seek(running.shown)
            text = file.read()
            running.shown += len(text)
            name = f"\033[{running.program.colour}m{running.program.name:>7}\033[0m"
            for line in text.decode(errors="replace").splitlines():
                self.say(
                    f"{name} {line}" if sys.stdout.isatty() else f"{running.program.name:>7} {line}"
                )

    # ---------------------------------------------------------------------------------------- stopping

    def _asked_to_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stop_signals += 1

    def _stop_all(self) -> None:
        for running in sorted(self._running, key=lambda each: not each.program.once):
            child = running.child
            if child is None:
                continue
            if child.poll() is None:
                self._stop(running.program, child)
            _kill_group(child.pid)
            child.wait()
        with suppress(OSError):
            _state_file(self.data_dir).unlink()

    def _stop(self, program: Program, child: subprocess.Popen[bytes]) -> None:
        told = False
        for signum, seconds in program.stop:
            with suppress(ProcessLookupError):
                child.send_signal(signum)
            deadline = time.monotonic() + seconds
            while child.poll() is None and time.monotonic() < deadline:
                if self._stop_signals > 1:  # asked twice: no more patience
                    return
                if not told and time.monotonic() > deadline - seconds + 4:
                    told = True
                    self.say(
                        f"waiting for {program.name} to finish what it does (Ctrl-C to cut it off) …"
                    )
                time.sleep(0.02)
            if child.poll() is not None:
                return

    def _remember(self) -> None:
        groups = [running.child.pid for running in self._running if running.child]
        with operator_errors(f"the folder {self.data_dir / 'run'}"):
            _state_file(self.data_dir).write_text(
                json.dumps({"mark": self.environ[MARK], "groups": groups})
            )


def remove_leftovers(data_dir: Path) -> int:
    """End the processes of a supervisor that was killed; how many there were. Call it under the lock of `up`."""
    import psutil

    path = _state_file(data_dir)
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return 0
    found = []
    for process in psutil.process_iter():
        # The mark, and not the number alone: a number may belong to somebody else by now.
        with suppress(psutil.Error, OSError):
            if (
                os.getpgid(process.pid) in state["groups"]
                and process.environ().get(MARK) == state["mark"]
            ):
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=5)
    path.unlink(missing_ok=True)
    return len(found)


def _how_it_ended(returncode: int) -> str:
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended unexpectedly (exit code {returncode})"


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
        wait_for(lambda: not _group_alive(group), 5)


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _trim(log: Path) -> None:
    """Keep a log below its limit: one older part stays. The writers append, so they go on at the new start."""
    if size(log) > LOG_LIMIT_BYTES:
        with suppress(OSError):
            older = log.with_suffix(".log.1")
            with log.open("rb") as source, older.open("wb") as target:
                target.write(source.read())
            os.truncate(log, 0)


def _state_file(data_dir: Path) -> Path:
    return data_dir / "run" / "processes.json"
