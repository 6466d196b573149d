"""Where the web processes of one server count together. Before `prometheus_client` is imported."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
KINDS = ("counter", "histogram", "gauge_livesum")
FILE_BYTES = 1 << 16  # as `prometheus_client` makes them


def metrics_folder_use(data_dir: Path) -> None:
    """Share one folder among the children of this process's parent; those of dead servers go.

    Without room for it each process counts for itself.
    """
    if os.environ.get(FOLDER):
        return
    folder = data_dir / "run" / "metrics" / str(os.getppid())
    with suppress(OSError):
        for other in folder.parent.glob("[0-9]*"):
            if not _is_alive(int(other.name)):
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            # Written in full: a page of a sparse file that the disk has no room for kills the process.
            path = folder / f"{kind}_{os.getpid()}.db"
            if not path.exists():
                path.write_bytes(bytes(FILE_BYTES))
        os.environ[FOLDER] = str(folder)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
