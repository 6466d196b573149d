"""The table of all metrics: a cell per arm, a comparison per pair of arms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from analytics.metrics.definitions import DEFINITIONS, Definition
from analytics.metrics.rates import wilson_interval
from analytics.results.document import Cell, Comparison, MetricResult, Role, Scale
from analytics.results.effects import Effects, mean_of
from analytics.results.incremental import n_reached
from analytics.results.lists import Estimate
from analytics.stats.answers import NotEnoughData
from analytics.stats.bayesian import Posterior, chance_of_higher_rate, is_small, posterior_of
from analytics.stats.effects import SCALES, Effect, welch_test
from analytics.stats.multiple import holm
from analytics.stats.planning import impact_per_day
from analytics.stats.sequential import sequence_test
from analytics.stats.summaries import Proportion, RatioSums

SHIFTING = "a bandit's shares change over time, so no lift is read from it"
VOTING = "every shopper sees both strategies in one list, so there are no arms to compare"


def scorecard(effects: Effects, *, days: float) -> tuple[MetricResult, ...]:
    """Every metric, in the order of its definition.

    Parameters
    ----------
    days
        That the experiment ran, for what a difference means per day.
    """
    results = [
        MetricResult(
            key=definition.key,
            role=role_of(effects, definition.key),
            cells=tuple(_cell(effects, definition, arm) for arm in range(effects.n_arms)),
            comparisons=tuple(_comparisons(effects, definition, days)),
        )
        for definition in DEFINITIONS.values()
    ]
    return _adjusted(results)


def role_of(effects: Effects, metric: str) -> Role:
    """What the plan made of a metric."""
    plan = effects.facts.plan
    if metric == plan.primary:
        return "goal"
    return "guardrail" if metric in dict(plan.guardrails) else "secondary"


def _cell(effects: Effects, definition: Definition, arm: int) -> Cell:
    """Raw numbers, value, interval."""
    variant = effects.facts.arms[arm].variant_id
    if definition.kind in ("proportion", "mean", "ratio"):
        return _cell_of_sums(effects, definition, arm, variant)
    if definition.kind == "coverage":
        of_lists, whole = effects.lists.estimate("coverage", arm), effects.facts.shown.n_products
        distinct = (
            None if isinstance(of_lists, NotEnoughData) else float(round(of_lists.value * whole))
        )
        return _cell_of(variant, distinct, float(whole), of_lists)
    if definition.kind == "gini":
        gini = effects.lists.estimate("gini", arm)
        value = None if isinstance(gini, NotEnoughData) else gini.value
        return _cell_of(variant, value, float(effects.facts.shown.n_products), gini)
    latency = effects.lists.estimate("quantile", arm)
    value = None if isinstance(latency, NotEnoughData) else latency.value
    return _cell_of(variant, value, float(effects.facts.latency[arm].sum()), latency)


def _cell_of_sums(effects: Effects, definition: Definition, arm: int, variant: int) -> Cell:
    sums = effects.sums(definition.key, arm).plain
    if isinstance(sums, RatioSums):
        numerator, denominator = sums.numerator, sums.denominator
    elif isinstance(sums, Proportion):
        numerator, denominator = float(sums.successes), float(sums.n)
    else:
        numerator, denominator = sums.total, float(sums.n)
    if not denominator:
        lacking = effects.lacking(definition.key, arm)
        missing = lacking.words if lacking else f"no {definition.denominator} yet"
        return Cell(
            variant_id=variant,
            numerator=numerator,
            denominator=denominator,
            value=None,
            missing=missing,
        )
    if isinstance(sums, Proportion):
        low, high = wilson_interval(sums.successes, sums.n)
        return _cell_of(variant, numerator, denominator, Estimate(sums.mean, 0, low, high, sums.n))
    estimate = mean_of(sums)
    cell = _cell_of(variant, numerator, denominator, estimate)
    cell = msgspec.structs.replace(cell, value=sums.mean)
    if definition.key != "revenue_per_shopper":
        return cell
    spent = effects.shoppers.total("revenue_minor")[effects.shoppers.arm == arm]
    return msgspec.structs.replace(cell, uncapped=float(spent.mean()))


def _cell_of(
    variant: int,
    numerator: float | None,
    denominator: float | None,
    estimate: Estimate | NotEnoughData,
) -> Cell:
    cell = Cell(variant_id=variant, numerator=numerator, denominator=denominator, value=None)
    if isinstance(estimate, NotEnoughData):
        return msgspec.structs.replace(cell, missing=estimate.words)
    return msgspec.structs.replace(cell, value=estimate.value, low=estimate.low, high=estimate.high)


def _comparisons(effects: Effects, definition: Definition, days: float) -> Iterable[Comparison]:
    for baseline in range(effects.n_arms):
        for arm in range(effects.n_arms):
            if arm == baseline:
                continue
            for scale in SCALES:
                for cuped in (False, True) if definition.cuped else (False,):
                    yield _comparison(effects, definition, arm, baseline, scale, cuped, days)


def _comparison(
    effects: Effects,
    definition: Definition,
    arm: int,
    baseline: int,
    scale: Scale,
    cuped: bool,
    days: float,
) -> Comparison:
    arms = effects.facts.arms
    named = {
        "variant_id": arms[arm].variant_id,
        "baseline_id": arms[baseline].variant_id,
        "scale": scale,
        "cuped": cuped,
    }
    kind = effects.facts.plan.kind
    if kind == "interleaving":
        return Comparison(**named, missing=VOTING)  # type: ignore[arg-type]
    measured = effects.measured(definition.key, arm, baseline, scale=scale, cuped=cuped)
    effect = measured.effect
    if isinstance(effect, NotEnoughData):
        return Comparison(**named, missing=effect.words)  # type: ignore[arg-type]
    posterior = posterior_of(effect)
    chance = _chance(effects, definition, arm, baseline, posterior, cuped=cuped)
    if kind == "bandit":
        return Comparison(**named, chance_to_win=chance, missing=SHIFTING)  # type: ignore[arg-type]
    fixed = welch_test(effect)
    sequence = sequence_test(
        effect, planned_shoppers=effects.planned_shoppers(arm, baseline), alpha=0.05
    )
    # As a loss in the metric's own direction.
    turned = (
        Posterior(-posterior.mean, posterior.deviation)
        if definition.direction == "lower"
        else posterior
    )
    return Comparison(
        **named,  # type: ignore[arg-type]
        estimate=effect.estimate,
        low=fixed.low,
        high=fixed.high,
        sequence_low=sequence.low,
        sequence_high=sequence.high,
        p_value=fixed.p_value,
        sequence_p=sequence.p_value,
        chance_to_win=chance,
        loss_if_shipped=turned.loss_if_shipped,
        loss_if_kept=turned.loss_if_kept,
        variance_reduction=measured.variance_removed,
        per_day=per_day(effects, definition, effect, days),
    )


def _chance(
    effects: Effects,
    definition: Definition,
    arm: int,
    baseline: int,
    posterior: Posterior,
    *,
    cuped: bool,
) -> float:
    """That the arm is better in the metric's direction; exact where few converted."""
    if definition.kind == "proportion" and not cuped:
        control = effects.sums(definition.key, baseline).plain
        treatment = effects.sums(definition.key, arm).plain
        if (
            isinstance(control, Proportion)
            and isinstance(treatment, Proportion)
            and is_small(control, treatment)
        ):
            return chance_of_higher_rate(control, treatment)
    chance = posterior.chance_to_win
    return 1 - chance if definition.direction == "lower" else chance


