"""What is known about each variant by the rule that was locked at the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.effects import Effects
from analytics.results.facts import REWARD_DAYS, Days, Facts
from analytics.results.sums import Shoppers
from analytics.stats.answers import Moment, NotEnoughData, Reason
from analytics.stats.bandit import BanditWeights, thompson_weights
from analytics.stats.decision import STANDARD_RULE, Comparison, Rule, Verdict, decide
from analytics.stats.effects import Effect, TestResult, welch_test
from analytics.stats.sequential import sequence_test
from analytics.stats.summaries import Sums

# What an interval on the page promises; the levels of the rule are its own.
SHOWN_ALPHA = 0.05


def moment_of(facts: Facts) -> Moment:
    """Before the planned end, at the one look that counts, or after it.

    Who was stopped before the planned end never gets there.
    """
    if facts.is_planned_end:
        return "planned_end"
    reached = facts.now if facts.stopped_at is None else min(facts.now, facts.stopped_at)
    return "running" if facts.ends_at is None or reached < facts.ends_at else "after"


def running_days(facts: Facts) -> float:
    """How long shoppers were exposed: pauses don't count, nor what was before `Facts.since`."""
    if facts.started_at is None:
        return 0.0
    since = facts.since or facts.started_at
    spans = [(phase.started_at, phase.ended_at) for phase in facts.phases]
    ran = sum(
        (
            max(min(ended or facts.now, facts.now) - max(started, since), timedelta(0))
            for started, ended in spans or [(facts.started_at, None)]
        ),
        timedelta(0),
    )
    return ran / timedelta(days=1)


def verdict_of(facts: Facts, *, rule: Rule = STANDARD_RULE) -> tuple[Verdict, ...]:
    """The verdicts alone, one per variant: what simulations ask 20,000 times.

    The same as in `analytics.results.judgement.judge`, without everything around it. A verdict that
    was found before (`Facts.found`) isn't looked at here.
    """
    return goal_verdicts(Effects(facts), rule=rule)


def goal_verdicts(effects: Effects, *, rule: Rule = STANDARD_RULE) -> tuple[Verdict, ...]:
    """The primary metric of every variant against the control, as one family."""
    facts = effects.facts
    primary = facts.plan.primary
    converted = effects.shoppers.converted(primary)
    family = [
        Comparison(
            effects.locked(primary, arm).effect,
            int(converted[0]),
            int(converted[arm]),
            effects.planned_shoppers(0, arm),
            difference=effects.difference(primary, arm),
            higher_is_better=DEFINITIONS[primary].direction != "lower",
        )
        for arm in effects.variants
    ]
    # The smaller arm is what is missing first; "no effect" would hide how far it is.
    verdicts = decide(family, days=running_days(facts), moment=moment_of(facts), rule=rule)
    return tuple(
        _counted(effects, arm, verdict, rule)
        for arm, verdict in zip(effects.variants, verdicts, strict=True)
    )


def _counted(effects: Effects, arm: int, verdict: Verdict, rule: Rule) -> Verdict:
    """`not_enough` in terms of the rule, where the arms are too small for any effect."""
    counts = effects.shoppers.n_by_arm
    n = int(min(counts[0], counts[arm]))
    if verdict.state != "not_enough" or n >= rule.min_shoppers:
        return verdict
    words = f"{n} of {rule.min_shoppers} shoppers in the smaller arm"
    return replace(verdict, missing=NotEnoughData(Reason.TOO_FEW_SHOPPERS, words))


def shown_interval(effects: Effects, arm: int, verdict: Verdict) -> TestResult | None:
    """The 95 % interval that goes with a verdict; None without an effect.

    Welch's at the planned end and with a verdict that was found there: one look, fixed before. At
    any other look the sequence's, because there are many of them.
    """
    effect = effects.locked(effects.facts.plan.primary, arm).effect
    if not isinstance(effect, Effect):
        return None
    is_one_look = moment_of(effects.facts) == "planned_end" and verdict.found_by != "sequence"
    if is_one_look or verdict.found_by == "planned_end":
        return welch_test(effect, alpha=SHOWN_ALPHA)
    planned = effects.planned_shoppers(0, arm)
    return sequence_test(effect, planned_shoppers=planned, alpha=SHOWN_ALPHA)


def bandit_weights(effects: Effects) -> BanditWeights | None:
    """Chances to be the best, by what the weights are learned from; None with fewer than two arms."""
    facts = effects.facts
    if effects.n_arms < 2:
        return None
    shares = [arm.share for arm in facts.arms]
    whole = sum(shares)
    current = [share / whole if whole else 1 / len(shares) for share in shares]
    return thompson_weights(reward_sums(facts), current)


def reward_sums(facts: Facts) -> list[Sums]:
    """The primary metric of each arm, of the days that a bandit learns from."""
    days = facts.days
    early = days.day - facts.participants.day[days.participant] <= REWARD_DAYS
    rewards = Days(
        days.participant[early],
        days.day[early],
        {name: column[early] for name, column in days.measures.items()},
    )
    return [arm.plain for arm in Shoppers(replace(facts, days=rewards)).sums(facts.plan.primary)]
