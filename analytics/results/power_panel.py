"""How far the test has come: what it could find now, and when it can find what was planned."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

import numpy as np

from analytics.results.document import Power, PowerWeek
from analytics.results.effects import Effects, Measured
from analytics.results.facts import Facts
from analytics.results.verdicts import running_days
from analytics.stats.answers import NotEnoughData
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.distributions import normal_quantile
from analytics.stats.effects import Effect
from analytics.stats.planning import extra_sample_factor, progress_of
from analytics.stats.power import Baseline, power_of, smallest_lift

WANTED_POWER = 0.8
TRAFFIC_DAYS = 7
_LONGEST_WEEKS = 12


def power_of_test(effects: Effects) -> Power:
    """Of the variant that is hardest to tell from the control.

    At the level of the planned end, .04 over the number of variants, which is Holm's first step.
    """
    facts = effects.facts
    plan = facts.plan
    rate = shoppers_per_day(facts)
    power = Power(
        planned_shoppers=plan.planned_shoppers,
        n_shoppers=len(facts.participants),
        planned_days=plan.planned_days,
        days=running_days(facts),
        days_left=days_left(effects),
        smallest_lift_planned=plan.smallest_lift,
        smallest_lift_now=None,
        shoppers_per_day=rate,
        progress=None,
    )
    if plan.kind in ("bandit", "interleaving"):
        return _without(power, "a bandit and an interleaving have no planned size")
    hardest, lacking = None, "there is no variant to compare"
    for arm in effects.variants:
        measured = effects.locked(plan.primary, arm)
        if isinstance(measured.effect, NotEnoughData):
            return _without(power, measured.effect.words)
        if hardest is None or measured.effect.standard_error > hardest[1].standard_error:
            hardest = (arm, measured.effect, measured)
    if hardest is None:
        return _without(power, lacking)
    return _filled(effects, power, *hardest)


def shoppers_per_day(facts: Facts) -> float | None:
    """New participants a day, over the last seven days that there were; None on the first day."""
    if facts.first_day is None or facts.last_day is None:
        return None
    last = (facts.last_day - facts.first_day).days
    n_days = min(TRAFFIC_DAYS, last + 1)
    newest = int((facts.participants.day > last - n_days).sum())
    # The last day may have hours only.
    ran = running_days(facts)
    return newest / max(min(float(n_days), ran), 1.0) if ran > 0 else None


def _filled(effects: Effects, power: Power, arm: int, effect: Effect, measured: Measured) -> Power:
    facts, lift = effects.facts, effects.facts.plan.smallest_lift
    alpha = STANDARD_RULE.alpha_at_end / len(effects.variants)
    z = normal_quantile(1 - alpha / 2) + normal_quantile(WANTED_POWER)
    baseline = _baseline(effects, measured)
    counts = effects.shoppers.n_by_arm
    now = (
        None
        if baseline is None
        else _known(
            smallest_lift(
                baseline,
                n_control=int(counts[0]),
                n_treatment=int(counts[arm]),
                alpha=alpha,
                power=WANTED_POWER,
            )
        )
    )
    progress = progress_of(effect.standard_error, lift / z) if lift > 0 else None
    to_find, missing = _days_to_find(effects, effect, power.shoppers_per_day, alpha)
    weeks = () if baseline is None else _weeks(effects, baseline, arm, power, alpha)
    return Power(
        planned_shoppers=power.planned_shoppers,
        n_shoppers=power.n_shoppers,
        planned_days=power.planned_days,
        days=power.days,
        days_left=power.days_left,
        smallest_lift_planned=lift,
        smallest_lift_now=now,
        shoppers_per_day=power.shoppers_per_day,
        progress=progress,
        days_to_find=to_find if facts.state == "running" else None,
        weeks=weeks,
        missing=missing if facts.state == "running" else None,
    )


def _baseline(effects: Effects, measured: Measured) -> Baseline | None:
    """The control's mean, and its spread without what CUPED takes away."""
    control = effects.sums(effects.facts.plan.primary, 0).plain
    variance = control.variance * (1 - (measured.variance_removed or 0.0))
    return Baseline(control.mean, variance) if control.mean and variance > 0 else None


