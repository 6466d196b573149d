"""What a family's training gives back, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.engine.types import SECONDS_PER_DAY
from recommender.selectors.training_data import (
    TrainingEvents,
    TrainingProducts,
    TrainingShoppers,
)

Report: TypeAlias = Callable[[str, float], None]
"""Called with the step in words and the share that is done, 0 to 1."""


class NotEnoughData(Exception):
    """There is nothing to learn from yet; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Arrays to publish, with what is known of them.

    Attributes
    ----------
    headline
        Name in `quality` by which a new run is compared with the serving one; higher is better.
    """

    arrays: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Any]
    counts: dict[str, int]
    quality: dict[str, float]
    headline: str
    as_of_s: float


@dataclass(frozen=True)
class TrainingData:
    """Facts of one store, read once and shared by the families of a command.

    `now_s` is the time of the run; recency is measured from the newest event, so that a store
    whose shop is quiet keeps its order.
    """

    store_id: int
    now_s: float
    products: TrainingProducts
    shoppers: TrainingShoppers
    events: TrainingEvents
    category_codes: npt.NDArray[np.int32] = field(repr=False)

    @cached_property
    def purchases(self) -> TrainingEvents:
        """Lines of orders."""
        return self.events.where(self.events.types == EventType.PURCHASE)

    @cached_property
    def views(self) -> TrainingEvents:
        """Products looked at."""
        types = self.events.types
        return self.events.where(
            (types == EventType.VIEW_ITEM) | (types == EventType.SELECT_ITEM)
        )

    @cached_property
    def newest_s(self) -> int:
        """Time of the newest event, or of the run if there is none."""
        return int(self.events.times_s.max()) if len(self.events) else int(self.now_s)


def cut_before(times_s: npt.NDArray[np.int64], *, share: float) -> int:
    """The time that leaves about `share` of the events after it, at least a day before the end."""
    newest = int(times_s.max())
    return min(int(np.quantile(times_s, 1.0 - share)), newest - SECONDS_PER_DAY)


def dense(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], int]:
    """Any numbers as rows 0…n-1, and n."""
    distinct, rows = np.unique(keys, return_inverse=True)
    return rows.astype(np.int32), len(distinct)
