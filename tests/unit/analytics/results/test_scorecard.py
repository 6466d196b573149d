"""Every metric of every arm, and every pair of arms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from analytics.metrics.concentration import gini
from analytics.metrics.definitions import DEFINITIONS
from analytics.metrics.latency import latency_counts, latency_interval, latency_quantile
from analytics.metrics.rates import wilson_interval
from analytics.results.document import Cell, Comparison, MetricResult, Results
from analytics.results.effects import Effects
from analytics.results.facts import Facts, Shown
from analytics.results.judgement import judge
from analytics.stats.bayesian import posterior_of
from analytics.stats.cuped import PairedSums, measure_adjusted
from analytics.stats.distinct import Coverage, coverage_of
from analytics.stats.effects import Effect, measure_effect, welch_test
from analytics.stats.multiple import holm
from analytics.stats.sequential import sequence_test
from analytics.stats.summaries import Proportion, RatioSums
from tests.unit.analytics.results.worlds import STARTED_AT, buyers, by_hand, facts_of, swapped

CONTROL, VARIANT = 10, 11


def metric(results: Results, key: str) -> MetricResult:
    return next(one for one in results.metrics if one.key == key)


def cell(results: Results, key: str, arm: int = 0) -> Cell:
    return metric(results, key).cells[arm]


def comparison(
    results: Results,
    key: str,
    *,
    scale: str = "relative",
    cuped: bool = False,
    variant: int = VARIANT,
    baseline: int = CONTROL,
) -> Comparison:
    return next(
        one
        for one in metric(results, key).comparisons
        if (one.variant_id, one.baseline_id, one.scale, one.cuped)
        == (variant, baseline, scale, cuped)
    )


@pytest.fixture(scope="module")
def facts() -> Facts:
    return facts_of(np.random.default_rng(11), 6000, arms=3, lift=(0.15, 0.0))


@pytest.fixture(scope="module")
def results(facts: Facts) -> Results:
    return judge(facts)


def test_every_metric_has_a_cell_per_arm_and_every_ordered_pair_on_both_scales(
    results: Results,
) -> None:
    assert [one.key for one in results.metrics] == list(DEFINITIONS)
    for one in results.metrics:
        assert [cell.variant_id for cell in one.cells] == [10, 11, 12]
        pairs = {(c.variant_id, c.baseline_id, c.scale, c.cuped) for c in one.comparisons}
        assert (
            len(pairs)
            == len(one.comparisons)
            == 3 * 2 * 2 * (2 if DEFINITIONS[one.key].cuped else 1)
        )


def test_roles_are_those_of_the_plan(results: Results) -> None:
    roles = {one.key: one.role for one in results.metrics}
    assert roles["conversion_rate"] == "goal"
    assert (roles["diversity"], roles["coverage"]) == ("guardrail", "guardrail")
    assert roles["novelty"] == roles["revenue_per_shopper"] == "secondary"


def test_a_world_worked_out_by_hand() -> None:
    facts = by_hand(
        [
            [{"n_orders": 2, "revenue_minor": 3000, "n_clicks": 1, "n_seen": 4}, {}],
            [
                {"n_orders": 1, "revenue_minor": 1000, "n_clicks": 2, "n_seen": 5},
                {"n_orders": 1, "revenue_minor": 2000, "n_seen": 5},
            ],
        ]
    )
    found = judge(facts)
    assert cell(found, "conversion_rate").value == 0.5
    assert (
        cell(found, "conversion_rate").numerator,
        cell(found, "conversion_rate").denominator,
    ) == (1, 2)
    # Three buyers: the 99.9th percentile of 1000, 2000, 3000 is 2998.
    assert cell(found, "revenue_per_shopper").value == pytest.approx(1499)
    assert cell(found, "revenue_per_shopper").uncapped == 1500
    assert cell(found, "average_order_value").value == 1500
    assert cell(found, "average_order_value", 1).value == 1500
    assert cell(found, "click_rate").value == 0.25
    assert cell(found, "click_rate", 1).value == 0.2
    assert (found.arms[0].n_orders, found.arms[0].n_buyers) == (2, 1)
    assert cell(found, "add_to_cart_rate").value == 0


def test_a_metric_without_anything_to_divide_by_is_missing_and_not_0(results: Results) -> None:
    nothing = judge(buyers((200, 30), (200, 30)))
    assert cell(nothing, "diversity").value is None
    assert cell(nothing, "diversity").missing == "no lists yet"
    assert comparison(nothing, "diversity").estimate is None
    assert (
        comparison(nothing, "diversity").missing == "the control arm has nothing to divide by yet"
    )
    assert cell(nothing, "latency").missing == "no answer yet"
    assert cell(nothing, "coverage").missing == "0 of 100 shoppers"


def test_lists_that_were_shown_and_have_no_value_say_what_they_need() -> None:
    facts = buyers((200, 30), (200, 30))
    measures = {**facts.days.measures, "n_slots": np.ones(400)}
    shown = judge(replace(facts, days=replace(facts.days, measures=measures)))
    needs = DEFINITIONS["diversity"].needs
    assert "content model" in needs
    assert cell(shown, "diversity").missing == comparison(shown, "diversity").missing == needs


def test_conversion_is_welch_on_the_lift_with_wilson_in_the_cells() -> None:
    found = judge(buyers((2000, 200), (2100, 252)))
    effect = measure_effect(Proportion(2000, 200), Proportion(2100, 252))
    assert isinstance(effect, Effect)
    test, sequence = welch_test(effect), sequence_test(effect, planned_shoppers=4100)
    one = comparison(found, "conversion_rate")
    assert (one.estimate, one.low, one.high) == (effect.estimate, test.low, test.high)
    assert (one.sequence_low, one.sequence_high) == (sequence.low, sequence.high)
    assert (one.p_value, one.sequence_p) == (test.p_value, sequence.p_value)
    assert one.chance_to_win == posterior_of(effect).chance_to_win
    assert one.loss_if_shipped == posterior_of(effect).loss_if_shipped
    assert one.loss_if_kept == posterior_of(effect).loss_if_kept
    assert (
        cell(found, "conversion_rate").low,
        cell(found, "conversion_rate").high,
    ) == wilson_interval(200, 2000)


def test_per_day_is_what_the_difference_is_for_everybody() -> None:
    found = judge(buyers((2000, 200), (2000, 240)))
    # 2 points more of 4,000 shoppers in 14 days.
    assert comparison(found, "conversion_rate", scale="absolute").per_day == pytest.approx(80 / 14)
    assert comparison(found, "conversion_rate").per_day is None
    assert comparison(found, "average_order_value", scale="absolute").per_day is None


def test_per_day_of_a_hold_out_reaches_those_with_recommendations() -> None:
    facts = buyers((500, 50), (9500, 1140))
    found = judge(replace(facts, plan=replace(facts.plan, kind="holdout")))
    # 2 points more of 9,500 shoppers in 14 days, whichever arm it is compared with.
    one = comparison(found, "conversion_rate", scale="absolute")
    assert one.per_day == pytest.approx(190 / 14)
    turned = next(
        each
        for each in metric(found, "conversion_rate").comparisons
        if (each.baseline_id, each.scale, each.cuped) == (VARIANT, "absolute", False)
    )
    assert turned.per_day == pytest.approx(-190 / 14)


def test_of_some_days_only_those_count_that_it_ran_in_them() -> None:
    facts = buyers((2000, 200), (2000, 240))
    pause = replace(facts.phases[0], ended_at=STARTED_AT + timedelta(days=11))
    after = replace(facts.phases[0], started_at=STARTED_AT + timedelta(days=12, hours=12))
    some = judge(replace(facts, phases=(pause, after), since=STARTED_AT + timedelta(days=10)))
    assert (some.days, some.power.days) == (2.5, 2.5)
    assert comparison(some, "conversion_rate", scale="absolute").per_day == pytest.approx(80 / 2.5)
    assert some.verdicts[0].missing == "2.5 of 7 days"


def test_cuped_takes_the_time_before_out() -> None:
    rng = np.random.default_rng(5)
    shoppers = []
    for _ in range(2):
        bought_before = rng.random(800) < 0.3
        bought = rng.random(800) < 0.1 + 0.5 * bought_before
        shoppers.append(
            [
                ({"n_orders": float(after)}, {"pre_orders": float(before)})
                for before, after in zip(bought_before, bought, strict=True)
            ]
        )
    found = judge(
        by_hand(
            [[after for after, _ in arm] for arm in shoppers],
            pre=[[before for _, before in arm] for arm in shoppers],
        )
    )
    sums = []
    for arm in shoppers:
        y = np.array([after["n_orders"] for after, _ in arm])
        x = np.array([before["pre_orders"] for _, before in arm])
        sums.append(PairedSums(len(y), y.sum(), y @ y, x.sum(), x @ x, x @ y))
    adjusted = measure_adjusted(*sums)
    one = comparison(found, "conversion_rate", cuped=True)
    assert not hasattr(adjusted, "words")
    assert one.estimate == pytest.approx(adjusted.effect.estimate)
    assert one.variance_reduction == pytest.approx(adjusted.variance_removed)
    assert one.variance_reduction is not None
    assert one.variance_reduction > 0.2
    assert comparison(found, "conversion_rate").variance_reduction is None


def test_one_huge_order_does_not_decide_revenue() -> None:
    def spending(huge: float) -> Results:
        rng = np.random.default_rng(3)
        arms = [
            [
                {"n_orders": 1.0, "revenue_minor": float(spent)}
                for spent in rng.integers(4000, 6000, 2000)
            ]
            for _ in range(2)
        ]
        arms[1][0]["revenue_minor"] = huge
        return judge(by_hand(arms))

    usual, huge = spending(5000), spending(50_000_000)
    before, after = (
        comparison(usual, "revenue_per_shopper"),
        comparison(huge, "revenue_per_shopper"),
    )
    assert before.estimate == pytest.approx(after.estimate, abs=0.001)
    assert before.p_value == pytest.approx(after.p_value, abs=0.1)
    capped, uncapped = (
        cell(huge, "revenue_per_shopper", 1).value,
        cell(huge, "revenue_per_shopper", 1).uncapped,
    )
    assert capped is not None
    assert uncapped is not None
    assert capped < 5100
    assert uncapped > 29_000


def test_ratios_and_means_are_those_of_the_statistics_called_directly(
    facts: Facts, results: Results
) -> None:
    totals = {
        name: np.bincount(facts.days.participant, column, minlength=len(facts.participants))
        for name, column in facts.days.measures.items()
    }
    for key, numerator, denominator in (
        ("click_rate", "n_clicks", "n_seen"),
        ("average_order_value", "revenue_minor", "n_orders"),
        ("diversity", "diversity_sum", "n_diversity"),
        ("novelty", "novelty_sum", "n_novelty"),
        ("serendipity", "serendipity_sum", "n_serendipity"),
        ("calibration", "calibration_sum", "n_calibration"),
        ("empty_rate", "n_empty", "n_impressions"),
        ("fallback_rate", "n_fallback_slots", "n_slots"),
    ):
        arms = []
        for arm in (0, 1):
            m, d = (
                totals[name][facts.participants.arm == arm] for name in (numerator, denominator)
            )
            arms.append(RatioSums(len(m), m.sum(), m @ m, d.sum(), d @ d, m @ d))
        effect = measure_effect(*arms)
        assert isinstance(effect, Effect)
        assert comparison(results, key).estimate == pytest.approx(effect.estimate, rel=1e-9)
        assert comparison(results, key).low == pytest.approx(welch_test(effect).low, rel=1e-6)
        assert cell(results, key).value == pytest.approx(arms[0].mean)


def test_where_less_is_better_a_fall_is_likely_to_win() -> None:
    told = [
        [{"n_empty": float(i < empty), "n_impressions": 1.0} for i in range(1000)]
        for empty in (100, 50)
    ]
    one = comparison(judge(by_hand(told)), "empty_rate")
    assert one.estimate == -0.5
    assert one.chance_to_win is not None
    assert one.chance_to_win > 0.99
    assert one.loss_if_shipped is not None
    assert one.loss_if_kept is not None
    assert one.loss_if_shipped < one.loss_if_kept


def test_holm_runs_over_goal_by_variants_and_secondary_by_variants(results: Results) -> None:
    goal = [comparison(results, "conversion_rate", variant=v) for v in (11, 12)]
    expected = holm([one.p_value for one in goal if one.p_value is not None])
    assert [one.p_adjusted for one in goal] == list(expected)
    secondary = [
        comparison(results, one.key, variant=v)
        for one in results.metrics
        if one.role == "secondary"
        for v in (11, 12)
    ]
    tested = [one for one in secondary if one.p_value is not None]
    assert [one.p_adjusted for one in tested] == list(
        holm([one.p_value for one in tested if one.p_value is not None])
    )
    assert comparison(results, "diversity").p_adjusted is None


def test_coverage_is_compared_at_equally_many_shoppers() -> None:
    facts = facts_of(np.random.default_rng(4), 3000, weights=(0.2, 0.8), n_products=3000)
    found = judge(facts)
    small, large = cell(found, "coverage"), cell(found, "coverage", 1)
    assert small.value is not None
    assert large.value is not None
    # More shoppers were shown more, and yet the arms are alike.
    assert large.value > small.value * 1.4
    one = comparison(found, "coverage")
    assert one.low is not None
    assert one.high is not None
    assert one.low < 0 < one.high
    concentrated = comparison(found, "concentration")
    assert concentrated.low is not None
    assert concentrated.high is not None
    assert concentrated.low < 0 < concentrated.high


def test_coverage_and_concentration_of_an_arm_are_those_of_all_its_shoppers(
    facts: Facts, results: Results
) -> None:
    shown = facts.shown
    rows = facts.participants.arm[shown.participant] == 0
    expected = coverage_of(
        shown.participant[rows], shown.product[rows], n_products=shown.n_products
    )
    assert isinstance(expected, Coverage)
    found = cell(results, "coverage")
    assert (found.numerator, found.denominator) == (expected.n_distinct, shown.n_products)
    assert (found.low, found.high) == expected.interval()
    times = np.bincount(shown.product[rows], shown.times[rows], minlength=shown.n_products)
    assert cell(results, "concentration").value == pytest.approx(gini(times))


def test_an_arm_that_is_shown_less_of_the_catalog_is_found_out() -> None:
    facts = facts_of(np.random.default_rng(8), 3000, n_products=2000)
    narrow = facts.participants.arm[facts.shown.participant] == 1
    product = np.where(narrow, facts.shown.product % 300, facts.shown.product)
    merged = Shown(facts.shown.participant, product, facts.shown.times, 2000)
    found = judge(replace(facts, shown=merged))
    high, low = comparison(found, "coverage").high, comparison(found, "concentration").low
    assert high is not None
    assert high < -0.5
    assert low is not None
    assert low > 0


def test_latency_is_a_percentile_with_order_statistics() -> None:
    rng = np.random.default_rng(2)
    slow = np.array(
        [latency_counts(rng.lognormal(8.5 + add, 0.4, 5000).astype(np.int64)) for add in (0, 0.2)]
    )
    found = judge(replace(buyers((500, 50), (500, 50)), latency=slow))
    assert cell(found, "latency").value == latency_quantile(slow[0], 0.95)
    assert (cell(found, "latency").low, cell(found, "latency").high) == latency_interval(
        slow[0], 0.95
    )
    one = comparison(found, "latency")
    assert one.estimate == pytest.approx(np.exp(0.2) - 1, abs=0.08)
    assert one.low is not None
    assert one.low > 0
    assert one.chance_to_win is not None
    assert one.chance_to_win < 0.01


def test_with_the_arms_swapped_the_absolute_differences_turn_around() -> None:
    facts = facts_of(np.random.default_rng(6), 3000, lift=0.2, weights=(0.3, 0.7))
    there, back = judge(facts), judge(swapped(facts))
    for key, definition in DEFINITIONS.items():
        for cuped in (False, True) if definition.cuped else (False,):
            one = comparison(there, key, scale="absolute", cuped=cuped)
            other = comparison(back, key, scale="absolute", cuped=cuped, variant=10, baseline=11)
            assert one.estimate == pytest.approx(-(other.estimate or 0), rel=1e-9)
            assert one.p_value == pytest.approx(other.p_value, rel=1e-6)


def test_the_planned_size_is_that_of_the_start_whatever_became_of_the_weights() -> None:
    facts = facts_of(np.random.default_rng(6), 900, arms=3, planned_shoppers=9000, with_shown=False)
    moved = tuple(
        replace(arm, share=share) for arm, share in zip(facts.arms, (0.6, 0.3, 0.1), strict=True)
    )
    later = replace(facts.phases[0], weights=(0.6, 0.3, 0.1))
    effects = Effects(replace(facts, arms=moved, phases=(*facts.phases, later)))
    assert effects.planned_shoppers(0, 2) == pytest.approx(6000)


def test_a_bandit_shows_chances_and_no_lift() -> None:
    facts = facts_of(np.random.default_rng(6), 3000, kind="bandit", with_shown=False)
    one = comparison(judge(facts), "conversion_rate")
    assert one.estimate is None
    assert one.missing == "a bandit's shares change over time, so no lift is read from it"
    assert one.chance_to_win is not None


def test_money_that_nobody_spent_has_no_interval() -> None:
    found = judge(buyers((200, 0), (200, 0)))
    assert cell(found, "revenue_per_shopper").value == 0
    assert cell(found, "revenue_per_shopper").low is None
    assert cell(found, "revenue_per_shopper").missing == "all 200 shoppers are alike so far"
