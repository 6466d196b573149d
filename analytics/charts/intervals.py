"""Lifts with their intervals over time. Pure: from points to Plotly's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analytics.charts.arms import look_of
from analytics.charts.theme import Figure, Trace, figure


@dataclass(frozen=True, slots=True)
class LiftPoint:
    """A relative lift at a day, or `at` days after exposure; None where it isn't known."""

    at: int
    day: date | None
    estimate: float | None
    low: float | None
    high: float | None
    sequence_low: float | None = None
    sequence_high: float | None = None


@dataclass(frozen=True, slots=True)
class LiftLine:
    """The points of one variant, in order of time; `position` is that of the arm."""

    name: str
    position: int
    points: Sequence[LiftPoint]


def lifts_over_days(lines: Sequence[LiftLine], *, unit: str) -> Figure:
    """The lift of everything up to each day: it settles, and its interval narrows."""
    drawn = figure(_traces(lines, by_age=False), [unit], percent=frozenset({0}))
    return _around_zero(drawn, lines)


def lifts_by_age(lines: Sequence[LiftLine], *, unit: str) -> Figure:
    """The lift by days since exposure: whether it lasts, or was novelty."""
    drawn = figure(_traces(lines, by_age=True), [unit], percent=frozenset({0}))
    drawn["layout"]["xaxis"] |= {
        "type": "linear",
        "tickformat": "d",
        "hoverformat": "d",
        "rangemode": "normal",
        "title": {"text": "days since exposure", "font": {"size": 11}, "standoff": 6},
    }
    drawn["layout"]["margin"] = {**drawn["layout"]["margin"], "b": 44}
    return _around_zero(drawn, lines)


def _around_zero(drawn: Figure, lines: Sequence[LiftLine]) -> Figure:
    """An axis that shows no difference, and isn't ruled by the first days' wide intervals."""
    axis = drawn["layout"]["yaxis"]
    axis |= {"rangemode": "normal", "zeroline": True, "zerolinecolor": "var(--line-strong)"}
    axis |= {"zerolinewidth": 1.5, "tickformat": "+.1~%"}
    sizes = sorted(
        abs(end)
        for line in lines
        for point in line.points
        for end in (point.low, point.high)
        if end is not None
    )
    if sizes:
        widest = max(sizes[int(len(sizes) * 0.8)], 0.01) * 1.4
        axis["range"] = [round(-widest, 4), round(widest, 4)]
    return drawn


def _traces(lines: Sequence[LiftLine], *, by_age: bool) -> list[Trace]:
    traces: list[Trace] = []
    for line in lines:
        look = look_of(line.position)
        known = [point for point in line.points if point.estimate is not None]
        x = [point.at if by_age or point.day is None else point.day.isoformat() for point in known]
        common: Trace = {"type": "scatter", "x": x, "yaxis": "y", "legendgroup": line.name}
        edge = {"color": "rgba(0,0,0,0)", "width": 0}
        thin = {"color": look.color, "width": 1, "dash": "dot"}
        if any(point.sequence_low is not None for point in known):
            for i, ends in enumerate(
                (
                    [point.sequence_high for point in known],
                    [point.sequence_low for point in known],
                )
            ):
                traces.append(
                    {
                        **common, "mode": "lines", "y": ends, "line": thin, "hoverinfo": "skip",
                        "name": f"{line.name}: valid at any look", "opacity": 0.7,
                        "showlegend": i == 0 and len(lines) == 1,
                    }
                )  # fmt: skip
        traces += [
            {
                **common, "mode": "lines", "y": [point.low for point in known], "line": edge,
                "showlegend": False, "hoverinfo": "skip",
            },
            {
                **common, "mode": "lines", "y": [point.high for point in known], "line": edge,
                "fill": "tonexty", "fillcolor": look.soft, "name": f"{line.name}: 95 % interval",
                "hoverinfo": "skip", "showlegend": len(lines) == 1,
            },
            {
                **common,
                "mode": "lines+markers" if len(known) < 11 else "lines",
                "name": line.name,
                "y": [point.estimate for point in known],
                "line": {"color": look.color, "width": 2.25, "dash": look.dash},
                "marker": {"size": 6, "symbol": look.mark, "color": look.color},
                "customdata": [[point.low, point.high] for point in known],
                "hovertemplate": f"{line.name} %{{y:+.1%}}"
                " (%{customdata[0]:+.1%} to %{customdata[1]:+.1%})<extra></extra>",
            },
        ]  # fmt: skip
    return traces
