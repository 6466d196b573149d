"""Moments at which something changed, drawn into figures over time and told in words below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analytics.charts.theme import Figure

_LINE = "var(--series-3)"
# More numbers than this run into each other; the lines stay.
MAX_NUMBERED = 15
# A period has at most so many lines: what is closer together is one.
MAX_LINES = 24


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of a chart: a day or a few, its number, and what changed, oldest first."""

    number: int
    first: date
    last: date
    words: tuple[str, ...]


def marks_of(changes: Sequence[tuple[date, str]], *, first: date, last: date) -> tuple[Mark, ...]:
    """Changes as numbered marks; those too close together for a line each become one.

    Parameters
    ----------
    changes
        Day and words, oldest first; those outside of the first and last day are left out.

    Examples
    --------
    >>> day = date(2026, 11, 2)
    >>> marks = marks_of([(day, "a"), (day, "b")], first=date(2026, 11, 1), last=date(2026, 11, 7))
    >>> [(mark.number, mark.words) for mark in marks]
    [(1, ('a', 'b'))]
    """
    width = max(1, -(-((last - first).days + 1) // MAX_LINES))
    groups: dict[int, list[tuple[date, str]]] = {}
    for day, words in changes:
        if first <= day <= last:
            groups.setdefault((day - first).days // width, []).append((day, words))
    return tuple(
        Mark(number, group[0][0], group[-1][0], tuple(words for _, words in group))
        for number, group in enumerate(groups.values(), start=1)
    )


def marked(figure: Figure, marks: Sequence[Mark]) -> Figure:
    """The figure with a dotted line for each mark, from the top of all panels to their foot."""
    if not marks:
        return figure
    shapes = [
        {
            "type": "line", "xref": "x", "yref": "paper", "x0": mark.first.isoformat(),
            "x1": mark.first.isoformat(), "y0": 0, "y1": 1,
            "line": {"color": _LINE, "width": 1.25, "dash": "dot"},
        }
        for mark in marks
    ]  # fmt: skip
    numbers = [
        {
            "xref": "x", "yref": "paper", "x": mark.first.isoformat(), "y": 1, "yanchor": "top",
            "xanchor": "left", "showarrow": False, "text": str(mark.number),
            "font": {"size": 11, "color": _LINE}, "xshift": 1,
        }
        for mark in marks
        if len(marks) <= MAX_NUMBERED
    ]  # fmt: skip
    layout = figure["layout"]
    return {
        **figure,
        "layout": {
            **layout,
            "shapes": [*layout.get("shapes", ()), *shapes],
            "annotations": [*layout.get("annotations", ()), *numbers],
        },
    }
