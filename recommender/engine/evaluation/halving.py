"""Choosing the parameters of a method: successive halving, then a climb from the winner.

Many settings are compared on few queries (and, where a fit is dear, on a part of the training), the
better third of them on three times as many, until a few are compared on everything. What time is
left climbs: each parameter moves along its grid as long as that helps. The default takes part in
every rung, so on the validation cut nothing that is chosen is worse than it.

K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod

import numpy as np

from recommender.engine.errors import EngineError
from recommender.engine.evaluation.asking import Clock, ask, mean_accuracy
from recommender.engine.evaluation.splits import sample_positions
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.base import Method, Model, Parameters, RatingModel, Value
from recommender.engine.methods.inputs import Training
from recommender.engine.offline.sessions import take_sessions
from recommender.engine.types import NO_ROW

KEPT = 3
"""One setting of so many stays for the next rung."""
MOST_CANDIDATES = 27
RUNG_SHARE = 0.5
"""Of the time, before the climb begins."""
Settings = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, how good it is on the validation cut, and of how many it is the best.

    Attributes
    ----------
    score
        None where nothing was compared.
    """

    parameters: Settings
    tried: int = 0
    score: float | None = None


def choose(
    validation: Task,
    method: Method,
    *,
    fixed: Parameters,
    seed: int,
    clock: Clock,
    budget_s: float,
    max_queries: int = 1500,
    tell: Callable[[int], None] | None = None,
) -> Choice:
    """Choose what is left open, on a task made of the training part alone.

    Parameters
    ----------
    validation : Task
        Never the test.
    method : Method
    fixed : mapping
        Parameters that are left as they are.
    budget_s : float
        0 or less returns the defaults. A comparison that has begun is not interrupted; where one
        takes a tenth of the time or more, the first are made on parts of the training.
    max_queries : int
        A seeded sample of the queries is enough to tell good from bad.
    tell : function of int or None
        Told after every comparison how many there were; what it raises ends the search.

    Returns
    -------
    Choice
        The same for a seed, as far as the clock lets it come.
    """
    start: Settings = method.parameters(fixed)
    grid = {
        name: values
        for name, values in method.grid.items()
        if name not in fixed and len(values) > 1 and matters(name, validation.training)
    }
    if not grid or budget_s <= 0:
        return Choice(start)
    search = _Search(validation, method, seed, clock, max_queries, tell)
    deadline = clock() + budget_s
    first_rungs = clock() + RUNG_SHARE * budget_s
    before = clock()
    search.score(start, search.rungs(dear=False)[0])
    once = clock() - before
    dear = once > budget_s / 10
    rungs = search.rungs(dear=dear)
    # In units of the first comparison: a rung has a third of the settings and more work for each.
    affordable = int(RUNG_SHARE * budget_s / max(once * (0.6 if dear else 2.0), 1e-9))
    best = start
    if affordable > 1:
        candidates = _candidates(start, grid, min(affordable, MOST_CANDIDATES), seed)
        best = search.halve(start, candidates, rungs, first_rungs)
    best = search.climb(best, grid, deadline)
    return Choice(best, search.tried, search.scores.get(_name(best, rungs[-1])))


def matters(parameter: str, training: Training) -> bool:
    """Whether a parameter can make a difference with such data."""
    if parameter.startswith("weight_"):
        return parameter.removeprefix("weight_") in training.shoppers and len(training.shoppers) > 1
    if parameter == "count_exponent":
        return any(bool((m.data != 1).any()) for m in training.shoppers.values())
    if parameter == "recency_half_life_days":
        sessions = training.sessions
        return sessions is not None and int(np.ptp(sessions.times_s)) > 10 * len(sessions)
    return True


@dataclass(frozen=True, slots=True)
class Rung:
    """How much a comparison is given: a share of the training, and so many queries."""

    training_share: float
    n_queries: int


