"""What a hold-out says recommendations brought, the same on its page, in its sentence, in Insights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.results.document import Results, comparison_of


@dataclass(frozen=True, slots=True)
class Gain:
    """Revenue that came on top, in minor units.

    Attributes
    ----------
    total, low, high
        Over the shoppers with recommendations and all days, with the 95 % interval of the sequence:
        it is looked at every few minutes for months.
    per_day
        The total by the days that it ran; None if it didn't.
    per_shopper
        Of a shopper with recommendations.
    is_adjusted
        Whether CUPED took out what was before.
    """

    total: float
    low: float
    high: float
    per_day: float | None
    per_shopper: float
    is_adjusted: bool


def gain_of(results: Results, *, cuped: bool) -> Gain | str:
    """Of a hold-out's results; or in words what is missing.

    Parameters
    ----------
    cuped
        What was planned.
    """
    metric = next((each for each in results.metrics if each.key == "revenue_per_shopper"), None)
    if metric is None or len(results.arms) < 2:
        return "the hold-out has no revenue to compare yet"
    held, shown = results.arms[:2]
    found = comparison_of(
        metric,
        variant_id=shown.variant_id,
        baseline_id=held.variant_id,
        scale="absolute",
        cuped=cuped,
    )
    if found is None or found.estimate is None:
        return (found.missing if found else None) or "too few shoppers in the hold-out"
    low, high = found.sequence_low, found.sequence_high
    if low is None or high is None:
        return found.missing or "too few shoppers in the hold-out"
    n = n_reached([arm.n_shoppers for arm in results.arms], is_holdout=True)
    total = found.estimate * n
    return Gain(
        total=total,
        low=low * n,
        high=high * n,
        per_day=total / results.days if results.days > 0 else None,
        per_shopper=found.estimate,
        is_adjusted=found.cuped,
    )


def n_reached(n_by_arm: Sequence[int], *, is_holdout: bool) -> int:
    """Shoppers for whom a difference per shopper is counted together.

    Everybody who takes part, as if all got the variant. Of a hold-out those with recommendations:
    who was held out never got them.

    Examples
    --------
    >>> n_reached([100, 110], is_holdout=False), n_reached([5, 95], is_holdout=True)
    (210, 95)
    """
    return sum(n_by_arm[1:2] if is_holdout else n_by_arm)
