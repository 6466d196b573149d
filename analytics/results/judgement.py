"""An experiment's facts judged: everything that its page, export and API show."""

from __future__ import annotations

import msgspec
import numpy as np

from analytics.results import words
from analytics.results.document import (
    Arm,
    Check,
    Guard,
    Preferred,
    Results,
    VariantVerdict,
)
from analytics.results.effects import Effects
from analytics.results.facts import Facts, Found
from analytics.results.funnel import exposures, funnel
from analytics.results.guards import guardrails_of, guards_of
from analytics.results.health import health_of, n_exposed, red_checks
from analytics.results.power_panel import power_of_test
from analytics.results.preferred import ALPHA, preferred
from analytics.results.scorecard import SHIFTING, scorecard
from analytics.results.segments import segments_of
from analytics.results.series import series_of
from analytics.results.status import headline_of, status_of
from analytics.results.verdict_words import Case, bandit_words, sentence_of, so_far
from analytics.results.verdicts import (
    bandit_weights,
    goal_verdicts,
    moment_of,
    running_days,
    shown_interval,
)
from analytics.stats.answers import Advice, NotEnoughData, Reason
from analytics.stats.decision import Verdict, advise
from analytics.stats.health import SampleRatio


def judge(facts: Facts) -> Results:
    """Everything about an experiment at a moment.

    Parameters
    ----------
    facts
        Up to that moment; a verdict that was found before comes along in `Facts.found` and stands.

    Returns
    -------
    Results
        Never an exception for want of data: what isn't known is None and says what is missing.

    Notes
    -----
    Cost: 60,000 participants, four arms, 60 days, 1.2 million pairs of shopper and product: three
    seconds, half of it counting different products for equally many shoppers of each pair of arms.
    """
    return _judged(Effects(facts))


def judge_range(facts: Facts) -> Results:
    """Days that were chosen after looking: what was seen in them, and nothing that is a verdict.

    Nothing is found, said to be found, or advised: whoever looks at many ranges finds something.
    """
    effects = Effects(facts)
    results = _judged(effects)
    seen = [_seen(effects, verdict) for verdict in results.verdicts]
    told = "; ".join(seen) if seen else "there is nothing to compare"
    return msgspec.structs.replace(
        results,
        status="range",
        headline=f"In these days: {told}.",
        verdicts=tuple(
            msgspec.structs.replace(
                verdict,
                state="not_enough" if verdict.state == "not_enough" else "running",
                advice=None,
                sentence=f"{part[0].upper()}{part[1:]}.",
                found_by=None,
                found_at=None,
            )
            for verdict, part in zip(results.verdicts, seen, strict=True)
        ),
    )


def _seen(effects: Effects, verdict: VariantVerdict) -> str:
    """Of one variant, a part of a sentence."""
    facts = effects.facts
    arm = next(i for i, each in enumerate(facts.arms) if each.variant_id == verdict.variant_id)
    if facts.plan.kind == "interleaving":
        sentence = verdict.sentence.rstrip(".")
        return f"{sentence[0].lower()}{sentence[1:]}"
    if verdict.state == "not_enough":
        return f"too little was seen to compare {facts.arms[arm].name}: {verdict.missing}"
    if facts.plan.kind == "bandit":
        return SHIFTING
    return so_far(Case(effects, arm, Verdict("running"), "wait", (), ()))


def _judged(effects: Effects) -> Results:
    facts = effects.facts
    days = running_days(facts)
    health, split = health_of(effects)
    vote = preferred(facts)
    red = red_checks(health)
    if facts.plan.kind == "bandit":
        verdicts = _of_bandit(effects, split, red)
    elif facts.plan.kind == "interleaving":
        verdicts = _of_votes(effects, vote)
    else:
        verdicts = _of_arms(effects, split, red)
    return Results(
        experiment_id=facts.experiment_id,
        key=facts.key,
        computed_at=facts.now,
        facts_until=facts.facts_until,
        first_day=facts.first_day,
        last_day=facts.last_day,
        days=days,
        moment=moment_of(facts),
        status=status_of(facts, verdicts),
        headline=headline_of(facts, verdicts),
        currency=facts.currency,
        primary=facts.plan.primary,
        arms=_arms(effects),
        metrics=scorecard(effects, days=days),
        verdicts=verdicts,
        health=health,
        exposures=exposures(facts),
        series=series_of(effects),
        funnel=funnel(effects.shoppers),
        segments=segments_of(effects),
        power=power_of_test(effects),
        preferred=vote,
        left_out=_left_out(effects),
    )


def _arms(effects: Effects) -> tuple[Arm, ...]:
    shoppers = effects.shoppers
    bought = shoppers.total("n_orders")
    orders = np.bincount(shoppers.arm, weights=bought, minlength=effects.n_arms)
    buyers = np.bincount(shoppers.arm, weights=bought > 0, minlength=effects.n_arms)
    return tuple(
        Arm(
            variant_id=arm.variant_id,
            key=arm.key,
            name=arm.name,
            position=i,
            share=arm.share,
            strategies=arm.strategies,
            n_shoppers=int(shoppers.n_by_arm[i]),
            n_orders=round(float(orders[i])),
            n_buyers=round(float(buyers[i])),
        )
        for i, arm in enumerate(effects.facts.arms)
    )


