"""Intervals as small drawings in a row of a table: where each part lies on a shared axis. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, isfinite, log10

WIDTH = 200.0
# An end that lies outside is drawn here, as an arrow.
_EDGE = 3.0


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """Positions from the left, 0 to `WIDTH`.

    Attributes
    ----------
    zero
        Of the line "no difference".
    low, high, estimate
        Of the interval and the point in it; the ends are cut at the edges.
    wing_low, wing_high
        Of the wider interval that is valid at any look; None without one.
    margin
        Of the harm that a guardrail accepts.
    beyond_low, beyond_high
        Whether an end lies outside of the axis.
    """

    zero: float
    low: float
    high: float
    estimate: float
    wing_low: float | None
    wing_high: float | None
    margin: float | None
    beyond_low: bool
    beyond_high: bool

    @property
    def width(self) -> float:
        return round(max(self.high - self.low, 1.0), 2)

    @property
    def wing_width(self) -> float | None:
        if self.wing_low is None or self.wing_high is None:
            return None
        return round(max(self.wing_high - self.wing_low, 1.0), 2)

    @property
    def is_off(self) -> bool:
        """Whether even the estimate lies outside: then only the arrow is drawn."""
        return self.estimate <= _EDGE or self.estimate >= WIDTH - _EDGE


def extent_of(values: Iterable[float | None], *, least: float, most: float) -> float:
    """Half the width of an axis around 0 that has room for the values, as a round number.

    Parameters
    ----------
    values
        Ends of intervals; None and what isn't finite are passed over.
    least, most
        What the axis spans at least and at most, so that neither nothing nor one wild interval
        decides how the others look.

    Examples
    --------
    >>> extent_of([0.012, -0.031, None], least=0.02, most=0.6)
    0.05
    >>> extent_of([3.0], least=0.02, most=0.6), extent_of([], least=0.02, most=0.6)
    (0.6, 0.02)
    """
    sizes = [abs(value) for value in values if value is not None and isfinite(value)]
    wanted = max([least, *sizes])
    if wanted >= most:
        return most
    step = 10.0 ** floor(log10(wanted))
    rounded = next(step * n for n in (1, 2, 3, 5, 10) if step * n >= wanted * (1 - 1e-9))
    return float(min(round(rounded, 12), most))


def interval_bar(
    estimate: float,
    low: float,
    high: float,
    *,
    extent: float,
    wing_low: float | None = None,
    wing_high: float | None = None,
    margin: float | None = None,
) -> IntervalBar:
    """An interval on an axis from -extent to +extent.

    Examples
    --------
    >>> bar = interval_bar(0.04, 0.006, 0.076, extent=0.1, wing_low=-0.02, wing_high=0.2)
    >>> bar.zero, bar.low, bar.high, bar.estimate, bar.wing_low, bar.wing_high
    (100.0, 106.0, 176.0, 140.0, 80.0, 197.0)
    >>> bar.beyond_low, bar.beyond_high
    (False, True)
    """
    outer_low = low if wing_low is None else min(low, wing_low)
    outer_high = high if wing_high is None else max(high, wing_high)

    def at(value: float) -> float:
        place = WIDTH / 2 * (1 + value / extent)
        return round(min(max(place, _EDGE), WIDTH - _EDGE), 2)

    return IntervalBar(
        zero=WIDTH / 2,
        low=at(low),
        high=at(high),
        estimate=at(estimate),
        wing_low=None if wing_low is None else at(wing_low),
        wing_high=None if wing_high is None else at(wing_high),
        margin=None if margin is None or abs(margin) > extent else at(margin),
        beyond_low=outer_low < -extent,
        beyond_high=outer_high > extent,
    )


@dataclass(frozen=True, slots=True)
class Strip:
    """A value with its interval on an axis of its own, 0 to `WIDTH`; ends None without interval."""

    value: float
    low: float | None
    high: float | None

    @property
    def width(self) -> float | None:
        return (
            None
            if self.low is None or self.high is None
            else round(max(self.high - self.low, 1), 2)
        )


def strips(values: list[tuple[float, float | None, float | None]]) -> list[Strip]:
    """Values with their intervals on one axis that has room for all of them.

    Examples
    --------
    >>> [(s.value, s.low, s.high) for s in strips([(2.0, 1.0, 3.0), (3.0, None, None)])]
    [(100.0, 10.0, 190.0), (190.0, None, None)]
    >>> strips([(5.0, 5.0, 5.0)])[0].value
    100.0
    """
    ends = [end for triple in values for end in triple if end is not None and isfinite(end)]
    first, last = (min(ends), max(ends)) if ends else (0.0, 0.0)
    room, span = WIDTH * 0.05, last - first

    def at(value: float) -> float:
        if not span:
            return WIDTH / 2
        return round(room + (WIDTH - 2 * room) * (value - first) / span, 2)

    return [
        Strip(
            at(value),
            None if low is None or not isfinite(low) else at(low),
            None if high is None or not isfinite(high) else at(high),
        )
        for value, low, high in values
    ]


@dataclass(frozen=True, slots=True)
class Cross:
    """Two lifts of one variant as a cross on a plane of `WIDTH` by `WIDTH`; up and right is more."""

    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float


def cross(
    across: tuple[float, float, float],
    up: tuple[float, float, float],
    *,
    extent_across: float,
    extent_up: float,
) -> Cross:
    """(estimate, low, high) of two metrics as positions; the middle of the plane is no difference.

    Examples
    --------
    >>> found = cross((0.05, 0.0, 0.1), (-0.1, -0.2, 0.0), extent_across=0.1, extent_up=0.2)
    >>> (found.x, found.y), (found.x_low, found.x_high), (found.y_low, found.y_high)
    ((150.0, 150.0), (100.0, 197.0), (197.0, 100.0))
    """

    def at(value: float, extent: float) -> float:
        return round(min(max(WIDTH / 2 * (1 + value / extent), _EDGE), WIDTH - _EDGE), 2)

    x, x_low, x_high = (at(value, extent_across) for value in across)
    y, y_low, y_high = (at(-value, extent_up) for value in up)
    return Cross(x, x_low, x_high, y, y_low, y_high)
