"""Choosing parameters on a task that is made of the training part alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recommender.engine.evaluation.asking import Clock, Recommend
from recommender.engine.evaluation.halving import choose
from recommender.engine.evaluation.runner import Recipe, blend_of, measure
from recommender.engine.evaluation.splits import sample_positions
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Value
from recommender.engine.methods.inputs import Query
from recommender.engine.methods.registry import METHODS
from recommender.engine.types import Candidates

TUNED_WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.5, 3.0)
TUNED_SCALINGS = ("max", "rank")


def tune(
    validation: Task,
    recipe: Recipe,
    *,
    seed: int,
    clock: Clock,
    budget_seconds: float,
    max_queries: int = 1500,
) -> Recipe:
    """Choose what the recipe leaves open, on a task made of the training part alone.

    Source by source by `halving.choose`, then the weights of a blend. What the budget does not
    reach keeps its default.

    Parameters
    ----------
    validation : Task
        Never the test.
    recipe : Recipe
        Parameters that it names are left alone.
    budget_seconds : float
        0 or less returns the recipe with equal weights.
    max_queries : int
        A seeded sample of the queries is enough to tell good from bad.
    """
    deadline = clock() + budget_seconds
    positions = sample_positions(len(validation.queries), at_most=max_queries, seed=seed)
    sample = validation.subset(positions)
    chosen: dict[str, Value] = {}
    fitted: dict[str, Recommend] = {}
    share = budget_seconds / (len(recipe.weights) + (len(recipe.weights) > 1))
    for name in recipe.weights:
        until = min(clock() + share, deadline)
        best = choose(
            validation,
            METHODS[name],
            fixed=recipe.named_for(name),
            seed=seed,
            clock=clock,
            budget_s=until - clock(),
            max_queries=max_queries,
        )
        chosen |= {f"{name}.{parameter}": v for parameter, v in best.parameters.items()}
    tuned = Recipe(recipe.weights, {**recipe.parameters, **chosen})
    if None in recipe.weights.values() and budget_seconds > 0:
        for name in recipe.weights:
            fitted[name] = (
                METHODS[name].fit(sample.training, tuned.parameters_of(name), seed).recommend
            )
        return _tune_weights(sample, tuned, fitted, clock=clock, deadline=deadline)
    return tuned


def _tune_weights(
    task: Task, recipe: Recipe, fitted: Mapping[str, Recommend], *, clock: Clock, deadline: float
) -> Recipe:
    """The scaling, and one weight after the other, twice; the first source keeps weight 1."""
    answers = {name: _remembered(source) for name, source in fitted.items()}
    open_names = [name for name, weight in recipe.weights.items() if weight is None]
    if len(open_names) == len(recipe.weights):
        open_names = open_names[1:]
    best, current = -np.inf, recipe
    scalings = [recipe.parameters["scaling"]] if "scaling" in recipe.parameters else TUNED_SCALINGS
    for scaling in scalings:
        trial = Recipe(
            {name: 1.0 if weight is None else weight for name, weight in recipe.weights.items()},
            {**recipe.parameters, "scaling": scaling},
        )
        value = _objective(task, blend_of(answers, trial), clock)
        for name in open_names * 2:
            for weight in TUNED_WEIGHTS:
                if clock() >= deadline:
                    break
                other = Recipe({**trial.weights, name: weight}, trial.parameters)
                other_value = _objective(task, blend_of(answers, other), clock)
                if other_value > value:
                    value, trial = other_value, other
        if value > best:
            best, current = value, trial
    return current


def _remembered(source: Recommend) -> Recommend:
    """The same source, which answers a query that it was asked before from memory."""
    known: dict[tuple[int, int], Candidates] = {}

    def recommend(query: Query, limit: int) -> Candidates:
        # The rows live as long as the task; a query without repeats is made anew each time.
        key = id(query.rows), len(query.removed)
        if key not in known:
            known[key] = source(query, limit)
        return known[key]

    return recommend


def _objective(task: Task, recommend: Recommend, clock: Clock) -> float:
    metrics = measure(task, recommend, clock=clock).metrics
    return sum(metrics[name] for name in task.objective)
