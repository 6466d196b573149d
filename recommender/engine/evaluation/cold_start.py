"""How well a model does where little is known: of a shopper, and of a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.engine.evaluation.asking import Lists, accuracy
from recommender.engine.evaluation.intervals import ratio_estimates
from recommender.engine.evaluation.results import Estimate
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import Query
from recommender.engine.types import NO_ROW, Int64Array

SHOPPER_STEPS = (0, 1, 2, 5, 10)
"""Events of a shopper from which each group begins: none, 1, 2–4, 5–9, 10 and more."""
PRODUCT_STEPS = (0, 1, 5, 20, 100)
"""Interactions of a product in the training part."""


@dataclass(frozen=True, slots=True)
class Group:
    """Queries, or right answers, of which about as much is known.

    Attributes
    ----------
    first, last
        Events of the group, both inclusive; ``last`` None: and more.
    n
        Queries, or right answers. With none of them `metrics` is empty.
    metrics
        Of shoppers ``hr@20``, ``recall@20``, ``ndcg@20``, ``mrr@20``; of products ``recall@20``.
    """

    first: int
    last: int | None
    n: int
    metrics: dict[str, Estimate]

    @property
    def label(self) -> str:
        """As a table names it.

        Examples
        --------
        >>> Group(0, 0, 0, {}).label, Group(2, 4, 0, {}).label, Group(10, None, 0, {}).label
        ('0', '2–4', '10+')
        """
        if self.last is None:
            return f"{self.first}+"
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Both sides of the question, for one method on one task."""

    shoppers: list[Group]
    products: list[Group]


def n_events(query: Query) -> int:
    """Events of a shopper that the model can know something of.

    Examples
    --------
    >>> n_events(Query(np.array([4, -1], np.int32), removed=np.empty(0, np.int32)))
    1
    """
    known = query.rows >= 0
    if len(query.counts):
        return int(query.counts[known].sum())
    if query.kinds:
        return sum(int((rows >= 0).sum()) for _, rows in query.kinds)
    return int(known.sum())


def cold_start(task: Task, lists: Lists, counts: npt.ArrayLike, *, seed: int) -> ColdStart:
    """Accuracy by number of events of the shopper, and by interactions of the product.

    Parameters
    ----------
    task : Task
    lists : Lists
        Its first table, or a sample of it.
    counts : int[n_items]
        Interactions of every product in the training part.
    seed : int
        Of the intervals.
    """
    return ColdStart(
        by_shopper_events(task, lists, seed=seed),
        by_product_interactions(task, lists, counts, seed=seed),
    )


def by_shopper_events(
    task: Task, lists: Lists, *, steps: Sequence[int] = SHOPPER_STEPS, seed: int
) -> list[Group]:
    """Accuracy of shoppers with few events and with many.

    They differ in more than that: who has ten clicks isn't who left after one. `shortened` asks
    about the *same* shoppers with less known of them.
    """
    events = np.array([n_events(task.queries[i]) for i in lists.positions.tolist()], np.int64)
    metrics = accuracy(lists)
    k = lists.rows.shape[1]
    wanted = [f"{name}@{k}" for name in ("hr", "recall", "ndcg", "mrr")]
    out: list[Group] = []
    # Of ratings, a query may have nothing that is right: nobody can say how good its answer is.
    judged = lists.n_relevant > 0
    for first, last, inside in _steps(events, steps):
        inside = inside & judged
        found = ratio_estimates({name: metrics[name][inside] for name in wanted}, seed=seed)
        out.append(Group(first, last, int(inside.sum()), found if inside.any() else {}))
    return out


def by_product_interactions(
    task: Task,
    lists: Lists,
    counts: npt.ArrayLike,
    *,
    steps: Sequence[int] = PRODUCT_STEPS,
    seed: int,
) -> list[Group]:
    """Share of the right answers that are found, by how often training saw them.

    A right answer that training never saw is one with 0 interactions. The interval draws queries
    again, not answers: those of one query are found or missed together.
    """
    seen = np.asarray(counts)
    k = lists.rows.shape[1]
    groups = len(steps)
    found, there = np.zeros((len(lists), groups)), np.zeros((len(lists), groups))
    for line, position in enumerate(lists.positions.tolist()):
        relevant = task.relevant[position]
        known = relevant[relevant >= 0]
        group = np.searchsorted(steps, seen[known], side="right") - 1
        there[line] = np.bincount(group, minlength=groups)
        there[line, 0] += len(relevant) - len(known)
        hit = np.isin(known, lists.rows[line])
        found[line] = np.bincount(group[hit], minlength=groups)
    out: list[Group] = []
    for number, (first, last) in enumerate(_bounds(steps)):
        n = int(there[:, number].sum())
        metrics = ratio_estimates(
            {f"recall@{k}": found[:, number]}, {f"recall@{k}": there[:, number]}, seed=seed
        )
        out.append(Group(first, last, n, metrics))
    return out


def shortened(task: Task, at_most: int, *, seed: int) -> Task:
    """The same queries with the latest so many items of each history.

    Histories without an order (of shoppers, from a matrix) lose items by chance. What may not be
    an answer stays the same, so that the answers can be compared.

    Examples
    --------
    >>> from recommender.engine.methods.inputs import Training
    >>> from recommender.engine.offline.sessions import segment_sessions
    >>> clicks = Training(9, sessions=segment_sessions([1], [0], [4]))
    >>> asked = Query(np.array([4, 2, 7], np.int32), removed=np.empty(0, np.int32))
    >>> task = Task("next-click", clicks, [asked], [np.array([1], np.int32)], ("hr@20",))
    >>> shortened(task, 2, seed=0).queries[0].rows.tolist()
    [2, 7]
    """
    rng = np.random.default_rng(seed)
    in_order = task.training.sessions is not None
    return replace(task, queries=[_cut(query, at_most, in_order, rng) for query in task.queries])


def _cut(query: Query, at_most: int, in_order: bool, rng: np.random.Generator) -> Query:
    n = len(query.rows)
    if n <= at_most:
        return query
    if in_order:
        kept = np.arange(n - at_most, n)
    elif len(query.last_at_s):
        kept = np.sort(np.argsort(-query.last_at_s, kind="stable")[:at_most])
    else:
        kept = np.sort(rng.permutation(n)[:at_most])
    rows = query.rows[kept]
    return replace(
        query,
        rows=rows,
        kinds=[(kind, part[np.isin(part, rows)]) for kind, part in query.kinds],
        counts=query.counts[kept] if len(query.counts) else query.counts,
        last_at_s=query.last_at_s[kept] if len(query.last_at_s) else query.last_at_s,
        ratings=query.ratings[kept] if len(query.ratings) else query.ratings,
        # The line of training has the whole history.
        shopper_row=NO_ROW,
    )


def _bounds(steps: Sequence[int]) -> list[tuple[int, int | None]]:
    ends: list[int | None] = [step - 1 for step in steps[1:]]
    return list(zip(steps, [*ends, None], strict=True))


def _steps(
    events: Int64Array, steps: Sequence[int]
) -> list[tuple[int, int | None, npt.NDArray[np.bool_]]]:
    return [
        (first, last, (events >= first) & (events <= (np.inf if last is None else last)))
        for first, last in _bounds(steps)
    ]
