"""Who takes part in an experiment, and in which variant: a hash, so nothing needs to be stored.

GrowthBook's hash of version 2. Version 1 hashed once, and the variants of parallel experiments
were not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from recommender.engine.errors import InvalidInputError

N_BUCKETS = 10_000
NOT_IN = -1


def fnv1a_32(text: str) -> int:
    """32-bit FNV-1a of the UTF-8 bytes (G. Fowler, L. Noll, P. Vo; RFC 9923).

    Examples
    --------
    >>> hex(fnv1a_32("foobar"))
    '0xbf9cf968'
    """
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFF_FFFF
    return value


def bucket_of(seed: str, shopper_id: str) -> float:
    """Where a shopper stands in an experiment, 0 <= n < 1 in steps of 1/10,000.

    ``fnv1a_32(str(fnv1a_32(seed + shopper_id))) mod 10,000 / 10,000``. The same for ever; two
    experiments with different seeds are independent. Costs about 5 µs.

    Examples
    --------
    >>> bucket_of("seed", "a"), bucket_of("seed", "b")
    (0.0505, 0.2696)
    """
    return fnv1a_32(str(fnv1a_32(seed + shopper_id))) % N_BUCKETS / N_BUCKETS


def bucket_ranges(weights: Sequence[float], coverage: float) -> tuple[tuple[float, float], ...]:
    """The half-open range of buckets of each variant.

    Variant i starts at the sum of the shares before it, whatever the coverage is, and takes
    ``coverage`` of its own share: raising the coverage moves nobody from one variant to another.

    Parameters
    ----------
    weights : n numbers >= 0, relative
        Divided by their sum.
    coverage : float in 0..1
        Share of the shoppers who take part.

    Returns
    -------
    n pairs (start, end)

    Raises
    ------
    InvalidInputError
        If a weight is negative or not finite, all are 0, or the coverage is outside 0..1.

    Examples
    --------
    >>> bucket_ranges([1, 1], .5)
    ((0.0, 0.25), (0.5, 0.75))
    """
    if not weights or any(not math.isfinite(w) or w < 0 for w in weights) or not sum(weights) > 0:
        raise InvalidInputError(f"weights must be finite, at least 0, and not all 0: {weights}")
    if not 0 <= coverage <= 1:
        raise InvalidInputError(f"coverage must be in 0..1, not {coverage}")
    total = sum(weights)
    starts = [0.0, *accumulate(weight / total for weight in weights)]
    return tuple(
        (start, start + coverage * weight / total)
        for start, weight in zip(starts, weights, strict=False)
    )


def variant_of(bucket: float, ranges: Sequence[tuple[float, float]]) -> int:
    """The variant whose range holds a bucket, ``NOT_IN`` for none.

    Examples
    --------
    >>> variant_of(.1, [(0, .25), (.5, .75)]), variant_of(.4, [(0, .25), (.5, .75)])
    (0, -1)
    """
    for variant, (start, end) in enumerate(ranges):
        if start <= bucket < end:
            return variant
    return NOT_IN


def ramp_moves(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> float:
    """Share of the participants who see another variant after the ranges have changed.

    With the ranges of `bucket_ranges` it is 0 when only the coverage rises. From weights w to v at
    full coverage the borders between neighbours move, so that at least Σ|w - v|/2 of all change the
    variant: with two variants exactly that, which no hashing can do with fewer; with more variants
    somebody may be pushed over several borders, unless first and last take from each other.

    Parameters
    ----------
    before, after : n pairs (start, end), ascending, not overlapping
        Ranges of the same variants.

    Returns
    -------
    float in 0..1
        Those who fall out altogether are not in it (`ramp_leaves`); 0 if nobody took part.

    Examples
    --------
    >>> ramp_moves(bucket_ranges([1, 1], .2), bucket_ranges([1, 1], 1.0))
    0.0
    >>> ramp_moves(bucket_ranges([.5, .5], 1.0), bucket_ranges([.9, .1], 1.0))
    0.4
    """
    stay = sum(_overlap(a, b) for a, b in zip(before, after, strict=True))
    within = sum(_overlap(a, b) for a in before for b in after)
    # Borders are sums of shares: they differ from each other in the last digits.
    return abs(round((within - stay) / _size(before), 9)) if _size(before) else 0.0


def ramp_leaves(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> float:
    """Share of the participants who take no part any more; parameters as in `ramp_moves`.

    Examples
    --------
    >>> ramp_leaves(bucket_ranges([1, 1], 1.0), bucket_ranges([1, 1], .25))
    0.75
    """
    within = sum(_overlap(a, b) for a in before for b in after)
    return abs(round(1 - within / _size(before), 9)) if _size(before) else 0.0


def free_range_start(taken: Sequence[tuple[float, float]], share: float) -> float | None:
    """Where a range of this size fits between those that are taken, as far left as possible.

    Parameters
    ----------
    taken : n pairs (start, end), any order, within 0..1
    share : float, above 0, at most 1

    Returns
    -------
    float | None
        In steps of a bucket; None: there is no gap of this size.

    Examples
    --------
    >>> free_range_start([(0.0, .25), (.5, 1.0)], .25), free_range_start([(0.0, .25)], .8)
    (0.25, None)
    """
    wanted = round(share * N_BUCKETS)
    start = 0
    for low, high in sorted((round(a * N_BUCKETS), round(b * N_BUCKETS)) for a, b in taken):
        if low - start >= wanted:
            break
        start = max(start, high)
    return start / N_BUCKETS if start + wanted <= N_BUCKETS else None


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _size(ranges: Sequence[tuple[float, float]]) -> float:
    return sum(end - start for start, end in ranges)
