"""The catalog as a member searches and leafs through it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection
from django.db.models import Q, QuerySet, Sum

from catalog.models import Event, EventType, Product, Store
from catalog.models.products import CATEGORY_SEPARATOR
from catalog.selectors.showable import SHOWABLE

PER_PAGE = 50
# What lists don't show.
_BULKY = ("description", "vector", "attributes")
# Beyond so many pages nobody leafs, and each page would cost more than the one before.
MAX_PAGES = 200

ALL_STATES = "all"
DEFAULT_STATE = "available"
STATES: dict[str, tuple[str, Q]] = {
    "available": ("Can be recommended", SHOWABLE),
    "out_of_stock": (
        "Out of stock",
        Q(availability=Product.Availability.OUT_OF_STOCK) | Q(stock_count__lte=0),
    ),
    "hidden": ("Hidden by a member", Q(hidden=True)),
    "no_price": ("Without a price", Q(price_minor=None)),
}

# Order by column and, for equal values, by id: a page shows each product once.
SORTS: dict[str, tuple[str, str]] = {
    "updated": ("-updated_at", "-pk"),
    "title": ("title", "pk"),
    "price": ("price_minor", "pk"),
    "-price": ("-price_minor", "-pk"),
}


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """What a member asked for. The state is one of `STATES`, or `ALL_STATES`; the sort of `SORTS`."""

    words: str = ""
    category: str = ""
    state: str = DEFAULT_STATE
    sort: str = "updated"

    @property
    def is_narrowed(self) -> bool:
        return bool(self.words or self.category or self.state != DEFAULT_STATE)


@dataclass(frozen=True, slots=True)
class ProductPage:
    """One page of products; `n_found` counts all pages."""

    products: list[Product]
    n_found: int
    number: int

    @property
    def n_pages(self) -> int:
        return max(1, min(MAX_PAGES, -(-self.n_found // PER_PAGE)))

    @property
    def first(self) -> int:
        return (self.number - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.products) - 1

    @property
    def previous(self) -> int:
        return self.number - 1

    @property
    def next(self) -> int:
        return self.number + 1

    @property
    def is_cut(self) -> bool:
        """Whether there are products beyond the last page."""
        return self.n_found > MAX_PAGES * PER_PAGE


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold of a product: in all, lately, and when last."""

    n_units: int
    n_units_lately: int
    n_orders: int
    last_sold_at: datetime | None


