"""How an effect developed: day by day from the start, and by days since exposure.

One pass for all days: each day of a shopper changes what they add to the five sums, so the changes
are added up by arm and day and then along the days. n rows cost one sort, whatever the number of days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from analytics.results.document import Point, Series
from analytics.results.effects import Effects, measured_from
from analytics.results.facts import Float64Array, Int64Array
from analytics.results.sums import RECIPES, ArmSums, arm_sums, moments_of, summed
from analytics.stats.answers import NotEnoughData
from analytics.stats.effects import welch_test
from analytics.stats.sequential import sequence_test

# What a test may be decided by (`recommender.models.experiments.GOALS`).
GOAL_METRICS = (
    "conversion_rate",
    "revenue_per_shopper",
    "average_order_value",
    "add_to_cart_rate",
    "click_rate",
)
# More points than that are thinned out, counted back from the newest.
MOST_POINTS = 92


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """When things happened, in days since the start or since exposure.

    Attributes
    ----------
    enters, leaves : int64[n]
        The first time of a participant, and the one from which they don't count any more.
    rows : int64[m]
        Of each person-day.
    size
        Times are 0 … size - 1.
    """

    enters: Int64Array
    leaves: Int64Array
    rows: Int64Array
    size: int


def series_of(effects: Effects) -> tuple[Series, ...]:
    """All goal metrics × variants; none before anybody came, or without arms to compare."""
    facts = effects.facts
    if facts.first_day is None or facts.last_day is None or not len(facts.participants):
        return ()
    if facts.plan.kind in ("bandit", "interleaving"):
        return ()
    last = (facts.last_day - facts.first_day).days
    exposed, size = facts.participants.day, last + 1
    by_day = Clock(exposed, np.full(len(exposed), size), facts.days.day, size)
    # At age a count those who were exposed at least a days ago, with what they did by then.
    age = facts.days.day - exposed[facts.days.participant]
    by_age = Clock(np.zeros_like(exposed), last - exposed + 1, age, size)
    # Once for all metrics: a participant's rows next to each other, in order of time.
    order = np.lexsort((facts.days.day, facts.days.participant))
    tables = {
        metric: (
            _sums_over(effects, metric, by_day, order),
            _sums_over(effects, metric, by_age, order),
        )
        for metric in GOAL_METRICS
    }
    first = facts.first_day
    return tuple(
        Series(
            metric=metric,
            variant_id=facts.arms[arm].variant_id,
            cumulative=tuple(
                _point(effects, metric, arm, cumulative[at], at, day=first + timedelta(days=at))
                for at in _kept(size)
            ),
            by_age=tuple(_point(effects, metric, arm, aged[at], at) for at in _kept(size)),
        )
        for metric, (cumulative, aged) in tables.items()
        for arm in effects.variants
    )


def _kept(size: int) -> range:
    step = -(-size // MOST_POINTS)
    return range((size - 1) % step, size, step)


def _sums_over(
    effects: Effects, metric: str, clock: Clock, order: Int64Array
) -> list[list[ArmSums]]:
    """Per time and arm, the sums over who counts then of what they did by then."""
    shoppers, recipe = effects.shoppers, RECIPES[metric]
    days, arm, n_arms = effects.facts.days, shoppers.arm, shoppers.n_arms
    who, at = days.participant[order], clock.rows[order]
    is_first = np.ones(len(who), dtype=bool)
    is_first[1:] = who[1:] != who[:-1]
    now, before = _running(days.measures[recipe.numerator][order], is_first)
    y_now, y_before = shoppers.own(metric, now), shoppers.own(metric, before)
    past = shoppers.past(metric)
    if recipe.denominator is not None:
        z_now, z_before = _running(days.measures[recipe.denominator][order], is_first)
        base = np.zeros(shoppers.n)
    else:
        base = np.zeros(shoppers.n) if past is None else past
        z_now = z_before = base[who]
    # What a shopper adds before they did anything: their past.
    nothing = np.zeros(shoppers.n)
    table = np.empty((6, clock.size, n_arms))
    final = moments_of(
        shoppers.own(metric, shoppers.total(recipe.numerator)), shoppers.other(metric)
    )
    steps = zip(
        moments_of(nothing, base),
        moments_of(y_now, z_now),
        moments_of(y_before, z_before),
        final,
        strict=True,
    )
    for i, (entry, after, prior, whole) in enumerate(steps):
        table[i] = (
            _cells(clock.enters, arm, entry, clock.size, n_arms)
            + _cells(at, arm[who], after - prior, clock.size, n_arms)
            - _cells(clock.leaves, arm, whole, clock.size, n_arms)
        )
    ones = np.ones(shoppers.n)
    table[5] = _cells(clock.enters, arm, ones, clock.size, n_arms) - _cells(
        clock.leaves, arm, ones, clock.size, n_arms
    )
    sums = table.cumsum(axis=1)
    return [
        [
            arm_sums(metric, round(float(sums[5, t, a])), [float(each) for each in sums[:5, t, a]])
            for a in range(n_arms)
        ]
        for t in range(clock.size)
    ]


def _running(values: Float64Array, is_first: np.ndarray) -> tuple[Float64Array, Float64Array]:
    """Sums of each participant's rows so far, with and without the row itself."""
    sums = np.cumsum(values)
    before = sums - values
    start = np.maximum.accumulate(np.where(is_first, np.arange(len(values)), 0))
    offset = before[start] if len(values) else before
    return sums - offset, before - offset


def _cells(
    at: Int64Array, arm: Int64Array, weights: Float64Array, size: int, n_arms: int
) -> Float64Array:
    """float64[size, n_arms]; what happens at `size` or later is in no cell."""
    flat = summed(np.minimum(at, size) * n_arms + arm, weights, (size + 1) * n_arms)
    return flat.reshape(size + 1, n_arms)[:size]


def _point(
    effects: Effects,
    metric: str,
    arm: int,
    sums: list[ArmSums],
    at: int,
    *,
    day: object = None,
) -> Point:
    effect = measured_from(sums[0], sums[arm], cuped=effects.uses_cuped(metric)).effect
    n_shoppers = sums[0].n + sums[arm].n
    when = {"at": at, "day": day, "n_shoppers": n_shoppers}
    if isinstance(effect, NotEnoughData):
        return Point(**when, estimate=None, low=None, high=None)  # type: ignore[arg-type]
    fixed = welch_test(effect)
    planned = effects.planned_shoppers(0, arm)
    sequence = sequence_test(effect, planned_shoppers=planned, alpha=0.05)
    return Point(
        **when,  # type: ignore[arg-type]
        estimate=effect.estimate,
        low=fixed.low,
        high=fixed.high,
        sequence_low=sequence.low,
        sequence_high=sequence.high,
    )
