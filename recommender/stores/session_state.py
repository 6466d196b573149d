"""What a shopper did lately: a short list in Valkey, written with the event itself.

A list of packed entries, newest at the right. It can be lost and is then built again from
PostgreSQL (`recommender.services.session_rebuild`), so these things must hold whatever happens in
between and in whatever order:

* An entry pushed twice counts once: reading drops exact repetitions and sorts by time.
* An event never starts a list (RPUSHX): a list that isn't there is rebuilt with its past, instead
  of beginning anew with one entry and hiding the rest.
* A shopper without a past has a list with one blank entry, so that nobody looks it up again.
* What was hidden stays hidden: a list that has grown too long loses its oldest entries except the
  last `MAX_HIDDEN` products that the shopper hid; those go to its end again.
* The lists of all ids of one person say the same, and name the person. Who records an event learns
  the name from the list itself, so a shopper who isn't linked costs nothing. A list without the
  name that should have it can't be met: linking commits, drops the lists, then fills them.
* Whenever Valkey fails here, `OUTAGE` notes it: a list that survived may lack what happened
  meanwhile, and `recommender.services.session_mending` drops it.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.engine.online import lookups
from recommender.stores.client import Command, StoreUnavailable, valkey
from recommender.stores.keys import session_key

N_ENTRIES = 60
# Shortening a list takes a second round trip: not with every event.
SLACK = 16
MAX_HIDDEN = 20
# Concurrent rebuilds each put the past into the list. More of them than this are a mistake.
MAX_LENGTH = 6 * N_ENTRIES
TTL_S = 30 * 86_400
# A visitor who is only looked up, such as a crawler with a new id each time, is forgotten sooner.
BLANK_TTL_S = 3_600
# Keys in one DEL.
FORGET_BLOCK = 1_000

# Seconds, type, product, quantity; big-endian and without gaps: 15 bytes.
_PACKED = struct.Struct(">IBQH")
_BLANK = _PACKED.pack(0, 0, 0, 0)
# The entry that names the person begins so; it is told from the others by its length.
_PERSON = b"\0person:"

# What says something about taste or cart. That products were displayed doesn't. The products that a
# search found are recorded as SEARCH by whoever has looked them up; the event itself has none.
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
    person
        The id of the customer that the shopper is linked to, directly or over others: whose
        profile counts. None for a shopper that isn't linked, and for the customer itself.
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
    person: str | None = None
    found: bool = False
    available: bool = True

    @classmethod
    def of(cls, entries: Iterable[SessionEntry], *, person: str | None = None) -> SessionState:
        """The state that these entries make, oldest first; for rebuilding and previews."""
        packed = [_pack(entry) for entry in _kept(list(entries))]
        return _unpacked([_pack_person(person), *packed] if person else packed)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the events of several shoppers.

    `missing` have no list, and nothing was added for them. `linked` are those whose list names a
    person: the lists of the person's other ids want the events, too.
    """

    missing: list[str]
    linked: list[str]


class Outage:
    """Whether Valkey has failed this process since somebody last made up for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_noted = 0
        self.since_s: float | None = None

    def clear(self) -> None:
        """Forget everything; for tests."""
        with self._lock:
            self._n_noted += 1
            self.since_s = None

    def note(self, *, since_s: float | None = None) -> None:
        """Lists may lack what happened since (Unix seconds; None is now)."""
        began_s = time.time() if since_s is None else since_s
        with self._lock:
            self._n_noted += 1
            self.since_s = began_s if self.since_s is None else min(self.since_s, began_s)

    def noted(self) -> tuple[float | None, int]:
        """The beginning, and the number to call `over` with."""
        with self._lock:
            return self.since_s, self._n_noted

    def over(self, n_noted: int) -> None:
        """Lists are right again, unless something failed after `noted` gave this number."""
        with self._lock:
            if n_noted == self._n_noted:
                self.since_s = None


OUTAGE = Outage()
NO_STATE = SessionState()
UNAVAILABLE = SessionState(available=False)


def session_read(store_id: int, shopper_external_id: str) -> SessionState:
    """A shopper's recent events. Exactly one round trip; `available=False` if Valkey is away."""
    try:
        packed = valkey().call("LRANGE", session_key(store_id, shopper_external_id), 0, -1)
    except StoreUnavailable:
        OUTAGE.note()
        return UNAVAILABLE
    return _unpacked(packed) if packed else NO_STATE


