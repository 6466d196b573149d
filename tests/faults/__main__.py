"""`python -m tests.faults`: every scenario at full length, and a table at the end. `make faults`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small numbers, as in `make test`")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON list")
    parser.add_argument("-k", metavar="WORDS", help="only the scenarios with these words")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "pytest", str(Path(__file__).parent), "--quiet"]
        command += ["-p", "no:randomly", "--numprocesses", "0", "--tb", "short"]
        if chosen.k:
            command += ["-k", chosen.k]
        finished = subprocess.run(
            command,
            env={
                **os.environ,
                "VITRINE_FAULTS": "short" if chosen.short else "full",
                "VITRINE_FAULTS_JSON": str(figures),
            },
            # With --json only the figures go to the standard output.
            stdout=sys.stderr if chosen.json else None,
            check=False,
        )
        if chosen.json and figures.exists():
            sys.stdout.write(f"{figures.read_text()}\n")
    return finished.returncode


if __name__ == "__main__":
    sys.exit(main())
