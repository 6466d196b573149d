"""How much more or less than before, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "even", "unknown"]

# Below half a per cent a change is shown as none: it would be printed as "0 % more".
_EVEN = 0.005


@dataclass(frozen=True, slots=True)
class Change:
    """A relative change.

    Attributes
    ----------
    direction
        ``unknown`` if there is nothing to compare with.
    lift
        (now - before) / before; None if that doesn't exist.

    Examples
    --------
    >>> change(112, 100).words, change(50, 200).words, change(1001, 1000).words
    ('12 % more', '75 % less', 'unchanged')
    >>> change(3, 0).words, change(None, 5).direction, change(0, 0).words
    ('none before', 'unknown', 'none before either')
    >>> change(900, 100).words
    '9 times as much'
    """

    direction: Direction
    lift: float | None

    @property
    def words(self) -> str:
        if self.direction == "unknown":
            return "nothing to compare with"
        if self.lift is None:
            return "none before either" if self.direction == "even" else "none before"
        if self.direction == "even":
            return "unchanged"
        if self.lift >= 2:
            return f"{self.lift + 1:.0f} times as much"
        return f"{abs(self.lift) * 100:.0f} % {'more' if self.lift > 0 else 'less'}"


def change(now: float | None, before: float | None) -> Change:
    """Compare two figures of periods of the same length; None is an unknown figure."""
    if now is None or before is None:
        return Change("unknown", None)
    if before == 0:
        return Change("up", None) if now > 0 else Change("even", None)
    lift = (now - before) / abs(before)
    if abs(lift) < _EVEN:
        return Change("even", lift)
    return Change("up" if lift > 0 else "down", lift)
