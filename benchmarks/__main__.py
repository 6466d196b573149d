"""`make bench`: every benchmark, one after the other."""

from benchmarks.command import main
from benchmarks.report import NAMES

if __name__ == "__main__":
    main(NAMES)
