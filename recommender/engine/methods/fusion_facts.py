"""What a blend knows of products, shoppers and requests beside the candidates of its sources."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.learned_blend_features import Catalog
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.online.learned_blend import Situation
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int32Array

HALF_LIVES_DAYS = (3.0, 10.0, 30.0, 90.0)
SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Facts:
    """What a training part says; the names are those of the columns.

    Attributes
    ----------
    catalog : Catalog
    product, context, personal : tuples of names
    """

    catalog: Catalog
    product: tuple[str, ...]
    context: tuple[str, ...]
    personal: tuple[str, ...]
    kinds: tuple[str, ...]
    now_s: int

    @classmethod
    def of(cls, training: Training, query: Query) -> Facts:
        """As far as the training part and a query of its kind go."""
        product = _products(training)
        kinds = tuple(training.shoppers) if query.kinds else ()
        counted = bool(len(query.counts))
        prices = training.facts.prices
        return cls(
            catalog=Catalog(
                np.stack(list(product.values()), axis=1),
                None if prices is None else _logarithms(prices),
            ),
            product=tuple(product),
            context=(
                "length",
                *(("idle",) if counted else ()),
                *(_CLOCK if query.at_s else ()),
            ),
            personal=(
                "had",
                *(f"had_{kind}" for kind in kinds),
                *(_COUNTED if counted else ()),
                *(() if counted or kinds else _PLACES),
            ),
            kinds=kinds,
            now_s=training.now_s,
        )

    def moved_to(self, training: Training) -> Facts:
        """The same of another training part, under the same names."""
        product = _products(training)
        unknown = np.full(training.n_items, np.nan, np.float32)
        prices = training.facts.prices
        columns = [product.get(name, unknown) for name in self.product]
        return replace(
            self,
            catalog=Catalog(
                np.stack(columns, axis=1), None if prices is None else _logarithms(prices)
            ),
            now_s=training.now_s,
        )

    def situation(self, query: Query) -> Situation:
        """A query as the blend sees it."""
        known = query.rows >= 0
        now_s = query.at_s or self.now_s
        context = [np.log1p(int(known.sum()))]
        if "idle" in self.context:
            last = query.last_at_s.max(initial=now_s if not len(query.last_at_s) else 0)
            context.append(np.log1p(max(now_s - int(last), 0) / SECONDS_PER_DAY))
        if _CLOCK[0] in self.context:
            context.extend(_clock(query.at_s))
        rows, first_of = np.unique(query.rows[known][::-1], return_index=True)
        if "had_times" in self.personal:
            did = self._counted(query, rows)
        elif self.kinds:
            did = self._by_kind(query, rows)
        else:
            did = _by_place(first_of)
        return Situation(
            context=np.array(context, np.float32),
            rows=rows.astype(np.int32),
            did=np.concatenate([np.ones((len(rows), 1)), did], axis=1, dtype=np.float32),
            usual_log_price=self._usual(rows),
        )

    def _counted(self, query: Query, rows: Int32Array) -> Float32Array:
        """Logarithms of how often, of how long ago, and the square of that; who bought twice."""
        places = np.searchsorted(rows, query.rows[query.rows >= 0])
        counts, gaps = np.zeros(len(rows)), np.zeros(len(rows))
        now_s = query.at_s or self.now_s
        if len(query.counts):
            counts[places] = query.counts[query.rows >= 0]
            gaps[places] = np.maximum(now_s - query.last_at_s[query.rows >= 0], 0)
        gap = np.log1p(gaps / SECONDS_PER_DAY)
        return np.stack([np.log1p(counts), gap, gap * gap / 5, counts > 1], axis=1).astype(
            np.float32
        )

    def _by_kind(self, query: Query, rows: Int32Array) -> Float32Array:
        of_kind = dict(query.kinds)
        none = np.empty(0, np.int32)
        return np.stack(
            [np.isin(rows, of_kind.get(kind, none)) for kind in self.kinds], axis=1
        ).astype(np.float32)

    def _usual(self, rows: Int32Array) -> float:
        prices = self.catalog.log_prices
        if prices is None or not np.isfinite(prices[rows]).any():
            return float("nan")
        return float(np.nanmedian(prices[rows]))


_CLOCK = ("hour_sine", "hour_cosine", "weekend")
_COUNTED = ("had_times", "had_days_ago", "had_days_ago_squared", "had_twice")
_PLACES = ("newest", "second", "earlier")


def _clock(at_s: int) -> tuple[float, float, float]:
    """The hour on a circle, and whether it is a Saturday or Sunday, in UTC."""
    angle = 2 * np.pi * (at_s % SECONDS_PER_DAY) / SECONDS_PER_DAY
    # The first day of the epoch was a Thursday.
    weekday = (at_s // SECONDS_PER_DAY + 3) % 7
    return float(np.sin(angle)), float(np.cos(angle)), float(weekday >= 5)


def _by_place(age: npt.ArrayLike) -> Float32Array:
    """Whether an item is the newest of a session, the second, and how far back it is else."""
    ages = np.asarray(age, np.float64)
    return np.stack([ages == 0, ages == 1, 1 / (1 + ages)], axis=1).astype(np.float32)


def _products(training: Training) -> dict[str, Float32Array]:
    """Logarithms of how often, by kind and by time; price; age."""
    n = training.n_items
    out: dict[str, Float32Array] = {}

    def add(name: str, counts: npt.NDArray[np.integer]) -> None:
        out[name] = np.log1p(counts).astype(np.float32)

    if len(training.shoppers) > 1:
        for kind, matrix in training.shoppers.items():
            add(f"log_{kind}", np.bincount(matrix.indices, minlength=n))
    else:
        add("log_popularity", np.bincount(group_matrix(training).indices, minlength=n))
    bought = training.purchases
    if bought is not None:
        for days in HALF_LIVES_DAYS:
            counts = decayed_counts(
                bought.item_rows,
                bought.times_s,
                now_s=training.now_s,
                half_life_days=days,
                n_items=n,
                shopper_rows=bought.shopper_rows,
            )
            out[f"log_demand_{days:.0f}d"] = np.log(counts + 0.05).astype(np.float32)
    facts = training.facts
    if facts.prices is not None:
        out["log_price"] = _logarithms(facts.prices)
    if facts.since_s is not None:
        age = np.maximum(training.now_s - facts.since_s, 0) / SECONDS_PER_DAY
        out["log_age_days"] = np.log1p(age).astype(np.float32)
    return out


def _logarithms(prices: Float32Array) -> Float32Array:
    """NaN where there is no price."""
    logs: Float32Array = np.log(np.where(prices > 0, prices, np.nan)).astype(np.float32)
    return logs
