"""Not twelve times the same thing: greedy re-ranking and caps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.online import compiled
from recommender.engine.types import Float32Array, Int32Array, Int64Array


def rerank(
    rows: npt.NDArray[np.int32],
    scores: Float32Array,
    *,
    vectors: Float32Array | None,
    vector_rows: Int32Array | None = None,
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
    Costs O(limit * n * d).

    Parameters
    ----------
    rows : int32[n]
        Candidates, best first.
    scores : float32[n]
        Any scale.
    vectors : float32[n_items, d] or None
        Unit vectors of all items; a zero vector is unlike everything. ``None``: only caps.
    vector_rows : int32[n] or None
        Where the candidates stand in `vectors`, -1 for those without one; ``None``: at `rows`.
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
    own = np.ascontiguousarray(rows, np.int32)
    with_vectors = vectors is not None and trade_off > 0
    brands, per_brand = _cap(brand_codes, max_per_brand)
    categories, per_category = _cap(category_codes, max_per_category)
    chosen: Int64Array = compiled.choose(
        own,
        np.ascontiguousarray(scores, np.float32),
        own if vector_rows is None else vector_rows,
        np.ascontiguousarray(vectors, np.float32) if with_vectors else _NO_VECTORS,
        np.float32(trade_off if with_vectors else 0),
        brands,
        per_brand,
        categories,
        per_category,
        limit,
    )
    return chosen


def _cap(codes: Int32Array | None, cap: int | None) -> tuple[Int32Array, int]:
    """Codes and cap as the kernel wants them: 0 is no cap."""
    if codes is None or cap is None:
        return _NO_CODES, 0
    return np.ascontiguousarray(codes, np.int32), cap


_NO_VECTORS = np.empty((0, 0), np.float32)
_NO_CODES = np.empty(0, np.int32)
