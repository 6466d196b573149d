"""How long a test must run: words and a table, from what shoppers did lately.

A test's shoppers come more slowly by the day: who comes back is in it already. So the plan takes the
curve of *new* shoppers of a test that would have begun a few weeks ago, not shoppers per day times
days; and the goal as it was per shopper after that long, because who was watched for longer bought
more often.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from analytics.metrics.definitions import DEFINITIONS
from analytics.stats.answers import InvalidInputError, NotEnoughData
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.power import Baseline, power_of, shoppers_for_lift, smallest_lift

POWER = 0.8
MIN_DAYS, MAX_DAYS = 7, 365
# Beyond that nobody waits; how long it would take is said, up to so many years.
_MAX_YEARS = 20
_TABLE_WEEKS = 8
# Lifts that are proposed instead of one out of reach, and within how many days.
_ROUND_LIFTS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
_SOON_DAYS = 28


@dataclass(frozen=True, slots=True)
class GoalAfter:
    """The goal per shopper as it was in the first days of a test that would have begun lately.

    Attributes
    ----------
    days
        From its beginning.
    mean, variance
        Per shopper exposed by then, without any effect; mean above 0, variance above 0.
    n_shoppers, n_conversions
        They come from; a conversion is a shopper who did what the goal is about.
    """

    days: int
    mean: float
    variance: float
    n_shoppers: int
    n_conversions: int

    @property
    def conversion_rate(self) -> float:
        """Share of shoppers who converted."""
        return self.n_conversions / self.n_shoppers


@dataclass(frozen=True, slots=True)
class History:
    """What a plan is made from.

    Attributes
    ----------
    goal
        Key in `analytics.metrics.definitions`.
    arrivals : n_days numbers
        Shoppers who would have come into a test on its first day, its second …
    horizons
        At least one, by ascending days.
    basis
        Where the figures come from, in words.
    """

    goal: str
    arrivals: tuple[float, ...]
    horizons: tuple[GoalAfter, ...]
    basis: str

    def shoppers_by(self, days: float) -> float:
        """New shoppers of the first days; after the history they go on as in its last week.

        Examples
        --------
        >>> History("conversion_rate", (100.0,) * 7, (), "").shoppers_by(10)
        1000.0
        """
        n = len(self.arrivals)
        whole = min(int(days), n)
        total = sum(self.arrivals[:whole])
        if days < n:
            return total + (days - whole) * self.arrivals[whole]
        last = self.arrivals[-7:]
        return total + (days - n) * sum(last) / len(last)

    def after(self, days: float) -> GoalAfter:
        """The horizon that is nearest to a length."""
        return min(self.horizons, key=lambda each: abs(each.days - days))


@dataclass(frozen=True, slots=True)
class Split:
    """Who takes part in what shares.

    Attributes
    ----------
    weights : at least 2 numbers above 0
        The first one is the control's; relative.
    coverage
        Share of the arriving shoppers who take part, 0 < coverage ≤ 1; times the share of the
        exclusion group.
    """

    weights: tuple[float, ...]
    coverage: float = 1.0

    def __post_init__(self) -> None:
        if len(self.weights) < 2 or min(self.weights) <= 0:
            raise InvalidInputError(f"weights are {self.weights!r}")
        if not 0 < self.coverage <= 1:
            raise InvalidInputError(f"coverage is {self.coverage!r}")

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the participants."""
        total = sum(self.weights)
        return tuple(weight / total for weight in self.weights)

    @property
    def alpha(self) -> float:
        """Level of one comparison at the planned end: Holm's strictest, α / (arms - 1)."""
        return STANDARD_RULE.alpha_at_end / (len(self.weights) - 1)


@dataclass(frozen=True, slots=True)
class PlanWeek:
    """What would be known after so many weeks, for the smallest variant."""

    week: int
    n_shoppers: int
    power: float
    smallest_lift: float | None


@dataclass(frozen=True, slots=True)
class PlanSketch:
    """A plan.

    Attributes
    ----------
    n_shoppers
        Exposed in all arms together at the planned end, for 80 % power; None: out of reach.
    n_days
        Until then, at least a week; None: more than `MAX_DAYS`.
    n_weeks
        The same in whole weeks: what to plan, because every weekday then counts the same.
    years
        How long it would take if it is out of reach; None: longer than anybody says, or in reach.
    instead
        A lift and the days it takes, if the one asked for is out of reach.
    shoppers_per_day
        New in the first week.
    """

    goal: str
    lift: float
    baseline: float
    alpha: float
    power: float
    n_shoppers: int | None
    n_days: int | None
    n_weeks: int | None
    years: float | None
    instead: tuple[float, int] | None
    shoppers_per_day: float
    weeks: tuple[PlanWeek, ...]
    words: str
    basis: str

    def as_json(self) -> dict[str, Any]:
        """For `Experiment.plan`."""
        return asdict(self)


