"""Shoppers who are alike, as a shop serves them: reasons, bounds, and the index of bounded size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline.shopper_neighbours import (
    fit_shopper_index,
    index_shopper_history,
)
from recommender.engine.online.shopper_neighbours import similar_shoppers
from recommender.engine.types import Float64Array, ShopperHistory, ShopperIndex

N_SHOPPERS, N_ITEMS = 9, 7


def index_of(*histories: list[float]) -> ShopperIndex:
    return fit_shopper_index(csr_matrix(np.array(histories, np.float32)))


def slow_reasons(x: Float64Array, q: Float64Array, k: int) -> dict[int, set[int]]:
    """For every candidate the reasons that may be named: more than one only where parts are equal."""
    alike = [
        float(q @ x[u] / np.sqrt((q @ q) * (x[u] @ x[u]))) if x[u].any() else 0.0
        for u in range(len(x))
    ]
    nearest = [u for u in sorted(range(len(x)), key=lambda u: (-alike[u], u)) if alike[u] > 0][:k]
    reasons: dict[int, set[int]] = {}
    for item in range(x.shape[1]):
        votes = {u: alike[u] * x[u, item] for u in nearest if x[u, item]}
        most = max(votes.values(), default=0.0)
        for speaker in (u for u, vote in votes.items() if vote > most - 1e-9):
            parts = {i: q[i] * x[speaker, i] for i in range(len(q)) if i != item}
            largest = max(parts.values())
            reasons.setdefault(item, set()).update(
                {i for i, part in parts.items() if part > largest - 1e-9} if largest > 0 else {-1}
            )
    return reasons


@given(
    seed=st.integers(0, 10_000),
    mine=st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=4, unique=True),
)
def test_the_reason_is_what_the_strongest_voter_shares_most_of(seed: int, mine: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.random((N_SHOPPERS, N_ITEMS)) < 0.4) * rng.uniform(0.5, 3, (N_SHOPPERS, N_ITEMS))
    x = x.astype(np.float32).astype(np.float64)
    if not x.any():
        return
    q = np.zeros(N_ITEMS)
    q[mine] = rng.uniform(0.5, 3, len(mine))
    found = similar_shoppers(index_of(*x.tolist()), mine, q[mine], limit=N_ITEMS, k=4)
    told = dict(zip(found.rows.tolist(), found.because.tolist(), strict=True))
    expected = slow_reasons(x, q, 4)
    assert told.keys() == expected.keys()
    for item, reason in told.items():
        assert reason in expected[item]


def test_nothing_is_its_own_reason() -> None:
    found = similar_shoppers(index_of([1, 0, 0], [2, 1, 1]), [0, 1], [2.0, 1.0], limit=3)
    assert dict(zip(found.rows.tolist(), found.because.tolist(), strict=True)) == {0: 1, 1: 0, 2: 0}
    alone = similar_shoppers(index_of([1, 0]), [0], limit=2)
    assert (alone.rows.tolist(), alone.because.tolist()) == ([0], [-1])


def test_who_asks_for_no_reasons_gets_the_same_answer_without_them() -> None:
    index = index_of([1, 1, 1, 0], [1, 0, 1, 1], [0, 1, 0, 1])
    with_them, without = (
        similar_shoppers(index, [0, 1], limit=4, reasons=reasons) for reasons in (True, False)
    )
    assert without.rows.tolist() == with_them.rows.tolist()
    assert without.scores.tolist() == with_them.scores.tolist()
    assert set(without.because.tolist()) == {-1}


def test_a_bestseller_is_left_out_of_a_question_that_would_cost_too_much() -> None:
    # Everybody has item 0; item 1 is rare, and who has it has item 2. Six lines in all.
    index = index_of([1, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1])
    whole = similar_shoppers(index, [0, 1], limit=9, max_lines=6)
    assert set(whole.rows.tolist()) == {0, 1, 2, 3}
    bounded = similar_shoppers(index, [0, 1], limit=9, max_lines=5)
    assert set(bounded.rows.tolist()) == {0, 1, 2}
    # A question is never left empty, and an item that nobody has is no answer to it.
    for asked in ([0], [0, 5]):
        assert 3 in similar_shoppers(index, asked, limit=9, max_lines=2).rows


@given(
    rows=st.lists(st.lists(st.sampled_from([0.0, -1.0, 2.0]), min_size=5, max_size=5), min_size=1)
)
def test_stored_weights_that_are_not_above_0_are_as_if_they_were_not_there(
    rows: list[list[float]],
) -> None:
    dense = np.array(rows, np.float32)
    stored = csr_matrix(np.ones_like(dense))
    stored.data = dense.ravel()
    if not (dense > 0).any():
        with pytest.raises(EmptyInputError):
            fit_shopper_index(stored)
        return
    found, expected = fit_shopper_index(stored), index_of(*np.maximum(dense, 0).tolist())
    for name in ShopperIndex.__slots__:
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="euclid"):
        similar_shoppers(index_of([1, 1]), [0], limit=1, measure="euclid")


def test_memory_mapped_arrays_answer_alike(tmp_path: Path) -> None:
    index = index_of([1, 1, 1, 0], [1, 0, 1, 1])
    mapped = {}
    for name in ShopperIndex.__slots__:
        np.save(tmp_path / f"{name}.npy", getattr(index, name))
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    found = similar_shoppers(ShopperIndex(**mapped), [0], limit=4)
    assert found.rows.tolist() == similar_shoppers(index, [0], limit=4).rows.tolist()


def history_of(lines: list[dict[int, tuple[float, int]]]) -> ShopperHistory:
    """Per shopper: item → weight and time."""
    ordered = [sorted(line.items()) for line in lines]
    flat = [entry for line in ordered for entry in line]
    return ShopperHistory(
        offsets=np.cumsum([0, *map(len, ordered)]).astype(np.int64),
        item_rows=np.array([item for item, _ in flat], np.int32),
        weights=np.array([weight for _, (weight, _) in flat], np.float32),
        counts=np.ones(len(flat), np.int32),
        last_at_s=np.array([at_s for _, (_, at_s) in flat], np.int64),
    )


LINES = st.dictionaries(
    st.integers(0, N_ITEMS - 1),
    st.tuples(st.sampled_from([-1.0, 0.0, 1.0, 4.0, 9.0]), st.integers(0, 5)),
)


@given(
    lines=st.lists(LINES, max_size=8), max_shoppers=st.integers(1, 5), max_items=st.integers(2, 4)
)
def test_the_index_keeps_the_newest_shoppers_and_what_they_like_best(
    lines: list[dict[int, tuple[float, int]]], max_shoppers: int, max_items: int
) -> None:
    liked = {
        shopper: {item: entry for item, entry in line.items() if entry[0] > 0}
        for shopper, line in enumerate(lines)
    }
    telling = [shopper for shopper, line in liked.items() if len(line) > 1]
    newest = sorted(telling, key=lambda s: (-max(at_s for _, at_s in liked[s].values()), s))
    places, index = index_shopper_history(
        history_of(lines), n_items=N_ITEMS, max_shoppers=max_shoppers, max_items=max_items
    )
    assert places.tolist() == sorted(newest[:max_shoppers])
    assert (index.n_shoppers, index.n_items) == (len(places), N_ITEMS)
    by_item: list[tuple[int, int, float]] = []
    for row, shopper in enumerate(places.tolist()):
        best = sorted(liked[shopper].items(), key=lambda entry: (-entry[1][0], entry[0]))
        kept = sorted((item, weight**0.5) for item, (weight, _) in best[:max_items])
        own = slice(int(index.shopper_offsets[row]), int(index.shopper_offsets[row + 1]))
        assert [*zip(index.shopper_items[own], index.shopper_weights[own], strict=True)] == kept
        assert index.squares[row] == pytest.approx(sum(weight**2 for _, weight in kept))
        by_item += [(item, row, weight) for item, weight in kept]
    held = np.repeat(np.arange(N_ITEMS), np.diff(index.item_offsets))
    assert [
        *zip(held.tolist(), index.item_shoppers.tolist(), index.item_weights.tolist(), strict=True)
    ] == sorted(by_item)
    # An index of nobody is asked like any other.
    found = similar_shoppers(index, list(range(N_ITEMS)), limit=N_ITEMS)
    assert bool(len(found)) == bool(telling)


@pytest.mark.parametrize("wrong", [{"max_shoppers": 0}, {"max_items": 1}])
def test_caps_that_leave_nothing_to_compare_are_refused(wrong: dict[str, int]) -> None:
    caps = {"max_shoppers": 1, "max_items": 2, **wrong}
    with pytest.raises(InvalidInputError, match="caps"):
        index_shopper_history(history_of([{0: (1.0, 1)}]), n_items=1, **caps)
