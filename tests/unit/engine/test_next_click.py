"""The next-click model: counts against dictionaries, the query against its written-out features."""

from dataclasses import fields, replace
from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.next_click import (
    fit_next_click,
    next_click_extend,
    next_click_model,
)
from recommender.engine.offline.next_click_counts import count_clicks, extend_counts, pair_keys
from recommender.engine.offline.next_click_lessons import (
    MAX_QUERIES_OF_SESSION,
    N_FEATURES,
    NEWEST_PART,
    REPEAT_PART,
    SECOND_PART,
    Lesson,
    candidate_features,
    lookups_of,
    publish,
    queries_of,
)
from recommender.engine.offline.next_click_prior import PRIOR_WEIGHTS
from recommender.engine.offline.next_click_tables import (
    LINKS,
    NextClickTables,
    link_tables,
    next_click_tables,
)
from recommender.engine.online.next_click import next_click
from recommender.engine.types import (
    CategoryLeaders,
    Neighbours,
    NextClickCounts,
    NextClickModel,
    Sessions,
)

N_ITEMS = 6
HALF_LIVES = np.array([50.0, 5.0, 20.0, 80.0])
CLICKS = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=6), min_size=1, max_size=8)
RUNNING = st.lists(st.integers(-1, N_ITEMS), min_size=1, max_size=12)


def sessions_of(clicks: list[list[int]], first_s: int = 0) -> Sessions:
    return Sessions(
        np.cumsum([0] + [len(items) for items in clicks]).astype(np.int64),
        np.array([item for items in clicks for item in items], np.int32),
        first_s + 10 * np.arange(len(clicks), dtype=np.int64),
    )


def counts_of(clicks: list[list[int]], now_s: int = 100, n_items: int = N_ITEMS) -> NextClickCounts:
    return count_clicks(sessions_of(clicks), n_items=n_items, now_s=now_s, half_lives_s=HALF_LIVES)


def model_of(clicks: list[list[int]], n_items: int = N_ITEMS) -> NextClickModel:
    return next_click_model(counts_of(clicks, n_items=n_items), PRIOR_WEIGHTS)


def counted(counts: NextClickCounts) -> dict[tuple[int, int], list[float]]:
    keys = pair_keys(counts, counts.n_items)
    return {
        divmod(key, counts.n_items): values
        for key, values in zip(keys.tolist(), counts.pair_counts.tolist(), strict=True)
    }


@given(clicks=CLICKS)
def test_counts_are_those_of_dictionaries(clicks: list[list[int]]) -> None:
    counts = counts_of(clicks)
    expected: dict[tuple[int, int], list[float]] = {}
    starts, ends = np.zeros(N_ITEMS), np.zeros(N_ITEMS)
    for number, items in enumerate(clicks):
        weight = 0.5 ** ((100 - 10 * number) / 50)
        for late, b in enumerate(items):
            for early, a in enumerate(items[:late]):
                entry = expected.setdefault((a, b), [0, 0, 0])
                entry[0] += weight * (late - early == 1)
                entry[1] += weight * 0.7 ** (late - early - 1)
                entry[2] += weight
        if items:
            starts[items[0]] += weight
            ends[items[-1]] += weight
    found = counted(counts)
    assert found.keys() == expected.keys()
    for pair, values in expected.items():
        assert found[pair] == pytest.approx(values, rel=1e-5)
    assert counts.item_counts[:, 1] == pytest.approx(starts, rel=1e-5)
    assert counts.item_counts[:, 2] == pytest.approx(ends, rel=1e-5)


def test_links_of_a_world_small_enough_for_a_pencil() -> None:
    # Without decay: 0 was followed by 1 twice and by 2 once, 2 came two steps after 0 once.
    clicks = [[0, 1, 2], [0, 1], [0, 2]]
    counts = count_clicks(sessions_of(clicks), n_items=3, now_s=20, half_lives_s=np.full(4, 1e12))
    keys, links = link_tables(counts)
    table = dict(zip(keys.tolist(), links.T.tolist(), strict=True))
    direct, forward, backward, together = table[0 * 3 + 1][:4]
    assert direct == pytest.approx(2 / (3 + 0.5))
    assert forward == pytest.approx(2 / (2 + 1 + 0.7 + 0.5))
    assert backward == 0
    assert table[1 * 3 + 0][2] == pytest.approx(2 / (2 + 0.5))
    assert together == pytest.approx(2 / np.sqrt((4 + 0.5) * (3 + 0.5)))
    # From 0 by 1 to 2, and there is no second way: 0 -> 2 itself is one hop.
    step = dict(zip(keys.tolist(), links[1].tolist(), strict=True))
    assert table[0 * 3 + 2][5] == pytest.approx(step[1] * step[5], rel=1e-5)


