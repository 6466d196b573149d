"""A strategy judged by the log of another: slots, overlap, and the truth it must find."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.results.logged_slots import Slots
from analytics.results.off_policy import outcome_of
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.off_policy import Replay

N_PLACES, N_PRODUCTS = 4, 12
# How often each product is clicked where it is shown: the later ones more often.
CLICKED = np.linspace(0.02, 0.3, N_PRODUCTS)


def logged(shown: list[int], *, explored: bool, n: int = 6000, seed: int = 1) -> Slots:
    """A log of products 0 … 3 in their places, each replaced by one of 4 … 11 in a third of cases."""
    rng = np.random.default_rng(seed)
    slots = Slots()
    for number in range(n):
        products, propensities = [], []
        for place in range(N_PLACES):
            chance = explored and rng.random() < 1 / 3
            products.append(int(rng.integers(4, N_PRODUCTS)) if chance else place)
            propensities.append((1 / 3 / 8 if chance else 2 / 3) if explored else 1.0)
        clicked = [each for each in products if rng.random() < CLICKED[each]]
        slots.add(
            shopper=f"shopper-{number // 3}",
            product_ids=products,
            propensities=propensities,
            clicked=clicked,
            shown=shown,
        )
    return slots


def test_a_log_with_chance_in_it_knows_what_another_strategy_would_have_earned() -> None:
    shown = [11, 1, 10, 3]
    outcome = outcome_of(logged(shown, explored=True))
    assert isinstance(outcome.replayed, Replay)
    truth = CLICKED[shown].mean()
    for estimate in (outcome.replayed.snips, outcome.replayed.ips, outcome.replayed.dr):
        assert estimate is not None
        low, high = estimate.interval(0.999)
        assert low <= truth <= high
    assert outcome.lift is not None
    assert outcome.lift > 0.2
    assert outcome.replayed.support == pytest.approx(1, abs=0.1)


def test_a_log_without_chance_has_no_overlap_with_a_strategy_that_shows_something_else() -> None:
    outcome = outcome_of(logged([0, 1, 10, 11], explored=False))
    assert isinstance(outcome.replayed, NotEnoughData)
    assert outcome.replayed.reason is Reason.NO_OVERLAP
    assert "50%" in outcome.replayed.words
    assert outcome.lift is None


def test_products_that_chance_never_drew_leave_no_answer_however_long_the_log_is() -> None:
    # Product 0 stands at the last place in no answer: chance draws 4 … 11.
    outcome = outcome_of(logged([3, 2, 1, 0], explored=True))
    assert isinstance(outcome.replayed, NotEnoughData)


def test_the_strategy_of_the_log_itself_is_told_even_without_chance() -> None:
    outcome = outcome_of(logged([0, 1, 2, 3], explored=False))
    assert isinstance(outcome.replayed, Replay)
    assert outcome.logged is not None
    assert outcome.replayed.snips.value == pytest.approx(outcome.logged.value)
    assert outcome.lift == pytest.approx(0)


def test_a_shorter_answer_is_judged_by_the_places_that_it_fills() -> None:
    outcome = outcome_of(logged([0, 1], explored=False))
    assert isinstance(outcome.replayed, Replay)
    assert outcome.replayed.support == pytest.approx(0.5)


def test_an_empty_log_says_so() -> None:
    outcome = outcome_of(Slots())
    assert isinstance(outcome.replayed, NotEnoughData)
    assert outcome.logged is None
