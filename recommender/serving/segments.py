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

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np

from catalog.models.events import EventType
from recommender.engine.id_map import stable_hash64
from recommender.engine.types import SECONDS_PER_DAY, BoolArray, Int32Array
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
# A plain number: comparing an array with a member of an enumeration takes ten times as long.
_PURCHASE = int(EventType.PURCHASE)

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


class ShopperSeen:
    """What is known of a shopper at a request, from memory. Only what is asked for is worked out."""

    __slots__ = ("_past", "_profiles", "_snapshot", "_state")

    def __init__(
        self,
        state: SessionState,
        past: ShopperHistory | None,
        profiles: ProfilesModel | None,
        snapshot: CatalogSnapshot,
    ) -> None:
        self._state = state
        self._past = past
        self._profiles = profiles
        self._snapshot = snapshot

    def did_before(self, cutoff_s: int) -> bool:
        """Whether they did anything before a time."""
        at_s, past = self._state.at_s, self._past
        # Recent events stand in the order of time.
        if len(at_s) and at_s[0] < cutoff_s:
            return True
        return past is not None and int(np.minimum.reduce(past.last_at_s)) < cutoff_s

    def last_before_s(self, cutoff_s: int) -> int:
        """When they did something last before a time, 0 for never. Of a product that was dealt with
        several times before the training only the last time is known."""
        at_s, past = self._state.at_s, self._past
        place = int(at_s.searchsorted(cutoff_s))
        last_s = int(at_s[place - 1]) if place else 0
        if past is not None:
            times_s = past.last_at_s
            newest_s = int(np.maximum.reduce(times_s))
            if newest_s >= cutoff_s:
                newest_s = int(times_s[times_s < cutoff_s].max(initial=0))
            last_s = max(last_s, newest_s)
        return last_s

    def last_bought_s(self) -> int:
        """When they bought something last, 0 for never."""
        past = self._past
        bought = (self._state.types == _PURCHASE).nonzero()[0]
        last_s = int(self._state.at_s[bought[-1]]) if len(bought) else 0
        if past is not None:
            last_s = max(last_s, int(past.last_at_s[past.counts > 0].max(initial=0)))
        return last_s

    def liked_since(self, cutoff_s: int) -> Int32Array:
        """Snapshot rows of products they dealt with from a time on; a product may occur again."""
        state, past, profiles = self._state, self._past, self._profiles
        liked = _IS_LIKING[state.types] & (state.at_s >= cutoff_s)
        rows = [self._snapshot.rows_of(state.product_ids[liked])] if liked.any() else [_NO_ROWS]
        if past is not None and profiles is not None:
            likes = (past.weights > 0) & (past.last_at_s >= cutoff_s)
            rows.append(profiles.rows.to_snapshot.take(past.rows[likes]))
        both = np.concatenate(rows)
        return both[both >= 0]

    def orders_and_spend(self, place: int) -> tuple[int, int]:
        """Orders, and what was paid for them in minor units, within `VALUE_DAYS[place]`."""
        state, past, profiles = self._state, self._past, self._profiles
        orders, spend_minor, trained_s = 0, 0, 0
        if past is not None and profiles is not None:
            trained_s = profiles.as_of_s
            if profiles.orders is not None and profiles.spend_minor is not None:
                orders = int(profiles.orders[past.place, place])
                spend_minor = int(profiles.spend_minor[past.place, place])
        since = (state.types == _PURCHASE) & (state.at_s > trained_s)
        if not since.any():
            return orders, spend_minor
        rows = self._snapshot.rows_of(state.product_ids[since])
        priced = np.where(rows >= 0, self._snapshot.price_minor.take(rows), 0)
        spend_minor += int((np.maximum(priced, 0) * state.quantities[since]).sum())
        # The lines of an order have one time.
        return orders + len(set(state.at_s[since].tolist())), spend_minor


def shopper_seen(
    shopper_id: str | None,
    state: SessionState,
    profiles: ProfilesModel | None,
    snapshot: CatalogSnapshot,
) -> ShopperSeen | None:
    """What is known, None for a shopper of whom nothing may be known. No I/O; some 5 µs."""
    if shopper_id is None or not state.available:
        return None
    past: ShopperHistory | None = None
    if profiles is not None:
        past = profiles.history_of(stable_hash64(state.person or shopper_id))
    return ShopperSeen(state, past, profiles, snapshot)


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
            return not seen.did_before(cutoff_s)
        case Returning():
            return seen.did_before(cutoff_s)
        case HighValue():
            orders, spend_minor = seen.orders_and_spend(VALUE_DAYS.index(segment.days))
            return (segment.orders is not None and orders >= segment.orders) or (
                segment.spend_minor is not None and spend_minor >= segment.spend_minor
            )
        case Lapsed(since="purchase"):
            return 0 < seen.last_bought_s() < cutoff_s
        case Lapsed():
            return 0 < seen.last_before_s(now_s - THIS_VISIT_S) < cutoff_s
        case Affinity():
            rows = seen.liked_since(cutoff_s)
            if len(rows) < segment.products:
                return False
            about = rows[liked_products(segment, snapshot, rows)]
            return len(set(about.tolist())) >= segment.products


# Whether the shopper who asks is in a segment.
InSegment: TypeAlias = Callable[[SegmentDocument], bool]


def in_no_segment(segment: SegmentDocument) -> bool:
    """Of requests outside of all experiments, where nobody asks."""
    return False


class SegmentsOfShopper:
    """The segments that the shopper of a page is in, each worked out once, when it is asked for."""

    __slots__ = ("_answers", "_device", "_now_s", "_profiles", "_shopper_id", "_snapshot", "_state")

    def __init__(
        self,
        shopper_id: str | None,
        state: SessionState,
        profiles: ProfilesModel | None,
        snapshot: CatalogSnapshot,
        *,
        device: str | None,
        now_s: int,
    ) -> None:
        self._shopper_id = shopper_id
        self._state = state
        self._profiles = profiles
        self._snapshot = snapshot
        self._device = device
        self._now_s = now_s
        self._answers: dict[SegmentDocument, bool] = {}

    def holds(self, segment: SegmentDocument) -> bool:
        """Whether the shopper is in it now."""
        answer = self._answers.get(segment)
        if answer is None:
            snapshot = self._snapshot
            seen = shopper_seen(self._shopper_id, self._state, self._profiles, snapshot)
            answer = self._answers[segment] = shopper_in(
                segment, seen, device=self._device, snapshot=snapshot, now_s=self._now_s
            )
        return answer


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


_NO_ROWS = np.empty(0, np.int32)
