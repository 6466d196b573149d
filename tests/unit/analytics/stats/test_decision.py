"""The verdict rule and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytics.stats.answers import InvalidInputError, Moment, NotEnoughData, Reason
from analytics.stats.decision import Comparison, Rule, Verdict, advise, decide
from analytics.stats.effects import Effect, measure_effect, welch_test
from analytics.stats.guardrails import Guardrail
from analytics.stats.health import sample_ratio
from analytics.stats.summaries import Proportion

FINE = sample_ratio([500, 500], [1, 1])
SAFE, UNCLEAR = Guardrail("safe", 0.0, 0.02), Guardrail("unclear", -0.1, 0.02)


def comparison(z: float, n: int = 5000, converted: int = 500, *, rises: bool = True) -> Comparison:
    effect = Effect("relative", 0.01 * z, 0.01, 1e6, n, n, 0.1, 0.1 * (1 + 0.01 * z))
    return Comparison(effect, converted, converted, 10_000, higher_is_better=rises)


def states(*zs: float, moment: Moment = "running") -> list[str]:
    return [verdict.state for verdict in decide([comparison(z) for z in zs], days=9, moment=moment)]


def test_the_sequence_decides_at_any_look_and_welch_at_the_planned_end_alone() -> None:
    assert states(4.5) == ["better"]
    assert states(-4.5) == ["worse"]
    assert states(2.2) == ["running"]
    assert states(2.2, moment="planned_end") == ["better"]
    assert states(2.2, moment="after") == ["no_difference_found"]
    assert states(2.0, moment="planned_end") == ["no_difference_found"]


def test_a_verdict_says_which_half_of_the_rule_found_it() -> None:
    by_end = decide([comparison(2.2)], days=9, moment="planned_end")[0]
    by_sequence = decide([comparison(4.5)], days=9, moment="running")[0]
    assert (by_end.found_by, by_sequence.found_by) == ("planned_end", "sequence")
    assert by_end.low is not None
    assert by_end.low > 0


def test_where_less_is_better_a_fall_is_better() -> None:
    verdict = decide([comparison(-4.5, rises=False)], days=9, moment="running")[0]
    assert verdict.state == "better"


def test_a_lift_counts_only_where_the_difference_is_found_too() -> None:
    for z_of_lift, z_of_difference, state in (
        (-6, -3, "running"),
        (-3, -6, "running"),
        (-6, -6, "worse"),
    ):
        lift = comparison(z_of_lift)
        difference = Effect("absolute", 0.001 * z_of_difference, 0.001, 1e6, 5000, 5000, 0.1, 0.09)
        both = replace(lift, difference=difference)
        verdict = decide([both], days=9, moment="running")[0]
        assert verdict.state == state
        # What is shown is the lift.
        assert verdict.low == decide([lift], days=9, moment="running")[0].low


def test_asking_two_questions_makes_each_harder() -> None:
    assert states(2.2, 0.0, moment="planned_end")[0] == "no_difference_found"
    assert states(2.4, 0.0, moment="planned_end")[0] == "better"


def test_a_question_without_an_answer_makes_the_others_no_easier() -> None:
    empty = Comparison(NotEnoughData(Reason.NO_SPREAD, "alike"), 0, 0, 10_000)
    verdicts = decide([comparison(2.2), empty], days=9, moment="planned_end")
    assert [verdict.state for verdict in verdicts] == ["no_difference_found", "not_enough"]
    assert verdicts[1].missing == empty.effect


@pytest.mark.parametrize(
    ("n", "converted", "days", "reason"),
    [
        (99, 50, 9, Reason.TOO_FEW_SHOPPERS),
        (5000, 24, 9, Reason.TOO_FEW_CONVERSIONS),
        (5000, 500, 6.9, Reason.TOO_EARLY),
    ],
)
def test_nothing_is_declared_too_early(n: int, converted: int, days: float, reason: Reason) -> None:
    verdict = decide([comparison(50, n, converted)], days=days, moment="planned_end")[0]
    assert verdict.state == "not_enough"
    assert verdict.missing is not None
    assert verdict.missing.reason == reason


def test_levels_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        Rule(alpha_any_look=0)


@pytest.mark.parametrize(
    ("state", "guardrails", "advice"),
    [
        ("better", [SAFE], "ship"),
        ("better", [SAFE, UNCLEAR], "review"),
        ("better", [NotEnoughData(Reason.NO_SPREAD, "alike")], "review"),
        ("worse", [SAFE], "keep"),
        ("no_difference_found", [SAFE], "inconclusive"),
        ("running", [SAFE], "wait"),
        ("not_enough", [SAFE], "wait"),
    ],
)
def test_advice_follows_from_verdict_and_guardrails(
    state: str, guardrails: list[Guardrail], advice: str
) -> None:
    assert advise(Verdict(state), guardrails, FINE) == advice  # type: ignore[arg-type]


def test_with_a_wrong_split_nothing_else_counts() -> None:
    assert advise(Verdict("better"), [SAFE], sample_ratio([500, 700], [1, 1])) == "distrust"


def test_twenty_looks_at_identical_arms_keep_the_promise_of_five_per_cent() -> None:
    """1,000 A/A tests; the fixed test looked at as often would be wrong in about 20 %."""
    rng = np.random.default_rng(2026)
    looks, per_look, tests = 20, 500, 1000
    bought = rng.binomial(per_look, 0.1, (tests, 2, looks)).cumsum(axis=2)
    wrong = one_look = peeking = 0
    for test in bought:
        found, peeked = False, False
        for look in range(looks):
            n = per_look * (look + 1)
            control, treatment = int(test[0, look]), int(test[1, look])
            effect = measure_effect(Proportion(n, control), Proportion(n, treatment))
            assert isinstance(effect, Effect)
            # Looks that can't matter are skipped: |z| ≤ 1.9 is significant by no half of the rule.
            if abs(effect.estimate) <= 1.9 * effect.standard_error:
                continue
            last = look == looks - 1
            significant = welch_test(effect).is_significant
            peeked |= significant
            one_look += last and significant
            moment: Moment = "planned_end" if last else "running"
            asked = Comparison(effect, control, treatment, 2 * per_look * looks)
            found |= decide([asked], days=7 + look, moment=moment)[0].state in ("better", "worse")
        wrong += found
        peeking += peeked
    assert wrong <= 0.05 * tests
    assert 0.029 * tests <= one_look <= 0.074 * tests
    assert peeking > 0.12 * tests
