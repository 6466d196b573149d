"""How often a verdict is wrong, and how often a real difference is found: simulated experiments.

Experiments are made up shopper by shopper and judged by the code that judges real ones
(`analytics.results`), from the arrays that the database would have given.

* A/A: both arms alike, 20 looks on 20 days. A false verdict is one at any of them.
* Power: from 5.0 % to 5.5 % of shoppers who buy, 31,234 per arm.
* Intervals: how often the 95 % interval of an arm's figure holds what it should.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from analytics.results.effects import Effects, mean_of
from analytics.results.facts import Facts
from analytics.results.lists import Estimate
from analytics.results.verdicts import verdict_of
from analytics.stats.effects import SCALES, Effect, Scale, welch_test
from benchmarks.report import Promise, Report, Table, as_object, figure, machine, markdown
from tests.unit.analytics.results.worlds import facts_of, until

if TYPE_CHECKING:
    from benchmarks.world import World

SEED = 2026
# Nothing is declared before day 7, so there are 20 looks that could.
FIRST_LOOK, LAST_LOOK = 7, 26
PER_ARM, RATE, LIFT, POWER_DAYS = 31_234, 0.05, 0.10, 14
# Fifty orders with a heavy tail are too few for any formula: shown, not promised.
ABOUT_LISTS = ("diversity", "novelty", "coverage", "concentration", "click_rate")
PROMISED = Promise(at_least=92.0, at_most=98.0)
OVER_SHOPPERS = ("diversity", "novelty", "click_rate", "average_order_value", "revenue_per_shopper")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to simulate."""
    parser.add_argument("--tests", type=int, default=1000, help="A/A tests, and tests for power")
    parser.add_argument("--shoppers", type=int, default=6000, help="of an A/A test")
    parser.add_argument("--samples", type=int, default=2000, help="arms per interval")


def run(world: World, options: argparse.Namespace) -> Report:
    """As one of the benchmarks; it needs no store."""
    return measured(options)


