"""What was worked out lately and will be asked for again, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values of the keys asked for last. Safe to use from many threads.

    It belongs to an immutable owner (a snapshot, a bound model) and dies with it, so nothing in it
    is ever out of date. Two threads that miss at the same time both work the value out.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = max(capacity, 1)
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made at the first call."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
                return value
        value = make()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._capacity:
                self._values.popitem(last=False)
        return value
