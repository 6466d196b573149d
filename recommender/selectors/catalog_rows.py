"""Products as rows for the serving snapshot: everything once, then what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db import connection

from catalog.selectors.showable import AVAILABLE_SQL, VISIBLE_SQL

# A transaction that writes products may be open this long before it commits: rows are read again
# from this far behind the newest one that was seen, and skipped if they are the same.
OVERLAP_S = 15 * 60

_COLUMNS = f"""
    id, external_id, title, url, image_url, price_minor, list_price_minor, currency,
    {AVAILABLE_SQL}, {VISIBLE_SQL}, brand, category_path,
    extract(epoch FROM published_at)::int8, (extract(epoch FROM updated_at) * 1000000)::int8,
    availability, stock_count, margin_minor, tags || member_tags, attributes::text
"""


class ProductRow(NamedTuple):
    """One product as the serving snapshot needs it, in the order of `_COLUMNS`."""

    product_id: int
    external_id: str
    title: str
    url: str
    image_url: str
    price_minor: int | None
    list_price_minor: int | None
    currency: str
    available: bool
    shown: bool
    brand: str
    category_path: str
    published_at_s: int | None
    updated_at_us: int
    availability: str = "in_stock"
    stock_count: int | None = None
    margin_minor: int | None = None
    tags: Sequence[str] = ()
    attributes: str = "{}"


def catalog_rows(*, store_id: int, block: int = 20_000) -> Iterator[list[ProductRow]]:
    """All products of a store by ascending id, in blocks (one query each)."""
    last_id = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {_COLUMNS} FROM catalog_product"
                " WHERE store_id = %s AND id > %s ORDER BY id LIMIT %s",
                [store_id, last_id, block],
            )
            rows = [ProductRow(*row) for row in cursor.fetchall()]
        if rows:
            yield rows
        if len(rows) < block:
            return
        last_id = rows[-1].product_id


def catalog_rows_changed(
    *, store_id: int, newest_update_us: int, known: dict[int, int]
) -> list[ProductRow]:
    """Products changed since the newest update that was seen, without those in `known`.

    Two queries: which ids changed when (cheap), then the rows that differ. `known` holds the
    update times of the overlap that the caller has applied already; it is brought up to date.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, (extract(epoch FROM updated_at) * 1000000)::int8 FROM catalog_product"
            " WHERE store_id = %s AND updated_at > to_timestamp(%s)",
            [store_id, newest_update_us / 1e6 - OVERLAP_S],
        )
        times: dict[int, int] = dict(cursor.fetchall())
        changed = [key for key, at in times.items() if known.get(key) != at]
        known.clear()
        known.update(times)
        if not changed:
            return []
        cursor.execute(
            f"SELECT {_COLUMNS} FROM catalog_product WHERE store_id = %s AND id = ANY(%s)",
            [store_id, changed],
        )
        return [ProductRow(*row) for row in cursor.fetchall()]


def catalog_rows_named(*, store_id: int, external_ids: Sequence[str]) -> list[ProductRow]:
    """Some products by the shop's ids. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM catalog_product"
            " WHERE store_id = %s AND external_id = ANY(%s) ORDER BY id",
            [store_id, list(external_ids)],
        )
        return [ProductRow(*row) for row in cursor.fetchall()]
