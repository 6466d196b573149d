"""What a shopper had to do with products, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.dealings import BOUGHT, CARTED, LOOKED, dealings

DAY = 86_400
NOW = 1_000 * DAY
PRICES = np.array([1.0, np.nan, 3.0, 2.0, 5.0, np.nan, 0.5, 4.0], np.float32)
KINDS = (0, LOOKED, CARTED, BOUGHT)

events = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(KINDS), st.integers(0, 3 * DAY)), max_size=12
)
pasts = st.dictionaries(
    st.integers(0, 7), st.tuples(st.integers(0, 9), st.integers(0, 400 * DAY)), max_size=6
)


def ask(happened: list[tuple[int, int, int]], past: dict[int, tuple[int, int]], gone: int = 0):  # type: ignore[no-untyped-def]
    known = [(-1, (3, 5))] * gone + list(past.items())
    return dealings(
        np.array([row for row, _, _ in happened], np.int32),
        np.array([kind for _, kind, _ in happened], np.int32),
        np.array([NOW - ago for _, _, ago in happened], np.int64),
        past_rows=np.array([row for row, _ in known], np.int32),
        past_counts=np.array([count for _, (count, _) in known], np.int32),
        past_last_at_s=np.array([NOW - ago for _, (_, ago) in known], np.int64),
        log_prices=PRICES,
        now_s=NOW,
        lately_s=DAY,
    )


@given(events, pasts, st.integers(0, 2))
def test_it_equals_plain_loops(
    happened: list[tuple[int, int, int]], past: dict[int, tuple[int, int]], gone: int
) -> None:
    expected: dict[int, list[float]] = {}
    for row, (count, ago) in past.items():
        bought = [1, math.log(1 + count), math.log(1 + ago / DAY)] if count else [0, 0, 0]
        expected[row] = [0, 0, 0, *bought]
    for row, kind, ago in happened:
        own = expected.setdefault(row, [0.0] * 6)
        if kind == LOOKED:
            own[0] = 1
            own[1] = max(own[1], float(ago < DAY))
        if kind == CARTED:
            own[2] = 1
        if kind == BOUGHT and not own[3]:
            own[3:] = [1, math.log(2), math.log(1 + ago / DAY)]

    rows, did, usual = ask(happened, past, gone)

    assert rows.tolist() == list(expected)
    np.testing.assert_allclose(did, np.array(list(expected.values())).reshape(-1, 6), atol=1e-5)
    prices = sorted(float(PRICES[row]) for row in expected if not np.isnan(PRICES[row]))
    assert (usual == prices[len(prices) // 2]) if prices else math.isnan(usual)


def test_somebody_of_whom_nothing_is_known_has_no_usual_price() -> None:
    rows, did, usual = ask([], {})
    assert (len(rows), did.shape, math.isnan(usual)) == (0, (0, 6), True)


def test_arrays_that_differ_in_length_are_refused() -> None:
    none = np.empty(0, np.int32)
    with pytest.raises(InvalidInputError, match="of events differ"):
        dealings(
            np.zeros(2, np.int32),
            none,
            none.astype(np.int64),
            past_rows=none,
            past_counts=none,
            past_last_at_s=none.astype(np.int64),
            log_prices=PRICES,
            now_s=1,
            lately_s=1,
        )
