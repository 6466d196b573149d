"""What an arm as a whole was shown, and how fast: figures that aren't sums over shoppers."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from analytics.metrics.latency import latency_interval, latency_quantile
from analytics.metrics.rates import Z_95
from analytics.results.concentration import concentration_of
from analytics.results.facts import Facts, Int64Array
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.distinct import coverage_of
from analytics.stats.effects import (
    Effect,
    Scale,
    difference_variance,
    lift_variance,
    relative_difference,
)

QUANTILE = 0.95
Whole = Literal["coverage", "gini", "quantile"]
# Which shoppers stand for a larger arm: always the same ones.
_SEED = 20_150


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of one arm.

    Attributes
    ----------
    value, standard_error, low, high
        With its 95 % interval, in the metric's unit.
    n
        Of what it was taken: shoppers, or answers.
    """

    value: float
    standard_error: float
    low: float
    high: float
    n: int


class Lists:
    """Coverage, concentration and latency of the arms, each computed once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        shown = facts.shown
        arm_of_pair = facts.participants.arm[shown.participant]
        self._pairs = [np.flatnonzero(arm_of_pair == i) for i in range(len(facts.arms))]
        order = np.random.default_rng(_SEED).permutation(len(facts.participants))
        # A participant's place in the order, for drawing the first m of an arm.
        self._place = np.empty(len(order), dtype=np.int64)
        self._place[order] = np.arange(len(order))
        n = len(order)
        self._shoppers = [
            np.flatnonzero(np.bincount(shown.participant[pairs], minlength=n))
            for pairs in self._pairs
        ]
        self._known: dict[tuple[Whole, int, int | None], Estimate | NotEnoughData] = {}

    def n_shown(self, arm: int) -> int:
        """Shoppers of an arm who were shown anything."""
        return len(self._shoppers[arm])

    def estimate(self, kind: Whole, arm: int, size: int | None = None) -> Estimate | NotEnoughData:
        """Of an arm, or of `size` of its shoppers who stand for it."""
        if size is not None and size >= self.n_shown(arm):
            size = None
        key = (kind, arm, size)
        if key not in self._known:
            if kind == "quantile":
                self._known[key] = _latency(self.facts.latency[arm])
            else:
                self._known[key] = self._of_lists(kind, self._drawn(arm, size))
        return self._known[key]

    def effect(
        self, kind: Whole, control: int, treatment: int, *, scale: Scale
    ) -> Effect | NotEnoughData:
        """Difference of two arms; of lists at equally many shoppers."""
        size = None if kind == "quantile" else min(self.n_shown(control), self.n_shown(treatment))
        first, second = (self.estimate(kind, arm, size) for arm in (control, treatment))
        for one in (first, second):
            if isinstance(one, NotEnoughData):
                return one
        assert isinstance(first, Estimate)
        assert isinstance(second, Estimate)
        n = np.bincount(self.facts.participants.arm, minlength=len(self.facts.arms))
        counts = (int(n[control]), int(n[treatment])) if size is None else (size, size)
        return effect_between(first, second, counts, scale=scale)

    def _drawn(self, arm: int, size: int | None) -> Int64Array:
        """Rows of `Shown`."""
        pairs = self._pairs[arm]
        if size is None:
            return pairs
        shoppers = self._shoppers[arm]
        kept = shoppers[np.argpartition(self._place[shoppers], size)[:size]]
        chosen = np.zeros(len(self._place), dtype=bool)
        chosen[kept] = True
        return pairs[chosen[self.facts.shown.participant[pairs]]]

    def _of_lists(self, kind: Whole, rows: Int64Array) -> Estimate | NotEnoughData:
        shown = self.facts.shown
        if not shown.n_products:
            return NotEnoughData(Reason.NO_DENOMINATOR, "no product may be shown")
        shoppers, products = shown.participant[rows], shown.product[rows]
        if kind == "coverage":
            coverage = coverage_of(shoppers, products, n_products=shown.n_products)
            if isinstance(coverage, NotEnoughData):
                return coverage
            error = coverage.standard_error / shown.n_products
            return Estimate(coverage.share, error, *coverage.interval(), coverage.n_shoppers)
        gini = concentration_of(shoppers, products, shown.times[rows], n_products=shown.n_products)
        if isinstance(gini, NotEnoughData):
            return gini
        return Estimate(gini.gini, gini.standard_error, *gini.interval(), gini.n_shoppers)


def effect_between(
    control: Estimate, treatment: Estimate, n_shoppers: tuple[int, int], *, scale: Scale
) -> Effect | NotEnoughData:
    """The effect from two independent estimates with their standard errors."""
    if not min(n_shoppers):
        return NotEnoughData(Reason.NO_SHOPPERS, "an arm has no shopper yet")
    if not (control.standard_error or treatment.standard_error):
        return NotEnoughData(Reason.NO_SPREAD, "neither arm varies")
    errors = control.standard_error**2, treatment.standard_error**2
    if scale == "relative":
        if control.value == 0:
            return NotEnoughData(
                Reason.NO_BASELINE, "the control arm's value is 0: nothing to be relative to"
            )
        estimate = relative_difference(control.value, treatment.value)
        variance = lift_variance(control.value, errors[0], 1, treatment.value, errors[1], 1)
    else:
        estimate = treatment.value - control.value
        variance = difference_variance(errors[0], 1, errors[1], 1)
    return Effect(
        scale,
        estimate,
        sqrt(variance),
        float(max(control.n + treatment.n - 2, 1)),
        *n_shoppers,
        control.value,
        treatment.value,
    )


def _latency(counts: Int64Array) -> Estimate | NotEnoughData:
    """The interval is of order statistics; the standard error is read off it."""
    n = int(counts.sum())
    value, interval = latency_quantile(counts, QUANTILE), latency_interval(counts, QUANTILE)
    if value is None:
        return NotEnoughData(Reason.NO_DENOMINATOR, "no answer yet")
    if interval is None:
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, f"{n} answers are too few for a percentile")
    low, high = interval
    return Estimate(value, (high - low) / (2 * Z_95), low, high, n)
