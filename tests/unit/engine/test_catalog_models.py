"""Texts, content neighbours, popularity, repeats and histories."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline import content_neighbours
from recommender.engine.offline.content_neighbours import (
    extend_content_neighbours,
    fit_content_neighbours,
    nearest,
)
from recommender.engine.offline.content_vectors import fit_content_vectors
from recommender.engine.offline.content_words import fit_word_neighbours
from recommender.engine.offline.popularity import category_leaders, decayed_counts, rising_scores
from recommender.engine.offline.repeat import constant_repeat, fit_repeat
from recommender.engine.offline.shopper_history import build_shopper_history
from recommender.engine.offline.text import product_tokens, tokenise

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("– / !", []),
        ("Straße CAFÉ", ["strasse", "cafe"]),
        ("1,5 L 2.5kg 3 for 10", ["1.5l", "2.5kg", "3", "for", "10"]),
        ("Levi\u2019s kids' jeans", ["levis", "kids", "jeans"]),
        ("绿", ["绿"]),
        ("绿茶杯abc", ["绿茶", "茶杯", "abc"]),
        (
            "北欧风陶瓷马克杯 500ML",
            ["北欧", "风陶", "陶瓷", "马克", "马克杯", "500ml"],
        ),
        ("男士休闲运动鞋1.8m", ["男士", "休闲", "运动", "运动鞋", "1.8m"]),
        ("陶器のマグカップ 500ml", ["陶器", "マグカップ", "500ml"]),
        ("メンズ ランニングシューズ", ["メンズ", "ランニング", "シューズ"]),
        ("チョコレート・ケーキ", ["チョコレート", "ケーキ"]),
        # The katakana middle dot stands in Chinese names, too.
        ("约翰・史密斯运动鞋", ["约翰", "密斯", "史密斯", "运动", "运动鞋"]),
        ("กาแฟ", ["กา", "าแ", "แฟ"]),
        ("Ёлка ёж", ["елка", "еж"]),
        ("한국 김치", ["한국", "김치"]),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_any_language_becomes_tokens(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens


@given(st.text(max_size=40))
def test_no_text_breaks_the_tokens_and_none_is_empty(text: str) -> None:
    assert all(tokenise(text))


def test_a_brand_is_not_the_fruit_of_the_same_name() -> None:
    tokens = product_tokens("Apple juice", brand="Apple", attributes={"size": "1 L", "x": ""})
    assert tokens == ["apple", "juice", "brand=apple", "size=1l"]
    assert product_tokens("") == []


TEA = [
    [a, b, "tea", c] for a in ("green", "black", "white") for b in ("leaf", "bag") for c in "xyz"
]
TOOLS = [
    [a, b, "box", c] for a in ("steel", "brass", "iron") for b in ("nail", "bolt") for c in "uvw"
]


def test_products_of_a_kind_are_near_each_other_and_new_ones_find_them() -> None:
    texts = [*TEA, *TOOLS, []]
    model, vectors = fit_content_vectors(texts, dimensions=8, seed=3)
    assert not vectors[-1].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:-1], axis=1), 1, atol=1e-5)
    assert (model.embed(texts) == vectors).all()
    new = model.embed([["brass", "nail", "xl"], ["unheard", "of"]])
    assert not new[1].any()
    cosines = vectors[:36] @ new[0]
    assert cosines[18:].min() > cosines[:18].max()
    _, again = fit_content_vectors(texts, dimensions=8, seed=3)
    assert (again == vectors).all()


def test_a_catalog_without_words_is_refused() -> None:
    with pytest.raises(EmptyInputError):
        fit_content_vectors([[], []])


def test_the_baseline_finds_shared_rare_words() -> None:
    found = fit_word_neighbours([["a", "x"], ["b", "x"], ["b", "y"], ["y", "b"], []], k=1)
    assert found.indices.tolist() == [[1], [0], [3], [2], [-1]]
    assert fit_word_neighbours([[], []], k=1).indices.tolist() == [[-1], [-1]]


@settings(deadline=None)
@given(seed=st.integers(0, 9999), k=st.integers(1, 9), shown=st.integers(1, 3))
def test_content_neighbours_are_those_of_a_full_sort(seed: int, k: int, shown: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((9, 4)).astype(np.float32)
    distinct /= np.linalg.norm(distinct, axis=1)[:, None]
    distinct[0] = 0
    which = rng.integers(0, 9, 20)
    vectors = distinct[which]
    priority = rng.permutation(20)
    found = fit_content_neighbours(vectors, k=k, priority=priority, max_per_variation=shown)
    for i in range(20):
        expected: list[int] = []
        if which[i]:
            near = [v for v in range(1, 9) if v == which[i] or distinct[v] @ distinct[which[i]] > 0]
            near.sort(key=lambda v: (v != which[i], -float(distinct[v] @ distinct[which[i]])))
            for v in near:
                members = [j for j in np.argsort(-priority) if which[j] == v and j != i]
                expected += members[:shown]
        assert [j for j in found.indices[i] if j >= 0] == expected[:k]


@settings(deadline=None)
@given(
    seed=st.integers(0, 9999),
    k=st.integers(1, 9),
    shown=st.integers(1, 3),
    n_before=st.integers(0, 20),
    n_moved=st.integers(0, 3),
)
def test_lists_that_are_extended_are_those_of_all_vectors_at_once(
    seed: int, k: int, shown: int, n_before: int, n_moved: int
) -> None:
    rng = np.random.default_rng(seed)
    # Few distinct ones, so that products join and leave variations; the zero vector among them.
    distinct = rng.standard_normal((9, 4)).astype(np.float32)
    distinct /= np.linalg.norm(distinct, axis=1)[:, None]
    distinct[0] = 0
    vectors = distinct[rng.integers(0, 9, 20)]
    priority = rng.permutation(20)
    before = fit_content_neighbours(
        vectors[:n_before], k=k, priority=priority[:n_before], max_per_variation=shown
    )
    moved = rng.permutation(n_before)[:n_moved]
    vectors[moved] = distinct[rng.integers(0, 9, len(moved))]
    grown = extend_content_neighbours(
        before,
        vectors,
        [*moved.tolist(), *range(n_before, 20)],
        priority=priority,
        max_per_variation=shown,
    )
    whole = fit_content_neighbours(vectors, k=k, priority=priority, max_per_variation=shown)
    np.testing.assert_array_equal(grown.indices, whole.indices)
    np.testing.assert_allclose(grown.scores, whole.scores, atol=1e-6)


def test_blocks_of_columns_lose_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    whole = fit_content_neighbours(vectors, k=4)
    monkeypatch.setattr(content_neighbours, "COLUMNS_PER_BLOCK", 16)
    monkeypatch.setattr(content_neighbours, "ROWS_PER_BLOCK", 7)
    assert fit_content_neighbours(vectors, k=4).indices.tolist() == whole.indices.tolist()
    alone = nearest(vectors, vectors[:3], k=4, exclude=[0, 1, 2])
    assert alone.indices.tolist() == whole.indices[:3].tolist()


def test_counts_age_and_a_shopper_can_count_once() -> None:
    times = [0, 10 * DAY, 10 * DAY, 10 * DAY + 1, 10 * DAY]
    items, shoppers = [0, 0, 0, 0, -1], [1, 2, 2, -1, 1]
    now = {"now_s": 10 * DAY, "n_items": 2}
    assert decayed_counts(items, times, half_life_days=10, **now).tolist() == [3.5, 0]
    once = decayed_counts(items, times, half_life_days=10, shopper_rows=shoppers, **now)
    assert once.tolist() == [2.5, 0]
    a_day = decayed_counts(
        [0, 0, 0], [0, 5, DAY], half_life_days=None, shopper_rows=[1, 1, 1], once_per_days=1, **now
    )
    assert a_day.tolist() == [2, 0]
    assert decayed_counts([0], [0], [-2.0], half_life_days=None, **now).tolist() == [-2, 0]
    with pytest.raises(InvalidInputError, match="outside"):
        decayed_counts([2], [0], half_life_days=1, **now)


def test_trending_is_a_rise_and_not_what_always_sells() -> None:
    usual = np.array([1000, 100, 2, 0, 0], np.float32)
    short = np.array([200, 20, 12, 9, 1], np.float32)
    scores = rising_scores(short, usual)
    assert np.argsort(-scores)[:2].tolist() == [2, 3]
    assert scores[4] == 0
    # The whole shop selling twice as much is no trend.
    np.testing.assert_allclose(rising_scores(usual * 2, usual), 0, atol=1e-6)
    assert not rising_scores(short, np.zeros(5, np.float32)).any()
    expected = 2 * 242 / 1102
    assert scores[2] == pytest.approx((12 - expected) / (5 + expected + 0.05 * expected**2) ** 0.5)


@given(
    lines=st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 5)), max_size=15),
    at_most=st.integers(0, 4),
)
def test_category_leaders_are_the_best_of_each_category(
    lines: list[tuple[int, int]], at_most: int
) -> None:
    codes = np.array([code for code, _ in lines], np.int32)
    scores = np.array([score for _, score in lines], np.float32)
    offsets, rows = category_leaders(scores, codes, per_category=at_most)
    for code in range(len(offsets) - 1):
        mine = [i for i in range(len(lines)) if codes[i] == code and scores[i] > 0]
        best = sorted(mine, key=lambda i: (-scores[i], i))[:at_most]
        assert rows[offsets[code] : offsets[code + 1]].tolist() == best


def test_repeat_intervals_are_shrunk_geometric_means() -> None:
    # Shopper 0 buys item 0 on days 0, 4 and 20: gaps 4 and 16. Shopper 1 buys it once.
    model = fit_repeat(
        [0, 0, 0, 1, -1], [0, 0, 0, 0, 0], [20 * DAY, 0, 4 * DAY, 0, 9], n_items=2,
        prior_gaps=1, prior_buyers=1,
    )  # fmt: skip
    assert model.interval_days.round(3).tolist() == [8, 8]
    assert model.repeat_probability.round(3).tolist() == [0.5, 0.5]
    far = fit_repeat(
        [0, 0, 1, 1], [0, 0, 1, 1], [0, 4 * DAY, 0, 64 * DAY], n_items=2, prior_gaps=1e-9,
    )  # fmt: skip
    assert far.interval_days.round(2).tolist() == [4, 64]


def test_an_item_without_repeats_takes_those_of_its_category() -> None:
    model = fit_repeat(
        [0, 0, 1, 1], [0, 0, 1, 1], [0, 4 * DAY, 0, 64 * DAY], n_items=4,
        category_codes=[5, 6, 5, -1], prior_gaps=0.01,
    )  # fmt: skip
    assert abs(model.interval_days[2] - 4) < 0.5
    assert 4 < model.interval_days[3] < 64


def test_two_lines_of_one_day_are_one_purchase_and_nothing_is_no_error() -> None:
    model = fit_repeat([0, 0], [0, 0], [0, DAY // 2], n_items=1)
    assert model.repeat_probability.tolist() == [0]
    assert model.interval_days.tolist() == pytest.approx([30])
    assert fit_repeat([], [], [], n_items=2).interval_days.tolist() == pytest.approx([30, 30])
    assert constant_repeat(2, interval_days=7).interval_days.tolist() == [7, 7]


@given(
    st.lists(
        st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.integers(0, 50), st.booleans()),
        max_size=20,
    )
)
def test_a_history_has_one_line_per_shopper_and_item(
    events: list[tuple[int, int, int, bool]],
) -> None:
    shoppers, items, times, bought = zip(*events, strict=True) if events else ((), (), (), ())
    history = build_shopper_history(
        shoppers, items, times, [2.0] * len(events), is_purchase=bought, n_shoppers=4
    )
    for shopper in range(4):
        mine = slice(*history.offsets[shopper : shopper + 2])
        expected = sorted({i for s, i, _, _ in events if s == shopper and i >= 0})
        assert history.item_rows[mine].tolist() == expected
        for place, item in zip(range(mine.start, mine.stop), expected, strict=True):
            lines = [(t, b) for s, i, t, b in events if (s, i) == (shopper, item)]
            dated = [t for t, b in lines if b] or [t for t, _ in lines]
            assert history.last_at_s[place] == max(dated)
            assert history.counts[place] == sum(b for _, b in lines)
            assert history.weights[place] == 2 * len(lines)
