"""What a list is worth beside being right: varied, new, wide, and fair to what sells little.

All functions take lists as ``int32[n, k]``, padded with ``-1`` at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError
from recommender.engine.evaluation.asking import Lists
from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Matrix, Training
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.text import product_tokens
from recommender.engine.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)

DENSE_ITEMS = 4500
"""Up to here a table of all pairs is kept (81 MB); above it, who has each item."""
PAIRS_PER_BLOCK = 400_000
DIVERSITY_LISTS = 5_000
"""So many lists say how varied a method's are: to some thousandths."""


def recommended_counts(rows: npt.ArrayLike, *, n_items: int) -> Int64Array:
    """How often each item of the catalog is in a list.

    Examples
    --------
    >>> recommended_counts([[2, 0], [2, -1]], n_items=3).tolist()
    [1, 0, 2]
    """
    flat = np.asarray(rows).ravel()
    return np.bincount(flat[flat >= 0], minlength=n_items)


def catalog_coverage(rows: npt.ArrayLike, *, n_items: int) -> float:
    """Share of the catalog that is in any list.

    Grows with the number of lists, so compare it for equal numbers of queries only.

    Examples
    --------
    >>> catalog_coverage([[0, 1], [1, 2]], n_items=4)
    0.75
    """
    return float((recommended_counts(rows, n_items=n_items) > 0).sum()) / n_items


def distributional_coverage(rows: npt.ArrayLike, *, n_items: int) -> float:
    """Entropy of the recommended slots over items, in bits: ``-sum p log2 p``.

    Examples
    --------
    >>> distributional_coverage([[0, 1], [2, 3]], n_items=9)
    2.0
    """
    counts = recommended_counts(rows, n_items=n_items)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def gini(counts: npt.ArrayLike) -> float:
    """Gini index of how often items are recommended: 0 all alike, near 1 a few take everything.

    ``sum (2 i - n - 1) x_i / (n sum x)`` over the ascending counts of *all* items, those that are
    never recommended too. 0 where nothing is recommended.

    Examples
    --------
    >>> round(gini([1, 2, 3, 4, 5]), 5), gini([0, 0, 0, 10])
    (0.26667, 0.75)
    """
    ordered = np.sort(np.asarray(counts, np.float64))
    n, total = len(ordered), float(ordered.sum())
    if not total:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total))


def self_information(counts: npt.ArrayLike) -> Float64Array:
    """Surprise of every item in bits, ``-log2(count / sum of counts)``.

    An item that training never saw counts as seen once: it is as surprising as what was seen once,
    and not infinitely so.

    Examples
    --------
    >>> self_information([2, 1, 1, 0]).tolist()
    [1.0, 2.0, 2.0, 2.0]
    """
    seen = np.asarray(counts, np.float64)
    bits: Float64Array = np.log2(max(seen.sum(), 1.0)) - np.log2(np.maximum(seen, 1.0))
    return bits


def popularity_percentiles(counts: npt.ArrayLike) -> Float64Array:
    """Share of the catalog that is less popular than an item, equals counted half; in 0..1.

    Its mean over the catalog is 0.5: a recommender that is blind to popularity stays there.

    Examples
    --------
    >>> popularity_percentiles([0, 5, 5, 9]).tolist()
    [0.125, 0.5, 0.5, 0.875]
    """
    seen = np.asarray(counts)
    ordered = np.sort(seen)
    below = np.searchsorted(ordered, seen, side="left")
    upto = np.searchsorted(ordered, seen, side="right")
    return (below + upto) / (2 * max(len(seen), 1))


