"""Several sources, one list, in an order that was learned: a conditional logit over candidates.

A candidate's score is linear in what its sources say (`LINE_FEATURES`), what the catalog says of the
product, what the shopper did with it, and its price against what the shopper usually pays. What is
known of the request (hour, device, length of the history) is the same for all candidates and can't
rank them; it changes how much each source counts.

Everything that depends on a product or a request alone is one number before the candidates are
looked at, so a request costs a few products per line and one pass over the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import nan
from typing import Any, Final

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.blending import Blended
from recommender.engine.online.kernel import (
    BOOLS,
    F32,
    F32_2,
    I32,
    I64,
    REAL,
    N,
    helper,
    kernel,
)
from recommender.engine.types import BoolArray, Candidates, Float32Array, Int32Array

LINE_FEATURES: Final = ("scaled", "log", "rank", "named", "raw")
"""What a source that names an item says: its score over the largest of the list; the logarithm of
that, from 1 for the first to 0 for a thousandth; ``21 / (20 + rank)``; 1; its score over what its
lists usually begin with, at most 5. All are 0 where it doesn't name the item."""
CROSSED: Final = (0, 3)
"""The line features that the request may change the weight of: scaled, named."""
PRICE_FEATURES: Final = ("dearer", "dearer_squared")
"""log(price / usual price), between -3 and 3, and its square; 0 where one of them isn't known."""
N_LINE: Final = len(LINE_FEATURES)
LOG_SPAN: Final = np.float32(np.log(1000.0))
MOST_RAW: Final = np.float32(5)
FARTHEST_PRICE: Final = np.float32(3)
RANK_OFFSET: Final = np.float32(20)
LEAST_ODDS: Final = np.float32(1e-30)
"""A score is above 0, for whoever multiplies it or asks for a share of the best."""


@dataclass(frozen=True, slots=True)
class BlendModel:
    """What was learned: one weight per feature, and how their inputs were put on one scale.

    Attributes
    ----------
    sources, context, product, personal : tuples of names
        Lengths S, K, P and H.
    tops : float32[S]
        What a source's lists usually begin with, > 0.
    means, scales : float32[K + P + H]
        Of the inputs in that order: an input x counts as ``(x - mean) / scale``, one that isn't
        known (NaN) as 0. What the shopper did is not centred, so that "nothing" stays 0.
    weights : float32[F]
        In the order of `feature_names`.
    version : int
        Counts the updates.
    """

    sources: tuple[str, ...]
    context: tuple[str, ...]
    product: tuple[str, ...]
    personal: tuple[str, ...]
    tops: Float32Array
    means: Float32Array
    scales: Float32Array
    weights: Float32Array
    version: int = 0

    def __post_init__(self) -> None:
        n_inputs = len(self.context) + len(self.product) + len(self.personal)
        if len(self.tops) != len(self.sources):
            raise InvalidInputError(f"{len(self.tops)} tops don't fit {len(self.sources)} sources")
        if not len(self.means) == len(self.scales) == n_inputs:
            raise InvalidInputError(f"means and scales must be of {n_inputs} inputs")
        if len(self.weights) != self.parts[-1]:
            raise InvalidInputError(f"{len(self.weights)} weights, not {self.parts[-1]}")
        if not (self.scales > 0).all() or not (self.tops > 0).all():
            raise InvalidInputError("scales and tops must be above 0")

    @property
    def parts(self) -> tuple[int, int, int, int, int]:
        """Where the weights of lines, crosses, products, persons and prices end."""
        n_lines = len(self.sources) * N_LINE
        n_crossed = len(self.context) * len(self.sources) * len(CROSSED)
        sizes = (n_lines, n_crossed, len(self.product), len(self.personal), len(PRICE_FEATURES))
        return tuple(accumulate(sizes))  # type: ignore[return-value]

    @property
    def feature_names(self) -> list[str]:
        """``source.feature``, ``source.feature x context``, and the others by their own names."""
        return [
            *(f"{source}.{name}" for source in self.sources for name in LINE_FEATURES),
            *(
                f"{source}.{LINE_FEATURES[line]} x {context}"
                for context in self.context
                for source in self.sources
                for line in CROSSED
            ),
            *self.product,
            *self.personal,
            *PRICE_FEATURES,
        ]

    def line_weights(self, context: Float32Array) -> Float32Array:
        """float32[S, 5]: how much each source counts in a request."""
        end, crossed_end = self.parts[:2]
        out = self.weights[:end].reshape(len(self.sources), N_LINE).copy()
        if len(self.context):
            crossed = self.weights[end:crossed_end].reshape(len(context), -1)
            out[:, CROSSED] += (self.standard_context(context) @ crossed).reshape(-1, len(CROSSED))
        return out

    def standard_context(self, context: Float32Array) -> Float32Array:
        """float32[K], of one request."""
        n = len(self.context)
        if len(context) != n:
            raise InvalidInputError(f"{len(context)} numbers don't describe {self.context}")
        return _filled((context - self.means[:n]) / self.scales[:n])

    def standard_products(self, products: Float32Array) -> Float32Array:
        """float32[n, P], of products as the catalog describes them."""
        inputs = slice(len(self.context), len(self.context) + len(self.product))
        return _filled((products - self.means[inputs]) / self.scales[inputs])

    def item_values(self, products: Float32Array) -> Float32Array:
        """float32[n]: what every product brings along itself. Once per model and catalog.

        Parameters
        ----------
        products : float32[n, P]
            NaN where nothing is known.
        """
        _, start, end, _, _ = self.parts
        values: Float32Array = self.standard_products(products) @ self.weights[start:end]
        return values

    def personal_values(self, did: Float32Array) -> Float32Array:
        """float32[h]: what a shopper's own past with some products brings; `did`: float32[h, H]."""
        _, _, start, end, _ = self.parts
        scales = self.scales[len(self.context) + len(self.product) :]
        values: Float32Array = _filled(did / scales) @ self.weights[start:end]
        return values

    @property
    def price_weights(self) -> tuple[float, float]:
        """Of a price above the usual one, and of its square."""
        return float(self.weights[-2]), float(self.weights[-1])


