"""The compiled kernels' answers in plain NumPy: slower, and easy to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.engine.online.blending import SCALINGS
from recommender.engine.online.fold_in import FoldedHistory
from recommender.engine.selection import best_positions, best_rows, sum_by_row
from recommender.engine.types import (
    BoolArray,
    Candidates,
    EaseModel,
    Float32Array,
    Int32Array,
    Int64Array,
    Neighbours,
)

Parts = list[tuple[str, float, Candidates]]


def blended(
    parts: Parts, allowed: BoolArray, limit: int, scaling: str
) -> list[tuple[int, float, list[tuple[int, int, float]]]]:
    """Rows and sums, best first, each with (source, rank, what it added)."""
    lines: dict[int, list[tuple[int, int, float]]] = {}
    for source, (_, weight, found) in enumerate(parts):
        kept = np.flatnonzero((found.scores > 0) & allowed[found.rows])
        if not len(kept):
            continue
        added = SCALINGS[scaling](found.scores[kept]) * np.float32(weight)
        for place, value in zip(kept.tolist(), added, strict=True):
            lines.setdefault(int(found.rows[place]), []).append((source, place + 1, float(value)))
    sums = {row: np.float32(sum(np.float32(each[2]) for each in own)) for row, own in lines.items()}
    order = sorted(sums, key=lambda row: (-sums[row], row))
    return [(row, float(sums[row]), lines[row]) for row in order if sums[row] > 0][:limit]


def reranked(
    scores: Float32Array,
    vectors: Float32Array,
    trade_off: float,
    caps: list[tuple[Int32Array, int]],
    limit: int,
) -> list[int]:
    """MMR over the whole matrix of cosines; codes and vectors are those of the candidates."""
    low = scores.min()
    spread = scores.max() - low
    gain = scores.astype(np.float32)
    if trade_off > 0:
        gain = (scores - low) * (np.float32(1 - trade_off) / (spread if spread > 0 else 1))
    left = gain - np.float32(trade_off) * (vectors @ vectors.T)
    value = gain.copy()
    chosen: list[int] = []
    while len(chosen) < limit:
        best = int(value.argmax())
        if value[best] == -np.inf:
            break
        value = np.minimum(value, left[best]) if chosen else left[best].copy()
        chosen.append(best)
        value[chosen] = -np.inf
        for codes, cap in caps:
            for code in set(codes[chosen].tolist()) - {-1}:
                if int((codes[chosen] == code).sum()) >= cap:
                    value[codes == code] = -np.inf
    return chosen


def expanded(
    neighbours: Neighbours,
    seeds: Int32Array,
    weights: Float32Array,
    limit: int,
    exclude_seeds: bool,
) -> Candidates:
    known = (seeds >= 0) & (seeds < neighbours.n_items)
    rows, weights = seeds[known], weights[known]
    partners = neighbours.indices[rows]
    values = neighbours.scores[rows] * weights[:, None]
    kept = partners >= 0
    if exclude_seeds:
        kept &= ~np.isin(partners, rows)
    because = np.broadcast_to(rows[:, None], partners.shape)
    return sum_by_row(partners[kept], values[kept], because[kept], limit=limit)


def linear(
    model: EaseModel,
    history: FoldedHistory | None,
    rows: Int32Array,
    weights: Float32Array,
    share: float,
    max_session: int,
) -> Float32Array:
    """The score of every item of the model."""
    sums: dict[int, float] = {}
    place_of = {row: place for place, row in enumerate(model.item_rows.tolist())}
    for row, weight in zip(rows[::-1].tolist(), weights[::-1].tolist(), strict=True):
        place = place_of.get(row)
        if place in sums:
            sums[place] += weight
        elif place is not None and len(sums) < max_session:
            sums[place] = weight
    values = np.array(list(sums.values()), np.float32)
    size = float(np.abs(values).sum())
    if history is None:
        return values @ model.weights[list(sums)]
    if not size:
        return history.whole()
    values *= np.float32(history.size * share / (1 - share) / size)
    return values @ model.weights[list(sums)] + history.whole()


def due_again(
    rows: Int32Array,
    counts: Int32Array,
    last_at_s: Int64Array,
    interval_days: Float32Array,
    repeat_probability: Float32Array,
    demand: Float32Array,
    now_s: int,
    min_days: float,
    exponents: tuple[float, float, float, float],
    limit: int,
) -> Candidates:
    frequency, repeat, urgency, popular = exponents
    gap_days = np.maximum(now_s - last_at_s, 0) / 86_400
    kept = (rows >= 0) & (rows < len(interval_days)) & (gap_days >= min_days) & (counts > 0)
    items, bought, gap_days = rows[kept], counts[kept].astype(np.float64), gap_days[kept]
    ratio = gap_days / interval_days[items]
    due = 2.0 * ratio / (1.0 + ratio * ratio)
    scores = bought**frequency * due**urgency
    scores *= repeat_probability[items].astype(np.float64) ** repeat
    scores *= (1.0 + demand[items].astype(np.float64)) ** popular
    shown = scores.astype(np.float32)
    best = best_rows(items, shown, limit)
    best = best[shown[best] > 0]
    return Candidates(items[best], shown[best], items[best])


def best_of(scores: Float32Array, limit: int) -> Int64Array:
    best = best_positions(scores, limit)
    kept: Int64Array = best[scores[best] > 0]
    return kept


_DTYPE = np.dtype([("at_s", ">u4"), ("type", "u1"), ("product_id", ">i8"), ("quantity", ">u2")])


def unpacked(packed: bytes, add: int, remove: int, buy: int) -> list[npt.NDArray[Any]]:
    """Times, types, products and pieces, by time; the cart."""
    table: npt.NDArray[Any] = np.frombuffer(packed, _DTYPE)
    table = table[table["type"] > 0]
    table = table[np.argsort(table["at_s"], kind="stable")]
    pieces: dict[int, int] = {}
    for _, kind, product, quantity in table.tolist():
        if kind == add:
            pieces[product] = pieces.get(product, 0) + quantity
        elif kind == buy or (kind == remove and pieces.get(product, 0) <= quantity):
            pieces.pop(product, None)
        elif kind == remove:
            pieces[product] -= quantity
    columns = [table[name].astype(np.int64) for name in _DTYPE.names or ()]
    return [*columns, np.array(list(pieces), np.int64)]
