"""`python -m recommender.config.embedded stop|delete`: for whoever cleans up a data folder."""

from __future__ import annotations

import sys

from recommender.config.embedded import FolderLock, delete, stop
from recommender.config.env import OperatorError, from_environ


def main() -> None:
    action = sys.argv[1] if len(sys.argv) == 2 else ""
    if action not in ("stop", "delete"):
        sys.exit("usage: python -m recommender.config.embedded stop|delete")
    try:
        data_dir = from_environ().data_dir
        if not (data_dir / "run").exists():
            return
        busy = "Vitrine still runs from this folder ({holder}): stop it first."
        with FolderLock(data_dir / "run" / "up.lock", busy=busy):
            (stop if action == "stop" else delete)(data_dir)
    except OperatorError as error:
        sys.exit(f"vitrine: {error}")


if __name__ == "__main__":
    main()
