"""Accuracy against diversity, as data in Plotly's schema; `charts.js` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from recommender.models import LabRun
from recommender.services.lab_shelf import PROTOCOL_OF

Point: TypeAlias = tuple[str, dict[str, float], dict[str, float]]
"""A method's title, its accuracy, its diversity."""

_DIVERSITY = "diversity@20"
_GRID = "var(--chart-grid)"


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure whose title says the finding."""

    finding: str
    about: str
    figure: dict[str, Any]
    rows: list[tuple[str, str, str]]


def accuracy_plot(run: LabRun) -> Plot | None:
    """None with fewer than two methods that have both figures: there is nothing to weigh."""
    protocol = PROTOCOL_OF[run.settings["protocol"]]
    points: list[Point] = [
        (row["title"], row["metrics"][protocol.figure], row["metrics"][_DIVERSITY])
        for row in run.document.get("board", {}).get("rows", ())
        if row["missing"] is None and {protocol.figure, _DIVERSITY} <= row["metrics"].keys()
    ]
    if len(points) < 2:
        return None
    right = max(points, key=lambda point: point[1]["value"])[0]
    varied = max(points, key=lambda point: point[2]["value"])[0]
    finding = (
        f"{right} is the most accurate and the most varied"
        if right == varied
        else f"{right} is the most accurate, {varied} the most varied"
    )
    numbered = list(enumerate(points, start=1))
    traces = [
        _points([each for each in numbered if each[1][0] != right], "circle", 1),
        _points([each for each in numbered if each[1][0] == right], "star", 2),
    ]
    return Plot(
        finding=finding,
        about="Accuracy against diversity, with 95 % intervals; numbers as in the list below",
        figure={"data": traces, "layout": _layout(protocol.figure_words)},
        rows=[(title, _said(across), _said(up)) for title, across, up in points],
    )


def _points(numbered: list[tuple[int, Point]], mark: str, series: int) -> dict[str, Any]:
    """Methods as numbers, which take less room than their names: a list beside says them."""
    color = f"var(--series-{series})"

    def bars(estimates: list[dict[str, float]]) -> dict[str, Any]:
        return {
            "type": "data",
            "symmetric": False,
            "array": [each["high"] - each["value"] for each in estimates],
            "arrayminus": [each["value"] - each["low"] for each in estimates],
            "color": "var(--series-before)",
            "thickness": 1,
            "width": 0,
        }

    points = [point for _, point in numbered]
    across, up = [point[1] for point in points], [point[2] for point in points]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [each["value"] for each in across],
        "y": [each["value"] for each in up],
        "error_x": bars(across),
        "error_y": bars(up),
        "text": [str(number) for number, _ in numbered],
        "customdata": [point[0] for point in points],
        "textposition": "top right",
        "textfont": {"size": 12},
        "marker": {"color": color, "symbol": mark, "size": 15 if mark == "star" else 10},
        "hovertemplate": "%{customdata}<br>accuracy %{x:.3f}<br>diversity %{y:.3f}<extra></extra>",
        "cliponaxis": False,
    }


def _layout(across: str) -> dict[str, Any]:
    axis = {
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": _GRID,
        "fixedrange": True,
        "nticks": 6,
        "tickformat": ".2f",
        "automargin": True,
    }
    return {
        "autosize": True,
        "margin": {"l": 58, "r": 24, "t": 24, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--font-sans)", "size": 12, "color": "var(--chart-text)"},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "var(--surface)",
            "bordercolor": "var(--line-strong)",
            "font": {"color": "var(--ink)"},
        },
        "showlegend": False,
        "dragmode": False,
        "xaxis": {**axis, "title": {"text": across, "font": {"size": 11}}},
        "yaxis": {**axis, "title": {"text": "Diversity of a list", "font": {"size": 11}}},
    }


def _said(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
