"""A training part cut once more: what a blend's sources are fitted on, and what it learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from recommender.engine.errors import EmptyInputError
from recommender.engine.methods.inputs import Matrix, Purchases, Query, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.offline.sessions import take_sessions
from recommender.engine.types import SECONDS_PER_DAY, BoolArray, Int32Array, Int64Array

CUT_DAYS = 30
LATER_SHARE = 0.1
HIDDEN_SHARE = 0.2
MIN_BASKET = 3
MAX_QUERIES_OF_SESSION = 8
MAX_QUERIES_OF_BASKET = 8
NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Cut:
    """What was known at a moment, and what was wanted then."""

    training: Training
    queries: list[Query]
    wanted: list[Int32Array]


def cut_once_more(training: Training, *, max_queries: int, seed: int) -> Cut:
    """Ask the training part what its method will be asked.

    By what there is: the last 30 days of purchases, the last tenth of the sessions, one purchase of
    every shopper whose views are known, one product of each of the last tenth of the baskets, a
    fifth of every shopper's items.

    Raises
    ------
    EmptyInputError
        If there is too little to be cut.
    """
    cut = _cutter(training)(training, np.random.default_rng(seed))
    if not cut.queries:
        raise EmptyInputError("there is too little history to be cut once more")
    if len(cut.queries) <= max_queries:
        return cut
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(cut.queries), max_queries, replace=False)).tolist()
    return Cut(cut.training, [cut.queries[i] for i in chosen], [cut.wanted[i] for i in chosen])


def _cutter(training: Training) -> Callable[[Training, np.random.Generator], Cut]:
    if training.purchases is not None:
        return purchases_cut
    if training.sessions is not None:
        return sessions_cut
    if len(training.shoppers) > 1:
        return kinds_cut
    if training.shoppers:
        return shoppers_cut
    if training.baskets is not None:
        return baskets_cut
    raise EmptyInputError("there is no history to learn a blend from")


def purchases_cut(training: Training, _random: np.random.Generator) -> Cut:
    """What shoppers bought in the last 30 days, asked with what they had bought before."""
    bought = training.purchases
    assert bought is not None
    span = int(np.ptp(bought.times_s)) if len(bought.times_s) else 0
    length = min(CUT_DAYS * SECONDS_PER_DAY, span // 5)
    cut_s = max(training.now_s, int(bought.times_s.max(initial=0))) - length
    before = bought.times_s < cut_s
    earlier = _taken(bought, before)
    shoppers, later = bought.shopper_rows[~before], bought.item_rows[~before]
    queries, wanted = [], []
    order = np.lexsort((earlier.times_s, earlier.item_rows, earlier.shopper_rows))
    earlier = _taken(earlier, order)
    for shopper in np.unique(shoppers).tolist():
        start, end = np.searchsorted(earlier.shopper_rows, [shopper, shopper + 1]).tolist()
        if start == end:
            continue
        rows, counts = np.unique(earlier.item_rows[start:end], return_counts=True)
        last = earlier.times_s[start:end][np.cumsum(counts) - 1]
        queries.append(
            Query(
                rows,
                NOTHING,
                counts=counts.astype(np.int32),
                last_at_s=last,
                # Nobody is their own neighbour, when asked as little as in earnest.
                shopper_row=shopper,
            )
        )
        wanted.append(np.unique(later[shoppers == shopper]))
    return Cut(as_of(training, earlier, cut_s), queries, wanted)


def _taken(bought: Purchases, kept: BoolArray | Int64Array) -> Purchases:
    return Purchases(bought.shopper_rows[kept], bought.item_rows[kept], bought.times_s[kept])


def as_of(training: Training, earlier: Purchases, cut_s: int) -> Training:
    """The training part as it was then: what a shopper bought at one time was one basket."""
    orders = np.stack([earlier.shopper_rows.astype(np.int64), earlier.times_s])
    _, order_rows = np.unique(orders, axis=1, return_inverse=True)
    n_shoppers = int(earlier.shopper_rows.max(initial=-1)) + 1
    n_shoppers = max([n_shoppers, *(matrix.shape[0] for matrix in training.shoppers.values())])
    baskets = group_items_matrix(
        order_rows,
        earlier.item_rows,
        n_groups=int(order_rows.max(initial=-1)) + 1,
        n_items=training.n_items,
        binary=True,
    )
    counts = group_items_matrix(
        earlier.shopper_rows, earlier.item_rows, n_groups=n_shoppers, n_items=training.n_items
    )
    return replace(
        training,
        now_s=cut_s,
        sessions=None,
        baskets=baskets,
        shoppers={"purchase": counts},
        purchases=earlier,
        ratings=None,
    )


def sessions_cut(training: Training, random: np.random.Generator) -> Cut:
    """The clicks of the last tenth of the sessions, asked with the clicks before them."""
    sessions = training.sessions
    assert sessions is not None
    cut = max(int(len(sessions) * (1 - LATER_SHARE)), 1)
    earlier = take_sessions(sessions, 0, cut)
    later = take_sessions(sessions, cut, len(sessions))
    queries, wanted = [], []
    for start, end in zip(later.offsets[:-1].tolist(), later.offsets[1:].tolist(), strict=True):
        ends = np.arange(start + 1, end)
        if len(ends) > MAX_QUERIES_OF_SESSION:
            ends = np.sort(random.choice(ends, MAX_QUERIES_OF_SESSION, replace=False))
        for place in ends.tolist():
            queries.append(Query(later.item_rows[start:place], NOTHING))
            wanted.append(later.item_rows[place : place + 1])
    now_s = int(sessions.times_s[cut]) if cut < len(sessions) else training.now_s
    known = replace(
        training, now_s=now_s, sessions=earlier, baskets=None, shoppers={}, ratings=None
    )
    return Cut(known, queries, wanted)


def kinds_cut(training: Training, random: np.random.Generator) -> Cut:
    """One purchase of every shopper with several, asked with all that is left.

    Where purchases aren't known it is one of the first kind of event.
    """
    queries, wanted = [], []
    goal = "purchase" if "purchase" in training.shoppers else next(iter(training.shoppers))
    bought = training.shoppers[goal].tolil(copy=True)
    for shopper in range(bought.shape[0]):
        mine = bought.rows[shopper]
        if len(mine) < 2:
            continue
        place = int(random.integers(len(mine)))
        wanted.append(np.array([mine[place]], np.int32))
        del bought.rows[shopper][place], bought.data[shopper][place]
        kinds = [
            (
                kind,
                np.array(mine, np.int32) if kind == goal else _line(matrix, shopper),
            )
            for kind, matrix in training.shoppers.items()
        ]
        rows = np.unique(np.concatenate([rows for _, rows in kinds])).astype(np.int32)
        queries.append(Query(rows, np.array(mine, np.int32), kinds=kinds, shopper_row=shopper))
    left: Matrix = bought.tocsr().astype(np.float32)
    return Cut(
        replace(training, shoppers={**training.shoppers, goal: left}, ratings=None),
        queries,
        wanted,
    )


def shoppers_cut(training: Training, random: np.random.Generator) -> Cut:
    """A fifth of what every shopper has, asked with the rest."""
    kind, matrix = next(iter(training.shoppers.items()))
    matrix = matrix.tocsr()
    sizes = np.diff(matrix.indptr)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((random.random(len(owner)), owner))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    hidden = np.zeros(len(owner), np.bool_)
    hidden[order] = place < np.floor(HIDDEN_SHARE * sizes)[owner]
    kept = matrix.copy()
    kept.data = np.where(hidden, 0, kept.data).astype(np.float32)
    kept.eliminate_zeros()
    out = matrix.copy()
    out.data = np.where(hidden, out.data, 0).astype(np.float32)
    out.eliminate_zeros()
    queries, wanted = [], []
    for shopper in np.flatnonzero(np.diff(out.indptr)).tolist():
        rows = _line(kept, shopper)
        queries.append(Query(rows, rows, shopper_row=shopper))
        wanted.append(_line(out, shopper))
    return Cut(replace(training, shoppers={kind: kept}, ratings=None), queries, wanted)


def baskets_cut(training: Training, random: np.random.Generator) -> Cut:
    """One product out of each of the last tenth of the baskets, asked with the others of it."""
    assert training.baskets is not None
    baskets = training.baskets.tocsr()
    cut = max(int(baskets.shape[0] * (1 - LATER_SHARE)), 1)
    queries, wanted = [], []
    for basket in range(cut, baskets.shape[0]):
        rows = _line(baskets, basket)
        if len(rows) < MIN_BASKET:
            continue
        for hidden in random.permutation(len(rows))[:MAX_QUERIES_OF_BASKET].tolist():
            rest = np.delete(rows, hidden)
            queries.append(Query(rest, rest))
            wanted.append(rows[hidden : hidden + 1])
    return Cut(replace(training, baskets=baskets[:cut]), queries, wanted)


def _line(matrix: Matrix, row: int) -> Int32Array:
    return np.sort(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]).astype(np.int32)
