"""Facts for training, as arrays: read with binary COPY, which NumPy understands without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from django.db import connection
from psycopg import Copy, Error, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn

from catalog.models import EventType
from recommender.engine.id_map import IdMap, stable_hash64
from recommender.engine.types import BoolArray, Int16Array, Int32Array, Int64Array

# The binary COPY format: a header of 19 bytes, then per row a field count and per field a length.
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0"
_COPY_HEADER_BYTES = 19
_COPY_TRAILER_BYTES = 2

# A transaction that stores events may be open this long before it commits.
OVERLAP_S = 120

# What there is to learn from: shoppers who denied consent are stored as one, whose taste would be
# everybody's, and what calls itself a machine has no taste.
TELLING = "product_id IS NOT NULL AND consent IS DISTINCT FROM 0 AND NOT is_bot"
RECEIVED_US = "(extract(epoch FROM received_at) * 1000000)::int8"
SESSION_KEY = (
    "CASE WHEN session_id IS NULL THEN -1"
    " ELSE hashtextextended(session_id, 0) & 9223372036854775807 END"
)
UPDATED_US = "(extract(epoch FROM updated_at) * 1000000)::int8"
TEXT_KEY = (
    "hashtextextended(concat_ws(chr(31), title, brand, category_path, attributes::text),"
    " coalesce(hash_array_extended(vector, 0), 0))"
)
# One number per line of an event; never 0 in practice (one in 2⁶⁴).
EVENT_KEY = "uuid_hash_extended(event_id, line)"


@dataclass(frozen=True, slots=True)
class TrainingProducts:
    """Every product that isn't deleted; row = position, by ascending product id.

    Attributes
    ----------
    text_keys : int64[n]
        `TEXT_KEY`: another number if title, brand, category, attributes or the shop's own vector
        change.
    updated_us
        When the newest of them was changed, Unix microseconds; 0 without products.
    catalog_version
        Every change up to this one is in here.
    """

    ids: IdMap
    titles: list[str]
    brands: list[str]
    category_paths: list[str]
    attributes: list[dict[str, Any]]
    hidden: BoolArray
    text_keys: Int64Array
    updated_us: int
    catalog_version: int

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
    session_keys : int64[n]
        Equal for the events of one session, not negative; -1 where the sender named none.
    """

    shopper_rows: Int32Array
    item_rows: Int32Array
    types: Int16Array
    quantities: Int32Array
    times_s: Int64Array
    group_keys: Int64Array
    session_keys: Int64Array

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
            self.session_keys[mask],
        )


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to where events were read, exactly.

    A transaction that was slow commits events that are older than others which were read already.
    So the next reading begins `OVERLAP_S` before the newest event and leaves out what it knows.

    Attributes
    ----------
    received_us
        When the newest event that was read had been received, Unix microseconds; 0 if none was.
    since_us
        From where the next reading begins, Unix microseconds.
    keys : int64[n], ascending
        `EVENT_KEY` of the events that were read and had been received since `since_us`.
    """

    received_us: int
    since_us: int
    keys: Int64Array

    @property
    def marks(self) -> dict[str, int]:
        """Its numbers, as a manifest keeps them; the keys are an array beside it."""
        return {"received_us": self.received_us, "since_us": self.since_us}


@dataclass(frozen=True, slots=True)
class TrainingShoppers:
    """Shoppers by ascending hash of their external id, which is how serving finds them."""

    shopper_ids: Int64Array
    hashes: Int64Array

    def __len__(self) -> int:
        return len(self.shopper_ids)


def training_products(
    *, store_id: int, product_ids: Sequence[int] | None = None
) -> TrainingProducts:
    """The products of a store that aren't deleted; of `product_ids` only, if given. Two queries."""
    chosen = "" if product_ids is None else " AND id = ANY(%s)"
    with connection.cursor() as cursor:
        # First, so that a change in between is read again and not missed.
        cursor.execute("SELECT catalog_version FROM catalog_store WHERE id = %s", [store_id])
        (catalog_version,) = cursor.fetchone()
        cursor.execute(
            "SELECT id, title, brand, category_path, attributes, hidden,"
            f" {TEXT_KEY}, {UPDATED_US} FROM catalog_product"
            f" WHERE store_id = %s AND deleted_at IS NULL{chosen} ORDER BY id",
            [store_id, *([] if product_ids is None else [list(product_ids)])],
        )
        rows = cursor.fetchall()
    return TrainingProducts(
        ids=IdMap(np.array([row[0] for row in rows], np.int64)),
        titles=[row[1] for row in rows],
        brands=[row[2] for row in rows],
        category_paths=[row[3] for row in rows],
        attributes=[_attributes(row[4]) for row in rows],
        hidden=np.array([row[5] for row in rows], np.bool_),
        text_keys=np.array([row[6] for row in rows], np.int64),
        updated_us=max((row[7] for row in rows), default=0),
        catalog_version=catalog_version,
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
            f" WHERE store_id = %s AND occurred_at >= %s AND type = %s AND {TELLING}"
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
) -> tuple[TrainingEvents, Watermark]:
    """Events of a store with a known product since a time, and up to where they were read.

    One COPY and two small queries; about 100 bytes of memory per event while reading. Events of
    products or shoppers that were made after `products` and `shoppers` were read are left out, and
    those of products that a member has hidden (what may not be shown shouldn't be a reason either).
    What a linked guest did counts as done by the customer.
    """
    since_us = newest_telling_us(store_id=store_id) - OVERLAP_S * 1_000_000
    raw = copy_binary(
        "SELECT shopper_id, product_id, type, quantity,"
        " extract(epoch FROM occurred_at)::int8,"
        " hashtextextended(coalesce(order_id, session_id, shopper_id::text), 0),"
        f" {SESSION_KEY}, {RECEIVED_US},"
        # Keys are needed from the newest few minutes only; an event that comes in meanwhile is newer.
        f" CASE WHEN {RECEIVED_US} >= %s THEN {EVENT_KEY} ELSE 0 END"
        f" FROM catalog_event WHERE store_id = %s AND occurred_at >= %s AND {TELLING}",
        [since_us, store_id, since],
        (
            ("shopper_id", ">i8"),
            ("product_id", ">i8"),
            ("type", ">i2"),
            ("quantity", ">i4"),
            ("time_s", ">i8"),
            ("group_key", ">i8"),
            ("session_key", ">i8"),
            ("received_us", ">i8"),
            ("event_key", ">i8"),
        ),
    )
    item_rows = products.ids.rows_of(raw["product_id"])
    by_id = np.argsort(shoppers.shopper_ids, kind="stable")
    sorted_rows = IdMap(shoppers.shopper_ids[by_id]).rows_of(
        shopper_links(store_id=store_id).people(raw["shopper_id"])
    )
    known = (item_rows >= 0) & (sorted_rows >= 0)
    # An event of a product or shopper that is newer than what was read here is for the next
    # reading: the watermark may not claim it.
    mark = watermark_of(raw["received_us"][known], raw["event_key"][known], since_us=since_us)
    known[known] = ~products.hidden[item_rows[known]]
    events = TrainingEvents(
        shopper_rows=by_id[sorted_rows[known]].astype(np.int32),
        item_rows=item_rows[known],
        types=raw["type"][known].astype(np.int16),
        quantities=raw["quantity"][known].astype(np.int32),
        times_s=raw["time_s"][known].astype(np.int64),
        group_keys=raw["group_key"][known].astype(np.int64),
        session_keys=raw["session_key"][known].astype(np.int64),
    )
    return events, mark


