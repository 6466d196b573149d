"""How effects developed, checked against the same world cut off at each day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from analytics.results.document import Results
from analytics.results.facts import Days, Facts
from analytics.results.funnel import exposures
from analytics.results.judgement import judge
from analytics.results.series import GOAL_METRICS, MOST_POINTS
from tests.unit.analytics.results.test_scorecard import comparison
from tests.unit.analytics.results.worlds import (
    buyers,
    day_of,
    facts_of,
    nobody,
    participants_at,
    until,
)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return facts_of(
        np.random.default_rng(31), 4000, arms=3, lift=(0.2, 0.0), days=12, with_shown=False
    )


@pytest.fixture(scope="module")
def results(facts: Facts) -> Results:
    return judge(facts)


def locked(results: Results, key: str, variant: int = 11):  # type: ignore[no-untyped-def]
    """The comparison that the plan is about."""
    cuped = key in ("conversion_rate", "revenue_per_shopper", "add_to_cart_rate")
    return comparison(results, key, cuped=cuped, variant=variant)


def test_there_is_a_series_for_every_goal_metric_and_variant(results: Results) -> None:
    assert [(one.metric, one.variant_id) for one in results.series] == [
        (metric, variant) for metric in GOAL_METRICS for variant in (11, 12)
    ]
    assert all(len(one.cumulative) == len(one.by_age) == 12 for one in results.series)


def test_the_last_day_is_the_scorecard(results: Results) -> None:
    for one in results.series:
        last, now = one.cumulative[-1], locked(results, one.metric, one.variant_id)
        assert last.estimate == pytest.approx(now.estimate, rel=1e-9)
        assert last.low == pytest.approx(now.low, rel=1e-6)
        assert last.sequence_high == pytest.approx(now.sequence_high, rel=1e-6)


@pytest.mark.parametrize("day", [3, 8])
@pytest.mark.parametrize(
    "key", ["conversion_rate", "add_to_cart_rate", "click_rate", "average_order_value"]
)
def test_a_day_is_what_was_known_then(facts: Facts, results: Results, day: int, key: str) -> None:
    then = locked(judge(until(facts, day)), key)
    series = next(one for one in results.series if one.metric == key)
    point = series.cumulative[day - 1]
    assert point.day == day_of(facts, day - 1)
    assert point.estimate == pytest.approx(then.estimate, rel=1e-9)
    assert point.low == pytest.approx(then.low, rel=1e-6)
    assert point.n_shoppers == int(
        ((facts.participants.day < day) & (facts.participants.arm < 2)).sum()
    )


@pytest.mark.parametrize("age", [0, 4])
def test_an_age_is_what_those_who_are_old_enough_did_by_then(
    facts: Facts, results: Results, age: int
) -> None:
    people, last = facts.participants, 11
    old = np.flatnonzero(last - people.day >= age)
    new_row = np.full(len(people), -1)
    new_row[old] = np.arange(len(old))
    row_age = facts.days.day - people.day[facts.days.participant]
    rows = np.flatnonzero((row_age <= age) & (new_row[facts.days.participant] >= 0))
    days = Days(
        new_row[facts.days.participant[rows]],
        facts.days.day[rows],
        {name: column[rows] for name, column in facts.days.measures.items()},
    )
    alone = judge(replace(facts, participants=participants_at(people, old), days=days))
    for key in ("conversion_rate", "click_rate"):
        point = next(one for one in results.series if one.metric == key).by_age[age]
        assert point.estimate == pytest.approx(locked(alone, key).estimate, rel=1e-9)
        assert point.high == pytest.approx(locked(alone, key).high, rel=1e-6)
        assert point.n_shoppers == int((people.arm[old] < 2).sum())


def test_a_day_without_an_effect_is_a_gap_and_not_0() -> None:
    facts = buyers((500, 0), (500, 40))
    point = judge(facts).series[0].cumulative[0]
    assert (point.estimate, point.low, point.n_shoppers) == (None, None, 1000)


def test_long_tests_are_thinned_out_and_keep_their_newest_day() -> None:
    facts = facts_of(np.random.default_rng(1), 900, days=400, with_shown=False)
    series = judge(facts).series[0]
    assert len(series.cumulative) <= MOST_POINTS
    assert series.cumulative[-1].at == 399
    assert series.cumulative[0].at < 5


def test_exposures_are_counted_per_day_and_arm_with_empty_days(facts: Facts) -> None:
    days = exposures(facts)
    assert [one.day for one in days] == [day_of(facts, i) for i in range(12)]
    assert sum(sum(one.counts) for one in days) == 4000
    assert days[4].counts == tuple(
        int(((facts.participants.day == 4) & (facts.participants.arm == arm)).sum())
        for arm in range(3)
    )
    assert exposures(nobody()) == ()
    late = replace(buyers((2, 1), (2, 1)), last_day=day_of(facts, 0) + timedelta(days=2))
    assert [one.counts for one in exposures(late)] == [(2, 2), (0, 0), (0, 0)]


def test_the_funnel_counts_each_step_over_all_exposed(facts: Facts, results: Results) -> None:
    people, measures = facts.participants, facts.days.measures
    for i, arm in enumerate(results.funnel):

        def took(name: str, position: int = i) -> int:
            did = np.unique(facts.days.participant[measures[name] > 0])
            return int((people.arm[did] == position).sum())

        assert arm.exposed == int((people.arm == i).sum())
        assert (arm.delivered, arm.seen, arm.clicked) == (
            took("n_impressions"),
            took("n_seen"),
            took("n_clicks"),
        )
        assert (arm.carted, arm.bought) == (took("n_carts"), took("n_orders"))
        in_arm = people.arm[facts.days.participant] == i
        assert arm.n_seen == measures["n_seen"][in_arm].sum()


def test_segments_are_the_metric_of_their_shoppers_with_holm_over_all(
    facts: Facts, results: Results
) -> None:
    names = [(one.dimension, one.segment) for one in results.segments if one.variant_id == 11]
    assert names == [
        ("device", "desktop"),
        ("device", "mobile"),
        ("device", "tablet"),
        ("visitor", "new"),
        ("visitor", "returning"),
        ("placement", "home-for-you"),
        ("placement", "product-similar"),
    ]
    mobile = next(one for one in results.segments if one.segment == "mobile")
    rows = facts.participants.device == 1
    bought = np.bincount(
        facts.days.participant, facts.days.measures["n_orders"], minlength=len(rows)
    )
    control = rows & (facts.participants.arm == 0)
    assert mobile.n_control == int(control.sum())
    assert mobile.control == pytest.approx((bought[control] > 0).mean())
    assert all(one.p_adjusted is not None and one.p_adjusted >= 0 for one in results.segments)


def test_a_small_segment_shows_its_values_and_says_what_is_missing() -> None:
    results = judge(facts_of(np.random.default_rng(2), 500, with_shown=False))
    tablet = next(one for one in results.segments if one.segment == "tablet")
    assert tablet.value is not None
    assert tablet.estimate is None
    assert tablet.missing is not None
    assert tablet.missing.endswith("of 100 shoppers in the smaller arm")


def test_the_power_panel_knows_what_is_left() -> None:
    facts = facts_of(
        np.random.default_rng(3),
        4000,
        days=10,
        planned_days=14,
        smallest_lift=0.2,
        with_shown=False,
    )
    power = judge(facts).power
    assert (power.n_shoppers, power.planned_days, power.days) == (4000, 14, 10)
    assert power.shoppers_per_day == pytest.approx(400, rel=0.05)
    assert power.smallest_lift_now is not None
    assert power.smallest_lift_now > 0.2
    assert power.progress is not None
    assert 0.2 < power.progress < 1
    assert power.days_left == 4
    # The shoppers that are missing, at today's traffic.
    assert power.days_to_find == pytest.approx(10 / power.progress - 10, rel=0.15)
    assert [week.week for week in power.weeks] == [1, 2, 3, 4]
    assert [week.n_shoppers for week in power.weeks][1] == pytest.approx(5600, rel=0.05)
    powers = [week.power for week in power.weeks]
    assert powers == sorted(powers, key=lambda each: each or 0)


def test_the_power_panel_says_why_it_has_nothing_to_say() -> None:
    assert judge(nobody()).power.missing == "no shopper in the control arm yet"
    bandit = facts_of(np.random.default_rng(3), 400, kind="bandit", with_shown=False)
    assert judge(bandit).power.missing == "a bandit and an interleaving have no planned size"
