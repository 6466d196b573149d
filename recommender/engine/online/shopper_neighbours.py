"""What do people like me buy? Neighbours among shoppers, found by the history that asks."""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.kernel import (
    DOUBLE,
    F32,
    F64,
    FLAG,
    I32,
    I64,
    N,
    helper,
    kernel,
)
from recommender.engine.selection import best_positions
from recommender.engine.types import NO_ROW, Candidates, Float64Array, Int64Array, ShopperIndex

COSINE, PEARSON, JACCARD = range(3)
MEASURES: Final = {"cosine": COSINE, "pearson": PEARSON, "jaccard": JACCARD}
# What is the same for everybody has no variance but what rounding leaves.
NO_VARIANCE = 1e-9


def similar_shoppers(
    index: ShopperIndex,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    limit: int,
    measure: str = "cosine",
    k: int = 100,
    shrinkage: float = 0.0,
    amplification: float = 1.0,
    popularity_damping: float = 0.0,
    excluded_shopper: int = NO_ROW,
    max_history: int | None = 300,
    max_lines: int | None = None,
    reasons: bool = True,
) -> Candidates:
    """Items of the k shoppers most like a history, wherever that comes from.

    With c the number of items that both have, and the likeness of the two as `measure` says (see
    `offline.item_correlation`), over the catalog::

        s(u)     = likeness(history, u) * c / (c + shrinkage)
        score(j) = sum over the k largest s(u) of s(u) ** amplification * w(u, j)
                   / buyers(j) ** popularity_damping

    Costs the shoppers of the history's items and the items of k shoppers: O(sum of buyers + k h).
    Nothing is done for a shopper without an item of the history, but that two arrays as long as
    shoppers and catalog are cleared.

    Parameters
    ----------
    index : ShopperIndex
    rows, weights : int[h], float[h] or None
        Unknown rows are skipped; ``None`` means 1 each. Jaccard counts every item as 1.
    limit : int
    measure : "cosine", "pearson" or "jaccard"
    k : int
        Only shoppers who are alike at all are neighbours, of equal ones those with smaller rows.
    shrinkage : float >= 0
    amplification : float > 0
        Above 1 the nearest say more.
    popularity_damping : float in 0..1
        0: what many neighbours have. 1: what they have more often than others.
    excluded_shopper : int
        The shopper themselves: nobody is their own neighbour.
    max_history : int or None
        Only so many items of the history are used, those with the largest weights; None: all.
    max_lines : int or None
        Bounds the cost where bestsellers have ten thousands of buyers: items are used from the
        one with the fewest buyers on, until they have so many together. At least one is used.
    reasons : bool
        Whether `because` is worked out; else it is -1.

    Returns
    -------
    Candidates
        `because` is the item that the history shares with the neighbour who speaks most for a
        candidate, the one that makes them most alike; of equal ones that with the smaller row.
        Nothing is its own reason: -1 if they share nothing else.

    Raises
    ------
    InvalidInputError
        If `k`, `shrinkage` or `measure` is out of range.

    Notes
    -----
    P. Resnick et al., "GroupLens: an open architecture for collaborative filtering of netnews",
    CSCW 1994; case amplification as in J. Breese, D. Heckerman, C. Kadie, "Empirical analysis of
    predictive algorithms for collaborative filtering", UAI 1998.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from recommender.engine.offline.shopper_neighbours import fit_shopper_index
    >>> likes = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.float32))
    >>> found = similar_shoppers(fit_shopper_index(likes), [0], limit=2)
    >>> found.rows.tolist(), found.because.tolist()
    ([0, 1], [-1, 0])
    """
    if k < 1 or not shrinkage >= 0:
        raise InvalidInputError(f"k must be at least 1 and shrinkage not negative: {k, shrinkage}")
    if measure not in MEASURES:
        raise InvalidInputError(f"measure must be one of {', '.join(MEASURES)}, not {measure!r}")
    mine, values = _known(index, rows, weights, max_history)
    if max_lines is not None:
        mine, values = _affordable(index, mine, values, max_lines)
    if not len(mine) or limit <= 0:
        return Candidates.empty()
    found, scores, because = _similar(
        index.shopper_offsets,
        index.shopper_items,
        index.shopper_weights,
        index.item_offsets,
        index.item_shoppers,
        index.item_weights,
        index.sums,
        index.sizes if measure == "jaccard" else index.squares,
        mine,
        values,
        MEASURES[measure],
        k,
        shrinkage,
        amplification,
        popularity_damping,
        excluded_shopper,
        limit,
        reasons,
    )
    return Candidates(found, scores, because)


