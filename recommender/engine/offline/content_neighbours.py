"""The nearest products by content, for a whole catalog or for a few new ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.selection import best_positions, ragged_positions
from recommender.engine.types import NO_ROW, Float32Array, Int64Array, Neighbours

ROWS_PER_BLOCK = 512
COLUMNS_PER_BLOCK = 8192


def fit_content_neighbours(
    vectors: Float32Array,
    *,
    k: int = 30,
    priority: npt.ArrayLike | None = None,
    max_per_variation: int = 2,
    min_cosine: float = 0.0,
) -> Neighbours:
    """The k products with the largest cosine, for every product.

    Products with the *same* vector are variations of one product (sizes, refills, re-listings).
    They are compared once, and at most `max_per_variation` of them, by `priority`, stand in any
    list: otherwise 40 re-listings would be all that is shown. Products that are merely alike are
    left to the diversity step. Costs O(v² d) for v distinct vectors, in blocks of 16 MB.

    Parameters
    ----------
    vectors : float32[n_items, d]
        Unit vectors; a zero vector has no neighbours and is nobody's neighbour.
    k : int
    priority : float[n_items] or None
        Which variation to show first, such as decayed sales; ties by ascending row.
    max_per_variation : int >= 1
    min_cosine : float
        Pairs at or below it are no neighbours.

    Returns
    -------
    Neighbours
        Scores are cosines. Among equal scores the smaller row comes first, except that variations
        are ordered by priority.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [1, 0], [1, 0], [.8, .6], [0, 0]], np.float32)
    >>> fit_content_neighbours(vectors, k=3, max_per_variation=1, priority=[0, 9, 5, 0, 0]).indices
    array([[ 1,  3, -1],
           [ 2,  3, -1],
           [ 1,  3, -1],
           [ 1, -1, -1],
           [-1, -1, -1]], dtype=int32)
    """
    n_items = len(vectors)
    out = Neighbours.empty(n_items, k)
    rows = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0)
    if not len(rows) or k < 1:
        return out
    wanted = np.zeros(n_items) if priority is None else np.asarray(priority, np.float64)
    distinct, variation_of = _distinct(vectors[rows])
    # Members of a variation stand together, by priority, so that a slice is "its best few".
    members = rows[np.lexsort((rows, -wanted[rows], variation_of))]
    sizes = np.bincount(variation_of)
    starts = np.cumsum(sizes) - sizes
    shown = np.minimum(sizes, max_per_variation)
    for first in range(0, len(distinct), ROWS_PER_BLOCK):
        block = distinct[first : first + ROWS_PER_BLOCK]
        lines, columns, scores = _near(block, distinct, k + 1, min_cosine)
        edges = np.searchsorted(lines, np.arange(len(block) + 1))
        for line in range(len(block)):
            near = slice(int(edges[line]), int(edges[line + 1]))
            _write_lists(
                out, first + line, columns[near], scores[near], members, starts, sizes, shown
            )
    return out


def nearest(
    vectors: Float32Array, queries: Float32Array, *, k: int, exclude: npt.ArrayLike | None = None
) -> Neighbours:
    """The k products nearest to each of a few vectors, such as those of new products.

    Parameters
    ----------
    vectors : float32[n_items, d]
        Unit vectors.
    queries : float32[q, d]
        Unit vectors.
    k : int
    exclude : int[q] or None
        A row that each query must not find (itself); negative excludes nothing.

    Returns
    -------
    Neighbours
        One line per query; cosines above 0, ties by ascending row.

    Examples
    --------
    >>> vectors = np.eye(3, dtype=np.float32)
    >>> nearest(vectors, np.array([[.6, .8, 0]], np.float32), k=2).indices.tolist()
    [[1, 0]]
    """
    out = Neighbours.empty(len(queries), k)
    barred = np.full(len(queries), NO_ROW) if exclude is None else np.asarray(exclude, np.int64)
    for line, query in enumerate(queries):
        scores = np.asarray(vectors) @ query
        if barred[line] >= 0:
            scores[barred[line]] = 0
        best = best_positions(scores, k)
        best = best[scores[best] > 0]
        out.indices[line, : len(best)] = best
        out.scores[line, : len(best)] = scores[best]
    return out


def _distinct(vectors: Float32Array) -> tuple[Float32Array, Int64Array]:
    """Vectors without repetition in the order of their first row, and which one each is."""
    lines = np.ascontiguousarray(vectors).view(f"V{vectors.shape[1] * 4}").ravel()
    _, first, inverse = np.unique(lines, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return vectors[first[order]], number[inverse]


def _near(
    block: Float32Array, distinct: Float32Array, k: int, min_cosine: float
) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Candidates for the k nearest of each line of a block: line, column, cosine; by line.

    The k-th best of the first columns is a lower bound of the k-th best of all, so everything
    below it is dropped by one comparison, and only a few hundred per line are ever sorted.
    """
    floor = np.full(len(block), min_cosine, np.float32)
    found: list[tuple[Int64Array, Int64Array, Float32Array]] = []
    for start in range(0, len(distinct), COLUMNS_PER_BLOCK):
        cosines = block @ distinct[start : start + COLUMNS_PER_BLOCK].T
        if cosines.shape[1] > k and start == 0:
            kth = np.partition(cosines, cosines.shape[1] - k, axis=1)[:, -k]
            # `>=` below would keep what is equal to the floor; step just below the bound instead.
            floor = np.maximum(floor, np.nextafter(kth, np.float32(-np.inf)))
        lines, columns = np.nonzero(cosines > floor[:, None])
        found.append((lines, columns + start, cosines[lines, columns]))
    lines = np.concatenate([part[0] for part in found])
    columns = np.concatenate([part[1] for part in found])
    scores = np.concatenate([part[2] for part in found])
    order = np.lexsort((columns, -scores, lines))
    return lines[order], columns[order], scores[order]


def _write_lists(
    out: Neighbours,
    own: int,
    columns: Int64Array,
    scores: Float32Array,
    members: Int64Array,
    starts: Int64Array,
    sizes: Int64Array,
    shown: Int64Array,
) -> None:
    """Spread the nearest variations over products, for every member of one variation."""
    k = out.k
    other = columns != own
    columns, scores = columns[other][:k], scores[other][:k]
    lengths = shown[columns]
    rows = members[ragged_positions(starts[columns], lengths)][:k]
    values = np.repeat(scores, lengths)[:k]
    family = members[starts[own] : starts[own] + sizes[own]]
    siblings = family[: int(shown[own]) + 1]
    for row in family.tolist():
        mine = siblings[siblings != row][: int(shown[own])]
        list_rows = np.concatenate([mine, rows])[:k]
        out.indices[row, : len(list_rows)] = list_rows
        out.scores[row, : len(mine)] = 1.0
        out.scores[row, len(mine) : len(list_rows)] = values[: len(list_rows) - len(mine)]