def session_record(
    store_id: int, shopper_external_id: str, entries: Sequence[SessionEntry]
) -> bool:
    """Add events of one shopper. False if there is no list yet, and then nothing was added.

    Raises StoreUnavailable.
    """
    return not sessions_record(store_id, {shopper_external_id: entries}).missing


def sessions_record(
    store_id: int, entries_by_shopper: Mapping[str, Sequence[SessionEntry]]
) -> Recorded:
    """Add events of several shoppers in one round trip; one more when a list has grown too long.

    Raises StoreUnavailable.
    """
    shoppers = [shopper for shopper, entries in entries_by_shopper.items() if entries]
    commands: list[Command] = []
    for shopper in shoppers:
        key = session_key(store_id, shopper)
        newest = _kept(entries_by_shopper[shopper])
        commands.append(("RPUSHX", key, *map(_pack, newest)))
        commands.append(("LRANGE", key, 0, -1))
        commands.append(("EXPIRE", key, TTL_S))
    if not commands:
        return Recorded([], [])
    lists = dict(zip(shoppers, _pipeline(commands)[1::3], strict=True))
    _shorten(store_id, lists)
    return Recorded(
        missing=[shopper for shopper, packed in lists.items() if not packed],
        linked=[shopper for shopper, packed in lists.items() if _person_in(packed) is not None],
    )


def sessions_restore(
    store_id: int,
    entries_by_shopper: Mapping[str, Sequence[SessionEntry]],
    *,
    persons: Mapping[str, str] | None = None,
) -> None:
    """Put the past of shoppers before whatever events arrived meanwhile. One round trip.

    `entries` are oldest first; none means that the shopper has no past. `persons` names the person
    of those shoppers who are linked, customers themselves included. Raises StoreUnavailable.
    """
    commands: list[Command] = []
    for shopper, entries in entries_by_shopper.items():
        key = session_key(store_id, shopper)
        past = [_pack(entry) for entry in _kept(entries)] or [_BLANK]
        person = persons.get(shopper) if persons else None
        if person is not None:
            past.insert(0, _pack_person(person))
        lives_s = TTL_S if entries or person is not None else BLANK_TTL_S
        commands.append(("LPUSH", key, *reversed(past)))
        commands.append(("LTRIM", key, -MAX_LENGTH, -1))
        commands.append(("EXPIRE", key, lives_s))
    if commands:
        _pipeline(commands)


def sessions_forget(store_id: int, shopper_external_ids: Iterable[str]) -> None:
    """Drop the lists; the next look rebuilds them. Raises StoreUnavailable."""
    keys = [session_key(store_id, shopper) for shopper in shopper_external_ids]
    commands: list[Command] = [
        ("DEL", *keys[start : start + FORGET_BLOCK]) for start in range(0, len(keys), FORGET_BLOCK)
    ]
    if commands:
        _pipeline(commands)


def valkey_up_for_s() -> int:
    """For how long the server has been running. Raises StoreUnavailable."""
    found = valkey().call("INFO", "server")
    told = found if isinstance(found, Mapping) else _info(found)
    return int(told.get("uptime_in_seconds", 0))


def _info(text: bytes | str) -> dict[str, str]:
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _pipeline(commands: Sequence[Command]) -> list[Any]:
    try:
        return valkey().pipeline(commands)
    except StoreUnavailable:
        OUTAGE.note()
        raise