def newest_telling_us(*, store_id: int) -> int:
    """When the newest event to learn from was received, Unix microseconds; 0 if there is none.

    One query, which walks the index from its newest end.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {RECEIVED_US} FROM catalog_event WHERE store_id = %s AND {TELLING}"
            " ORDER BY received_at DESC LIMIT 1",
            [store_id],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def watermark_of(
    received_us: npt.NDArray[Any], keys: npt.NDArray[Any], *, since_us: int, before: int = 0
) -> Watermark:
    """Up to where events were read: when they were received, their keys, and since when those are
    complete. `before` is what was read earlier."""
    recent = keys[received_us >= since_us]
    newest = max(int(received_us.max(initial=0)), before)
    return Watermark(newest, since_us, np.unique(recent.astype(np.int64)))


@dataclass(frozen=True, slots=True)
class Links:
    """Which shoppers are somebody else, resolved to the end of every chain.

    Attributes
    ----------
    shopper_ids : int64[n], ascending
    person_ids : int64[n]
        The customer at the end.
    """

    shopper_ids: Int64Array
    person_ids: Int64Array

    def people(self, shopper_ids: npt.NDArray[Any]) -> Int64Array:
        """Whose events these are: for a linked guest the customer, else the shopper."""
        people = shopper_ids.astype(np.int64)
        if not len(self.shopper_ids):
            return people
        places = IdMap(self.shopper_ids).rows_of(people)
        return np.where(places >= 0, self.person_ids[places], people)

    def members(self, people: Int64Array) -> Int64Array:
        """The shoppers that are these people, themselves included."""
        return np.union1d(people, self.shopper_ids[np.isin(self.person_ids, people)])


def shopper_links(*, store_id: int) -> Links:
    """All links of a store that aren't undone. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT shopper_id, customer_id FROM catalog_shopperlink"
            " WHERE store_id = %s AND undone_at IS NULL ORDER BY shopper_id",
            [store_id],
        )
        rows = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    links = Links(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1]))
    # A chain of n links needs log n steps; what still moves after these is a circle.
    for _ in range(16):
        further = Links(links.shopper_ids, links.people(links.person_ids))
        if bool((further.person_ids == links.person_ids).all()):
            break
        links = further
    return links


def copy_messages(copy: Copy) -> list[bytes]:
    """What `COPY … TO STDOUT (FORMAT binary)` sends: a message per row, the first with a header.

    Reading from the driver takes 7 µs a message, because each is waited for. What has come in
    already needn't be: a tenth of that.
    """
    pgconn = copy.connection.pgconn
    found: list[bytes] = []
    while True:
        size, data = pgconn.get_copy_data(1)
        if size < 0:
            raise _failure(pgconn)
        message = bytes(data) if size else bytes(copy.read())
        found.append(message)
        if len(message) == _COPY_TRAILER_BYTES or (
            len(found) == 1 and len(message) == _COPY_HEADER_BYTES + _COPY_TRAILER_BYTES
        ):
            # Only the driver may read the end: it waits for the last word of the server.
            copy.read()
            return found


def _failure(pgconn: PGconn) -> Error:
    """Why the server gave up in the middle; the connection can go on."""
    failure: Error = OperationalError("the server ended a COPY before its end")
    while (result := pgconn.get_result()) is not None:
        failure = error_from_result(result)
    return failure


def copy_binary(
    query: str,
    parameters: list[Any] | dict[str, Any],
    fields: tuple[tuple[str, str], ...],
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
        data = b"".join(copy_messages(copy))
    if not data.startswith(_COPY_HEADER):
        raise ValueError("PostgreSQL answered in another format than binary COPY")
    body = memoryview(data)[_COPY_HEADER_BYTES : len(data) - _COPY_TRAILER_BYTES]
    return np.frombuffer(body, dtype=np.dtype(layout))
