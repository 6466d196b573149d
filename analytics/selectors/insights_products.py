"""Which products recommendations show and sell, and which they never show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from analytics.metrics.concentration import gini
from analytics.metrics.periods import Period
from analytics.selectors.product_totals import ProductTotals, product_totals
from catalog.models import Product, Store
from catalog.models.products import CATEGORY_SEPARATOR
from catalog.selectors.showable import SHOWABLE_SQL, n_of_catalog, showable_ids

PER_PAGE = 50
# Beyond so many pages nobody leafs; the export has them all.
MAX_PAGES = 100
# In days; None is whatever is older.
AGES: tuple[int | None, ...] = (30, 90, 365, None)


@dataclass(frozen=True, slots=True)
class ProductFigures:
    """A product with what recommendations did with it; `title` None: not in the catalog any more."""

    product_id: int
    external_id: str | None
    title: str | None
    category_path: str
    n_shown: int
    n_clicks: int
    n_orders: int
    n_units: int
    revenue_minor: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """How many products of a group were never shown.

    Attributes
    ----------
    stock_minor
        Of those never shown: stock count times price; None if no stock count is known.
    n_stock_known
        Of those never shown.
    """

    key: Any
    n: int
    n_unseen: int
    stock_minor: int | None
    n_stock_known: int

    @property
    def unseen_rate(self) -> float | None:
        return self.n_unseen / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class UnseenProduct:
    """A product that was never shown; `since` is when it came into the catalog."""

    product_id: int
    external_id: str
    title: str
    category_path: str
    since: datetime
    price_minor: int
    stock_count: int | None
    stock_minor: int | None


@dataclass(frozen=True, slots=True)
class UnseenSummary:
    """Over the products that can be shown: all, by top category, by age."""

    total: Unseen
    by_category: list[Unseen]
    by_age: list[Unseen]


@dataclass(frozen=True, slots=True)
class CatalogReach:
    """How much of the catalog a period has shown; `coverage` and `gini` are None if nothing."""

    n_shown: int
    n_catalog: int
    gini: float | None

    @property
    def coverage(self) -> float | None:
        return self.n_shown / self.n_catalog if self.n_shown else None


def catalog_reach(*, store: Store, period: Period) -> CatalogReach:
    """Of what may be shown now or was shown then. Three queries."""
    totals = product_totals(store=store, period=period)
    counts = totals.n_shown[totals.n_shown > 0]
    n_catalog = n_of_catalog(showable_ids(store_id=store.pk), totals.shown_ids)
    return CatalogReach(
        len(counts), n_catalog, concentration(counts, n_catalog) if len(counts) else None
    )


def concentration(counts: npt.NDArray[np.int64], n_catalog: int) -> float:
    """Gini of the shown products' counts and the zeros of those never shown."""
    return gini(np.concatenate([counts, np.zeros(max(n_catalog - len(counts), 0), np.int64)]))


_OF_PERIOD = "store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s"
_SOLD = f"""
SELECT product_id, sum(quantity)::bigint, sum(revenue_minor)::bigint
FROM analytics_attributedline WHERE {_OF_PERIOD} GROUP BY product_id
"""
# Of a few products: telling orders apart is the dear part.
_ORDERS = f"""
SELECT product_id, count(DISTINCT (day, order_key))
FROM analytics_attributedline WHERE {_OF_PERIOD} AND product_id = ANY(%(products)s)
GROUP BY product_id
"""


def top_products(*, store: Store, period: Period, limit: int) -> list[ProductFigures]:
    """Those that brought most revenue from recommendations, then those clicked most. Five queries."""
    totals = product_totals(store=store, period=period)
    parameters: dict[str, Any] = {
        "store": store.pk,
        "first": period.first,
        "last": period.last,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SOLD, parameters)
        sold = {product_id: (units, minor) for product_id, units, minor in cursor.fetchall()}
    clicked = totals.n_clicks > 0
    n_clicks = dict(
        zip(totals.product_ids[clicked].tolist(), totals.n_clicks[clicked].tolist(), strict=True)
    )
    best = sorted(
        sold.keys() | n_clicks.keys(),
        key=lambda each: (-(sold[each][1] if each in sold else 0), -n_clicks.get(each, 0), each),
    )[:limit]
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, parameters | {"products": best})
        n_orders = dict(cursor.fetchall())
    products = Product.objects.filter(store=store).in_bulk(best)
    return [
        _figures(
            each,
            products.get(each),
            totals,
            (n_orders.get(each, 0), *sold.get(each, (0, 0))),
        )
        for each in best
    ]


def _figures(
    product_id: int, product: Product | None, totals: ProductTotals, sold: tuple[int, int, int]
) -> ProductFigures:
    n_shown, n_clicks = totals.of(product_id)
    n_orders, n_units, revenue_minor = sold
    return ProductFigures(
        product_id=product_id,
        external_id=product.external_id if product else None,
        title=product.title if product else None,
        category_path=product.category_path if product else "",
        n_shown=n_shown,
        n_clicks=n_clicks,
        n_orders=n_orders,
        n_units=n_units,
        revenue_minor=revenue_minor,
    )


