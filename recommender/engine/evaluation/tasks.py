"""What every protocol comes down to: something to learn from, queries, and right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.types import (
    NO_ROW,
    Int32Array,
    Int64Array,
    Sessions,
)

Matrix = csr_matrix[np.float32]


@dataclass(frozen=True, slots=True)
class Purchases:
    """Who bought what when; int32 rows and Unix seconds, one line per purchase."""

    shopper_rows: Int32Array
    item_rows: Int32Array
    times_s: Int64Array


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that a protocol lets a source learn from; ``None`` where it has no such thing.

    Attributes
    ----------
    n_items : int
    now_s : int
        The moment of the cut.
    sessions : Sessions or None
    baskets : csr_matrix of float32[n_baskets, n_items] or None
    shoppers : dict of csr_matrix of float32[n_shoppers, n_items]
        By kind of event: ``purchase``, ``add_to_cart``, ``view_item``, or ``any``.
    purchases : Purchases or None
    titles : sequence of str or None
        Per item.
    """

    n_items: int
    now_s: int = 0
    sessions: Sessions | None = None
    baskets: Matrix | None = None
    shoppers: dict[str, Matrix] = field(default_factory=dict)
    purchases: Purchases | None = None
    titles: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is known about one shopper at one moment.

    Attributes
    ----------
    rows : int32[h]
        The session from oldest to newest, the basket, or the history.
    kinds : sequence of (kind of event, int32[]) pairs
        The same history by kind of event, where the protocol knows kinds.
    counts, last_at_s : int32[h], int64[h]
        Purchases of each item of `rows` and their last time; empty where unknown.
    removed : int32[r]
        What may not be an answer.
    """

    rows: Int32Array
    removed: Int32Array
    kinds: Sequence[tuple[str, Int32Array]] = ()
    counts: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    last_at_s: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Task:
    """A protocol applied to data.

    Attributes
    ----------
    protocol : str
    training : Training
    queries : list of n Query
    relevant : list of n int32[]
        Right answers, at least one each; ``-1`` stands for an item that training never saw, which
        can't be found but counts as relevant.
    objective : tuple of str
        The metrics whose sum a tuning maximises.
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

    def subset(self, positions: Int64Array) -> Task:
        """The same task with some of the queries."""
        return Task(
            self.protocol,
            self.training,
            [self.queries[i] for i in positions.tolist()],
            [self.relevant[i] for i in positions.tolist()],
            self.objective,
            self.second_table,
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