def _filled(values: Float32Array) -> Float32Array:
    # Not by nan_to_num: ten times the cost for the few numbers of a request.
    filled: Float32Array = np.where(np.isnan(values), np.float32(0), values).astype(np.float32)
    return filled


def _no_numbers() -> Float32Array:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Situation:
    """Who asks, and when.

    Attributes
    ----------
    context : float32[K]
        As the model names it; NaN where unknown.
    rows : int32[h]
        Products that the shopper had to do with, each once.
    did : float32[h, H]
        What they did with them; 0 where nothing.
    usual_log_price : float
        Logarithm of what the shopper usually pays; NaN where unknown.
    """

    context: Float32Array = field(default_factory=_no_numbers)
    rows: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    did: Float32Array = field(default_factory=lambda: np.empty((0, 0), np.float32))
    usual_log_price: float = nan


def learned_blend(
    model: BlendModel,
    parts: Sequence[tuple[str, Candidates]],
    situation: Situation,
    *,
    item_values: Float32Array,
    log_prices: Float32Array | None = None,
    allowed: Callable[[Int32Array], BoolArray] | None = None,
    limit: int,
) -> Blended:
    """Merge the candidates of several sources in the learned order.

    ::

        z(i)     = sum over sources of weights · line features + item value + personal value
                   + price weights · (d, d²),   d = log(price / usual price)
        score(i) = exp(z(i) - max z), at least 1e-30

    so a score is the odds of an item against the best one, and multiplying it, as boosts do, adds
    to z. The lines of an item share its score in the proportion of ``max(what the line adds to z,
    0)``, equally if none adds anything.

    Parameters
    ----------
    model : BlendModel
    parts : sequence of (source name, candidates)
        The model's sources in its order; one that has nothing to say gives no candidates.
    situation : Situation
    item_values : float32[n_items]
        `BlendModel.item_values` of the catalog.
    log_prices : float32[n_items] or None
        Logarithms, NaN where there is no price.
    allowed : function of int32[n] to bool[n], or None
        As in `blending.blend`: the others are taken out before anything is scaled.
    limit : int

    Returns
    -------
    Blended
        Ties by ascending row. Empty if no source has an eligible candidate with a score above 0.

    Raises
    ------
    InvalidInputError
        If the sources aren't those of the model.

    Notes
    -----
    O(c + n log n) for c lines of n items, in one kernel.

    Examples
    --------
    >>> model = BlendModel(("a",), (), (), (), np.ones(1, np.float32), _no_numbers(), _no_numbers(),
    ...                    np.array([2, 0, 0, 0, 0, 0, 0], np.float32))
    >>> a = Candidates(np.array([4, 2], np.int32), np.array([8., 4.], np.float32),
    ...                np.array([1, 1], np.int32))
    >>> found = learned_blend(model, [("a", a)], Situation(), limit=5,
    ...                       item_values=np.zeros(5, np.float32))
    >>> found.rows.tolist(), found.scores.round(3).tolist()
    ([4, 2], [1.0, 0.36800000071525574])
    """
    if tuple(name for name, _ in parts) != model.sources:
        raise InvalidInputError(f"the model blends {model.sources}, not {[n for n, _ in parts]}")
    lists = [part for _, part in parts]
    begins = np.array([0, *accumulate(map(len, lists))])
    named = [(name, 1.0, part) for name, part in parts]
    rows = np.concatenate([part.rows for part in lists] or [situation.rows[:0]], dtype=np.int32)
    dearer, squared = model.price_weights
    priced = log_prices is not None and (dearer != 0 or squared != 0)
    found, odds, starts, ends, line_scores, line_places = _merge(
        rows,
        np.concatenate([part.scores for part in lists] or [_no_numbers()], dtype=np.float32),
        np.ones(len(rows), np.bool_) if allowed is None else allowed(rows),
        begins,
        model.line_weights(situation.context),
        model.tops,
        item_values,
        situation.rows,
        model.personal_values(situation.did) if len(situation.rows) else _no_numbers(),
        log_prices if log_prices is not None and priced else _no_numbers(),
        dearer,
        squared,
        situation.usual_log_price,
        max(limit, 0),
    )
    return Blended(found, odds, starts, ends, line_scores, line_places, begins, named)


