"""Not twelve times the same thing: greedy re-ranking and caps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import Float32Array, Int32Array, Int64Array


def rerank(
    rows: npt.NDArray[np.int32],
    scores: Float32Array,
    *,
    vectors: Float32Array | None,
    trade_off: float,
    limit: int,
    brand_codes: Int32Array | None = None,
    max_per_brand: int | None = None,
    category_codes: Int32Array | None = None,
    max_per_category: int | None = None,
) -> Int64Array:
    """Choose items one by one, each good and unlike those chosen before (MMR).

    The next item maximises ``(1 - t) * relevance(i) - t * max over chosen j of cos(i, j)``, with
    relevance the score moved to 0..1 within the list, so that t means the same for every source.
    Costs O(n² d + limit * n).

    Parameters
    ----------
    rows : int32[n]
        Candidates, best first.
    scores : float32[n]
        Any scale.
    vectors : float32[n_items, d] or None
        Unit vectors of all items; a zero vector is unlike everything. ``None``: only caps.
    trade_off : float in 0..1
        t; 0 is pure relevance, 1 pure diversity after the first item.
    limit : int
    brand_codes, category_codes : int32[n_items] or None
        ``-1`` means unknown, and is never capped.
    max_per_brand, max_per_category : int or None
        At most so many per code. Fewer than `limit` items are returned **only** if the caps forbid
        more; the caller then has its fallback.

    Returns
    -------
    int64[m], m <= min(limit, n)
        Positions in `rows`, in the order to show.

    Raises
    ------
    InvalidInputError
        If `trade_off` is outside 0..1, or a cap is below 1.

    Notes
    -----
    J. Carbonell, J. Goldstein, "The use of MMR, diversity-based reranking for reordering documents
    and producing summaries", SIGIR 1998.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> rerank(np.array([0, 1, 2], np.int32), np.array([3, 2, 1], np.float32), vectors=vectors,
    ...        trade_off=.7, limit=2).tolist()
    [0, 2]
    """
    if not 0 <= trade_off <= 1:
        raise InvalidInputError(f"trade_off must be in 0..1, not {trade_off}")
    for cap in (max_per_brand, max_per_category):
        if cap is not None and cap < 1:
            raise InvalidInputError(f"a cap must be at least 1, not {cap}")
    n = len(rows)
    if n == 0 or limit <= 0:
        return np.empty(0, np.int64)
    caps = [
        (np.asarray(codes)[rows], cap)
        for codes, cap in ((brand_codes, max_per_brand), (category_codes, max_per_category))
        if codes is not None and cap is not None
    ]
    if vectors is None or trade_off == 0:
        order = np.argsort(-np.asarray(scores), kind="stable")
        return _first_within_caps(order, caps, limit)
    return _greedy(scores, np.asarray(vectors)[rows], np.float32(trade_off), caps, limit)


def _greedy(
    scores: Float32Array,
    vectors: Float32Array,
    trade_off: np.float32,
    caps: list[tuple[Int32Array, int]],
    limit: int,
) -> Int64Array:
    """The loop of MMR. An item's value is the least that any chosen item leaves of its gain."""
    low = scores.min()
    spread = scores.max() - low
    value = (scores - low) * ((1 - trade_off) / (spread if spread > 0 else np.float32(1)))
    left = vectors @ vectors.T
    left *= -trade_off
    left += value
    lists = [codes.tolist() for codes, _ in caps]
    counts: list[dict[int, int]] = [{} for _ in caps]
    chosen: list[int] = []
    for _ in range(min(limit, len(scores))):
        best = int(value.argmax())
        if value[best] == -np.inf:
            break
        if chosen:
            np.minimum(value, left[best], out=value)
        else:
            value = left[best].copy()
        chosen.append(best)
        # What may not be chosen any more stays at -inf: nothing is less.
        value[best] = -np.inf
        for (codes, cap), own, count in zip(caps, lists, counts, strict=True):
            code = own[best]
            if code >= 0:
                count[code] = count.get(code, 0) + 1
                if count[code] == cap:
                    value[codes == code] = -np.inf
    return np.array(chosen, dtype=np.int64)


def _first_within_caps(
    order: npt.NDArray[np.int64], caps: list[tuple[Int32Array, int]], limit: int
) -> Int64Array:
    """The first of an order that no cap forbids."""
    if not caps:
        return order[:limit]
    counts: list[dict[int, int]] = [{} for _ in caps]
    lists = [(codes.tolist(), cap) for codes, cap in caps]
    chosen: list[int] = []
    for position in order.tolist():
        if len(chosen) == limit:
            break
        mine = [codes[position] for codes, _ in lists]
        full = any(
            code >= 0 and count.get(code, 0) >= cap
            for code, count, (_, cap) in zip(mine, counts, lists, strict=True)
        )
        if full:
            continue
        chosen.append(position)
        for code, count in zip(mine, counts, strict=True):
            count[code] = count.get(code, 0) + 1
    return np.array(chosen, dtype=np.int64)
