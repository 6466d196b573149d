"""Reading the catalog: one product, a category's shelf, the tree of categories, search."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db.models import BooleanField, Case, Count, F, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.text import slugify

from catalog.models import Event, EventType, Product, Store
from catalog.models.products import CATEGORY_SEPARATOR

TREE_FRESH_S = 120
POPULARITY_FRESH_S = 900
POPULARITY_DAYS = 60
MAX_SEARCH_WORDS = 8
MAX_RANKED = 300

# The expression of the index `product_search`: a different one would read the whole table.
SEARCH_VECTOR = SearchVector("title", "brand", config="simple")

SORTS = {
    "popular": "Most bought",
    "offers": "Offers first",
    "price": "Price, low to high",
    "-price": "Price, high to low",
    "title": "Name, A to Z",
}
DEFAULT_SORT = "popular"


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Some products of a longer list."""

    products: list[Product]
    n_products: int


@dataclass(slots=True)
class Category:
    """A node of the category tree. `n_products` counts those below it, too."""

    name: str
    path: str
    slug_path: str
    n_products: int = 0
    parent: Category | None = None
    children: dict[str, Category] = field(default_factory=dict)

    @property
    def shelves(self) -> list[Category]:
        """The categories one level down, the largest first."""
        return sorted(self.children.values(), key=lambda child: (-child.n_products, child.name))

    @property
    def trail(self) -> list[Category]:
        """The way here from the department."""
        above = self.parent.trail if self.parent else []
        return [*above, self] if self.path else above

    def walk(self) -> Iterator[Category]:
        yield self
        for child in self.children.values():
            yield from child.walk()


# -------------------------------------------------------------------------------------- products


def products_visible(*, store_id: int) -> QuerySet[Product]:
    """What a shopper may see in lists: priced, not hidden, still in the catalog."""
    return Product.objects.filter(
        store_id=store_id, hidden=False, deleted_at__isnull=True, price_minor__isnull=False
    )


def product_find(*, store: Store, external_id: str) -> Product | None:
    """One product, whether it may be sold or not; None if the store never had it."""
    return Product.objects.filter(store=store, external_id=external_id).first()


def products_by_external_id(*, store: Store, external_ids: Collection[str]) -> dict[str, Product]:
    """The visible products among these, in one query."""
    found = products_visible(store_id=store.pk).filter(external_id__in=external_ids)
    return {product.external_id: product for product in found}


def products_in_category(
    *, store: Store, category_path: str, sort: str = DEFAULT_SORT, offset: int = 0, limit: int = 24
) -> ProductPage:
    """A category with everything below it; what can't be bought now stands last. Two queries."""
    shelf = products_visible(store_id=store.pk).filter(_below(category_path))
    if sort == DEFAULT_SORT:
        bought = _purchases(store.pk, int(time.monotonic() / POPULARITY_FRESH_S))
        rows = shelf.order_by("title", "pk").values_list("pk", _out_of_stock())
        ranked = sorted(rows, key=lambda row: (row[1], -bought.get(row[0], 0)))
        return _cut([pk for pk, _ in ranked], offset=offset, limit=limit)
    ordered = shelf.order_by(_out_of_stock(), *_ordering(sort), "pk")
    return ProductPage(list(ordered[offset : offset + limit]), shelf.count())


@lru_cache(maxsize=16)
def _purchases(store_id: int, age: int) -> dict[int, int]:
    """How often each product was lately bought; at most a quarter of an hour old."""
    since = timezone.now() - timedelta(days=POPULARITY_DAYS)
    return dict(
        Event.objects.filter(
            store_id=store_id,
            type=EventType.PURCHASE,
            occurred_at__gte=since,
            product__isnull=False,
        )
        .order_by()
        .values_list("product_id")
        .annotate(n_purchases=Count("*"))
    )


def _cut(ranked: list[int], *, offset: int, limit: int) -> ProductPage:
    """The page of a list of products that was put in order here, not in SQL."""
    wanted = ranked[offset : offset + limit]
    found = Product.objects.in_bulk(wanted)
    return ProductPage([found[pk] for pk in wanted if pk in found], len(ranked))


# ---------------------------------------------------------------------------------------- search


def product_search(*, store: Store, query: str, offset: int = 0, limit: int = 24) -> ProductPage:
    """Products that have every word of the query, or a word that begins so, in title or brand.

    In stock first, then titles that begin with the query, then by rank of the whole words: who
    looks for "milk" wants milk before milk chocolate with almonds. Among equals, what is bought
    more. Without a word there is nothing to find. Two queries, the first on the index.
    """
    words = search_words(query)
    if not words:
        return ProductPage([], 0)
    matching = products_visible(store_id=store.pk).annotate(search=SEARCH_VECTOR)
    for word in words:
        matching = matching.filter(search=_prefix_query(word))
    whole = SearchQuery(
        " | ".join(f"'{word}'" for word in words), config="simple", search_type="raw"
    )
    rows = matching.order_by("title", "pk").values_list(
        "pk",
        _out_of_stock(),
        _flag(~Q(title__istartswith=" ".join(words))),
        SearchRank(F("search"), whole),
    )
    bought = _purchases(store.pk, int(time.monotonic() / POPULARITY_FRESH_S))
    ranked = sorted(
        rows, key=lambda row: (row[1], row[2], -round(row[3], 3), -bought.get(row[0], 0))
    )
    return _cut([row[0] for row in ranked], offset=offset, limit=limit)


