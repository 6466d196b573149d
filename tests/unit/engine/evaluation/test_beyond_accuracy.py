"""Variety, surprise and reach, on published worlds and against loops."""

from collections import Counter
from itertools import combinations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.evaluation import beyond_accuracy as beyond
from recommender.engine.evaluation.asking import Lists
from recommender.engine.evaluation.beyond_accuracy import Likeness
from recommender.engine.methods.inputs import ItemFacts, Training

# The worked example of recommenders-team/recommenders, `tests/unit/.../conftest.py`; item i is row
# i - 1 here. Three shoppers bought {1, 2, 4}, {3, 4}, {3, 4, 5}.
BOUGHT = csr_matrix(
    np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 1]], np.float32)
)  # fmt: skip
COUNTS = np.array([1, 1, 2, 3, 1])
LISTS = np.array([[3, 5], [2, 5], [1, 2]], np.int32) - 1
FEATURES = np.array(
    [[0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]],
    np.float32,
)


def test_the_published_example_of_novelty_and_coverage() -> None:
    surprise = beyond.self_information(COUNTS)
    assert surprise.tolist() == pytest.approx([3, 3, 2, 1.41504, 3], abs=1e-5)
    sums, slots = beyond.per_slot(LISTS, surprise)
    assert sums.sum() / slots.sum() == pytest.approx(2.83333, abs=1e-5)
    assert beyond.catalog_coverage(LISTS, n_items=5) == 0.8
    assert beyond.distributional_coverage(LISTS, n_items=5) == pytest.approx(1.9183, abs=1e-4)


@pytest.mark.parametrize("most_dense", [beyond.DENSE_ITEMS, 0], ids=["table", "holders"])
def test_the_published_example_of_diversity_and_serendipity_by_co_occurrence(
    most_dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beyond, "DENSE_ITEMS", most_dense)
    likeness = beyond.likeness_of_groups(BOUGHT)
    assert (likeness.pairs is None) == (most_dense == 0)
    values = beyond.intra_list_diversity(LISTS, likeness)
    assert values.mean() == pytest.approx(0.43096, abs=1e-5)
    histories = [np.array(rows, np.int32) for rows in ([0, 1, 3], [2, 3], [2, 3, 4])]
    right = np.array([[1, 0], [1, 1], [1, 0]], np.bool_)
    found = beyond.serendipity(LISTS, histories, right, likeness)
    assert found == pytest.approx(0.43408, abs=1e-5)
    by_features = beyond.intra_list_diversity(LISTS, beyond.likeness_of_vectors(FEATURES))
    assert by_features.mean() == pytest.approx(0.5)


def test_the_published_example_of_gini() -> None:
    assert beyond.gini([1, 2, 3, 4, 5]) == pytest.approx(0.26667, abs=1e-5)
    assert beyond.gini([0, 0, 0, 10]) == 0.75
    assert beyond.gini([7] * 9) == pytest.approx(0)
    assert beyond.gini([1000, *[0] * 9999]) == pytest.approx(1, abs=1e-3)
    assert beyond.gini([0, 0]) == 0


def test_distances_of_a_list_are_averaged_over_pairs() -> None:
    # RecTools' Hamming example has distances 1, 2 and 1 between three items.
    likeness = Likeness(
        "distances", pairs=1 - np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]], np.float32)
    )
    lists = [[0, -1, -1], [0, 1, -1], [0, 1, 2]]
    found = beyond.intra_list_diversity(lists, likeness)
    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([1, 4 / 3])


list_worlds = st.lists(
    st.lists(st.integers(0, 6), min_size=0, max_size=5, unique=True), min_size=1, max_size=6
)


def padded(lists: list[list[int]]) -> np.ndarray:
    return np.array([line + [-1] * (5 - len(line)) for line in lists], np.int32)


