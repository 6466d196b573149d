"""How long an experiment takes at today's traffic, and how far a running one has come."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from analytics.stats.answers import (
    InvalidInputError,
    NotEnoughData,
    Reason,
    require_positive,
    require_share,
)
from analytics.stats.bayesian import Prior
from analytics.stats.distributions import normal_cdf, normal_quantile
from analytics.stats.effects import Effect
from analytics.stats.power import Baseline, power_at, power_of, smallest_lift
from analytics.stats.sequential import mixture_rho, sequence_half_width

MIN_DAYS = 7
# Doubling so often reaches 134 million times the shoppers so far.
_MOST_DOUBLINGS = 27
_MOST_HALVINGS = 100
# In power: a hundred-thousandth is a shopper or two.
_CLOSE_ENOUGH = 1e-5


@dataclass(frozen=True, slots=True)
class Duration:
    """How long it takes.

    Attributes
    ----------
    n_shoppers
        Exposed in total, all arms.
    n_days
        Rounded up, at least `MIN_DAYS`.
    n_whole_weeks
        The same in whole weeks, which is what to plan: every weekday counts the same.
    """

    n_shoppers: int
    n_days: int
    n_whole_weeks: int


def duration_of(n_shoppers: int, *, shoppers_per_day: float) -> Duration | NotEnoughData:
    """Days until so many shoppers were exposed.

    Parameters
    ----------
    n_shoppers
        Wanted, of all arms together.
    shoppers_per_day
        **New** shoppers a day who reach the placement, times coverage; those who come back are
        counted once. Above 0, or there is no answer.

    Examples
    --------
    >>> duration_of(60_000, shoppers_per_day=5_100)
    Duration(n_shoppers=60000, n_days=12, n_whole_weeks=2)
    """
    require_positive("shoppers", n_shoppers)
    if shoppers_per_day == 0:
        return NotEnoughData(Reason.NO_SHOPPERS, "no shopper reached the placement lately")
    require_positive("shoppers per day", shoppers_per_day)
    n_days = max(ceil(n_shoppers / shoppers_per_day), MIN_DAYS)
    return Duration(n_shoppers, n_days, ceil(n_days / 7))


@dataclass(frozen=True, slots=True)
class Week:
    """What would be known after so many weeks.

    Attributes
    ----------
    week
        1, 2, …
    n_shoppers
        Exposed by then, all arms.
    power
        Of finding the lift that was asked for.
    smallest_lift
        That would be found with the wanted power by then.
    """

    week: int
    n_shoppers: float
    power: float
    smallest_lift: float | NotEnoughData


def plan_weeks(
    baseline: Baseline,
    lift: float,
    *,
    shoppers_per_week: float,
    n_arms: int,
    n_weeks: int,
    alpha: float = 0.05,
    power: float = 0.8,
) -> tuple[Week, ...]:
    """The table of the planner: power and smallest lift week by week, arms of equal size.

    Parameters
    ----------
    alpha
        .04 to plan for the verdict's test at the planned end (`analytics.stats.decision`).

    Raises
    ------
    InvalidInputError
        Fewer than two arms, less than a week, no traffic.

    Examples
    --------
    >>> rows = plan_weeks(
    ...     Baseline(0.1, 0.5), 0.3, shoppers_per_week=4500, n_arms=3, n_weeks=9
    ... )
    >>> round(rows[0].power, 5), next(row.week for row in rows if row.power >= 0.8)
    (0.17053, 8)
    """
    require_positive("shoppers per week", shoppers_per_week)
    if n_arms < 2 or n_weeks < 1:
        raise InvalidInputError(f"{n_arms} arms for {n_weeks} weeks")
    rows = []
    for week in range(1, n_weeks + 1):
        n = shoppers_per_week * week / n_arms
        rows.append(
            Week(
                week,
                shoppers_per_week * week,
                power_of(baseline, lift, n_control=n, n_treatment=n, alpha=alpha),
                smallest_lift(baseline, n_control=n, n_treatment=n, alpha=alpha, power=power),
            )
        )
    return tuple(rows)


def extra_sample_factor(
    effect: Effect,
    lift: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    planned_shoppers: float | None = None,
    prior: Prior | None = None,
) -> float | NotEnoughData:
    r"""How many times the shoppers so far must still come, to find a lift with the wanted power.

    After a factor k the variance is $\sigma^2/(1+k)$. A result counts when $|\hat\Delta|$ exceeds
    the half-width: $z_{1-\alpha/2}\sigma/\sqrt{1+k}$; of the confidence sequence if
    `planned_shoppers` is given; or when the posterior's interval excludes 0 if `prior` is. Solved
    by doubling and bisection, until the power is met within 10⁻⁵.

    Parameters
    ----------
    effect
        As it stands; its standard error and number of shoppers are used, its estimate is not.
    lift
        The smallest effect worth finding, on the effect's scale.

    Returns
    -------
    float | NotEnoughData
        0 if the power is there already; nothing above 134 million times.

    References
    ----------
    GrowthBook's gbstats, ``midexperimentpower.py`` (one goal metric, two variations).

    Examples
    --------
    >>> from analytics.stats.effects import measure_effect
    >>> from analytics.stats.summaries import MeanSums
    >>> effect = measure_effect(MeanSums(500, 500, 1500), MeanSums(500, 525, 1551.25))
    >>> round(extra_sample_factor(effect, 0.05), 3)
    25.457
    """
    require_share("alpha", alpha)
    require_share("power", power)
    if prior is not None and planned_shoppers is not None:
        raise InvalidInputError("a prior and a planned size: a posterior has no sequence")
    size = abs(lift)
    require_positive("lift", size)

    def found(factor: float) -> float:
        se = effect.standard_error / sqrt(1 + factor)
        if prior is not None:
            return _power_of_posterior(size, se, prior, alpha)
        if planned_shoppers is None:
            return power_at(size, se, critical=normal_quantile(1 - alpha / 2))
        rho = mixture_rho(alpha, planned_shoppers)
        n = effect.n_shoppers * (1 + factor)
        return power_at(size, se, critical=sequence_half_width(1.0, n, alpha=alpha, rho=rho))

    if found(0.0) >= power:
        return 0.0
    high = 1.0
    for _ in range(_MOST_DOUBLINGS):
        if found(high) >= power:
            break
        high *= 2
    else:
        return NotEnoughData(Reason.OUT_OF_REACH, f"a lift of {lift:.2%} is out of reach")
    low = 0.0
    for _ in range(_MOST_HALVINGS):
        middle = (low + high) / 2
        gap = found(middle) - power
        if abs(gap) < _CLOSE_ENOUGH:
            break
        low, high = (middle, high) if gap < 0 else (low, middle)
    return middle


def _power_of_posterior(size: float, se: float, prior: Prior, alpha: float) -> float:
    variance = se * se
    width = variance * sqrt(1 / prior.deviation**2 + 1 / variance) * normal_quantile(1 - alpha / 2)
    pull = variance * prior.mean / prior.deviation**2
    return normal_cdf((size + pull - width) / se) + normal_cdf(-(width + pull + size) / se)


def progress_of(half_width: float, target_half_width: float) -> float:
    """How far the interval has come to the planned width: (target / now)², at most 1.

    The share of the shoppers needed, because widths shrink with the root of their number.

    Examples
    --------
    >>> progress_of(0.08, 0.04), progress_of(0.03, 0.04)
    (0.25, 1.0)
    """
    require_positive("half-width", half_width)
    require_positive("target half-width", target_half_width)
    return min((target_half_width / half_width) ** 2, 1.0)


def impact_per_day(effect: Effect, *, traffic_share: float, days: float) -> float:
    """What the variant would bring per day if everybody got it, in the metric's unit.

    (μ_T - μ_C)·(N_T / p_T) / days, with p_T the variant's share of the placement's traffic.

    References
    ----------
    GrowthBook, "scaled impact".

    Examples
    --------
    >>> impact_per_day(
    ...     Effect("absolute", 0.5, 0.1, 99.0, 1000, 1000, 2.0, 2.5), traffic_share=0.5, days=10
    ... )
    100.0
    """
    if not 0 < traffic_share <= 1:
        raise InvalidInputError(f"traffic share is {traffic_share!r}, not above 0 and at most 1")
    require_positive("days", days)
    gain = effect.treatment_mean - effect.control_mean
    return gain * effect.n_treatment / traffic_share / days
