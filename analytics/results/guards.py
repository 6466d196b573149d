"""Guardrails: is harm beyond the margin ruled out?"""

from __future__ import annotations

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.document import Guard
from analytics.results.effects import Effects
from analytics.results.lists import Estimate
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.effects import Effect, welch_test
from analytics.stats.guardrails import Guardrail, check_guardrail, guardrail_from_bounds
from analytics.stats.summaries import Proportion, RatioSums


def guards_of(effects: Effects, arm: int) -> tuple[Guard, ...]:
    """All guardrails of the plan for one variant, in the plan's order."""
    return tuple(
        _guard(effects, metric, margin, arm) for metric, margin in effects.facts.plan.guardrails
    )


def guardrails_of(guards: tuple[Guard, ...]) -> list[Guardrail]:
    """As `advise` takes them."""
    return [Guardrail(guard.state, 0.0, guard.margin) for guard in guards]


def _guard(effects: Effects, metric: str, margin: float, arm: int) -> Guard:
    """`low` and `high` are the one-sided 95 % bounds of the relative change, not turned."""
    variant = effects.facts.arms[arm].variant_id
    higher_is_better = DEFINITIONS[metric].direction != "lower"
    effect = effects.locked(metric, arm).effect
    if isinstance(effect, Effect):
        checked = check_guardrail(effect, margin=margin, higher_is_better=higher_is_better)
        return Guard(
            metric=metric,
            variant_id=variant,
            margin=margin,
            state=checked.state,
            low=welch_test(effect, side="greater").low,
            high=welch_test(effect, side="less").high,
        )
    exact = _without_spread(effects, metric, arm, effect)
    if exact is None:
        return Guard(
            metric=metric, variant_id=variant, margin=margin, state="unclear", missing=effect.words
        )
    turned = exact if higher_is_better else -exact
    state = guardrail_from_bounds(turned, turned, margin=margin).state
    return Guard(
        metric=metric, variant_id=variant, margin=margin, state=state, low=exact, high=exact
    )


def _without_spread(
    effects: Effects, metric: str, arm: int, nothing: NotEnoughData
) -> float | None:
    """The change where neither arm varies: no answer was ever empty, every product was shown.

    None if that isn't why there is no effect, or before so many shoppers that it means something.
    """
    if nothing.reason not in (Reason.NO_SPREAD, Reason.NO_BASELINE):
        return None
    counts = effects.shoppers.n_by_arm
    if min(counts[0], counts[arm]) < STANDARD_RULE.min_shoppers:
        return None
    kind = DEFINITIONS[metric].kind
    if kind in ("proportion", "ratio"):
        values = []
        for position in (0, arm):
            sums = effects.sums(metric, position).plain
            if isinstance(sums, RatioSums | Proportion) and sums.variance <= 0:
                values.append(sums.mean)
    elif kind == "coverage" or kind == "gini":
        size = min(effects.lists.n_shown(0), effects.lists.n_shown(arm))
        pair = [effects.lists.estimate(kind, position, size) for position in (0, arm)]
        values = [one.value for one in pair if isinstance(one, Estimate) and not one.standard_error]
    else:
        return None
    if len(values) < 2:
        return None
    if values[0] == values[1]:
        return 0.0
    return (values[1] - values[0]) / abs(values[0]) if values[0] else None
