"""Two rankings in one list, as captains pick their teams."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.online.interleaving import Pick, team_draft

rankings = st.lists(st.integers(0, 30), unique=True, max_size=15)


def coins(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def items(first: list[int], second: list[int], picks: list[Pick]) -> list[int]:
    return [(first, second)[pick.team][pick.position] for pick in picks]


@given(rankings, rankings, st.integers(0, 20), st.integers(0, 2**32))
def test_nothing_comes_twice_and_nothing_is_left_while_there_is_room(
    first: list[int], second: list[int], n_wanted: int, seed: int
) -> None:
    merged = items(first, second, team_draft(first, second, n_wanted=n_wanted, random=coins(seed)))
    assert len(merged) == len(set(merged)) == min(n_wanted, len({*first, *second}))


@given(rankings, rankings, st.integers(0, 2**32))
def test_each_pick_is_the_best_that_its_ranker_had_left(
    first: list[int], second: list[int], seed: int
) -> None:
    before: set[int] = set()
    for team, position in team_draft(first, second, n_wanted=20, random=coins(seed)):
        ranking = (first, second)[team]
        assert ranking[position] not in before
        assert before.issuperset(ranking[:position])
        before.add(ranking[position])


def test_both_teams_pick_once_in_every_round() -> None:
    first, second = list(range(10)), list(range(5, 15))
    for seed in range(200):
        picks = team_draft(first, second, n_wanted=10, random=coins(seed))
        for turn in range(0, 10, 2):
            assert {picks[turn].team, picks[turn + 1].team} == {0, 1}


def test_each_leads_half_of_the_time_in_every_round() -> None:
    n = 4_000
    leaders = np.array(
        [
            [pick.team for pick in team_draft([1, 2, 3], [4, 5, 6], n_wanted=6, random=coins(s))]
            for s in range(n)
        ]
    )[:, ::2]
    # Four standard deviations of a fair coin.
    assert np.all(np.abs(leaders.mean(axis=0) - 0.5) < 4 * 0.5 / np.sqrt(n))
    # The rounds know nothing of each other.
    assert abs(np.corrcoef(leaders[:, 0], leaders[:, 1])[0, 1]) < 4 / np.sqrt(n)


def test_equal_rankings_stay_as_they_are_and_each_item_is_anybodys() -> None:
    same = [4, 7, 1, 9]
    owners: Counter[tuple[int, int]] = Counter()
    for seed in range(2_000):
        picks = team_draft(same, same, n_wanted=4, random=coins(seed))
        assert items(same, same, picks) == same
        owners.update((same[pick.position], pick.team) for pick in picks)
    for item in same:
        assert abs(owners[item, 0] - 1_000) < 4 * np.sqrt(500)


@pytest.mark.parametrize("n_wanted", [1, 3, 5])
def test_the_place_that_is_left_over_goes_by_the_coin(n_wanted: int) -> None:
    surplus: Counter[int] = Counter()
    for seed in range(2_000):
        picks = team_draft(
            list(range(9)), list(range(10, 19)), n_wanted=n_wanted, random=coins(seed)
        )
        (team, _), *_ = Counter(pick.team for pick in picks).most_common(1)
        surplus[team] += 1
    assert abs(surplus[0] - 1_000) < 4 * np.sqrt(500)


@pytest.mark.parametrize(("first", "second", "team"), [([], [3, 1], 1), ([3, 1], [], 0)])
def test_against_nothing_the_other_has_every_place(
    first: list[int], second: list[int], team: int
) -> None:
    picks = team_draft(first, second, n_wanted=5, random=coins())
    assert picks == [Pick(team, 0), Pick(team, 1)]
    assert team_draft([], [], n_wanted=5, random=coins()) == []


def test_the_same_coins_make_the_same_list() -> None:
    lists = list(range(8)), list(range(4, 12))
    once = team_draft(*lists, n_wanted=8, random=coins(5))
    assert once == team_draft(*lists, n_wanted=8, random=coins(5))
    assert any(once != team_draft(*lists, n_wanted=8, random=coins(seed)) for seed in range(6, 12))