def per_slot(rows: npt.ArrayLike, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Sum of a value of items over each list, and the number of its slots.

    Examples
    --------
    >>> [part.tolist() for part in per_slot([[0, 2], [1, -1]], np.array([1.0, 2.0, 4.0]))]
    [[5.0, 2.0], [2.0, 1.0]]
    """
    lists = np.asarray(rows)
    there = lists >= 0
    return np.where(there, values[lists], 0.0).sum(axis=1), there.sum(axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike any two items are, in 0..1 as a rule (cosines of vectors may be below 0).

    Attributes
    ----------
    of : str
        ``"vectors"`` (the merchant's), ``"texts"`` or ``"co-occurrence"``.
    vectors : float32[n_items, d] or None
        Unit vectors; a line of zeros is an item of which nothing is known.
    holders : csr_matrix of float32[n_items, n_groups] or None
        Unit vectors, too, over those who have each item; one that nobody has is like no other.
    pairs : float32[n_items, n_items] or None
        The cosines themselves.
    """

    of: str
    vectors: Float32Array | None = None
    holders: Matrix | None = None
    pairs: Float32Array | None = None


def likeness_of_vectors(vectors: Float32Array, *, of: str = "vectors") -> Likeness:
    """Cosines of vectors of any length."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return Likeness(of, vectors=unit)


def likeness_of_groups(groups: Matrix) -> Likeness:
    """Co-occurrence cosine ``n_ij / sqrt(n_i n_j)`` of items in shoppers, baskets or sessions.

    Examples
    --------
    >>> likeness_of_groups(csr_matrix(np.array([[1, 1], [1, 0]], np.float32))).pairs.round(3)
    array([[1.   , 0.707],
           [0.707, 1.   ]], dtype=float32)
    """
    once = groups.copy()
    once.data = np.ones_like(once.data)
    n = np.bincount(once.indices, minlength=once.shape[1])
    scale = 1.0 / np.sqrt(np.maximum(n, 1)).astype(np.float32)
    once.data *= scale[once.indices]
    if once.shape[1] <= DENSE_ITEMS:
        return Likeness("co-occurrence", pairs=csr_matrix(once.T @ once).toarray())
    return Likeness("co-occurrence", holders=csr_matrix(once.T))


def likeness_for(training: Training, *, seed: int = 0) -> Likeness:
    """By the merchant's vectors, else by texts (Word2Vec), else by who has both."""
    facts = training.facts
    if facts.vectors is not None:
        return likeness_of_vectors(facts.vectors)
    texts = facts.texts or facts.titles
    if texts is not None and any(texts):
        _, vectors = fit_content_vectors([product_tokens(text) for text in texts], seed=seed)
        return likeness_of_vectors(vectors, of="texts")
    return likeness_of_groups(group_matrix(training))


def intra_list_diversity(rows: npt.ArrayLike, likeness: Likeness) -> Float64Array:
    """Mean of ``1 - cosine`` over all pairs of a list.

    Parameters
    ----------
    rows : int32[n, k]
    likeness : Likeness

    Returns
    -------
    float64[n]
        NaN for a list with fewer than two items. Items without a vector take no part: nobody knows
        whether they are alike.

    Notes
    -----
    With unit vectors the cosines of a list of m add up to ``|sum v|² - m``, so no pair is ever
    made: O(n k d), and with holders as many steps as the lists' items have of them. With a table
    of pairs O(n k²).

    Examples
    --------
    >>> right_angle = likeness_of_vectors(np.array([[1, 0], [0, 2], [3, 0]], np.float32))
    >>> intra_list_diversity([[0, 1], [0, 2], [1, -1]], right_angle).round(3).tolist()
    [1.0, 0.0, nan]
    """
    lists = np.asarray(rows)
    out = np.full(len(lists), np.nan)
    block = max(PAIRS_PER_BLOCK // max(lists.shape[1] ** 2, 1), 1)
    for first in range(0, len(lists), block):
        part = lists[first : first + block]
        if likeness.vectors is not None:
            there, total = _sums_of_vectors(part, likeness.vectors)
        elif likeness.holders is not None:
            there, total = _sums_of_holders(part, likeness.holders)
        else:
            there, total = _sums_of_pairs(part, likeness.pairs)
        m = there.sum(axis=1)
        several = m > 1
        out[first : first + block][several] = 1 - total[several] / (m * (m - 1))[several]
    return out


def _sums_of_vectors(rows: Int32Array, vectors: Float32Array) -> tuple[BoolArray, Float64Array]:
    picked = np.where((rows >= 0)[:, :, None], vectors[rows], np.float32(0)).astype(np.float64)
    own = np.einsum("nkd,nkd->nk", picked, picked)
    sums = picked.sum(axis=1)
    return own > 0, np.einsum("nd,nd->n", sums, sums) - own.sum(axis=1)


def _sums_of_holders(rows: Int32Array, holders: Matrix) -> tuple[BoolArray, Float64Array]:
    there = rows >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    picked = rows[there]
    lists = csr_matrix(
        (np.ones(len(picked), np.float32), picked, starts), shape=(len(rows), holders.shape[0])
    )
    sums = csr_matrix(lists @ holders)
    squares = np.asarray(sums.multiply(sums).sum(axis=1, dtype=np.float64)).ravel()
    own = np.diff(holders.indptr) > 0
    return there, squares - np.where(there, own[rows], False).sum(axis=1)


def _sums_of_pairs(rows: Int32Array, pairs: Float32Array | None) -> tuple[BoolArray, Float64Array]:
    if pairs is None:
        raise InvalidInputError("a likeness needs vectors, holders or pairs")
    n, k = rows.shape
    there = rows >= 0
    left = np.repeat(rows, k, axis=1).ravel()
    right = np.tile(rows, (1, k)).ravel()
    both = (left >= 0) & (right >= 0) & (left != right)
    cosines = np.zeros(n * k * k)
    cosines[both] = pairs[left[both], right[both]]
    return there, cosines.reshape(n, -1).sum(axis=1)


def serendipity(
    rows: npt.ArrayLike, histories: list[Int32Array], hits: BoolArray, likeness: Likeness
) -> float:
    """Mean over slots of (1 - mean cosine to the history) × right.

    Parameters
    ----------
    rows, hits : int32[n, k], bool[n, k]
    histories : n lists of item rows, at least one each
    """
    lists = np.asarray(rows)
    total, slots = 0.0, 0
    for line, history, right in zip(lists, histories, hits, strict=True):
        for row, is_right in zip(line.tolist(), right.tolist(), strict=True):
            if row < 0:
                continue
            slots += 1
            if is_right:
                total += 1 - float(_near(likeness, row, history).mean())
    return total / max(slots, 1)


def _near(likeness: Likeness, row: int, history: Int32Array) -> Float32Array:
    """Cosine of an item with each of a history."""
    near: Float32Array
    if likeness.vectors is not None:
        near = likeness.vectors[history] @ likeness.vectors[row]
    elif likeness.holders is not None:
        near = (likeness.holders[history] @ likeness.holders[[row]].T).toarray().ravel()
    elif likeness.pairs is not None:
        near = likeness.pairs[row, history]
    else:
        raise InvalidInputError("a likeness needs vectors, holders or pairs")
    return near


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the lists of every method of one task are held against; made once per task.

    Attributes
    ----------
    surprise, percentiles : float64[n_items]
        `self_information` and `popularity_percentiles` of the interactions of the training part.
    counts : int64[n_items]
    likeness : Likeness
    """

    counts: Int64Array
    surprise: Float64Array
    percentiles: Float64Array
    likeness: Likeness

    @property
    def n_items(self) -> int:
        """Items of the catalog."""
        return len(self.counts)


def interaction_counts(training: Training) -> Int64Array:
    """In how many baskets, sessions or histories each item is."""
    return np.bincount(group_matrix(training).indices, minlength=training.n_items)


def yardstick_for(training: Training, *, seed: int = 0) -> Yardstick:
    """Fit what diversity, novelty and popularity are measured by."""
    counts = interaction_counts(training)
    return Yardstick(
        counts,
        self_information(counts),
        popularity_percentiles(counts),
        likeness_for(training, seed=seed),
    )


def list_values(
    lists: Lists, yardstick: Yardstick
) -> tuple[dict[str, Float64Array], dict[str, Float64Array]]:
    """``diversity@k``, ``novelty@k`` and ``popularity@k`` as `intervals.ratio_estimates` takes them.

    Diversity is a mean over the first `DIVERSITY_LISTS` lists, NaN beyond them: it costs more than
    asking for the others. Novelty and popularity are means over all slots.
    """
    k = lists.rows.shape[1]
    novelty, slots = per_slot(lists.rows, yardstick.surprise)
    popularity, _ = per_slot(lists.rows, yardstick.percentiles)
    diversity = np.full(len(lists), np.nan)
    head = lists.rows[:DIVERSITY_LISTS]
    diversity[: len(head)] = intra_list_diversity(head, yardstick.likeness)
    values = {
        f"diversity@{k}": diversity,
        f"novelty@{k}": novelty,
        f"popularity@{k}": popularity,
    }
    return values, {f"novelty@{k}": slots, f"popularity@{k}": slots}
