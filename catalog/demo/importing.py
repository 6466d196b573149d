"""The demo store: products and a year of orders out of the demo source."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection
from numpy.typing import NDArray
from pyarrow import csv

from catalog.demo.held_back import HELD_BACK_DAYS, event_id, held_back_from_s, orders_until
from catalog.demo.source import (
    CURRENCY,
    TIME_ZONE,
    SourceOrders,
    SourceProduct,
    read_orders,
    read_products,
)
from catalog.demo.tiles import tile_url
from catalog.demo.timing import DAY_S, WEEK_S, moved, wall_clock
from catalog.demo.titles import product_wording
from catalog.models import EventType, Product, Store, User
from catalog.services.imports import EventsCopied, ProductsCopied, events_copy, products_copy
from catalog.services.stores import store_create

STORE_NAME = "Journey Market"
STORE_SLUG = "demo"
MEMBER_EMAIL = "demo@example.com"
MEMBER_PASSWORD = "demo-vitrine"  # noqa: S105  shown on the demo's login page
PRODUCT_URL = "/shop/products/{external_id}/"

# The price of today: what was usually paid in the last quarter of the data.
PRICE_WINDOW_DAYS = 90
# A product that nobody bought for a third of a year is no longer on the shelf.
SHELF_WINDOW_DAYS = 120
_PRODUCTS_PER_BLOCK = 25_000

# What is being done, and the share of the whole import that is done, 0 to 1.
Progress = Callable[[str, float], None]


class DemoImportRefused(Exception):
    """An import that would mix up a store's data; the text says why."""


@dataclass(frozen=True, slots=True)
class DemoImported:
    """What an import found and did."""

    store: Store
    weeks_moved: int
    products: ProductsCopied
    events: EventsCopied
    n_orders: int
    n_orders_held_back: int
    n_shoppers: int
    n_lines_dropped: int
    value_minor: int
    value_minor_held_back: int
    seconds: dict[str, float] = field(default_factory=dict)


def demo_import(
    *,
    now: datetime,
    slug: str = STORE_SLUG,
    email: str = MEMBER_EMAIL,
    password: str = MEMBER_PASSWORD,
    keep_dates: bool = False,
    held_back_days: int = HELD_BACK_DAYS,
    n_orders: int | None = None,
    n_connections: int = 2,
    progress: Progress = lambda _step, _share: None,
) -> DemoImported:
    """Make the demo store, its member, products, shoppers and orders, or complete them.

    Running it again changes nothing; after an interruption it adds what is missing. The orders
    are moved by whole weeks so that the last one falls in the seven days before `now`
    (docs/decisions/0002-demo-dates.md); a second run keeps the move of the first. Those of the last
    weeks are left to `manage.py replay`: nothing trains on them before they are played.

    The catalog is the one of the whole year: what a product costs and whether it is on the shelf, a
    shop knows without having sold it.

    Parameters
    ----------
    now
        Aware.
    keep_dates
        Leave the orders in 2017.
    held_back_days
        So many of the shop's last days are kept back; 0 imports the whole year.
    n_orders
        Only that many of the first orders, and the products in them.
    n_connections
        Orders are stored over so many at the same time; 1 within a transaction.
    progress
        Called with the step's name and the share of all that is done, 0 to 1.
    """
    watch = _Watch(progress)
    with watch.step("Reading the orders", until=0.08):
        products = read_products()
        orders = read_orders(products, n_orders=n_orders)
    with watch.step("Opening the store", until=0.10):
        store = _demo_store(slug=slug, email=email, password=password)
        weeks = _weeks_to_move(store=store, orders=orders, now=now, keep_dates=keep_dates)
        sold_at_s = moved(orders.sold_at_s, weeks=weeks)
        imported = orders_until(orders, held_back_from_s(orders, days=held_back_days))
    with watch.step("Wording the products", until=0.20):
        facts = _product_facts(orders, sold_at_s)
        if n_orders is not None:
            products = [product for product in products if product.product_id in facts]
        rows = [_product_row(product, facts.get(product.product_id)) for product in products]
    with watch.step("Storing the products", until=0.32):
        products_copied = products_copy(store=store, blocks=_product_blocks(rows))
    del rows
    with watch.step("Storing the orders", until=0.97) as done:
        events_copied = events_copy(
            store=store,
            blocks=_event_blocks(imported, sold_at_s[: imported.n_lines], done),
            n_connections=n_connections,
        )
    with watch.step("Updating the statistics of the tables", until=1.0), connection.cursor() as sql:
        sql.execute("ANALYZE catalog_product, catalog_shopper, catalog_event")
    n_imported = len(imported.order_starts())
    value_minor = int(imported.value_minor.sum())
    return DemoImported(
        store=store,
        weeks_moved=weeks,
        products=products_copied,
        events=events_copied,
        n_orders=n_imported,
        n_orders_held_back=len(orders.order_starts()) - n_imported,
        n_shoppers=len(np.unique(imported.household_id)),
        n_lines_dropped=orders.n_dropped,
        value_minor=value_minor,
        value_minor_held_back=int(orders.value_minor.sum()) - value_minor,
        seconds=watch.seconds,
    )


