"""What comes in: by the minute, by type, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Max, Min

from catalog.contract.verdicts import CODES, Code
from catalog.memory import Bounded
from catalog.models import EventType, QuarantinedEvent, Shopper, Store

# Pages that poll share one answer: an hour of a busy shop is millions of lines.
FRESH_S = 10.0
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class MinuteCounts:
    """Events accepted in each of the last 60 minutes, the oldest first; the last isn't over."""

    first: datetime
    counts: Sequence[int]
    read_at: datetime

    @property
    def total(self) -> int:
        return sum(self.counts)

    @property
    def most(self) -> int:
        return max(self.counts)


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """Events that happened since a moment: of shoppers by type, the most frequent first, and of
    machines.
    """

    by_type: Sequence[tuple[EventType, int]]
    n_of_bots: int
    read_at: datetime

    @property
    def total(self) -> int:
        return sum(count for _, count in self.by_type) + self.n_of_bots

    @property
    def bot_rate(self) -> float | None:
        """None if nothing happened."""
        return self.n_of_bots / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """Events that were refused for the same reason and wait in the quarantine."""

    code: str
    words: str
    n_events: int
    first_at: datetime
    last_at: datetime
    examples: Sequence[QuarantinedEvent]


_minutes: Bounded[tuple[int, datetime], MinuteCounts] = Bounded(64, FRESH_S)
_types: Bounded[tuple[int, datetime], TypeCounts] = Bounded(64, FRESH_S)


def events_by_minute(*, store: Store, now: datetime) -> MinuteCounts:
    """One query over the index of the last hour; at most ten seconds old."""
    minute = now.replace(second=0, microsecond=0)
    known = _minutes.get((store.pk, minute))
    if known is not None:
        return known
    first = minute - timedelta(minutes=59)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT date_trunc('minute', received_at), count(*) FROM catalog_event"
            " WHERE store_id = %s AND received_at >= %s AND line = 0 GROUP BY 1",
            [store.pk, first],
        )
        found: dict[datetime, int] = dict(cursor.fetchall())
    counts = [found.get(first + timedelta(minutes=number), 0) for number in range(60)]
    _minutes.put((store.pk, minute), MinuteCounts(first, counts, now))
    return MinuteCounts(first, counts, now)


def events_by_type(*, store: Store, since: datetime, now: datetime) -> TypeCounts:
    """One query over the index since a moment; at most ten seconds old."""
    known = _types.get((store.pk, since))
    if known is not None:
        return known
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, is_bot, count(*) FROM catalog_event"
            " WHERE store_id = %s AND occurred_at >= %s AND line = 0 GROUP BY 1, 2",
            [store.pk, since],
        )
        rows = cursor.fetchall()
    by_type = [(EventType(kind), count) for kind, is_bot, count in rows if not is_bot]
    counts = TypeCounts(
        sorted(by_type, key=lambda pair: (-pair[1], pair[0])),
        sum(count for _, is_bot, count in rows if is_bot),
        now,
    )
    _types.put((store.pk, since), counts)
    return counts


def refused_groups(*, store: Store) -> list[RefusedGroup]:
    """What waits in the quarantine by reason, the most frequent first. One query and one per reason."""
    waiting = QuarantinedEvent.objects.filter(store=store, replayed_at=None)
    groups = (
        waiting.values("code")
        .annotate(n_events=Count("pk"), first_at=Min("received_at"), last_at=Max("received_at"))
        .order_by("-n_events", "code")
    )
    newest = waiting.order_by("-received_at", "-pk")
    return [
        RefusedGroup(
            code=group["code"],
            words=CODES.get(Code(group["code"]), "") if group["code"] in set(Code) else "",
            n_events=group["n_events"],
            first_at=group["first_at"],
            last_at=group["last_at"],
            examples=list(newest.filter(code=group["code"])[:EXAMPLES]),
        )
        for group in groups
    ]


def replayed_count(*, store: Store, since: datetime) -> int:
    """How many refused events were stored by a replay since a moment."""
    return QuarantinedEvent.objects.filter(store=store, replayed_at__gte=since).count()


def shoppers_called(*, store: Store, external_id: str) -> list[Shopper]:
    """The shopper of that id, or nobody. One query."""
    return list(Shopper.objects.filter(store=store, external_id=external_id).only("pk"))
