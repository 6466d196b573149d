"""Which items belong together: sparse tables, and vectors, made of counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.engine.offline.next_click_counts import row_offsets
from recommender.engine.types import (
    Float32Array,
    Int32Array,
    Int64Array,
    NextClickCounts,
)

LINKS: Final = ("direct", "forward", "backward", "together", "two_hop", "two_hop_forward")
"""Columns of the tables: how strongly one item is tied to another, each between 0 and about 1."""
ITEMS: Final = ("demand_short", "demand_middle", "demand_long", "starts", "ends")
"""Columns of what is known about an item whatever the session."""
FLOOR: Final = np.float32(1e-3)
"""Links enter as ``log(1 + link / FLOOR)``: what is far below this counts as nothing."""
MAX_PARTNERS = 120
"""Lines of an item that are kept. It bounds the work of a query."""
HOP_PARTNERS = 20
"""Best partners of an item from which the second step goes on."""
TWO_HOP_PARTNERS = 80
SIMILAR_PARTNERS = 50
"""Best partners of an item that the vectors are made of."""
DIMENSIONS = 64
POWER_ITERATIONS = 4
OVERSAMPLING = 16
DAMPING = 0.5
"""Added to every sum that a count is divided by: one click is no certainty."""
VECTOR_DAMPING = 3.0
N_POPULAR = 50
PRUNING = np.array([1.0, 1.0, 0.5, 1.0, 2.0, 0.5], np.float32)
"""How much each column of the tables counts when the partners of an item are chosen."""
BLOCK_ROWS = 2048

Matrix = sparse.csr_matrix[np.float32]
NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class NextClickTables:
    """What the features of the next-click model are read from.

    Attributes
    ----------
    offsets : int64[n_items + 1]
        Item ``a`` owns the lines ``offsets[a]:offsets[a + 1]`` of the next two arrays.
    partners : int32[p]
        Ascending; possibly ``a`` itself.
    logs : float32[p, 6]
        ``log(1 + link / FLOOR)`` by `LINKS`.
    vectors : float32[n_items, d]
        Length about 1, 0 for items without partners.
    items : float32[n_items, 5]
        By `ITEMS`.
    popular : int32[m]
        Best first.
    """

    offsets: Int64Array
    partners: Int32Array
    logs: Float32Array
    vectors: Float32Array
    items: Float32Array
    popular: Int32Array


def next_click_tables(
    counts: NextClickCounts, *, seed: int = 0, rows: Int64Array | None = None
) -> NextClickTables:
    """All tables, pruned; lines of the given rows only, if any are given.

    Costs some passes over the pairs, in blocks of items, and ``5 * 80`` products for each of at
    most 100 entries per item of the similarity matrix.
    """
    n = counts.n_items
    tables = _PairTables.of(counts)
    hops, similarity = tables.strongest()
    keys: list[Int64Array] = [np.empty(0, np.int64)]
    logs: list[Float32Array] = [np.empty((0, len(LINKS)), np.float32)]
    for block in _blocks(np.arange(n) if rows is None else rows):
        block_keys, links = tables.links(block, hops)
        kept = _best_of_each(block_keys // n, PRUNING @ links, MAX_PARTNERS)
        keys.append(block_keys[kept])
        # Not log1p: that one isn't vectorised, and nothing here is so near to 0 that it mattered.
        logs.append(np.log(links[:, kept].T * (1 / FLOOR) + np.float32(1)))
    all_keys = np.concatenate(keys)
    # Products of tall matrices: a second BLAS thread only waits for the first.
    with threadpool_limits(limits=1, user_api="blas"):
        vectors = _vectors(similarity, seed)
    demand = counts.item_counts[:, 4]
    popular = np.argsort(-demand, kind="stable")[:N_POPULAR]
    return NextClickTables(
        offsets=row_offsets(all_keys // n, n),
        partners=(all_keys % n).astype(np.int32),
        logs=np.concatenate(logs),
        vectors=vectors,
        items=_item_features(counts),
        popular=popular[demand[popular] > 0].astype(np.int32),
    )


def link_tables(counts: NextClickCounts) -> tuple[Int64Array, Float32Array]:
    """All links before pruning.

    With ``F`` the forward counts, ``out(a)`` and ``in(a)`` the sums of line and column ``a`` plus 0.5:

    * direct ``D(a, b) / out_D(a)`` and forward ``F(a, b) / out(a)``: what comes after ``a``,
    * backward ``F(b, a) / in(a)``: what comes before it,
    * together: cosine of ``S + S'`` with its sums,
    * two_hop ``P P`` with ``P`` the 20 best partners by the cosine of ``F + F'``,
    * two_hop_forward ``Q Q`` with ``Q`` the 20 best of forward.

    Returns
    -------
    keys : int64[p]
        ``a * n_items + b``, ascending.
    links : float32[6, p]
    """
    tables = _PairTables.of(counts)
    hops, _ = tables.strongest()
    return tables.links(np.arange(counts.n_items), hops)


@dataclass(frozen=True, slots=True)
class _PairTables:
    """The counts as matrices, read by line and by column."""

    n: int
    direct: Matrix
    forward: Matrix
    together: Matrix
    forward_from: Matrix
    together_from: Matrix
    out_direct: Float32Array
    out_forward: Float32Array
    in_forward: Float32Array
    in_both: Float32Array

    @classmethod
    def of(cls, counts: NextClickCounts) -> _PairTables:
        n = counts.n_items
        direct, forward, together = (
            sparse.csr_matrix((column.copy(), counts.pair_items, counts.pair_offsets), shape=(n, n))
            for column in counts.pair_counts.T
        )
        return cls(
            n=n,
            direct=direct,
            forward=forward,
            together=together,
            forward_from=forward.T.tocsr(),
            together_from=together.T.tocsr(),
            out_direct=_sums(direct, 1) + np.float32(DAMPING),
            out_forward=_sums(forward, 1) + np.float32(DAMPING),
            in_forward=_sums(forward, 0) + np.float32(DAMPING),
            in_both=_sums(together, 0) + _sums(together, 1) + np.float32(DAMPING),
        )

    def strongest(self) -> tuple[tuple[Matrix, Matrix], Matrix]:
        """The pruned matrices of one step, by cosine and forward; and what vectors are made of."""
        degree = self.out_forward + self.in_forward - np.float32(DAMPING)
        damped = degree + np.float32(VECTOR_DAMPING)
        parts: list[list[tuple[Int64Array, Int64Array, Float32Array]]] = [[], [], []]
        for block in _blocks(np.arange(self.n)):
            both = (self.forward[block] + self.forward_from[block]).tocoo()
            one_way = self.forward[block].tocoo()
            i, j = block[both.row], both.col.astype(np.int64)
            counted = both.data * (i != j)
            a, b = block[one_way.row], one_way.col.astype(np.int64)
            steps = (
                (i, j, counted / np.sqrt(degree[i] * degree[j]), HOP_PARTNERS),
                (a, b, one_way.data / self.out_forward[a] * (a != b), HOP_PARTNERS),
                (i, j, counted / np.sqrt(damped[i] * damped[j]), SIMILAR_PARTNERS),
            )
            for part, (rows, columns, values, at_most) in zip(parts, steps, strict=True):
                kept = _best_of_each(rows, values, at_most)
                part.append((rows[kept], columns[kept], values[kept]))
        cosine, onward, similar = (self._matrix(part) for part in parts)
        return (cosine, onward), similar.maximum(similar.T).tocsr()

    def links(
        self, rows: Int64Array, hops: tuple[Matrix, Matrix]
    ) -> tuple[Int64Array, Float32Array]:
        """Keys, ascending, and links of some lines, which must ascend."""
        forward, back = self.forward[rows], self.forward_from[rows]
        parts = [_entries(forward, rows, self.n), _entries(back, rows, self.n)]
        for hop in hops:
            square = (hop[rows] @ hop).tocoo()
            far = rows[square.row]
            scores = square.data * (far != square.col)
            kept = _best_of_each(far, scores, TWO_HOP_PARTNERS)
            parts.append((far[kept] * self.n + square.col[kept], scores[kept]))
        every = np.concatenate([part_keys for part_keys, _ in parts])
        order = np.argsort(every)
        ordered = every[order]
        is_start = np.ones(len(every), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=is_start[1:])
        keys = ordered[is_start]
        place = np.empty(len(every), np.int64)
        place[order] = np.cumsum(is_start) - 1
        ahead, behind, two, two_forward = np.split(
            place, np.cumsum([len(part_keys) for part_keys, _ in parts])[:-1]
        )
        links = np.zeros((len(LINKS), len(keys)), np.float32)
        links[0, ahead] = self.direct[rows].data
        links[1, ahead] = parts[0][1]
        links[2, behind] = parts[1][1]
        links[3, ahead] = self.together[rows].data
        links[3, behind] += self.together_from[rows].data
        links[4, two] = parts[2][1]
        links[5, two_forward] = parts[3][1]
        i, j = keys // self.n, keys % self.n
        links[0] /= self.out_direct[i]
        links[1] /= self.out_forward[i]
        links[2] /= self.in_forward[i]
        links[3] /= np.sqrt(self.in_both[i] * self.in_both[j])
        return keys, links

    def _matrix(self, parts: list[tuple[Int64Array, Int64Array, Float32Array]]) -> Matrix:
        rows = np.concatenate([NOTHING, *[part_rows for part_rows, _, _ in parts]])
        columns = np.concatenate([NOTHING, *[part_columns for _, part_columns, _ in parts]])
        values = np.concatenate(
            [NOTHING, *[part_values for _, _, part_values in parts]], dtype=np.float32
        )
        return sparse.csr_matrix(
            (values.astype(np.float32), (rows, columns)), shape=(self.n, self.n)
        )


def _sums(matrix: Matrix, axis: int) -> Float32Array:
    out: Float32Array = np.asarray(matrix.sum(axis=axis, dtype=np.float64), np.float32).reshape(-1)
    return out


def _entries(lines: Matrix, rows: Int64Array, n: int) -> tuple[Int64Array, Float32Array]:
    """Key and value of every entry, explicit zeros too."""
    return np.repeat(rows, np.diff(lines.indptr)) * n + lines.indices, lines.data


def _blocks(rows: Int64Array) -> Iterator[Int64Array]:
    """Some lines at a time: what is between them and their pruned form never is there at once."""
    return (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))


def _best_of_each(
    groups: npt.NDArray[np.integer], scores: npt.NDArray[np.floating], at_most: int
) -> Int64Array:
    """Positions, ascending, of the best positive scores of every group; groups must ascend.

    Scores equal to the last one that fits (to 1e-9 of the largest) are all kept.
    """
    if not len(groups):
        return np.empty(0, np.int64)
    base, n_groups = int(groups.min()), int(groups.max()) - int(groups.min()) + 1
    groups = groups - base
    # Sorting plain numbers is several times faster than finding their order: group and score share
    # one number, and the one that stands in the last place of its group is the threshold.
    ranked = groups + 0.999 * (1.0 - scores.astype(np.float64) / max(float(scores.max()), 1e-30))
    ordered = np.sort(ranked)
    sizes = np.bincount(groups, minlength=n_groups)
    last_kept = np.cumsum(sizes) - sizes + np.minimum(sizes, at_most) - 1
    threshold = ordered[np.maximum(last_kept, 0)]
    return np.flatnonzero((ranked <= threshold[groups]) & (scores > 0))


def _vectors(similarity: Matrix, seed: int) -> Float32Array:
    """The leading eigenvectors, scaled by the roots of their eigenvalues, lines of length 1.

    Subspace iteration from a random start (N. Halko, P. Martinsson, J. Tropp, "Finding structure
    with randomness", 2011). Two items are near each other if they share partners of partners, also
    where the tables have nothing. Costs ``5 * nnz * 80`` products.
    """
    n = similarity.shape[0]
    width = min(DIMENSIONS + OVERSAMPLING, n)
    basis = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    for _ in range(POWER_ITERATIONS):
        basis = _orthonormal(similarity @ basis)
    values, turn = np.linalg.eigh(basis.T @ (similarity @ basis))
    best = np.argsort(-values, kind="stable")[: min(DIMENSIONS, n)]
    vectors = (basis @ turn[:, best]) * np.sqrt(np.maximum(values[best], 0))
    lengths = np.square(vectors).sum(axis=1)
    typical = float(np.median(lengths[lengths > 1e-12])) if (lengths > 1e-12).any() else 1.0
    out: Float32Array = (vectors / np.sqrt(lengths + 1e-3 * typical)[:, None]).astype(np.float32)
    return out


def _orthonormal(columns: Float32Array) -> Float32Array:
    """A basis of the same space, by the Cholesky factor of the Gram matrix: one product, no QR."""
    gram = (columns.T @ columns).astype(np.float64)
    # Fewer independent columns than there are: a little on the diagonal keeps the factor real.
    gram[np.diag_indices_from(gram)] += 1e-6 * float(np.trace(gram)) / len(gram) + 1e-30
    turn = np.linalg.inv(np.linalg.cholesky(gram)).T
    basis: Float32Array = columns @ turn.astype(np.float32)
    return basis


def _item_features(counts: NextClickCounts) -> Float32Array:
    """Logarithms of demand against the mean, and of the shares of clicks that begin or end."""
    clicks = counts.item_counts.astype(np.float64)
    windows = clicks[:, 3:]
    demand = np.log(windows + 0.1) - np.log(windows.mean(axis=0) + 0.1)
    ends = np.log((clicks[:, 1:3] + 1) / (clicks[:, :1] + 3))
    return np.concatenate([demand, ends], axis=1).astype(np.float32)
