"""Putting the queries of a task to a model, and judging its lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from recommender.engine.errors import EmptyInputError
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import Query
from recommender.engine.types import (
    NO_ROW,
    BoolArray,
    Candidates,
    Float64Array,
    Int32Array,
    Int64Array,
)

K = 20

Clock: TypeAlias = Callable[[], float]
Recommend: TypeAlias = Callable[[Query, int], Candidates]


@dataclass(frozen=True, slots=True)
class Lists:
    """What was recommended to some queries, and which of it was right.

    Attributes
    ----------
    positions : int64[n]
        Which query of the task each line belongs to.
    rows : int32[n, k]
        Best first, padded with ``-1``.
    hits : bool[n, k]
    n_relevant : int64[n]
        Right answers in the world; a line with none is not judged.
    """

    positions: Int64Array
    rows: Int32Array
    hits: BoolArray
    n_relevant: Int64Array

    def __len__(self) -> int:
        return len(self.positions)

    def head(self, n: int) -> Lists:
        """The first n lines."""
        return Lists(self.positions[:n], self.rows[:n], self.hits[:n], self.n_relevant[:n])


@dataclass(frozen=True, slots=True)
class Asked:
    """The lists of both tables of a task, and how long each took.

    Attributes
    ----------
    first : Lists
    second : Lists
        Without repeats; empty where the protocol has no second table.
    took_s : list of float
        One per query of the first table.
    took_again_s : list of float
        Of the second, where its queries are asked apart from those of the first.
    """

    first: Lists
    second: Lists
    took_s: list[float]
    took_again_s: list[float]


class _Collected:
    """Lines of `Lists`, one after the other."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.rows: list[Int32Array] = []
        self.hits: list[BoolArray] = []
        self.n_relevant: list[int] = []

    def add(
        self, position: int, found: Candidates, relevant: Int32Array, barred: Int32Array
    ) -> None:
        rows = found.rows
        if len(barred):
            rows = rows[~np.isin(rows, barred)]
        line = np.full(K, NO_ROW, np.int32)
        line[: min(len(rows), K)] = rows[:K]
        hits = np.zeros(K, np.bool_)
        for row in relevant.tolist() if len(relevant) <= 2 else ():
            hits |= line == row
        if len(relevant) > 2:
            hits = np.isin(line, relevant)
        self.positions.append(position)
        self.rows.append(line)
        self.hits.append(hits & (line >= 0))
        self.n_relevant.append(len(relevant))

    def lists(self) -> Lists:
        return Lists(
            np.array(self.positions, np.int64),
            np.array(self.rows, np.int32).reshape(-1, K),
            np.array(self.hits, np.bool_).reshape(-1, K),
            np.array(self.n_relevant, np.int64),
        )


def ask(
    task: Task,
    recommend: Recommend,
    *,
    clock: Clock,
    positions: Iterable[int] | None = None,
    second_table: bool = True,
) -> Asked:
    """Ask queries one by one, and compare what comes back with what was right.

    Parameters
    ----------
    positions : iterable of int or None
        Which queries, in which order; ``None`` means all.
    second_table : bool
        Whether the table without repeats is wanted too, where the protocol has one.

    Returns
    -------
    Asked
        An answer that is in `Query.removed` is left out, whatever the model says.
    """
    first, second = _Collected(), _Collected()
    took: list[float] = []
    took_again: list[float] = []
    both = second_table and task.second_table != "none"
    for position in range(len(task.queries)) if positions is None else positions:
        query, relevant = task.queries[position], task.relevant[position]
        limit = K + (len(query.rows) if both else len(query.removed))
        started = clock()
        found = recommend(query, limit)
        took.append(clock() - started)
        first.add(position, found, relevant, query.removed)
        if not both:
            continue
        if task.second_table == "dropped":
            relevant = relevant[~np.isin(relevant, query.rows)]
            if not len(relevant):
                continue
        else:
            # A source may rank otherwise where repeats are no answers, not only leave them out.
            again = replace(query, removed=query.rows)
            started = clock()
            found = recommend(again, limit)
            took_again.append(clock() - started)
        second.add(position, found, relevant, query.rows)
    return Asked(first.lists(), second.lists(), took, took_again)


def accuracy(lists: Lists) -> dict[str, Float64Array]:
    """Every accuracy metric of every line; `ranking_metrics` says what each means.

    Parameters
    ----------
    lists : Lists
        n lines of k places.

    Returns
    -------
    dict of float64[n]
        ``hr@k``, ``mrr@k``, ``recall@k``, ``precision@k``, ``f1@k``, ``ndcg@k``, ``map@k``. A line
        without an answer is 0 everywhere, one that nothing is right for NaN.

    Examples
    --------
    >>> lists = Lists(np.zeros(1, np.int64), np.array([[4, 9]], np.int32),
    ...               np.array([[False, True]]), np.array([1]))
    >>> {name: values.round(3).tolist() for name, values in accuracy(lists).items()}["mrr@2"]
    [0.5]
    """
    hits = lists.hits.astype(np.float64)
    k = hits.shape[1]
    ranks = np.arange(1, k + 1)
    discounts = 1.0 / np.log2(ranks + 1)
    found = hits.sum(axis=1)
    judged = lists.n_relevant > 0
    n_relevant = np.where(judged, lists.n_relevant, 1)
    most = np.minimum(n_relevant, k)
    first = np.where(found > 0, lists.hits.argmax(axis=1) + 1, np.inf)
    precisions = np.cumsum(hits, axis=1) / ranks
    ideal = np.cumsum(discounts)
    values = {
        f"hr@{k}": (found > 0).astype(np.float64),
        f"mrr@{k}": 1.0 / first,
        f"recall@{k}": found / n_relevant,
        f"precision@{k}": found / k,
        # 2 P R / (P + R) with P = found / k and R = found / n_relevant.
        f"f1@{k}": 2 * found / (k + n_relevant),
        f"ndcg@{k}": hits @ discounts / ideal[most - 1],
        f"map@{k}": (precisions * hits).sum(axis=1) / most,
    }
    return {name: np.where(judged, value, np.nan) for name, value in values.items()}


def mean_accuracy(lists: Lists) -> dict[str, float]:
    """Means of `accuracy` over the lines that something is right for.

    Raises
    ------
    EmptyInputError
        If there is no such line.
    """
    judged = lists.n_relevant > 0
    if not judged.any():
        raise EmptyInputError("there is no query to measure")
    return {name: float(values[judged].mean()) for name, values in accuracy(lists).items()}
