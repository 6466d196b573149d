"""Several sources, one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.online import compiled
from recommender.engine.types import (
    BoolArray,
    Candidates,
    Float32Array,
    Int32Array,
    Int64Array,
)

RANK_OFFSET = 20
"""Half of the weight is left at this rank + 2; see `scale_by_rank`."""
RECIPROCAL_OFFSET = 60
"""The k of reciprocal rank fusion."""


@dataclass(frozen=True, slots=True)
class Blended:
    """One list out of many, with the share of every source in every item.

    A request needs the shares of the few items that it shows, so they are kept as they came, one
    line per (item, source) that named it.

    Attributes
    ----------
    rows : int32[n]
    scores : float32[n]
        Descending, ties by ascending row: the sum of what the sources added.
    starts, ends : int64[n]
        The lines of an item.
    line_scores : float32[c]
        What a source added: its weight times its scaled score.
    line_places : int64[c]
        Where the line stands when the lists of all sources are put behind each other.
    begins : int64[n_parts + 1]
        Where each source's list begins there.
    parts
        The sources, as given.
    """

    rows: Int32Array
    scores: Float32Array
    starts: Int64Array
    ends: Int64Array
    line_scores: Float32Array
    line_places: Int64Array
    begins: Int64Array
    parts: Sequence[tuple[str, float, Candidates]]

    def __len__(self) -> int:
        return len(self.rows)

    def leading(self, positions: Int64Array) -> tuple[list[int], list[int]]:
        """Of some items the source that added most, the first of equal ones, and what the item
        started from there."""
        sources, places = compiled.lead(
            np.ascontiguousarray(positions, np.int64),
            self.starts,
            self.ends,
            self.line_scores,
            self.line_places,
            self.begins,
        )
        parts: list[int] = sources.tolist()
        because = [
            int(self.parts[part][2].because[place])
            for part, place in zip(parts, places.tolist(), strict=True)
        ]
        return parts, because

    def shares(self, position: int) -> list[tuple[int, int, float]]:
        """(source, rank in its own list from 1, score) for every source that named an item."""
        own = slice(int(self.starts[position]), int(self.ends[position]))
        places = self.line_places[own]
        sources = self.begins.searchsorted(places, side="right") - 1
        ranks = places - self.begins[sources] + 1
        scores = self.line_scores[own].tolist()
        return list(zip(sources.tolist(), ranks.tolist(), scores, strict=True))


def scale_by_rank(scores: Float32Array) -> Float32Array:
    """``(c + 1) / (c + rank)`` with c = 20: 1 for the first, whatever the scores are."""
    ranks = np.arange(1, len(scores) + 1, dtype=np.float32)
    return np.float32(RANK_OFFSET + 1) / (np.float32(RANK_OFFSET) + ranks)


def scale_by_reciprocal_rank(scores: Float32Array) -> Float32Array:
    """``(k + 1) / (k + rank)`` with k = 60: with equal weights the sum is reciprocal rank fusion.

    G. Cormack, C. Clarke, S. Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods", SIGIR 2009, times 61, which changes no order.
    """
    ranks = np.arange(1, len(scores) + 1, dtype=np.float32)
    return np.float32(RECIPROCAL_OFFSET + 1) / (np.float32(RECIPROCAL_OFFSET) + ranks)


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
    {
        "rank": scale_by_rank,
        "max": scale_by_max,
        "sum": scale_by_sum,
        "none": scale_not_at_all,
        "reciprocal_rank": scale_by_reciprocal_rank,
    }
)
_SCALING_CODES = {
    "max": compiled.BY_MAX,
    "rank": compiled.BY_RANK,
    "sum": compiled.BY_SUM,
    "none": compiled.NOT_AT_ALL,
    "reciprocal_rank": compiled.BY_RECIPROCAL_RANK,
}


def blend(
    parts: Sequence[tuple[str, float, Candidates]],
    *,
    allowed: Callable[[Int32Array], BoolArray] | None = None,
    limit: int,
    scaling: str = "max",
) -> Blended:
    """Merge the candidates of several sources by the weighted sum of their scaled scores.

    Scaling makes a weight mean the same for a source that counts purchases and one that measures
    angles. Costs O(n log n) for n candidates in all.

    Parameters
    ----------
    parts : sequence of (source name, weight >= 0, candidates)
        A source may occur twice. Sources of weight 0 are reported in the shares but add nothing;
        an item that only they name is not in the answer.
    allowed : function of int32[n] to bool[n], or None
        Which rows may be an answer. The others are taken out before scaling, so a sold-out first place
        doesn't press the others down; ranks stay those of the source.
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
    >>> both.rows.tolist(), both.scores.tolist(), both.leading(np.array([0, 1]))
    ([2, 4], [1.25, 0.5], ([1, 0], [3, 1]))
    """
    if scaling not in SCALINGS:
        raise InvalidInputError(f"scaling must be one of {sorted(SCALINGS)}, not {scaling!r}")
    for name, weight, _ in parts:
        if not weight >= 0:
            raise InvalidInputError(f"the weight of {name} must not be negative: {weight}")
    lists = [found for _, _, found in parts]
    begins = np.array([0, *accumulate(map(len, lists))])
    if limit <= 0 or not begins[-1]:
        return _nothing(len(parts))
    rows = np.concatenate([found.rows for found in lists], dtype=np.int32)
    named, sums, starts, ends, line_scores, line_places = compiled.merge(
        rows,
        np.concatenate([found.scores for found in lists], dtype=np.float32),
        np.ones(len(rows), np.bool_) if allowed is None else allowed(rows),
        begins,
        np.array([weight for _, weight, _ in parts], np.float32),
        _SCALING_CODES[scaling],
        limit,
    )
    return Blended(named, sums, starts, ends, line_scores, line_places, begins, parts)


def _nothing(n_parts: int) -> Blended:
    empty = Candidates.empty()
    lines = np.empty(0, np.int64)
    none = [("", 0.0, empty)] * n_parts
    return Blended(
        empty.rows,
        empty.scores,
        lines,
        lines,
        empty.scores,
        lines,
        np.zeros(n_parts + 1, int),
        none,
    )
