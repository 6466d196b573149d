"""The look that all charts share, as data.

Figures are plain dictionaries in Plotly's schema. Colours are the names of the page's own custom
properties; `charts.js` puts their values in, and again when the theme changes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Trace: TypeAlias = dict[str, Any]
Figure: TypeAlias = dict[str, Any]

SERIES = "var(--series-1)"
SERIES_2 = "var(--series-2)"
BEFORE = "var(--series-before)"
BAND = "var(--accent-soft)"
SURFACE = "var(--surface)"
_GRID = "var(--chart-grid)"
_TEXT = "var(--chart-text)"


def figure(
    traces: list[Trace], y_titles: list[str], *, percent: frozenset[int] = frozenset()
) -> Figure:
    """One panel per title, above each other, with one time axis.

    Parameters
    ----------
    traces
        A trace says its panel by `yaxis`: "y" is the upper one, "y2" the next.
    y_titles
        What is measured, with its unit; one per panel, from the top.
    percent
        Panels (counted from 0) whose values are shares.
    """
    n = len(y_titles)
    gap = 0.14 if n > 1 else 0.0
    height = (1 - gap * (n - 1)) / n
    layout: dict[str, Any] = {
        "autosize": True,
        "margin": {"l": 58, "r": 8, "t": 8, "b": 32},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--font-sans)", "size": 12, "color": _TEXT},
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": SURFACE,
            "bordercolor": "var(--line-strong)",
            "font": {"color": "var(--ink)"},
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "showlegend": True,
        "dragmode": False,
        "bargap": 0.25,
        "xaxis": {
            "type": "date",
            "anchor": f"y{n}" if n > 1 else "y",
            "gridcolor": _GRID,
            "showgrid": False,
            "zeroline": False,
            "linecolor": _GRID,
            "fixedrange": True,
            "hoverformat": "%a %-d %b %Y",
            "nticks": 7,
            "tickformat": "%-d %b",
        },
    }
    for i, title in enumerate(y_titles):
        top = 1 - i * (height + gap)
        layout[f"yaxis{i + 1}" if i else "yaxis"] = {
            "title": {"text": title, "font": {"size": 11}, "standoff": 6},
            "domain": [max(0.0, round(top - height, 4)), round(top, 4)],
            "gridcolor": _GRID,
            "zeroline": False,
            "rangemode": "tozero",
            "fixedrange": True,
            "nticks": 4 if n > 1 else 6,
            "tickformat": ".1~%" if i in percent else ",",
            "separatethousands": True,
            "automargin": True,
        }
        axis = f"y{i + 1}" if i else "y"
        shown = [y for each in traces if each.get("yaxis", "y") == axis for y in each.get("y", ())]
        if i in percent and all(y is None for y in shown):
            # Plotly would invent a range up to 400 %.
            layout[f"yaxis{i + 1}" if i else "yaxis"]["range"] = [0, 0.1]
    return {"data": traces, "layout": layout}