class _Search:
    """Scores of settings, each made once."""

    def __init__(
        self,
        task: Task,
        method: Method,
        seed: int,
        clock: Clock,
        max_queries: int,
        tell: Callable[[int], None] | None,
    ) -> None:
        positions = sample_positions(len(task.queries), at_most=max_queries, seed=seed)
        # Shuffled, so that the first of them are a sample of all.
        positions = np.random.default_rng(seed).permutation(positions)
        self._task = task.subset(positions)
        self._parts: dict[float, Task] = {1.0: self._task}
        self._method = method
        self._seed = seed
        self._clock = clock
        self._tell = tell
        self._longest_s = 0.0
        self.scores: dict[str, float] = {}

    @property
    def tried(self) -> int:
        """How many different settings were compared."""
        return len({name.partition("|")[2] for name in self.scores})

    def rungs(self, *, dear: bool) -> list[Rung]:
        n = len(self._task.queries)
        shares = (0.25, 0.5, 1.0) if dear else (1.0, 1.0, 1.0)
        sizes = (ceil(n / KEPT**2), ceil(n / KEPT), n)
        if dear:
            # Asking is cheap beside such a fit.
            sizes = (ceil(n / KEPT), n, n)
        return [Rung(share, size) for share, size in zip(shares, sizes, strict=True)]

    def score(self, settings: Settings, rung: Rung) -> float:
        """The objective; -inf for settings that the method can't be fitted with."""
        name = _name(settings, rung)
        if name not in self.scores:
            task = self._part(rung.training_share)
            before = self._clock()
            try:
                model = self._method.fit(task.training, settings, self._seed)
                self.scores[name] = objective_of(
                    task, model, range(rung.n_queries), clock=self._clock
                )
            except EngineError:
                self.scores[name] = float("-inf")
            if rung.training_share == 1.0:
                self._longest_s = max(self._longest_s, self._clock() - before)
            if self._tell is not None:
                self._tell(len(self.scores))
        return self.scores[name]

    def halve(
        self, start: Settings, candidates: list[Settings], rungs: list[Rung], deadline: float
    ) -> Settings:
        """The best of the last rung that time allowed; ties go to what came first."""
        alive = candidates
        for rung in rungs:
            scored: list[tuple[float, int]] = []
            longest = 0.0
            for place, settings in enumerate(alive):
                now = self._clock()
                if scored and now + longest >= deadline:
                    break
                scored.append((-self.score(settings, rung), place))
                longest = max(longest, self._clock() - now)
            if len(scored) < len(alive) and rung is not rungs[0]:
                # Cut off halfway: the best of those that were compared on the most.
                return alive[min(scored)[1]]
            best = [alive[place] for _, place in sorted(scored)]
            keep = ceil(len(best) / KEPT)
            alive = best[:keep] if rung is not rungs[-1] else best[:1]
            if rung is not rungs[-1]:
                # First, so that it is compared with whatever else time allows.
                alive = [start, *(settings for settings in alive if settings != start)]
        return alive[0]

    def climb(
        self, settings: Settings, grid: Mapping[str, Sequence[Value]], deadline: float
    ) -> Settings:
        """Move each parameter along its grid as long as that helps.

        The grids are ordered and quality has one peak in most parameters. A tie keeps what was.
        """
        last = self.rungs(dear=False)[-1]
        current = settings
        for parameter, values in grid.items():
            at = list(values).index(current[parameter]) if current[parameter] in values else 0
            for path in (values[at + 1 :], values[:at][::-1]):
                for value in path:
                    new = 1 if _name(current, last) in self.scores else 2
                    if self._clock() + new * self._longest_s >= deadline:
                        return current
                    trial = {**current, parameter: value}
                    if self.score(trial, last) <= self.score(current, last):
                        break
                    current = trial
        return current

    def _part(self, share: float) -> Task:
        if share not in self._parts:
            self._parts[share] = replace(
                self._task,
                training=part_of(self._task.training, share=share, seed=self._seed),
                # Their lines are others now, or gone.
                queries=[replace(query, shopper_row=NO_ROW) for query in self._task.queries],
            )
        return self._parts[share]


