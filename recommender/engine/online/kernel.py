"""The door to the compiler: functions over arrays become machine code.

Each kernel is compiled for one signature, contiguous arrays of the types written above it, read-only
or not, and refuses all others: nothing is compiled again, in the middle of a request, because an
array came in another form. `kernels_compile` does it before the first request; else the first call
does. What was compiled is kept in the folder `NUMBA_CACHE_DIR`, for this processor and this state of
the kernel's file; where nothing can be kept, every process compiles for itself.

Kernels keep the interpreter's lock: they take some 10 µs, and getting it back takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types


class Kernel:
    """A function that is compiled for one signature."""

    __slots__ = ("_dispatcher", "_function", "_run", "_signature")

    def __init__(self, function: Callable[..., Any], signature: tuple[Any, ...]) -> None:
        self._function = function
        self._signature = signature
        self._dispatcher = njit(function)
        self._run: Callable[..., Any] = self._first
        try:
            self._dispatcher.enable_caching()
        except RuntimeError:
            # There is no folder that may be written to: compiled in memory.
            return

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def compile(self) -> None:
        """Compile, or read what was kept. Nothing to do the second time."""
        if self._run == self._dispatcher:
            return
        try:
            self._dispatcher.compile(self._signature)
        except OSError:
            # The disk is full, or what was kept can't be read.
            self._dispatcher = njit(self._function)
            self._dispatcher.compile(self._signature)
        self._dispatcher.disable_compile()
        self._run = self._dispatcher

    def _first(self, *arguments: Any) -> Any:
        self.compile()
        return self._run(*arguments)


KERNELS: list[Kernel] = []


def kernel(*signature: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile a function for these types, later."""

    def decorate(function: Callable[..., Any]) -> Kernel:
        KERNELS.append(Kernel(function, signature))
        return KERNELS[-1]

    return decorate


def helper(function: Callable[..., Any]) -> Any:
    """What only kernels of the same file call; it becomes a part of them.

    Of the same file, because what was kept is only thrown away when that file changes.
    """
    return njit(function)


def helper_any_order(function: Callable[..., Any]) -> Any:
    """The same, and sums may be made in any order, which uses the processor's whole width.

    They agree with NumPy's to a few units in the last place. No other freedom of `fastmath` is
    given: minus infinity means "may not be chosen".
    """
    return njit(function, fastmath={"reassoc", "contract", "nsz"})


def kernels_compile() -> None:
    """Compile all kernels, or read what an earlier process has compiled: about 20 s or 1 s."""
    # Importing them puts them into the list.
    from recommender.engine.online import (  # noqa: F401
        compiled,
        dealings,
        learned_blend,
        lookups,
        shopper_neighbours,
    )

    for each in KERNELS:
        each.compile()


def _array(dtype: Any, n_axes: int = 1) -> Any:
    return types.Array(dtype, n_axes, "C", readonly=True)


F32, F64 = _array(types.float32), _array(types.float64)
I32, I64 = _array(types.int32), _array(types.int64)
U8, U16, BOOLS = _array(types.uint8), _array(types.uint16), _array(types.bool_)
F32_2, I32_2 = _array(types.float32, 2), _array(types.int32, 2)
N, REAL, DOUBLE, FLAG = types.int64, types.float32, types.float64, types.bool_
