"""What a family's training gives back, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.engine.types import SECONDS_PER_DAY, Float32Array
from recommender.selectors.event_weights import event_weights
from recommender.selectors.training_data import (
    TrainingEvents,
    TrainingProducts,
    TrainingShoppers,
    Watermark,
    product_sales,
    training_events,
    training_products,
    training_shoppers,
)
from recommender.services.training.weights import type_weights_of

HISTORY = timedelta(days=730)

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
    state
        Arrays that the next increment goes on from; serving doesn't need them.
    marks
        Up to where facts were read, by name.
    """

    arrays: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Any]
    counts: dict[str, int]
    quality: dict[str, float]
    headline: str
    as_of_s: float
    state: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)


class TrainingData:
    """Facts of one store. Each part is read when it is first asked for, and then kept, so that the
    families of one command share it.

    Recency is measured from the newest event, not from `now`: a store whose shop is quiet keeps
    its order.
    """

    def __init__(self, *, store_id: int, now: datetime) -> None:
        self.store_id = store_id
        self.now_s = now.timestamp()
        self._since = now - HISTORY

    @cached_property
    def products(self) -> TrainingProducts:
        return training_products(store_id=self.store_id)

    @cached_property
    def shoppers(self) -> TrainingShoppers:
        return training_shoppers(store_id=self.store_id)

    @cached_property
    def _read(self) -> tuple[TrainingEvents, Watermark]:
        return training_events(
            store_id=self.store_id,
            since=self._since,
            products=self.products,
            shoppers=self.shoppers,
        )

    @property
    def events(self) -> TrainingEvents:
        return self._read[0]

    @property
    def watermark(self) -> Watermark:
        """Up to where `events` were read."""
        return self._read[1]

    @cached_property
    def event_weights(self) -> Mapping[str, float]:
        """What each kind of event weighs in this store."""
        return event_weights(store_id=self.store_id)

    @cached_property
    def type_weights(self) -> Float32Array:
        """Weight of every event, float32[n]; 0 for types that say nothing about taste."""
        weights: Float32Array = type_weights_of(self.event_weights)[self.events.types]
        return weights

    @cached_property
    def sold(self) -> npt.NDArray[np.int64]:
        """Order lines per product row, without reading the events."""
        counts = product_sales(store_id=self.store_id, since=self._since)
        sold = np.zeros(len(self.products), np.int64)
        rows = self.products.ids.rows_of(np.array(list(counts), np.int64))
        lines = np.array(list(counts.values()), np.int64)
        sold[rows[rows >= 0]] = lines[rows >= 0]
        return sold

    @cached_property
    def category_codes(self) -> npt.NDArray[np.int32]:
        """Leaf category per product row, -1 for none."""
        codes: dict[str, int] = {}
        paths = self.products.category_paths
        return np.array(
            [codes.setdefault(path, len(codes)) if path else -1 for path in paths], np.int32
        )

    @cached_property
    def purchases(self) -> TrainingEvents:
        """Lines of orders."""
        return self.events.where(self.events.types == EventType.PURCHASE)

    @cached_property
    def views(self) -> TrainingEvents:
        """Products looked at."""
        types = self.events.types
        return self.events.where((types == EventType.VIEW_ITEM) | (types == EventType.SELECT_ITEM))

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