def part_of(training: Training, *, share: float, seed: int) -> Training:
    """The latest sessions, and a sample of baskets and of shoppers with all that is theirs.

    Examples
    --------
    >>> from recommender.engine.types import Sessions
    >>> two = Sessions(np.array([0, 1, 2]), np.array([5, 6], np.int32), np.array([1, 2]))
    >>> half = part_of(Training(7, sessions=two), share=0.5, seed=0)
    >>> half.sessions.item_rows.tolist()
    [6]
    """
    sessions, baskets = training.sessions, training.baskets
    if sessions is not None:
        n = len(sessions)
        sessions = take_sessions(sessions, n - ceil(share * n), n)
    if baskets is not None:
        n = baskets.shape[0]
        baskets = baskets[sample_positions(n, at_most=ceil(share * n), seed=seed)].tocsr()
    shoppers, purchases, ratings = training.shoppers, training.purchases, training.ratings
    if shoppers:
        n = next(iter(shoppers.values())).shape[0]
        chosen = sample_positions(n, at_most=ceil(share * n), seed=seed)
        new_row = np.full(n, NO_ROW, np.int32)
        new_row[chosen] = np.arange(len(chosen))
        shoppers = {kind: matrix[chosen].tocsr() for kind, matrix in shoppers.items()}
        if purchases is not None:
            kept = new_row[purchases.shopper_rows] >= 0
            purchases = replace(
                purchases,
                shopper_rows=new_row[purchases.shopper_rows[kept]],
                item_rows=purchases.item_rows[kept],
                times_s=purchases.times_s[kept],
            )
        if ratings is not None:
            kept = new_row[ratings.shopper_rows] >= 0
            ratings = replace(
                ratings,
                shopper_rows=new_row[ratings.shopper_rows[kept]],
                item_rows=ratings.item_rows[kept],
                values=ratings.values[kept],
            )
    return replace(
        training,
        sessions=sessions,
        baskets=baskets,
        shoppers=shoppers,
        purchases=purchases,
        ratings=ratings,
    )


def objective_of(task: Task, model: Model, positions: Sequence[int], *, clock: Clock) -> float:
    """Sum of the task's objective over some queries; of a rating model minus its error."""
    if task.ratings and isinstance(model, RatingModel):
        squares, n = 0.0, 0
        for position in positions:
            rows, values = task.ratings[position]
            if len(rows):
                errors = model.predicted(task.queries[position], rows) - values
                squares, n = squares + float((errors**2).sum()), n + len(rows)
        return -((squares / n) ** 0.5) if n else 0.0
    found = ask(task, model.recommend, clock=clock, positions=positions, second_table=False)
    metrics = mean_accuracy(found.first)
    names = [name for name in task.objective if name in metrics] or ["ndcg@20"]
    return sum(metrics[name] for name in names)


def _candidates(
    start: Settings, grid: Mapping[str, Sequence[Value]], n: int, seed: int
) -> list[Settings]:
    """The start, what differs from it in one parameter, and others by chance; n at most."""
    rng = np.random.default_rng(seed)
    total = prod(len(values) for values in grid.values())
    out = [start]
    seen = {_name(start)}

    def add(settings: Settings) -> None:
        if _name(settings) not in seen and len(out) < n:
            seen.add(_name(settings))
            out.append(settings)

    if total <= n:
        for values in product(*grid.values()):
            add({**start, **dict(zip(grid, values, strict=True))})
        return out
    alone = [{**start, name: value} for name, values in grid.items() for value in values]
    by_chance = [
        {**start, **{name: values[int(rng.integers(len(values)))] for name, values in grid.items()}}
        for _ in range(4 * n)
    ]
    for place in rng.permutation(len(alone)).tolist()[: n // 2]:
        add(alone[place])
    for settings in by_chance:
        add(settings)
    return out


def _name(settings: Settings, rung: Rung | None = None) -> str:
    prefix = "" if rung is None else f"{rung.training_share}:{rung.n_queries}"
    return f"{prefix}|{json.dumps(settings, sort_keys=True)}"
