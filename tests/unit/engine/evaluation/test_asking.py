"""Lists, their accuracy in one pass, and AUC, against loops over single lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.evaluation.asking import Lists, accuracy
from recommender.engine.evaluation.ordering import auc_of_list, auc_of_scores
from recommender.engine.evaluation.ranking_metrics import list_metrics

NOTHING = np.empty(0, np.int32)


@given(
    lines=st.lists(
        st.tuples(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 9)),
        min_size=1,
        max_size=8,
    )
)
def test_the_metrics_of_many_lists_equal_those_of_each(
    lines: list[tuple[list[bool], int]],
) -> None:
    hits = np.array([line for line, _ in lines])
    n_relevant = np.array([max(sum(line) + more, 1) for line, more in lines])
    rows = np.tile(np.arange(6, dtype=np.int32), (len(lines), 1))
    found = accuracy(Lists(np.arange(len(lines)), rows, hits, n_relevant))
    for number in range(len(lines)):
        expected = list_metrics(hits[number], int(n_relevant[number]), k=6)
        assert {name: values[number] for name, values in found.items()} == pytest.approx(expected)


def brute(scores: np.ndarray, right: set[int], barred: set[int]) -> float:
    others = [i for i in range(len(scores)) if i not in right and i not in barred]
    own = [i for i in sorted(right) if i not in barred]
    wins = [
        1.0 if scores[a] > scores[b] else 0.5 if scores[a] == scores[b] else 0.0
        for a in own
        for b in others
    ]
    return float(np.mean(wins)) if wins else float("nan")


items = st.sets(st.integers(0, 14), max_size=12)


@given(
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, -np.inf]), min_size=15, max_size=15),
    right=items,
    barred=items,
)
def test_auc_equals_a_loop_over_pairs(
    scores: list[float], right: set[int], barred: set[int]
) -> None:
    array = np.array(scores)
    relevant = np.array([*sorted(right), -1], np.int32)
    found = auc_of_scores(array, relevant, np.array(sorted(barred), np.int32))
    assert found == pytest.approx(brute(array, right, barred), nan_ok=True)


@given(ranked=st.lists(st.integers(0, 14), unique=True, max_size=15), right=items, barred=items)
def test_auc_of_a_list_is_that_of_scores_that_fall_to_zero_behind_it(
    ranked: list[int], right: set[int], barred: set[int]
) -> None:
    scores = np.zeros(15)
    scores[ranked] = np.arange(len(ranked), 0, -1)
    found = auc_of_list(
        np.array(ranked, np.int32),
        np.array(sorted(right), np.int32),
        np.array(sorted(barred), np.int32),
        n_items=15,
    )
    assert found == pytest.approx(brute(scores, right, barred), nan_ok=True)


def test_knowing_nothing_is_a_coin_toss() -> None:
    assert auc_of_scores(np.full(9, -np.inf), np.array([3]), NOTHING) == 0.5
    assert auc_of_list(NOTHING, np.array([3]), NOTHING, n_items=9) == 0.5
    assert np.isnan(auc_of_list(NOTHING, np.array([-1]), NOTHING, n_items=9))
