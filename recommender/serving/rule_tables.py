"""What any choice of a store's rules does on one catalog, made once per choice and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from recommender.engine.online.rule_sets import product_sets
from recommender.engine.online.rules import Combined, combine
from recommender.engine.types import BoolArray, Int32Array
from recommender.serving.recent import Recent
from recommender.serving.rule_compile import ServingRule
from recommender.serving.snapshot import CatalogSnapshot

# What a process keeps of choices of rules; each is some 20 bytes for every set of products.
PLAN_BYTES = 32_000_000
# What it keeps of the products of rules that reserve slots, in the order of the bestsellers.
RANKED_BYTES = 16_000_000
MIN_KEPT = 16

# Never given twice in a process: answers are kept under them.
_KEYS = count()


class RuleTables:
    """The static targets of all rules as tables, and what was combined of them."""

    def __init__(self, rules: Sequence[ServingRule], snapshot: CatalogSnapshot) -> None:
        self.rules = tuple(rules)
        self.columns = snapshot.columns()
        self._effects = [rule.effect for rule in rules]
        self.sets = product_sets([each.packed for each in self._effects], n_items=len(snapshot))
        self._place_of = {rule.rule_id: place for place, rule in enumerate(rules)}
        n_kept = PLAN_BYTES // (20 * self.sets.n_sets + 2_000)
        self._plans: Recent[tuple[int, ...], Plan] = Recent(max(n_kept, MIN_KEPT))
        n_kept = RANKED_BYTES // (4 * len(snapshot) + 1)
        self._ranked: Recent[tuple[int, int], tuple[Int32Array, Int32Array]] = Recent(
            max(n_kept, MIN_KEPT)
        )

    def plan(self, places: tuple[int, ...]) -> Plan:
        """What the rules of these places, ascending, do together."""
        return self._plans.get(places, lambda: self._planned(places))

    def means(self, rule: ServingRule, rows: Int32Array) -> BoolArray:
        """Which of some rows the static target of a rule means."""
        own: BoolArray = self.sets.holds[self._place_of[rule.rule_id]]
        return own.take(self.sets.codes.take(rows))

    def ranked(self, rule: ServingRule, ranking: Int32Array) -> Int32Array:
        """The rows of a ranking that the static target of a rule means, in its order.

        Worked out at the first call, in O(ranking).
        """
        if rule.effect.packed is None:
            return ranking
        # The ranking is kept with it, so that no other one can get its identity.
        key = (self._place_of[rule.rule_id], id(ranking))
        return self._ranked.get(key, lambda: (ranking, ranking[self.means(rule, ranking)]))[1]

    def _planned(self, places: tuple[int, ...]) -> Plan:
        combined = combine(self._effects, places, self.sets)
        rules = tuple(self.rules[place] for place in places)
        return Plan(
            rules=rules,
            key=next(_KEYS),
            combined=combined,
            placed=tuple(self.rules[place] for place in combined.placed),
            scales=combined.scales,
            compares=any(rule.effect.relative is not None for rule in rules),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Rules that count together, whatever is in view.

    Attributes
    ----------
    rules
        In their order.
    key
        Of this choice of rules; another one never has it.
    placed
        Those that pin or reserve, the first one first.
    scales
        Whether any boosts or buries.
    compares
        Whether any compares with the product in view.
    """

    rules: tuple[ServingRule, ...]
    key: int
    combined: Combined
    placed: tuple[ServingRule, ...]
    scales: bool
    compares: bool
