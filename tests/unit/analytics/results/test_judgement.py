"""Whatever the facts, there is a document; what it says doesn't depend on how they are ordered."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.results.concentration import Concentration, concentration_of
from analytics.results.document import Comparison, Results, results_json, results_read
from analytics.results.facts import Days, Facts, Found, Participants, Shown, VoteFacts
from analytics.results.judgement import judge
from analytics.results.verdicts import verdict_of
from analytics.stats.decision import Verdict
from tests.unit.analytics.results.worlds import (
    STARTED_AT,
    buyers,
    by_hand,
    facts_of,
    nobody,
    participants_at,
    swapped,
    until,
)

MODULES = (
    "concentration", "effects", "funnel", "guards", "health", "incremental", "judgement", "lists", "novelty",
    "power_panel", "preferred", "scorecard", "segments", "series", "split", "status", "sums",
    "verdict_words", "verdicts", "words",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_are_true(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(f"analytics.results.{name}"))
    assert not tried.failed
    assert tried.attempted or name not in ("words", "concentration")


def test_judging_needs_no_framework() -> None:
    code = (
        "import sys, analytics.results.judgement\n"
        "print(sorted({'django', 'celery', 'redis', 'psycopg', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def stored(results: Results) -> Results:
    """As it comes back from the database."""
    return results_read(json.loads(json.dumps(results_json(results))))


def test_a_document_comes_back_from_the_database_as_it_was() -> None:
    results = judge(facts_of(np.random.default_rng(1), 900, arms=4, lift=0.2))
    assert stored(results) == results
    assert stored(judge(nobody())) == judge(nobody())


def test_nothing_at_all_is_a_document_with_words() -> None:
    results = judge(nobody())
    assert results.status == "no_data"
    assert all(cell.value is None for metric in results.metrics for cell in metric.cells)
    assert all(cell.missing for metric in results.metrics for cell in metric.cells)
    assert all(one.missing for metric in results.metrics for one in metric.comparisons)
    assert (results.series, results.exposures) == ((), ())


def test_an_empty_arm_leaves_the_others_their_numbers() -> None:
    results = judge(buyers((2000, 200), (0, 0), (2000, 320), now=STARTED_AT))
    conversion = results.metrics[0]
    assert [cell.value for cell in conversion.cells] == [0.1, None, 0.16]
    estimates = {(c.variant_id, c.baseline_id, c.scale, c.cuped): c for c in conversion.comparisons}
    assert estimates[12, 10, "relative", False].estimate == pytest.approx(0.6)
    assert estimates[11, 10, "relative", False].missing == "no shopper in the treatment arm yet"
    assert estimates[12, 11, "relative", False].missing == "no shopper in the control arm yet"


def test_the_fast_path_says_what_the_document_says() -> None:
    facts = facts_of(np.random.default_rng(3), 8000, arms=3, lift=(0.3, 0.0))
    for day in (5, 10, 14):
        look = until(facts, day)
        quick, whole = verdict_of(look), judge(look).verdicts
        assert [(v.state, v.found_by, v.p_any_look, v.p_at_end) for v in quick] == [
            (v.state, v.found_by, v.p_any_look, v.p_at_end) for v in whole
        ]


def test_the_order_of_rows_is_nothing() -> None:
    rng = np.random.default_rng(4)
    facts = facts_of(rng, 700)
    order, pairs = rng.permutation(len(facts.days.day)), rng.permutation(len(facts.shown.product))
    mixed = replace(
        facts,
        days=Days(
            facts.days.participant[order],
            facts.days.day[order],
            {name: column[order] for name, column in facts.days.measures.items()},
        ),
        shown=replace(
            facts.shown,
            participant=facts.shown.participant[pairs],
            product=facts.shown.product[pairs],
            times=facts.shown.times[pairs],
        ),
    )
    first, second = judge(facts), judge(mixed)
    assert first.headline == second.headline
    for metric, other in zip(first.metrics, second.metrics, strict=True):
        for one, two in zip(metric.comparisons, other.comparisons, strict=True):
            assert one.estimate == pytest.approx(two.estimate, rel=1e-9)


METRICS = (
    "conversion_rate", "revenue_per_shopper", "average_order_value", "add_to_cart_rate", "click_rate",
)  # fmt: skip


@st.composite
def small_facts(draw: st.DrawFn) -> Facts:
    """Any small world: few shoppers, odd values, any kind, state and moment."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, arms = draw(st.integers(0, 260)), draw(st.integers(2, 4))
    days = draw(st.integers(1, 30))
    facts = facts_of(
        rng,
        n,
        arms=arms,
        lift=draw(st.sampled_from([0.0, 2.0, -1.0])),
        days=days,
        rate=draw(st.sampled_from([0.0, 0.02, 0.5, 1.0])),
        kind=draw(st.sampled_from(["ab", "aa", "bandit", "interleaving", "holdout"])),
        primary=draw(st.sampled_from(METRICS)),
        guardrails=[
            (key, 0.05)
            for key in ("diversity", "coverage", "latency", "empty_rate", "concentration")
        ],
        smallest_lift=draw(st.sampled_from([0.0, 0.01, 0.5])),
        planned_days=draw(st.integers(1, 40)),
        cuped=draw(st.booleans()),
        state=draw(st.sampled_from(["draft", "running", "paused", "stopped"])),
        is_planned_end=draw(st.booleans()),
        n_products=draw(st.sampled_from([1, 5, 300])),
    )
    if draw(st.booleans()) and n:
        # An arm that nobody is in, or one with a single shopper.
        kept = np.flatnonzero(facts.participants.arm != 1)
        if draw(st.booleans()):
            kept = np.sort(np.append(kept, np.flatnonzero(facts.participants.arm == 1)[:1]))
        facts = only(facts, kept)
    if draw(st.booleans()):
        measures = {
            name: column * rng.integers(0, 3) for name, column in facts.days.measures.items()
        }
        facts = replace(facts, days=replace(facts.days, measures=measures))
    if draw(st.booleans()):
        facts = replace(facts, found={11: Found("worse", "sequence", STARTED_AT)})
    if draw(st.booleans()):
        planless = replace(facts.plan, planned_shoppers=None)
        facts = replace(facts, plan=planless, phases=(), started_at=None, ends_at=None)
    cast = tuple(map(tuple, rng.integers(0, 3, (draw(st.integers(0, 20)), 2)).tolist()))
    return replace(facts, votes=VoteFacts(cast))


