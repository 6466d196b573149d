"""What of a demo store was played again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.models import DemoReplay, Event, EventType, Store

# Whoever plays says so every second. Silent for so long, they were killed.
SILENT_AFTER = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class OrdersThere:
    """The orders that a store holds of a time: those played, and those that the import brought."""

    played: frozenset[str]
    imported: frozenset[str]


def demo_replay(*, store: Store) -> DemoReplay | None:
    """The store's replay; None for real stores and for demos that were never played. One query."""
    return DemoReplay.objects.filter(store=store).first()


def replay_is_done(*, store: Store, share: float) -> bool:
    """Whether this share of the households, or a larger one, was played to the end."""
    replay = demo_replay(store=store)
    return (
        replay is not None
        and replay.state == DemoReplay.State.DONE
        and replay.share >= share - 1e-9
    )


def replay_is_active(replay: DemoReplay, now: datetime) -> bool:
    return replay.state == DemoReplay.State.RUNNING and now - replay.updated_at < SILENT_AFTER


def orders_there(*, store: Store, from_at: datetime, until_at: datetime) -> OrdersThere:
    """Which orders of a time are stored. One query.

    A page says that its visitor has agreed, an import says nothing.
    """
    rows = (
        Event.objects.filter(
            store=store,
            type=EventType.PURCHASE,
            line=0,
            occurred_at__gte=from_at,
            occurred_at__lte=until_at,
        )
        .exclude(order_id=None)
        .values_list("order_id", "consent")
    )
    played: set[str] = set()
    imported: set[str] = set()
    for order_id, consent in rows:
        (imported if consent is None else played).add(str(order_id))
    return OrdersThere(frozenset(played), frozenset(imported))