def product_page(*, store: Store, wanted: ProductFilter, number: int) -> ProductPage:
    """A page of the products that fit. Two queries; a page too far is the last one."""
    products = products_matching(store=store, wanted=wanted)
    n_found = products.count()
    number = max(1, min(number, MAX_PAGES, -(-n_found // PER_PAGE)))
    start = (number - 1) * PER_PAGE
    rows = products.defer(*_BULKY).order_by(*SORTS[wanted.sort])
    return ProductPage(list(rows[start : start + PER_PAGE]), n_found, number)


# A loose index scan: from each category straight to the next one, however many products it has.
# `~>~` and its kin are the byte order of the index; the last character there is sorts behind all
# that is below a category.
_CATEGORIES = """
WITH RECURSIVE step AS (
  (SELECT category_path AS path FROM catalog_product
   WHERE store_id = %(store)s
     AND category_path ~>~ %(prefix)s AND category_path ~<~ (%(prefix)s || chr(1114111))
   ORDER BY category_path USING ~<~ LIMIT 1)
  UNION ALL
  SELECT (
    SELECT category_path FROM catalog_product
    WHERE store_id = %(store)s
      AND category_path ~>~ (
        %(prefix)s || split_part(substr(step.path, length(%(prefix)s) + 1), ' > ', 1)
        || ' > ' || chr(1114111)
      )
      AND category_path ~<~ (%(prefix)s || chr(1114111))
    ORDER BY category_path USING ~<~ LIMIT 1
  )
  FROM step WHERE step.path IS NOT NULL
)
SELECT split_part(substr(path, length(%(prefix)s) + 1), ' > ', 1)
FROM step WHERE path IS NOT NULL
"""


def categories_of(*, store: Store, parent: str = "") -> list[str]:
    """Names of the categories one level below `parent` (the first level for none). One query."""
    prefix = f"{parent}{CATEGORY_SEPARATOR}" if parent else ""
    with connection.cursor() as cursor:
        cursor.execute(_CATEGORIES, {"store": store.pk, "prefix": prefix})
        return sorted(name for (name,) in cursor.fetchall())


# Of what fits so many are looked at before the best are chosen: a word of half the catalog costs no
# more than one of a hundred products.
_N_RANKED = 200


def products_suggested(*, store: Store, words: str, limit: int) -> list[Product]:
    """Products that fit what is being typed, or the newest for nothing. Two queries.

    The product with just this id comes first, then titles that begin with the words; of equal ones
    those that can be recommended.
    """
    products = Product.objects.filter(store=store, deleted_at=None).defer(*_BULKY)
    words = words.strip()
    if not words:
        return list(products.order_by("-updated_at", "-pk")[:limit])
    exact = list(products.filter(external_id=words))
    wanted = ProductFilter(words=words, state=ALL_STATES)
    found = products_matching(store=store, wanted=wanted).exclude(pk__in=[p.pk for p in exact])
    typed = words.casefold()
    ranked = sorted(
        found.defer(*_BULKY)[:_N_RANKED],
        key=lambda product: (
            not product.title.casefold().startswith(typed),
            product.hidden or not product.price_minor or not product.is_available,
            product.title.casefold(),
            product.pk,
        ),
    )
    return [*exact, *ranked][:limit]


def products_named(*, store: Store, external_ids: Iterable[str]) -> dict[str, Product]:
    """Products by the shop's ids, deleted ones too: `deleted_at` says so. One query."""
    found = Product.objects.filter(store=store, external_id__in=list(external_ids)).defer(*_BULKY)
    return {product.external_id: product for product in found}


def has_products(*, store: Store) -> bool:
    return Product.objects.filter(store=store, deleted_at=None).exists()


def product_count(*, store: Store) -> int:
    """How many products the shop has now, hidden ones too."""
    return Product.objects.filter(store=store, deleted_at=None).count()


def product_find(*, store: Store, product_id: int) -> Product | None:
    """A product that the shop hasn't deleted."""
    return Product.objects.filter(store=store, pk=product_id, deleted_at=None).first()


def products_by_id(*, store: Store, product_ids: Iterable[int]) -> dict[int, Product]:
    """The products among these ids that the shop hasn't deleted, for lists. One query."""
    found = Product.objects.filter(store=store, pk__in=list(product_ids), deleted_at=None)
    return found.defer(*_BULKY).in_bulk()


def units_sold(*, store: Store, product_ids: Iterable[int], since: datetime) -> dict[int, int]:
    """Units sold of each product since a moment; products without a sale are left out. One query."""
    sold = (
        Event.objects.filter(
            store=store,
            product_id__in=list(product_ids),
            type=EventType.PURCHASE,
            occurred_at__gte=since,
        )
        .values("product_id")
        .annotate(n_units=Sum("quantity"))
    )
    return {row["product_id"]: row["n_units"] for row in sold}


def product_sales(*, store: Store, product_id: int, lately: datetime) -> Sales:
    """One query over the product's own index entries."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(quantity), 0),
              coalesce(sum(quantity) FILTER (WHERE occurred_at >= %(lately)s), 0),
              count(DISTINCT event_id), max(occurred_at)
            FROM catalog_event
            WHERE store_id = %(store)s AND product_id = %(product)s AND type = %(purchase)s
            """,
            {
                "store": store.pk,
                "product": product_id,
                "lately": lately,
                "purchase": EventType.PURCHASE,
            },
        )
        return Sales(*(cursor.fetchone() or (0, 0, 0, None)))


def products_matching(*, store: Store, wanted: ProductFilter) -> QuerySet[Product]:
    """All products that fit, in no order."""
    products = Product.objects.filter(store=store, deleted_at=None)
    words = re.findall(r"\w+", wanted.words.lower())
    if words:
        # The same expression as in the index `product_search`; the last letters may be missing.
        query = SearchQuery(
            " & ".join(f"{word}:*" for word in words), search_type="raw", config="simple"
        )
        products = products.annotate(search=SearchVector("title", "brand", config="simple")).filter(
            Q(search=query) | Q(external_id=wanted.words.strip())
        )
    elif wanted.words:
        products = products.filter(external_id=wanted.words.strip())
    if wanted.category:
        products = products.filter(
            Q(category_path=wanted.category)
            | Q(category_path__startswith=wanted.category + CATEGORY_SEPARATOR)
        )
    if wanted.state != ALL_STATES:
        products = products.filter(STATES[wanted.state][1])
    return products
