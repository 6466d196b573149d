"""Several sources, one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.selection import best_positions
from recommender.engine.types import (
    NO_ROW,
    BoolArray,
    Candidates,
    Float32Array,
    Int16Array,
    Int32Array,
)

RANK_OFFSET = 20
"""Half of the weight is left at this rank + 2; see `scale_by_rank`."""


@dataclass(frozen=True, slots=True)
class Blended:
    """One list out of many, with the share of every source in every item.

    Attributes
    ----------
    rows : int32[n]
    scores : float32[n]
        Descending, ties by ascending row: the sum of `part_scores` over the sources.
    part_scores : float32[n, n_sources]
        What a source added: its weight times its scaled score; 0 where it didn't name the item.
    part_ranks : int32[n, n_sources]
        Position of the item in the source's own list, from 1; 0 where it is absent.
    because : int32[n]
        What the item started from in the source that added most.
    source : int16[n]
        Which source added most, the first of equal ones.
    """

    rows: Int32Array
    scores: Float32Array
    part_scores: Float32Array
    part_ranks: Int32Array
    because: Int32Array
    source: Int16Array

    def __len__(self) -> int:
        return len(self.rows)


def scale_by_rank(scores: Float32Array) -> Float32Array:
    """``(c + 1) / (c + rank)`` with c = 20: 1 for the first, whatever the scores are."""
    ranks = np.arange(1, len(scores) + 1, dtype=np.float32)
    return np.float32(RANK_OFFSET + 1) / (np.float32(RANK_OFFSET) + ranks)


def scale_by_max(scores: Float32Array) -> Float32Array:
    """Scores divided by the largest: keeps the distances between them."""
    scaled: Float32Array = scores / scores[0]
    return scaled


def scale_by_sum(scores: Float32Array) -> Float32Array:
    """Scores divided by their sum: a long flat list says less per item than a short one."""
    scaled: Float32Array = scores / scores.sum()
    return scaled


def scale_not_at_all(scores: Float32Array) -> Float32Array:
    """Scores as they are, for sources that are known to share a scale."""
    return scores


SCALINGS: Mapping[str, Callable[[Float32Array], Float32Array]] = MappingProxyType(
    {"rank": scale_by_rank, "max": scale_by_max, "sum": scale_by_sum, "none": scale_not_at_all}
)


def blend(
    parts: Sequence[tuple[str, float, Candidates]],
    *,
    eligible: BoolArray | None = None,
    limit: int,
    scaling: str = "max",
) -> Blended:
    """Merge the candidates of several sources by the weighted sum of their scaled scores.

    Scaling makes a weight mean the same for a source that counts purchases and one that measures
    angles. Costs O(n log n) for n candidates in all.

    Parameters
    ----------
    parts : sequence of (source name, weight >= 0, candidates)
        A source may occur twice. Sources of weight 0 are reported in the ranks but add nothing;
        an item that only they name is not in the answer.
    eligible : bool[n_items] or None
        Items that may be an answer. They are taken out before scaling, so a sold-out first place
        doesn't press the others down; `part_ranks` stay those of the source.
    limit : int
    scaling : one of ``SCALINGS``
        See docs/engine.md for the measurement behind the default.

    Returns
    -------
    Blended
        Empty if no source has an eligible candidate.

    Raises
    ------
    InvalidInputError
        For an unknown scaling or a negative weight.

    Examples
    --------
    >>> a = Candidates(np.array([4, 2], np.int32), np.array([8., 4.], np.float32),
    ...                np.array([1, 1], np.int32))
    >>> b = Candidates(np.array([2], np.int32), np.array([.1], np.float32),
    ...                np.array([3], np.int32))
    >>> both = blend([("a", .5, a), ("b", 1., b)], limit=5)
    >>> both.rows.tolist(), both.scores.tolist(), both.source.tolist(), both.because.tolist()
    ([2, 4], [1.25, 0.5], [1, 0], [3, 1])
    """
    if scaling not in SCALINGS:
        raise InvalidInputError(f"scaling must be one of {sorted(SCALINGS)}, not {scaling!r}")
    scale = SCALINGS[scaling]
    kept: list[tuple[Int32Array, Float32Array, Int32Array, Int32Array]] = []
    for name, weight, found in parts:
        if not weight >= 0:
            raise InvalidInputError(f"the weight of {name} must not be negative: {weight}")
        kept.append(_scaled(found, weight, eligible, scale))
    return _merge(kept, limit)


def _scaled(
    found: Candidates,
    weight: float,
    eligible: BoolArray | None,
    scale: Callable[[Float32Array], Float32Array],
) -> tuple[Int32Array, Float32Array, Int32Array, Int32Array]:
    """Eligible rows of one source with weighted scores, ranks in the source, and reasons."""
    ranks = np.arange(1, len(found) + 1, dtype=np.int32)
    positive = found.scores > 0
    allowed = positive if eligible is None else positive & np.asarray(eligible)[found.rows]
    if not allowed.any():
        empty = Candidates.empty()
        return empty.rows, empty.scores, empty.rows, empty.rows
    scaled = scale(found.scores[allowed]) * np.float32(weight)
    return found.rows[allowed], scaled, ranks[allowed], found.because[allowed]


def _merge(
    parts: list[tuple[Int32Array, Float32Array, Int32Array, Int32Array]], limit: int
) -> Blended:
    """One line per item, one column per source."""
    lengths = [len(part[0]) for part in parts]
    if not sum(lengths) or limit <= 0:
        return _nothing(len(parts))
    rows = np.concatenate([part[0] for part in parts])
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    is_start = np.empty(len(rows), np.bool_)
    is_start[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_start[1:])
    line = np.empty(len(rows), np.int64)
    line[order] = np.cumsum(is_start) - 1
    distinct = ordered[is_start]

    column = np.repeat(np.arange(len(parts)), lengths)
    part_scores = np.zeros((len(distinct), len(parts)), np.float32)
    part_scores[line, column] = np.concatenate([part[1] for part in parts])
    part_ranks = np.zeros((len(distinct), len(parts)), np.int32)
    part_ranks[line, column] = np.concatenate([part[2] for part in parts])
    because = np.full((len(distinct), len(parts)), NO_ROW, np.int32)
    because[line, column] = np.concatenate([part[3] for part in parts])

    scores = part_scores.sum(axis=1, dtype=np.float32)
    best = best_positions(scores, limit)
    best = best[scores[best] > 0]
    part_scores = part_scores[best]
    source = part_scores.argmax(axis=1)
    return Blended(
        rows=distinct[best],
        scores=scores[best],
        part_scores=part_scores,
        part_ranks=part_ranks[best],
        because=because[best, source],
        source=source.astype(np.int16),
    )


def _nothing(n_sources: int) -> Blended:
    empty = Candidates.empty()
    return Blended(
        rows=empty.rows,
        scores=empty.scores,
        part_scores=np.zeros((0, n_sources), np.float32),
        part_ranks=np.zeros((0, n_sources), np.int32),
        because=empty.because,
        source=np.empty(0, np.int16),
    )