@helper
def _slot(table: Any, distinct: Any, row: Any) -> Any:
    """Where a row stands in an open-addressed table, or where it would."""
    mask = len(table) - 1
    place = ((np.int64(row) * 2654435769) >> 8) & mask
    while table[place] >= 0 and distinct[table[place]] != row:
        place = (place + 1) & mask
    return place


@helper
def _say(values: Any, weights: Any, top: Any) -> None:
    """What the lines of one source add, its scores given, best first; in place."""
    largest = values[0]
    for i in range(len(values)):
        scaled = values[i] / largest
        log = max(np.float32(1) + np.log(scaled) / LOG_SPAN, np.float32(0))
        values[i] = (
            weights[0] * scaled
            + weights[1] * log
            + weights[2] * (RANK_OFFSET + np.float32(1)) / (RANK_OFFSET + np.float32(i + 1))
            + weights[3]
            + weights[4] * min(values[i] / top, MOST_RAW)
        )


@helper
def _to_odds(sums: Any) -> None:
    """``exp(z - largest z)``, never quite 0; in place."""
    top = np.float32(-np.inf)
    for value in sums:
        top = max(top, value)
    for i in range(len(sums)):
        sums[i] = max(np.exp(sums[i] - top), LEAST_ODDS)


@helper
def _order(rows: Any, odds: Any) -> Any:
    """Keys that ascend with falling odds, ties with rising rows; the row is their lower half."""
    bits = odds.view(np.uint32)
    keys = np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        # Among positive floats a larger number has larger bits.
        high = np.uint64(np.uint32(0xFFFFFFFF) - bits[i])
        keys[i] = (high << np.uint64(32)) | np.uint64(np.uint32(rows[i]))
    return np.sort(keys)


