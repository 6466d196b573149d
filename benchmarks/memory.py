"""Memory of processes: PSS, which counts a page that n processes share as a n-th in each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class PeakSampler:
    """The highest sum of PSS over a process and all below it, looked at a few times a second."""

    pid: int
    every_s: float = 0.2
    peak_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> PeakSampler:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            total = sum(pss_bytes(process) or 0 for process in tree(self.pid))
            self.peak_bytes = max(self.peak_bytes, total)
            self._stop.wait(self.every_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    at_s: float
    bytes: int


@dataclass(slots=True)
class MemoryLog:
    """PSS of every process below named tops, each second, until stopped.

    `samples` by a name such as ``web 2 (4711)``: the processes of a top numbered as they were met.
    Those of a top in `summed` are added up under its name.
    """

    tops: Mapping[str, int]
    summed: frozenset[str] = frozenset()
    every_s: float = 1.0
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _clock: Callable[[], float] = time.monotonic

    def __enter__(self) -> MemoryLog:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = self._clock()
            for top, pid in self.tops.items():
                self._look_at(top, pid)
            self._stop.wait(max(0.0, self.every_s - (self._clock() - began)))

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
        self.samples.setdefault(name, []).append(Sample(self._clock(), n_bytes))

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
