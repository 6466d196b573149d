"""Bulk import: set-based, by COPY, repeatable.

Both imports take blocks of CSV without a header: an unquoted empty field is NULL, a quoted one an
empty text. A block is the unit of memory, and is committed before the next one, so an import that
was cut off is completed by running it again: what is there already stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import LiteralString

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from catalog.models import Store
from catalog.services.partitions import (
    Month,
    PartitionedTable,
    partition_make,
    partitions_missing,
)
from catalog.services.products import catalog_changed

# Columns of a block of products, in order; their types are those of `Product`.
PRODUCT_COLUMNS = (
    "external_id",
    "title",
    "url",
    "image_url",
    "price_minor",
    "list_price_minor",
    "availability",
    "brand",
    "category_path",
    "attributes",
    "hidden",
    "published_at",
)
# Columns of a block of events, in order. `shopper` and `product` are the shop's own ids,
# `occurred_at` has its offset from UTC, `event_id` is the same in every run.
EVENT_COLUMNS = (
    "event_id",
    "line",
    "type",
    "shopper",
    "session_id",
    "product",
    "quantity",
    "price_minor",
    "list_price_minor",
    "value_minor",
    "order_id",
    "occurred_at",
)

_PRODUCT_STAGING = """
    CREATE TEMPORARY TABLE product_staging (
        external_id varchar, title varchar, url varchar, image_url varchar, price_minor bigint,
        list_price_minor bigint, availability varchar, brand varchar, category_path varchar,
        attributes jsonb, hidden boolean, published_at timestamptz
    ) ON COMMIT DROP
"""
# `hidden` is a member's decision: an import makes it for new products only.
_PRODUCT_UPSERT = """
    WITH upserted AS (
        INSERT INTO catalog_product AS product (
            store_id, currency, external_id, title, description, url, image_url, price_minor,
            list_price_minor, availability, brand, category_path, tags, attributes, hidden,
            published_at
        )
        SELECT %(store_id)s, %(currency)s, external_id, title, '', url, image_url, price_minor,
               list_price_minor, availability, brand, category_path, '{}', attributes, hidden,
               published_at
        FROM product_staging
        ON CONFLICT (store_id, external_id) DO UPDATE SET
            title = excluded.title, url = excluded.url, image_url = excluded.image_url,
            price_minor = excluded.price_minor, list_price_minor = excluded.list_price_minor,
            currency = excluded.currency, availability = excluded.availability,
            brand = excluded.brand, category_path = excluded.category_path,
            attributes = excluded.attributes, published_at = excluded.published_at,
            updated_at = now()
        WHERE (product.title, product.url, product.image_url, product.price_minor,
               product.list_price_minor, product.currency, product.availability, product.brand,
               product.category_path, product.attributes, product.published_at)
            IS DISTINCT FROM
              (excluded.title, excluded.url, excluded.image_url, excluded.price_minor,
               excluded.list_price_minor, excluded.currency, excluded.availability, excluded.brand,
               excluded.category_path, excluded.attributes, excluded.published_at)
        RETURNING (xmax = 0) AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM upserted
"""

_EVENT_STAGING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS event_staging (
        event_id uuid, line smallint, type smallint, shopper varchar, session_id varchar,
        product varchar, quantity integer, price_minor bigint, list_price_minor bigint,
        value_minor bigint, order_id varchar, occurred_at timestamptz
    )
"""
_SHOPPER_UPSERT = """
    INSERT INTO catalog_shopper AS shopper (
        store_id, external_id, first_seen_at, last_seen_at, profile
    )
    SELECT %(store_id)s, shopper, min(occurred_at), max(occurred_at), '{}'
    FROM event_staging GROUP BY shopper
    -- in one order, so that two imports never wait for each other
    ORDER BY shopper
    ON CONFLICT (store_id, external_id) DO UPDATE SET
        first_seen_at = least(shopper.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(shopper.last_seen_at, excluded.last_seen_at)
    WHERE excluded.first_seen_at < shopper.first_seen_at
       OR excluded.last_seen_at > shopper.last_seen_at
"""
_EVENT_INSERT = """
    INSERT INTO {table} (
        store_id, event_id, line, occurred_on, type, shopper_id, session_id, product_id,
        unknown_product, quantity, price_minor, list_price_minor, value_minor, order_id, occurred_at
    )
    SELECT %(store_id)s, staged.event_id, staged.line,
           (staged.occurred_at AT TIME ZONE 'UTC')::date, staged.type, shopper.id,
           staged.session_id, product.id,
           CASE WHEN product.id IS NULL THEN staged.product END,
           staged.quantity, staged.price_minor, staged.list_price_minor, staged.value_minor,
           staged.order_id, staged.occurred_at
    FROM event_staging AS staged
    JOIN catalog_shopper AS shopper
      ON shopper.store_id = %(store_id)s AND shopper.external_id = staged.shopper
    LEFT JOIN catalog_product AS product
      ON product.store_id = %(store_id)s AND product.external_id = staged.product
"""
_OF_MONTH = """
    WHERE (staged.occurred_at AT TIME ZONE 'UTC')::date >= %(start)s
      AND (staged.occurred_at AT TIME ZONE 'UTC')::date < %(end)s
"""
_EVENTS = PartitionedTable(name="catalog_event", key="occurred_on")


@dataclass(frozen=True, slots=True)
class ProductsCopied:
    """What an import of products did."""

    n_read: int
    n_new: int
    n_changed: int


@dataclass(frozen=True, slots=True)
class EventsCopied:
    """What an import of events did, in lines (an order of three products is three lines)."""

    n_read: int
    n_stored: int

    @property
    def n_duplicate(self) -> int:
        return self.n_read - self.n_stored


def products_copy(*, store: Store, blocks: Iterable[bytes]) -> ProductsCopied:
    """Create and update products from CSV blocks of `PRODUCT_COLUMNS`, one transaction per block.

    Unchanged products keep their `updated_at`. Members' own decisions (`hidden`), tags and
    descriptions of existing products are left alone.
    """
    n_read = n_new = n_changed = 0
    for block in blocks:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_PRODUCT_STAGING)
            n_read += _copy_in(cursor, "COPY product_staging FROM STDIN (FORMAT csv)", block)
            cursor.execute(_PRODUCT_UPSERT, {"store_id": store.pk, "currency": store.currency})
            new, changed = cursor.fetchone()
            cursor.execute("DROP TABLE product_staging")
            if new or changed:
                catalog_changed(store_id=store.pk)
        n_new, n_changed = n_new + new, n_changed + changed
    return ProductsCopied(n_read=n_read, n_new=n_new, n_changed=n_changed)