@helper
def _share(line_scores: Any, starts: Any, ends: Any, scores: Any) -> None:
    """Give every line its share of its item's score, in place."""
    for j in range(len(starts)):
        total = np.float32(0)
        for line in range(starts[j], ends[j]):
            total += max(line_scores[line], np.float32(0))
        for line in range(starts[j], ends[j]):
            if total > 0:
                share = max(line_scores[line], np.float32(0)) / total
            else:
                share = np.float32(1) / np.float32(ends[j] - starts[j])
            line_scores[line] = share * scores[j]


@helper
def _lines(rows: Any, scores: Any, allowed: Any, begins: Any, weights: Any, tops: Any) -> Any:
    """The lines that may be an answer: their places, and what each adds."""
    places = np.empty(len(rows), np.int64)
    values = np.empty(len(rows), np.float32)
    n = 0
    for part in range(len(begins) - 1):
        before = n
        for place in range(begins[part], begins[part + 1]):
            if scores[place] > 0 and allowed[place]:
                places[n] = place
                values[n] = scores[place]
                n += 1
        if n > before:
            _say(values[before:n], weights[part], tops[part])
    return places[:n], values[:n]


@kernel(I32, F32, BOOLS, I64, F32_2, F32, F32, I32, F32, F32, REAL, REAL, REAL, N)
def _merge(
    rows: Any,
    scores: Any,
    allowed: Any,
    begins: Any,
    weights: Any,
    tops: Any,
    item_values: Any,
    own_rows: Any,
    own_values: Any,
    log_prices: Any,
    dearer: Any,
    dearer_squared: Any,
    usual: Any,
    limit: int,
) -> Any:
    """See `learned_blend`: items, scores, where the lines of each begin and end; lines, places."""
    places, values = _lines(rows, scores, allowed, begins, weights, tops)
    size = 16
    while size < 2 * len(places):
        size *= 2
    table = np.full(size, -1, np.int32)
    distinct = np.empty(len(places), np.int32)
    sums = np.empty(len(places), np.float32)
    counts = np.zeros(len(places), np.int64)
    group = np.empty(len(places), np.int32)
    n = 0
    for line in range(len(places)):
        row = rows[places[line]]
        slot = _slot(table, distinct, row)
        if table[slot] < 0:
            table[slot] = n
            distinct[n] = row
            sums[n] = item_values[row]
            if len(log_prices) and not (np.isnan(usual) or np.isnan(log_prices[row])):
                gap = min(max(log_prices[row] - usual, -FARTHEST_PRICE), FARTHEST_PRICE)
                sums[n] += dearer * gap + dearer_squared * gap * gap
            n += 1
        group[line] = table[slot]
        sums[group[line]] += values[line]
        counts[group[line]] += 1
    for i in range(len(own_rows)):
        slot = _slot(table, distinct, own_rows[i])
        if table[slot] >= 0:
            sums[table[slot]] += own_values[i]
    _to_odds(sums[:n])
    keys = _order(distinct[:n], sums[:n])[:limit]
    found = np.empty(len(keys), np.int32)
    odds = np.empty(len(keys), np.float32)
    starts = np.empty(len(keys), np.int64)
    ends = np.empty(len(keys), np.int64)
    to = np.full(n, -1, np.int64)
    n_lines = 0
    for j in range(len(keys)):
        found[j] = np.int32(keys[j] & np.uint64(0xFFFFFFFF))
        own = table[_slot(table, distinct, found[j])]
        odds[j] = sums[own]
        starts[j] = n_lines
        to[own] = n_lines
        n_lines += counts[own]
        ends[j] = n_lines
    line_scores = np.empty(n_lines, np.float32)
    line_places = np.empty(n_lines, np.int64)
    for line in range(len(places)):
        place = to[group[line]]
        if place >= 0:
            line_scores[place] = values[line]
            line_places[place] = places[line]
            to[group[line]] += 1
    _share(line_scores, starts, ends, odds)
    return found, odds, starts, ends, line_scores, line_places
