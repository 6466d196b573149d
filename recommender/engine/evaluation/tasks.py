"""What every protocol comes down to: something to learn from, queries, and right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recommender.engine.methods.inputs import Query, Training
from recommender.engine.types import NO_ROW, Float32Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class Task:
    """A protocol applied to data.

    Attributes
    ----------
    protocol : str
    training : Training
    queries : list of n Query
    relevant : list of n int32[]
        Right answers; ``-1`` stands for an item that training never saw, which can't be found but
        counts as relevant. At least one each, but where there are `ratings`: a query without any
        is asked for those alone.
    objective : tuple of str
        The metrics whose sum a tuning maximises; a name that begins with ``rmse`` it minimises.
    second_table : {"none", "misses", "dropped"}
        How the table without repeats treats answers that were in the history: there is no such
        table, they count as misses, or they are no answers.
    """

    protocol: str
    training: Training
    queries: list[Query]
    relevant: list[Int32Array]
    objective: tuple[str, ...]
    second_table: str = "none"
    ratings: list[tuple[Int32Array, Float32Array]] = field(default_factory=list)

    def subset(self, positions: Int64Array) -> Task:
        """The same task with some of the queries."""
        chosen = positions.tolist()
        return replace(
            self,
            queries=[self.queries[i] for i in chosen],
            relevant=[self.relevant[i] for i in chosen],
            ratings=[self.ratings[i] for i in chosen] if self.ratings else [],
        )


class Vocabulary:
    """Rows for ids in the order in which they are first seen."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def learn(self, ids: Sequence[str]) -> Int32Array:
        """Rows of ids, new ones for those not yet known."""
        rows = self.rows
        return np.fromiter((rows.setdefault(i, len(rows)) for i in ids), np.int32, len(ids))

    def rows_of(self, ids: Sequence[str]) -> Int32Array:
        """Rows of ids, ``-1`` for unknown ones."""
        rows = self.rows
        return np.fromiter((rows.get(i, NO_ROW) for i in ids), np.int32, len(ids))
