"""Whether an effect wears off: each shopper's first week against what came after."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from analytics.results.effects import Effects
from analytics.results.facts import Float64Array
from analytics.results.sums import RECIPES, summed
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.distributions import normal_cdf

FIRST_DAYS = 7
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shift:
    """The lift of a variant in the first week and after; `p_value` of their being the same."""

    arm: int
    first: float
    later: float
    p_value: float


def novelty_checks(effects: Effects) -> list[Shift]:
    r"""One per variant for which there is enough.

    First: days 0 … 6 after exposure, of all shoppers. Later: from day 7 on, of those who were
    exposed that long ago. Many shoppers are in both, so the variance of the difference of the two
    lifts is taken over shoppers at once: $\sum_i (\psi^{later}_i - \psi^{first}_i)^2$ with ψ what a
    shopper adds to a lift to first order (the delta method, shopper by shopper).
    """
    facts, shoppers = effects.facts, effects.shoppers
    metric = facts.plan.primary
    if metric not in RECIPES or facts.first_day is None or facts.last_day is None:
        return []
    recipe, days = RECIPES[metric], facts.days
    exposed = facts.participants.day
    age = days.day - exposed[days.participant]
    last = (facts.last_day - facts.first_day).days
    is_first, is_old = age < FIRST_DAYS, last - exposed >= FIRST_DAYS

    def total(measure: str, rows: BoolArray) -> Float64Array:
        return summed(days.participant[rows], days.measures[measure][rows], shoppers.n)

    found = []
    windows = [(is_first, np.ones(shoppers.n, dtype=bool)), (~is_first, is_old)]
    for arm in effects.variants:
        lifts, influences = [], []
        for rows, members in windows:
            y = shoppers.own(metric, total(recipe.numerator, rows))
            d = (
                np.ones(shoppers.n)
                if recipe.denominator is None
                else total(recipe.denominator, rows)
            )
            enough = total(recipe.converted, rows) > 0
            arms = [members & (shoppers.arm == each) for each in (0, arm)]
            if not all(_enough(each, enough) for each in arms):
                break
            known = _lift(y, d, arms[0], arms[1])
            if known is None:
                break
            lifts.append(known[0])
            influences.append(known[1])
        if len(lifts) < 2:
            continue
        error = sqrt(float(((influences[1] - influences[0]) ** 2).sum()))
        if error > 0:
            p_value = 2 * normal_cdf(-abs(lifts[1] - lifts[0]) / error)
            found.append(Shift(arm, lifts[0], lifts[1], p_value))
    return found


def _enough(members: BoolArray, converted: BoolArray) -> bool:
    n, did = int(members.sum()), int((members & converted).sum())
    return n >= STANDARD_RULE.min_shoppers and did >= STANDARD_RULE.min_conversions


def _lift(
    y: Float64Array, d: Float64Array, control: BoolArray, treatment: BoolArray
) -> tuple[float, Float64Array] | None:
    """The relative lift, and float64[n]: what each shopper adds to it; None without a baseline."""
    of_control, of_treatment = float(d[control].sum()), float(d[treatment].sum())
    if not (of_control and of_treatment and y[control].sum()):
        return None
    base = float(y[control].sum()) / of_control
    variant = float(y[treatment].sum()) / of_treatment
    influence = np.zeros(len(y))
    influence[treatment] = (y[treatment] - variant * d[treatment]) / of_treatment / base
    influence[control] = -(variant / base**2) * (y[control] - base * d[control]) / of_control
    return variant / base - 1, influence
