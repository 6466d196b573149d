"""Who came how far, and who came when."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from analytics.results.document import ExposureDay, FunnelArm
from analytics.results.facts import Facts
from analytics.results.sums import Shoppers

# Each step, and the measure that is above 0 for a shopper who took it.
STEPS = {
    "delivered": "n_impressions",
    "seen": "n_seen",
    "clicked": "n_clicks",
    "carted": "n_carts",
    "bought": "n_orders",
}


def funnel(shoppers: Shoppers) -> tuple[FunnelArm, ...]:
    """Per arm; every step over all exposed shoppers, whether or not they took the one before."""

    def per_arm(weights: np.ndarray) -> list[int]:
        summed = np.bincount(shoppers.arm, weights=weights, minlength=shoppers.n_arms)
        return [round(float(each)) for each in summed]

    did = {step: per_arm(shoppers.total(measure) > 0) for step, measure in STEPS.items()}
    counts = {
        name: per_arm(shoppers.total(name)) for name in ("n_impressions", "n_seen", "n_clicks")
    }
    return tuple(
        FunnelArm(
            variant_id=arm.variant_id,
            exposed=int(shoppers.n_by_arm[i]),
            **{step: of_arm[i] for step, of_arm in did.items()},
            **{name: of_arm[i] for name, of_arm in counts.items()},
        )
        for i, arm in enumerate(shoppers.facts.arms)
    )


def exposures(facts: Facts) -> tuple[ExposureDay, ...]:
    """New participants, every day from the first to the last, days without any included."""
    if facts.first_day is None or facts.last_day is None:
        return ()
    n_days = (facts.last_day - facts.first_day).days + 1
    n_arms = len(facts.arms)
    cells = np.bincount(
        facts.participants.day * n_arms + facts.participants.arm, minlength=n_days * n_arms
    ).reshape(-1, n_arms)
    return tuple(
        ExposureDay(day=facts.first_day + timedelta(days=i), counts=tuple(map(int, cells[i])))
        for i in range(n_days)
    )
