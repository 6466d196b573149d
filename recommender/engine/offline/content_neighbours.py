"""The nearest products by content, for a whole catalog or for a few new ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.selection import best_positions, ragged_positions
from recommender.engine.types import NO_ROW, BoolArray, Float32Array, Int64Array, Neighbours

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
    out = Neighbours.empty(len(vectors), k)
    _fill(out, vectors, priority, max_per_variation, min_cosine)
    return out


def extend_content_neighbours(
    neighbours: Neighbours,
    vectors: Float32Array,
    changed_rows: npt.ArrayLike,
    *,
    priority: npt.ArrayLike | None = None,
    max_per_variation: int = 2,
    min_cosine: float = 0.0,
) -> Neighbours:
    """The lists that `fit_content_neighbours` would make, after some products came or changed.

    Up to rounding of the cosines. Only lists that a changed product is in, or belongs in, are made
    anew: one product of 100,000 touches some hundreds of them. Costs O(c n d) for c changed
    products, and O(v d) for each list that is made anew.

    Parameters
    ----------
    neighbours : Neighbours
        Before the change, made with the same parameters; for the first rows of `vectors`.
    vectors : float32[n_items, d]
        After it: new products are rows at the end.
    changed_rows : int[c]
        New products, and those that have another vector now.
    priority : float[n_items] or None
        As before for products that were there.

    Returns
    -------
    Neighbours
        New arrays; `neighbours` stays as it is.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0, 1], [.8, .6]], np.float32)
    >>> before = fit_content_neighbours(vectors[:2], k=2)
    >>> extend_content_neighbours(before, vectors, [2]).indices.tolist()
    [[2, -1], [2, -1], [0, 1]]
    """
    changed = np.unique(np.asarray(changed_rows, np.int64))
    n_before, k = neighbours.n_items, neighbours.k
    out = Neighbours.empty(len(vectors), k)
    out.indices[:n_before], out.scores[:n_before] = neighbours.indices, neighbours.scores
    renewed = np.zeros(len(vectors), np.bool_)
    renewed[changed] = True
    moved = changed[changed < n_before]
    if len(moved):
        renewed[:n_before] |= np.isin(neighbours.indices, moved).any(axis=1)
    for first in range(0, n_before, COLUMNS_PER_BLOCK):
        block = slice(first, min(first + COLUMNS_PER_BLOCK, n_before))
        nearest_of = np.zeros(block.stop - first, np.float32)
        for start in range(0, len(changed), ROWS_PER_BLOCK):
            of = changed[start : start + ROWS_PER_BLOCK]
            np.maximum(nearest_of, (vectors[block] @ vectors[of].T).max(axis=1), out=nearest_of)
        # A little below the last one too: the same cosine is rounded otherwise in another block.
        last = neighbours.scores[block, -1] - np.float32(1e-5)
        renewed[block] |= (nearest_of > min_cosine) & (nearest_of >= last)
    out.indices[renewed], out.scores[renewed] = NO_ROW, 0
    _fill(out, vectors, priority, max_per_variation, min_cosine, only=renewed)
    return out


def _fill(
    out: Neighbours,
    vectors: Float32Array,
    priority: npt.ArrayLike | None,
    max_per_variation: int,
    min_cosine: float,
    only: BoolArray | None = None,
) -> None:
    """Write the lists of all products, or of the variations of some; those must be empty before."""
    k = out.k
    rows = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0)
    if not len(rows) or k < 1:
        return
    wanted = np.zeros(len(vectors)) if priority is None else np.asarray(priority, np.float64)
    distinct, variation_of = _distinct(vectors[rows])
    # Members of a variation stand together, by priority, so that a slice is "its best few".
    members = rows[np.lexsort((rows, -wanted[rows], variation_of))]
    sizes = np.bincount(variation_of)
    starts = np.cumsum(sizes) - sizes
    shown = np.minimum(sizes, max_per_variation)
    asked = np.arange(len(distinct)) if only is None else np.unique(variation_of[only[rows]])
    for first in range(0, len(asked), ROWS_PER_BLOCK):
        block = asked[first : first + ROWS_PER_BLOCK]
        lines, columns, scores = _near(distinct[block], distinct, k + 1, min_cosine)
        edges = np.searchsorted(lines, np.arange(len(block) + 1))
        for line, own in enumerate(block.tolist()):
            near = slice(int(edges[line]), int(edges[line + 1]))
            _write_lists(out, own, columns[near], scores[near], members, starts, sizes, shown)


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
