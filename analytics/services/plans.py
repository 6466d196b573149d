"""The sample-size planner: what a test would take, from the store's own history.

The history is of whole days up to yesterday, so what was read is kept until the next day begins,
for all goals at once: another goal, lift or split asks PostgreSQL nothing. Events that come in late
are in it the day after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from analytics.results.planning import History, PlanSketch, Split, plan_sketch
from analytics.selectors.plan_history import devices_of, plan_histories
from analytics.stats.answers import NotEnoughData
from catalog.models import Store
from recommender.models import Segment
from recommender.stores.client import StoreUnavailable
from recommender.stores.plan_histories import plan_history_read, plan_history_write


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """A plan, or what is missing for one; exactly one of `sketch` and `missing` is there."""

    sketch: PlanSketch | None
    missing: NotEnoughData | None
    history: History | None
    split: Split

    @property
    def words(self) -> str:
        """One sentence, whatever the answer is."""
        if self.sketch is not None:
            return self.sketch.words
        assert self.missing is not None
        return f"Not enough data for a plan: {self.missing.words}."

    def expected_shoppers(self, days: int) -> int | None:
        """How many will have been exposed after so many days: `planned_shoppers` of the start."""
        if self.history is None:
            return None
        return max(round(self.split.coverage * self.history.shoppers_by(days)), 1)

    def as_json(self) -> dict[str, Any]:
        """For `Experiment.plan`."""
        if self.sketch is not None:
            return self.sketch.as_json()
        return {"missing": self.words}


def plan_of(
    *,
    store: Store,
    placement_ids: Sequence[int],
    goal: str,
    lift: float,
    weights: Sequence[float],
    coverage: float = 1.0,
    group_share: float = 1.0,
    segment: Segment | None = None,
    now: datetime,
) -> PlanAnswer:
    """How long a test takes that looks for a lift.

    Two queries or three at the first look of a day at these placements and devices, none after it.

    Raises
    ------
    InvalidInputError
        Of `analytics.stats.answers`: weights, coverage or lift that can't be.
    """
    split = Split(tuple(weights), coverage * group_share)
    history = _histories(store, placement_ids, segment, now)[goal]
    if isinstance(history, NotEnoughData):
        return PlanAnswer(None, history, None, split)
    return PlanAnswer(plan_sketch(history, lift, split), None, history, split)


class _Kept(msgspec.Struct, frozen=True):
    """The histories of all goals, and why those of the others are missing."""

    found: dict[str, History]
    missing: dict[str, NotEnoughData]

    def by_goal(self) -> dict[str, History | NotEnoughData]:
        return {**self.found, **self.missing}


_decoder = msgspec.json.Decoder(_Kept)


def _histories(
    store: Store, placement_ids: Sequence[int], segment: Segment | None, now: datetime
) -> dict[str, History | NotEnoughData]:
    """What is kept since the day began, else `plan_histories`, kept from now on."""
    day = now.astimezone(ZoneInfo(store.time_zone)).date().isoformat()
    token = _token(store, placement_ids, segment)
    with suppress(StoreUnavailable, msgspec.DecodeError):
        packed = plan_history_read(store.pk, day, token)
        if packed is not None:
            return _decoder.decode(packed).by_goal()
    histories = plan_histories(store=store, placement_ids=placement_ids, segment=segment, now=now)
    found = {goal: each for goal, each in histories.items() if isinstance(each, History)}
    missing = {goal: each for goal, each in histories.items() if isinstance(each, NotEnoughData)}
    # A shop that has no history yet may import one at any moment.
    if found:
        with suppress(StoreUnavailable):
            packed = msgspec.json.encode(_Kept(found, missing))
            plan_history_write(store.pk, day, token, packed)
    return histories


def _token(store: Store, placement_ids: Sequence[int], segment: Segment | None) -> str:
    """What the history depends on, besides store and day."""
    devices = devices_of(segment)
    asked = [
        store.time_zone,
        sorted(set(placement_ids)),
        None if devices is None else sorted(set(devices)),
        segment is not None,
    ]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:32]
