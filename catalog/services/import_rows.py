"""The rows of a feed in PostgreSQL: staged by COPY, compared and stored set by set.

Everything is judged from a temporary table, so nothing of the catalog changes before the feed was
read to its end, and a dry run tells what the import itself would do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from catalog.contract.products import ProductDraft
from catalog.feeds.mapping import ATTRIBUTE, LABELS
from catalog.models import Store
from catalog.services.products import catalog_changed

_STAGING = """
CREATE TEMPORARY TABLE feed_staging (
    line integer NOT NULL, is_product boolean NOT NULL, external_id varchar(128) NOT NULL,
    title varchar, description text, url varchar, image_url varchar, price_minor bigint,
    list_price_minor bigint, margin_minor bigint, availability varchar, stock_count integer,
    brand varchar, category_path varchar, tags varchar[], attributes jsonb, published_at timestamptz
)
"""
_STAGED = (
    "line", "is_product", "external_id", "title", "description", "url", "image_url",
    "price_minor", "list_price_minor", "margin_minor", "availability", "stock_count", "brand",
    "category_path", "tags", "attributes", "published_at",
)  # fmt: skip
_COLUMNS = _STAGED[3:]
# The last row of a product counts, as with products that are sent twice. `place` cuts the blocks.
_DISTINCT = """
CREATE TEMPORARY TABLE feed_products AS
SELECT *, row_number() OVER (ORDER BY external_id) AS place
FROM (
    SELECT DISTINCT ON (external_id) * FROM feed_staging
    WHERE is_product ORDER BY external_id, line DESC
) AS last
"""
_REPEATED = """
SELECT staged.line, staged.external_id, last.line
FROM feed_staging AS staged JOIN feed_products AS last USING (external_id)
WHERE staged.is_product AND staged.line <> last.line
ORDER BY staged.line LIMIT %s
"""
_VANISHED = """
SELECT product.id FROM catalog_product AS product
WHERE product.store_id = %(store_id)s AND product.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM feed_staging AS staged WHERE staged.external_id = product.external_id)
"""

# Which columns of a product a field of the feed decides. Prices go together: a price that comes
# without its old list price would make a bargain of nothing.
_PRICES = ("price_minor", "list_price_minor")
_DECIDED: dict[str, tuple[str, ...]] = {
    "title": ("title",),
    "description": ("description",),
    "url": ("url",),
    "image_url": ("image_url",),
    "price": _PRICES,
    "sale_price": _PRICES,
    "list_price": _PRICES,
    "margin": ("margin_minor",),
    "availability": ("availability",),
    "stock_count": ("stock_count",),
    "brand": ("brand",),
    "category": ("category_path",),
    "tags": ("tags",),
    "published_at": ("published_at",),
}


@dataclass(frozen=True, slots=True)
class FeedCounts:
    """What an import would do; each product counted once. `n_live`: in the catalog before."""

    n_new: int
    n_changed: int
    n_unchanged: int
    n_vanished: int
    n_live: int

    @property
    def n_products(self) -> int:
        return self.n_new + self.n_changed + self.n_unchanged


@dataclass(frozen=True, slots=True)
class Repeated:
    """A row whose product stands again further down."""

    line: int
    external_id: str
    counts_line: int


@contextmanager
def feed_staging() -> Iterator[None]:
    """The temporary table, gone afterwards whatever happened in between."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS feed_staging, feed_products")
        cursor.execute(_STAGING)
    try:
        yield
    finally:
        usable = connection.connection is not None and not connection.connection.closed
        if usable and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS feed_staging, feed_products")


def rows_stage(
    *, drafts: Sequence[tuple[int, ProductDraft]], broken: Sequence[tuple[int, str]]
) -> None:
    """Add rows with their lines; of broken ones the id, so that they don't count as vanished."""
    nothing = (None,) * len(_COLUMNS)
    with connection.cursor() as cursor:
        statement = f"COPY feed_staging ({', '.join(_STAGED)}) FROM STDIN"
        with cursor.cursor.copy(statement) as copy:
            for line, draft in drafts:
                values = (getattr(draft, name) for name in _COLUMNS)
                plain = (Jsonb(value) if isinstance(value, dict) else value for value in values)
                copy.write_row((line, True, draft.external_id, *plain))
            for line, external_id in broken:
                copy.write_row((line, False, external_id, *nothing))


