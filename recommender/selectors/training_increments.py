"""What happened since a watermark: new events, and products that are described anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from recommender.engine.types import BoolArray, Int16Array, Int64Array
from recommender.selectors.training_data import (
    EVENT_KEY,
    OVERLAP_S,
    RECEIVED_US,
    SESSION_KEY,
    TELLING,
    TEXT_KEY,
    UPDATED_US,
    Links,
    Watermark,
    copy_binary,
    newest_telling_us,
    shopper_links,
    watermark_of,
)

# A transaction that writes products may be open this long before it commits.
PRODUCT_OVERLAP_S = 15 * 60

# Unix microseconds as a time, exactly; `to_timestamp` takes a float.
_AT_US = "'epoch'::timestamptz + %s * interval '1 microsecond'"
_COLUMNS = (
    "shopper_id, product_id, type, extract(epoch FROM occurred_at)::int8,"
    f" {SESSION_KEY}, {RECEIVED_US}, {EVENT_KEY}"
)
_FIELDS = (
    ("shopper_id", ">i8"),
    ("product_id", ">i8"),
    ("type", ">i2"),
    ("time_s", ">i8"),
    ("session_key", ">i8"),
    ("received_us", ">i8"),
    ("event_key", ">i8"),
)


@dataclass(frozen=True, slots=True)
class NewEvents:
    """Lines of events by the ids of the database, in no particular order.

    Attributes
    ----------
    people, product_ids : int64[n]
        For a linked guest the customer.
    types : int16[n]
    times_s : int64[n], Unix seconds
    session_keys : int64[n]
        Not negative; -1 where the sender named no session.
    """

    people: Int64Array
    product_ids: Int64Array
    types: Int16Array
    times_s: Int64Array
    session_keys: Int64Array

    def __len__(self) -> int:
        return len(self.product_ids)

    def where(self, mask: npt.NDArray[Any]) -> NewEvents:
        """The events under a mask, or at the given places."""
        return NewEvents(
            self.people[mask],
            self.product_ids[mask],
            self.types[mask],
            self.times_s[mask],
            self.session_keys[mask],
        )


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """Products that aren't deleted, by ascending id."""

    ids: Int64Array
    hidden: BoolArray


def events_since(
    *, store_id: int, mark: Watermark, occurred_since: datetime
) -> tuple[NewEvents, Watermark]:
    """Events that were committed since a watermark, each exactly once, and the next watermark.

    Events before `occurred_since` are too old to be learned from.
    """
    newest_us = newest_telling_us(store_id=store_id)
    raw = copy_binary(
        f"SELECT {_COLUMNS} FROM catalog_event"
        f" WHERE store_id = %s AND received_at >= {_AT_US} AND occurred_at >= %s AND {TELLING}",
        [store_id, mark.since_us, occurred_since],
        _FIELDS,
    )
    # What is older than the next overlap is done with; its keys needn't be kept.
    since_us = max(mark.since_us, newest_us - OVERLAP_S * 1_000_000)
    following = watermark_of(
        raw["received_us"], raw["event_key"], since_us=since_us, before=mark.received_us
    )
    new = raw[~np.isin(raw["event_key"].astype(np.int64), mark.keys)]
    return _new_events(shopper_links(store_id=store_id), new), following


def events_counted(
    *, store_id: int, people: Int64Array, since_s: int, until_s: int, mark: Watermark
) -> NewEvents:
    """What some people did in a time, as far as a watermark knows it."""
    links = shopper_links(store_id=store_id)
    raw = copy_binary(
        f"SELECT {_COLUMNS} FROM catalog_event WHERE store_id = %s"
        " AND shopper_id = ANY(%s) AND occurred_at >= to_timestamp(%s) AND occurred_at < to_timestamp(%s)"
        f" AND {TELLING}",
        [store_id, links.members(people).tolist(), since_s, until_s],
        _FIELDS,
    )
    known = (raw["received_us"] < mark.since_us) | np.isin(
        raw["event_key"].astype(np.int64), mark.keys
    )
    return _new_events(links, raw[known])


def events_waiting(*, store_id: int, mark: Watermark, at_most: int) -> int:
    """About how many events came in since a watermark, counted up to a limit. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM catalog_event WHERE store_id = %s"
            f" AND received_at > to_timestamp(%s::float8 / 1000000) AND {TELLING} LIMIT %s) AS new",
            [store_id, mark.received_us, at_most],
        )
        return int(cursor.fetchone()[0])


def closable_event_exists(*, store_id: int, received_after_us: int, occurred_before_s: int) -> bool:
    """Whether an event came in after a time and had happened before another one. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM catalog_event WHERE store_id = %s"
            f" AND received_at > {_AT_US}"
            f" AND occurred_at < to_timestamp(%s) AND {TELLING})",
            [store_id, received_after_us, occurred_before_s],
        )
        return bool(cursor.fetchone()[0])


def catalog_row_ids(*, store_id: int) -> CatalogRows:
    """Ids of all products that aren't deleted, without their texts. One query."""
    raw = copy_binary(
        "SELECT id, hidden::int::int2 FROM catalog_product"
        " WHERE store_id = %s AND deleted_at IS NULL ORDER BY id",
        [store_id],
        (("id", ">i8"), ("hidden", ">i2")),
    )
    return CatalogRows(raw["id"].astype(np.int64), raw["hidden"].astype(np.bool_))


def product_texts_changed(
    *, store_id: int, since_us: int, known_ids: Int64Array, known_keys: Int64Array
) -> tuple[list[int], int]:
    """Products whose text or own vector differs from what is known, ascending, and the newest
    change seen.

    One query: the texts themselves stay in the database. Changes are looked at again from
    `PRODUCT_OVERLAP_S` before the newest that was seen, because transactions commit late.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {TEXT_KEY}, {UPDATED_US} FROM catalog_product WHERE store_id = %s"
            f" AND deleted_at IS NULL AND updated_at >= {_AT_US}"
            " ORDER BY id",
            [store_id, since_us - PRODUCT_OVERLAP_S * 1_000_000],
        )
        rows = cursor.fetchall()
    if not rows:
        return [], since_us
    known = dict(zip(known_ids.tolist(), known_keys.tolist(), strict=True))
    changed = [pk for pk, key, _ in rows if known.get(pk) != key]
    return changed, max(since_us, *(row[2] for row in rows))


def _new_events(links: Links, raw: npt.NDArray[Any]) -> NewEvents:
    return NewEvents(
        people=links.people(raw["shopper_id"]),
        product_ids=raw["product_id"].astype(np.int64),
        types=raw["type"].astype(np.int16),
        times_s=raw["time_s"].astype(np.int64),
        session_keys=raw["session_key"].astype(np.int64),
    )
