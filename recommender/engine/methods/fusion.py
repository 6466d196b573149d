"""Several methods, one answer: by fixed weights, by ranks, or by what was learned to count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import is_
from typing import TypeAlias, TypeVar

import numpy as np

from recommender.engine.errors import EmptyInputError, EngineError, InvalidInputError
from recommender.engine.methods.base import (
    NOTHING_KNOWN,
    Family,
    Method,
    Model,
    Need,
    Parameters,
    Value,
    given_by,
    number,
    whole,
)
from recommender.engine.methods.fusion_cuts import Cut, as_of, cut_once_more
from recommender.engine.methods.fusion_facts import Facts
from recommender.engine.methods.fusion_members import Member, members_for
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.learned_blend import (
    LearnedBlend,
    fit_blend,
    source_weights,
)
from recommender.engine.offline.learned_blend import Query as Answered
from recommender.engine.online.blending import Blended, blend
from recommender.engine.online.learned_blend import BlendModel, learned_blend
from recommender.engine.types import Candidates, Float32Array

POOL = 200
"""Candidates that a member gives."""
Each = TypeVar("Each")
Pair: TypeAlias = tuple[Each, Each]
"""With repeats as answers, and without."""


class Panel:
    """Fitted members, asked together."""

    def __init__(self, members: Sequence[Member], models: Sequence[Model]) -> None:
        self.members = tuple(members)
        self._models = tuple(models)

    @classmethod
    def of(cls, members: Sequence[Member], training: Training, seed: int) -> Panel:
        """Fit what can be fitted.

        Raises
        ------
        EmptyInputError
            If nothing can.
        """
        from recommender.engine.methods.registry import METHODS

        fitted, models = [], []
        for member in members:
            method = METHODS[member.key]
            own = training
            if member.kind is not None:
                own = replace(training, shoppers={member.kind: training.shoppers[member.kind]})
            try:
                model = method.fit(own, method.parameters(member.given), seed)
            except EngineError:
                # Too little for this one; the others still stand.
                continue
            fitted.append(member)
            models.append(model)
        if not fitted:
            raise EmptyInputError("none of the members can be fitted")
        return cls(fitted, models)

    @property
    def names(self) -> list[str]:
        """Of the sources, in their order."""
        return [member.name for member in self.members]

    def only(self, names: Sequence[str]) -> Panel:
        """Some of them."""
        kept = [place for place, member in enumerate(self.members) if member.name in names]
        return Panel([self.members[i] for i in kept], [self._models[i] for i in kept])

    def ask(self, query: Query, limit: int) -> list[tuple[str, Candidates]]:
        """What each of them answers; nothing at all if only those answer who know nobody."""
        parts = [
            (member.name, model.recommend(_of_kind(query, member.kind), max(limit, POOL)))
            for member, model in zip(self.members, self._models, strict=True)
        ]
        told = zip(self.members, parts, strict=True)
        if any(len(part) for member, (_, part) in told if not member.answers_anybody):
            return parts
        return [(name, Candidates.empty()) for name, _ in parts]


def _of_kind(query: Query, kind: str | None) -> Query:
    """The part of a history that is of one kind of event."""
    if kind is None or not query.kinds:
        return query
    rows = dict(query.kinds).get(kind, query.rows[:0])
    return replace(query, rows=rows, kinds=((kind, rows),), counts=query.counts[:0])


class Fused(Model):
    """Several models that are asked together; how they become one list is the subclass's."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def recommend(self, query: Query, limit: int) -> Candidates:
        if limit <= 0:
            return Candidates.empty()
        both = self.blended(query, self.panel.ask(query, limit), limit)
        if not len(both):
            return Candidates.empty()
        _, because = both.leading(np.arange(len(both)))
        return Candidates(both.rows, both.scores, np.array(because, np.int32))

    def blended(self, query: Query, parts: list[tuple[str, Candidates]], limit: int) -> Blended:
        """One list of the members' lists."""
        raise NotImplementedError

    def unknown(self, query: Query) -> str | None:
        return None if len(self.recommend(query, 1)) else NOTHING_KNOWN


class Weighted(Fused):
    """The weighted sum of scaled scores."""

    def __init__(self, panel: Panel, weights: Sequence[float], scaling: str) -> None:
        super().__init__(panel)
        self.weights = tuple(weights)
        self._scaling = scaling

    def blended(self, _query: Query, parts: list[tuple[str, Candidates]], limit: int) -> Blended:
        weighted = [
            (name, weight, found) for (name, found), weight in zip(parts, self.weights, strict=True)
        ]
        return blend(weighted, limit=limit, scaling=self._scaling)


class Learned(Fused):
    """A conditional logit over what the members say and what is known of products and shopper."""

    def __init__(
        self, panel: Panel, facts: Facts, all_items: LearnedBlend, new_items: LearnedBlend
    ) -> None:
        super().__init__(panel)
        self.facts = facts
        self.all_items = all_items
        self.new_items = new_items
        products = facts.catalog.products
        self._values = [_item_values(learned.model, products) for learned in (all_items, new_items)]

    def blended(self, query: Query, parts: list[tuple[str, Candidates]], limit: int) -> Blended:
        learned = self.all_items if query.repeats_allowed else self.new_items
        return learned_blend(
            learned.model,
            parts,
            self.facts.situation(query),
            item_values=self._values[0 if query.repeats_allowed else 1],
            log_prices=self.facts.catalog.log_prices,
            limit=limit,
        )


