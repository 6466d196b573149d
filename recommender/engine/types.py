"""The values that the engine's floors hand to each other: plain arrays with stated axes.

Nothing but NumPy is imported here, because serving imports this module. Every array may be a
read-only memory map; nothing in the engine writes into an array that it was given.

Axes: an *item row* is the position of a product in the store's id map, a *shopper row* that of a
shopper. ``-1`` means "no row". Times are Unix seconds (int64), durations are days (float).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
Int16Array: TypeAlias = npt.NDArray[np.int16]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Int64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

NO_ROW = -1
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that one source proposes, best first.

    Attributes
    ----------
    rows : int32[n]
        Item rows, each at most once.
    scores : float32[n]
        Descending; equal scores are ordered by ascending row. The scale is the source's own.
    because : int32[n]
        The item row that the candidate started from, ``-1`` if there is none.

    Examples
    --------
    >>> len(Candidates.empty())
    0
    """

    rows: Int32Array
    scores: Float32Array
    because: Int32Array

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.scores) == len(self.because):
            raise InvalidInputError(
                f"rows, scores and because differ in length: "
                f"{len(self.rows)}, {len(self.scores)}, {len(self.because)}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def empty(cls) -> Candidates:
        """No candidates at all."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k best partners of every item.

    Attributes
    ----------
    indices : int32[n_items, k]
        Item rows, best first, padded with ``-1`` at the end. An item is never its own neighbour.
    scores : float32[n_items, k]
        Descending in every row, 0 where padded.
    """

    indices: Int32Array
    scores: Float32Array

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.indices.shape != self.scores.shape:
            raise InvalidInputError(
                f"indices {self.indices.shape} and scores {self.scores.shape} must be one 2-d shape"
            )

    @property
    def n_items(self) -> int:
        """Number of items, with or without neighbours."""
        return int(self.indices.shape[0])

    @property
    def k(self) -> int:
        """Longest possible list."""
        return int(self.indices.shape[1])

    @classmethod
    def empty(cls, n_items: int, k: int) -> Neighbours:
        """Every list empty."""
        return cls(np.full((n_items, k), NO_ROW, np.int32), np.zeros((n_items, k), np.float32))


@dataclass(frozen=True, slots=True)
class Sessions:
    """What was looked at together, in order.

    Attributes
    ----------
    offsets : int64[n_sessions + 1]
        Session ``s`` owns ``item_rows[offsets[s]:offsets[s + 1]]``, oldest first.
    item_rows : int32[n_clicks]
    times_s : int64[n_sessions]
        When the session ended. Where no clock is known, any ascending numbers.
    """

    offsets: Int64Array
    item_rows: Int32Array
    times_s: Int64Array

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.times_s) + 1:
            raise InvalidInputError(
                f"{len(self.offsets)} offsets don't fit {len(self.times_s)} session times"
            )
        if int(self.offsets[-1]) != len(self.item_rows):
            raise InvalidInputError(
                f"the last offset {int(self.offsets[-1])} is not the number of clicks "
                f"{len(self.item_rows)}"
            )

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, slots=True)
class SessionIndex:
    """Sessions, findable by item: the input of `online.session_neighbours`.

    Sessions are numbered by time, so a larger number is a more recent session.

    Attributes
    ----------
    item_offsets : int64[n_items + 1]
    item_sessions : int32[n_postings]
        The sessions that contain an item, most recent first, at most a fixed number per item.
    session_offsets : int64[n_sessions + 1]
    session_items : int32[n_clicks]
        Distinct items of a session in the order of their last occurrence.
    session_times_s : int64[n_sessions]
        Ascending.
    idf : float32[n_items]
        ``log(n_sessions / sessions with the item)``, 0 for items without sessions.
    """

    item_offsets: Int64Array
    item_sessions: Int32Array
    session_offsets: Int64Array
    session_items: Int32Array
    session_times_s: Int64Array
    idf: Float32Array

    @property
    def n_items(self) -> int:
        """Number of items, with or without sessions."""
        return len(self.item_offsets) - 1


@dataclass(frozen=True, slots=True)
class ShopperIndex:
    """Histories by shopper and by item: the input of `online.shopper_neighbours`.

    Attributes
    ----------
    shopper_offsets, shopper_items, shopper_weights : int64[n_shoppers + 1], int32[n], float32[n]
        The items of shopper ``s`` are the lines ``shopper_offsets[s]:shopper_offsets[s + 1]``,
        ascending. Weights are above 0.
    item_offsets, item_shoppers, item_weights : int64[n_items + 1], int32[n], float32[n]
        The same by item.
    sums, squares, sizes : float64[n_shoppers]
        Of every shopper's weights, and how many items they have.
    """

    shopper_offsets: Int64Array
    shopper_items: Int32Array
    shopper_weights: Float32Array
    item_offsets: Int64Array
    item_shoppers: Int32Array
    item_weights: Float32Array
    sums: Float64Array
    squares: Float64Array
    sizes: Float64Array

    @property
    def n_items(self) -> int:
        """Length of the catalog."""
        return len(self.item_offsets) - 1

    @property
    def n_shoppers(self) -> int:
        """Number of shoppers, with or without a history."""
        return len(self.shopper_offsets) - 1


