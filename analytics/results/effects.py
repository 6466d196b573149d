"""Every effect of an experiment, computed once, whoever asks: scorecard, verdict, guardrails."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.facts import Facts
from analytics.results.lists import Estimate, Lists
from analytics.results.sums import ArmSums, Shoppers
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.cuped import measure_adjusted
from analytics.stats.distributions import t_quantile
from analytics.stats.effects import Effect, Scale, measure_effect
from analytics.stats.summaries import RatioSums, Sums


@dataclass(frozen=True, slots=True)
class Measured:
    """An effect, and what CUPED took of its variance (None without CUPED)."""

    effect: Effect | NotEnoughData
    variance_removed: float | None = None


class Effects:
    """The arms of an experiment, compared.

    A metric is named by its key, an arm by its position.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.shoppers = Shoppers(facts)
        self._lists: Lists | None = None
        self._sums: dict[str, list[ArmSums]] = {}
        self._known: dict[tuple[str, int, int, Scale, bool], Measured] = {}

    @property
    def n_arms(self) -> int:
        """The control included."""
        return len(self.facts.arms)

    @property
    def variants(self) -> range:
        """Positions of the arms that are compared with the control."""
        return range(1, self.n_arms)

    @property
    def lists(self) -> Lists:
        """What the arms were shown; verdicts on goals never ask for it."""
        if self._lists is None:
            self._lists = Lists(self.facts)
        return self._lists

    def sums(self, metric: str, arm: int) -> ArmSums:
        """Of a metric over shoppers."""
        if metric not in self._sums:
            self._sums[metric] = self.shoppers.sums(metric)
        return self._sums[metric][arm]

    def lacking(self, metric: str, arm: int) -> NotEnoughData | None:
        """What a metric of lists needs, if the arm was shown lists and there is no value of them."""
        needs = DEFINITIONS[metric].needs
        if not needs:
            return None
        sums = self.sums(metric, arm).plain
        of_arm = self.shoppers.arm == arm
        if not isinstance(sums, RatioSums) or sums.denominator:
            return None
        if not self.shoppers.total("n_slots")[of_arm].sum():
            return None
        return NotEnoughData(Reason.NO_DENOMINATOR, needs)

    def planned_shoppers(self, first: int, second: int) -> float:
        """N* of two arms: their share of the plan; without a plan, those who are there.

        By the weights of the start: the sequence is valid for a size that was fixed before.
        """
        phases, planned = self.facts.phases, self.facts.plan.planned_shoppers
        weights = phases[0].weights if phases else tuple(arm.share for arm in self.facts.arms)
        whole, share = sum(weights), weights[first] + weights[second]
        if planned and whole > 0 and share > 0:
            return planned * share / whole
        counts = self.shoppers.n_by_arm
        return float(max(counts[first] + counts[second], 1))

    def uses_cuped(self, metric: str) -> bool:
        """Whether the plan has the metric judged with the past taken out."""
        return self.facts.plan.cuped and DEFINITIONS[metric].cuped

    def measured(
        self, metric: str, treatment: int, control: int = 0, *, scale: Scale, cuped: bool
    ) -> Measured:
        """What an arm changes against another."""
        key = (metric, treatment, control, scale, cuped)
        if key not in self._known:
            self._known[key] = self._measure(metric, treatment, control, scale, cuped)
        return self._known[key]

    def locked(self, metric: str, treatment: int) -> Measured:
        """The effect that the verdict is about: relative, CUPED as the plan says."""
        cuped = self.uses_cuped(metric)
        return self.measured(metric, treatment, scale="relative", cuped=cuped)

    def difference(self, metric: str, treatment: int) -> Effect | None:
        """The locked effect on the absolute scale, which has to agree with it; None without one."""
        cuped = self.uses_cuped(metric)
        effect = self.measured(metric, treatment, scale="absolute", cuped=cuped).effect
        return effect if isinstance(effect, Effect) else None

    def _measure(
        self, metric: str, treatment: int, control: int, scale: Scale, cuped: bool
    ) -> Measured:
        kind = DEFINITIONS[metric].kind
        if kind == "coverage" or kind == "gini" or kind == "quantile":
            return Measured(self.lists.effect(kind, control, treatment, scale=scale))
        lacking = self.lacking(metric, control) or self.lacking(metric, treatment)
        if lacking is not None:
            return Measured(lacking)
        return measured_from(
            self.sums(metric, control), self.sums(metric, treatment), scale=scale, cuped=cuped
        )


def measured_from(
    control: ArmSums, treatment: ArmSums, *, scale: Scale = "relative", cuped: bool = False
) -> Measured:
    """The effect from sums; CUPED where it is asked for and there is a past."""
    first, second = control.paired, treatment.paired
    if cuped and first is not None and second is not None:
        adjusted = measure_adjusted(first, second, scale=scale)
        if isinstance(adjusted, NotEnoughData):
            return Measured(adjusted)
        return Measured(adjusted.effect, adjusted.variance_removed)
    return Measured(measure_effect(control.plain, treatment.plain, scale=scale))


def mean_of(arm: Sums) -> Estimate | NotEnoughData:
    """The mean of an arm with its t interval: mean ± t s/√n, of a ratio by the delta method."""
    if arm.n < 2:
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, f"{arm.n} of 2 shoppers")
    if arm.variance <= 0:
        return NotEnoughData(Reason.NO_SPREAD, f"all {arm.n} shoppers are alike so far")
    error = sqrt(arm.variance / arm.n)
    width = t_quantile(0.975, arm.n - 1.0) * error
    return Estimate(arm.mean, error, arm.mean - width, arm.mean + width, arm.n)
