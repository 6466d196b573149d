"""The tables of Insights as CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, StreamingHttpResponse
from django.views.decorators.http import require_safe

from analytics.console.insights_asked import Asked, asked_of, unseen_filter
from analytics.console.insights_words import slice_rows
from analytics.selectors.insights import Dimension, Figures, Span, period_slices, span_figures
from analytics.selectors.insights_products import top_products, unseen_all
from catalog.console.access import ConsoleRequest, member_page
from catalog.models import Store
from catalog.money import price_text
from catalog.spreadsheet import csv_lines

Lines = Iterator[tuple[object, ...]]
_FIGURES = ("impressions", "viewable", "clicks", "orders", "attributed_revenue", "currency")
# Of one file: nobody reads more by hand, and a program asks by period.
MAX_PRODUCTS = 100_000


@require_safe
@member_page()
def insights_export(request: ConsoleRequest, table: str) -> StreamingHttpResponse:
    """One table of the period that the address names, all of its rows."""
    if table not in TABLES:
        raise Http404("There is no such table.")
    asked = asked_of(request)
    response = StreamingHttpResponse(
        csv_lines(TABLES[table](request, asked)), content_type="text/csv; charset=utf-8"
    )
    period = asked.period
    name = f"{request.store.slug}-{table}-{period.first:%Y-%m-%d}-{period.last:%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _days(request: ConsoleRequest, asked: Asked) -> Lines:
    store = request.store
    yield ("day", *_FIGURES, "empty", "fallback", "diversity", "novelty")
    spans = [Span(day, day) for day in asked.period.days]
    for span, figures in zip(spans, span_figures(store=store, spans=spans), strict=True):
        yield (
            span.first.isoformat(), *_cells(figures, store), figures.n_empty, figures.n_fallback,
            _decimal(figures.diversity), _decimal(figures.novelty),
        )  # fmt: skip


def _slices(dimension: Dimension) -> Callable[[ConsoleRequest, Asked], Lines]:
    def lines(request: ConsoleRequest, asked: Asked) -> Lines:
        store = request.store
        slices = period_slices(store=store, period=asked.period, dimension=dimension)
        yield (str(dimension), *_FIGURES, *(f"{name}_before" for name in _FIGURES[:-1]))
        for row in slice_rows(
            store=store, dimension=dimension, slices=slices, comparable=True, query={}
        ):
            before = _cells(row.before or Figures(), store)[:-1]
            yield (row.name, *_cells(row.now, store), *before)

    return lines


def _products(request: ConsoleRequest, asked: Asked) -> Lines:
    store = request.store
    yield ("product_id", "title", "category", "shown", "clicks", "orders", "units",
           "attributed_revenue", "currency")  # fmt: skip
    for each in top_products(store=store, period=asked.period, limit=MAX_PRODUCTS):
        yield (
            each.external_id or "", each.title or "", each.category_path, each.n_shown,
            each.n_clicks, each.n_orders, each.n_units,
            price_text(each.revenue_minor, store.currency), store.currency,
        )  # fmt: skip


def _unseen(request: ConsoleRequest, asked: Asked) -> Lines:
    store = request.store
    wanted = unseen_filter(request)
    # A file is written when the view, and with it the store's time zone, is over.
    zone = ZoneInfo(store.time_zone)
    yield ("product_id", "title", "category", "in_catalog_since", "price", "stock_count",
           "stock_value", "currency")  # fmt: skip
    for each in unseen_all(store=store, period=asked.period, today=asked.today, wanted=wanted):
        yield (
            each.external_id, each.title, each.category_path, f"{each.since.astimezone(zone):%Y-%m-%d}",
            price_text(each.price_minor, store.currency),
            "" if each.stock_count is None else each.stock_count,
            "" if each.stock_minor is None else price_text(each.stock_minor, store.currency),
            store.currency,
        )  # fmt: skip


def _cells(figures: Figures, store: Store) -> tuple[object, ...]:
    return (
        figures.n_impressions, figures.n_seen, figures.n_clicks, figures.n_orders,
        price_text(figures.revenue_minor, store.currency), store.currency,
    )  # fmt: skip


def _decimal(value: float | None) -> Any:
    return "" if value is None else round(value, 4)


TABLES: dict[str, Callable[[ConsoleRequest, Asked], Lines]] = {
    "days": _days,
    "products": _products,
    "never-shown": _unseen,
    **{str(dimension): _slices(dimension) for dimension in Dimension},
}
