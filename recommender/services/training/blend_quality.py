"""Whether a learned blend finds more than equal weights, on questions it hasn't learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from recommender.engine.offline.learned_blend import Query
from recommender.engine.offline.learned_blend_features import Catalog
from recommender.engine.online.blending import blend
from recommender.engine.online.learned_blend import BlendModel, learned_blend

HELD_OUT_SHARE = 0.2
PLACES = 10
AskedT = TypeVar("AskedT")


@dataclass(frozen=True, slots=True)
class Hits:
    """In which share of `n` questions something wanted was among the first ten: as learned, with
    equal weights, and with the strategy's own."""

    learned: float
    equal: float
    own: float
    n: int

    def as_json(self) -> dict[str, float]:
        return {
            "learned": round(self.learned, 4),
            "equal": round(self.equal, 4),
            "own": round(self.own, 4),
            "n": self.n,
        }


def tail_of(asked: Sequence[AskedT]) -> tuple[Sequence[AskedT], Sequence[AskedT]]:
    """The earlier ones, and the newest fifth."""
    n_later = int(len(asked) * HELD_OUT_SHARE)
    cut = len(asked) - n_later
    return asked[:cut], asked[cut:]


def hits_of(
    model: BlendModel, queries: Sequence[Query], catalog: Catalog, *, weights: Sequence[float]
) -> Hits:
    """Questions of which no source named anything wanted are misses of all three."""
    if not queries:
        return Hits(0.0, 0.0, 0.0, 0)
    item_values = model.item_values(catalog.products)
    found = np.zeros((len(queries), 3))
    for place, query in enumerate(queries):
        lists = (
            learned_blend(
                model,
                query.parts,
                query.situation,
                item_values=item_values,
                log_prices=catalog.log_prices,
                limit=PLACES,
            ),
            blend([(name, 1.0, part) for name, part in query.parts], limit=PLACES),
            blend(
                [
                    (name, weight, part)
                    for (name, part), weight in zip(query.parts, weights, strict=True)
                ],
                limit=PLACES,
            ),
        )
        found[place] = [np.isin(each.rows, query.wanted).any() for each in lists]
    learned, equal, own = found.mean(axis=0).tolist()
    return Hits(learned, equal, own, len(queries))