# ----------------------------------------------------------------------------------------- store


def _demo_store(*, slug: str, email: str, password: str) -> Store:
    store = Store.objects.filter(slug=slug).first()
    if store is not None:
        if not store.is_demo:
            raise DemoImportRefused(f"The store {slug!r} is a real one: choose another slug.")
        return store
    member = User.objects.filter(email=email.strip().lower()).first()
    return store_create(
        name=STORE_NAME,
        slug=slug,
        currency=CURRENCY,
        locale="en",
        time_zone=TIME_ZONE,
        is_demo=True,
        owner=member or User.objects.create_user(email, password, name="Demo member"),
    )


# ------------------------------------------------------------------------------------------ time


def _weeks_to_move(*, store: Store, orders: SourceOrders, now: datetime, keep_dates: bool) -> int:
    """Choose the whole number of weeks, or find the one that an earlier run chose."""
    stored = weeks_moved(store=store, orders=orders)
    if stored is None:
        if keep_dates:
            return 0
        last = int(wall_clock(orders.sold_at_s[-1:])[0])
        return (int(wall_clock(np.array([int(now.timestamp())]))[0]) - last) // WEEK_S
    if keep_dates and stored:
        raise DemoImportRefused(
            f"The store {store.slug!r} holds these orders, moved by {stored} weeks:"
            " import into another slug to keep the dates of 2017."
        )
    return stored


