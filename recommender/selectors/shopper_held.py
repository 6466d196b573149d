"""Everything that is held about a shopper: how much of it, and all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from django.db import connection
from django.db.models import Q, QuerySet

from catalog.models import Event, EventType, QuarantinedEvent, Shopper, ShopperLink, Store
from catalog.selectors.shopper_links import persons_of
from recommender.models import Experiment, Exposure, Impression

# Rows that are read at once: a streamed export holds no more of them.
_BLOCK = 2_000


@dataclass(frozen=True, slots=True)
class ShopperHeld:
    """How many rows name a shopper, and who else is the same person."""

    n_events: int
    n_impressions: int
    n_exposures: int
    n_links: int
    n_refused: int
    has_profile: bool
    linked: tuple[str, ...]
    exists: bool

    @property
    def is_anything(self) -> bool:
        return self.exists or self.n_impressions + self.n_exposures + self.n_refused > 0


def shopper_held(*, store: Store, external_id: str) -> ShopperHeld:
    """What `shopper_erase` would touch. Seven queries, one of them over the store's impressions."""
    shopper = Shopper.objects.filter(store=store, external_id=external_id).first()
    events = 0
    if shopper is not None:
        events = Event.objects.filter(store=store, shopper=shopper).values("event_id").count()
    return ShopperHeld(
        n_events=events,
        n_impressions=impressions_of(store=store, external_id=external_id).count(),
        n_exposures=exposures_of(store=store, external_id=external_id).count(),
        n_links=links_naming(store=store, shopper=shopper).count(),
        n_refused=refused_of(store=store, external_id=external_id).count(),
        has_profile=shopper is not None and bool(shopper.profile),
        linked=others_of(store=store, external_id=external_id),
        exists=shopper is not None,
    )


def others_of(*, store: Store, external_id: str) -> tuple[str, ...]:
    """The other ids of the same person."""
    person = persons_of(store_id=store.pk, external_ids=[external_id]).get(external_id)
    return tuple(each for each in person.members if each != external_id) if person else ()


def impressions_of(*, store: Store, external_id: str) -> QuerySet[Impression]:
    return Impression.objects.filter(store=store, shopper_external_id=external_id)


def exposures_of(*, store: Store, external_id: str) -> QuerySet[Exposure]:
    # By experiment, as the key has them.
    experiments = list(Experiment.objects.filter(store=store).values_list("pk", flat=True))
    return Exposure.objects.filter(
        store=store, experiment_id__in=experiments, shopper_external_id=external_id
    )


def links_naming(*, store: Store, shopper: Shopper | None) -> QuerySet[ShopperLink]:
    """Links to and from a shopper, undone ones as well."""
    if shopper is None:
        return ShopperLink.objects.none()
    return ShopperLink.objects.filter(Q(shopper=shopper) | Q(customer=shopper), store=store)


def refused_of(*, store: Store, external_id: str) -> QuerySet[QuarantinedEvent]:
    """Refused events that the shop sent under the id, however it spelled the field."""
    named = Q()
    for field in ("shopper_id", "anonymousId", "visitorId", "userId", "customer_id"):
        named |= Q(**{f"payload__{field}": external_id})
        if external_id.isascii() and external_id.isdigit() and external_id[0] != "0":
            named |= Q(**{f"payload__{field}": int(external_id)})
    return QuarantinedEvent.objects.filter(named, store=store)


_EVENT_FIELDS = (
    "event_id", "line", "type", "occurred_at", "received_at", "session_id", "product__external_id",
    "unknown_product", "quantity", "price_minor", "list_price_minor", "value_minor", "order_id",
    "query", "page", "rating", "recommendation_id", "consent", "properties", "is_bot",
)  # fmt: skip
_IMPRESSION_FIELDS = (
    "recommendation_id", "delivered_at", "placement_id", "strategy_version_id", "experiment_id",
    "variant_id", "session_id", "product_ids", "sources", "fallback", "reason", "device", "context",
)  # fmt: skip
_EXPOSURE_FIELDS = ("experiment_id", "variant_id", "exposed_at", "bucket", "recommendation_id")
_LINK_FIELDS = (
    "shopper__external_id", "customer__external_id", "linked_at", "linked_by", "undone_at",
)  # fmt: skip
_REFUSED_FIELDS = ("received_at", "code", "field", "message", "payload")


def shopper_export(*, store: Store, external_id: str) -> Iterator[bytes] | None:
    """All of it as JSON, a piece at a time; None if there is nothing about such a shopper."""
    if not shopper_held(store=store, external_id=external_id).is_anything:
        return None
    return _export(store, external_id)


def _export(store: Store, external_id: str) -> Iterator[bytes]:
    shopper = Shopper.objects.filter(store=store, external_id=external_id).first()
    about: dict[str, Any] = {
        "shopper_id": external_id,
        "store": store.slug,
        "currency": store.currency,
        "linked": list(others_of(store=store, external_id=external_id)),
    }
    if shopper is not None:
        about |= {
            "first_seen_at": shopper.first_seen_at,
            "last_seen_at": shopper.last_seen_at,
            "profile": shopper.profile,
        }
    events = Event.objects.none()
    if shopper is not None:
        events = Event.objects.filter(store=store, shopper=shopper)
    parts: dict[str, Iterable[dict[str, Any]]] = {
        "links": _rows(links_naming(store=store, shopper=shopper).order_by("pk"), _LINK_FIELDS),
        "exposures": _rows(
            exposures_of(store=store, external_id=external_id).order_by("exposed_at"),
            _EXPOSURE_FIELDS,
        ),
        "impressions": _rows(
            impressions_of(store=store, external_id=external_id).order_by("delivered_at"),
            _IMPRESSION_FIELDS,
        ),
        "refused_events": _rows(
            refused_of(store=store, external_id=external_id).order_by("pk"), _REFUSED_FIELDS
        ),
        "events": _events(events.order_by("occurred_at", "event_id", "line")),
    }
    yield orjson.dumps(about)[:-1]
    for name, rows in parts.items():
        yield f',"{name}":['.encode()
        for number, row in enumerate(rows):
            yield (b"," if number else b"") + orjson.dumps(row)
        yield b"]"
    yield b"}\n"


def _rows(found: QuerySet[Any], fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in found.values(*fields).iterator(_BLOCK):
        yield {name.replace("__external_id", "_id"): value for name, value in row.items()}


def _events(found: QuerySet[Event]) -> Iterator[dict[str, Any]]:
    for row in _rows(found, _EVENT_FIELDS):
        yield row | {"type": EventType(row["type"]).label}


_DAYS = f"""
SELECT DISTINCT (occurred_at AT TIME ZONE %(zone)s)::date
FROM catalog_event
WHERE store_id = %(store)s AND (
  shopper_id = %(shopper)s
  OR (shopper_id = ANY(%(linked)s::bigint[]) AND type = {EventType.PURCHASE.value})
)
"""


def days_touched(*, store: Store, shopper: Shopper, linked_ids: list[int]) -> list[date]:
    """The days that change when a shopper is gone: its own, and those on which the same person
    bought under another id, as a click of the shopper may be credited with that.
    """
    parameters: dict[str, Any] = {
        "store": store.pk,
        "zone": store.time_zone,
        "shopper": shopper.pk,
        "linked": linked_ids,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, parameters)
        return sorted(day for (day,) in cursor.fetchall())
