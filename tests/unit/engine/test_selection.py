"""One rule for ties everywhere, checked against plain sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.selection import (
    SHORT,
    best_positions,
    best_rows,
    ragged_positions,
    sum_by_row,
)

SCORES = st.lists(st.integers(-3, 3), max_size=25)


@given(scores=SCORES, limit=st.integers(-1, 30))
def test_the_best_positions_are_those_of_a_full_sort(scores: list[int], limit: int) -> None:
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: max(limit, 0)]
    assert best_positions(np.array(scores, np.float32), limit).tolist() == expected


@given(scores=SCORES, limit=st.integers(0, 30), seed=st.integers(0, 99))
def test_ties_go_to_the_smaller_row_in_whatever_order_rows_come(
    scores: list[int], limit: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).permutation(len(scores))
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], rows[i]))[:limit]
    assert best_rows(rows, np.array(scores, np.float32), limit).tolist() == expected


@given(
    n=st.integers(SHORT, 8 * SHORT),
    limit=st.sampled_from((1, 20, 50, 200, SHORT)),
    known=st.sampled_from((0, 3, 30, 300, 3000)),
    distinct=st.sampled_from((2, 50, 10**6)),
    removed=st.sampled_from((0, 40)),
    seed=st.integers(0, 99),
)
def test_among_many_scores_that_are_the_same_the_best_are_those_of_a_full_sort(
    n: int, limit: int, known: int, distinct: int, removed: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    scores = np.zeros(n, np.float32)
    some = random.permutation(n)
    scores[some[:known]] = random.integers(-distinct, distinct, min(known, n))
    scores[some[n - removed :]] = -np.inf
    assert (
        best_positions(scores, limit).tolist()
        == np.argsort(-scores, kind="stable")[:limit].tolist()
    )
    rows = random.permutation(n)
    assert best_rows(rows, scores, limit).tolist() == np.lexsort((rows, -scores))[:limit].tolist()


@given(
    lines=st.lists(
        st.tuples(st.integers(0, 6), st.integers(-4, 4), st.integers(0, 9)), max_size=30
    ),
    limit=st.integers(0, 8),
)
def test_sums_per_item_name_their_largest_contribution(
    lines: list[tuple[int, int, int]], limit: int
) -> None:
    sums: dict[int, int] = {}
    largest: dict[int, tuple[int, int]] = {}
    for row, value, origin in lines:
        sums[row] = sums.get(row, 0) + value
        if row not in largest or value > largest[row][0]:
            largest[row] = (value, origin)
    best = sorted((row for row in sums if sums[row] > 0), key=lambda row: (-sums[row], row))[:limit]
    rows, values, origins = (
        (np.array(part) for part in zip(*lines, strict=True))
        if lines
        else (np.empty(0, int), np.empty(0), np.empty(0, int))
    )
    found = sum_by_row(rows, values.astype(np.float32), origins, limit=limit)
    assert found.rows.tolist() == best
    assert found.scores.tolist() == [sums[row] for row in best]
    assert found.because.tolist() == [largest[row][1] for row in best]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=10))
def test_ragged_positions_are_the_slices_one_after_the_other(slices: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in slices], np.int64)
    lengths = np.array([length for _, length in slices], np.int64)
    expected = [i for start, length in slices for i in range(start, start + length)]
    assert ragged_positions(starts, lengths).tolist() == expected
