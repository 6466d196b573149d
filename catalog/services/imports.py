"""Bulk import: set-based, by COPY, repeatable.

Both imports take blocks of CSV without a header: an unquoted empty field is NULL, a quoted one an
empty text. A block is the unit of memory and of the transaction, so an import that was cut off is
completed by running it again: what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from catalog.models import Store
from catalog.services.partitions import partitions_ensure

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
    ON CONFLICT (store_id, external_id) DO UPDATE SET
        first_seen_at = least(shopper.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(shopper.last_seen_at, excluded.last_seen_at)
    WHERE excluded.first_seen_at < shopper.first_seen_at
       OR excluded.last_seen_at > shopper.last_seen_at
"""
_EVENT_INSERT = """
    INSERT INTO catalog_event (
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
    ON CONFLICT DO NOTHING
"""


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
            cursor.execute(
                _PRODUCT_UPSERT, {"store_id": store.pk, "currency": store.currency}
            )
            new, changed = cursor.fetchone()
            cursor.execute("DROP TABLE product_staging")
        n_new, n_changed = n_new + new, n_changed + changed
    return ProductsCopied(n_read=n_read, n_new=n_new, n_changed=n_changed)


def events_copy(*, store: Store, blocks: Iterable[bytes]) -> EventsCopied:
    """Store events from CSV blocks of `EVENT_COLUMNS`, one transaction per block.

    Shoppers that don't exist are made, partitions too. A line that is already there is left
    alone. A product that the catalog lacks is kept by the shop's id (`unknown_product`).
    """
    n_read = n_stored = 0
    with connection.cursor() as cursor:
        cursor.execute(_EVENT_STAGING)
        for block in blocks:
            cursor.execute("TRUNCATE event_staging")
            n_read += _copy_in(cursor, "COPY event_staging FROM STDIN (FORMAT csv)", block)
            n_stored += _staged_events_store(cursor, store)
        cursor.execute("DROP TABLE event_staging")
    return EventsCopied(n_read=n_read, n_stored=n_stored)


def _staged_events_store(cursor: CursorWrapper, store: Store) -> int:
    cursor.execute(
        "SELECT (min(occurred_at) AT TIME ZONE 'UTC')::date,"
        " (max(occurred_at) AT TIME ZONE 'UTC')::date FROM event_staging"
    )
    first, last = cursor.fetchone()
    if first is None:
        return 0
    partitions_ensure(first=first, last=last)
    with transaction.atomic():
        cursor.execute(_SHOPPER_UPSERT, {"store_id": store.pk})
        cursor.execute(_EVENT_INSERT, {"store_id": store.pk})
        return cursor.rowcount


def _copy_in(cursor: CursorWrapper, statement: LiteralString, block: bytes) -> int:
    with cursor.cursor.copy(statement) as copy:
        copy.write(block)
    return cursor.rowcount
