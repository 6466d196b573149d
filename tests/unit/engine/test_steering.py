"""Price bands, relevance, preference, and places given to chance."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.exploration import LEAST_SHARE, explore
from recommender.engine.online.steering import preference_factors, price_range, relevant


@given(
    price=st.integers(1, 10_000_000),
    other=st.integers(1, 20_000_000),
    percent=st.integers(1, 500),
    kind=st.sampled_from(["same", "up", "down"]),
)
def test_a_price_band_holds_exactly_what_fractions_say(
    price: int, other: int, percent: int, kind: str
) -> None:
    lowest, highest = price_range(price, kind, percent)
    change = Fraction(other - price, price) * 100
    inside = {
        "same": abs(change) <= percent,
        "up": 0 < change <= percent,
        "down": 0 > change >= -percent,
    }
    assert (lowest <= other <= highest) == inside[kind]


def test_there_is_no_other_price_band() -> None:
    with pytest.raises(InvalidInputError, match="around"):
        price_range(100, "around", 10)


def test_relevance_is_a_share_of_the_best_score() -> None:
    scores = np.array([4.0, 2.0, 1.0, 0.0], np.float32)
    assert relevant(scores, 0.5).tolist() == [True, True, False, False]
    assert relevant(scores, 0.0).all()
    assert relevant(scores[:0], 0.5).tolist() == []


def test_preference_is_a_rank_among_the_candidates_ties_alike() -> None:
    values = np.array([0, 5, 5, 9], np.int64)
    assert preference_factors(values, 1.0).tolist() == [0.25, 0.75, 0.75, 1.0]
    assert preference_factors(values, 0.0).tolist() == [1.0] * 4
    assert preference_factors(values[:0], 0.5).tolist() == []
    # Whatever the scale: what nobody dated stands behind all that somebody did.
    assert preference_factors(values * 1_000_000, 1.0).tolist() == [0.25, 0.75, 0.75, 1.0]


@pytest.mark.parametrize(
    ("k", "weights", "share"),
    [
        (6, [3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5], 0.25),
        # One candidate outweighs the rest: it is always drawn, and the clipping is what counts.
        (5, [100.0, 1.0, 1.0, 1.0], 0.3),
        # Fewer in the pool than places to fill.
        (10, [1.0, 2.0], 0.3),
        (4, [0.0, 0.0, 0.0], 0.3),
    ],
)
def test_stated_propensities_are_the_frequencies_of_20_000_answers(
    k: int, weights: list[float], share: float
) -> None:
    n, n_answers = k + len(weights), 20_000
    positions = np.arange(n)
    all_weights = np.array([*[9.0] * k, *weights])
    random = np.random.default_rng(7)
    shown = np.zeros((n, k))
    stated = np.zeros((n, k))
    for _ in range(n_answers):
        answer = explore(positions, all_weights, n_wanted=k, share=share, random=random)
        assert len(set(answer.positions.tolist())) == k
        places = np.arange(k)
        shown[answer.positions, places] += 1
        before = stated[answer.positions, places]
        assert ((before == 0) | (abs(before - answer.propensities) < 1e-12)).all()
        stated[answer.positions, places] = answer.propensities
    seen = stated > 0
    error = abs(shown / n_answers - stated)[seen]
    # Five standard errors of a frequency: one of some 60 cells is outside once in 30,000 runs.
    assert (error <= 5 * np.sqrt(stated * (1 - stated) / n_answers)[seen] + 1e-9).all()
    # What was stated at a place sums to 1: nothing can stand there that was never stated.
    assert stated.sum(axis=0) == pytest.approx(np.ones(k))
    assert stated[k:].sum() == pytest.approx(
        sum(
            chance * min(m, len(weights))
            for chance, m in (
                (1 - share * k % 1, int(share * k)),
                (share * k % 1, int(share * k) + 1),
            )
        )
    )


def test_the_last_of_the_pool_is_drawn_a_tenth_as_often_as_the_first() -> None:
    weights = np.array([1.0, 1.0, 50.0, 0.001])
    stated: dict[int, float] = {}
    for seed in range(300):
        answer = explore(
            np.arange(4), weights, n_wanted=2, share=0.3, random=np.random.default_rng(seed)
        )
        stated |= dict(zip(answer.positions.tolist(), answer.propensities.tolist(), strict=True))
    assert stated[3] / stated[2] == pytest.approx(LEAST_SHARE)


def test_nothing_is_random_without_a_pool_or_a_share() -> None:
    random = np.random.default_rng(1)
    for positions, share in ((np.arange(3), 0.3), (np.arange(9), 0.0), (np.arange(0), 0.3)):
        answer = explore(positions, np.ones(9), n_wanted=3, share=share, random=random)
        assert answer.positions.tolist() == positions[:3].tolist()
        assert answer.propensities.tolist() == [1.0] * len(positions[:3])
    with pytest.raises(InvalidInputError, match="2"):
        explore(np.arange(3), np.ones(3), n_wanted=1, share=2, random=random)


def test_the_same_seed_gives_the_same_answer() -> None:
    def answer(seed: int) -> list[int]:
        random = np.random.default_rng(seed)
        explored = explore(np.arange(40), np.ones(40), n_wanted=10, share=0.3, random=random)
        found: list[int] = explored.positions.tolist()
        return found

    assert answer(5) == answer(5)
    assert len({tuple(answer(seed)) for seed in range(20)}) > 15
