"""The primary metric within parts of the shoppers: exploratory, never a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.results.document import SegmentResult
from analytics.results.effects import Effects, measured_from
from analytics.results.sums import RECIPES, ArmSums
from analytics.stats.answers import NotEnoughData
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.effects import welch_test
from analytics.stats.multiple import holm
from analytics.stats.summaries import RatioSums

Dimension = Literal["device", "visitor", "placement"]


def segments_of(effects: Effects) -> tuple[SegmentResult, ...]:
    """Every segment that anybody is in × every variant, Holm over all of them."""
    facts = effects.facts
    metric = facts.plan.primary
    if metric not in RECIPES or facts.plan.kind in ("bandit", "interleaving"):
        return ()
    found: list[SegmentResult] = []
    p_values: list[float | None] = []
    for dimension, name, rows in _segments(effects):
        sums = effects.shoppers.sums(metric, rows)
        for arm in effects.variants:
            result, p_value = _result(effects, dimension, name, sums, arm)
            found.append(result)
            p_values.append(p_value)
    # A segment that can't be tested yet is in the family with p = 1.
    adjusted = holm([1.0 if p is None else p for p in p_values])
    return tuple(
        msgspec.structs.replace(one, p_adjusted=None if p is None else p_adjusted)
        for one, p, p_adjusted in zip(found, p_values, adjusted, strict=True)
    )


def _segments(effects: Effects) -> Iterator[tuple[Dimension, str, npt.NDArray[np.bool_]]]:
    people = effects.facts.participants
    for i, device in enumerate(effects.facts.devices):
        yield "device", device, people.device == i
    if len(people):
        yield "visitor", "new", ~people.returning
        yield "visitor", "returning", people.returning
    for i, placement in enumerate(effects.facts.placements):
        yield "placement", placement, people.placement == i


def _result(
    effects: Effects, dimension: Dimension, name: str, sums: list[ArmSums], arm: int
) -> tuple[SegmentResult, float | None]:
    control, treatment = sums[0], sums[arm]
    result = SegmentResult(
        dimension=dimension,
        segment=name,
        variant_id=effects.facts.arms[arm].variant_id,
        n_control=control.n,
        n_variant=treatment.n,
        control=_mean(control),
        value=_mean(treatment),
    )
    smaller = min(control.n, treatment.n)
    if smaller < STANDARD_RULE.min_shoppers:
        words = f"{smaller} of {STANDARD_RULE.min_shoppers} shoppers in the smaller arm"
        return msgspec.structs.replace(result, missing=words), None
    cuped = effects.uses_cuped(effects.facts.plan.primary)
    effect = measured_from(control, treatment, cuped=cuped).effect
    if isinstance(effect, NotEnoughData):
        return msgspec.structs.replace(result, missing=effect.words), None
    test = welch_test(effect)
    return (
        msgspec.structs.replace(result, estimate=effect.estimate, low=test.low, high=test.high),
        test.p_value,
    )


def _mean(arm: ArmSums) -> float | None:
    plain = arm.plain
    has_value = plain.denominator if isinstance(plain, RatioSums) else plain.n
    return plain.mean if has_value else None
