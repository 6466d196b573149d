"""Rows for ids, and what one event says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.id_map import IdMap, stable_hash64
from recommender.engine.types import Candidates, EaseModel, Neighbours, Sessions
from recommender.engine.weighting import (
    EVENT_WEIGHTS,
    event_weights,
    quantity_damping,
    sum_duplicates,
    time_decay,
)

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)


@given(known=IDS, asked=IDS)
def test_rows_are_positions_among_the_sorted_ids(known: list[int], asked: list[int]) -> None:
    ordered = sorted(set(known))
    rows = IdMap.of(known).rows_of(asked + known)
    expected = [ordered.index(i) if i in ordered else -1 for i in asked + known]
    assert rows.tolist() == expected
    assert rows.dtype == np.int32


@given(known=IDS)
def test_ids_of_rows_are_the_way_back(known: list[int]) -> None:
    ids = IdMap.of(known)
    assert ids.ids_of(ids.rows_of(known)).tolist() == known


@pytest.mark.parametrize("rows", [[-1], [2]])
def test_a_row_outside_the_map_is_refused(rows: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="outside"):
        IdMap.of([10, 20]).ids_of(rows)


@pytest.mark.parametrize("ids", [[2, 1], [1, 1]])
def test_ids_that_do_not_ascend_are_refused(ids: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="ascending"):
        IdMap(np.array(ids, np.int64))


def test_a_string_id_has_the_same_number_in_every_process_and_release() -> None:
    assert stable_hash64("shopper-1") == -3970711353813374061
    assert stable_hash64("Ä") != stable_hash64("A")


def test_arrays_that_do_not_fit_each_other_are_refused() -> None:
    one, two = np.zeros(1, np.int32), np.zeros(2, np.float32)
    with pytest.raises(InvalidInputError, match="length"):
        Candidates(one, two, one)
    with pytest.raises(InvalidInputError, match="shape"):
        Neighbours(np.zeros((2, 3), np.int32), np.zeros((2, 2), np.float32))
    with pytest.raises(InvalidInputError, match="weights"):
        EaseModel(one, np.zeros((2, 2), np.float32))
    with pytest.raises(InvalidInputError, match="offset"):
        Sessions(np.array([0, 3]), one, np.array([5]))


def test_a_purchase_says_more_than_a_view_and_hiding_says_the_contrary() -> None:
    purchase, cart, view, hidden = event_weights(
        ["purchase", "add_to_cart", "view_item", "hide_item"]
    )
    assert purchase == 1 > cart == 0.5 > view > 0 > hidden


def test_weights_are_data_and_unknown_types_count_nothing() -> None:
    assert event_weights(["purchase", "sneeze"], weights={"sneeze": 3}).tolist() == [0, 3]
    assert event_weights(["sneeze"]).tolist() == [0]
    with pytest.raises(TypeError):
        EVENT_WEIGHTS["purchase"] = 2  # type: ignore[index]


def test_an_event_loses_half_its_weight_per_half_life() -> None:
    day = 86_400
    found = time_decay([0, 5 * day, 10 * day, 99 * day], now_s=10 * day, half_life_days=5)
    assert found.tolist() == [0.25, 0.5, 1.0, 1.0]
    assert time_decay([0], now_s=10 * day, half_life_days=None).tolist() == [1.0]
    with pytest.raises(InvalidInputError, match="half_life_days"):
        time_decay([0], now_s=0, half_life_days=0)


def test_a_case_of_twelve_is_not_twelve_wishes() -> None:
    assert quantity_damping([1, np.e, 0, -3]).round(6).tolist() == [1, 2, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-8, 8)), max_size=20))
def test_weights_of_the_same_item_are_added_up(lines: list[tuple[int, int]]) -> None:
    rows, sums = sum_duplicates([r for r, _ in lines], [w for _, w in lines])
    expected: dict[int, float] = {}
    for row, weight in lines:
        expected[row] = expected.get(row, 0) + weight
    assert dict(zip(rows.tolist(), sums.tolist(), strict=True)) == expected
    assert rows.tolist() == sorted(expected)
