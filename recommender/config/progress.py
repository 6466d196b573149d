"""Progress of long work: a bar in a terminal, now and then a line elsewhere, silence for short work.

with Progress("Importing purchases", total=1_400_000) as progress:
    for rows in batches:
        ...
        progress.advance(len(rows))
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Self, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

QUIET_SECONDS = 1.0
LINE_EVERY_SECONDS = 5.0


class Progress:
    """How far one piece of work is. ``total`` may be unknown; then only the count is shown."""

    def __init__(
        self, label: str, *, total: int | None = None, unit: str = "", stream: TextIO | None = None
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0
        self._stream = stream or sys.stderr
        self._started = self._last_line = time.monotonic()
        self._said = False
        self._closed = False
        self._bar: tqdm[Any] | None = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=total,
                desc=label,
                unit=f" {unit}" if unit else "",
                unit_scale=True,
                delay=QUIET_SECONDS,
                dynamic_ncols=True,
                file=self._stream,
            )

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= LINE_EVERY_SECONDS:
            self._line(self._state())

    def reach(self, done: int) -> None:
        """Say how much is done in all, for work that reports totals."""
        self.advance(done - self.done)

    def tick(self) -> None:
        """Show that time passes, for waiting without a count."""
        if self._bar is not None:
            self._bar.refresh()
        else:
            self.advance(0)

    def say(self, text: str) -> None:
        """Change the label, for work in several steps."""
        self.label = text
        if self._bar is not None:
            self._bar.set_description(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close("done" if error is None else "interrupted")

    def close(self, outcome: str = "done") -> None:
        """End the bar or the lines; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.close()
        elif self._said or time.monotonic() - self._started >= LINE_EVERY_SECONDS:
            self._line(outcome)

    def _state(self) -> str:
        if not self.total and not self.done:
            return "still at it"
        unit = f" {self.unit}" if self.unit else ""
        if not self.total:
            return f"{self.done:,}{unit}"
        return f"{self.done:,} of {self.total:,}{unit} ({100 * self.done // self.total} %)"

    def _line(self, state: str) -> None:
        self._last_line = time.monotonic()
        self._said = True
        print(
            f"{self.label}: {state}, {self._last_line - self._started:.0f} s",
            file=self._stream,
            flush=True,
        )


def progress_over(
    items: Iterable[T], label: str, *, total: int | None = None, unit: str = ""
) -> Iterator[T]:
    """Go through ``items`` and show how far it is."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(label, total=total, unit=unit) as progress:
        for item in items:
            yield item
            progress.advance()
