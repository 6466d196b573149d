"""A sign of life for the supervisor: a file whose content changes as long as the process works.

A file and not Valkey: a supervisor must not take a process for dead because Valkey is. The content
is a counter and not a time, so neither a clock that is set nor a laptop that slept looks like a
silence.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

# Set by the supervisor for each process that it listens to.
PULSE_FILE = "VITRINE_PULSE_FILE"

_beats = itertools.count(1)


def pulse() -> None:
    """Tell the supervisor, if there is one, that this process works. Never fails."""
    path = os.environ.get(PULSE_FILE)
    if path:
        # A full disk: better to be taken for dead and started again than to stop by a log line.
        with suppress(OSError):
            Path(path).write_text(f"{os.getpid()} {next(_beats)}")


def pulse_of(path: Path) -> str:
    """What the process wrote last; empty before its first sign."""
    with suppress(OSError):
        return path.read_text()
    return ""
