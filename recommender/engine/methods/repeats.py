"""What a shopper bought before and is likely to need again."""

from __future__ import annotations

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import (
    Family,
    Method,
    Model,
    Need,
    Parameters,
    answered,
    number,
    optional,
)
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.offline.repeat import fit_repeat
from recommender.engine.online.profiles import buy_again
from recommender.engine.types import Candidates, Float32Array, RepeatModel


class BuyAgain(Model):
    """The shopper's own purchases, by how often, how likely again and how due."""

    def __init__(
        self, repeat: RepeatModel, demand: Float32Array, now_s: int, parameters: Parameters
    ) -> None:
        self._repeat = repeat
        self._demand = demand
        self._now_s = now_s
        self._exponents = {
            name: number(parameters, name)
            for name in ("frequency_exponent", "repeat_exponent", "urgency", "demand_exponent")
        }

    def recommend(self, query: Query, limit: int) -> Candidates:
        if not len(query.counts):
            return Candidates.empty()
        found = buy_again(
            query.rows,
            query.counts,
            query.last_at_s,
            interval_days=self._repeat.interval_days,
            repeat_probability=self._repeat.repeat_probability,
            now_s=query.at_s or self._now_s,
            limit=limit + len(query.removed),
            demand=self._demand,
            **self._exponents,
        )
        return answered(found, query, limit)


def fit_buy_again(training: Training, parameters: Parameters, _seed: int) -> BuyAgain:
    """Repeat intervals and chances per item; see `engine.offline.repeat`."""
    bought = training.purchases
    if bought is None:
        raise InvalidInputError("this protocol has no purchases with times to learn from")
    model = fit_repeat(
        bought.shopper_rows, bought.item_rows, bought.times_s, n_items=training.n_items
    )
    demand = decayed_counts(
        bought.item_rows,
        bought.times_s,
        now_s=training.now_s,
        half_life_days=optional(parameters, "half_life_days"),
        n_items=training.n_items,
    )
    return BuyAgain(model, demand, training.now_s, parameters)


METHODS = (
    Method(
        key="buy_again",
        title="Repeat purchases",
        family=Family.POPULARITY,
        needs=frozenset({Need.PURCHASES}),
        fit=fit_buy_again,
        defaults={
            "frequency_exponent": 1.0,
            "repeat_exponent": 0.25,
            "urgency": 0.25,
            "demand_exponent": 0.3,
            "half_life_days": 30.0,
        },
        grid={
            "demand_exponent": (0.0, 0.1, 0.3, 0.5),
            "half_life_days": (7.0, 15.0, 30.0, 90.0),
            "urgency": (0.0, 0.1, 0.25, 0.5),
            "repeat_exponent": (0.0, 0.25, 0.5, 1.0),
            "frequency_exponent": (0.7, 1.0),
        },
        because="",
        otherwise="you have bought it before",
        source="buy_again",
        cheap=True,
    ),
)
