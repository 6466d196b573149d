"""What a shopper did lately: a short list in Valkey, written with the event itself.

A list of packed entries, newest at the right. It can be lost and is then built again from
PostgreSQL (`recommender.services.session_rebuild`), so three things must hold whatever happens in
between and in whatever order:

* An entry pushed twice counts once: reading drops exact repetitions and sorts by time.
* An event never starts a list (RPUSHX): a list that isn't there is rebuilt with its past, instead
  of beginning anew with one entry and hiding the rest.
* A shopper without a past has a list with one blank entry, so that nobody looks it up again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.stores.client import Command, StoreUnavailable, valkey
from recommender.stores.keys import session_key

N_ENTRIES = 60
TTL_S = 30 * 86_400
# A visitor who is only looked up, such as a crawler with a new id each time, is forgotten sooner.
BLANK_TTL_S = 3_600

# Seconds, type, product, quantity; big-endian and without gaps: 15 bytes.
_PACKED = struct.Struct(">IBQH")
_DTYPE = np.dtype([("at_s", ">u4"), ("type", "u1"), ("product_id", ">i8"), ("quantity", ">u2")])
_BLANK = _PACKED.pack(0, 0, 0, 0)

# What says something about taste or cart. That products were displayed doesn't.
SESSION_TYPES = frozenset(
    {
        EventType.VIEW_ITEM,
        EventType.SELECT_ITEM,
        EventType.ADD_TO_CART,
        EventType.REMOVE_FROM_CART,
        EventType.ADD_TO_WISHLIST,
        EventType.PURCHASE,
        EventType.RATE_ITEM,
        EventType.HIDE_ITEM,
        EventType.RECOMMENDATION_CLICK,
    }
)


class SessionEntry(NamedTuple):
    """One product in one event."""

    occurred_at_s: int
    type: int
    product_id: int
    quantity: int = 1


def _empty() -> npt.NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class SessionState:
    """The recent events of a shopper, oldest first; all arrays have one length.

    Attributes
    ----------
    at_s, types, product_ids, quantities : int64[n], int32[n], int64[n], int32[n]
        Unix seconds, `EventType`, our product ids, pieces.
    cart : int64[c]
        Products in the cart, in the order in which they were put there.
    found
        False if there is no list for the shopper: it can be rebuilt from PostgreSQL.
    available
        False if Valkey is away and nothing is known.
    """

    at_s: npt.NDArray[np.int64] = field(default_factory=_empty)
    types: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    product_ids: npt.NDArray[np.int64] = field(default_factory=_empty)
    quantities: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    cart: npt.NDArray[np.int64] = field(default_factory=_empty)
    found: bool = False
    available: bool = True

    @classmethod
    def of(cls, entries: Iterable[SessionEntry]) -> SessionState:
        """The state that these entries make; for rebuilding and previews."""
        return _unpacked([_pack(entry) for entry in entries])


NO_STATE = SessionState()
UNAVAILABLE = SessionState(available=False)


def session_read(store_id: int, shopper_external_id: str) -> SessionState:
    """A shopper's recent events. Exactly one round trip; `available=False` if Valkey is away."""
    try:
        packed = valkey().call("LRANGE", session_key(store_id, shopper_external_id), 0, -1)
    except StoreUnavailable:
        return UNAVAILABLE
    return _unpacked(packed) if packed else NO_STATE


def session_record(
    store_id: int, shopper_external_id: str, entries: Sequence[SessionEntry]
) -> bool:
    """Add events of one shopper. False if there is no list yet, and then nothing was added.

    One round trip. Raises StoreUnavailable.
    """
    return not sessions_record(store_id, {shopper_external_id: entries})


def sessions_record(
    store_id: int, entries_by_shopper: Mapping[str, Sequence[SessionEntry]]
) -> list[str]:
    """Add events of several shoppers in one round trip.

    Returns the shoppers without a list, for whom nothing was added. Raises StoreUnavailable.
    """
    commands: list[Command] = []
    shoppers = [shopper for shopper, entries in entries_by_shopper.items() if entries]
    for shopper in shoppers:
        key = session_key(store_id, shopper)
        newest = entries_by_shopper[shopper][-N_ENTRIES:]
        commands.append(("RPUSHX", key, *map(_pack, newest)))
        commands.append(("LTRIM", key, -N_ENTRIES, -1))
        commands.append(("EXPIRE", key, TTL_S))
    if not commands:
        return []
    lengths = valkey().pipeline(commands)[::3]
    return [shopper for shopper, length in zip(shoppers, lengths, strict=True) if not length]


def sessions_restore(
    store_id: int, entries_by_shopper: Mapping[str, Sequence[SessionEntry]]
) -> None:
    """Put the past of shoppers before whatever events arrived meanwhile. One round trip.

    `entries` are oldest first; none means that the shopper has no past. Raises StoreUnavailable.
    """
    commands: list[Command] = []
    for shopper, entries in entries_by_shopper.items():
        key = session_key(store_id, shopper)
        past = [_pack(entry) for entry in entries[-N_ENTRIES:]] or [_BLANK]
        commands.append(("LPUSH", key, *reversed(past)))
        commands.append(("LTRIM", key, -N_ENTRIES, -1))
        commands.append(("EXPIRE", key, TTL_S if entries else BLANK_TTL_S))
    if commands:
        valkey().pipeline(commands)


def sessions_forget(store_id: int, shopper_external_ids: Sequence[str]) -> None:
    """Drop the lists; the next look rebuilds them. Raises StoreUnavailable."""
    if shopper_external_ids:
        valkey().call("DEL", *(session_key(store_id, shopper) for shopper in shopper_external_ids))


def _pack(entry: SessionEntry) -> bytes:
    at_s, kind, product_id, quantity = entry
    return _PACKED.pack(
        min(max(at_s, 0), 0xFFFF_FFFF), kind, product_id, min(max(quantity, 0), 0xFFFF)
    )


def _unpacked(packed: Sequence[bytes]) -> SessionState:
    # A list of another version of Vitrine, or of somebody else, is no reason to fail.
    distinct = [entry for entry in dict.fromkeys(packed) if len(entry) == _PACKED.size]
    table: npt.NDArray[Any] = np.frombuffer(b"".join(distinct), _DTYPE)
    table = table[table["type"] > 0]
    table = table[np.argsort(table["at_s"], kind="stable")]
    return SessionState(
        at_s=table["at_s"].astype(np.int64),
        types=table["type"].astype(np.int32),
        product_ids=table["product_id"].astype(np.int64),
        quantities=table["quantity"].astype(np.int32),
        cart=_cart(table),
        found=True,
    )


_CART_TYPES = np.zeros(256, np.bool_)
_CART_TYPES[[EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART, EventType.PURCHASE]] = True


def _cart(table: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """What was added and neither removed nor bought since."""
    pieces: dict[int, int] = {}
    for _, kind, product_id, quantity in table[_CART_TYPES[table["type"]]].tolist():
        if kind == EventType.ADD_TO_CART:
            pieces[product_id] = pieces.get(product_id, 0) + quantity
        elif kind == EventType.PURCHASE or pieces.get(product_id, 0) <= quantity:
            pieces.pop(product_id, None)
        else:
            pieces[product_id] -= quantity
    return np.fromiter(pieces, np.int64, len(pieces))