_CATEGORY = f"split_part(p.category_path, '{CATEGORY_SEPARATOR}', 1)"
_SINCE = "coalesce(p.published_at, p.created_at)"
_AGE = f"""CASE
  WHEN {_SINCE} >= %(today)s::date - 30 THEN 30 WHEN {_SINCE} >= %(today)s::date - 90 THEN 90
  WHEN {_SINCE} >= %(today)s::date - 365 THEN 365 END"""


@dataclass(frozen=True, slots=True)
class UnseenFilter:
    """Of a category's first level (None: all), of an age out of `AGES` (0: all)."""

    category: str | None = None
    age: int | None = 0


_WANTED = """
  (%(category)s::text IS NULL OR category = %(category)s)
  AND (%(every_age)s OR age IS NOT DISTINCT FROM %(age)s)
"""
_FIRST = "stock_minor DESC NULLS LAST, since, id"

# One row per product that can be shown.
_SHOWABLES = f"""
  SELECT p.id, {_CATEGORY} AS category, {_AGE} AS age, {_SINCE} AS since, p.stock_count,
    p.stock_count * p.price_minor AS stock_minor, shown.product_id IS NULL AS unseen
  FROM catalog_product p
    LEFT JOIN unnest(%(shown)s::bigint[]) AS shown (product_id) ON shown.product_id = p.id
  WHERE p.store_id = %(store)s AND {SHOWABLE_SQL}
"""

_GROUPS = f"""
WITH products AS MATERIALIZED ({_SHOWABLES})
SELECT GROUPING(category, age), category, age, count(*), count(*) FILTER (WHERE unseen),
  (sum(stock_minor) FILTER (WHERE unseen))::bigint, count(stock_count) FILTER (WHERE unseen),
  NULL::bigint[]
FROM products GROUP BY GROUPING SETS ((), (category), (age))
UNION ALL
SELECT -1, NULL, NULL, NULL, NULL, NULL, NULL, ARRAY(
  SELECT id FROM products WHERE unseen AND {_WANTED}
  ORDER BY {_FIRST} LIMIT %(limit)s OFFSET %(offset)s
)
"""

_UNSEEN = f"""
SELECT p.id, p.external_id, p.title, p.category_path, {_SINCE}, p.price_minor, p.stock_count,
  p.stock_count * p.price_minor
FROM catalog_product p
"""


@dataclass(frozen=True, slots=True)
class UnseenPage:
    """What was never shown in all, and a page of the products, most stock value first."""

    summary: UnseenSummary
    products: list[UnseenProduct]
    has_next: bool


def unseen_page(
    *, store: Store, period: Period, today: date, wanted: UnseenFilter, number: int
) -> UnseenPage:
    """In all, by category and by age; and those of a page. Four queries, the catalog read once."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GROUPS,
            {
                **_unseen_parameters(store, period, today, wanted),
                "limit": PER_PAGE + 1,
                "offset": (number - 1) * PER_PAGE,
            },
        )
        rows = cursor.fetchall()
        ids = next(row[-1] for row in rows if row[0] == -1)
        cursor.execute(
            f"{_UNSEEN} WHERE p.store_id = %(store)s AND p.id = ANY(%(ids)s)"
            " ORDER BY array_position(%(ids)s::bigint[], p.id)",
            {"store": store.pk, "ids": ids[:PER_PAGE]},
        )
        products = [UnseenProduct(*row) for row in cursor.fetchall()]
    has_next = len(ids) > PER_PAGE and number < MAX_PAGES
    return UnseenPage(_summary([row[:-1] for row in rows]), products, has_next)


def _summary(rows: list[tuple[Any, ...]]) -> UnseenSummary:
    by_age = {row[2]: Unseen(row[2], *row[3:]) for row in rows if row[0] == 2}
    return UnseenSummary(
        total=next(Unseen(None, *row[3:]) for row in rows if row[0] == 3),
        by_category=sorted(
            (Unseen(row[1], *row[3:]) for row in rows if row[0] == 1),
            key=lambda each: (-(each.stock_minor or 0), -each.n_unseen, each.key),
        ),
        by_age=[by_age[age] for age in AGES if age in by_age],
    )


def unseen_all(
    *, store: Store, period: Period, today: date, wanted: UnseenFilter
) -> Iterator[UnseenProduct]:
    """All of them, a thousand at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH products AS ({_SHOWABLES}) {_UNSEEN} JOIN products USING (id)"
            f" WHERE unseen AND {_WANTED} ORDER BY products.stock_minor DESC NULLS LAST, products.since, id",
            _unseen_parameters(store, period, today, wanted),
        )
        while rows := cursor.fetchmany(1000):
            yield from (UnseenProduct(*row) for row in rows)


def _unseen_parameters(
    store: Store, period: Period, today: date, wanted: UnseenFilter
) -> dict[str, Any]:
    return {
        "store": store.pk,
        "shown": product_totals(store=store, period=period).shown_ids.tolist(),
        "today": today,
        "category": wanted.category,
        "every_age": wanted.age == 0,
        "age": wanted.age,
    }
