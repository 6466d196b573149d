"""The tracking alarm: silent about chance, loud about faults; and the marks of a chart."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from analytics.charts.lines import Column, lines_over_time
from analytics.charts.marks import MAX_LINES, MAX_NUMBERED, marked, marks_of
from analytics.metrics.tracking import Usual, flow_alarm, share_alarm, usual_of

BAND = Usual(400, 200, 600)
FIRST = date(2026, 3, 1)


@pytest.mark.parametrize("per_hour", [20, 120, 5_000])
def test_chance_and_weeks_that_differ_by_a_tenth_raise_next_to_no_alarm(per_hour: int) -> None:
    """1,000 shops whose weeks differ by 10 %: fewer than 1 % false alarms (simulated, fixed seed)."""
    rng = np.random.default_rng(2026)
    n_false = 0
    for _ in range(1000):
        hours = []
        for _ in range(2):
            counts = rng.poisson(per_hour * rng.normal(1, 0.1, 5).clip(0.5)).tolist()
            hours.append((counts[0], usual_of(counts[1:])))
        n_false += flow_alarm(hours) in ("amber", "red")
    assert n_false < 10


@pytest.mark.parametrize("per_hour", [120, 5_000])
def test_an_hour_with_a_tenth_of_the_events_is_found(per_hour: int) -> None:
    """At least 95 % of 500 drops (simulated, fixed seed)."""
    rng = np.random.default_rng(2026)
    found = 0
    for _ in range(500):
        weeks = rng.poisson(per_hour * rng.normal(1, 0.1, 4).clip(0.5)).tolist()
        n = int(rng.poisson(per_hour * 0.1))
        found += flow_alarm([(n, usual_of(weeks)), (n, usual_of(weeks))]) == "red"
    assert found >= 475


def test_one_odd_week_does_not_move_what_is_usual() -> None:
    usual, odd = usual_of([100, 100, 102, 98]), usual_of([100, 100, 102, 900])
    assert usual is not None
    assert odd is not None
    assert abs(odd.middle - usual.middle) <= 1


def test_part_of_an_hour_is_compared_with_that_part() -> None:
    half = usual_of([100, 100, 100, 100], share=0.5)
    assert half is not None
    assert half.middle == 50
    assert half.low > 0


def test_a_week_without_reports_is_no_week_without_events() -> None:
    assert usual_of([100, 100, 100, None]) == usual_of([100, 100, 100])
    assert usual_of([100, 100, None, None]) is None
    silent = usual_of([0, 0, 0, 0])
    assert silent is not None
    assert silent.middle == 0


@pytest.mark.parametrize(
    ("hours", "alarm"),
    [
        ([], "unknown"),
        ([(400, None)], "unknown"),
        ([(100, None), (100, BAND)], "amber"),
        ([(700, BAND), (700, BAND)], "amber"),
        ([(100, BAND), (400, BAND)], "none"),
        ([(400, BAND), (0, Usual(30, 0, 70))], "amber"),
        ([(400, BAND), (0, Usual(45, 0, 100))], "red"),
    ],
)
def test_the_last_two_hours_decide(hours: list[tuple[int, Usual | None]], alarm: str) -> None:
    assert flow_alarm(hours) == alarm


def test_a_share_at_its_limit_is_still_fine() -> None:
    assert share_alarm(5, 100, needed=100, amber=0.05, red=0.2) == "none"
    assert share_alarm(20, 100, needed=100, amber=0.05, red=0.2) == "amber"
    assert share_alarm(21, 100, needed=100, amber=0.05, red=0.2) == "red"


# ----------------------------------------------------------------------------------------- marks


def test_changes_of_a_year_become_a_few_lines_and_none_is_lost() -> None:
    last = FIRST + timedelta(days=364)
    changes = [(FIRST + timedelta(days=n), f"change {n}") for n in range(365)]
    marks = marks_of(changes, first=FIRST, last=last)
    assert len(marks) <= MAX_LINES
    assert [words for mark in marks for words in mark.words] == [words for _, words in changes]
    assert [mark.number for mark in marks] == list(range(1, len(marks) + 1))


def test_what_is_outside_of_the_period_has_no_mark() -> None:
    changes = [(FIRST - timedelta(days=1), "before"), (FIRST + timedelta(days=7), "after")]
    assert marks_of(changes, first=FIRST, last=FIRST + timedelta(days=6)) == ()


@pytest.mark.parametrize("n_marks", [0, 1, MAX_NUMBERED, MAX_NUMBERED + 1])
def test_a_figure_has_a_line_for_each_mark_and_numbers_while_they_fit(n_marks: int) -> None:
    days = [FIRST + timedelta(days=i) for i in range(MAX_LINES)]
    drawn = lines_over_time(
        days, [Column("a", "b", [1.0] * len(days))], before_label="", today=None
    )
    marks = marks_of([(day, "x") for day in days[:n_marks]], first=days[0], last=days[-1])
    layout = marked(drawn, marks)["layout"]
    assert [shape["x0"] for shape in layout.get("shapes", [])] == [
        day.isoformat() for day in days[:n_marks]
    ]
    assert len(layout.get("annotations", [])) == (n_marks if n_marks <= MAX_NUMBERED else 0)
    assert "shapes" not in drawn["layout"]
