"""Periods, changes and rates."""

from __future__ import annotations

import doctest
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytics.charts.findings
import analytics.charts.marks
import analytics.metrics.changes
import analytics.metrics.periods
import analytics.metrics.rates
import analytics.metrics.tracking
import catalog.durations
import catalog.money
from analytics.metrics.changes import change
from analytics.metrics.periods import PERIOD_DAYS, InvalidPeriodError, Period, period_parse
from analytics.metrics.rates import Z_95, Rate, wilson_interval

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    "module",
    [
        analytics.metrics.changes,
        analytics.metrics.periods,
        analytics.metrics.rates,
        analytics.metrics.tracking,
        analytics.charts.findings,
        analytics.charts.marks,
        catalog.durations,
        catalog.money,
    ],
    ids=lambda module: module.__name__,
)
def test_the_examples_in_the_docstrings_are_true(module: object) -> None:
    tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried.attempted
    assert not tried.failed


@given(st.sampled_from(PERIOD_DAYS), st.dates(date(1990, 1, 1), TODAY - timedelta(days=1)))
def test_a_period_and_the_one_before_it_touch_and_are_equally_long(n_days: int, last: date) -> None:
    period = Period(n_days, last)
    assert len(period.days) == n_days
    assert (period.days[0], period.days[-1]) == (period.first, period.last)
    assert period.before.last + timedelta(days=1) == period.first
    assert len(period.before.days) == n_days


def test_a_period_ends_yesterday_because_today_is_not_over() -> None:
    assert period_parse("7", "", today=TODAY) == Period(7, date(2026, 11, 21))


@pytest.mark.parametrize(
    ("days", "until"),
    [("8", None), ("x", None), ("-7", None), (None, "tomorrow"), (None, "2026-11-22"),
     (None, "2026-02-30"), (None, "0001-01-01")],
)  # fmt: skip
def test_a_period_that_is_not_offered_is_refused(days: str | None, until: str | None) -> None:
    with pytest.raises(InvalidPeriodError):
        period_parse(days, until, today=TODAY)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_direction_of_a_change_agrees_with_its_words(now: int, before: int) -> None:
    found = change(now, before)
    if found.direction == "up":
        assert now > before
        assert "less" not in found.words
    elif found.direction == "down":
        assert now < before
        assert found.words.endswith("less")
    else:
        assert found.direction == "even"
        assert abs(now - before) <= 0.005 * before


def test_an_unknown_figure_has_no_change() -> None:
    assert change(None, 3).lift is None
    assert change(None, 3).words == "nothing to compare with"


@given(st.integers(1, 10**6), st.data())
def test_the_interval_holds_exactly_the_shares_that_are_not_surprising(
    trials: int, data: st.DataObject
) -> None:
    """Each bound solves |observed - p| = z √(p(1-p)/n), the equation that Wilson's is made from."""
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        spread = Z_95 * (bound * (1 - bound) / trials) ** 0.5
        assert abs(share - bound) == pytest.approx(spread, rel=1e-6, abs=1e-9)


def test_a_share_of_nothing_is_unknown_and_not_zero() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).interval is None


def test_more_clicks_than_views_have_no_interval() -> None:
    assert Rate(3, 2).value == 1.5
    assert Rate(3, 2).interval is None


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_counts_that_are_no_share_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson_interval(successes, trials)
