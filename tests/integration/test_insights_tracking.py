"""How events come in, read back from what was counted of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.selectors.insights_tracking import tracking_of
from analytics.services.insights_rollups import insights_refresh
from catalog.models import Store
from tests.factories import days, make_event, make_shopper

# Half past one at night, the 20th, where Kolkata is.
NOW = datetime(2026, 11, 19, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def kolkata(store: Store) -> Store:
    store.time_zone = "Asia/Kolkata"
    store.save()
    return store


def live(store: Store, at: datetime, n: int = 1) -> None:
    shopper = make_shopper(store, f"{at:%d-%H-%M}")
    for i in range(n):
        moment = at + timedelta(minutes=i)
        make_event(store, shopper, at=moment, received_at=moment)


def test_hours_are_found_where_the_clock_is_half_an_hour_off(kolkata: Store) -> None:
    whole = NOW.replace(minute=30)
    for back, n in ((1, 7), (2, 5), (3, 4)):
        live(kolkata, whole - HOUR * back, n)
    insights_refresh(store=kolkata, now=NOW)
    tracking = tracking_of(store=kolkata, n_hours=3)
    assert [(hour.at, hour.n, hour.minutes) for hour in tracking.hours] == [
        (whole - 3 * HOUR, 4, 60.0),
        (whole - 2 * HOUR, 5, 60.0),
        (whole - HOUR, 7, 30.0),
    ]


def test_shares_are_of_seven_days_as_the_shop_has_them(kolkata: Store) -> None:
    midnight = NOW.replace(hour=18, minute=30)
    first = midnight - days(6)
    live(kolkata, first - HOUR, 3)
    live(kolkata, first, 2)
    live(kolkata, midnight, 4)
    insights_refresh(store=kolkata, now=NOW)
    assert tracking_of(store=kolkata).shares.n_events == 6