def _shorten(store_id: int, lists: Mapping[str, Sequence[bytes]]) -> None:
    """Take the oldest entries off lists that are too long, and put back what must stay.

    What must stay is pushed before anything is popped. Another process that shortens the same list
    may have been first, and then entries go that nobody has looked at; so what went is told.
    """
    commands: list[Command] = []
    judged: list[tuple[str, int, set[bytes]]] = []
    for shopper, packed in lists.items():
        n_over = len(packed) - N_ENTRIES
        if n_over < SLACK:
            continue
        key = session_key(store_id, shopper)
        going, rest = packed[:n_over], set(packed[n_over:])
        stay = [entry for entry in _staying(packed) if entry not in rest]
        if stay:
            commands.append(("RPUSHX", key, *stay))
        judged.append((key, len(commands), set(going)))
        commands.append(("LPOP", key, n_over))
    if not commands:
        return
    answers = _pipeline(commands)
    late: list[Command] = []
    for key, place, going_set in judged:
        unforeseen = set(answers[place] or ()) - going_set
        stay = [entry for entry in unforeseen if _is_hide(entry) or _is_person(entry)]
        if stay:
            late.append(("RPUSHX", key, *stay))
    if late:
        _pipeline(late)


def _staying(packed: Iterable[bytes]) -> list[bytes]:
    """What a list never loses for its age: the person, and the products hidden last."""
    distinct = dict.fromkeys(packed)
    # Packed entries sort by time.
    hides = sorted(entry for entry in distinct if _is_hide(entry))[-MAX_HIDDEN:]
    return [entry for entry in distinct if _is_person(entry)] + hides


def _is_hide(entry: bytes) -> bool:
    return len(entry) == _PACKED.size and entry[4] == EventType.HIDE_ITEM


def _is_person(entry: bytes) -> bool:
    return entry.startswith(_PERSON)


def _kept(entries: Sequence[SessionEntry]) -> list[SessionEntry]:
    """The last `N_ENTRIES` of entries that are oldest first, the last hidden products among them."""
    if len(entries) <= N_ENTRIES:
        return list(entries)
    hides = [entry for entry in entries if entry.type == EventType.HIDE_ITEM][-MAX_HIDDEN:]
    others = [entry for entry in entries if entry.type != EventType.HIDE_ITEM]
    both = others[-(N_ENTRIES - len(hides)) :] + hides
    return sorted(both, key=lambda entry: entry.occurred_at_s)


def _pack_person(person: str) -> bytes:
    packed = _PERSON + person.encode()
    # An entry of this very length would be read as an event.
    return packed + b"\0" if len(packed) == _PACKED.size else packed


def _person_in(packed: Iterable[bytes]) -> str | None:
    """The person that a list names, the last one if there should be several."""
    named = [entry for entry in packed if _is_person(entry)]
    return named[-1][len(_PERSON) :].rstrip(b"\0").decode("utf-8", "replace") if named else None


def _pack(entry: SessionEntry) -> bytes:
    at_s, kind, product_id, quantity = entry
    return _PACKED.pack(
        min(max(at_s, 0), 0xFFFF_FFFF), kind, product_id, min(max(quantity, 0), 0xFFFF)
    )


def _unpacked(packed: Sequence[bytes]) -> SessionState:
    distinct = dict.fromkeys(packed)
    entries = [entry for entry in distinct if len(entry) == _PACKED.size]
    # Else: the person, or a list of another version of Vitrine, which is no reason to fail.
    person = _person_in(distinct) if len(entries) != len(distinct) else None
    at_s, types, product_ids, quantities, cart = lookups.unpack(
        np.frombuffer(b"".join(entries), np.uint8), _ADD, _REMOVE, _BUY
    )
    return SessionState(at_s, types, product_ids, quantities, cart, person, found=True)


_ADD, _BUY = int(EventType.ADD_TO_CART), int(EventType.PURCHASE)
_REMOVE = int(EventType.REMOVE_FROM_CART)