@given(old=CLICKS, new=CLICKS)
def test_sessions_that_join_count_like_sessions_that_were_there_from_the_start(
    old: list[list[int]], new: list[list[int]]
) -> None:
    shifted = [[item + 2 for item in items] for items in new]
    grown = extend_counts(
        counts_of(old, now_s=10 * len(old)),
        sessions_of(shifted, first_s=10 * len(old)),
        n_items=N_ITEMS + 2,
        now_s=300,
    )
    rebuilt = count_clicks(
        sessions_of(old + shifted), n_items=N_ITEMS + 2, now_s=300, half_lives_s=HALF_LIVES
    )
    assert grown.pair_offsets.tolist() == rebuilt.pair_offsets.tolist()
    assert grown.pair_items.tolist() == rebuilt.pair_items.tolist()
    assert grown.pair_counts == pytest.approx(rebuilt.pair_counts, rel=1e-4)
    assert grown.item_counts == pytest.approx(rebuilt.item_counts, rel=1e-4)
    if len(grown.pair_items):
        keys, links = link_tables(grown)
        expected_keys, expected = link_tables(rebuilt)
        assert keys.tolist() == expected_keys.tolist()
        assert links == pytest.approx(expected, rel=1e-3, abs=1e-6)


@given(clicks=CLICKS, running=RUNNING, exclude=st.booleans(), seed=st.integers(0, 9))
def test_the_query_ranks_by_the_features_that_the_weights_are_learned_from(
    clicks: list[list[int]], running: list[int], exclude: bool, seed: int
) -> None:
    weights = np.random.default_rng(seed).normal(size=PRIOR_WEIGHTS.shape).astype(np.float32)
    tables = next_click_tables(counts_of(clicks))
    model = publish(tables, weights)
    rows, features = candidate_features(tables, running)
    allowed = ~np.isin(rows, running) if exclude else np.ones(len(rows), np.bool_)
    scores = (features.astype(np.float64) @ weights[int(exclude)])[allowed]
    found = next_click(model, running, limit=99, exclude_session=exclude)
    if not len(scores):
        assert not len(found)
        return
    odds = np.exp(scores - scores.max())
    expected = dict(zip(rows[allowed].tolist(), (odds / odds.sum()).tolist(), strict=True))
    answer = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    for row, chance in expected.items():
        assert answer.get(row, 0.0) == pytest.approx(chance, rel=1e-2, abs=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    assert float(found.scores.sum()) == pytest.approx(1, abs=1e-3)
    assert set(found.because.tolist()) <= {-1, *(row for row in running if 0 <= row < N_ITEMS)}


@given(clicks=CLICKS, running=RUNNING, limit=st.integers(0, 4))
def test_the_session_itself_is_no_answer_where_it_is_excluded(
    clicks: list[list[int]], running: list[int], limit: int
) -> None:
    found = next_click(model_of(clicks), running, limit=limit, exclude_session=True)
    assert len(found) <= limit
    assert not set(found.rows.tolist()) & set(running)
    assert len(set(found.rows.tolist())) == len(found)


def features_by_hand(tables: NextClickTables, running: list[int]) -> dict[int, list[float]]:
    """Every feature, item by item, without anything that the fast path uses."""
    known = [row for row in running if 0 <= row < N_ITEMS]
    newest = list(dict.fromkeys(reversed(known)))
    links: dict[tuple[int, int], list[float]] = {}
    for a in range(N_ITEMS):
        for at in range(tables.offsets[a], tables.offsets[a + 1]):
            links[a, int(tables.partners[at])] = tables.logs[at].tolist()
    nothing = [0.0] * len(LINKS)
    vectors = tables.vectors.astype(np.float64)
    mean = sum((0.8**k * vectors[row] for k, row in enumerate(newest[:8])), vectors[0] * 0)
    mean = mean / (np.sqrt(mean @ mean) + 1e-9)
    named = {b for a, b in links if a in newest} | set(newest)
    few = sum(a in newest for a, _ in links) < 60
    out = {}
    for row in named | (set(tables.popular.tolist()) if few else set()):
        logs = links.get((newest[0], row), nothing)
        line: list[float] = [
            *logs,
            *(x * x / 7 for x in logs),
            *(logs[0] * x / 7 for x in logs[1:]),
        ]
        line += links.get((newest[1], row), nothing) if len(newest) > 1 else nothing
        older = [
            sum(
                0.7**age * links.get((item, row), nothing)[k]
                for age, item in enumerate(newest[2:8])
            )
            for k in range(len(LINKS))
        ]
        demand = tables.items[row].tolist()
        to_newest, to_all = vectors[row] @ vectors[newest[0]], vectors[row] @ mean
        line += [*older, *demand]
        line += [to_newest, to_all, 0.2 * np.exp(3 * to_all), max(to_all, 0) ** 2]
        line += repeats_by_hand(known, row)
        returning = [logs[0], logs[1], logs[4], demand[0], demand[2], to_newest, to_all]
        out[row] = line + (returning if row in newest else [0.0] * len(returning))
    return out


def repeats_by_hand(known: list[int], row: int) -> list[float]:
    if row not in known:
        return [0.0] * 18
    back, last = known[::-1].index(row), known[-1]
    share = 1 - len(set(known)) / len(known)
    pairs = list(pairwise(known))
    doubled = len(known) > 1 and known[-2] == last
    line = [
        *(float(min(back, 4) == place) for place in range(5)),
        1 / (back + 1), back == len(known) - 1, log(known.count(row)), log(len(known)), share,
        share > 0, len(known) == 1, (last, row) in pairs, (row, last) in pairs, doubled,
        doubled and row == last, share * (row == last), log(len(known)) * (row == last),
    ]  # fmt: skip
    return [float(value) for value in line]


@given(clicks=CLICKS, running=RUNNING)
def test_features_are_those_of_a_loop_over_dictionaries(
    clicks: list[list[int]], running: list[int]
) -> None:
    tables = next_click_tables(counts_of(clicks))
    rows, features = candidate_features(tables, running)
    if not any(0 <= row < N_ITEMS for row in running):
        assert not len(rows)
        return
    expected = features_by_hand(tables, running)
    assert sorted(rows.tolist()) == sorted(expected)
    for row, line in zip(rows.tolist(), features.tolist(), strict=True):
        assert line == pytest.approx(expected[row], rel=1e-3, abs=1e-4), row


@given(clicks=CLICKS, wanted=st.sets(st.integers(0, N_ITEMS - 1)))
def test_tables_of_some_items_are_those_of_all_items(
    clicks: list[list[int]], wanted: set[int]
) -> None:
    counts = counts_of(clicks)
    every = next_click_tables(counts)
    some = next_click_tables(counts, rows=np.array(sorted(wanted), np.int64))
    for a in range(N_ITEMS):
        mine = slice(some.offsets[a], some.offsets[a + 1])
        theirs = slice(every.offsets[a], every.offsets[a + 1] if a in wanted else every.offsets[a])
        assert some.partners[mine].tolist() == every.partners[theirs].tolist()
        assert some.logs[mine] == pytest.approx(every.logs[theirs])


def test_features_tell_the_newest_item_from_the_one_before() -> None:
    rows, features = candidate_features(next_click_tables(counts_of([[0, 1], [2, 3]])), [0, 2])
    newest, second = features[:, NEWEST_PART], features[:, SECOND_PART]
    assert newest[rows == 3, 0] > 0
    assert second[rows == 3, 0] == 0
    assert second[rows == 1, 0] > 0
    assert newest[rows == 1, 0] == 0


def test_a_giant_order_asks_no_more_questions_than_a_long_session() -> None:
    sessions = sessions_of([[*range(500)], [0, 1, 2], [0]])
    asked = queries_of(sessions, 0)
    assert sum(end < 500 for _, end in asked) == MAX_QUERIES_OF_SESSION
    assert [(start, end) for start, end in asked if end >= 500] == [(500, 501), (500, 502)]


def test_the_lines_that_lessons_read_are_all_made() -> None:
    sessions = sessions_of([[*range(30)], [40, 41]])
    read = set(lookups_of(sessions, 3).tolist())
    for start, end in queries_of(sessions, 3):
        assert set(sessions.item_rows[max(start, end - 8) : end].tolist()) <= read


def test_a_sample_of_the_rivals_counts_for_all_of_them() -> None:
    features = np.zeros((500, N_FEATURES), np.float32)
    features[:, 0] = np.arange(500)
    features[3, REPEAT_PART.start] = 1
    weights = np.zeros(N_FEATURES, np.float32)
    weights[0] = 1
    lesson = Lesson(0)
    lesson.add(features, np.arange(500) == 7, weights)
    kept, shares = lesson.features[0][:, 0], lesson.shares[0]
    assert np.exp(shares).sum() == pytest.approx(500, rel=1e-4)
    certain = kept[shares == 0].tolist()
    assert {3, 7, *range(440, 500)} == set(certain)
    assert kept[lesson.answers[0]] == 7


@pytest.fixture(scope="module")
def chain() -> NextClickModel:
    """Twenty items; whoever looks at item i looks at item i + 1 next, four times out of five."""
    rng = np.random.default_rng(5)
    clicks = []
    for _ in range(400):
        item = int(rng.integers(20))
        items = [item]
        for _ in range(int(rng.integers(1, 6))):
            item = (item + 1) % 20 if rng.random() < 0.8 else int(rng.integers(20))
            items.append(item)
        clicks.append(items)
    _, model = fit_next_click(sessions_of(clicks), n_items=20)
    return model


def test_the_planted_next_item_is_found(chain: NextClickModel) -> None:
    for item in range(20):
        for excluded in (False, True):
            found = next_click(chain, [(item + 9) % 20, item], limit=1, exclude_session=excluded)
            assert found.rows.tolist() == [(item + 1) % 20]
            assert found.because.tolist() == [item]


def test_shoppers_who_always_return_teach_that_repeats_are_right() -> None:
    clicks = [[a, b, a, b, a] for a in range(8) for b in range(8) if a != b] * 3
    _, model = fit_next_click(sessions_of(clicks), n_items=8)
    assert next_click(model, [6, 2, 6], limit=1).rows.tolist() == [2]
    assert 2 not in next_click(model, [6, 2, 6], limit=5, exclude_session=True).rows


def test_the_answer_is_the_same_every_time(chain: NextClickModel) -> None:
    _, again = fit_next_click(sessions_of([[0, 1, 2]] * 30), n_items=3)
    _, other = fit_next_click(sessions_of([[0, 1, 2]] * 30), n_items=3)
    for field in fields(NextClickModel):
        assert np.array_equal(getattr(again, field.name), getattr(other, field.name)), field.name
    first, second = (next_click(chain, [3, 7, 3], limit=9) for _ in range(2))
    assert first.rows.tolist() == second.rows.tolist()


@pytest.mark.parametrize("running", [[], [-1], [N_ITEMS], [-1, 99]])
def test_a_session_of_which_nothing_is_known_has_no_answer(running: list[int]) -> None:
    assert len(next_click(model_of([[0, 1]]), running, limit=5)) == 0


def test_an_item_that_was_never_clicked_is_answered_with_what_is_popular() -> None:
    found = next_click(model_of([[0, 1, 0], [0, 2]]), [5], limit=3, exclude_session=True)
    assert sorted(found.rows.tolist()) == [0, 1, 2]
    assert found.because.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("clicks", [[], [[]], [[3]], [[3], [3, 3]]])
def test_a_shop_that_has_only_just_opened_can_be_fitted(clicks: list[list[int]]) -> None:
    counts, model = fit_next_click(sessions_of(clicks), n_items=N_ITEMS)
    assert counts.n_items == model.n_items == N_ITEMS
    assert all(np.isfinite(getattr(model, field.name)).all() for field in fields(model))
    assert set(next_click(model, [3], limit=5).rows.tolist()) <= {3}


def test_few_sessions_leave_the_weights_near_the_prior() -> None:
    _, few = fit_next_click(sessions_of([[0, 1, 2]] * 4), n_items=3)
    assert few.weights == pytest.approx(PRIOR_WEIGHTS, abs=0.2)


def test_a_very_long_session_is_answered_without_any_of_its_items() -> None:
    model = model_of([[i, (i + 1) % 300] for i in range(300)], n_items=300)
    running = list(range(290)) * 3
    found = next_click(model, running, limit=20, exclude_session=True)
    assert not set(found.rows.tolist()) & set(running)
    assert 290 in found.rows


def test_new_sessions_bring_new_items_into_the_answer() -> None:
    counts, model = fit_next_click(sessions_of([[0, 1], [1, 2]] * 10), n_items=3)
    later = sessions_of([[0, 3]] * 30, first_s=1000)
    counts, grown = next_click_extend(counts, model, later, n_items=4, now_s=1300)
    assert next_click(grown, [0], limit=1, exclude_session=True).rows.tolist() == [3]
    assert grown.weights.tolist() == model.weights.tolist()
    assert model.n_items == 3  # what was published before is untouched
    with pytest.raises(InvalidInputError, match="before the counts"):
        next_click_extend(counts, grown, later, n_items=4, now_s=1299)
    with pytest.raises(InvalidInputError, match="shrink"):
        next_click_extend(counts, grown, later, n_items=3, now_s=1400)


def test_a_model_from_read_only_files_answers_alike(chain: NextClickModel, tmp_path: Path) -> None:
    mapped = {}
    for field in fields(NextClickModel):
        path = tmp_path / f"{field.name}.npy"
        np.save(path, getattr(chain, field.name))
        mapped[field.name] = np.load(path, mmap_mode="r")
    found = next_click(NextClickModel(**mapped), [4, 5], limit=6)
    expected = next_click(chain, [4, 5], limit=6)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.scores == pytest.approx(expected.scores, rel=1e-5)


def test_input_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="catalog of 2"):
        count_clicks(sessions_of([[0, 2]]), n_items=2, now_s=0)
    later_first = replace(sessions_of([[0], [1]]), times_s=np.array([9, 3]))
    with pytest.raises(InvalidInputError, match="ordered"):
        fit_next_click(later_first, n_items=2)


