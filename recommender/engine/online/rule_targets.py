"""Which products a rule means, as masks over the catalog.

A target that says the same of every request (brand, price, stock) is worked out once per catalog.
One that compares with the product in view (same category, price ± 20 %) is worked out on the few
rows that are candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.engine.types import (
    SECONDS_PER_DAY,
    BoolArray,
    Float32Array,
    Int32Array,
    Int64Array,
)


@dataclass(frozen=True, slots=True)
class ProductColumns:
    """What targets look at, by product row.

    Attributes
    ----------
    price_minor : int64[n]
        -1 without a price.
    published_at_s : int64[n]
        Unix seconds, 0 if unknown.
    brand_codes, category_codes : int32[n]
        -1 if empty.
    stock : int32[n]
        -1 if unknown.
    margin_percent : float32[n]
        Of the price; NaN if unknown.
    availability : int8[n]
    facet_sets : int32[n]
        The number of the product's set of tags and attributes.
    """

    price_minor: Int64Array
    published_at_s: Int64Array
    brand_codes: Int32Array
    category_codes: Int32Array
    stock: Int32Array
    margin_percent: Float32Array
    availability: npt.NDArray[np.int8]
    facet_sets: Int32Array

    def __len__(self) -> int:
        return len(self.price_minor)


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high`, both included; None is open. An unknown value is outside any span."""

    low: float | None = None
    high: float | None = None

    @property
    def is_open(self) -> bool:
        return self.low is None and self.high is None

    def holds(self, values: npt.NDArray[np.number], known: BoolArray) -> BoolArray:
        """Which values are inside.

        Examples
        --------
        >>> values = np.array([1, 5, 9])
        >>> Span(2, 9).holds(values, np.array([True, True, False])).tolist()
        [False, True, False]
        """
        inside = known.copy()
        if self.low is not None:
            inside &= values >= self.low
        if self.high is not None:
            inside &= values <= self.high
        return inside


OPEN = Span()


@dataclass(frozen=True, slots=True)
class StaticTarget:
    """Products that are the same for every request. All parts must hold; an absent one always does.

    Attributes
    ----------
    rows : int32[m] or None
        Only these products.
    categories : bool[n_categories + 1] or None
        By category code; the last one is read by code -1.
    brands : int32[b] or None
        Brand codes.
    facets : tuple of bool[n_sets]
        By number of the set of tags and attributes; one for each thing asked.
    availability : int8[a] or None
    age_days : Span
        Days since publication; unknown is outside.
    """

    rows: Int32Array | None = None
    categories: BoolArray | None = None
    brands: Int32Array | None = None
    facets: tuple[BoolArray, ...] = ()
    availability: npt.NDArray[np.int8] | None = None
    price: Span = OPEN
    stock: Span = OPEN
    margin: Span = OPEN
    age_days: Span = OPEN

    @property
    def is_everything(self) -> bool:
        lists = (self.rows, self.categories, self.brands, self.availability)
        spans = (self.price, self.stock, self.margin, self.age_days)
        return (
            all(each is None for each in lists)
            and not self.facets
            and all(span.is_open for span in spans)
        )

    def mask(self, columns: ProductColumns, *, now_s: int) -> BoolArray:
        """Which products it means.

        Returns
        -------
        bool[n]
            A new array. Costs some 50 µs for each part and 100,000 products.
        """
        n = len(columns)
        mask = np.ones(n, np.bool_)
        if self.rows is not None:
            mask = np.zeros(n, np.bool_)
            mask[self.rows] = True
        if self.categories is not None:
            mask &= self.categories[columns.category_codes]
        if self.brands is not None:
            mask &= _is_one_of(columns.brand_codes, self.brands)
        if self.availability is not None:
            mask &= _is_one_of(columns.availability, self.availability)
        for holds in self.facets:
            mask &= holds[columns.facet_sets]
        if not self.price.is_open:
            mask &= self.price.holds(columns.price_minor, columns.price_minor >= 0)
        if not self.stock.is_open:
            mask &= self.stock.holds(columns.stock, columns.stock >= 0)
        if not self.margin.is_open:
            mask &= self.margin.holds(columns.margin_percent, ~np.isnan(columns.margin_percent))
        if not self.age_days.is_open:
            ages = (now_s - columns.published_at_s) / SECONDS_PER_DAY
            mask &= self.age_days.holds(ages, columns.published_at_s > 0)
        return mask


def _is_one_of(codes: npt.NDArray[np.integer], wanted: npt.NDArray[np.integer]) -> BoolArray:
    if len(wanted) == 1:
        same: BoolArray = codes == wanted[0]
        return same
    return np.isin(codes, wanted)


@dataclass(frozen=True, slots=True)
class InView:
    """The product in view, or only its category.

    Attributes
    ----------
    categories : bool[n_categories + 1] or None
        The category in view with the levels below it.
    brand
        Its code, -1 if there is none.
    price_minor
        -1 if there is none.
    """

    categories: BoolArray | None = None
    brand: int = -1
    price_minor: int = -1


@dataclass(frozen=True, slots=True)
class RelativeTarget:
    """Products compared with the one in view. All parts must hold.

    Attributes
    ----------
    price_within
        Share of the price in view, .2 for ± 20 %; None doesn't ask.
    compared
        -1 cheaper, 1 dearer, 0 doesn't ask.
    """

    same_category: bool = False
    same_brand: bool = False
    price_within: float | None = None
    compared: int = 0

    @property
    def asks_nothing(self) -> bool:
        return self == RelativeTarget()

    def can_compare(self, view: InView) -> bool:
        """Whether what is in view has everything that is asked for."""
        return (
            (not self.same_category or view.categories is not None)
            and (not self.same_brand or view.brand >= 0)
            and (view.price_minor >= 0 or (self.price_within is None and self.compared == 0))
        )

    def holds(self, columns: ProductColumns, view: InView, rows: Int32Array) -> BoolArray:
        """Which of some rows it means; only for a view that `can_compare`. O(rows).

        Returns
        -------
        bool[len(rows)]
        """
        mask: BoolArray | None = None
        if self.same_category and view.categories is not None:
            mask = view.categories.take(columns.category_codes.take(rows))
        if self.same_brand:
            own = columns.brand_codes.take(rows) == view.brand
            mask = own if mask is None else mask & own
        if self.price_within is not None or self.compared:
            low, high = self._price_span(view.price_minor)
            prices = columns.price_minor.take(rows)
            own = prices >= low
            if high is not None:
                own &= prices <= high
            mask = own if mask is None else mask & own
        return np.ones(len(rows), np.bool_) if mask is None else mask

    def _price_span(self, price_minor: int) -> tuple[int, int | None]:
        """What it may cost beside a product of this price, both ends included."""
        low, high = 0, None
        if self.price_within is not None:
            # In whole minor units and to the edge: 10 % of 20.00 includes 18.00 and 22.00.
            reach = round(price_minor * self.price_within)
            low, high = price_minor - reach, price_minor + reach
        if self.compared > 0:
            low = price_minor + 1
        elif self.compared < 0:
            high = price_minor - 1 if high is None else min(high, price_minor - 1)
        # What has no price costs -1, which is never inside.
        return max(low, 0), high
