"""What a learned blend is told of the moment: the shop's own clocks say it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from recommender.serving.blend_step import situation_of
from recommender.serving.blends import CONTEXT
from tests.unit.serving.test_context import SHOT, context


def moment(at: datetime, zone: str) -> tuple[float, bool]:
    """The hour of the day, 0 to 24, and whether it is a weekend, as the features say."""
    asked = replace(context(), now_s=int(at.timestamp()), time_zone=zone)
    numbers = situation_of(asked, np.zeros(len(SHOT), np.float32)).context
    told = dict(zip(CONTEXT, numbers.tolist(), strict=True))
    angle = math.atan2(told["hour_sine"], told["hour_cosine"])
    return round(angle / (2 * math.pi) * 24 % 24, 3), bool(told["weekend"])


@pytest.mark.parametrize(
    ("at", "zone", "hour", "is_weekend"),
    [
        # A Friday evening of UTC.
        (datetime(2026, 3, 6, 20, 0, tzinfo=UTC), "UTC", 20.0, False),
        (datetime(2026, 3, 6, 20, 0, tzinfo=UTC), "Asia/Kolkata", 1.5, True),
        (datetime(2026, 3, 6, 20, 0, tzinfo=UTC), "Asia/Kathmandu", 1.75, True),
        (datetime(2026, 3, 6, 20, 0, tzinfo=UTC), "America/St_Johns", 16.5, False),
        # A Sunday of UTC is a Monday in Auckland, and a Saturday in Honolulu.
        (datetime(2026, 3, 8, 12, 0, tzinfo=UTC), "Pacific/Auckland", 1.0, False),
        (datetime(2026, 3, 8, 9, 0, tzinfo=UTC), "Pacific/Honolulu", 23.0, True),
        # Noon in Vienna, on the days before and after the clocks went forward and back.
        (datetime(2026, 3, 28, 11, 0, tzinfo=UTC), "Europe/Vienna", 12.0, True),
        (datetime(2026, 3, 30, 10, 0, tzinfo=UTC), "Europe/Vienna", 12.0, False),
        (datetime(2026, 10, 24, 10, 0, tzinfo=UTC), "Europe/Vienna", 12.0, True),
        (datetime(2026, 10, 26, 11, 0, tzinfo=UTC), "Europe/Vienna", 12.0, False),
        # Half past two comes twice.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Vienna", 2.5, True),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Vienna", 2.5, True),
    ],
)
def test_hours_and_weekends_are_those_of_the_shop(
    at: datetime, zone: str, hour: float, is_weekend: bool
) -> None:
    assert moment(at, zone) == (hour, is_weekend)