def products_searched_first(*, store_id: int, query: str, limit: int) -> list[int]:
    """Ids of the few products that somebody who searches so most likely means, the best first.

    Like `product_search`, but quick whatever the query: of more than `MAX_RANKED` products that
    fit, the database picks which are looked at, and how often each is bought doesn't count. One
    query on the index; none without a word to look for.
    """
    words = search_words(query)
    if not words:
        return []
    matching = (
        products_visible(store_id=store_id)
        .exclude(availability=Product.Availability.OUT_OF_STOCK)
        .annotate(search=SEARCH_VECTOR)
    )
    for word in words:
        matching = matching.filter(search=_prefix_query(word))
    begins, wanted = " ".join(words), set(words)

    def rank(row: tuple[int, str]) -> tuple[bool, int, int, int]:
        pk, title = row
        named = search_words(title)
        return not " ".join(named).startswith(begins), -len(wanted & set(named)), len(named), pk

    rows = sorted(matching.values_list("pk", "title")[:MAX_RANKED], key=rank)
    return [pk for pk, _ in rows[:limit]]


def search_words(query: str) -> list[str]:
    """Split a query into at most eight words, in lower case.

    >>> search_words("Ben & Jerry's 'ice':* cream")
    ['ben', 'jerry', 's', 'ice', 'cream']
    """
    return re.findall(r"[^\W_]+", query.lower())[:MAX_SEARCH_WORDS]


def _prefix_query(word: str) -> SearchQuery:
    """A word or what begins with it; plurals find their singular: berries, berry."""
    forms = {word, _singular(word)}
    raw = " | ".join(f"'{form}':*" for form in sorted(forms))
    return SearchQuery(raw, config="simple", search_type="raw")


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


# ------------------------------------------------------------------------------------ categories


def category_tree(*, store: Store) -> Category:
    """The tree of the categories that have something to sell; at most two minutes old."""
    return _category_tree(store.pk, int(time.monotonic() / TREE_FRESH_S))


def shelves_forget() -> None:
    """Read trees and popularity again at their next use: after an import here, and in tests."""
    _category_tree.cache_clear()
    _purchases.cache_clear()


def category_find(*, store: Store, slug_path: str) -> Category | None:
    """The category with this address, such as "dairy-eggs/milk"."""
    node = category_tree(store=store)
    for slug in slug_path.strip("/").split("/"):
        if slug not in node.children:
            return None
        node = node.children[slug]
    return node


def category_of(*, store: Store, product: Product) -> Category | None:
    """The product's category; None if nothing is on sale there."""
    node = category_tree(store=store)
    for name in filter(None, product.category_path.split(CATEGORY_SEPARATOR)):
        below = node.children.get(_slug(name))
        if below is None:
            return None
        node = below
    return node if node.path else None


def categories_matching(*, store: Store, query: str, limit: int = 6) -> list[Category]:
    """Categories whose own name has every word of the query, the largest first."""
    words = search_words(query)
    if not words:
        return []
    found = [
        category
        for category in category_tree(store=store).walk()
        if category.path and all(_singular(word) in category.name.lower() for word in words)
    ]
    return sorted(found, key=lambda category: -category.n_products)[:limit]


@lru_cache(maxsize=16)
def _category_tree(store_id: int, age: int) -> Category:
    root = Category(name="All departments", path="", slug_path="")
    rows = (
        products_visible(store_id=store_id)
        .exclude(category_path="")
        .values_list("category_path")
        .annotate(n_products=Count("pk"))
        .order_by("category_path")
    )
    for path, n_products in rows:
        root.n_products += n_products
        node = root
        for name in path.split(CATEGORY_SEPARATOR):
            node = _child(node, name)
            node.n_products += n_products
    return root


def _child(node: Category, name: str) -> Category:
    slug = _slug(name)
    if slug not in node.children:
        node.children[slug] = Category(
            name=name,
            path=f"{node.path}{CATEGORY_SEPARATOR}{name}" if node.path else name,
            slug_path=f"{node.slug_path}/{slug}" if node.slug_path else slug,
            parent=node,
        )
    return node.children[slug]


def _slug(name: str) -> str:
    return slugify(name) or "other"


def _below(category_path: str) -> Q:
    if not category_path:
        return Q()
    return Q(category_path=category_path) | Q(
        category_path__startswith=category_path + CATEGORY_SEPARATOR
    )


# -------------------------------------------------------------------------------------- ordering


def _ordering(sort: str) -> tuple[str | Case, ...]:
    if sort == "price":
        return ("price_minor", "title")
    if sort == "-price":
        return ("-price_minor", "title")
    if sort == "title":
        return ("title",)
    return (_flag(~Q(list_price_minor__gt=F("price_minor"))), "title")


def _flag(condition: Q) -> Case:
    """False before true; an unknown counts as true."""
    return Case(
        When(~condition, then=Value(False)), default=Value(True), output_field=BooleanField()
    )


def _out_of_stock() -> Case:
    return _flag(Q(availability=Product.Availability.OUT_OF_STOCK))
