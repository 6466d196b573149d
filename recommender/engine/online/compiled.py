"""The loops inside a request, compiled to machine code.

A request works on a few hundred numbers at a time. In NumPy every step over them is a call, and the
calls cost more than the numbers. A kernel does in one call what took dozens. What it has to answer
is said by the function that calls it; the NumPy forms are kept as their oracle in
`tests/unit/engine/numpy_oracle.py`. Arrays in, new arrays out, nothing kept.

Sums run in the order of the lines, in float32, the first line last, as in NumPy's `reduceat`;
scalar products may run in any order.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from recommender.engine.online.kernel import (
    BOOLS,
    DOUBLE,
    F32,
    F32_2,
    F64,
    FLAG,
    I32,
    I32_2,
    I64,
    REAL,
    U16,
    N,
    helper,
    helper_any_order,
    kernel,
)

RANK_OFFSET = np.float32(20)
RECIPROCAL_OFFSET = np.float32(60)
FEW = 12
"""So many rows are compared one by one: a page names a few products, a history a thousand."""
BY_MAX, BY_RANK, BY_SUM, NOT_AT_ALL, BY_RECIPROCAL_RANK = range(5)
SECONDS_PER_DAY = 86_400.0


@helper
def _grouped(rows: Any) -> Any:
    """The distinct rows in the order in which they are first named, and which one each line names.

    An open-addressed table, at most half full: no sort.
    """
    n = len(rows)
    size = 16
    while size < 2 * n:
        size *= 2
    mask = size - 1
    table = np.full(size, -1, np.int32)
    distinct = np.empty(n, np.int32)
    group = np.empty(n, np.int32)
    n_groups = 0
    for line in range(n):
        row = rows[line]
        place = ((np.int64(row) * 2654435769) >> 8) & mask
        while table[place] >= 0 and distinct[table[place]] != row:
            place = (place + 1) & mask
        if table[place] < 0:
            table[place] = n_groups
            distinct[n_groups] = row
            n_groups += 1
        group[line] = table[place]
    return distinct[:n_groups], group


@helper
def _sink(heap: Any, place: int, end: int) -> None:
    """Let a key sink to where no key below it is larger."""
    key = heap[place]
    while True:
        below = 2 * place + 1
        if below >= end:
            break
        if below + 1 < end and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= key:
            break
        heap[place] = heap[below]
        place = below
    heap[place] = key


@helper
def best(rows: Any, scores: Any, limit: int) -> Any:
    """Positions of the largest scores above 0, descending, ties by ascending row.

    A heap of the best so far: O(n + m log limit), m the number of scores that enter it.
    """
    n = len(rows)
    bits = scores.view(np.uint32)
    keys = np.empty(n, np.uint64)
    m = 0
    for position in range(n):
        if scores[position] > 0:
            # Among positive floats a larger number has larger bits. The row breaks ties.
            high = np.uint64(np.uint32(0xFFFFFFFF) - bits[position])
            keys[m] = (high << np.uint64(32)) | np.uint64(np.uint32(rows[position]))
            m += 1
    k = min(max(limit, 0), m)
    heap = keys[:k].copy()
    if k == 0:
        return np.empty(0, np.int64)
    for place in range(k // 2 - 1, -1, -1):
        _sink(heap, place, k)
    for j in range(k, m):
        if keys[j] < heap[0]:
            heap[0] = keys[j]
            _sink(heap, 0, k)
    for end in range(k - 1, 0, -1):
        last = heap[end]
        heap[end] = heap[0]
        heap[0] = last
        _sink(heap, 0, end)
    # Back from rows to positions.
    wanted = np.empty(k, np.int32)
    for j in range(k):
        wanted[j] = np.int32(heap[j] & np.uint64(0xFFFFFFFF))
    return _positions(rows, scores, wanted)


@helper
def _positions(rows: Any, scores: Any, wanted: Any) -> Any:
    """Where each of some distinct rows with a score above 0 stands."""
    size = 16
    while size < 2 * len(wanted):
        size *= 2
    mask = size - 1
    table = np.full(size, -1, np.int32)
    for j in range(len(wanted)):
        place = ((np.int64(wanted[j]) * 2654435769) >> 8) & mask
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = j
    found = np.empty(len(wanted), np.int64)
    for position in range(len(rows)):
        if scores[position] > 0:
            place = ((np.int64(rows[position]) * 2654435769) >> 8) & mask
            while table[place] >= 0 and wanted[table[place]] != rows[position]:
                place = (place + 1) & mask
            if table[place] >= 0:
                found[table[place]] = position
    return found


@helper
def add_up(rows: Any, values: Any, because: Any, limit: int) -> Any:
    """See `selection.sum_by_row`."""
    distinct, group = _grouped(rows)
    n_groups = len(distinct)
    first = np.empty(n_groups, np.float32)
    rest = np.zeros(n_groups, np.float32)
    largest = np.empty(n_groups, np.float32)
    reason = np.empty(n_groups, np.int32)
    n_seen = 0
    for line in range(len(rows)):
        own, value = group[line], values[line]
        if own == n_seen:
            n_seen += 1
            first[own] = value
            largest[own] = value
            reason[own] = because[line]
        else:
            rest[own] += value
            if value > largest[own]:
                largest[own] = value
                reason[own] = because[line]
    sums = first + rest
    chosen = best(distinct, sums, limit)
    return distinct[chosen], sums[chosen], reason[chosen]


@helper
def _set_of(rows: Any) -> Any:
    """A hash table of rows, -1 where it is empty; of one place for few rows, which are compared."""
    size = 1
    if len(rows) > FEW:
        size = 32
        while size < 4 * len(rows):
            size *= 2
    table = np.full(size, -1, np.int32)
    if size > 1:
        for row in rows:
            place = ((np.int64(row) * 2654435769) >> 8) & (size - 1)
            while table[place] >= 0 and table[place] != row:
                place = (place + 1) & (size - 1)
            table[place] = row
    return table


@helper
def _holds(table: Any, rows: Any, row: Any) -> Any:
    """Whether a row that isn't negative is one of the rows of `_set_of`."""
    if len(table) == 1:
        found = False
        for other in rows:
            found = found or other == row
        return found
    place = ((np.int64(row) * 2654435769) >> 8) & (len(table) - 1)
    while table[place] >= 0 and table[place] != row:
        place = (place + 1) & (len(table) - 1)
    return table[place] == row


