"""Why an answer is too short, as far as a member can act on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.engine.online.rules import Does
from recommender.engine.types import Int32Array
from recommender.serving.context import Context
from recommender.serving.rule_compile import ServingRule
from recommender.serving.rule_index import ActiveRules
from recommender.serving.sources import SOURCES
from recommender.serving.strategy import ServingStrategy
from recommender.serving.trace import Reason

_LEAVE_OUT = (Does.EXCLUDE, Does.INCLUDE_ONLY)

# What it looks like where rules have left products out.
_MAYBE_RULES = (Reason.ALL_EXCLUDED, Reason.TOO_FEW_CANDIDATES)


def why_short(
    context: Context, strategy: ServingStrategy, reason: Reason, n_minimum: int
) -> tuple[Reason, int | None]:
    """The reason of an answer that turned out too short, and the rule if rules are the reason.

    `reason` is what the sources and the blend know of it.
    """
    if reason is Reason.UNKNOWN_SHOPPER and not context.state.available:
        return Reason.STATE_UNAVAILABLE, None
    if reason in _MAYBE_RULES:
        rule_id = rule_in_the_way(context, strategy, n_minimum)
        if rule_id is not None:
            return Reason.EXCLUDED_BY_RULES, rule_id
    return reason, None


def rule_in_the_way(context: Context, strategy: ServingStrategy, n_minimum: int) -> int | None:
    """The rule that leaves out most of what was found, if without rules there would be enough.

    None if the rules leave enough of it, or if it was too little before them. Of several rules that
    leave out as many products, the first. The sources are asked once more: this is for answers that
    turned out too short, not for every request.
    """
    active = context.rules
    rules = () if active is None else tuple(_that_leave_out(active))
    if active is None or not rules:
        return None
    found = [SOURCES[name].find(context).candidates for name in strategy.names]
    rows = np.unique(np.concatenate([part.rows[part.scores > 0] for part in found]))
    rows = rows[replace(context, rules=None).allowed(rows)]
    kept = active.allows(rows)
    if kept is None or len(rows) < n_minimum or int(kept.sum()) >= n_minimum:
        return None
    return max(rules, key=lambda rule: _n_left_out(active, rule, rows)).rule_id


def _that_leave_out(active: ActiveRules) -> list[ServingRule]:
    return [rule for rule in active.rules if rule.effect.does in _LEAVE_OUT]


def _n_left_out(active: ActiveRules, rule: ServingRule, rows: Int32Array) -> int:
    relative = rule.effect.relative
    if relative is not None and not relative.can_compare(active.in_view):
        return 0
    n_meant = int(active.means(rule, rows).sum())
    return n_meant if rule.effect.does is Does.EXCLUDE else len(rows) - n_meant