@given(lists=list_worlds, seed=st.integers(0, 50), dense=st.booleans())
def test_diversity_equals_a_loop_over_pairs(lists: list[list[int]], seed: int, dense: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    vectors[2] = 0
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    by_vectors = beyond.intra_list_diversity(padded(lists), beyond.likeness_of_vectors(vectors))
    groups = csr_matrix((rng.random((9, 7)) < 0.4).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beyond, "DENSE_ITEMS", 7 if dense else 6)
        likeness = beyond.likeness_of_groups(groups)
    assert (likeness.pairs is not None) == dense
    by_pairs = beyond.intra_list_diversity(padded(lists), likeness)
    held = groups.toarray() > 0
    for line, items in enumerate(lists):
        known = [i for i in items if i != 2]
        angles = [1 - float(unit[a] @ unit[b]) for a, b in combinations(known, 2)]
        assert_mean(by_vectors[line], angles)
        pairs = [
            1 - float((held[:, a] & held[:, b]).sum())
            / max(float(np.sqrt(held[:, a].sum() * held[:, b].sum())), 1e-9)
            for a, b in combinations(items, 2)
        ]  # fmt: skip
        assert_mean(by_pairs[line], pairs)


def test_the_variety_of_the_first_lists_speaks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond, "DIVERSITY_LISTS", 2)
    n = len(LISTS)
    lists = Lists(np.arange(n), LISTS, np.zeros(LISTS.shape, np.bool_), np.ones(n, np.int64))
    yardstick = beyond.Yardstick(
        COUNTS,
        beyond.self_information(COUNTS),
        beyond.popularity_percentiles(COUNTS),
        beyond.likeness_of_groups(BOUGHT),
    )
    values, _ = beyond.list_values(lists, yardstick)
    whole = beyond.intra_list_diversity(LISTS, yardstick.likeness)
    found = values["diversity@2"]
    assert found[:2].tolist() == whole[:2].tolist()
    assert np.isnan(found[2])
    assert not np.isnan(values["novelty@2"]).any()


def assert_mean(found: float, values: list[float]) -> None:
    if values:
        assert found == pytest.approx(np.mean(values), abs=1e-5)
    else:
        assert np.isnan(found)


@given(lists=list_worlds)
def test_reach_equals_counting(lists: list[list[int]]) -> None:
    rows = padded(lists)
    counts = Counter(item for line in lists for item in line)
    assert beyond.catalog_coverage(rows, n_items=7) == pytest.approx(len(counts) / 7)
    values = [counts[item] for item in range(7)]
    pairs = sum(abs(a - b) for a in values for b in values)
    expected = pairs / (2 * 7 * max(sum(values), 1))
    assert beyond.gini(beyond.recommended_counts(rows, n_items=7)) == pytest.approx(expected)
    total = sum(counts.values())
    bits = -sum(n / total * log2(n / total) for n in counts.values())
    assert beyond.distributional_coverage(rows, n_items=7) == pytest.approx(bits)


def test_popularity_is_a_place_among_all_items_and_half_in_the_mean() -> None:
    counts = np.array([4, 0, 0, 7, 2])
    found = beyond.popularity_percentiles(counts)
    assert found.tolist() == [0.7, 0.2, 0.2, 0.9, 0.5]
    assert found.mean() == pytest.approx(0.5)


def test_what_lists_are_compared_by_depends_on_what_is_known_of_the_items() -> None:
    groups = csr_matrix(np.ones((2, 3), np.float32))
    plain = Training(3, baskets=groups)
    assert beyond.likeness_for(plain).of == "co-occurrence"
    texts = Training(3, baskets=groups, facts=ItemFacts(titles=["red cup", "blue cup", ""]))
    assert beyond.likeness_for(texts).of == "texts"
    own = Training(3, baskets=groups, facts=ItemFacts(vectors=np.eye(3, dtype=np.float32)))
    yardstick = beyond.yardstick_for(own)
    assert yardstick.likeness.of == "vectors"
    assert yardstick.counts.tolist() == [2, 2, 2]
    assert yardstick.n_items == 3
