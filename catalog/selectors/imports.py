"""Reading imports, feeds, and what could not be imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery

from catalog.models import ImportProblem, ProductFeed, ProductImport, Store

IMPORTS_PER_PAGE = 25
PROBLEMS_PER_PAGE = 50
# Kinds of problems that are worth a line of their own above the table.
GROUPS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Problems of one column with one reason."""

    column: str
    reason: str
    n_rows: int
    first_line: int


def import_find(*, store: Store, import_id: int) -> ProductImport | None:
    found = ProductImport.objects.filter(store=store, pk=import_id)
    return found.select_related("feed", "requested_by", "store").first()


def import_find_of(*, store_id: int, import_id: int) -> ProductImport | None:
    """The same for a key of the API. One query."""
    return ProductImport.objects.filter(store_id=store_id, pk=import_id).first()


def import_page(*, store: Store, number: str | int | None) -> Page[ProductImport]:
    """A page of a store's imports, the newest first. Two queries."""
    imports = ProductImport.objects.filter(store=store).select_related("feed", "requested_by")
    ordered = imports.defer("mapping").order_by("-created_at", "-pk")
    return Paginator(ordered, IMPORTS_PER_PAGE).get_page(number)


def feed_find(*, store: Store, feed_id: int) -> ProductFeed | None:
    return ProductFeed.objects.filter(store=store, pk=feed_id).select_related("store").first()


def feeds_of(*, store: Store) -> list[ProductFeed]:
    """A store's feeds by name, with `last_state` and `last_at` of their newest import. One query."""
    newest = ProductImport.objects.filter(feed=OuterRef("pk")).order_by("-created_at")
    feeds = ProductFeed.objects.filter(store=store).annotate(
        last_id=Subquery(newest.values("pk")[:1]),
        last_state=Subquery(newest.values("state")[:1]),
        last_at=Subquery(newest.values("created_at")[:1]),
    )
    return list(feeds.order_by("name", "pk"))


def problems_of(product_import: ProductImport) -> QuerySet[ImportProblem]:
    """In order of the file."""
    return ImportProblem.objects.filter(product_import=product_import).order_by("line", "pk")


def problem_page(product_import: ProductImport, *, number: str | int | None) -> Page[ImportProblem]:
    """Two queries."""
    return Paginator(problems_of(product_import), PROBLEMS_PER_PAGE).get_page(number)


def problem_groups(product_import: ProductImport) -> list[ProblemGroup]:
    """The most frequent kinds of problems. One query."""
    rows = (
        ImportProblem.objects.filter(product_import=product_import)
        .values("column", "reason")
        .annotate(n_rows=Count("pk"), first_line=Min("line"))
        .order_by("-n_rows", "first_line")[:GROUPS_SHOWN]
    )
    return [ProblemGroup(**row) for row in rows]


def problem_rows(product_import: ProductImport) -> Iterator[tuple[int, str, str, str]]:
    """Line, column, value and reason of every kept problem."""
    fields = ("line", "column", "value", "reason")
    return problems_of(product_import).values_list(*fields).iterator(chunk_size=500)