def _item_values(model: BlendModel, products: Float32Array) -> Float32Array:
    return np.ascontiguousarray(model.item_values(products))


def fit_reciprocal_rank(training: Training, _parameters: Parameters, seed: int) -> Weighted:
    """Nothing is learned: ``sum 1 / (60 + rank)``."""
    training = completed(training)
    panel = Panel.of(members_for(training), training, seed)
    return Weighted(panel, [1.0] * len(panel.members), "reciprocal_rank")


def fit_weighted_blend(training: Training, parameters: Parameters, seed: int) -> Weighted:
    """One weight per member, learned on a cut of the training part."""
    training = completed(training)
    panel, _, answered = asked_on_a_cut(training, parameters, seed)
    weights = source_weights(answered[0], sources=panel.names, seed=seed)
    return Weighted(panel, weights, "max")


def fit_learned_blend(training: Training, parameters: Parameters, seed: int) -> Learned:
    """Weights for all features, learned on a cut; then the members are fitted on everything."""
    training = completed(training)
    panel, cut_facts, answered = asked_on_a_cut(training, parameters, seed)
    learned = logits(panel, cut_facts, answered, parameters, seed)
    return Learned(panel, cut_facts.moved_to(training), *learned)


def logits(
    panel: Panel, facts: Facts, answered: Pair[list[Answered]], parameters: Parameters, seed: int
) -> Pair[LearnedBlend]:
    """The conditional logits of what was answered with and without repeats."""
    return of_both(
        answered,
        lambda queries: fit_blend(
            queries,
            facts.catalog,
            sources=panel.names,
            context=facts.context,
            product=facts.product,
            personal=facts.personal,
            prior_strength=number(parameters, "prior_strength"),
            seed=seed,
        ),
    )


def of_both(answered: Pair[list[Answered]], fit: Callable[[list[Answered]], Each]) -> Pair[Each]:
    """What is fitted with and without repeats: once, where no query allows them."""
    given, new = answered
    first = fit(given)
    same = len(given) == len(new) and all(map(is_, given, new))
    return first, first if same else fit(new)


def asked_on_a_cut(
    training: Training, parameters: Parameters, seed: int
) -> tuple[Panel, Facts, Pair[list[Answered]]]:
    """Members fitted on everything; and what those of a cut answered, with and without repeats."""
    panel = Panel.of(members_for(training), training, seed)
    try:
        cut = cut_once_more(training, max_queries=whole(parameters, "max_queries"), seed=seed)
        then = Panel.of(panel.members, cut.training, seed)
    except EngineError:
        # Too little to be cut: the prior decides.
        nobody = Query(np.empty(0, np.int32), np.empty(0, np.int32))
        return panel, Facts.of(training, nobody), ([], [])
    panel = panel.only(then.names)
    facts = Facts.of(cut.training, cut.queries[0])
    return panel, facts, _answers(cut, then, facts)


def _answers(cut: Cut, panel: Panel, facts: Facts) -> Pair[list[Answered]]:
    """What the members answer to the queries of a cut, as it asks and with repeats left out."""
    given, new = [], []
    for query, wanted in zip(cut.queries, cut.wanted, strict=True):
        situation = facts.situation(query)
        given.append(Answered(panel.ask(query, POOL), situation, wanted))
        fresh = wanted[~np.isin(wanted, query.rows)]
        if not query.repeats_allowed:
            new.append(given[-1])
        elif len(fresh):
            # A source may rank otherwise where repeats are no answers, not only leave them out.
            barred = np.union1d(query.rows[query.rows >= 0], query.removed).astype(np.int32)
            again = replace(query, removed=barred)
            new.append(Answered(panel.ask(again, POOL), situation, fresh))
    return given, new


def completed(training: Training) -> Training:
    """Purchases as baskets and histories, where a training part has those alone.

    Raises
    ------
    InvalidInputError
        If there is nothing that a member could learn from.
    """
    if not given_by(training) & NEEDS:
        raise InvalidInputError("this protocol has no history to learn a blend from")
    if training.purchases is None:
        return training
    now_s = max(training.now_s, int(training.purchases.times_s.max(initial=0)))
    return as_of(training, training.purchases, now_s)


NEEDS = frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS, Need.PURCHASES})


def fusion_method(
    key: str,
    title: str,
    fit: Callable[[Training, Parameters, int], Model],
    defaults: dict[str, Value],
    grid: dict[str, tuple[Value, ...]],
) -> Method:
    return Method(
        key=key,
        title=title,
        family=Family.FUSION,
        needs=NEEDS,
        fit=fit,
        defaults=defaults,
        grid=grid,
        because="goes with",
        otherwise="several methods agree",
    )


METHODS = (
    fusion_method("reciprocal_rank", "Reciprocal rank fusion", fit_reciprocal_rank, {}, {}),
    fusion_method(
        "weighted_blend", "Weighted blend", fit_weighted_blend, {"max_queries": 2000}, {}
    ),
    fusion_method(
        "learned_blend",
        "Learned blend",
        fit_learned_blend,
        {"max_queries": 4000, "prior_strength": 20.0},
        # Nothing to choose: its own cut says what counts, and a fit asks all members twice.
        {},
    ),
)
