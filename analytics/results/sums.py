"""From what each shopper did to the sums of an arm.

Every metric over shoppers has at most two numbers per shopper: its own (did they buy, what did they
spend, how often did they click) and another one, which is what it is divided by (how much they saw)
or what they did in the 14 days before. Five sums of these two are all that any test needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analytics.metrics.definitions import DEFINITIONS, Kind
from analytics.results.facts import Facts, Float64Array, Int64Array
from analytics.stats.answers import NotEnoughData
from analytics.stats.capping import cap_of
from analytics.stats.cuped import PairedSums
from analytics.stats.summaries import MeanSums, Proportion, RatioSums, Sums

Rows: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.bool_]

# Σy, Σy², Σz, Σz², Σyz.
N_MOMENTS = 5


@dataclass(frozen=True, slots=True)
class Recipe:
    """Of which columns a metric is made.

    Attributes
    ----------
    numerator, denominator
        Measures of the days; a proportion asks whether the numerator is above 0.
    converted
        The measure that counts a shopper as converted where the rule wants 25 of them.
    past
        The figure of the time before that explains it.
    """

    numerator: str
    denominator: str | None = None
    converted: str = "n_impressions"
    past: str | None = None


RECIPES: dict[str, Recipe] = {
    "conversion_rate": Recipe("n_orders", None, "n_orders", "pre_orders"),
    "revenue_per_shopper": Recipe("revenue_minor", None, "n_orders", "pre_revenue_minor"),
    "average_order_value": Recipe("revenue_minor", "n_orders", "n_orders"),
    "add_to_cart_rate": Recipe("n_carts", None, "n_carts", "pre_carts"),
    "click_rate": Recipe("n_clicks", "n_seen", "n_clicks"),
    "diversity": Recipe("diversity_sum", "n_diversity"),
    "novelty": Recipe("novelty_sum", "n_novelty"),
    "serendipity": Recipe("serendipity_sum", "n_serendipity"),
    "calibration": Recipe("calibration_sum", "n_calibration"),
    "empty_rate": Recipe("n_empty", "n_impressions"),
    "fallback_rate": Recipe("n_fallback_slots", "n_slots"),
}


@dataclass(frozen=True, slots=True)
class ArmSums:
    """A metric's sums of one arm.

    Attributes
    ----------
    moments
        Σy, Σy², Σz, Σz², Σyz, with z the denominator of a ratio, else the past.
    has_past
        Whether z is a past.
    """

    kind: Kind
    n: int
    moments: tuple[float, ...]
    has_past: bool

    @property
    def plain(self) -> Sums:
        """Without the past."""
        y, yy, z, zz, yz = self.moments
        if self.kind == "ratio":
            return RatioSums(self.n, y, yy, z, zz, yz)
        if self.kind == "proportion":
            return Proportion(self.n, round(y))
        return MeanSums(self.n, y, yy)

    @property
    def paired(self) -> PairedSums | None:
        """With the past; None if the metric has none."""
        return PairedSums(self.n, *self.moments) if self.has_past else None


class Shoppers:
    """What each participant did in total, column by column when it is asked for."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.n = len(facts.participants)
        self.n_arms = len(facts.arms)
        self.arm = facts.participants.arm
        self.n_by_arm = np.bincount(self.arm, minlength=self.n_arms)
        self._totals: dict[str, Float64Array] = {}

    def total(self, measure: str) -> Float64Array:
        """float64[n]: a measure, over all days."""
        if measure not in self._totals:
            days = self.facts.days
            self._totals[measure] = summed(days.participant, days.measures[measure], self.n)
        return self._totals[measure]

    @cached_property
    def cap(self) -> float | None:
        """In minor units: the 99.9th percentile of what the buyers of all arms spent."""
        return _cap(self.total("revenue_minor"))

    @cached_property
    def past_cap(self) -> float | None:
        """The same of the 14 days before."""
        return _cap(self.facts.participants.pre["pre_revenue_minor"])

    def own(self, metric: str, raw: Float64Array) -> Float64Array:
        """A metric's number from raw totals of its numerator: 0 or 1, or capped, or as it is."""
        if DEFINITIONS[metric].kind == "proportion":
            return (raw > 0).astype(np.float64)
        if metric == "revenue_per_shopper" and self.cap is not None:
            return np.minimum(raw, self.cap)
        return raw

    def past(self, metric: str) -> Float64Array | None:
        """float64[n]: the figure of the time before; None if the metric has none."""
        name = RECIPES[metric].past
        if name is None:
            return None
        before = self.facts.participants.pre[name]
        if DEFINITIONS[metric].kind == "proportion":
            return (before > 0).astype(np.float64)
        return before if self.past_cap is None else np.minimum(before, self.past_cap)

    def other(self, metric: str) -> Float64Array:
        """float64[n]: the denominator, or the past, or zeros."""
        denominator = RECIPES[metric].denominator
        if denominator is not None:
            return self.total(denominator)
        past = self.past(metric)
        return np.zeros(self.n) if past is None else past

    def sums(self, metric: str, rows: Rows | None = None) -> list[ArmSums]:
        """Per arm, of all participants or some."""
        y = self.own(metric, self.total(RECIPES[metric].numerator))
        z = self.other(metric)
        arm = self.arm
        if rows is not None:
            y, z, arm = y[rows], z[rows], arm[rows]
        counts = np.bincount(arm, minlength=self.n_arms)
        moments = [summed(arm, each, self.n_arms) for each in moments_of(y, z)]
        return [
            arm_sums(metric, int(counts[i]), [float(each[i]) for each in moments])
            for i in range(self.n_arms)
        ]

    def converted(self, metric: str, rows: Rows | None = None) -> Int64Array:
        """int64[n_arms]: who did what the metric is about."""
        recipe = RECIPES.get(metric)
        did = self.total("n_impressions" if recipe is None else recipe.converted) > 0
        arm = self.arm
        if rows is not None:
            did, arm = did[rows], arm[rows]
        return np.bincount(arm[did], minlength=self.n_arms)


def summed(at: Int64Array, weights: Float64Array, size: int) -> Float64Array:
    """float64[size]: weights added up by place; zeros where there are none."""
    # Without any, `bincount` answers in whole numbers.
    return np.bincount(at, weights=weights, minlength=size).astype(np.float64)


def moments_of(y: Float64Array, z: Float64Array) -> tuple[Float64Array, ...]:
    """What a shopper adds to each of the five sums."""
    return y, y * y, z, z * z, y * z


def arm_sums(metric: str, n: int, moments: list[float]) -> ArmSums:
    """Sums of a metric; of nobody they are 0, whatever rounding has left."""
    kept = tuple(moments) if n else (0.0,) * N_MOMENTS
    return ArmSums(DEFINITIONS[metric].kind, n, kept, _has_past(metric))


@lru_cache
def _has_past(metric: str) -> bool:
    return DEFINITIONS[metric].cuped and RECIPES[metric].past is not None


def _cap(spent: Float64Array) -> float | None:
    cap = cap_of(spent[spent > 0])
    return None if isinstance(cap, NotEnoughData) else cap
