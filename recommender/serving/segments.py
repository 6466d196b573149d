"""Segments: which shoppers are meant, and whether the one who asks is one of them.

A request looks at nothing that isn't in memory already:

* the shopper's last 60 events, at most 30 days old, read with the request anyway;
* the profiles of the last training: for each product that the shopper dealt with, when last and how
  often it was bought, and orders and spending of the last 30, 90 and 365 days. What was bought since
  is added from the events.

So what happened since the last training, longer ago than the last 60 events, is not known until the
next one. Without an id, with consent denied, and while Valkey is away, a shopper is in no segment
except by device. `recommender.selectors.segments` counts by the same definitions in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np

from catalog.models.events import EventType
from recommender.engine.id_map import stable_hash64
from recommender.engine.types import SECONDS_PER_DAY, BoolArray, Int32Array, Int64Array
from recommender.selectors.shopper_spending import VALUE_DAYS
from recommender.serving.models import ProfilesModel, ShopperHistory
from recommender.serving.rules import DEVICES, Names
from recommender.serving.snapshot import CatalogSnapshot
from recommender.stores.session_state import SessionState

# What is younger belongs to the visit that is going on: it doesn't make anybody less lapsed.
THIS_VISIT_S = 4 * 3600


# What says that somebody likes a product.
LIKING_TYPES = (
    EventType.VIEW_ITEM,
    EventType.SELECT_ITEM,
    EventType.ADD_TO_CART,
    EventType.ADD_TO_WISHLIST,
    EventType.PURCHASE,
    EventType.RATE_ITEM,
    EventType.RECOMMENDATION_CLICK,
)
_IS_LIKING = np.zeros(256, np.bool_)
_IS_LIKING[list(LIKING_TYPES)] = True

Days = Annotated[int, msgspec.Meta(ge=1, le=730)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class InvalidSegmentError(ValueError):
    """The document can't be a segment; the message says where and why."""


class New(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="new"):
    """Nothing is known of them that is older than so many days."""

    days: Days = 1


class Returning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="returning"):
    """They did something longer ago than so many days."""

    days: Days = 1


class HighValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="high_value"):
    """So many orders, or so much paid, within some days; either is enough."""

    days: Literal[30, 90, 365] = 90
    orders: Count | None = None
    spend_minor: Annotated[int, msgspec.Meta(ge=1, le=10**15)] | None = None


class Lapsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="lapsed"):
    """They visited, or bought, but not within so many days; the visit going on doesn't count."""

    days: Days = 90
    since: Literal["visit", "purchase"] = "visit"


class Affinity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="affinity"):
    """They dealt with so many different products of a category or brand within some days."""

    categories: Names = ()
    brands: Names = ()
    products: Count = 3
    days: Days = 30


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="device"):
    """They use such a device right now."""

    devices: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


SegmentDocument: TypeAlias = New | Returning | HighValue | Lapsed | Affinity | Device
SEGMENT_KINDS = ("new", "returning", "high_value", "lapsed", "affinity", "device")


def segment_parse(document: Any) -> SegmentDocument:
    """Read a stored or submitted document.

    Raises
    ------
    InvalidSegmentError
        A field is missing, unknown or out of range, or nothing is asked.
    """
    try:
        parsed: SegmentDocument = msgspec.convert(document, SegmentDocument)
    except msgspec.ValidationError as error:
        raise InvalidSegmentError(f"{str(error).replace('Object m', 'M')}.") from error
    if isinstance(parsed, HighValue) and parsed.orders is None and parsed.spend_minor is None:
        raise InvalidSegmentError("Say from how many orders, or from what amount on.")
    if isinstance(parsed, Affinity) and not (parsed.categories or parsed.brands):
        raise InvalidSegmentError("Say which category or brand they like.")
    if isinstance(parsed, Device):
        for name in parsed.devices:
            if name not in DEVICES:
                raise InvalidSegmentError(
                    f"{name!r} isn't a device; choose of {', '.join(DEVICES)}."
                )
    return parsed


def segment_json(document: SegmentDocument) -> dict[str, Any]:
    """The document as it is stored."""
    stored: dict[str, Any] = msgspec.to_builtins(document)
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in stored.items()
        if value not in (None, ())
    }


@dataclass(frozen=True, slots=True)
class ShopperSeen:
    """What is known of a shopper at a request, from memory.

    Attributes
    ----------
    seen_s : int64[n]
        When they did something, in no order; not every time, but the newest and many older ones.
    bought_s : int64[b]
        When they bought something.
    liked_rows, liked_s : int32[l], int64[l]
        Snapshot rows of products they dealt with, and when; a product may occur again.
    orders, spend_minor
        By place in `VALUE_DAYS`.
    """

    seen_s: Int64Array
    bought_s: Int64Array
    liked_rows: Int32Array
    liked_s: Int64Array
    orders: Sequence[int]
    spend_minor: Sequence[int]


