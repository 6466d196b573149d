"""How long ago, in words."""

from __future__ import annotations

from datetime import datetime

_STEPS = ((60, 1, "s"), (3600, 60, "min"), (2 * 86_400, 3600, "h"))


def age_words(seconds: float) -> str:
    """An age as a reader says it; the future (a clock that is off) counts as now.

    >>> [age_words(s) for s in (-3, 0, 40, 200, 7300, 90_000, 400_000, 90_000_000)]
    ['just now', 'just now', '40 s ago', '3 min ago', '2 h ago', '25 h ago', '4 days ago', '2 years ago']
    """
    return "just now" if seconds < 2 else f"{duration_words(float(int(seconds)))} ago"


def duration_words(seconds: float) -> str:
    """A duration in the largest unit that still says something.

    >>> [duration_words(s) for s in (0.02, 1.44, 75, 5000, 200_000, 40_000_000)]
    ['0.02 s', '1.4 s', '1 min', '1 h', '2 days', '15 months']
    """
    if 0 <= seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s".replace(".0 s", " s")
    for limit, unit_s, unit in _STEPS:
        if seconds < limit:
            return f"{int(seconds // unit_s)} {unit}"
    days = int(seconds // 86_400)
    if days < 60:
        return f"{days} days"
    months = days // 30
    return f"{months} months" if months < 24 else f"{days // 365} years"


def seconds_between(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