@kernel(I32_2, F32_2, I32, F32, N, FLAG)
def expand(
    indices: Any, scores: Any, seeds: Any, weights: Any, limit: int, exclude_seeds: bool
) -> Any:
    """See `neighbours.expand_neighbours`."""
    n_items, k = indices.shape
    rows = np.empty(len(seeds) * k, np.int32)
    values = np.empty(len(rows), np.float32)
    because = np.empty(len(rows), np.int32)
    named = _set_of(seeds)
    m = 0
    for s in range(len(seeds)):
        seed = seeds[s]
        if seed < 0 or seed >= n_items:
            continue
        for rank in range(k):
            row = indices[seed, rank]
            if row < 0 or (exclude_seeds and _holds(named, seeds, row)):
                continue
            rows[m] = row
            values[m] = scores[seed, rank] * weights[s]
            because[m] = seed
            m += 1
    return add_up(rows[:m], values[:m], because[:m], limit)


@helper
def _scale(values: Any, scaling: int, weight: Any) -> None:
    """One source's scores, best first, scaled in place; see `blending.SCALINGS`."""
    if scaling in (BY_RANK, BY_RECIPROCAL_RANK):
        offset = RANK_OFFSET if scaling == BY_RANK else RECIPROCAL_OFFSET
        for i in range(len(values)):
            values[i] = (offset + np.float32(1)) / (offset + np.float32(i + 1)) * weight
        return
    divisor = np.float32(1)
    if scaling == BY_MAX:
        divisor = values[0]
    elif scaling == BY_SUM:
        total = 0.0
        for i in range(len(values)):
            total += values[i]
        divisor = np.float32(total)
    for i in range(len(values)):
        values[i] = values[i] / divisor * weight


