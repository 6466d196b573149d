"""Histories cut into what a step of training sees, and the items that it is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.engine.types import BoolArray, Float32Array, Int64Array

SORTED_BATCHES = 32
"""So many batches are made of sessions sorted by length at a time: little padding, still mixed."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Sessions, none longer than a network reads.

    Attributes
    ----------
    places : int64[n_clicks]
        Items of all sessions, one after the other.
    starts, lengths : int64[n_pieces]
        A piece is ``places[start:start + length]``, of two clicks or more: each but the first is
        to be foreseen from those before it.
    """

    places: Int64Array
    starts: Int64Array
    lengths: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, numbers: Int64Array) -> tuple[Int64Array, Int64Array, BoolArray]:
        """Some pieces side by side: what is read, what follows, and where that is.

        Returns
        -------
        read, following : int64[b, longest - 1]
            Padded at the end, by any item.
        there : bool[b, longest - 1]
        """
        lengths = self.lengths[numbers]
        steps = np.arange(int(lengths.max()))
        where = self.starts[numbers][:, None] + steps
        clicks = self.places[np.minimum(where, len(self.places) - 1)]
        there = steps[None, 1:] < lengths[:, None]
        return clicks[:, :-1], clicks[:, 1:], there


def pieces_of(offsets: Int64Array, places: npt.ArrayLike, *, max_length: int) -> Pieces:
    """Cut sessions so that at most `max_length` clicks stand before any that is to be foreseen.

    Pieces of one session share a click, so each click but a session's first is foreseen once.
    Sessions of one click teach nothing.

    Parameters
    ----------
    offsets : int64[n_sessions + 1]
    places : int64[n_clicks]
    max_length : int >= 1

    Examples
    --------
    >>> pieces = pieces_of(np.array([0, 4, 5, 7]), np.arange(7), max_length=2)
    >>> [(int(s), int(n)) for s, n in zip(pieces.starts, pieces.lengths)]
    [(0, 3), (2, 2), (5, 2)]
    """
    lengths = np.diff(offsets)
    parts = np.maximum(-(-(lengths - 1) // max_length), 0)
    first = np.repeat(offsets[:-1], parts)
    number = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = first + number * max_length
    left = np.repeat(offsets[1:], parts) - starts
    return Pieces(
        np.asarray(places, np.int64),
        starts.astype(np.int64),
        np.minimum(left, max_length + 1).astype(np.int64),
    )


def shuffled_batches(
    lengths: Int64Array, *, batch_size: int, rng: np.random.Generator
) -> Iterator[Int64Array]:
    """Every number once, in batches whose lengths are alike, in random order."""
    order = rng.permutation(len(lengths))
    batches: list[Int64Array] = []
    window = batch_size * SORTED_BATCHES
    for start in range(0, len(order), window):
        part = order[start : start + window]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    for number in rng.permutation(len(batches)).tolist():
        yield batches[number]


class Sampler:
    """Items that a step is held against, drawn by popularity.

    An item of n interactions is drawn with probability proportional to ``n ** exponent``.

    Attributes
    ----------
    log_expected : float32[m]
        Logarithm of how often an item is drawn in one step, on average.
    """

    def __init__(
        self, counts: npt.NDArray[np.integer], *, size: int, exponent: float, seed: int
    ) -> None:
        shares = counts.astype(np.float64) ** exponent
        shares /= shares.sum()
        self._cumulated = np.cumsum(shares)
        self._size = size
        self._rng = np.random.default_rng(seed)
        self.log_expected: Float32Array = np.log(shares * size).astype(np.float32)

    def draw(self) -> Int64Array:
        """The items of one step, possibly some of them twice."""
        drawn = np.searchsorted(self._cumulated, self._rng.random(self._size), side="right")
        # The last sum may fall short of 1 by a rounding.
        return np.minimum(drawn, len(self._cumulated) - 1).astype(np.int64)