def events_copy(*, store: Store, blocks: Iterable[bytes], n_connections: int = 1) -> EventsCopied:
    """Store events from CSV blocks of `EVENT_COLUMNS`.

    Shoppers that don't exist are made, partitions too. A line that is already there is left
    alone. A product that the catalog lacks is kept by the shop's id (`unknown_product`).

    Blocks that hold whole months (UTC) are stored twice as fast: a month without a partition is
    filled before its indexes are built. With more than one connection, blocks are stored side by
    side, each from a thread of its own, and not within a transaction of the caller.
    """
    if n_connections == 1:
        return _blocks_store(store, iter(blocks))
    shared = _Shared(iter(blocks))
    with ThreadPoolExecutor(n_connections, thread_name_prefix="import") as pool:
        parts = list(pool.map(lambda _: _blocks_store_apart(store, shared), range(n_connections)))
    return EventsCopied(
        n_read=sum(part.n_read for part in parts), n_stored=sum(part.n_stored for part in parts)
    )


class _Shared(Iterator[bytes]):
    """One iterator for several threads."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._lock = threading.Lock()

    def __next__(self) -> bytes:
        with self._lock:
            return next(self._blocks)


def _blocks_store_apart(store: Store, blocks: Iterator[bytes]) -> EventsCopied:
    """Store blocks over this thread's own connection."""
    try:
        return _blocks_store(store, blocks)
    finally:
        connection.close()


def _blocks_store(store: Store, blocks: Iterator[bytes]) -> EventsCopied:
    n_read = n_stored = 0
    with connection.cursor() as cursor:
        cursor.execute(_EVENT_STAGING)
        for block in blocks:
            cursor.execute("TRUNCATE event_staging")
            n_staged = _copy_in(cursor, "COPY event_staging FROM STDIN (FORMAT csv)", block)
            n_stored += _staged_store(cursor, store, n_staged)
            n_read += n_staged
        cursor.execute("DROP TABLE event_staging")
    return EventsCopied(n_read=n_read, n_stored=n_stored)


def _staged_store(cursor: CursorWrapper, store: Store, n_staged: int) -> int:
    if n_staged == 0:
        return 0
    cursor.execute(
        "SELECT (min(occurred_at) AT TIME ZONE 'UTC')::date,"
        " (max(occurred_at) AT TIME ZONE 'UTC')::date FROM event_staging"
    )
    first, last = cursor.fetchone()
    cursor.execute(_SHOPPER_UPSERT, {"store_id": store.pk})
    n_stored = 0
    for month in partitions_missing(table=_EVENTS, first=first, last=last):
        n_stored += _month_fill(store, month)
    if n_stored == n_staged:
        return n_stored
    with transaction.atomic():
        _hash_joins_only(cursor)
        cursor.execute(
            f"{_EVENT_INSERT.format(table='catalog_event')} ON CONFLICT DO NOTHING",
            {"store_id": store.pk},
        )
        n_others: int = cursor.rowcount
    return n_stored + n_others


def _month_fill(store: Store, month: Month) -> int:
    """Store the staged events of a month together with its partition; returns how many.

    Returns 0 if some of them are there already, or twice: the insert that can tell does them all.
    """
    n_stored = 0

    def fill(cursor: CursorWrapper, table: str) -> None:
        nonlocal n_stored
        _hash_joins_only(cursor)
        cursor.execute(
            _EVENT_INSERT.format(table=table) + _OF_MONTH,
            {"store_id": store.pk, "start": month.start, "end": month.end},
        )
        n_stored = cursor.rowcount

    try:
        return n_stored if partition_make(table=_EVENTS, month=month, fill=fill) else 0
    except IntegrityError:
        partition_make(table=_EVENTS, month=month)
        return 0


def _hash_joins_only(cursor: CursorWrapper) -> None:
    """Keep the planner, for this transaction, from a loop over all products per line.

    It knows nothing yet of products that were imported a moment ago, and would take 92,000 of them
    for a handful: an import of ten seconds then took ten minutes.
    """
    cursor.execute("SELECT set_config('enable_nestloop', 'off', true)")


def _copy_in(cursor: CursorWrapper, statement: LiteralString, block: bytes) -> int:
    with cursor.cursor.copy(statement) as copy:
        copy.write(block)
    n_rows: int = cursor.rowcount
    return n_rows
