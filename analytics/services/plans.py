"""The sample-size planner: what a test would take, from the store's own history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analytics.results.planning import History, PlanSketch, Split, plan_sketch
from analytics.selectors.plan_history import plan_history
from analytics.stats.answers import NotEnoughData
from catalog.models import Store
from recommender.models import Segment


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
    """How long a test takes that looks for a lift; nothing is written. Two queries, or three.

    Raises
    ------
    InvalidInputError
        Of `analytics.stats.answers`: weights, coverage or lift that can't be.
    """
    split = Split(tuple(weights), coverage * group_share)
    history = plan_history(
        store=store, placement_ids=placement_ids, goal=goal, segment=segment, now=now
    )
    if isinstance(history, NotEnoughData):
        return PlanAnswer(None, history, None, split)
    return PlanAnswer(plan_sketch(history, lift, split), None, history, split)
