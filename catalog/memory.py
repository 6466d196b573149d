"""A small memory of one process: bounded, and forgetful after a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """The last `max_entries` values that were put, each for at most `fresh_s` seconds.

    Safe to use from many threads without a lock: each step is one operation of a dict, and losing
    an entry to another thread costs a query. A value that is put again counts as new.

    >>> memory: Bounded[str, int] = Bounded(2, fresh_s=60)
    >>> for number, name in enumerate("abc"):
    ...     memory.put(name, number)
    >>> memory.get("a"), memory.get("c"), len(memory)
    (None, 2, 2)
    """

    def __init__(
        self, max_entries: int, fresh_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries = max_entries
        self._fresh_s = fresh_s
        self._clock = clock
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, None if it isn't there or is too old."""
        entry = self._entries.get(key)
        if entry is None or entry[1] < self._clock():
            return None
        return entry[0]

    def put(self, key: K, value: V) -> None:
        """Keep a value; the oldest one goes if there are too many."""
        self._entries[key] = (value, self._clock() + self._fresh_s)
        with suppress(KeyError):  # another thread was faster
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()