def weeks_moved(*, store: Store, orders: SourceOrders) -> int | None:
    """Read the move of an earlier run off one of its orders; None if there are none.

    Blocks are stored in the order of time, so the first orders are there if any are.
    """
    starts = orders.order_starts()[:1000]
    sold_at_s = dict(zip(map(str, orders.order_id[starts]), orders.sold_at_s[starts], strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT order_id, occurred_at FROM catalog_event"
            " WHERE store_id = %s AND type = %s AND order_id = ANY(%s) LIMIT 1",
            [store.pk, EventType.PURCHASE, list(sold_at_s)],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    order_id, occurred_at = row
    before, after = wall_clock(np.array([sold_at_s[order_id], int(occurred_at.timestamp())]))
    return round((int(after) - int(before)) / WEEK_S)


# -------------------------------------------------------------------------------------- products


@dataclass(frozen=True, slots=True)
class _ProductFacts:
    """What the orders say about a product. Money in cents for one piece."""

    price_minor: int | None
    list_price_minor: int | None
    first_sold_at_s: int
    on_shelf: bool


def _product_facts(orders: SourceOrders, sold_at_s: NDArray[np.int64]) -> dict[int, _ProductFacts]:
    """Read prices, first sale and availability of every sold product off the orders.

    The price is the median paid in the last `PRICE_WINDOW_DAYS`, of all time if it wasn't sold in
    them; the list price likewise, if it is higher. The lower of two middle prices counts, so that
    every price was once paid. Given away products have none.
    """
    end_s = int(sold_at_s.max())
    sold = orders.quantity > 0
    paid = sold & (orders.value_minor > 0)
    recent = paid & (sold_at_s > end_s - PRICE_WINDOW_DAYS * DAY_S)
    quantity = np.maximum(orders.quantity, 1)
    price = _per_piece(orders.value_minor, quantity)
    list_price = _per_piece(orders.value_minor + orders.discount_minor, quantity)

    products, row = np.unique(orders.product_id, return_inverse=True)
    prices, list_prices = (
        np.where(
            (usual := _medians(row[recent], minor[recent], len(products))) > 0,
            usual,
            _medians(row[paid], minor[paid], len(products)),
        ).tolist()
        for minor in (price, list_price)
    )
    # Lines are sorted by time.
    first_s, last_s = np.full(len(products), end_s), np.zeros(len(products), dtype=np.int64)
    first_s[row[sold][::-1]] = sold_at_s[sold][::-1]
    last_s[row[sold]] = sold_at_s[sold]
    on_shelf = (last_s > end_s - SHELF_WINDOW_DAYS * DAY_S).tolist()
    return {
        product_id: _ProductFacts(
            price_minor=prices[at] or None,
            list_price_minor=list_prices[at] if 0 < prices[at] < list_prices[at] else None,
            first_sold_at_s=int(first_s[at]),
            on_shelf=on_shelf[at],
        )
        for at, product_id in enumerate(products.tolist())
        if last_s[at] > 0
    }


def _per_piece(minor: NDArray[np.int64], quantity: NDArray[np.int64]) -> NDArray[np.int64]:
    return (2 * minor + quantity) // (2 * quantity)


def _medians(row: NDArray[np.int64], minor: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Find the (lower) median of each row's values, which are below 2³²; 0 for a row without."""
    keys = np.sort((row << 32) | minor)
    starts = np.searchsorted(keys, np.arange(n_rows, dtype=np.int64) << 32)
    counts = np.diff(np.append(starts, len(keys)))
    medians = np.zeros(n_rows, dtype=np.int64)
    has = counts > 0
    medians[has] = keys[(starts + (counts - 1) // 2)[has]] & 0xFFFF_FFFF
    return medians


_IN_STOCK, _OUT_OF_STOCK = (
    str(Product.Availability.IN_STOCK),
    str(Product.Availability.OUT_OF_STOCK),
)
# A few thousand categories, ninety thousand products.
_tile_url = lru_cache(maxsize=None)(tile_url)
_ProductRow = tuple[
    str, str, str, str, int | None, int | None, str, str, str, str, bool, str | None
]


def _product_row(product: SourceProduct, facts: _ProductFacts | None) -> _ProductRow:
    wording = product_wording(
        department=product.department,
        category=product.category,
        product_type=product.product_type,
        package_size=product.package_size,
        private_label=product.private_label,
        manufacturer_id=product.manufacturer_id,
    )
    on_shelf = facts is not None and facts.on_shelf
    external_id = str(product.product_id)
    return (
        external_id,
        wording.title,
        PRODUCT_URL.format(external_id=external_id),
        _tile_url(wording.category_path),
        facts.price_minor if facts else None,
        facts.list_price_minor if facts else None,
        _IN_STOCK if on_shelf else _OUT_OF_STOCK,
        wording.brand,
        wording.category_path,
        json.dumps({"size": wording.size} if wording.size else {}, ensure_ascii=False),
        wording.hidden,
        datetime.fromtimestamp(facts.first_sold_at_s, UTC).isoformat() if facts else None,
    )


def _product_blocks(rows: Sequence[_ProductRow]) -> Iterator[bytes]:
    for start in range(0, len(rows), _PRODUCTS_PER_BLOCK):
        part = rows[start : start + _PRODUCTS_PER_BLOCK]
        columns = zip(_PRODUCT_TYPES, zip(*part, strict=True), strict=True)
        yield _csv([pa.array(column, type=kind) for kind, column in columns])


_PRODUCT_TYPES = (
    *[pa.string()] * 4,
    *[pa.int64()] * 2,
    *[pa.string()] * 4,
    pa.bool_(),
    pa.string(),
)


# ---------------------------------------------------------------------------------------- events


def _event_blocks(
    orders: SourceOrders, sold_at_s: NDArray[np.int64], done: Callable[[float], None]
) -> Iterator[bytes]:
    """Write the orders as CSV, a block per month (UTC): so they are stored fastest."""
    starts = orders.order_starts()
    ends = np.append(starts[1:], orders.n_lines)
    line = np.arange(orders.n_lines) - np.repeat(starts, ends - starts)
    month = sold_at_s.astype("datetime64[s]").astype("datetime64[M]")
    firsts = np.flatnonzero(np.append(True, month[1:] != month[:-1])).tolist()
    for first, last in zip(firsts, [*firsts[1:], orders.n_lines], strict=True):
        yield _event_block(orders, sold_at_s, line, slice(first, last))
        done(last / orders.n_lines)


def _event_block(
    orders: SourceOrders,
    sold_at_s: NDArray[np.int64],
    line: NDArray[np.int64],
    rows: slice,
) -> bytes:
    order_id, quantity, value = (
        orders.order_id[rows],
        orders.quantity[rows],
        orders.value_minor[rows],
    )
    ids, starts, which = np.unique(order_id, return_index=True, return_inverse=True)
    event_ids = pa.array(
        [
            str(event_id(order_id=str(order), occurred_at_s=int(second)))
            for order, second in zip(ids.tolist(), sold_at_s[rows][starts].tolist(), strict=True)
        ]
    )
    pieces, nothing = np.maximum(quantity, 1), quantity == 0
    list_value = value + orders.discount_minor[rows]
    households = pa.array(orders.household_id[rows]).cast(pa.string())
    times = pa.array(sold_at_s[rows]).cast(pa.timestamp("s"))
    order_text = pa.array(order_id).cast(pa.string())
    n_rows = len(order_id)
    return _csv(
        [
            event_ids.take(pa.array(which)),
            pa.array(line[rows]),
            pa.array(np.full(n_rows, int(EventType.PURCHASE))),
            pc.binary_join_element_wise(pa.scalar("household-"), households, pa.scalar("")),
            order_text,
            pa.array(orders.product_id[rows]).cast(pa.string()),
            pa.array(quantity),
            pa.array(_per_piece(value, pieces), mask=nothing),
            pa.array(_per_piece(list_value, pieces), mask=nothing),
            pa.array(value),
            order_text,
            pc.binary_join_element_wise(times.cast(pa.string()), pa.scalar("Z"), pa.scalar("")),
        ]
    )


def _csv(columns: list[pa.Array]) -> bytes:
    """Write columns as the CSV that COPY reads: NULL is an empty field, an empty text is quoted."""
    names = [str(number) for number in range(len(columns))]
    buffer = io.BytesIO()
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(pa.table(columns, names=names), buffer, write_options=options)
    return buffer.getvalue()


# -------------------------------------------------------------------------------------- progress


class _Watch:
    """Times the steps and tells how far the whole is."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._share = 0.0

    @contextmanager
    def step(self, name: str, *, until: float) -> Iterator[Callable[[float], None]]:
        """Time one step, which brings the whole to `until`; yields a way to tell its own share."""
        began, start = self._share, time.perf_counter()
        self._progress(name, began)
        yield lambda share: self._progress(name, began + share * (until - began))
        self._share = until
        self.seconds[name] = time.perf_counter() - start
        self._progress(name, until)
