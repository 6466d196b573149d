"""How much memory this process takes, as the operating system counts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def peak_mb() -> float:
    """The most megabytes that were resident since the last call; and the next count begins.

    Where the system has no such reset (not Linux), since the process began.
    """
    try:
        status = _STATUS.read_text()
        found = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        _CLEAR.write_text(_RESET_PEAK)
        return int(found.split()[1]) / 1e3
    except (OSError, StopIteration):
        # Linux counts kilobytes, macOS bytes.
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
