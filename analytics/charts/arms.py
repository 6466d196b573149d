"""How the arms of an experiment are told apart: by colour, dash and mark, always all three."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """`soft` is the colour of an area; the control is grey, so that the variants stand out."""

    color: str
    soft: str
    dash: str
    mark: str


_LOOKS = (
    Look("var(--series-before)", "var(--arm-0-soft)", "dot", "circle-open"),
    Look("var(--series-1)", "var(--arm-1-soft)", "solid", "circle"),
    Look("var(--series-2)", "var(--arm-2-soft)", "dash", "diamond"),
    Look("var(--series-3)", "var(--arm-3-soft)", "dashdot", "square"),
)


def look_of(position: int) -> Look:
    """Of the arm at a position, 0 is the control; after the fourth they repeat.

    >>> look_of(0).dash, look_of(1).dash, look_of(4).dash
    ('dot', 'solid', 'solid')
    """
    return _LOOKS[position] if position == 0 else _LOOKS[(position - 1) % (len(_LOOKS) - 1) + 1]