@kernel(I32, F32, BOOLS, I64, F32, N, N)
def merge(
    rows: Any, scores: Any, allowed: Any, begins: Any, weights: Any, scaling: int, limit: int
) -> Any:
    """See `blending.blend`: items, sums, where the lines of each begin and end; lines, places."""
    places = np.empty(len(rows), np.int64)
    values = np.empty(len(rows), np.float32)
    n_lines = 0
    n_lists = 0
    for part in range(len(weights)):
        n_before = n_lines
        for place in range(begins[part], begins[part + 1]):
            if scores[place] > 0 and allowed[place]:
                places[n_lines] = place
                values[n_lines] = scores[place]
                n_lines += 1
        if n_lines > n_before:
            _scale(values[n_before:n_lines], scaling, weights[part])
        if begins[part + 1] > begins[part]:
            n_lists += 1
    places, values = places[:n_lines], values[:n_lines]
    kept = rows[places]
    if n_lists == 1:
        # A source names an item once, in order: there is nothing to merge.
        n = min(n_lines, limit) if n_lines > 0 and values[0] > 0 else 0
        starts = np.arange(n)
        return kept[:n], values[:n], starts, starts + 1, values, places
    distinct, group = _grouped(kept)
    n_groups = len(distinct)
    first = np.empty(n_groups, np.float32)
    rest = np.zeros(n_groups, np.float32)
    counts = np.zeros(n_groups, np.int64)
    for line in range(n_lines):
        own = group[line]
        if counts[own] == 0:
            first[own] = values[line]
        else:
            rest[own] += values[line]
        counts[own] += 1
    sums = first + rest
    chosen = best(distinct, sums, limit)
    starts = np.empty(len(chosen), np.int64)
    # Where the next line of a group goes; -1 if the group isn't in the answer.
    to = np.full(n_groups, -1, np.int64)
    n = 0
    for j in range(len(chosen)):
        starts[j] = n
        to[chosen[j]] = n
        n += counts[chosen[j]]
    line_scores = np.empty(n, np.float32)
    line_places = np.empty(n, np.int64)
    for line in range(n_lines):
        place = to[group[line]]
        if place >= 0:
            line_scores[place] = values[line]
            line_places[place] = places[line]
            to[group[line]] += 1
    return distinct[chosen], sums[chosen], starts, starts + counts[chosen], line_scores, line_places


@kernel(I64, I64, I64, F32, I64, I64)
def lead(
    positions: Any, starts: Any, ends: Any, line_scores: Any, line_places: Any, begins: Any
) -> Any:
    """See `blending.Blended.leading`: the sources, and the places in their lists."""
    n = len(positions)
    sources = np.empty(n, np.int64)
    places = np.empty(n, np.int64)
    for j in range(n):
        strongest = starts[positions[j]]
        for line in range(strongest + 1, ends[positions[j]]):
            if line_scores[line] > line_scores[strongest]:
                strongest = line
        place = line_places[strongest]
        source = 0
        while begins[source + 1] <= place:
            source += 1
        sources[j] = source
        places[j] = place - begins[source]
    return sources, places


@helper_any_order
def _dot(a: Any, b: Any) -> Any:
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@helper
def _close(value: Any, codes: Any, rows: Any, chosen: Any, best_one: int, cap: int) -> None:
    """Once a code has been chosen as often as its cap says, nothing else of it may be."""
    code = codes[rows[best_one]]
    if code < 0:
        return
    n = 0
    for j in range(len(chosen)):
        n += codes[rows[chosen[j]]] == code
    if n == cap:
        for i in range(len(rows)):
            if codes[rows[i]] == code:
                value[i] = -np.inf


@helper
def _gain(scores: Any, trade_off: Any) -> Any:
    """What an item is worth before it is compared with others; without diversity its score."""
    gain = scores.copy()
    if trade_off > 0:
        low, high = scores.min(), scores.max()
        spread = high - low if high > low else np.float32(1)
        factor = (np.float32(1) - trade_off) / spread
        for i in range(len(scores)):
            gain[i] = (scores[i] - low) * factor
    return gain


@kernel(I32, F32, I32, F32_2, REAL, I32, N, I32, N, N)
def choose(
    rows: Any,
    scores: Any,
    vector_rows: Any,
    vectors: Any,
    trade_off: Any,
    brand_codes: Any,
    max_per_brand: int,
    category_codes: Any,
    max_per_category: int,
    limit: int,
) -> Any:
    """See `diversity.rerank`. A cap of 0 is none; a negative vector row is a zero vector."""
    n = len(rows)
    gain = _gain(scores, trade_off)
    value = gain.copy()
    out = np.empty(min(limit, n), np.int64)
    n_out = 0
    while n_out < len(out):
        b = 0
        for i in range(1, n):
            if value[i] > value[b]:
                b = i
        if value[b] == -np.inf:
            break
        out[n_out] = b
        n_out += 1
        if trade_off > 0:
            own = vector_rows[b]
            for i in range(n):
                if value[i] > -np.inf:
                    left = gain[i]
                    if own >= 0 and vector_rows[i] >= 0:
                        left -= trade_off * _dot(vectors[own], vectors[vector_rows[i]])
                    # The first one chosen takes the place of the mere gain.
                    value[i] = left if n_out == 1 else min(value[i], left)
        value[b] = -np.inf
        if max_per_brand > 0:
            _close(value, brand_codes, rows, out[:n_out], b, max_per_brand)
        if max_per_category > 0:
            _close(value, category_codes, rows, out[:n_out], b, max_per_category)
    return out[:n_out]


