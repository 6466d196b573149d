"""Moving the demo's times into the present, on the shop's own clock."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from catalog.demo.source import TIME_ZONE

DAY_S = 86_400
WEEK_S = 7 * DAY_S


def moved(sold_at_s: NDArray[np.int64], *, weeks: int) -> NDArray[np.int64]:
    """Move times by whole weeks on the shop's own clock: 17:05 stays 17:05, summer or winter."""
    if weeks == 0:
        return sold_at_s
    return shop_utc(wall_clock(sold_at_s) + weeks * WEEK_S)


def wall_clock(utc_s: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn UTC seconds into the seconds that the shop's clock shows."""
    zone = zoneinfo.ZoneInfo(TIME_ZONE)
    return utc_s + _by_hour(
        utc_s, lambda hour: _offset_s(datetime.fromtimestamp(hour, UTC).astimezone(zone))
    )


def shop_utc(wall_clock_s: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn the shop's clock into UTC; an hour that comes twice is the first of the two.

    In the hour that the clock skips in spring, time goes on as if it didn't.
    """
    zone = zoneinfo.ZoneInfo(TIME_ZONE)
    return wall_clock_s - _by_hour(
        wall_clock_s,
        lambda hour: _offset_s(datetime.fromtimestamp(hour, UTC).replace(tzinfo=zone)),
    )


def _by_hour(seconds: NDArray[np.int64], offset: Callable[[int], int]) -> NDArray[np.int64]:
    """Look up an offset once per hour instead of once per line: clocks change on full hours."""
    hours, which = np.unique(seconds // 3600, return_inverse=True)
    offsets = np.array([offset(int(hour) * 3600) for hour in hours], dtype=np.int64)
    return offsets[which]


def _offset_s(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