def plan_sketch(history: History, lift: float, split: Split) -> PlanSketch:
    """How long until a lift is found with 80 % power by the verdict's test at the planned end.

    Planned for the comparison that takes longest (the control with the smallest variant), at the
    level of `Split.alpha`; CUPED, which makes it shorter, isn't counted on. Each arm must also
    have what every verdict needs: 100 shoppers and 25 conversions.

    Parameters
    ----------
    lift
        Relative, above 0.

    Returns
    -------
    PlanSketch

    Examples
    --------
    >>> after = GoalAfter(14, 0.05, 0.0475, 20_000, 1_000)
    >>> history = History("conversion_rate", (2_000.0,) * 28, (after,), "")
    >>> plan_sketch(history, 0.1, Split((1, 1))).words
    'At today’s traffic 36 days for +10 % conversion rate.'
    """
    if not lift > 0:
        raise InvalidInputError(f"lift is {lift!r}, not above 0")
    name = DEFINITIONS[history.goal].name.lower()
    n_days, n_shoppers = _reached(history, lift, split, MAX_DAYS)
    years, instead = None, None
    if n_days is None:
        days, _ = _reached(history, lift, split, _MAX_YEARS * 365)
        years = days / 365 if days is not None else None
        instead = _instead(history, lift, split)
    return PlanSketch(
        goal=history.goal,
        lift=lift,
        baseline=history.after(n_days or 28).mean,
        alpha=split.alpha,
        power=POWER,
        n_shoppers=n_shoppers,
        n_days=n_days,
        n_weeks=ceil(n_days / 7) if n_days is not None else None,
        years=years,
        instead=instead,
        shoppers_per_day=split.coverage * history.shoppers_by(7) / 7,
        weeks=plan_table(history, lift, split, n_weeks=_table_weeks(n_days)),
        words=_words(name, lift, n_days, years, instead),
        basis=history.basis,
    )


def plan_table(
    history: History, lift: float, split: Split, *, n_weeks: int
) -> tuple[PlanWeek, ...]:
    """Power and smallest lift week by week, for the control and the smallest variant."""
    control, treatment = _smallest_pair(split)
    rows = []
    for week in range(1, n_weeks + 1):
        after = history.after(7 * week)
        baseline = Baseline(after.mean, after.variance)
        n = split.coverage * history.shoppers_by(7 * week)
        if n <= 0:
            continue
        smallest = smallest_lift(
            baseline,
            n_control=n * control,
            n_treatment=n * treatment,
            alpha=split.alpha,
            power=POWER,
        )
        power = power_of(
            baseline, lift, n_control=n * control, n_treatment=n * treatment, alpha=split.alpha
        )
        rows.append(
            PlanWeek(
                week,
                round(n),
                power,
                None if isinstance(smallest, NotEnoughData) else smallest,
            )
        )
    return tuple(rows)


def shoppers_needed(after: GoalAfter, lift: float, split: Split) -> int:
    """In all arms together: for the power, and for what every verdict needs.

    Examples
    --------
    >>> after = GoalAfter(14, 0.05, 0.0475, 20_000, 1_000)
    >>> shoppers_needed(after, 0.1, Split((1, 1))), shoppers_needed(after, 9.0, Split((1, 1)))
    (70402, 1000)
    """
    control, treatment = _smallest_pair(split)
    pair = shoppers_for_lift(
        Baseline(after.mean, after.variance),
        lift,
        weights=(control, treatment),
        alpha=split.alpha,
        power=POWER,
    )
    smallest = min(split.shares)
    by_rule = [STANDARD_RULE.min_shoppers / smallest]
    if after.n_conversions:
        by_rule.append(STANDARD_RULE.min_conversions / after.conversion_rate / smallest)
    return ceil(max(sum(pair) / (control + treatment), *by_rule))


def _smallest_pair(split: Split) -> tuple[float, float]:
    """Shares of the control and of the smallest variant."""
    return split.shares[0], min(split.shares[1:])


def _reached(
    history: History, lift: float, split: Split, most_days: int
) -> tuple[int | None, int | None]:
    """The first day on which there are enough shoppers, and how many; the second also beyond."""
    needed = {after.days: shoppers_needed(after, lift, split) for after in history.horizons}
    low, high = MIN_DAYS, most_days
    if split.coverage * history.shoppers_by(high) < needed[history.after(high).days]:
        return None, None
    # Days are few where horizons change, many (and all alike) beyond: halve only there.
    for days in range(low, min(high, 2 * history.horizons[-1].days) + 1):
        if split.coverage * history.shoppers_by(days) >= needed[history.after(days).days]:
            return days, needed[history.after(days).days]
    low = 2 * history.horizons[-1].days
    while high - low > 1:
        middle = (low + high) // 2
        if split.coverage * history.shoppers_by(middle) >= needed[history.after(middle).days]:
            high = middle
        else:
            low = middle
    return high, needed[history.after(high).days]


def _instead(history: History, lift: float, split: Split) -> tuple[float, int] | None:
    """The smallest round lift above that takes four weeks at most, else a year."""
    for most_days in (_SOON_DAYS, MAX_DAYS):
        for larger in _ROUND_LIFTS:
            if larger > lift:
                days, _ = _reached(history, larger, split, most_days)
                if days is not None:
                    return larger, days
    return None


def _table_weeks(n_days: int | None) -> int:
    """Up to the planned end and two weeks more, but not fewer than eight, nor more than a year."""
    return _TABLE_WEEKS if n_days is None else min(max(ceil(n_days / 7) + 2, _TABLE_WEEKS), 54)


def _words(
    name: str,
    lift: float,
    n_days: int | None,
    years: float | None,
    instead: tuple[float, int] | None,
) -> str:
    if n_days is not None:
        return f"At today’s traffic {n_days} days for {lift_words(lift)} {name}."
    long = "more than 20 years" if years is None else _long_words(years)
    said = f"{lift_words(lift)} {name} would take {long} at today’s traffic"
    if instead is None:
        return f"{said}, and no rise up to +100 % can be found within a year."
    larger, days = instead
    return f"{said}; {lift_words(larger)} takes {_days_words(days)}."


def lift_words(lift: float) -> str:
    """
    Examples
    --------
    >>> lift_words(0.05), lift_words(0.025)
    ('+5 %', '+2.5 %')
    """
    return f"+{lift * 100:.3g} %"


def _long_words(years: float) -> str:
    if years < 1.95:
        return f"{ceil(years * 12)} months"
    return f"{round(years)} years"


def _days_words(days: int) -> str:
    return f"{days} days" if days % 7 and days <= _SOON_DAYS else f"{ceil(days / 7)} weeks"
