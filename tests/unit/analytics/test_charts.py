"""Charts as data."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from analytics.charts.lines import Column, counts_and_rate, lines_over_time, rate_with_interval
from analytics.charts.theme import figure
from analytics.metrics.rates import Rate

DAYS = [date(2026, 3, 1) + timedelta(days=i) for i in range(3)]


def named(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(trace for trace in figure["data"] if trace.get("name") == name)


def test_each_column_has_a_panel_whose_axis_names_the_unit() -> None:
    figure = lines_over_time(
        DAYS,
        [Column("Orders", "orders per day", [1, 2, 3]), Column("Events", "events", [4, 5, 6])],
        before_label="before",
        today=None,
    )
    layout = figure["layout"]
    assert layout["yaxis"]["title"]["text"] == "orders per day"
    assert layout["yaxis2"]["title"]["text"] == "events"
    assert layout["yaxis"]["domain"][0] > layout["yaxis2"]["domain"][1]
    assert [trace["yaxis"] for trace in figure["data"]] == ["y", "y2"]


def test_the_period_before_is_dashed_and_laid_over_by_position() -> None:
    column = Column("Orders", "orders", [1, 2, 3], before=[7, 8, 9])
    figure = lines_over_time(DAYS, [column], before_label="3 days before", today=None)
    before = named(figure, "3 days before")
    assert before["y"] == [7, 8, 9]
    assert before["x"] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert before["line"]["dash"] == "dot"


def test_today_is_a_point_of_its_own_and_no_part_of_the_line() -> None:
    column = Column("Orders", "orders", [1, 2, 3], so_far=1)
    figure = lines_over_time(DAYS, [column], before_label="", today=date(2026, 3, 4))
    assert named(figure, "Orders")["y"] == [1, 2, 3]
    assert named(figure, "Today so far")["x"] == ["2026-03-04"]


def test_an_unknown_rate_is_a_gap() -> None:
    figure = counts_and_rate(
        DAYS,
        Column("Recommendations", "delivered", [0, 10, 0]),
        Column("Click rate", "clicks per seen", [None, 0.5, None]),
        today=None,
    )
    rate = named(figure, "Click rate")
    assert rate["y"] == [None, 0.5, None]
    assert rate["connectgaps"] is False


def test_the_band_is_wide_where_little_is_known() -> None:
    figure = rate_with_interval(
        DAYS, [Rate(1, 2), Rate(500, 1000), Rate(0, 0)], title="Rate", unit="share"
    )
    low, high, line = figure["data"]
    assert line["y"] == [0.5, 0.5, None]
    widths = [h - lo for h, lo in zip(high["y"][:2], low["y"][:2], strict=True)]
    assert widths[0] > 10 * widths[1]
    assert low["y"][2] is None


def test_figures_are_json() -> None:
    column = Column("Orders", "orders", [1, None, 3])
    figure = lines_over_time(DAYS, [column], before_label="", today=None)
    assert json.loads(json.dumps(figure)) == figure


def test_a_share_without_any_value_keeps_a_sensible_axis() -> None:
    line = {"type": "scatter", "x": ["2026-03-01"], "y": [None], "yaxis": "y2"}
    bars = {"type": "bar", "x": ["2026-03-01"], "y": [3], "yaxis": "y"}
    layout = figure([bars, line], ["delivered", "clicks per seen"], percent=frozenset({1}))[
        "layout"
    ]
    assert layout["yaxis2"]["range"] == [0, 0.1]
    assert "range" not in layout["yaxis"]
