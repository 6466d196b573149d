"""Measuring a source or a blend on a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.asking import Clock, Lists, Recommend, ask, mean_accuracy
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Parameters, Value
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.registry import METHODS
from recommender.engine.online.blending import SCALINGS, blend
from recommender.engine.types import Candidates

POOL = 200
"""Candidates that a source gives to a blend."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sources with weights; one source of weight 1 is that source itself.

    Attributes
    ----------
    weights : dict of source name to weight, or None where a validation is to choose it
    parameters : dict
        ``name`` or ``source.name`` to value; the longer form wins.
    """

    weights: Mapping[str, float | None]
    parameters: Parameters

    def parameters_of(self, source: str) -> dict[str, Value]:
        """Defaults of a source with what this recipe says about them."""
        return {**METHODS[source].defaults, **self.named_for(source)}

    def named_for(self, source: str) -> dict[str, Value]:
        """What this recipe says about a source; the longer form wins."""
        out: dict[str, Value] = {}
        for name in METHODS[source].defaults:
            for form in (name, f"{source}.{name}"):
                if form in self.parameters:
                    out[name] = self.parameters[form]
        return out

    def flat(self) -> dict[str, Value]:
        """Every parameter that took part, for the report."""
        if len(self.weights) == 1:
            return self.parameters_of(next(iter(self.weights)))
        out: dict[str, Value] = {"scaling": self.parameters.get("scaling", "max")}
        for source, weight in self.weights.items():
            out[f"{source}.weight"] = weight
            out |= {f"{source}.{name}": v for name, v in self.parameters_of(source).items()}
        return out


@dataclass(frozen=True, slots=True)
class Report:
    """Means over the queries, the second table if the protocol has one, and what it cost.

    `lists` are those of the first table, for whoever wants to know more of them.
    """

    metrics: dict[str, float]
    metrics_without_repeats: dict[str, float] | None
    fit_seconds: float
    query_us: dict[str, float]
    query_us_without_repeats: dict[str, float] | None = None
    lists: Lists | None = None


def parse_recipe(source: str, parameters: Parameters) -> Recipe:
    """Read ``"for_you"`` or ``"buy_again=0.6,for_you=0.4"``.

    In ``"buy_again,for_you"`` the weights are left to be chosen.

    Raises
    ------
    InvalidInputError
        For an unknown source or parameter, or a weight that is no number above 0.

    Examples
    --------
    >>> parse_recipe("buy_again=0.6, for_you=0.4", {}).weights
    {'buy_again': 0.6, 'for_you': 0.4}
    """
    weights = _parse_weights(source)
    known = {"scaling"}
    for name in weights:
        known |= set(METHODS[name].defaults) | {f"{name}.{p}" for p in METHODS[name].defaults}
    for parameter in parameters:
        if parameter not in known:
            raise InvalidInputError(
                f"{source} has no parameter {parameter!r}; it has {', '.join(sorted(known))}"
            )
    if parameters.get("scaling", "max") not in SCALINGS:
        raise InvalidInputError(f"scaling must be one of {', '.join(sorted(SCALINGS))}")
    if len(weights) == 1:
        weights = dict.fromkeys(weights, 1.0)
    return Recipe(weights, parameters)


def _parse_weights(source: str) -> dict[str, float | None]:
    """Sources by name; ``None`` where no weight is given."""
    weights: dict[str, float | None] = {}
    for part in filter(None, (text.strip() for text in source.split(","))):
        name, equals, number = (text.strip() for text in part.partition("="))
        if name not in METHODS:
            raise InvalidInputError(
                f"there is no source {name!r}; there are {', '.join(sorted(METHODS))}"
            )
        try:
            weights[name] = float(number) if equals else None
        except ValueError as error:
            raise InvalidInputError(f"the weight of {name} is no number: {number!r}") from error
        if weights[name] is not None and not 0 < float(number) < np.inf:
            raise InvalidInputError(f"the weight of {name} must be above 0, not {number}")
    if not weights:
        raise InvalidInputError("no source is named")
    return weights


def fit_recipe(recipe: Recipe, training: Training, *, seed: int) -> Recommend:
    """Fit every source of a recipe."""
    fitted = {
        name: METHODS[name].fit(training, recipe.parameters_of(name), seed).recommend
        for name in recipe.weights
    }
    return blend_of(fitted, recipe)


def blend_of(fitted: Mapping[str, Recommend], recipe: Recipe) -> Recommend:
    """One function out of the fitted sources of a recipe."""
    if len(fitted) == 1:
        return next(iter(fitted.values()))
    scaling = str(recipe.parameters.get("scaling", "max"))
    weights = {name: 1.0 if w is None else w for name, w in recipe.weights.items()}

    def recommend(query: Query, limit: int) -> Candidates:
        parts = [
            (name, weights[name], source(query, max(limit, POOL)))
            for name, source in fitted.items()
        ]
        both = blend(parts, limit=limit, scaling=scaling)
        _, because = both.leading(np.arange(len(both)))
        return Candidates(both.rows, both.scores, np.array(because, np.int32))

    return recommend


def measure(task: Task, recommend: Recommend, *, clock: Clock, fit_seconds: float = 0.0) -> Report:
    """Ask every query and compare.

    Parameters
    ----------
    clock : function without arguments
        Seconds, such as ``time.perf_counter``.

    Returns
    -------
    Report
        A query without an answer counts 0 everywhere. The second table has a time of its own where
        its queries are asked apart from those of the first.
    """
    asked = ask(task, recommend, clock=clock)
    return Report(
        metrics=mean_accuracy(asked.first),
        metrics_without_repeats=mean_accuracy(asked.second) if len(asked.second) else None,
        fit_seconds=fit_seconds,
        query_us=microseconds(asked.took_s),
        query_us_without_repeats=microseconds(asked.took_again_s) if asked.took_again_s else None,
        lists=asked.first,
    )


def microseconds(took: list[float]) -> dict[str, float]:
    """p50 and p99 of some durations in seconds."""
    return {
        name: float(np.percentile(took, share) * 1e6) for name, share in (("p50", 50), ("p99", 99))
    }


def evaluate(task: Task, recipe: Recipe, *, seed: int, clock: Clock) -> Report:
    """Fit a recipe on a task and measure it."""
    started = clock()
    recommend = fit_recipe(recipe, task.training, seed=seed)
    return measure(task, recommend, clock=clock, fit_seconds=clock() - started)
