"""Memory of processes: PSS, which counts a page that n processes share as a n-th in each."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import psutil


def pss_bytes(process: psutil.Process) -> int | None:
    """The proportional set size; None for a process that is gone or may not be looked at."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError):
        return None


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it, by number; empty if it is gone."""
    try:
        top = psutil.Process(pid)
        return [top, *sorted(top.children(recursive=True), key=lambda each: each.pid)]
    except psutil.Error:
        return []


class _Watch:
    """Looks every so many seconds, in a thread of its own, from entering to leaving."""

    def __init__(self, *, every_s: float) -> None:
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._look()
            self._stop.wait(max(0.0, self._every_s - (time.monotonic() - began)))

    def _look(self) -> None:
        raise NotImplementedError


class PeakSampler(_Watch):
    """The highest sum of PSS over a process and all below it, looked at a few times a second."""

    def __init__(self, pid: int, *, every_s: float = 0.2) -> None:
        super().__init__(every_s=every_s)
        self.pid = pid
        self.peak_bytes = 0

    def _look(self) -> None:
        total = sum(pss_bytes(process) or 0 for process in tree(self.pid))
        self.peak_bytes = max(self.peak_bytes, total)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    at_s: float
    bytes: int


class MemoryLog(_Watch):
    """PSS of every process below named tops, each second.

    `samples` by a name such as ``web 2 (4711)``: the processes of a top numbered as they were met.
    Those of a top in `summed` are added up under its name.
    """

    def __init__(self, tops: Mapping[str, int], *, summed: frozenset[str] = frozenset()) -> None:
        super().__init__(every_s=1.0)
        self.tops = tops
        self.summed = summed
        self.samples: dict[str, list[Sample]] = {}
        self._names: dict[int, str] = {}

    def _look(self) -> None:
        for top, pid in self.tops.items():
            self._look_at(top, pid)

    def _look_at(self, top: str, pid: int) -> None:
        found = {
            process.pid: n_bytes
            for process in tree(pid)
            if (n_bytes := pss_bytes(process)) is not None
        }
        if found and top in self.summed:
            self._add(top, sum(found.values()))
            return
        for number, n_bytes in found.items():
            self._add(self._name(top, number), n_bytes)

    def _add(self, name: str, n_bytes: int) -> None:
        self.samples.setdefault(name, []).append(Sample(time.monotonic(), n_bytes))

    def _name(self, top: str, pid: int) -> str:
        if pid not in self._names:
            place = sum(name.startswith(f"{top} ") for name in self._names.values())
            self._names[pid] = f"{top} {place + 1} ({pid})"
        return self._names[pid]


def change_rate(
    samples: list[Sample], *, start_s: float, end_s: float, window_s: float
) -> float | None:
    """How much more a process holds in the last window than in the first, as a share of the first.

    Medians of each window, so that a job in between doesn't count as a leak. None if the process
    wasn't there in both.
    """
    first = sorted(each.bytes for each in samples if start_s <= each.at_s < start_s + window_s)
    last = sorted(each.bytes for each in samples if end_s - window_s <= each.at_s <= end_s)
    if not first or not last:
        return None
    before, after = first[len(first) // 2], last[len(last) // 2]
    return after / before - 1.0