@dataclass(frozen=True, slots=True)
class EaseModel:
    """A linear item-item model over the best supported items.

    Attributes
    ----------
    item_rows : int32[m]
        The items it knows, ascending.
    weights : float32[m, m]
        ``weights[i, j]``: how much item ``i`` in a history speaks for item ``j``; diagonal 0.
    """

    item_rows: Int32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        m = len(self.item_rows)
        if self.weights.shape != (m, m):
            raise InvalidInputError(f"weights {self.weights.shape} must be ({m}, {m})")


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Item factors of implicit matrix factorisation, with what a fold-in needs.

    Attributes
    ----------
    item_rows : int32[m]
        The items it may recommend, ascending.
    item_vectors : float32[m, f]
    gram : float32[f, f]
        ``item_vectors.T @ item_vectors``.
    regularisation : float
        The λ that is added to the diagonal of every shopper's system.
    alpha : float
        Confidence of an interaction of weight w is ``1 + alpha * w``.
    """

    item_rows: Int32Array
    item_vectors: Float32Array
    gram: Float32Array
    regularisation: float
    alpha: float

    def __post_init__(self) -> None:
        m, f = self.item_vectors.shape
        if len(self.item_rows) != m or self.gram.shape != (f, f):
            raise InvalidInputError(
                f"{len(self.item_rows)} rows, vectors {(m, f)} and gram {self.gram.shape} don't fit"
            )


@dataclass(frozen=True, slots=True)
class RepeatModel:
    """How items are bought again.

    Attributes
    ----------
    interval_days : float32[n_items]
        Typical days between two purchases by one shopper, > 0.
    repeat_probability : float32[n_items]
        Chance that a buyer buys the item again, in 0..1.
    """

    interval_days: Float32Array
    repeat_probability: Float32Array


@dataclass(frozen=True, slots=True)
class ShopperHistory:
    """What every shopper did, one line per shopper and item.

    Attributes
    ----------
    offsets : int64[n_shoppers + 1]
        Shopper ``s`` owns the lines ``offsets[s]:offsets[s + 1]``, ascending by item row.
    item_rows : int32[n]
    weights : float32[n]
        Summed event weights, decayed as the caller decided.
    counts : int32[n]
        Number of purchases of the item.
    last_at_s : int64[n]
        The last purchase, or the last event if there was no purchase.
    """

    offsets: Int64Array
    item_rows: Int32Array
    weights: Float32Array
    counts: Int32Array
    last_at_s: Int64Array

    @property
    def n_shoppers(self) -> int:
        """Number of shoppers, with or without history."""
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class NextClickCounts:
    """Sums over sessions that a next-click model is made of: what has to be kept to extend it.

    Everything is decayed to `now_s`. Training alone needs it; requests never do.

    Attributes
    ----------
    pair_offsets : int64[n_items + 1]
    pair_items : int32[p]
        Item ``a`` was followed by ``pair_items[pair_offsets[a]:pair_offsets[a + 1]]``, ascending.
    pair_counts : float32[p, 3]
        Direct, forward (decayed by distance), together.
    item_counts : float32[n_items, 6]
        Clicks, session starts, session ends; clicks with a short, a middle and a long half-life.
    now_s : int64[]
        Unix seconds, or the number of the session where there is no clock.
    half_lives_s : float64[4]
        Of pairs, and of the short, middle and long popularity.
    """

    pair_offsets: Int64Array
    pair_items: Int32Array
    pair_counts: Float32Array
    item_counts: Float32Array
    now_s: Int64Array
    half_lives_s: Float64Array

    @property
    def n_items(self) -> int:
        """Number of items, counted or not."""
        return len(self.pair_offsets) - 1


@dataclass(frozen=True, slots=True)
class NextClickModel:
    """Pruned co-visitation tables and item vectors, multiplied with their weights.

    Attributes
    ----------
    offsets : int64[n_items + 1]
        Item ``a`` owns the lines ``offsets[a]:offsets[a + 1]`` of the next two arrays.
    partners : int32[p]
        What may be clicked after ``a``, ascending; possibly ``a`` itself.
    ties : float32[7, p]
        What the line adds to a score if ``a`` is the newest item of the session, the second
        newest, or an older one; if ``a`` is the newest and the partner was clicked before; and
        the first three again where the session's items are left out.
    vectors : float32[n_items, d]
        Length about 1, 0 for items without partners.
    item_scores : float32[3, n_items]
        What the item adds itself: with repeats, without, and if it was clicked before.
    near_weights : float32[3, 4]
        Of nearness, likewise.
    repeat_weights : float32[18]
        By `online.next_click.REPEATS`.
    weights : float32[2, n_features]
        What the other fields were multiplied with, for the next increment: line 0 ranks all items,
        line 1 those that aren't in the session.
    popular : int32[m]
        Candidates of every session, best first.
    """

    offsets: Int64Array
    partners: Int32Array
    ties: Float32Array
    vectors: Float32Array
    item_scores: Float32Array
    near_weights: Float32Array
    repeat_weights: Float32Array
    weights: Float32Array
    popular: Int32Array

    @property
    def n_items(self) -> int:
        """Number of items, with or without partners."""
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class CategoryLeaders:
    """The category of every item, and what is popular in each.

    Attributes
    ----------
    codes : int32[n_items]
        ``-1`` means no category.
    offsets : int64[n_categories + 1]
    rows : int32[total]
        Category c has ``rows[offsets[c]:offsets[c + 1]]``, best first, as
        `offline.popularity.category_leaders` makes them.
    """

    codes: Int32Array
    offsets: Int64Array
    rows: Int32Array
