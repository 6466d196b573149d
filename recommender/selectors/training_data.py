"""Facts for training, as arrays: read with binary COPY, which NumPy understands without a loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from django.db import connection

from catalog.models import EventType
from recommender.engine.id_map import IdMap, stable_hash64
from recommender.engine.types import BoolArray, Int16Array, Int32Array, Int64Array

# The binary COPY format: a header of 19 bytes, then per row a field count and per field a length.
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0"
_COPY_HEADER_BYTES = 19
_COPY_TRAILER_BYTES = 2


@dataclass(frozen=True, slots=True)
class TrainingProducts:
    """Every product that isn't deleted; row = position, by ascending product id.

    `texts` holds title, brand, category path and attributes as read.
    """

    ids: IdMap
    titles: list[str]
    brands: list[str]
    category_paths: list[str]
    attributes: list[dict[str, Any]]
    hidden: BoolArray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TrainingEvents:
    """Events with a product, one line each, in no particular order.

    Attributes
    ----------
    shopper_rows, item_rows : int32[n]
    types : int16[n], `EventType` numbers
    quantities : int32[n]
    times_s : int64[n], Unix seconds
    group_keys : int64[n]
        Equal for the lines of one order; for other events, of one session.
    """

    shopper_rows: Int32Array
    item_rows: Int32Array
    types: Int16Array
    quantities: Int32Array
    times_s: Int64Array
    group_keys: Int64Array

    def __len__(self) -> int:
        return len(self.item_rows)

    def where(self, mask: npt.NDArray[np.bool_]) -> TrainingEvents:
        """The events under a mask."""
        return TrainingEvents(
            self.shopper_rows[mask],
            self.item_rows[mask],
            self.types[mask],
            self.quantities[mask],
            self.times_s[mask],
            self.group_keys[mask],
        )


@dataclass(frozen=True, slots=True)
class TrainingShoppers:
    """Shoppers by ascending hash of their external id, which is how serving finds them."""

    shopper_ids: Int64Array
    hashes: Int64Array

    def __len__(self) -> int:
        return len(self.shopper_ids)


def training_products(*, store_id: int) -> TrainingProducts:
    """All products of a store that aren't deleted. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, title, brand, category_path, attributes, hidden FROM catalog_product"
            " WHERE store_id = %s AND deleted_at IS NULL ORDER BY id",
            [store_id],
        )
        rows = cursor.fetchall()
    return TrainingProducts(
        ids=IdMap(np.array([row[0] for row in rows], np.int64)),
        titles=[row[1] for row in rows],
        brands=[row[2] for row in rows],
        category_paths=[row[3] for row in rows],
        attributes=[_attributes(row[4]) for row in rows],
        hidden=np.array([row[5] for row in rows], np.bool_),
    )


def _attributes(stored: str) -> dict[str, Any]:
    """A JSON column as it comes from a plain cursor: text."""
    found = orjson.loads(stored) if stored != "{}" else {}
    return found if isinstance(found, dict) else {}


def product_sales(*, store_id: int, since: datetime) -> dict[int, int]:
    """Order lines per product since a time. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, count(*) FROM catalog_event"
            " WHERE store_id = %s AND occurred_at >= %s AND type = %s AND product_id IS NOT NULL"
            " GROUP BY product_id",
            [store_id, since, EventType.PURCHASE],
        )
        return dict(cursor.fetchall())


def training_shoppers(*, store_id: int) -> TrainingShoppers:
    """All shoppers of a store. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, external_id FROM catalog_shopper WHERE store_id = %s", [store_id]
        )
        rows = cursor.fetchall()
    ids = np.array([row[0] for row in rows], np.int64)
    hashes = np.array([stable_hash64(row[1]) for row in rows], np.int64)
    order = np.argsort(hashes, kind="stable")
    return TrainingShoppers(ids[order], hashes[order])


def training_events(
    *,
    store_id: int,
    since: datetime,
    products: TrainingProducts,
    shoppers: TrainingShoppers,
) -> TrainingEvents:
    """Events of a store with a known product since a time.

    One COPY; about 60 bytes of memory per event while reading. Events of products or shoppers that
    were made after `products` and `shoppers` were read are left out, and those of products that a
    member has hidden (what may not be shown shouldn't be a reason either) and of shoppers who denied
    consent (they are stored as one, whose taste would be everybody's).
    """
    raw = _copy_binary(
        "SELECT shopper_id, product_id, type, quantity,"
        " extract(epoch FROM occurred_at)::int8,"
        " hashtextextended(coalesce(order_id, session_id, shopper_id::text), 0)"
        " FROM catalog_event"
        " WHERE store_id = %s AND occurred_at >= %s AND product_id IS NOT NULL"
        " AND consent IS DISTINCT FROM 0",
        [store_id, since],
        (
            ("shopper_id", ">i8"),
            ("product_id", ">i8"),
            ("type", ">i2"),
            ("quantity", ">i4"),
            ("time_s", ">i8"),
            ("group_key", ">i8"),
        ),
    )
    item_rows = products.ids.rows_of(raw["product_id"])
    by_id = np.argsort(shoppers.shopper_ids, kind="stable")
    sorted_rows = IdMap(shoppers.shopper_ids[by_id]).rows_of(raw["shopper_id"])
    known = (item_rows >= 0) & (sorted_rows >= 0)
    known[known] = ~products.hidden[item_rows[known]]
    return TrainingEvents(
        shopper_rows=by_id[sorted_rows[known]].astype(np.int32),
        item_rows=item_rows[known],
        types=raw["type"][known].astype(np.int16),
        quantities=raw["quantity"][known].astype(np.int32),
        times_s=raw["time_s"][known].astype(np.int64),
        group_keys=raw["group_key"][known].astype(np.int64),
    )


def _copy_binary(
    query: str, parameters: list[Any], fields: tuple[tuple[str, str], ...]
) -> npt.NDArray[Any]:
    """The rows of a query whose columns are all of fixed width and never null."""
    layout: list[tuple[str, str]] = [("_n_fields", ">i2")]
    for name, kind in fields:
        layout += [(f"_{name}_length", ">i4"), (name, kind)]
    with (
        connection.cursor() as cursor,
        # The driver's own cursor: Django's debugging one can't pass parameters to COPY.
        cursor.cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        data = b"".join(copy)
    if not data.startswith(_COPY_HEADER):
        raise ValueError("PostgreSQL answered in another format than binary COPY")
    body = memoryview(data)[_COPY_HEADER_BYTES : len(data) - _COPY_TRAILER_BYTES]
    return np.frombuffer(body, dtype=np.dtype(layout))