def _of_arms(
    effects: Effects, split: SampleRatio | NotEnoughData, red: tuple[Check, ...]
) -> tuple[VariantVerdict, ...]:
    """A/B, A/A and hold-out: the locked rule."""
    facts = effects.facts
    kept = facts.found or {}
    verdicts = []
    for arm, now in zip(effects.variants, goal_verdicts(effects), strict=True):
        variant = facts.arms[arm].variant_id
        found = kept.get(variant)
        verdict = now if found is None else _standing(now, found)
        guards = guards_of(effects, arm)
        advice = _advice(facts, verdict, guards, split, red)
        case = Case(effects, arm, verdict, advice, guards, red, found)
        verdicts.append(_document(case, sentence_of(case), found))
    return tuple(verdicts)


def _standing(now: Verdict, found: Found) -> Verdict:
    """A verdict that was found stays, whatever this look says."""
    return Verdict(
        found.state, found.found_by, None, now.low, now.high, now.p_any_look, now.p_at_end
    )


def _advice(
    facts: Facts,
    verdict: Verdict,
    guards: tuple[Guard, ...],
    split: SampleRatio | NotEnoughData,
    red: tuple[Check, ...],
) -> Advice:
    advice = advise(verdict, guardrails_of(guards), split)
    if red:
        return "distrust"
    if facts.plan.kind == "aa" and verdict.state in ("better", "worse"):
        return "distrust"
    if advice == "wait" and facts.state == "stopped":
        return "inconclusive"
    if facts.plan.kind == "holdout" and advice == "keep":
        # Switching recommendations off isn't a thing to do by rule.
        return "review"
    return advice


def _document(case: Case, sentence: str, found: Found | None) -> VariantVerdict:
    verdict = case.verdict
    is_found = verdict.state in ("better", "worse")
    # A bandit has chances, no lift and so no interval.
    shown = (
        None
        if case.facts.plan.kind == "bandit"
        else shown_interval(case.effects, case.arm, verdict)
    )
    return VariantVerdict(
        variant_id=case.facts.arms[case.arm].variant_id,
        state=verdict.state,
        advice=case.advice,
        sentence=sentence,
        found_by=verdict.found_by,
        found_at=found.found_at if found else case.facts.now if is_found else None,
        low=None if shown is None else shown.low,
        high=None if shown is None else shown.high,
        p_any_look=verdict.p_any_look,
        p_at_end=verdict.p_at_end,
        missing=verdict.missing.words if verdict.missing else None,
        guards=case.guards,
    )


def _of_bandit(
    effects: Effects, split: SampleRatio | NotEnoughData, red: tuple[Check, ...]
) -> tuple[VariantVerdict, ...]:
    """Which arm is the best, by chances; a winner has 95 %."""
    weights = bandit_weights(effects)
    if weights is None:
        return ()
    verdicts = []
    for arm in effects.variants:
        if weights.waiting is not None:
            verdict = Verdict("not_enough", missing=weights.waiting)
        elif weights.winner is None:
            verdict = Verdict("running")
        else:
            verdict = Verdict("better" if weights.winner == arm else "worse")
        guards = guards_of(effects, arm)
        advice = _advice(effects.facts, verdict, guards, split, red)
        case = Case(effects, arm, verdict, advice, guards, red)
        chance = None if weights.chances is None else weights.chances[arm]
        verdicts.append(_document(case, bandit_words(case, chance), None))
    return tuple(verdicts)


def _of_votes(effects: Effects, vote: Preferred | None) -> tuple[VariantVerdict, ...]:
    """Interleaving: one look, at the planned end; before and after it only the count goes on."""
    facts = effects.facts
    if vote is None:
        return ()
    found = (facts.found or {}).get(vote.variant_b)
    moment = moment_of(facts)
    is_over = moment != "running"
    advice: Advice = "wait"
    if found is not None:
        verdict = Verdict(found.state, found.found_by)
    elif vote.missing is not None:
        verdict = Verdict("not_enough", missing=NotEnoughData(Reason.NO_VOTES, vote.missing))
    elif moment == "planned_end" and vote.p_value is not None and vote.p_value <= ALPHA:
        verdict = Verdict("worse" if (vote.preference or 0) > 0 else "better", "planned_end")
    else:
        verdict = Verdict("no_difference_found" if is_over else "running")
    # A preference is a stage before a test, so a win is for a person to act on.
    if verdict.state == "better":
        advice = "review"
    elif verdict.state == "worse":
        advice = "keep"
    elif is_over or facts.state == "stopped":
        advice = "inconclusive"
    is_found = verdict.state in ("better", "worse")
    return (
        VariantVerdict(
            variant_id=vote.variant_b,
            state=verdict.state,
            advice=advice,
            sentence=vote.sentence,
            found_by=verdict.found_by,
            found_at=found.found_at if found else facts.now if is_found else None,
            p_at_end=vote.p_value if moment == "planned_end" else None,
            missing=verdict.missing.words if verdict.missing else None,
        ),
    )


def _left_out(effects: Effects) -> str:
    """Who isn't counted; empty if everybody is."""
    arms = effects.facts.arms
    crossed, bots = sum(arm.n_crossovers for arm in arms), sum(arm.n_bots for arm in arms)
    parts = []
    if crossed:
        parts.append(f"{words.shoppers(crossed)} seen in more than one arm")
    if bots:
        parts.append(words.count(bots, "machine", "machines"))
    if not parts:
        return ""
    return f"Left out of {n_exposed(effects):,} exposed: {words.listed(parts)}."