def feed_count(*, store: Store, mapping: Mapping[str, str]) -> FeedCounts:
    """Compare what was staged with the catalog. Call it once, when everything is staged."""
    decided = columns_decided(mapping)
    with connection.cursor() as cursor:
        cursor.execute(_DISTINCT)
        cursor.execute("CREATE INDEX ON feed_products (place)")
        cursor.execute("CREATE INDEX ON feed_staging (external_id)")
        cursor.execute("ANALYZE feed_products")
        cursor.execute("ANALYZE feed_staging")
        cursor.execute(
            f"""
            SELECT count(*) FILTER (WHERE product.id IS NULL OR product.deleted_at IS NOT NULL),
                   count(*) FILTER (WHERE product.deleted_at IS NULL AND {_differs(decided)}
                                    AND product.id IS NOT NULL),
                   count(*)
            FROM feed_products AS staged
            LEFT JOIN catalog_product AS product
              ON product.store_id = %(store_id)s AND product.external_id = staged.external_id
            """,
            {"store_id": store.pk, "currency": store.currency},
        )
        n_new, n_changed, n_all = cursor.fetchone()
        cursor.execute(
            f"SELECT (SELECT count(*) FROM ({_VANISHED}) AS vanished),"
            " (SELECT count(*) FROM catalog_product WHERE store_id = %(store_id)s"
            "  AND deleted_at IS NULL)",
            {"store_id": store.pk},
        )
        n_vanished, n_live = cursor.fetchone()
    return FeedCounts(n_new, n_changed, n_all - n_new - n_changed, n_vanished, n_live)


def rows_repeated(*, limit: int) -> tuple[int, list[Repeated]]:
    """How many rows are overruled by a later one of the same product, and the first of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM feed_staging WHERE is_product)"
            " - (SELECT count(*) FROM feed_products)"
        )
        (n_repeated,) = cursor.fetchone()
        if not n_repeated or limit <= 0:
            return n_repeated, []
        cursor.execute(_REPEATED, [limit])
        return n_repeated, [Repeated(*row) for row in cursor.fetchall()]


def products_store(
    *, store: Store, mapping: Mapping[str, str], first: int, last: int
) -> tuple[int, int]:
    """Create and update the counted products with places from `first` to `last`.

    One transaction; returns how many are new and how many changed. Of a product that exists only
    what the mapping says is touched: margins or attributes from elsewhere stay. One that was deleted
    comes back. `hidden` and `member_tags` are members' decisions and stay.
    """
    decided = columns_decided(mapping)
    inserted = ", ".join(_COLUMNS)
    updated = ", ".join(f"{name} = excluded.{name}" for name in decided)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH changing AS (
                SELECT staged.*, product.id IS NULL OR product.deleted_at IS NOT NULL AS is_new
                FROM feed_products AS staged
                LEFT JOIN catalog_product AS product
                  ON product.store_id = %(store_id)s AND product.external_id = staged.external_id
                WHERE staged.place BETWEEN %(first)s AND %(last)s
                  AND (product.id IS NULL OR product.deleted_at IS NOT NULL
                       OR {_differs(decided)})
            ), upserted AS (
                INSERT INTO catalog_product (store_id, currency, hidden, external_id, {inserted})
                SELECT %(store_id)s, %(currency)s, false, external_id, {inserted}
                FROM changing
                -- in one order, so that two writers wait for each other instead of blocking
                ORDER BY external_id
                ON CONFLICT (store_id, external_id) DO UPDATE SET
                    {updated}, currency = excluded.currency, deleted_at = NULL,
                    updated_at = statement_timestamp()
                RETURNING external_id
            )
            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new)
            FROM upserted JOIN changing USING (external_id)
            """,
            {"store_id": store.pk, "currency": store.currency, "first": first, "last": last},
        )
        n_new, n_changed = cursor.fetchone()
        if n_new or n_changed:
            catalog_changed(store_id=store.pk)
    return n_new, n_changed


def vanished_remove(*, store: Store) -> int:
    """Take the products out that the feed doesn't name; their rows stay for the events' sake."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE catalog_product SET deleted_at = now(), updated_at = statement_timestamp()"
            f" WHERE id IN ({_VANISHED})",
            {"store_id": store.pk},
        )
        n_removed: int = cursor.rowcount
        if n_removed:
            catalog_changed(store_id=store.pk)
    return n_removed


def columns_decided(mapping: Mapping[str, str]) -> list[str]:
    """The columns of a product that a feed with this mapping decides about."""
    decided: dict[str, None] = {}
    for field in mapping:
        if field.removeprefix(ATTRIBUTE) in LABELS:
            decided["tags"] = None
        elif field.startswith(ATTRIBUTE):
            decided["attributes"] = None
        else:
            decided |= dict.fromkeys(_DECIDED.get(field, ()))
    return list(decided)


def _differs(columns: Collection[str]) -> str:
    """SQL: whether a product differs from its staged row in one of the columns."""
    ours = ", ".join(f"product.{name}" for name in columns)
    theirs = ", ".join(f"staged.{name}" for name in columns)
    return f"(product.currency, {ours}) IS DISTINCT FROM (%(currency)s, {theirs})"
