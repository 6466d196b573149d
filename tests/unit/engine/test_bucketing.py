"""Assignment against published vectors, and the properties that an experiment rests on."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.bucketing import (
    NOT_IN,
    bucket_of,
    bucket_ranges,
    fnv1a_32,
    free_range_start,
    ramp_leaves,
    ramp_moves,
    variant_of,
)


@pytest.mark.parametrize(
    ("seed", "shopper", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("89123klj", "8952klfjas09ujkasdf", 0.1240),
        ("90850943850283058242805", "123", 0.7516),
    ],
)
def test_buckets_are_those_of_growthbook(seed: str, shopper: str, expected: float) -> None:
    assert bucket_of(seed, shopper) == expected


def test_fnv_takes_bytes_of_any_script() -> None:
    assert fnv1a_32("") == 0x811C9DC5
    assert fnv1a_32("購物") != fnv1a_32("购物")


@pytest.mark.parametrize(
    ("weights", "coverage", "expected"),
    [
        ([0.5, 0.5], 0.5, [(0, 0.25), (0.5, 0.75)]),
        ([0.2, 0.3, 0.5], 0.2, [(0, 0.04), (0.2, 0.26), (0.5, 0.6)]),
        ([3, 1], 1.0, [(0, 0.75), (0.75, 1)]),
    ],
)
def test_ranges_start_at_the_cumulated_weights(
    weights: list[float], coverage: float, expected: list[tuple[float, float]]
) -> None:
    ranges = bucket_ranges(weights, coverage)
    assert [pytest.approx(pair) for pair in expected] == list(ranges)


@given(
    weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=6),
    less=st.floats(0, 1),
    more=st.floats(0, 1),
    bucket=st.integers(0, 9_999).map(lambda n: n / 10_000),
)
def test_more_coverage_moves_nobody_to_another_variant(
    weights: list[float], less: float, more: float, bucket: float
) -> None:
    less, more = sorted((less, more))
    before = variant_of(bucket, bucket_ranges(weights, less))
    after = variant_of(bucket, bucket_ranges(weights, more))
    assert before in (NOT_IN, after)


def test_a_range_is_half_open() -> None:
    ranges = [(0.0, 0.25), (0.5, 0.75)]
    assert [variant_of(n, ranges) for n in (0.4, 0.5, 0.25)] == [NOT_IN, 1, NOT_IN]


def test_buckets_are_uniform_and_experiments_independent() -> None:
    ids = [f"shopper-{n}" for n in range(20_000)]
    first = [bucket_of("one", each) for each in ids]
    second = [bucket_of("two", each) for each in ids]
    bins = Counter(int(bucket * 100) for bucket in first)
    assert chisquare([bins[n] for n in range(100)]).pvalue > 0.001
    table = Counter((a < 0.5, b < 0.5) for a, b in zip(first, second, strict=True))
    cells = [[table[True, True], table[True, False]], [table[False, True], table[False, False]]]
    assert chi2_contingency(cells).pvalue > 0.001


@pytest.mark.parametrize(
    ("weights", "coverage"), [([], 1.0), ([0, 0], 1.0), ([-1, 2], 1.0), ([1], 1.5), ([1], -0.1)]
)
def test_impossible_weights_and_coverage_are_refused(weights: list[float], coverage: float) -> None:
    with pytest.raises(InvalidInputError):
        bucket_ranges(weights, coverage)


WEIGHTS = st.lists(st.floats(0.01, 10), min_size=3, max_size=3)


@given(before=WEIGHTS, after=WEIGHTS, less=st.floats(0.05, 1), more=st.floats(0.05, 1))
def test_who_moves_and_who_leaves_is_what_bucket_by_bucket_is_seen(
    before: list[float], after: list[float], less: float, more: float
) -> None:
    old, new = bucket_ranges(before, less), bucket_ranges(after, more)
    buckets = [n / 1_000 for n in range(1_000)]
    pairs = [(variant_of(n, old), variant_of(n, new)) for n in buckets]
    taking_part = [pair for pair in pairs if pair[0] != NOT_IN]
    moved = sum(a != b and b != NOT_IN for a, b in taking_part) / 1_000
    left = sum(b == NOT_IN for _, b in taking_part) / 1_000
    # Each of at most nine pieces is off by a bucket at either end.
    assert ramp_moves(old, new) * less == pytest.approx(moved, abs=0.02)
    assert ramp_leaves(old, new) * less == pytest.approx(left, abs=0.02)


@given(weights=WEIGHTS, less=st.floats(0.01, 1), more=st.floats(0.01, 1))
def test_more_coverage_is_said_to_move_nobody(
    weights: list[float], less: float, more: float
) -> None:
    less, more = sorted((less, more))
    old, new = bucket_ranges(weights, less), bucket_ranges(weights, more)
    assert ramp_moves(old, new) == 0.0
    assert ramp_leaves(old, new) == pytest.approx(0.0, abs=1e-8)


def test_nobody_moves_where_nobody_took_part() -> None:
    nobody, all_of_them = bucket_ranges([1, 1], 0.0), bucket_ranges([1, 1], 1.0)
    assert (ramp_moves(nobody, all_of_them), ramp_leaves(nobody, all_of_them)) == (0.0, 0.0)


@given(st.lists(st.integers(1, 6_000), min_size=1, max_size=8))
def test_ranges_of_a_group_never_overlap_and_use_all_there_is(sizes: list[int]) -> None:
    taken: list[tuple[float, float]] = []
    for size in sizes:
        share = size / 10_000
        start = free_range_start(taken, share)
        used = sum(round((high - low) * 10_000) for low, high in taken)
        # They are put side by side, so what is free is one gap.
        assert (start is None) == (used + size > 10_000)
        if start is not None:
            assert all(start >= high or start + share <= low + 1e-9 for low, high in taken)
            taken.append((start, round(start + share, 4)))


@pytest.mark.parametrize(
    ("taken", "share", "start"),
    [
        ([], 1.0, 0.0),
        ([(0.5, 1.0)], 0.5, 0.0),
        ([(0.5, 1.0)], 0.5001, None),
        ([(0.7, 0.9), (0.0, 0.3)], 0.4, 0.3),
        ([(0.0, 1.0)], 0.0001, None),
    ],
)
def test_a_range_goes_into_the_first_gap_that_is_large_enough(
    taken: list[tuple[float, float]], share: float, start: float | None
) -> None:
    assert free_range_start(taken, share) == start