def _known(
    index: ShopperIndex, rows: npt.ArrayLike, weights: npt.ArrayLike | None, max_history: int | None
) -> tuple[Int64Array, Float64Array]:
    """Distinct known items and what they weigh: the largest weight where one is named twice."""
    given = np.asarray(rows, np.int64).reshape(-1)
    values = np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)
    kept = (given >= 0) & (given < index.n_items) & (values > 0)
    items, place = np.unique(given[kept], return_inverse=True)
    largest = np.zeros(len(items))
    np.maximum.at(largest, place, values[kept])
    if max_history is not None and len(items) > max_history:
        best = np.sort(best_positions(largest, max_history))
        items, largest = items[best], largest[best]
    return items, largest


def _affordable(
    index: ShopperIndex, mine: Int64Array, values: Float64Array, max_lines: int
) -> tuple[Int64Array, Float64Array]:
    """Without the best-selling items, if all together have more than so many buyers."""
    lengths = index.item_offsets[mine + 1] - index.item_offsets[mine]
    if int(lengths.sum()) <= max_lines:
        return mine, values
    bought = np.flatnonzero(lengths)
    order = bought[np.argsort(lengths[bought], kind="stable")]
    n = int(np.searchsorted(np.cumsum(lengths[order]), max_lines, side="right"))
    kept = np.sort(order[: max(n, 1)])
    return mine[kept], values[kept]


@helper
def _worse(scores: Any, rows: Any, one: int, other: int) -> Any:
    """Whether a position comes after another one: by score descending, then by row ascending."""
    if scores[one] == scores[other]:
        return rows[one] > rows[other]
    return scores[one] < scores[other]


@helper
def _sink(heap: Any, place: int, end: int, scores: Any, rows: Any) -> None:
    """Let a position sink to where none below it is worse."""
    sinking = heap[place]
    while True:
        below = 2 * place + 1
        if below >= end:
            break
        if below + 1 < end and _worse(scores, rows, heap[below + 1], heap[below]):
            below += 1
        if not _worse(scores, rows, heap[below], sinking):
            break
        heap[place] = heap[below]
        place = below
    heap[place] = sinking