CONTENT = Neighbours(
    np.array([[1, 2], [0, 2], [0, 1], [0, 1], [5, 3], [4, -1], [4, 0]], np.int32),
    np.array([[0.9, 0.1], [0.9, 0.2], [0.3, 0.2], [0.2, 0.1], [0.9, 0.3], [0.8, 0], [0.9, 0.1]],
             np.float32),
)  # fmt: skip
CATEGORIES = CategoryLeaders(
    codes=np.array([0, 0, 0, 1, 1, 1, 1], np.int32),
    offsets=np.array([0, 2, 4]),
    rows=np.array([0, 1, 3, 5], np.int32),
)


def test_content_answers_for_a_product_that_the_model_has_never_heard_of() -> None:
    model = model_of([[0, 1], [1, 2]])
    found = next_click(model, [6], limit=9, exclude_session=True, content=CONTENT)
    assert found.rows.tolist() == [4, 0]
    assert found.because.tolist() == [6, 6]
    found = next_click(model, [6], limit=9, exclude_session=True, categories=CATEGORIES)
    assert found.rows.tolist() == [3, 5]
    found = next_click(
        model, [6], limit=9, exclude_session=True, content=CONTENT, categories=CATEGORIES
    )
    assert found.rows.tolist() == [4, 3, 5, 0]
    assert float(found.scores.sum()) == pytest.approx(1)


def test_help_never_brings_back_what_is_excluded() -> None:
    model = model_of([[0, 1], [1, 2]])
    found = next_click(
        model, [4, 6], limit=9, exclude_session=True, content=CONTENT, categories=CATEGORIES
    )
    assert not {4, 6} & set(found.rows.tolist())
    assert 5 in found.rows


def test_help_stays_behind_what_the_tables_know() -> None:
    clicks = [[0, 1], [1, 2]]
    found = next_click(model_of(clicks), [4, 0], limit=9, exclude_session=True, content=CONTENT)
    assert found.rows.tolist()[0] == 1
    assert {5, 3} <= set(found.rows.tolist())
    assert float(found.scores.sum()) == pytest.approx(1, abs=1e-3)


def test_items_with_partners_enough_need_no_help() -> None:
    clicks = [[0, item] for item in range(1, 6)] * 2
    model = model_of(clicks)
    helped = next_click(model, [0], limit=9, content=CONTENT, categories=CATEGORIES)
    assert helped.rows.tolist() == next_click(model, [0], limit=9).rows.tolist()