def only(facts: Facts, kept: np.ndarray) -> Facts:
    """Some of the participants."""
    new_row = np.full(len(facts.participants), -1)
    new_row[kept] = np.arange(len(kept))
    rows = new_row[facts.days.participant] >= 0
    pairs = new_row[facts.shown.participant] >= 0
    people: Participants = participants_at(facts.participants, kept)
    return replace(
        facts,
        participants=people,
        days=Days(
            new_row[facts.days.participant[rows]],
            facts.days.day[rows],
            {name: column[rows] for name, column in facts.days.measures.items()},
        ),
        shown=Shown(
            new_row[facts.shown.participant[pairs]],
            facts.shown.product[pairs],
            facts.shown.times[pairs],
            facts.shown.n_products,
        ),
    )


def numbers(one: Comparison) -> list[float]:
    return [
        value for name in one.__struct_fields__ if isinstance(value := getattr(one, name), float)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_facts())
def test_judging_never_fails_and_never_answers_with_what_isnt_a_number(facts: Facts) -> None:
    results = judge(facts)
    assert stored(results) == results
    assert results.headline
    for metric in results.metrics:
        for one in metric.comparisons:
            assert (one.estimate is None) == (one.missing is not None)
            assert np.isfinite(numbers(one)).all()
        for cell in metric.cells:
            assert cell.value is not None or cell.missing
            if cell.low is not None and cell.high is not None and cell.value is not None:
                assert cell.low <= cell.value + 1e-9
                assert cell.value <= cell.high + 1e-9
    assert b"NaN" not in msgspec.json.encode(results)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_facts())
def test_with_the_arms_swapped_absolute_estimates_turn_around(facts: Facts) -> None:
    there, back = judge(facts), judge(swapped(facts))
    for metric, other in zip(there.metrics, back.metrics, strict=True):
        turned = {
            (c.variant_id, c.baseline_id, c.cuped): c
            for c in other.comparisons
            if c.scale == "absolute"
        }
        for one in metric.comparisons:
            if one.scale == "absolute" and one.estimate is not None:
                opposite = turned[one.baseline_id, one.variant_id, one.cuped].estimate
                assert opposite == pytest.approx(-one.estimate, rel=1e-6, abs=1e-9)


def found(verdicts: tuple[Verdict, ...]) -> bool:
    return any(verdict.state in ("better", "worse") for verdict in verdicts)


@pytest.mark.slow
def test_twenty_looks_at_equal_arms_find_a_difference_in_at_most_five_of_a_hundred() -> None:
    """200 A/A tests with 20 looks; the band is 0 … 8 %, four simulation errors above 4.5 % is 10."""
    rng = np.random.default_rng(77)
    wrong = 0
    for _ in range(200):
        facts = facts_of(rng, 3000, days=26, with_shown=False, guardrails=())
        wrong += any(found(verdict_of(until(facts, day))) for day in range(7, 27))
    assert wrong <= 16


@pytest.mark.parametrize(("n_shoppers", "n_products"), [(150, 3000), (1500, 1000)])
def test_intervals_of_concentration_hold_it_as_often_as_they_say(
    n_shoppers: int, n_products: int
) -> None:
    """300 arms: 92 … 98 % hold the mean over all arms of their size."""
    rng = np.random.default_rng(n_shoppers)
    popularity = 1 / np.arange(1, n_products + 1) ** 0.7
    trials = []
    for _ in range(300):
        shoppers = np.repeat(np.arange(n_shoppers), 6 * (1 + rng.poisson(0.8, n_shoppers)))
        products = rng.choice(n_products, len(shoppers), p=popularity / popularity.sum())
        pairs, times = np.unique(shoppers * n_products + products, return_counts=True)
        trial = concentration_of(
            pairs // n_products, pairs % n_products, times.astype(np.int64), n_products=n_products
        )
        assert isinstance(trial, Concentration)
        trials.append(trial)
    truth = np.mean([trial.gini for trial in trials])
    held = np.mean([low <= truth <= high for low, high in (t.interval() for t in trials)])
    assert 0.92 <= held <= 0.98


def test_a_shopper_who_did_nothing_counts() -> None:
    told = [[{"n_orders": 1.0}] * 30 + [{}] * 970, [{"n_orders": 1.0}] * 60 + [{}] * 940]
    facts = by_hand(told)
    did = np.flatnonzero(facts.days.measures["n_orders"] > 0)
    few_rows = Days(
        facts.days.participant[did],
        facts.days.day[did],
        {name: column[did] for name, column in facts.days.measures.items()},
    )
    assert judge(replace(facts, days=few_rows)).metrics[0] == judge(facts).metrics[0]
