"""The health strip: what is planted is found, what is fine stays quiet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from analytics.results.document import Check, Results
from analytics.results.effects import Effects
from analytics.results.facts import Facts, PhaseFacts
from analytics.results.judgement import judge
from analytics.results.novelty import novelty_checks
from analytics.stats.health import sample_ratio
from tests.unit.analytics.results.worlds import STARTED_AT, buyers, facts_of, nobody

KEYS = ["split", "crossover", "bias", "duplicates", "lost", "silent", "bots", "novelty", "minimum"]


def check(results: Results, key: str) -> Check:
    return next(one for one in results.health.checks if one.key == key)


def phased(facts: Facts, *phases: tuple[tuple[float, ...], tuple[int, ...]]) -> Facts:
    """Two days each, one after the other."""
    told = [
        PhaseFacts(
            STARTED_AT + timedelta(days=2 * i),
            STARTED_AT + timedelta(days=2 * i + 2),
            weights,
            exposed,
        )
        for i, (weights, exposed) in enumerate(phases)
    ]
    return replace(facts, phases=tuple(told))


def counted(facts: Facts, **by_arm: tuple[int, ...]) -> Facts:
    """With counts of the arms."""
    arms = [
        replace(arm, **{name: counts[i] for name, counts in by_arm.items()})  # type: ignore[arg-type]
        for i, arm in enumerate(facts.arms)
    ]
    return replace(facts, arms=tuple(arms))


FINE = facts_of(np.random.default_rng(21), 6000, with_shown=False, days=28)


def test_every_check_is_there_with_words() -> None:
    results = judge(FINE)
    assert [one.key for one in results.health.checks] == KEYS
    assert all(one.words.endswith(".") and one.title for one in results.health.checks)
    assert {one.alarm for one in results.health.checks} == {"none"}
    assert results.health.alarm == "none"


def test_before_anybody_came_the_checks_are_unknown_and_not_fine() -> None:
    results = judge(nobody())
    assert {one.alarm for one in results.health.checks} == {"unknown"}
    assert results.health.alarm == "unknown"
    assert results.health.split_p is None


def test_a_planted_split_error_is_red_and_shows_what_was_expected() -> None:
    results = judge(replace(FINE, phases=(replace(FINE.phases[0], exposed=(3400, 2600)),)))
    assert check(results, "split").alarm == "red"
    assert results.health.alarm == "red"
    assert results.status == "unhealthy"
    assert [verdict.advice for verdict in results.verdicts] == ["distrust"]
    assert list(results.health.phases[0].expected) == [3000.0, 3000.0]
    assert results.health.phases[0].observed == (3400, 2600)


def test_phases_are_judged_each_by_its_own_weights() -> None:
    ramped = phased(FINE, ((0.9, 0.1), (900, 100)), ((0.5, 0.5), (2000, 2000)))
    assert check(judge(ramped), "split").alarm == "none"
    together = replace(ramped, phases=(replace(ramped.phases[1], exposed=(2900, 2100)),))
    assert check(judge(together), "split").alarm == "red"


def test_chi_squared_is_added_up_over_phases_and_pauses_are_none() -> None:
    first, second = sample_ratio([930, 70], [0.9, 0.1]), sample_ratio([2050, 1950], [0.5, 0.5])
    facts = phased(FINE, ((0.9, 0.1), (930, 70)), ((0.5, 0.5), (1000, 960)), ((1, 1), (1050, 990)))
    split_p = judge(facts).health.split_p
    assert split_p is not None
    chi_squared = first.chi_squared + second.chi_squared  # type: ignore[union-attr]
    # Two degrees of freedom: exp(-χ²/2).
    assert split_p == pytest.approx(np.exp(-chi_squared / 2))


def test_a_running_test_is_alarmed_by_the_p_value_that_holds_at_every_look() -> None:
    # p = .0008 at this look alone, some looks in a thousand tests would show it.
    exposed = (3130, 2870)
    facts = replace(FINE, phases=(replace(FINE.phases[0], exposed=exposed),))
    one_look = sample_ratio(exposed, (1, 1))
    assert one_look.alarm == "red"  # type: ignore[union-attr]
    assert check(judge(facts), "split").alarm != "red"
    assert check(judge(replace(facts, state="stopped")), "split").alarm == "red"


@pytest.mark.parametrize(("crossed", "alarm"), [(29, "none"), (31, "amber")])
def test_crossovers_warn_at_one_per_cent(crossed: int, alarm: str) -> None:
    facts = counted(buyers((1500, 200), (1500, 200)), n_crossovers=(crossed, 0))
    one = check(judge(facts), "crossover")
    assert one.alarm == alarm
    assert one.words.startswith(f"{crossed} shoppers of {3000 + crossed:,}")


def test_moving_shoppers_is_no_fault_of_a_bandit() -> None:
    facts = counted(buyers((1500, 200), (1500, 200)))
    one = check(judge(replace(facts, plan=replace(facts.plan, kind="bandit"))), "crossover")
    assert one.alarm == "none"
    assert "by design" in one.words


@pytest.mark.parametrize(("factor", "alarms"), [(1.0, {"none"}), (1.6, {"amber", "red"})])
def test_a_planted_difference_before_the_test_is_found(factor: float, alarms: set[str]) -> None:
    people = FINE.participants
    pre: Mapping[str, np.ndarray] = {
        **people.pre,
        "pre_revenue_minor": people.pre["pre_revenue_minor"]
        * np.where(people.arm == 1, factor, 1.0),
        "pre_orders": people.pre["pre_orders"] * np.where(people.arm == 1, factor, 1.0),
    }
    results = judge(replace(FINE, participants=replace(people, pre=pre)))
    assert check(results, "bias").alarm in alarms
    if factor > 1:
        assert "Bold had" in check(results, "bias").words
        assert "more" in check(results, "bias").words


def test_arms_that_differed_for_certain_before_are_not_to_be_trusted() -> None:
    people = FINE.participants
    pre = {
        **people.pre,
        "pre_orders": people.pre["pre_orders"] * np.where(people.arm == 1, 3.0, 1.0),
    }
    results = judge(replace(FINE, participants=replace(people, pre=pre)))
    assert check(results, "bias").alarm == "red"
    assert results.status == "unhealthy"
    assert results.headline.startswith(
        "Don't trust Bold: the arms differed before the test. In the 14 days before anybody was"
        " exposed Bold had"
    )


@pytest.mark.parametrize(
    ("key", "name", "alike", "unlike"),
    [
        ("duplicates", "n_duplicate_orders", (5, 6), (0, 40)),
        ("lost", "n_unlogged", (9, 11), (2, 60)),
        ("silent", "n_silent", (900, 910), (700, 1000)),
    ],
)
def test_what_is_measured_unlike_in_the_arms_is_amber(
    key: str, name: str, alike: tuple[int, ...], unlike: tuple[int, ...]
) -> None:
    quiet = check(judge(counted(FINE, **{name: alike})), key)
    loud = check(judge(counted(FINE, **{name: unlike})), key)
    assert (quiet.alarm, loud.alarm) == ("none", "amber")
    assert "The arms differ (p" in loud.words
    assert f"Bold {unlike[1]:,} (" in loud.words


@pytest.mark.parametrize(("key", "name"), [("lost", "n_unlogged"), ("silent", "n_silent")])
def test_a_share_is_of_those_who_count(key: str, name: str) -> None:
    facts = counted(FINE, **{name: (30, 30)}, n_bots=(1000, 1000), n_crossovers=(500, 500))
    assert check(judge(facts), key).value == pytest.approx(60 / len(FINE.participants))


def test_many_machines_are_amber() -> None:
    assert check(judge(counted(FINE, n_bots=(100, 110))), "bots").alarm == "none"
    assert check(judge(counted(FINE, n_bots=(1000, 1100))), "bots").alarm == "amber"


def test_an_effect_that_wears_off_is_found() -> None:
    rng = np.random.default_rng(5)
    facts = facts_of(rng, 20_000, lift=0.0, days=28, with_shown=False, rate=0.2)
    age = facts.days.day - facts.participants.day[facts.days.participant]
    in_variant = facts.participants.arm[facts.days.participant] == 1
    # Half again as many buyers of the variant in each shopper's first week, nothing later.
    extra = in_variant & (age < 7) & (rng.random(len(age)) < 0.06)
    orders = np.where(extra, 1.0, facts.days.measures["n_orders"])
    days = replace(facts.days, measures={**facts.days.measures, "n_orders": orders})
    assert check(judge(facts), "novelty").alarm == "none"
    found = check(judge(replace(facts, days=days)), "novelty")
    assert found.alarm == "amber"
    assert found.words.startswith("The effect changes with time. Bold: +")


@pytest.mark.slow
def test_the_novelty_check_is_wrong_as_rarely_as_it_says() -> None:
    """400 worlds in which nothing changes: p below .05 in 2 … 8 %."""
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(400):
        facts = facts_of(rng, 3000, lift=0.1, days=21, rate=0.4, with_shown=False)
        p_values.append(novelty_checks(Effects(facts))[0].p_value)
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.08


def test_the_minimum_is_unknown_while_it_runs_and_amber_at_the_end() -> None:
    few = buyers((60, 6), (50, 6))
    running = check(judge(replace(few, now=STARTED_AT + timedelta(days=5))), "minimum")
    ended = check(judge(replace(few, is_planned_end=True)), "minimum")
    assert (running.alarm, ended.alarm) == ("unknown", "amber")
    assert running.words == (
        "Not reached yet: 5 days (at least 7), 50 shoppers in the smallest arm (at least 100), 6 who"
        " converted there (at least 25) and 110 of 110 planned shoppers."
    )
