"""How much more or less than before, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "even", "unknown"]

# Below half a per cent a change is shown as none: it would be printed as "0 % more".
_EVEN = 0.005


@dataclass(frozen=True, slots=True)
class Change:
    """A change and how it is said.

    Attributes
    ----------
    direction
        ``unknown`` if there is nothing to compare with.
    lift
        (now - before) / before; None if that doesn't exist, and for shares, whose change is said in
        percentage points.
    """

    direction: Direction
    lift: float | None
    words: str


_UNKNOWN = Change("unknown", None, "nothing to compare with")


def change(now: float | None, before: float | None) -> Change:
    """Compare two figures of periods of the same length; None is an unknown figure.

    Examples
    --------
    >>> change(112, 100).words, change(50, 200).words, change(1001, 1000).words
    ('12 % more', '75 % less', 'unchanged')
    >>> change(3, 0).words, change(None, 5).direction, change(0, 0).words
    ('none before', 'unknown', 'none before either')
    >>> change(900, 100).words
    '9 times as much'
    """
    if now is None or before is None:
        return _UNKNOWN
    if before == 0:
        return (
            Change("up", None, "none before")
            if now > 0
            else Change("even", None, "none before either")
        )
    lift = (now - before) / abs(before)
    if abs(lift) < _EVEN:
        return Change("even", lift, "unchanged")
    if lift >= 2:
        return Change("up", lift, f"{lift + 1:.0f} times as much")
    if lift > 0:
        return Change("up", lift, f"{lift * 100:.0f} % more")
    return Change("down", lift, f"{-lift * 100:.0f} % less")


def rate_change(now: float | None, before: float | None) -> Change:
    """Compare two shares, in percentage points: "2 % less" of a share could mean either.

    Examples
    --------
    >>> rate_change(0.742, 0.759).words, rate_change(0.5, 0.25).words
    ('1.7 points less', '25.0 points more')
    >>> rate_change(0.5, 0.5001).words, rate_change(0.5, None).words
    ('unchanged', 'nothing to compare with')
    """
    if now is None or before is None:
        return _UNKNOWN
    points = round((now - before) * 100, 1)
    if points == 0:
        return Change("even", None, "unchanged")
    words = f"{abs(points):.1f} points {'more' if points > 0 else 'less'}"
    return Change("up" if points > 0 else "down", None, words)
