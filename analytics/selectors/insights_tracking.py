"""How events come in, against how they usually do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max, Min, Sum

from analytics.metrics.tracking import WEEKS, Usual, usual_of
from analytics.models import InsightsWatermark, RecommendationDay, TrackingDay, TrackingHour
from catalog.models import Shopper, Store

# What is judged beside the flow: shares of so many days.
LOOKS_BACK = timedelta(days=7)
# Of an hour that isn't over, so much must have passed to say anything.
_RUNNING = timedelta(minutes=15)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TrackedHour:
    """Events of an hour; `minutes` of it have been counted."""

    at: datetime
    n: int
    minutes: float
    usual: Usual | None

    @property
    def per_minute(self) -> float:
        return self.n / self.minutes


@dataclass(frozen=True, slots=True)
class Shares:
    """Sums over the last days, and the shopper id with most sessions in one of them.

    Attributes
    ----------
    busiest_shopper_id
        Our id; None if nobody had a session.
    """

    n_events: int
    n_orders: int
    n_orders_unseen: int
    n_lines: int
    n_lines_unknown: int
    n_clicks: int
    n_clicks_unknown: int
    busiest_shopper_id: int | None
    busiest_sessions: int
    busiest_events: int
    busiest_of: int


@dataclass(frozen=True, slots=True)
class Tracking:
    """`hours` are the last ones, oldest first; the last may be running. Empty: nothing came live.

    `read_at` is up to when events have been counted; `last_hour` the last with any.
    """

    hours: Sequence[TrackedHour]
    shares: Shares
    first_hour: datetime | None
    last_hour: datetime | None
    read_at: datetime | None


def tracking_of(*, store: Store, n_hours: int = 48) -> Tracking:
    """Five queries over days and hours that were counted already."""
    watermark = InsightsWatermark.objects.filter(store=store).first()
    read_at = None
    if watermark is not None:
        # In the zone whose hours and days were counted.
        read_at = watermark.computed_at.astimezone(ZoneInfo(watermark.time_zone))
    ends = TrackingHour.objects.filter(store=store).aggregate(first=Min("hour"), last=Max("hour"))
    if read_at is None or ends["first"] is None:
        return Tracking([], _shares(store, read_at), None, None, read_at)
    hours = _hours(store, read_at, n_hours, ends["first"])
    return Tracking(hours, _shares(store, read_at), ends["first"], ends["last"], read_at)


def _hours(
    store: Store, read_at: datetime, n_hours: int, first_known: datetime
) -> list[TrackedHour]:
    # Half past, where the zone is half an hour off.
    running = read_at.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    if read_at - running < _RUNNING:
        running -= _HOUR
    first = running - _HOUR * (n_hours - 1)
    weeks = [timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    counts = dict(
        TrackingHour.objects.filter(
            store=store, hour__gte=first - weeks[-1], hour__lte=running
        ).values_list("hour", "n_events")
    )
    # The first hour may have begun before the shop did.
    known_from = first_known + _HOUR
    found = []
    for number in range(n_hours):
        at = first + _HOUR * number
        if at < first_known:
            continue
        share = min((read_at - at) / _HOUR, 1.0)
        before = [counts.get(at - back, 0) if at - back >= known_from else None for back in weeks]
        found.append(TrackedHour(at, counts.get(at, 0), 60 * share, usual_of(before, share=share)))
    return found


def _shares(store: Store, read_at: datetime | None) -> Shares:
    if read_at is None:
        return Shares(0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0)
    since = (read_at - LOOKS_BACK).date()
    days = TrackingDay.objects.filter(store=store, day__gt=since)
    names = ("n_events", "n_orders", "n_orders_unseen", "n_lines", "n_lines_unknown")
    sums = days.aggregate(**{name: Sum(name, default=0) for name in names})
    busiest = (
        days.filter(busiest_sessions__gt=0)
        .order_by("-busiest_sessions", "-day")
        .values_list("busiest_shopper_id", "busiest_sessions", "busiest_events", "n_events")
        .first()
    )
    clicks = dict(
        RecommendationDay.objects.filter(store=store, day__gt=since)
        .values_list("placement_id")
        .annotate(n=Sum("n_clicks"))
    )
    return Shares(
        **sums,
        n_clicks=sum(clicks.values()),
        n_clicks_unknown=clicks.get(0, 0),
        busiest_shopper_id=busiest[0] if busiest else None,
        busiest_sessions=busiest[1] if busiest else 0,
        busiest_events=busiest[2] if busiest else 0,
        busiest_of=busiest[3] if busiest else 0,
    )


def shopper_named(*, store: Store, shopper_id: int) -> Shopper | None:
    """None if the shopper was erased since. One query."""
    return Shopper.objects.filter(store=store, pk=shopper_id).first()