def measured(options: argparse.Namespace) -> Report:
    """All three simulations."""
    started = time.monotonic()
    tests = options.tests
    alike = [
        simulate_alike(metric, tests, options.shoppers, seed=SEED + i)
        for i, metric in enumerate(("conversion_rate", "revenue_per_shopper"))
    ]
    power = simulate_power(tests, seed=SEED + 10)
    held = simulate_intervals(options.samples, seed=SEED + 20)
    figures = []
    for found in alike:
        of = found.metric.replace("_", " ")
        figures += [
            figure(
                f"false verdicts, {of}, 20 looks",
                100 * found.wrong / tests,
                "%",
                promise=Promise(at_most=5.0),
            ),
            figure(
                f"false at one look, {of}, fixed test of the difference at 5 %",
                100 * found.one_look / tests,
                "%",
                promise=Promise(at_least=2.9, at_most=7.4),
            ),
            figure(
                f"false at one look, {of}, of difference and lift",
                100 * found.one_look_both / tests,
                "%",
            ),
            figure(
                f"false if the fixed test were looked at 20 times, {of}",
                100 * found.peeking / tests,
                "%",
            ),
        ]
    figures += [
        figure(
            "found, fixed test of the difference at 5 %",
            100 * power.absolute / tests,
            "%",
            promise=Promise(at_least=77.5, at_most=82.5),
        ),
        figure("found, fixed test of lift and difference at 5 %", 100 * power.both / tests, "%"),
        figure("found, the whole rule, without CUPED", 100 * power.plain / tests, "%"),
        figure("found, the whole rule, with CUPED", 100 * power.cuped / tests, "%"),
        figure("of these before the planned end", 100 * power.early / max(power.cuped, 1), "%"),
        figure("verdicts in the wrong direction", 100 * power.reversed / tests, "%"),
    ]
    figures += [
        figure(
            f"interval holds, {metric.replace('_', ' ')}",
            100 * share,
            "%",
            promise=PROMISED if metric.startswith(ABOUT_LISTS) else None,
        )
        for metric, share in held.items()
    ]
    return Report(
        "verdicts",
        figures,
        tables=[
            Table(
                "What is simulated",
                ("simulation", "shoppers", "looks", "experiments"),
                [
                    ("A/A, per metric", options.shoppers, LAST_LOOK - FIRST_LOOK + 1, tests),
                    ("5.0 % to 5.5 %", 2 * PER_ARM, POWER_DAYS - FIRST_LOOK + 1, tests),
                    ("intervals", "500 and 2,000 per arm", 1, options.samples),
                ],
            )
        ],
        notes=[_simulation_error(tests, options.samples // 2)],
        options=vars(options),
        machine=machine(),
        took_s=time.monotonic() - started,
    )


def _simulation_error(tests: int, samples: int) -> str:
    return (
        f"Simulation error (95 %): ± {196 * sqrt(0.05 * 0.95 / tests):.1f} points of 5 %,"
        f" ± {196 * sqrt(0.8 * 0.2 / tests):.1f} of 80 %,"
        f" ± {196 * sqrt(0.05 * 0.95 / samples):.1f} of an interval's 95 %."
    )


@dataclass(frozen=True, slots=True)
class Alike:
    """Of so many A/A tests: false verdicts; the fixed test at the last look, and at any."""

    metric: str
    wrong: int
    one_look: int
    one_look_both: int
    peeking: int


def simulate_alike(metric: str, tests: int, n_shoppers: int, *, seed: int) -> Alike:
    """Two arms that are the same, with a past, judged with CUPED every day from the seventh on."""
    rng = np.random.default_rng(seed)
    wrong = one_look = one_look_both = peeking = 0
    for _ in range(tests):
        facts = facts_of(
            rng, n_shoppers, days=LAST_LOOK, primary=metric, with_shown=False, guardrails=()
        )
        found = peeked = is_wrong_now = False
        for day in range(FIRST_LOOK, LAST_LOOK + 1):
            at_day = until(facts, day)
            found |= any(v.state in ("better", "worse") for v in verdict_of(at_day))
            is_wrong_now = _p_value(at_day, "absolute") <= 0.05
            peeked |= is_wrong_now
        wrong += found
        one_look += is_wrong_now
        one_look_both += _p_value(at_day, *SCALES) <= 0.05
        peeking += peeked
    return Alike(metric, wrong, one_look, one_look_both, peeking)


@dataclass(frozen=True, slots=True)
class Power:
    """Of so many tests with a real lift: who found it. `early`: of `cuped`, before the end."""

    absolute: int
    both: int
    plain: int
    cuped: int
    early: int
    reversed: int


def simulate_power(tests: int, *, seed: int) -> Power:
    """14 days of looks from the seventh on; a verdict stands when it is found."""
    rng = np.random.default_rng(seed)
    absolute = both = early = backwards = 0
    by_rule = {False: 0, True: 0}
    for _ in range(tests):
        facts = facts_of(
            rng, 2 * PER_ARM, lift=LIFT, rate=RATE, days=POWER_DAYS, only_orders=True, guardrails=()
        )
        looks = [until(facts, day) for day in range(FIRST_LOOK, POWER_DAYS + 1)]
        absolute += _p_value(looks[-1], "absolute") <= 0.05
        both += _p_value(looks[-1], *SCALES) <= 0.05
        for cuped in by_rule:
            for i, look in enumerate(looks):
                plan = replace(look.plan, cuped=cuped)
                state = verdict_of(replace(look, plan=plan))[0].state
                if state in ("better", "worse"):
                    by_rule[cuped] += state == "better"
                    backwards += state == "worse"
                    early += cuped and i < len(looks) - 1
                    break
    return Power(absolute, both, by_rule[False], by_rule[True], early, backwards)


def simulate_intervals(samples: int, *, seed: int) -> dict[str, float]:
    """Share of arms whose interval holds the mean over all arms of exactly its size."""
    rng = np.random.default_rng(seed)
    told: dict[str, list[Estimate]] = {}
    for n_shoppers in (500, 2000):
        for _ in range(samples // 2):
            one_arm = facts_of(rng, n_shoppers, arms=1, n_products=10_000, list_length=8)
            effects = Effects(one_arm)
            for metric in OVER_SHOPPERS:
                _note(
                    told,
                    f"{metric}, {n_shoppers:,} shoppers",
                    mean_of(effects.sums(metric, 0).plain),
                )
            _note(told, f"coverage, {n_shoppers:,} shoppers", effects.lists.estimate("coverage", 0))
            _note(
                told, f"concentration, {n_shoppers:,} shoppers", effects.lists.estimate("gini", 0)
            )
    held = {}
    for name, estimates in told.items():
        truth = np.mean([one.value for one in estimates])
        held[name] = float(np.mean([one.low <= truth <= one.high for one in estimates]))
    return held


def _note(told: dict[str, list[Estimate]], name: str, estimate: object) -> None:
    assert isinstance(estimate, Estimate), estimate
    told.setdefault(name, []).append(estimate)


def _p_value(facts: Facts, *scales: Scale) -> float:
    """Of Welch's test on the primary metric, without CUPED; of several scales the larger one."""
    effects = Effects(facts)
    measured = [
        effects.measured(facts.plan.primary, 1, scale=scale, cuped=False).effect for scale in scales
    ]
    return max(welch_test(one).p_value if isinstance(one, Effect) else 1.0 for one in measured)


def main() -> None:
    """Without a store: simulate and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    parser.add_argument("--check", action="store_true", help="exit 1 if a promise isn't kept")
    options = parser.parse_args()
    check, as_json = options.check, options.json
    del options.check, options.json
    report = measured(options)
    print(json.dumps(as_object(report), ensure_ascii=False) if as_json else markdown(report))
    if check and not report.kept:
        sys.exit(1)


if __name__ == "__main__":
    main()
