"""The verdict: when a difference counts as found, and what to do then.

One rule, fixed before the start, so that looking daily is allowed: a confidence sequence at α = .01
decides at any look, **or** Welch's test at α = .04 at the one look at the planned end. Together at
most 5 % false verdicts (Bonferroni); simulated 4.5 % with 20 looks.

A lift counts only if the difference is found too. Both are 0 at the same point; with few buyers the
delta method is too sure of a fall, because a low control mean makes the error look small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal

from analytics.stats.answers import (
    Advice,
    Moment,
    NotEnoughData,
    Reason,
    State,
    require_count,
    require_share,
)
from analytics.stats.effects import Effect, TestResult, welch_test
from analytics.stats.guardrails import Guardrail
from analytics.stats.health import SampleRatio
from analytics.stats.multiple import holm
from analytics.stats.sequential import sequence_test


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold before anything is declared.

    Attributes
    ----------
    alpha_any_look, alpha_at_end
        Levels of the sequence and of the test at the planned end; they add up to the promise.
    min_shoppers, min_conversions
        In each arm.
    min_days
        A whole week, because weekends differ.
    """

    alpha_any_look: float = 0.01
    alpha_at_end: float = 0.04
    min_shoppers: int = 100
    min_conversions: int = 25
    min_days: float = 7

    def __post_init__(self) -> None:
        require_share("alpha at any look", self.alpha_any_look)
        require_share("alpha at the end", self.alpha_at_end)


STANDARD_RULE = Rule()


@dataclass(frozen=True, slots=True)
class Comparison:
    """One goal metric of one variant against the control.

    Attributes
    ----------
    effect
        Or why there is none.
    difference
        Of a relative effect: the same comparison on the absolute scale, which has to agree.
    n_conversions_control, n_conversions_treatment
        Shoppers who did what the metric is about: bought, for revenue; clicked, for clicks.
    planned_shoppers
        N* of these two arms, fixed at the start.
    """

    effect: Effect | NotEnoughData
    n_conversions_control: int
    n_conversions_treatment: int
    planned_shoppers: float
    difference: Effect | None = None
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        require_count("conversions", min(self.n_conversions_control, self.n_conversions_treatment))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about one comparison.

    Attributes
    ----------
    state
        ``running`` before the planned end, ``no_difference_found`` from then on, unless found.
    found_by
        Which half of the rule found it.
    missing
        With ``not_enough``.
    low, high
        The interval to show, on the effect's scale: the sequence's while running, Welch's at the
        planned end; at the level of the rule, not adjusted for the family.
    p_any_look, p_at_end
        The larger of lift and difference, Holm-adjusted over the family; the second is None but at
        the planned end.
    """

    state: State
    found_by: Literal["sequence", "planned_end"] | None = None
    missing: NotEnoughData | None = None
    low: float | None = None
    high: float | None = None
    p_any_look: float | None = None
    p_at_end: float | None = None


def decide(
    family: Sequence[Comparison], *, days: float, moment: Moment, rule: Rule = STANDARD_RULE
) -> tuple[Verdict, ...]:
    """Judge all goal metrics of all variants together.

    Parameters
    ----------
    family
        Goal metrics × variants, the same at every look; guardrails have a test of their own. One
        that can't be tested yet counts with p = 1, so it makes the others no easier.
    days
        Since the start.
    moment
        ``planned_end`` is the **first** look at or after the planned end: Welch's test counts at
        that look alone. The caller keeps a verdict once it was found.

    Returns
    -------
    tuple of Verdict
        In the order given.

    Examples
    --------
    >>> effect = Effect("relative", 0.1, 0.02, 9000.0, 5000, 5000, 0.1, 0.11)
    >>> decide([Comparison(effect, 500, 550, 10_000)], days=8, moment="running")[0].state
    'better'
    >>> decide([Comparison(effect, 500, 550, 10_000)], days=6, moment="running")[0].missing.words
    '6 of 7 days'
    """
    lacking = [_missing(comparison, days, rule) for comparison in family]
    any_look = [
        [
            sequence_test(effect, planned_shoppers=c.planned_shoppers, alpha=rule.alpha_any_look)
            for effect in _scales(c)
        ]
        for c in family
    ]
    at_end = [
        [welch_test(effect, alpha=rule.alpha_at_end) for effect in _scales(c)]
        if moment == "planned_end"
        else []
        for c in family
    ]
    p_any_look = holm([_least_sure(tests) for tests in any_look])
    p_at_end = holm([_least_sure(tests) for tests in at_end])
    verdicts = []
    for i, comparison in enumerate(family):
        nothing, final = lacking[i], at_end[i]
        if nothing is not None or isinstance(comparison.effect, NotEnoughData):
            verdicts.append(Verdict("not_enough", missing=nothing))
            continue
        by_sequence = p_any_look[i] <= rule.alpha_any_look
        by_end = moment == "planned_end" and p_at_end[i] <= rule.alpha_at_end
        state: State
        if by_sequence or by_end:
            rises = comparison.effect.estimate > 0
            state = "better" if rises == comparison.higher_is_better else "worse"
        else:
            state = "running" if moment == "running" else "no_difference_found"
        # The effect's own: the difference has only to agree.
        shown = (final or any_look[i])[0]
        verdicts.append(
            Verdict(
                state,
                "sequence" if by_sequence else "planned_end" if by_end else None,
                None,
                shown.low,
                shown.high,
                p_any_look[i],
                p_at_end[i] if final else None,
            )
        )
    return tuple(verdicts)


def _scales(comparison: Comparison) -> list[Effect]:
    """What is tested of a comparison: its effect, and the difference where there is one."""
    effects = (comparison.effect, comparison.difference)
    return [effect for effect in effects if isinstance(effect, Effect)]


def _least_sure(tests: Sequence[TestResult]) -> float:
    """1 for what can't be tested yet."""
    return max((test.p_value for test in tests), default=1.0)


