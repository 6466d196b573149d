"""Rules on the request path: who may be shown, what moves up or down, what has its place.

Rules are the merchant's and not the strategy's: they count alike in every arm of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.engine.online.blending import Blended
from recommender.engine.online.rules import Does, scale_blended, settle
from recommender.engine.types import Int32Array, Int64Array
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.context import Context
from recommender.serving.explanation import Chosen
from recommender.serving.rule_compile import ServingRule
from recommender.serving.rule_index import ActiveRules, ServingRules
from recommender.serving.trace import Step, Trace

# The source of a pinned product that no source found.
PINNED = "pinned"
# The source of a product that a reserved slot took where no candidate matched.
RESERVED = "bestsellers"
# Of the bestsellers that a reserved slot may take so many are looked at first, then twice as many.
FIRST_BLOCK = 50
# Beyond the pool that is kept without rules: so far down a boost looks.
POOL_FACTOR = 2


def rules_begin(context: Context, rules: ServingRules | None, settings: PlacementSettings) -> None:
    """Step 4: find the rules that count here; `Context.allowed` asks them about candidates."""
    if rules is not None:
        context.rules = rules.active(context, slug=settings.slug, page_type=settings.page_type)


def rules_key(context: Context) -> tuple[int, ...]:
    """What an answer that is kept for everybody has to be kept under."""
    return () if context.rules is None else (context.rules.key,)


def rules_pool(context: Context, pool: int) -> int:
    """How many candidates are kept: more where a boost may move some up."""
    return pool * POOL_FACTOR if context.rules is not None and context.rules.scales else pool


def rules_scale(context: Context, blended: Blended, trace: Trace | None) -> Blended:
    """Step 7: multiply the scores and sort again."""
    active = context.rules
    if active is None or not active.scales or not len(blended):
        return blended
    if trace is not None:
        _explain_scaling(context, active, blended.rows, trace)
    factors = active.factors(blended.rows)
    # The same for all of them changes nothing.
    if factors is None or (factors == factors[0]).all():
        return blended
    return scale_blended(blended, factors)


def rules_place(
    context: Context,
    chosen: list[Chosen],
    blended: Blended | None,
    names: Sequence[str],
    n_wanted: int,
    trace: Trace | None,
) -> list[Chosen]:
    """Step 9: pinned products and reserved slots at their positions, the others around them.

    A pinned product must be eligible; caps, diversity and the strategy's category don't bind it. A
    reserved slot takes the best candidates that match, then bestsellers that match; else it stays
    a slot like any other. `names` are the sources that `blended` has parts of; after a fallback
    there is no `blended`, and what is chosen already is what there is.
    """
    active = context.rules
    if active is None or not active.placed:
        return chosen
    by_row = {entry.row: entry for entry in chosen}
    fixed, by_rule = _fixed(context, active, by_row, blended, names, n_wanted)
    order = settle(fixed, [entry.row for entry in chosen], n_wanted=n_wanted)
    if trace is not None:
        _explain_places(context, chosen, order, by_rule, trace)
    return [by_row[row] for row in order]


def rules_placed(context: Context, chosen: Sequence[Chosen], n_wanted: int) -> set[int]:
    """The rows that have their places in a list by rules: put in, or moved."""
    active = context.rules
    if active is None or not active.placed:
        return set()
    by_row = {entry.row: entry for entry in chosen}
    fixed, _ = _fixed(context, active, by_row, None, (), n_wanted)
    return set(settle(fixed, (), n_wanted=n_wanted))


def _fixed(
    context: Context,
    active: ActiveRules,
    by_row: dict[int, Chosen],
    blended: Blended | None,
    names: Sequence[str],
    n_wanted: int,
) -> tuple[list[tuple[int, list[int]]], dict[int, ServingRule]]:
    """Rows and the position from which on they stand, and by which rule. What isn't in `by_row` yet
    is added to it."""
    fixed: list[tuple[int, list[int]]] = []
    taken: set[int] = set()
    by_rule: dict[int, ServingRule] = {}
    for rule in active.placed:
        position = rule.effect.position
        if position > n_wanted:
            continue
        if rule.effect.does is Does.PIN:
            rows = _pinned_rows(context, active, rule, taken)
            for row in rows:
                by_row.setdefault(row, Chosen(row, 0.0, PINNED, -1, None))
        else:
            rows = _reserved(context, active, rule, taken, by_row, blended, names)
        taken.update(rows)
        by_rule.update(dict.fromkeys(rows, rule))
        fixed.append((position, rows))
    return fixed, by_rule


def rules_explain_eligible(trace: Trace, context: Context) -> None:
    """Write down which rules count here, and which one left out a product that was asked about."""
    active = context.rules
    if active is None:
        return
    snapshot = context.snapshot
    trace.step(
        Step.RULES,
        active=[{"rule_id": rule.rule_id, "rule": rule.name} for rule in active.rules],
        eligible=_n_eligible(context, active),
    )
    for asked in context.request.why_not:
        row = snapshot.row_of_external.get(asked)
        if row is None or not snapshot.eligible[row]:
            continue
        for rule in active.rules:
            words = _left_out(active, rule, np.array([row], np.int32))
            if words:
                trace.drop(asked, Step.RULES, words, rule=rule.name, rule_id=rule.rule_id)
                break


def _n_eligible(context: Context, active: ActiveRules) -> int:
    """How many products the catalog and the rules let be shown here."""
    rows = context.snapshot.eligible.nonzero()[0].astype(np.int32)
    kept = active.allows(rows)
    return len(rows) if kept is None else int(kept.sum())


def _left_out(active: ActiveRules, rule: ServingRule, row: Int32Array) -> str:
    effect = rule.effect
    if effect.does not in (Does.EXCLUDE, Does.INCLUDE_ONLY):
        return ""
    if effect.relative is not None and not effect.relative.can_compare(active.in_view):
        return ""
    meant = bool(active.means(rule, row)[0])
    if effect.does is Does.EXCLUDE:
        return f"the rule “{rule.name}” excludes it" if meant else ""
    return "" if meant else f"the rule “{rule.name}” lets only others be shown"


def _pinned_rows(
    context: Context, active: ActiveRules, rule: ServingRule, taken: set[int]
) -> list[int]:
    rows = rule.effect.rows
    may = context.eligible.take(rows)
    by_rules = active.allows(rows)
    if by_rules is not None:
        may &= by_rules
    return [row for row in rows[may].tolist() if row not in taken]


def _reserved(
    context: Context,
    active: ActiveRules,
    rule: ServingRule,
    taken: set[int],
    by_row: dict[int, Chosen],
    blended: Blended | None,
    names: Sequence[str],
) -> list[int]:
    """The rows that reserved slots take. What isn't in `by_row` yet is added to it."""
    wanted = rule.effect.slots
    rows = np.fromiter(by_row, np.int32, len(by_row)) if blended is None else blended.rows
    places = active.means(rule, rows).nonzero()[0]
    meant = dict(zip(rows[places].tolist(), places.tolist(), strict=True))
    mine = [row for row in meant if row not in taken][:wanted]
    new = [meant[row] for row in mine if row not in by_row]
    if blended is not None and new:
        _add_blended(by_row, blended, np.array(new, np.int64), names)
    if len(mine) < wanted:
        mine += _bestsellers(context, active, rule, taken.union(mine), by_row, wanted - len(mine))
    return mine