def per_day(effects: Effects, definition: Definition, effect: Effect, days: float) -> float | None:
    """What the difference is for all whom it reaches together, per day.

    Of metrics per shopper alone: a difference of a ratio isn't one per shopper. They are those who
    came, so a ramp-up in between doesn't matter.
    """
    if effect.scale != "absolute" or definition.kind not in ("proportion", "mean") or days <= 0:
        return None
    is_holdout = effects.facts.plan.kind == "holdout"
    n = n_reached(effects.shoppers.n_by_arm.tolist(), is_holdout=is_holdout)
    gained = replace(effect, treatment_mean=effect.control_mean + effect.estimate, n_treatment=n)
    return impact_per_day(gained, traffic_share=1.0, days=days)


def _adjusted(results: Sequence[MetricResult]) -> tuple[MetricResult, ...]:
    """Holm over each family: a role's metrics × arms against one baseline, on one scale.

    With CUPED the family is what is shown with the switch on: a metric without a past is in it as
    it is. A guardrail has a test of its own and is in no family.
    """
    families: dict[tuple[Role, int, Scale, bool], list[tuple[str, int, float]]] = {}
    for result in results:
        for one in result.comparisons:
            if result.role == "guardrail" or one.p_value is None:
                continue
            switches = (False, True) if not DEFINITIONS[result.key].cuped else (one.cuped,)
            for cuped in switches:
                family = (result.role, one.baseline_id, one.scale, cuped)
                families.setdefault(family, []).append((result.key, one.variant_id, one.p_value))
    adjusted: dict[tuple[str, int, int, Scale, bool], float] = {}
    for (_, baseline, scale, cuped), members in families.items():
        for (key, variant, _), p in zip(members, holm([m[2] for m in members]), strict=True):
            adjusted[key, variant, baseline, scale, cuped] = p
    return tuple(
        msgspec.structs.replace(
            result,
            comparisons=tuple(
                msgspec.structs.replace(
                    one,
                    p_adjusted=adjusted.get(
                        (result.key, one.variant_id, one.baseline_id, one.scale, one.cuped)
                    ),
                )
                for one in result.comparisons
            ),
        )
        for result in results
    )
