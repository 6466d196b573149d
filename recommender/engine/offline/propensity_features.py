"""What is known of a shopper and a product together, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.types import (
    NO_ROW,
    SECONDS_PER_DAY,
    Float32Array,
    Int32Array,
    Neighbours,
)

FEATURES = (
    "popularity",
    "demand",
    "together",
    "category_share",
    "brand_share",
    "price_distance",
    "times_bought",
    "recency",
    "carted",
    "viewed",
    "history_size",
)
"""In the order of the columns."""

RECENCY_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class ShopperFacts:
    """What a shopper did, a line per distinct item.

    Attributes
    ----------
    rows : int32[h]
        Ascending.
    bought : float32[h]
        How often; 0 for what was only looked at.
    days_since : float32[h]
        Since the last purchase; NaN where unknown.
    carted, viewed : bool[h]
    """

    rows: Int32Array
    bought: Float32Array
    days_since: Float32Array
    carted: npt.NDArray[np.bool_]
    viewed: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CatalogProfile:
    """What is known of every product, whoever asks.

    Attributes
    ----------
    popularity, demand : float32[n_items]
        ``ln(1 + buyers)`` and ``ln(1 + purchases)``, the latter with half their weight after 30
        days; 0 where times are unknown.
    neighbours : Neighbours
        Damped cosine of who has two items.
    category_codes, brand_codes : int32[n_items]
        ``-1``: none.
    log_prices : float32[n_items]
        NaN: none.
    touched, known : bool[n_items]
        Whether anybody had it; whether that or the catalog says something about it.
    """

    popularity: Float32Array
    demand: Float32Array
    neighbours: Neighbours
    category_codes: Int32Array
    brand_codes: Int32Array
    log_prices: Float32Array
    touched: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


def fit_catalog_profile(
    groups: csr_matrix[np.float32],
    *,
    demand: Float32Array | None = None,
    category_codes: Int32Array | None = None,
    brand_codes: Int32Array | None = None,
    prices: Float32Array | None = None,
    k: int = 100,
) -> CatalogProfile:
    """Counts, neighbours and facts of a catalog.

    Parameters
    ----------
    groups : csr_matrix of float32[n_groups, n_items]
        Who has what; positive where they do.
    demand : float32[n_items] or None
        Purchases that fade.
    category_codes, brand_codes, prices
        As in `ItemFacts`.
    k : int
        Neighbours of an item.
    """
    n_items = int(groups.shape[1])
    buyers = np.bincount(groups.indices, minlength=n_items)
    none = np.full(n_items, -1, np.int32)
    categories = none if category_codes is None else category_codes
    brands = none if brand_codes is None else brand_codes
    priced = np.full(n_items, np.nan) if prices is None else np.where(prices > 0, prices, np.nan)
    return CatalogProfile(
        np.log1p(buyers).astype(np.float32),
        np.zeros(n_items, np.float32) if demand is None else np.log1p(demand).astype(np.float32),
        fit_item_similarity(groups, k=k, shrinkage=5.0),
        categories,
        brands,
        np.log(priced).astype(np.float32),
        buyers > 0,
        (buyers > 0) | (categories >= 0) | (brands >= 0),
    )


def pair_features(
    profile: CatalogProfile, shopper: ShopperFacts, products: Int32Array | None = None
) -> Float32Array:
    """A line per product of what speaks for its purchase by one shopper.

    ``popularity`` and ``demand`` of the product; ``together``: the root of the sum of its cosines
    to the history, over the root of the history's length; shares of the history in its category
    and its brand; ``price_distance``: ``|ln price - mean ln price of the history|``, 0 where one is
    unknown; ``times_bought``: ``ln(1 + n)``; ``recency``: ``exp(-days / 30)`` since the last
    purchase; whether it was carted or viewed; ``ln(1 + length of the history)``. Costs
    O(h k + n_items), with no loop over either.

    Parameters
    ----------
    products : int32[m] or None
        ``None``: the whole catalog.

    Returns
    -------
    float32[m, 11]
        Columns as in `FEATURES`.

    Examples
    --------
    >>> groups = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32))
    >>> profile = fit_catalog_profile(groups, category_codes=np.array([5, 5, 6], np.int32))
    >>> one, no = np.ones(1, np.float32), np.zeros(1, np.bool_)
    >>> found = pair_features(profile, ShopperFacts(np.array([0], np.int32), one, one, no, no))
    >>> found[:, FEATURES.index("category_share")].tolist()
    [1.0, 1.0, 0.0]
    """
    n_items = len(profile.popularity)
    rows = shopper.rows
    size = max(len(rows), 1)
    found = np.zeros((len(FEATURES), n_items), np.float32)
    found[0] = profile.popularity
    found[1] = profile.demand
    found[2] = np.sqrt(_together(profile.neighbours, rows, n_items) / np.sqrt(size))
    found[3] = _shares(profile.category_codes, rows)
    found[4] = _shares(profile.brand_codes, rows)
    found[5] = _price_distances(profile.log_prices, rows)
    found[6, rows] = np.log1p(shopper.bought)
    days = shopper.days_since
    found[7, rows] = np.where(np.isnan(days), 0, np.exp(-np.nan_to_num(days) / RECENCY_DAYS))
    found[8, rows] = shopper.carted
    found[9, rows] = shopper.viewed
    found[10] = np.log1p(len(rows))
    chosen = found if products is None else found[:, products]
    return np.ascontiguousarray(chosen.T)


def strongest_speakers(
    neighbours: Neighbours, history: Int32Array, products: Int32Array
) -> Int32Array:
    """The item of a history with the largest cosine to each product, ``-1`` where none is near.

    Ties go to the smaller row.
    """
    place = np.full(neighbours.n_items, -1, np.int64)
    place[products] = np.arange(len(products))
    lists = neighbours.indices[history]
    owners, columns = np.nonzero(lists >= 0)
    at = place[lists[owners, columns]]
    owners, columns, at = owners[at >= 0], columns[at >= 0], at[at >= 0]
    order = np.lexsort((-history[owners], neighbours.scores[history[owners], columns], at))
    out = np.full(len(products), NO_ROW, np.int32)
    # Of several writes to one place the last one stays.
    out[at[order]] = history[owners[order]]
    return out


def days_between(earlier_s: npt.ArrayLike, now_s: int) -> Float32Array:
    """Days from then to now, not below 0; float32."""
    apart = (now_s - np.asarray(earlier_s, np.int64)) / SECONDS_PER_DAY
    return np.maximum(apart, 0).astype(np.float32)


def _together(neighbours: Neighbours, rows: Int32Array, n_items: int) -> npt.NDArray[np.float64]:
    # Place 0 takes the empty ends of the lists, whose score is 0.
    places = neighbours.indices[rows].ravel() + 1
    sums = np.bincount(places, weights=neighbours.scores[rows].ravel(), minlength=n_items + 1)
    return np.maximum(sums[1:], 0)


def _shares(codes: Int32Array, rows: Int32Array) -> Float32Array:
    mine = codes[rows]
    counts = np.bincount(mine[mine >= 0], minlength=int(codes.max(initial=-1)) + 1)
    if not len(counts):
        return np.zeros(len(codes), np.float32)
    shares = np.where(codes >= 0, counts[codes], 0) / max(len(rows), 1)
    return shares.astype(np.float32)


def _price_distances(log_prices: Float32Array, rows: Int32Array) -> Float32Array:
    mine = log_prices[rows]
    mine = mine[np.isfinite(mine)]
    if not len(mine):
        return np.zeros(len(log_prices), np.float32)
    apart = np.abs(log_prices - mine.mean())
    return np.where(np.isfinite(apart), apart, 0).astype(np.float32)
