"""Figures over time. Pure: from columns of numbers to Plotly's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analytics.charts.theme import BAND, BEFORE, SERIES, SERIES_2, SURFACE, Figure, Trace, figure
from analytics.metrics.rates import Rate


@dataclass(frozen=True, slots=True)
class Column:
    """One thing over time.

    Attributes
    ----------
    values
        One per day (or week) of the axis, the same length as `before`; None where it is unknown.
    before
        The same in the period before, by position; empty if there was none.
    so_far
        Today's value, which isn't complete; None without one.
    """

    title: str
    unit: str
    values: Sequence[float | None]
    before: Sequence[float | None] = ()
    so_far: float | None = None


def lines_over_time(
    days: Sequence[date], columns: Sequence[Column], *, before_label: str, today: date | None
) -> Figure:
    """One panel per column: a line for the period, a dashed one for the period before.

    Today, if it is given, is a hollow point after the line: its day isn't over.
    """
    traces: list[Trace] = []
    for i, column in enumerate(columns):
        axis, color = (f"y{i + 1}" if i else "y"), (SERIES, SERIES_2)[i % 2]
        if any(value is not None for value in column.before):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": before_label,
                    "legendgroup": "before",
                    "showlegend": i == 0,
                    "x": _iso(days),
                    "y": list(column.before),
                    "yaxis": axis,
                    "line": {"color": BEFORE, "width": 1.5, "dash": "dot"},
                    "hovertemplate": f"%{{y:,}} {column.unit} before<extra></extra>",
                }
            )
        hover = f"%{{y:,}} {column.unit}"
        traces.append(
            _line(days, column.values, name=column.title, axis=axis, color=color, hover=hover)
        )
        if today is not None and column.so_far is not None:
            traces.append(_so_far(today, column.so_far, axis, color, column.unit, show=i == 0))
    return figure(traces, [column.unit for column in columns])


def counts_and_rate(
    days: Sequence[date],
    counts: Column,
    rate: Column,
    *,
    today: date | None,
) -> Figure:
    """Bars of a count above a line of a share."""
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": counts.title,
            "x": _iso(days),
            "y": list(counts.values),
            "yaxis": "y",
            "marker": {"color": SERIES},
            "hovertemplate": f"%{{y:,}} {counts.unit}<extra></extra>",
        },
        _line(
            days,
            rate.values,
            name=rate.title,
            axis="y2",
            color=SERIES_2,
            hover="%{y:.1%} " + rate.title.lower(),
        ),
    ]
    if today is not None and counts.so_far:
        traces.append(
            {
                "type": "bar",
                "name": "Today so far",
                "x": _iso([today]),
                "y": [counts.so_far],
                "yaxis": "y",
                "marker": {"color": BAND, "line": {"color": SERIES, "width": 1.5}},
                "hovertemplate": f"%{{y:,}} {counts.unit} so far<extra></extra>",
            }
        )
        if rate.so_far is not None:
            point = _so_far(today, rate.so_far, "y2", SERIES_2, rate.title.lower(), show=False)
            traces.append({**point, "hovertemplate": "%{y:.1%} so far<extra></extra>"})
    return figure(traces, [counts.unit, rate.unit], percent=frozenset({1}))


def rate_with_interval(
    days: Sequence[date], rates: Sequence[Rate], *, title: str, unit: str
) -> Figure:
    """A share over time inside the band in which it probably lies (95 %, Wilson)."""
    intervals = [rate.interval for rate in rates]
    lows = [interval[0] if interval else None for interval in intervals]
    highs = [interval[1] if interval else None for interval in intervals]
    edge = {"color": "rgba(0,0,0,0)", "width": 0}
    traces: list[Trace] = [
        {
            "type": "scatter", "mode": "lines", "x": _iso(days), "y": lows, "line": edge,
            "showlegend": False, "hoverinfo": "skip",
        },
        {
            "type": "scatter", "mode": "lines", "x": _iso(days), "y": highs, "line": edge,
            "fill": "tonexty", "fillcolor": BAND, "name": "95 % interval", "hoverinfo": "skip",
        },
        _line(days, [rate.value for rate in rates], name=title, axis="y", color=SERIES, hover="%{y:.1%}"),
    ]  # fmt: skip
    return figure(traces, [unit], percent=frozenset({0}))


def _line(
    days: Sequence[date],
    values: Sequence[float | None],
    *,
    name: str,
    axis: str,
    color: str,
    hover: str,
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines" if len(days) > 10 else "lines+markers",
        "name": name,
        "x": _iso(days),
        "y": list(values),
        "yaxis": axis,
        "line": {"color": color, "width": 2.25},
        "marker": {"size": 5},
        "connectgaps": False,
        "hovertemplate": f"{hover}<extra></extra>",
    }


def _so_far(today: date, value: float, axis: str, color: str, unit: str, *, show: bool) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "Today so far",
        "legendgroup": "today",
        "showlegend": show,
        "x": _iso([today]),
        "y": [value],
        "yaxis": axis,
        "marker": {"color": SURFACE, "size": 8, "line": {"color": color, "width": 2}},
        "hovertemplate": f"%{{y:,}} {unit} so far<extra></extra>",
    }


def _iso(days: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in days]