def _add_blended(
    by_row: dict[int, Chosen], blended: Blended, positions: Int64Array, names: Sequence[str]
) -> None:
    parts, because = blended.leading(positions)
    for position, part, start in zip(positions.tolist(), parts, because, strict=True):
        row = int(blended.rows[position])
        shares = {names[n]: (rank, share) for n, rank, share in blended.shares(position)}
        by_row[row] = Chosen(row, float(blended.scores[position]), names[part], start, shares)


def _bestsellers(
    context: Context,
    active: ActiveRules,
    rule: ServingRule,
    taken: set[int],
    by_row: dict[int, Chosen],
    n_missing: int,
) -> list[int]:
    """The first of the bestsellers that the rule means, looking no further down than needed."""
    model = context.models.popularity
    if model is None:
        return []
    found: list[int] = []
    ranking = active.ranked(rule, model.bestsellers.ranking)
    start, n_looked_at = 0, FIRST_BLOCK
    while start < len(ranking) and len(found) < n_missing:
        rows = ranking[start : start + n_looked_at]
        fits = context.allowed(rows)
        if rule.effect.relative is not None:
            fits &= active.means(rule, rows)
        found += [row for row in rows[fits].tolist() if row not in taken]
        start, n_looked_at = start + n_looked_at, 2 * n_looked_at
    for row in found[:n_missing]:
        score = float(model.bestsellers.scores[row])
        by_row.setdefault(row, Chosen(row, score, RESERVED, -1, None))
    return found[:n_missing]


def _explain_scaling(context: Context, active: ActiveRules, rows: Int32Array, trace: Trace) -> None:
    ids = context.snapshot.external_ids
    for rule in active.rules:
        if rule.effect.does is not Does.SCALE:
            continue
        factor = rule.effect.factor
        effect = f"boost × {factor:.3g}" if factor > 1 else f"bury ÷ {1 / factor:.3g}"
        meant = rows[active.means(rule, rows)].tolist()
        trace.step(Step.RULES, rule=rule.name, rule_id=rule.rule_id, effect=effect, n=len(meant))
        for row in meant:
            _touch(trace, ids[row], rule, effect)


def _explain_places(
    context: Context,
    chosen: list[Chosen],
    order: list[int],
    by_rule: dict[int, ServingRule],
    trace: Trace,
) -> None:
    ids = context.snapshot.external_ids
    touched = []
    for position, row in enumerate(order, start=1):
        rule = by_rule.get(row)
        if rule is not None:
            words = "pinned to" if rule.effect.does is Does.PIN else "slot reserved at"
            _touch(trace, ids[row], rule, f"{words} position {position}")
            touched.append((ids[row], rule))
    trace.step(Step.PINS, placed=[product for product, _ in touched])
    for entry in chosen:
        if entry.row not in order and touched:
            product, rule = touched[-1]
            word = "the pin of" if rule.effect.does is Does.PIN else "the slot reserved for"
            trace.drop(
                ids[entry.row],
                Step.PINS,
                f"{word} {product} by the rule “{rule.name}” took its place",
                rule=rule.name,
                rule_id=rule.rule_id,
            )


def _touch(trace: Trace, product_id: str, rule: ServingRule, effect: str) -> None:
    told = {"rule": rule.name, "rule_id": rule.rule_id, "effect": effect}
    own = trace.rules.setdefault(product_id, [])
    # Places are settled once more after a fallback: then the last word counts.
    own[:] = [each for each in own if each["rule_id"] != rule.rule_id]
    own.append(told)