def shopper_seen(
    shopper_id: str | None,
    state: SessionState,
    profiles: ProfilesModel | None,
    snapshot: CatalogSnapshot,
) -> ShopperSeen | None:
    """What is known, None for a shopper of whom nothing may be known. No I/O; some 20 µs."""
    if shopper_id is None or not state.available:
        return None
    past: ShopperHistory | None = None
    if profiles is not None:
        past = profiles.history_of(stable_hash64(state.person or shopper_id))
    rows = snapshot.rows_of(state.product_ids) if len(state.product_ids) else _NO_ROWS
    bought = state.types == EventType.PURCHASE
    liked = _IS_LIKING[state.types] & (rows >= 0)
    seen_s, bought_s = [state.at_s], [state.at_s[bought]]
    liked_rows, liked_s = [rows[liked]], [state.at_s[liked]]
    orders, spend = [0] * len(VALUE_DAYS), [0] * len(VALUE_DAYS)
    trained_s = 0
    if past is not None and profiles is not None:
        trained_s = profiles.as_of_s
        seen_s.append(past.last_at_s)
        bought_s.append(past.last_at_s[past.counts > 0])
        likes = past.weights > 0
        in_snapshot = profiles.rows.to_snapshot.take(past.rows[likes])
        liked_rows.append(in_snapshot[in_snapshot >= 0])
        liked_s.append(past.last_at_s[likes][in_snapshot >= 0])
        if profiles.orders is not None and profiles.spend_minor is not None:
            orders = profiles.orders[past.place].tolist()
            spend = profiles.spend_minor[past.place].tolist()
    since = bought & (state.at_s > trained_s)
    if since.any():
        # The lines of an order have one time.
        n_new = len(np.unique(state.at_s[since]))
        priced = np.where(rows[since] >= 0, snapshot.price_minor.take(rows[since]), 0)
        paid = int((np.maximum(priced, 0) * state.quantities[since]).sum())
        orders, spend = [n + n_new for n in orders], [sum_ + paid for sum_ in spend]
    return ShopperSeen(
        np.concatenate(seen_s),
        np.concatenate(bought_s),
        np.concatenate(liked_rows),
        np.concatenate(liked_s),
        orders,
        spend,
    )


def shopper_in(
    segment: SegmentDocument,
    seen: ShopperSeen | None,
    *,
    device: str | None,
    snapshot: CatalogSnapshot,
    now_s: int,
) -> bool:
    """Whether a shopper is in a segment now."""
    if isinstance(segment, Device):
        return device in segment.devices
    if seen is None:
        return False
    cutoff_s = now_s - segment.days * SECONDS_PER_DAY
    match segment:
        case New():
            return not bool((seen.seen_s < cutoff_s).any())
        case Returning():
            return bool((seen.seen_s < cutoff_s).any())
        case HighValue():
            place = VALUE_DAYS.index(segment.days)
            return (segment.orders is not None and seen.orders[place] >= segment.orders) or (
                segment.spend_minor is not None and seen.spend_minor[place] >= segment.spend_minor
            )
        case Lapsed(since="purchase"):
            return _is_past(seen.bought_s, cutoff_s)
        case Lapsed():
            return _is_past(seen.seen_s[seen.seen_s < now_s - THIS_VISIT_S], cutoff_s)
        case Affinity():
            rows = seen.liked_rows[seen.liked_s >= cutoff_s]
            return len(np.unique(rows[liked_products(segment, snapshot, rows)])) >= segment.products


def liked_products(segment: Affinity, snapshot: CatalogSnapshot, rows: Int32Array) -> BoolArray:
    """Which of some products an affinity is about, bool[len(rows)]."""
    about = np.zeros(len(rows), np.bool_)
    for path in segment.categories:
        inside = snapshot.categories_inside(path)
        about |= inside[snapshot.category_codes.take(rows)]
    for brand in segment.brands:
        code = snapshot.brands.code_of.get(brand)
        if code is not None:
            about |= snapshot.brand_codes.take(rows) == code
    return about


def _is_past(times_s: Int64Array, cutoff_s: int) -> bool:
    return len(times_s) > 0 and int(times_s.max()) < cutoff_s


_NO_ROWS = np.empty(0, np.int32)