@helper_any_order
def _add_line(scores: Any, line: Any, weight: Any) -> None:
    for i in range(len(scores)):
        scores[i] += weight * line[i]


@helper
def best_above(item_rows: Any, scores: Any, bar: Any, limit: int) -> Any:
    """Positions of the largest scores above 0; see `fold_in.FoldedHistory.bar`."""
    n = len(scores)
    above = np.empty(n, np.int32)
    m = 0
    for i in range(n):
        above[m] = i
        m += scores[i] > bar
    if m < limit and bar > 0:
        m = 0
        for i in range(n):
            above[m] = i
            m += scores[i] > 0
    above = above[:m]
    return above[best(above, scores[above], limit)]


@helper_any_order
def _mean_vector(vectors: Any, rows: Any, decay: Any) -> Any:
    """The weighted sum of some vectors, each counting `decay` times the one before; length 1."""
    mean = np.zeros(vectors.shape[1], np.float32)
    weight = 1.0
    for age in range(len(rows)):
        _add_line(mean, vectors[rows[age]], np.float32(weight))
        weight *= decay
    length = np.float32(sqrt(_dot(mean, mean))) + np.float32(1e-9)
    for i in range(len(mean)):
        mean[i] /= length
    return mean


@helper
def _chances(scores: Any) -> Any:
    """Softmax; minus infinity becomes 0."""
    chances = np.zeros(len(scores), np.float32)
    top = -np.inf
    for score in scores:
        top = max(top, score)
    if top > -np.inf:
        total = 0.0
        for i in range(len(scores)):
            chances[i] = np.exp(np.float32(scores[i] - top))
            total += chances[i]
        for i in range(len(scores)):
            chances[i] /= np.float32(total)
    return chances


@helper
def _distinct_newest(clicks: Any) -> Any:
    """The distinct items of a session, the newest first."""
    out = np.empty(len(clicks), np.int32)
    n = 0
    for place in range(len(clicks) - 1, -1, -1):
        seen = False
        for j in range(n):
            seen = seen or out[j] == clicks[place]
        if not seen:
            out[n] = clicks[place]
            n += 1
    return out[:n]


@kernel(I64, I32, F32_2, F32_2, F32_2, F32_2, I32, I32, N, N, N, DOUBLE, DOUBLE, N)
def click(
    offsets: Any,
    partners: Any,
    ties: Any,
    vectors: Any,
    item_scores: Any,
    near_weights: Any,
    popular: Any,
    clicks: Any,
    first_tie: int,
    max_items: int,
    enough_lines: int,
    position_decay: float,
    vector_decay: float,
    limit: int,
) -> Any:
    """See `next_click.next_click`, for answers without the session's own items."""
    newest = _distinct_newest(clicks)
    n_used = min(len(newest), max_items)
    n_lines = 0
    for age in range(n_used):
        n_lines += offsets[newest[age] + 1] - offsets[newest[age]]
    n_popular = len(popular) if n_lines < enough_lines else 0
    named = np.empty(n_lines + len(newest) + n_popular, np.int32)
    m = 0
    for age in range(n_used):
        for line in range(offsets[newest[age]], offsets[newest[age] + 1]):
            named[m] = partners[line]
            m += 1
    named[m : m + len(newest)] = newest
    named[m + len(newest) :] = popular[:n_popular]
    rows, group = _grouped(named)
    n = len(rows)
    scores = np.zeros(n, np.float64)
    strongest = np.empty(n, np.float32)
    because = np.full(n, -1, np.int32)
    m = 0
    for age in range(n_used):
        weight = np.float32(position_decay ** max(age - 2, 0))
        tie = first_tie + min(age, 2)
        for line in range(offsets[newest[age]], offsets[newest[age] + 1]):
            said = ties[tie, line] * weight
            own = group[m]
            m += 1
            scores[own] += said
            if because[own] < 0 or said > strongest[own]:
                strongest[own] = said
                because[own] = newest[age]
    for j in range(len(newest)):
        scores[group[m + j]] = -np.inf
    mean = _mean_vector(vectors, newest[:n_used], vector_decay)
    for i in range(n):
        if scores[i] == -np.inf:
            continue
        vector = vectors[rows[i]]
        near = _dot(vector, mean)
        positive = max(near, np.float32(0))
        scores[i] += item_scores[1, rows[i]] + (
            _dot(vector, vectors[newest[0]]) * near_weights[1, 0]
            + near * near_weights[1, 1]
            + np.float32(0.2) * np.exp(np.float32(3) * near) * near_weights[1, 2]
            + positive * positive * near_weights[1, 3]
        )
    chances = _chances(scores)
    chosen = best(rows, chances, limit)
    return rows[chosen], chances[chosen], because[chosen]


