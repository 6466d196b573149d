"""The learned blend, the head of its list put in order once more by boosted trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.engine.methods.base import Parameters, number
from recommender.engine.methods.fusion import (
    Learned,
    Pair,
    asked_on_a_cut,
    completed,
    fusion_method,
    logits,
    of_both,
)
from recommender.engine.methods.fusion_facts import Facts
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.learned_blend import Query as Answered
from recommender.engine.offline.learned_blend_trees import BoostedTrees, RankedLesson, fit_trees
from recommender.engine.online.blending import Blended
from recommender.engine.online.learned_blend import BlendModel, learned_blend
from recommender.engine.online.learned_blend_trees import HEAD, corrected, first_of, tree_inputs
from recommender.engine.types import Candidates


class Boosted(Learned):
    """A conditional logit, and trees that correct the head of its list."""

    def __init__(self, logit: Learned, trees: Pair[BoostedTrees]) -> None:
        super().__init__(logit.panel, logit.facts, logit.all_items, logit.new_items)
        self.trees = trees

    def blended(self, query: Query, parts: list[tuple[str, Candidates]], limit: int) -> Blended:
        repeats = query.repeats_allowed
        trees = self.trees[0 if repeats else 1].trees
        if not len(trees):
            return super().blended(query, parts, limit)
        both = super().blended(query, parts, max(limit, HEAD))
        catalog = self.facts.catalog
        inputs = tree_inputs(
            (self.all_items if repeats else self.new_items).model,
            first_of(both, HEAD),
            self.facts.situation(query),
            catalog.products,
            catalog.log_prices,
        )
        return first_of(corrected(both, trees.values(inputs)), limit)


def fit_boosted_blend(training: Training, parameters: Parameters, seed: int) -> Boosted:
    """Logits on a cut, trees on what they leave; then the members are fitted on everything."""
    training = completed(training)
    panel, cut_facts, answered = asked_on_a_cut(training, parameters, seed)
    learned = logits(panel, cut_facts, answered, parameters, seed)
    given, new = answered
    models = {id(given): learned[0].model, id(new): learned[1].model}
    trees = of_both(
        answered,
        lambda queries: fit_trees(
            ranked_lessons(models[id(queries)], queries, cut_facts),
            seed=seed,
            learning_rate=number(parameters, "learning_rate"),
        ),
    )
    return Boosted(Learned(panel, cut_facts.moved_to(training), *learned), trees)


def ranked_lessons(
    model: BlendModel, queries: Sequence[Answered], facts: Facts
) -> list[RankedLesson]:
    """The head of the logit's list of every query that has something wanted there."""
    catalog = facts.catalog
    values = np.ascontiguousarray(model.item_values(catalog.products))
    lessons = []
    for query in queries:
        head = learned_blend(
            model,
            query.parts,
            query.situation,
            item_values=values,
            log_prices=catalog.log_prices,
            limit=HEAD,
        )
        wanted = np.isin(head.rows, query.wanted).astype(np.float32)
        if not wanted.any() or wanted.all():
            continue
        inputs = tree_inputs(model, head, query.situation, catalog.products, catalog.log_prices)
        lessons.append(RankedLesson(inputs, np.log(head.scores), wanted / wanted.sum()))
    return lessons


METHODS = (
    fusion_method(
        "boosted_blend",
        "Boosted blend",
        fit_boosted_blend,
        {"max_queries": 10_000, "prior_strength": 20.0, "learning_rate": 0.15},
        {},
    ),
)