def _missing(comparison: Comparison, days: float, rule: Rule) -> NotEnoughData | None:
    if isinstance(comparison.effect, NotEnoughData):
        return comparison.effect
    n = min(comparison.effect.n_control, comparison.effect.n_treatment)
    if n < rule.min_shoppers:
        words = f"{n} of {rule.min_shoppers} shoppers in the smaller arm"
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, words)
    converted = min(comparison.n_conversions_control, comparison.n_conversions_treatment)
    if converted < rule.min_conversions:
        words = f"{converted} of {rule.min_conversions} conversions in one arm"
        return NotEnoughData(Reason.TOO_FEW_CONVERSIONS, words)
    if days < rule.min_days:
        return NotEnoughData(
            Reason.TOO_EARLY, f"{floor(10 * days) / 10:g} of {rule.min_days:g} days"
        )
    return None


def advise(
    goal: Verdict,
    guardrails: Sequence[Guardrail | NotEnoughData],
    split: SampleRatio | NotEnoughData,
) -> Advice:
    """What to do about a variant.

    Parameters
    ----------
    goal
        Of the primary metric.
    guardrails
        One that has no answer yet counts as unclear.

    Returns
    -------
    Advice
        ``distrust`` with a wrong split, whatever the metrics say. ``review`` when a person has to
        weigh a win against a guardrail that is harmed or unproven.

    Examples
    --------
    >>> from analytics.stats.health import sample_ratio
    >>> advise(Verdict("better", "sequence"), [], sample_ratio([500, 500], [1, 1]))
    'ship'
    >>> advise(Verdict("better", "sequence"), [], sample_ratio([500, 700], [1, 1]))
    'distrust'
    """
    if isinstance(split, SampleRatio) and split.alarm == "red":
        return "distrust"
    if goal.state in ("running", "not_enough"):
        return "wait"
    if goal.state == "worse":
        return "keep"
    if goal.state == "no_difference_found":
        return "inconclusive"
    safe = all(isinstance(one, Guardrail) and one.state == "safe" for one in guardrails)
    return "ship" if safe else "review"
