"""Diversity, novelty, coverage, Gini, serendipity and calibration against published figures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.metrics.concentration import catalog_coverage, distributional_coverage, gini
from analytics.metrics.latency import (
    LATENCY_EDGES_US,
    N_BINS,
    latency_counts,
    latency_interval,
    latency_quantile,
)
from analytics.metrics.lists import (
    Float32Array,
    intra_list_distance,
    inverse_user_frequency,
    list_calibration,
    list_diversity,
    list_serendipity,
    self_information,
    starts_of,
)

# The world of the recommenders library's tests: who dealt with which of the items 1 … 5, and what
# the three were recommended.
TRAIN = {1: [1, 2, 4], 2: [3, 4], 3: [3, 4, 5]}
SHOWN = [[3, 5], [2, 5], [1, 2]]
RELEVANT = [[True, False], [True, True], [False, True]]
COUNTS = np.array([1, 1, 2, 3, 1])
ROWS = np.array([item - 1 for shown in SHOWN for item in shown])
STARTS = starts_of([2, 2, 2])


def together() -> Float32Array:
    """Vectors whose cosine is the co-occurrence cosine: which users had the item."""
    vectors = np.array(
        [[item in had for had in TRAIN.values()] for item in range(1, 6)], np.float32
    )
    unit: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_novelty_is_that_of_the_recommenders_library() -> None:
    novelty = self_information(COUNTS)
    assert novelty == pytest.approx([3, 3, 2, 1.41504, 3], abs=5e-6)
    assert novelty[ROWS].mean() == pytest.approx(2.83333, abs=5e-6)


def test_coverages_are_those_of_the_recommenders_library() -> None:
    counts = np.bincount(ROWS, minlength=5)
    assert catalog_coverage(counts) == pytest.approx(0.8)
    assert distributional_coverage(counts) == pytest.approx(1.9183, abs=5e-5)


def test_diversity_by_co_occurrence_and_by_features_is_that_of_the_recommenders_library() -> None:
    assert list_diversity(together(), ROWS, STARTS).mean() == pytest.approx(0.43096, abs=5e-6)
    features = np.array(
        [[0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]],
        np.float32,
    ) / np.sqrt(np.float32(2))
    assert list_diversity(features, ROWS, STARTS).mean() == pytest.approx(0.5, abs=1e-6)


def test_serendipity_is_that_of_the_recommenders_library() -> None:
    histories = [[item - 1 for item in had] for had in TRAIN.values()]
    serendipity = list_serendipity(
        together(),
        ROWS,
        STARTS,
        relevant=np.array([each for row in RELEVANT for each in row]),
        owners=np.arange(3),
        history_rows=np.array([item for had in histories for item in had]),
        history_starts=starts_of([len(had) for had in histories]),
    )
    assert serendipity.mean() == pytest.approx(0.43408, abs=5e-6)


def test_novelty_by_shoppers_is_that_of_rectools() -> None:
    novelty = inverse_user_frequency(np.array([3, 1, 0]), 3)
    assert novelty[2] == pytest.approx(1.58496, abs=5e-6)
    assert novelty[[1, 2]].mean() == pytest.approx(1.58496, abs=5e-6)
    assert novelty[[0, 1]].mean() == pytest.approx(0.79248, abs=5e-6)


def test_distance_within_a_list_is_that_of_rectools() -> None:
    features = np.array([[0, 0], [0, 1], [1, 1]])
    hamming = (features[:, None] != features[None]).sum(axis=2).astype(np.float64)
    means = [intra_list_distance(hamming[:k, :k]) for k in (1, 2, 3)]
    assert means == pytest.approx([0, 1, 1.3333], abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "expected", "tolerance"),
    [
        (np.arange(1, 6), 0.26667, 5e-6),
        (np.array([0, 0, 0, 10]), 0.75, 1e-12),
        (np.full(100, 7), 0.0, 1e-12),
        (np.append(1000, np.zeros(9999)), 1.0, 1e-3),
    ],
)
def test_gini_is_that_of_the_anchors(
    counts: np.ndarray[tuple[int], np.dtype[np.int64]], expected: float, tolerance: float
) -> None:
    assert gini(counts) == pytest.approx(expected, abs=tolerance)


def test_nothing_shown_is_unknown_and_not_zero() -> None:
    assert np.isnan(gini(np.zeros(3)))
    assert np.isnan(distributional_coverage(np.zeros(3)))
    assert np.isnan(self_information(np.zeros(3, np.int64))).all()
    empty = np.empty(0, np.int64)
    assert np.isnan(list_diversity(together(), empty, np.array([0, 0]))).all()


def test_a_list_of_one_product_and_one_without_content_have_no_diversity() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    lists = [[0], [0, 2], [0, 2, 1], []]
    rows = np.array([row for each in lists for row in each])
    diversity = list_diversity(vectors, rows, starts_of([len(each) for each in lists]))
    assert np.isnan(diversity[[0, 1, 3]]).all()
    assert diversity[2] == pytest.approx(1.0)


@given(
    st.lists(st.lists(st.integers(0, 11), max_size=6), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_diversity_is_the_mean_over_pairs(lists: list[list[int]], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(12, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.array([row for each in lists for row in each], np.int64)
    found = list_diversity(vectors, rows, starts_of([len(each) for each in lists]))
    for each, diversity in zip(lists, found, strict=True):
        if len(each) < 2:
            assert np.isnan(diversity)
        else:
            pairs = [1 - float(vectors[a] @ vectors[b]) for a, b in combinations(each, 2)]
            assert diversity == pytest.approx(np.mean(pairs), abs=2e-6)


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=6),
    st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=4),
    st.data(),
)
def test_calibration_is_stecks_divergence(
    lists: list[list[int]], histories: list[list[int]], data: st.DataObject
) -> None:
    whose = st.integers(-1, len(histories) - 1)
    owners = data.draw(st.lists(whose, min_size=len(lists), max_size=len(lists)))
    found = list_calibration(
        np.array([code for each in lists for code in each], np.int64),
        starts_of([len(each) for each in lists]),
        owners=np.array(owners),
        history_codes=np.array([code for each in histories for code in each], np.int64),
        history_starts=starts_of([len(each) for each in histories]),
    )
    for shown, owner, divergence in zip(lists, owners, found, strict=True):
        history = histories[owner] if owner >= 0 else []
        if not (shown and history):
            assert np.isnan(divergence)
            continue
        p = np.bincount(history, minlength=5) / len(history)
        q = 0.99 * np.bincount(shown, minlength=5) / len(shown) + 0.01 * p
        expected = sum(p[c] * np.log(p[c] / q[c]) for c in range(5) if p[c])
        assert divergence == pytest.approx(max(expected, 0), abs=1e-12)


def test_an_owner_without_history_has_no_serendipity() -> None:
    found = list_serendipity(
        np.eye(2, dtype=np.float32),
        np.array([0, 1]),
        np.array([0, 1, 2]),
        relevant=np.array([True, True]),
        owners=np.array([0, -1]),
        history_rows=np.array([1]),
        history_starts=np.array([0, 1]),
    )
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1])


def test_the_interval_of_a_latency_quantile_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    truth_ms = float(np.exp(1.6448536269514722 * 0.6)) * 2
    held = 0
    for _ in range(1000):
        took_us = (rng.lognormal(0, 0.6, 2000) * 2000).astype(np.int64)
        low, high = latency_interval(latency_counts(took_us), 0.95) or (0.0, 0.0)
        held += low <= truth_ms <= high
    assert 0.92 <= held / 1000 <= 0.98


def test_latencies_add_up_and_stay_within_a_bin_of_the_truth() -> None:
    rng = np.random.default_rng(6)
    took_us = (rng.lognormal(0, 1, 50_000) * 3000).astype(np.int64)
    halves = latency_counts(took_us[:20_000]) + latency_counts(took_us[20_000:])
    assert (halves == latency_counts(took_us)).all()
    assert latency_quantile(halves, 0.95) == pytest.approx(
        np.quantile(took_us, 0.95) / 1000, rel=0.05
    )
    assert latency_quantile(np.zeros(N_BINS, np.int64), 0.95) is None
    assert latency_interval(latency_counts(took_us[:50]), 0.95) is None
    assert LATENCY_EDGES_US[-1] > 10_000_000
