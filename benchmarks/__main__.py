"""`make bench`: measure, print, and write benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime

from recommender.config import embedded
from recommender.config.env import OperatorError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--store", default="demo", help="slug of a trained store")
    parser.add_argument("--seconds", type=int, default=10, help="length of one round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md alone")
    options = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")
    try:
        embedded.ensure_for_command([sys.argv[0], "bench"])
    except OperatorError as error:
        sys.exit(f"vitrine: {error}")
    import django

    django.setup()
    from benchmarks import serving

    try:
        report = serving.run(
            store_slug=options.store, seconds=options.seconds, connections=options.connections
        )
    except serving.BenchmarkError as error:
        sys.exit(f"bench: {error}")
    print(report)
    if not options.no_write:
        serving.RESULTS.write_text(
            f"# Measured\n\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores,"
            f" Python {platform.python_version()}, load generator on the same machine."
            " Written by `make bench`.\n\n## Serving\n\n" + report + "\n"
        )


if __name__ == "__main__":
    main()