@helper
def _best(scores: Any, rows: Any, limit: int) -> Any:
    """Positions of the largest scores above 0, descending, ties by ascending row; see `_worse`."""
    heap = np.empty(min(max(limit, 0), len(scores)), np.int64)
    n = 0
    for position in range(len(scores)):
        if not scores[position] > 0:
            continue
        if n < len(heap):
            heap[n] = position
            n += 1
            if n == len(heap):
                for place in range(n // 2 - 1, -1, -1):
                    _sink(heap, place, n, scores, rows)
        elif n and _worse(scores, rows, heap[0], position):
            heap[0] = position
            _sink(heap, 0, n, scores, rows)
    heap = heap[:n]
    for place in range(n // 2 - 1, -1, -1):
        _sink(heap, place, n, scores, rows)
    for end in range(n - 1, 0, -1):
        last = heap[end]
        heap[end] = heap[0]
        heap[0] = last
        _sink(heap, 0, end, scores, rows)
    return heap


@helper
def _likeness(
    measure: int,
    product: float,
    mine: tuple[float, float],
    theirs: tuple[float, float],
    length: int,
) -> Any:
    """See `offline.item_correlation.likeness`; `mine` and `theirs` are squares and sums."""
    one, other = mine[0], theirs[0]
    if measure == JACCARD:
        return product / (one + other - product)
    if measure == PEARSON:
        product -= mine[1] * theirs[1] / length
        one -= mine[1] ** 2 / length
        other -= theirs[1] ** 2 / length
    if one <= NO_VARIANCE or other <= NO_VARIANCE:
        return 0.0
    return product / sqrt(one * other)


@helper
def _meet(
    item_offsets: Any,
    item_shoppers: Any,
    item_weights: Any,
    n_shoppers: int,
    mine: Any,
    values: Any,
    counted: bool,
) -> Any:
    """Shoppers with an item of the history, and the product of each with it; all products of
    shoppers, cleared but for those. Weights are above 0, so a product of 0 is a first meeting."""
    n_lines = 0
    for h in range(len(mine)):
        n_lines += item_offsets[mine[h] + 1] - item_offsets[mine[h]]
    products = np.zeros(n_shoppers, np.float64)
    met = np.empty(min(n_lines, n_shoppers), np.int32)
    n = 0
    for h in range(len(mine)):
        value = values[h]
        for line in range(item_offsets[mine[h]], item_offsets[mine[h] + 1]):
            shopper = item_shoppers[line]
            if products[shopper] == 0.0:
                met[n] = shopper
                n += 1
            products[shopper] += 1.0 if counted else value * np.float64(item_weights[line])
    return met[:n], products


@helper
def _shared(items: Any, weights: Any, mine: Any, values: Any, counted: bool) -> Any:
    """The two items of a history that say most for its likeness to a shopper; -1 for none.

    Both lists ascend.
    """
    first, second = np.int32(-1), np.int32(-1)
    most, more = 0.0, 0.0
    h = 0
    for line in range(len(items)):
        while h < len(mine) and mine[h] < items[line]:
            h += 1
        if h == len(mine):
            break
        if mine[h] != items[line]:
            continue
        said = 1.0 if counted else values[h] * np.float64(weights[line])
        if said > most:
            second, more = first, most
            first, most = items[line], said
        elif said > more:
            second, more = items[line], said
    return first, second


@helper
def _damped(scores: Any, rows: Any, item_offsets: Any, exponent: float) -> Any:
    """Scores in float32, divided by a power of the number of buyers."""
    out = np.empty(len(scores), np.float32)
    for i in range(len(scores)):
        buyers = np.float64(item_offsets[rows[i] + 1] - item_offsets[rows[i]])
        if exponent == 0.25:
            # Roots cost a tenth of a power.
            out[i] = scores[i] / sqrt(sqrt(buyers))
        elif exponent == 0.0:
            out[i] = scores[i]
        else:
            out[i] = scores[i] / buyers**exponent
    return out


@helper
def _nearest(
    item_offsets: Any,
    item_shoppers: Any,
    item_weights: Any,
    sums: Any,
    squares: Any,
    mine: Any,
    values: Any,
    measure: int,
    shrinkage: float,
    excluded: int,
    k: int,
) -> Any:
    """The k shoppers who are most like a history, and how much. Squares are sizes for Jaccard."""
    n_shoppers, n_items = len(sums), len(item_offsets) - 1
    counted = measure == JACCARD
    met, products = _meet(
        item_offsets, item_shoppers, item_weights, n_shoppers, mine, values, counted
    )
    own = (np.float64(len(mine)), 0.0) if counted else ((values**2).sum(), values.sum())
    alike = np.zeros(len(met), np.float64)
    for i in range(len(met)):
        if met[i] != excluded:
            theirs = (squares[met[i]], sums[met[i]])
            alike[i] = _likeness(measure, products[met[i]], own, theirs, n_items)
    if shrinkage > 0:
        _, shared = _meet(item_offsets, item_shoppers, item_weights, n_shoppers, mine, values, True)
        for i in range(len(met)):
            alike[i] *= shared[met[i]] / (shared[met[i]] + shrinkage)
    best = _best(alike, met, k)
    return met[best], alike[best]


@kernel(
    *(I64, I32, F32),
    *(I64, I32, F32),
    *(F64, F64, I64, F64),
    *(N, N, DOUBLE, DOUBLE, DOUBLE, N, N, FLAG),
)
def _similar(
    shopper_offsets: Any,
    shopper_items: Any,
    shopper_weights: Any,
    item_offsets: Any,
    item_shoppers: Any,
    item_weights: Any,
    sums: Any,
    squares: Any,
    mine: Any,
    values: Any,
    measure: int,
    k: int,
    shrinkage: float,
    amplification: float,
    popularity_damping: float,
    excluded: int,
    limit: int,
    reasons: bool,
) -> Any:
    """See `similar_shoppers`: rows, scores and reasons. Squares are sizes for Jaccard."""
    shoppers, alike = _nearest(
        *(item_offsets, item_shoppers, item_weights, sums, squares, mine, values),
        *(measure, shrinkage, excluded, k),
    )
    n_lines = 0
    for i in range(len(shoppers)):
        n_lines += shopper_offsets[shoppers[i] + 1] - shopper_offsets[shoppers[i]]
    # A candidate's place among those that were named, plus 1; 0 is not yet.
    place_of = np.zeros(len(item_offsets) - 1, np.int32)
    rows = np.empty(n_lines, np.int32)
    scores = np.zeros(n_lines, np.float64)
    strongest = np.zeros(n_lines, np.float64)
    because = np.full(n_lines, -1, np.int32)
    n = 0
    for i in range(len(shoppers)):
        start, end = shopper_offsets[shoppers[i]], shopper_offsets[shoppers[i] + 1]
        items, weights = shopper_items[start:end], shopper_weights[start:end]
        vote = alike[i] if amplification == 1.0 else alike[i] ** amplification
        first, second = np.int32(-1), np.int32(-1)
        if reasons:
            first, second = _shared(items, weights, mine, values, measure == JACCARD)
        for line in range(len(items)):
            if place_of[items[line]] == 0:
                rows[n] = items[line]
                n += 1
                place_of[items[line]] = n
            own = place_of[items[line]] - 1
            said = vote * np.float64(weights[line])
            scores[own] += said
            if said > strongest[own]:
                strongest[own] = said
                because[own] = second if first == items[line] else first
    rows = rows[:n]
    found = _damped(scores[:n], rows, item_offsets, popularity_damping)
    chosen = _best(found, rows, limit)
    return rows[chosen], found[chosen], because[chosen]