def _days_to_find(
    effects: Effects, effect: Effect, rate: float | None, alpha: float
) -> tuple[int | None, str | None]:
    lift = effects.facts.plan.smallest_lift
    if lift <= 0:
        return None, "no smallest lift was planned"
    more = extra_sample_factor(effect, lift, alpha=alpha, power=WANTED_POWER)
    if isinstance(more, NotEnoughData):
        return None, more.words
    if more == 0:
        return 0, None
    if not rate:
        return None, "no new shopper came in the last seven days"
    return ceil(more * len(effects.facts.participants) / rate), None


def _weeks(
    effects: Effects, baseline: Baseline, arm: int, power: Power, alpha: float
) -> tuple[PowerWeek, ...]:
    """Past weeks with the shoppers that came, future ones at today's traffic."""
    facts = effects.facts
    counts = effects.shoppers.n_by_arm
    n, rate = len(facts.participants), power.shoppers_per_day or 0.0
    shares = float(counts[0] / n), float(counts[arm] / n)
    so_far = max(power.days, 0.0)
    last = min(max(ceil(power.planned_days / 7), ceil(so_far / 7)) + 2, _LONGEST_WEEKS)
    rows = []
    for week in range(1, last + 1):
        days = 7 * week
        came = (
            float((facts.participants.day < days).sum())
            if days <= so_far
            else n + rate * (days - so_far)
        )
        if not came * min(shares):
            continue
        control, treatment = came * shares[0], came * shares[1]
        rows.append(
            PowerWeek(
                week=week,
                n_shoppers=came,
                power=power_of(
                    baseline,
                    facts.plan.smallest_lift,
                    n_control=control,
                    n_treatment=treatment,
                    alpha=alpha,
                ),
                smallest_lift=_known(
                    smallest_lift(
                        baseline,
                        n_control=control,
                        n_treatment=treatment,
                        alpha=alpha,
                        power=WANTED_POWER,
                    )
                ),
            )
        )
    return tuple(rows)


def _known(lift: float | NotEnoughData) -> float | None:
    return None if isinstance(lift, NotEnoughData) else lift


def _without(power: Power, words: str) -> Power:
    return Power(
        planned_shoppers=power.planned_shoppers,
        n_shoppers=power.n_shoppers,
        planned_days=power.planned_days,
        days=power.days,
        days_left=power.days_left,
        smallest_lift_planned=power.smallest_lift_planned,
        smallest_lift_now=None,
        shoppers_per_day=power.shoppers_per_day,
        progress=None,
        missing=words,
    )


def days_until(facts: Facts) -> int | None:
    """Until the planned end, rounded up; None without one or after it."""
    if facts.ends_at is None or facts.now >= facts.ends_at:
        return None
    return ceil((facts.ends_at - facts.now) / timedelta(days=1))


def days_left(effects: Effects) -> int | None:
    """Until a verdict is due: to the planned end, or longer if the rule's minimum takes longer.

    None if it isn't running or has no end, and after the planned end with the minimum reached. If
    nobody comes, the planned end alone.
    """
    facts = effects.facts
    if facts.state != "running" or facts.plan.kind == "holdout":
        return None
    longest = max(days_until(facts) or 0, ceil(_minimum_wait(effects) or 0.0))
    return longest or None


def come_back_days(effects: Effects) -> int | None:
    """Until the rule's minimum is probably there, at today's traffic; None if nobody comes."""
    wait = _minimum_wait(effects)
    return None if wait is None else max(ceil(wait), 1)


def _minimum_wait(effects: Effects) -> float | None:
    """In days; 0 or less if the minimum is there."""
    facts, rule = effects.facts, STANDARD_RULE
    ran = running_days(facts)
    rate, n = shoppers_per_day(facts), len(facts.participants)
    if not rate or not n or effects.n_arms < 2:
        return None
    smallest = int(effects.shoppers.n_by_arm.min())
    converted = int(effects.shoppers.converted(facts.plan.primary).min())
    if not smallest or not converted:
        return None
    waits = [
        rule.min_days - ran,
        (rule.min_shoppers - smallest) / (rate * smallest / n),
        (rule.min_conversions - converted) / (rate * converted / n),
    ]
    return float(np.max(waits))
