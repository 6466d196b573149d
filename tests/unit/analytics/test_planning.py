"""The planner's figures against the statistics they come from, and its words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analytics.results.planning import (
    GoalAfter,
    History,
    Split,
    plan_sketch,
    plan_table,
    shoppers_needed,
)
from analytics.stats.answers import InvalidInputError
from analytics.stats.power import Baseline, power_of

RATE = GoalAfter(14, 0.05, 0.05 * 0.95, 20_000, 1_000)
STEADY = History("conversion_rate", (2_000.0,) * 28, (RATE,), "From the test.")
HALVES = Split((1.0, 1.0))


def test_at_the_planned_end_the_verdicts_test_has_the_power_that_was_promised() -> None:
    n = shoppers_needed(RATE, 0.1, HALVES)
    power = power_of(
        Baseline(0.05, 0.05 * 0.95), 0.1, n_control=n / 2, n_treatment=n / 2, alpha=0.04
    )
    assert power == pytest.approx(0.8, abs=1e-4)


def test_days_are_the_first_on_which_there_are_enough_shoppers() -> None:
    sketch = plan_sketch(STEADY, 0.1, HALVES)
    assert sketch.n_shoppers == 70_402
    assert (sketch.n_days, sketch.n_weeks) == (36, 6)
    assert STEADY.shoppers_by(36) >= 70_402 > STEADY.shoppers_by(35)
    assert sketch.words == "At today’s traffic 36 days for +10 % conversion rate."
    assert (sketch.baseline, sketch.basis) == (0.05, "From the test.")
    assert sketch.years is None
    assert sketch.instead is None


def test_a_test_is_never_shorter_than_a_week_and_each_arm_has_its_conversions() -> None:
    sketch = plan_sketch(STEADY, 3.0, HALVES)
    assert sketch.n_days == 7
    # 25 buyers at 5 % in each of two arms.
    assert shoppers_needed(RATE, 9.0, HALVES) == 1_000
    # Ten of a hundred shoppers in the small arm: ten times as many.
    assert shoppers_needed(RATE, 9.0, Split((9.0, 1.0))) == 5_000


def test_returning_shoppers_make_a_test_longer_than_the_first_days_promise() -> None:
    slowing = replace(STEADY, arrivals=tuple(2_000.0 * 0.9**day for day in range(28)))
    first_day, steady = plan_sketch(slowing, 0.2, HALVES), plan_sketch(STEADY, 0.2, HALVES)
    assert steady.n_days == 10
    assert first_day.n_days is not None
    assert first_day.n_days > 20
    # After the history as many come each day as in its last week.
    last_week = sum(slowing.arrivals[-7:]) / 7
    assert slowing.shoppers_by(38) == pytest.approx(sum(slowing.arrivals) + 10 * last_week)
    assert slowing.shoppers_by(1.5) == pytest.approx(2_000 + 900)


def test_what_shoppers_do_after_a_longer_time_is_asked_of_a_longer_time() -> None:
    early = GoalAfter(7, 0.02, 0.02 * 0.98, 10_000, 200)
    history = replace(STEADY, horizons=(early, RATE))
    assert plan_sketch(history, 0.5, HALVES).baseline == 0.02
    assert plan_sketch(history, 0.1, HALVES).baseline == 0.05


def test_out_of_reach_is_said_with_how_long_and_what_can_be_found_instead() -> None:
    sketch = plan_sketch(STEADY, 0.01, HALVES)
    assert (sketch.n_shoppers, sketch.n_days, sketch.n_weeks) == (None, None, None)
    assert sketch.years == pytest.approx(8.8, abs=0.1)
    assert sketch.instead == (0.15, 17)
    assert sketch.words == (
        "+1 % conversion rate would take 9 years at today’s traffic; +15 % takes 17 days."
    )


def test_with_next_to_no_traffic_nothing_is_promised() -> None:
    quiet = replace(STEADY, arrivals=(2.0,) * 28)
    sketch = plan_sketch(quiet, 0.05, HALVES)
    assert (sketch.years, sketch.instead) == (None, None)
    assert sketch.words == (
        "+5 % conversion rate would take more than 20 years at today’s traffic, and no rise up to"
        " +100 % can be found within a year."
    )


def test_half_of_the_shoppers_take_twice_as_long() -> None:
    whole = plan_sketch(STEADY, 0.1, HALVES)
    half = plan_sketch(STEADY, 0.1, Split((1.0, 1.0), coverage=0.5))
    assert half.n_shoppers == whole.n_shoppers
    assert (whole.n_days, half.n_days) == (36, 71)
    assert half.shoppers_per_day == 1_000


def test_more_variants_and_smaller_ones_need_more_shoppers() -> None:
    needed = [
        shoppers_needed(RATE, 0.1, split)
        for split in (HALVES, Split((3.0, 1.0)), Split((1.0, 1.0, 1.0)), Split((1.0,) * 4))
    ]
    assert needed == sorted(needed)
    assert len(set(needed)) == 4
    assert Split((1.0, 1.0, 1.0)).alpha == pytest.approx(0.02)


def test_the_table_says_for_each_week_what_would_be_known() -> None:
    rows = plan_table(STEADY, 0.1, HALVES, n_weeks=8)
    assert [row.week for row in rows] == list(range(1, 9))
    assert [row.n_shoppers for row in rows] == [14_000 * week for week in range(1, 9)]
    powers = [row.power for row in rows]
    assert powers == sorted(powers)
    # 36 days: not in five weeks, in six.
    assert powers[4] < 0.8 < powers[5]
    lifts = [row.smallest_lift for row in rows if row.smallest_lift is not None]
    assert lifts == sorted(lifts, reverse=True)
    assert lifts[4] > 0.1 > lifts[5]


def test_the_table_goes_beyond_the_planned_end() -> None:
    assert len(plan_sketch(STEADY, 0.1, HALVES).weeks) == 8
    assert len(plan_sketch(STEADY, 0.05, HALVES).weeks) == 22
    assert len(plan_sketch(STEADY, 0.01, HALVES).weeks) == 8


def test_money_is_planned_from_its_variance() -> None:
    revenue = GoalAfter(14, 420.0, 4_000_000.0, 20_000, 1_000)
    history = replace(STEADY, goal="revenue_per_shopper", horizons=(revenue,))
    sketch = plan_sketch(history, 0.2, HALVES)
    assert sketch.n_shoppers == shoppers_needed(revenue, 0.2, HALVES)
    assert "revenue per shopper" in sketch.words
    assert sketch.baseline == 420.0


def test_a_sketch_can_be_stored() -> None:
    stored = json.loads(json.dumps(plan_sketch(STEADY, 0.1, HALVES).as_json()))
    assert stored["n_days"] == 36
    assert stored["weeks"][0]["week"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Split((1.0,)),
        lambda: Split((1.0, 0.0)),
        lambda: Split((1.0, 1.0), coverage=0.0),
        lambda: plan_sketch(STEADY, 0.0, HALVES),
        lambda: plan_sketch(STEADY, -0.1, HALVES),
        lambda: plan_sketch(STEADY, float("nan"), HALVES),
    ],
)
def test_what_can_not_be_planned_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(InvalidInputError):
        wrong()
