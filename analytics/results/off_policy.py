"""What a replay of the log says about a strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.results.logged_slots import Slots
from analytics.stats.answers import NotEnoughData
from analytics.stats.off_policy import Estimate, Model, Replay, mean_per_slot, replay


@dataclass(frozen=True, slots=True)
class Outcome:
    """Clicks per place shown.

    Attributes
    ----------
    logged
        What really happened; None without a slot.
    replayed
        What would have; or why that can't be told.
    n_slots, n_clicks, n_shoppers
        Logged.
    n_same
        Slots in which the strategy puts the same product at the same place.
    """

    logged: Estimate | None
    replayed: Replay | NotEnoughData
    n_slots: int
    n_clicks: int
    n_shoppers: int
    n_same: int

    @property
    def lift(self) -> float | None:
        """Of the self-normalised estimate against what happened; None if either isn't known."""
        if self.logged is None or isinstance(self.replayed, NotEnoughData):
            return None
        return self.replayed.snips.value / self.logged.value - 1 if self.logged.value else None


def outcome_of(slots: Slots) -> Outcome:
    """Judge the slots of a sample.

    The model of the doubly robust estimate is the click rate of the place: products further down
    are clicked less whatever they are.
    """
    rewards, logged, evaluated, filled = (
        np.array(column, np.float64)
        for column in (slots.rewards, slots.logged, slots.evaluated, slots.filled)
    )
    places, shoppers = np.array(slots.places, np.int64), np.array(slots.shoppers, np.int64)
    model = None
    if len(rewards):
        by_place = np.bincount(places, weights=rewards) / np.maximum(np.bincount(places), 1)
        model = Model(by_place[places], by_place[places] * filled)
    return Outcome(
        logged=mean_per_slot(rewards, shoppers) if len(rewards) else None,
        replayed=replay(
            rewards,
            logged,
            evaluated,
            shoppers=shoppers,
            model=model,
            filled=float(filled.mean()) if len(filled) else 1.0,
        ),
        n_slots=len(rewards),
        n_clicks=int(rewards.sum()),
        n_shoppers=len(slots.numbers),
        n_same=int(evaluated.sum()),
    )
