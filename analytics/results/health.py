"""Whether the experiment itself can be believed: one line per question, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.results import words
from analytics.results.document import Alarm, Check, Health
from analytics.results.effects import Effects
from analytics.results.novelty import novelty_checks
from analytics.results.split import split_of, split_phases
from analytics.results.verdicts import moment_of, running_days
from analytics.stats.answers import NotEnoughData
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.health import Crossover, SampleRatio, alarm_of, pre_exposure_bias
from analytics.stats.multiple import holm
from analytics.stats.proportions import pooled_z_test
from analytics.stats.sequential import sequence_test
from analytics.stats.summaries import MeanSums, Proportion

# Shares from which a line turns amber.
DUPLICATES_WARNING = 0.05
LOST_WARNING = 0.02
BOTS_WARNING = 0.20
_STATS_ALARM: dict[str, Alarm] = {"fine": "none", "amber": "amber", "red": "red"}
_ORDER: tuple[Alarm, ...] = ("none", "unknown", "amber", "red")


def health_of(effects: Effects) -> tuple[Health, SampleRatio | NotEnoughData]:
    """All checks, and the split as `advise` wants it."""
    facts = effects.facts
    split = split_of(facts, is_looked_at=facts.state == "running")
    checks = (
        _split(effects, split),
        _crossover(effects),
        _bias(effects),
        _duplicates(effects),
        _lost(effects),
        _silent(effects),
        _bots(effects),
        _novelty(effects),
        _minimum(effects),
    )
    raised = [check.alarm for check in checks if check.alarm in ("amber", "red")]
    alarm: Alarm = max(raised, key=_ORDER.index) if raised else checks[0].alarm
    health = Health(
        alarm=alarm,
        checks=checks,
        split_p=split.p_value if isinstance(split, SampleRatio) else None,
        phases=split_phases(facts),
    )
    return health, split


def red_checks(health: Health) -> tuple[Check, ...]:
    """What makes every number of the test worthless."""
    return tuple(check for check in health.checks if check.alarm == "red")


def _split(effects: Effects, split: SampleRatio | NotEnoughData) -> Check:
    title = "Split between the arms"
    if isinstance(split, NotEnoughData):
        alarm: Alarm = "none" if effects.facts.plan.kind == "interleaving" else "unknown"
        return Check(key="split", alarm=alarm, title=title, words=f"{_capital(split.words)}.")
    alarm = _STATS_ALARM[split.alarm]
    seen = words.listed(
        [
            f"{arm.name} has {split.observed[i]:,} of {split.expected[i]:,.0f} expected"
            for i, arm in enumerate(effects.facts.arms)
        ]
    )
    p_values = (
        f"{words.p_words(split.p_value)}, over all looks {words.p_words(split.sequential_p_value)}"
    )
    told = "As planned" if alarm == "none" else "Not as planned"
    return Check(
        key="split",
        alarm=alarm,
        title=title,
        words=f"{told}: {seen} ({p_values}).",
        value=split.p_value,
    )


def _crossover(effects: Effects) -> Check:
    crossed = sum(arm.n_crossovers for arm in effects.facts.arms)
    exposed = n_exposed(effects)
    check = Crossover(crossed, exposed)
    title = "Seen in more than one arm"
    if check.rate is None:
        return _unknown("crossover", title)
    if effects.facts.plan.kind == "bandit":
        told = (
            "Not left out: a bandit moves returning shoppers by design."
            " They count in the arm they were in first."
        )
        return Check(key="crossover", alarm="none", title=title, words=told)
    told = f"{words.shoppers(crossed)} of {exposed:,} ({words.percent(check.rate)}), left out."
    return Check(
        key="crossover",
        alarm="amber" if check.is_warning else "none",
        title=title,
        words=told,
        value=check.rate,
    )


def _bias(effects: Effects) -> Check:
    """Orders and (capped) revenue of the 14 days before, every variant against the control."""
    title = "Alike before the test"
    shoppers = effects.shoppers
    pre = effects.facts.participants.pre
    spent = pre["pre_revenue_minor"]
    capped = spent if shoppers.past_cap is None else np.minimum(spent, shoppers.past_cap)
    found: list[tuple[float, str]] = []
    for name, column in (("orders", pre["pre_orders"]), ("revenue", capped)):
        sums = [
            MeanSums(int(n), float(total), float(squares))
            for n, total, squares in zip(
                shoppers.n_by_arm,
                np.bincount(shoppers.arm, weights=column, minlength=shoppers.n_arms),
                np.bincount(shoppers.arm, weights=column * column, minlength=shoppers.n_arms),
                strict=True,
            )
        ]
        for arm in effects.variants:
            bias = pre_exposure_bias(sums[0], sums[arm])
            if isinstance(bias, NotEnoughData):
                continue
            p_value = bias.p_value
            if effects.facts.state == "running":
                # It is looked at every few minutes.
                planned = effects.planned_shoppers(0, arm)
                p_value = sequence_test(bias.effect, planned_shoppers=planned).p_value
            more = "more" if bias.effect.estimate > 0 else "fewer" if name == "orders" else "less"
            control, variant = effects.facts.arms[0].name, effects.facts.arms[arm].name
            mean = bias.effect.control_mean
            size = f"{words.percent(abs(bias.effect.estimate / mean))} " if mean else ""
            told = f"{variant} had {size}{more} {name} than {control}"
            found.append((p_value, told))
    if not found:
        return _unknown("bias", title, "Nobody bought in the 14 days before, or nobody came yet.")
    adjusted = holm([p for p, _ in found])
    p_value, told = min((p, told) for p, (_, told) in zip(adjusted, found, strict=True))
    alarm = _STATS_ALARM[alarm_of(p_value)]
    said = (
        "Orders and revenue of the 14 days before differ no more than by chance"
        if alarm == "none"
        else f"In the 14 days before anybody was exposed {told}"
    )
    return Check(
        key="bias",
        alarm=alarm,
        title=title,
        words=f"{said} ({words.p_words(p_value)}).",
        value=p_value,
    )


def _duplicates(effects: Effects) -> Check:
    orders = np.bincount(
        effects.shoppers.arm,
        weights=effects.shoppers.total("n_orders"),
        minlength=effects.n_arms,
    )
    duplicates = [arm.n_duplicate_orders for arm in effects.facts.arms]
    reported = [int(n) + twice for n, twice in zip(orders, duplicates, strict=True)]
    return _shares(
        effects,
        "duplicates",
        "Purchases reported twice",
        duplicates,
        reported,
        "of the purchases, counted once",
        warning=DUPLICATES_WARNING,
    )


def _lost(effects: Effects) -> Check:
    return _shares(
        effects,
        "lost",
        "Answers that were never logged",
        [arm.n_unlogged for arm in effects.facts.arms],
        _who_count(effects),
        "of the exposures",
        warning=LOST_WARNING,
    )


def _silent(effects: Effects) -> Check:
    return _shares(
        effects,
        "silent",
        "Exposed, and then no event",
        [arm.n_silent for arm in effects.facts.arms],
        _who_count(effects),
        "of the shoppers",
        warning=None,
    )


def _bots(effects: Effects) -> Check:
    bots, exposed = sum(arm.n_bots for arm in effects.facts.arms), n_exposed(effects)
    title = "Machines"
    if not exposed:
        return _unknown("bots", title)
    rate = bots / exposed
    told = f"{bots:,} of {exposed:,} who were exposed ({words.percent(rate)}), left out."
    alarm: Alarm = "amber" if rate >= BOTS_WARNING else "none"
    return Check(key="bots", alarm=alarm, title=title, words=told, value=rate)


def _novelty(effects: Effects) -> Check:
    title = "First week against later"
    found = novelty_checks(effects)
    if not found:
        told = "Needs a hundred shoppers and 25 conversions per arm in the weeks after the first."
        return _unknown("novelty", title, told)
    adjusted = holm([one.p_value for one in found])
    p_value, shift = min(zip(adjusted, found, strict=True), key=lambda pair: pair[0])
    lifts = (
        f"{effects.facts.arms[shift.arm].name}: {words.percent(shift.first, signed=True)} in a"
        f" shopper's first week, {words.percent(shift.later, signed=True)} later"
    )
    is_amber = alarm_of(p_value) != "fine"
    told = "The effect changes with time" if is_amber else "No change with time is certain"
    return Check(
        key="novelty",
        alarm="amber" if is_amber else "none",
        title=title,
        words=f"{told}. {lifts} ({words.p_words(p_value)}).",
        value=p_value,
    )


def _minimum(effects: Effects) -> Check:
    """What the rule wants before it declares anything, and the planned sample."""
    facts, rule = effects.facts, STANDARD_RULE
    ran = running_days(facts)
    smallest = int(effects.shoppers.n_by_arm.min()) if effects.n_arms else 0
    converted = effects.shoppers.converted(facts.plan.primary)
    fewest = int(converted.min()) if effects.n_arms else 0
    planned = facts.plan.planned_shoppers
    parts = [
        f"{min(ran, 9999):.0f} days (at least {rule.min_days:g})",
        f"{words.shoppers(smallest)} in the smallest arm (at least {rule.min_shoppers})",
        f"{fewest:,} who converted there (at least {rule.min_conversions})",
    ]
    reached = (
        ran >= rule.min_days and smallest >= rule.min_shoppers and fewest >= rule.min_conversions
    )
    n = len(facts.participants)
    if planned:
        parts.append(f"{n:,} of {planned:,} planned shoppers")
    over = moment_of(facts) != "running" or facts.state == "stopped"
    alarm: Alarm = "none" if reached else "amber" if over else "unknown"
    told = "Reached" if reached else "Not reached" if over else "Not reached yet"
    return Check(
        key="minimum",
        alarm=alarm,
        title="Minimum of time and shoppers",
        words=f"{told}: {words.listed(parts)}.",
        value=n / planned if planned else None,
    )


def _shares(
    effects: Effects,
    key: str,
    title: str,
    counts: Sequence[int],
    totals: Sequence[int],
    of_what: str,
    *,
    warning: float | None,
) -> Check:
    """A share per arm: too high, or different between the arms (then they are measured unlike)."""
    if not sum(totals):
        return _unknown(key, title)
    arms = [Proportion(max(total, n), n) for n, total in zip(counts, totals, strict=True)]
    tests = [pooled_z_test(arms[0], arm) for arm in arms[1:]]
    p_values = holm([1.0 if isinstance(t, NotEnoughData) else t.p_value for t in tests])
    p_value = min(p_values, default=1.0)
    rate = sum(counts) / max(sum(totals), 1)
    told = words.listed(
        [
            f"{arm.name} {counts[i]:,} ({words.percent(arms[i].mean)})"
            for i, arm in enumerate(effects.facts.arms)
        ]
    )
    differs = alarm_of(p_value) != "fine"
    is_high = warning is not None and rate >= warning
    end = f" The arms differ ({words.p_words(p_value)})." if differs else ""
    return Check(
        key=key,
        alarm="amber" if differs or is_high else "none",
        title=title,
        words=f"{told} {of_what}.{end}",
        value=rate,
    )


def n_exposed(effects: Effects) -> int:
    """Everybody who was exposed: participants, crossovers, machines."""
    return sum(_exposed_by_arm(effects))


def _who_count(effects: Effects) -> list[int]:
    """Without crossovers and machines."""
    return [int(n) for n in effects.shoppers.n_by_arm]


def _exposed_by_arm(effects: Effects) -> list[int]:
    return [
        int(n) + arm.n_crossovers + arm.n_bots
        for n, arm in zip(effects.shoppers.n_by_arm, effects.facts.arms, strict=True)
    ]


def _unknown(key: str, title: str, told: str = "Nobody was exposed yet.") -> Check:
    return Check(key=key, alarm="unknown", title=title, words=told)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
