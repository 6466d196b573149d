"""What a method may learn from, and what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.types import (
    NO_ROW,
    Float32Array,
    Int32Array,
    Int64Array,
    Sessions,
)

Matrix = csr_matrix[np.float32]


@dataclass(frozen=True, slots=True)
class Purchases:
    """Who bought what when; int32 rows and Unix seconds, one line per purchase."""

    shopper_rows: Int32Array
    item_rows: Int32Array
    times_s: Int64Array


@dataclass(frozen=True, slots=True)
class Ratings:
    """Who said how good what is: int32 rows, float32 values on the shop's own scale."""

    shopper_rows: Int32Array
    item_rows: Int32Array
    values: Float32Array


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What the catalog says about every item; ``None`` where it says nothing.

    Attributes
    ----------
    titles : sequence of str
    texts : sequence of str
        Title, brand, category and attributes in one, as `similar_content` reads them.
    category_codes, brand_codes : int32[n_items]
        ``-1``: none.
    prices : float32[n_items]
        NaN: none.
    vectors : float32[n_items, d]
        The merchant's own (image, text model); a line of zeros where an item has none.
    since_s : int64[n_items]
        When the item came into the catalog.
    """

    titles: Sequence[str] | None = None
    texts: Sequence[str] | None = None
    category_codes: Int32Array | None = None
    brand_codes: Int32Array | None = None
    prices: Float32Array | None = None
    vectors: Float32Array | None = None
    since_s: Int64Array | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that there is to learn from; ``None`` where there is no such thing.

    Attributes
    ----------
    n_items : int
    now_s : int
        The moment of the cut.
    sessions : Sessions or None
    baskets : csr_matrix of float32[n_baskets, n_items] or None
    shoppers : dict of csr_matrix of float32[n_shoppers, n_items]
        By kind of event: ``purchase``, ``add_to_cart``, ``view_item``, or ``any``. All have the
        same shoppers in the same lines.
    purchases : Purchases or None
    ratings : Ratings or None
    facts : ItemFacts
    """

    n_items: int
    now_s: int = 0
    sessions: Sessions | None = None
    baskets: Matrix | None = None
    shoppers: dict[str, Matrix] = field(default_factory=dict)
    purchases: Purchases | None = None
    ratings: Ratings | None = None
    facts: ItemFacts = ItemFacts()


@dataclass(frozen=True, slots=True)
class Query:
    """What is known about one shopper at one moment.

    Attributes
    ----------
    rows : int32[h]
        The session from oldest to newest, the basket, or the history. ``-1`` is an item that
        training never saw.
    removed : int32[r]
        What may not be an answer.
    kinds : sequence of (kind of event, int32[]) pairs
        The same history by kind of event, where the protocol knows kinds.
    counts, last_at_s : int32[h], int64[h]
        Purchases of each item of `rows` and their last time; empty where unknown.
    ratings : float32[h]
        How good the shopper found each item of `rows`; empty where unknown.
    shopper_row : int
        The shopper's line in the training's matrices; ``-1``: training never saw them.
    at_s : int
        The moment; 0 where no clock is known.
    """

    rows: Int32Array
    removed: Int32Array
    kinds: Sequence[tuple[str, Int32Array]] = ()
    counts: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    last_at_s: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    ratings: Float32Array = field(default_factory=lambda: np.empty(0, np.float32))
    shopper_row: int = NO_ROW
    at_s: int = 0

    @property
    def repeats_allowed(self) -> bool:
        """Whether a known item of the history may be an answer."""
        if not len(self.removed) or self.removed is self.rows:
            return len(self.removed) == 0 and bool((self.rows >= 0).any())
        known = self.rows[self.rows >= 0]
        return not bool(np.isin(known, self.removed).all())