@helper
def _power(x: Any, exponent: Any) -> Any:
    """Roots where they do; a power costs ten times as much."""
    if exponent == 1.0:
        return x
    if exponent == 0.25:
        return sqrt(sqrt(x))
    return x**exponent


@kernel(I32, F64, I64, F32, F32, F32, N, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE, N)
def due(
    rows: Any,
    counts: Any,
    last_at_s: Any,
    interval_days: Any,
    repeat_probability: Any,
    demand: Any,
    now_s: int,
    min_days: float,
    frequency_exponent: float,
    repeat_exponent: float,
    urgency: float,
    demand_exponent: float,
    limit: int,
) -> Any:
    """See `profiles.buy_again`. An empty `demand` is none."""
    kept = np.empty(len(rows), np.int32)
    scores = np.empty(len(rows), np.float32)
    m = 0
    for i in range(len(rows)):
        row = rows[i]
        gap_days = max(now_s - last_at_s[i], 0) / SECONDS_PER_DAY
        if row < 0 or row >= len(interval_days) or gap_days < min_days or not counts[i] > 0:
            continue
        ratio = gap_days / interval_days[row]
        score = _power(np.float64(counts[i]), frequency_exponent)
        score *= _power(2.0 * ratio / (1.0 + ratio * ratio), urgency)
        score *= _power(np.float64(repeat_probability[row]), repeat_exponent)
        if len(demand) and demand[row] > 0:
            score *= _power(1.0 + np.float64(demand[row]), demand_exponent)
        kept[m] = row
        scores[m] = score
        m += 1
    kept, scores = kept[:m], scores[:m]
    chosen = best(kept, scores, limit)
    return kept[chosen], scores[chosen]


@helper
def from_halves(halves: Any, unit: Any) -> Any:
    """float16, given as their bits, times a unit.

    The bits of a half are those of a float32 with a shorter exponent. The smallest ones (exponent
    0) are a multiple of what is left when a float's leading 1 is taken off again.
    """
    bits = np.empty(len(halves), np.uint32)
    signs = np.empty(len(halves), np.float32)
    for i in range(len(halves)):
        half = np.uint32(halves[i])
        number = (half & np.uint32(0x7FFF)) << np.uint32(13)
        small = number < np.uint32(0x00800000)
        bits[i] = number + (np.uint32(0x38800000) if small else np.uint32(0x38000000))
        signs[i] = np.float32(-1) if half >= np.uint32(0x8000) else np.float32(1)
    values = bits.view(np.float32)
    out = np.empty(len(halves), np.float32)
    for i in range(len(halves)):
        lead = values[i]
        if bits[i] < np.uint32(0x39000000) and (halves[i] & np.uint16(0x7C00)) == 0:
            lead -= np.float32(6.103515625e-05)
        out[i] = signs[i] * lead * unit
    return out


@kernel(I32, F32_2, U16, REAL, DOUBLE, REAL, I32, F32, N, DOUBLE, N)
def taste(
    item_rows: Any,
    weights: Any,
    history_halves: Any,
    history_unit: Any,
    history_size: float,
    bar: Any,
    rows: Any,
    row_weights: Any,
    max_session: int,
    session_share: float,
    limit: int,
) -> Any:
    """See `fold_in.ease_add_session`: items and scores, their positions in the model, and the
    session as it was used: positions and scaled weights. Without a history it has no halves."""
    places = np.empty(max_session, np.int64)
    sums = np.empty(max_session, np.float64)
    n = 0
    for i in range(len(rows) - 1, -1, -1):
        place = np.searchsorted(item_rows, rows[i])
        if place == len(item_rows) or item_rows[place] != rows[i]:
            continue
        own = 0
        while own < n and places[own] != place:
            own += 1
        if own < n:
            sums[own] += row_weights[i]
        elif n < max_session:
            places[n] = place
            sums[n] = row_weights[i]
            n += 1
    places, values = places[:n], sums[:n].astype(np.float32)
    size = 0.0
    for i in range(n):
        size += abs(values[i])
    if len(history_halves):
        scores = from_halves(history_halves, history_unit)
        if size > 0:
            values *= np.float32(history_size * session_share / (1.0 - session_share) / size)
    else:
        scores = np.zeros(len(item_rows), np.float32)
    if size > 0:
        for i in range(n):
            _add_line(scores, weights[places[i]], values[i])
    chosen = best_above(item_rows, scores, bar, limit)
    return item_rows[chosen], scores[chosen], chosen, places, values
