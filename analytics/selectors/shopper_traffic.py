"""How many shoppers a store has a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Sum

from analytics.models import DailyRollup
from catalog.models import Store

TRAFFIC_DAYS = 14


@dataclass(frozen=True, slots=True)
class Traffic:
    """Different shoppers of a day, on average over `n_days` days with events until `last_day`."""

    shoppers_per_day: float
    n_days: int
    last_day: date


def shopper_traffic(*, store: Store, today: date) -> Traffic | None:
    """Over the last 14 complete days; None if nobody came in them. One query."""
    last = today - timedelta(days=1)
    first = today - timedelta(days=TRAFFIC_DAYS)
    found = DailyRollup.objects.filter(store=store, day__range=(first, last)).aggregate(
        n=Sum("n_shoppers"), days=Count("pk")
    )
    if not found["n"]:
        return None
    return Traffic(found["n"] / TRAFFIC_DAYS, found["days"], last)
