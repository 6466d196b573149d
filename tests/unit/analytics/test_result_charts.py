"""Charts of an experiment, as data."""

from __future__ import annotations

import json
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analytics.charts.bars import WIDTH, cross, extent_of, interval_bar, strips
from analytics.charts.exposures import exposures_by_day
from analytics.charts.funnel import funnel_by_arm
from analytics.charts.intervals import LiftLine, LiftPoint, lifts_by_age, lifts_over_days
from analytics.charts.weights import weights_over_time

DAYS = [date(2026, 3, 1) + timedelta(days=i) for i in range(3)]
LINE = LiftLine(
    "B",
    1,
    [
        LiftPoint(0, DAYS[0], None, None, None),
        LiftPoint(1, DAYS[1], 0.1, -0.1, 0.3, -0.2, 0.4),
        LiftPoint(2, DAYS[2], 0.08, 0.02, 0.14, -0.01, 0.17),
    ],
)
lifts = st.floats(-2, 2, allow_nan=False)


@given(lifts, lifts, lifts, st.floats(0.01, 1))
def test_a_bar_stays_on_its_axis_and_keeps_its_order(
    a: float, b: float, c: float, extent: float
) -> None:
    low, estimate, high = sorted((a, b, c))
    bar = interval_bar(estimate, low, high, extent=extent, wing_low=low - 1, wing_high=high + 1)
    assert bar.wing_low is not None
    assert bar.wing_high is not None
    places = [bar.wing_low, bar.low, bar.estimate, bar.high, bar.wing_high]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= WIDTH
    assert bar.beyond_low == (low - 1 < -extent)
    assert bar.beyond_high == (high + 1 > extent)


def test_an_estimate_off_the_axis_is_only_an_arrow() -> None:
    assert interval_bar(0.5, 0.4, 0.6, extent=0.2).is_off
    assert not interval_bar(0.1, 0.0, 0.6, extent=0.2).is_off


@given(st.lists(lifts, max_size=8))
def test_an_axis_has_room_for_everything_up_to_its_limit(ends: list[float]) -> None:
    extent = extent_of(ends, least=0.02, most=0.5)
    assert 0.02 <= extent <= 0.5
    assert all(abs(end) <= extent * (1 + 1e-6) for end in ends if abs(end) <= 0.5)


def test_strips_of_one_metric_share_an_axis() -> None:
    control, variant = strips([(0.10, 0.08, 0.12), (0.20, 0.15, 0.25)])
    assert control.high is not None
    assert variant.low is not None
    assert control.high < variant.low
    assert control.width is not None and variant.width is not None  # noqa: PT018
    assert variant.width > control.width


def test_up_and_right_on_the_plane_is_more_of_both() -> None:
    found = cross((0.1, 0.05, 0.15), (0.2, 0.1, 0.3), extent_across=0.2, extent_up=0.4)
    assert found.x > WIDTH / 2 > found.y
    assert found.x_low < found.x < found.x_high
    assert found.y_high < found.y < found.y_low


def test_a_day_without_an_estimate_is_left_out_and_never_drawn_as_zero() -> None:
    figure = lifts_over_days([LINE], unit="change")
    middle = next(trace for trace in figure["data"] if trace.get("name") == "B")
    assert middle["x"] == ["2026-03-02", "2026-03-03"]
    assert middle["y"] == [0.1, 0.08]
    assert (
        sum(trace["name"].endswith("any look") for trace in figure["data"] if "name" in trace) == 2
    )
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0 < high


def test_by_age_the_axis_counts_days() -> None:
    figure = lifts_by_age([LINE], unit="change")
    assert figure["layout"]["xaxis"]["type"] == "linear"
    assert next(t for t in figure["data"] if t.get("name") == "B")["x"] == [1, 2]


def test_exposures_stand_beside_what_the_split_lets_expect() -> None:
    figure = exposures_by_day(DAYS, ["A", "B"], [(10, 30), (10, 30), (10, 30)], [0.25, 0.75])
    expected = [t for t in figure["data"] if t.get("name") == "expected by the split"]
    assert [t["y"] for t in expected] == [[10, 20, 30], [30, 60, 90]]
    sums = [t["y"] for t in figure["data"] if t["name"] == "B"]
    assert sums == [[30, 30, 30], [30, 60, 90]]


def test_each_step_of_a_funnel_is_a_share_of_all_exposed() -> None:
    figure = funnel_by_arm(["Exposed", "Bought"], ["A", "B"], [(200, 10), (0, 0)])
    assert figure["data"][0]["x"] == [1.0, 0.05]
    assert figure["data"][0]["text"] == ["100 %", "5.0 %"]
    assert figure["data"][1]["x"] == [None, None]


def test_the_shares_of_a_bandit_fill_the_height() -> None:
    figure = weights_over_time(["2026-03-01", "2026-03-02"], ["A", "B"], [(0.5, 0.5), (0.1, 0.9)])
    assert [sum(row) for row in zip(*(t["y"] for t in figure["data"]), strict=True)] == [1.0, 1.0]
    assert all(t["line"]["shape"] == "hv" for t in figure["data"])


def test_every_figure_is_plain_json_without_infinities() -> None:
    figures = [
        lifts_over_days([LINE], unit="u"),
        lifts_by_age([LINE], unit="u"),
        lifts_over_days([], unit="u"),
        exposures_by_day([], ["A"], [], [1.0]),
        funnel_by_arm(["Exposed"], ["A"], [(0,)]),
    ]
    for figure in figures:
        json.dumps(figure, allow_nan=False)
