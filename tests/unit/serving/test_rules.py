"""Rules: every part of a condition and of a target, and what can't be a rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.online.rule_sets import product_sets
from recommender.engine.online.rules import Does, Effect, combine, settle
from recommender.selectors.serving_settings import RuleSettings, SegmentSettings
from recommender.serving.context import Context
from recommender.serving.rule_compile import target_mask
from recommender.serving.rule_index import ServingRules, rules_compile
from recommender.serving.rules import (
    InvalidRuleError,
    Target,
    rule_json,
    rule_parse,
)
from tests.unit.serving.requests import context_on
from tests.unit.serving.test_snapshot import DAY_S, NOON_S, row, snapshot

SHOT = snapshot(
    row(
        1,
        category_path="Tea > Green",
        brand="Leaf",
        price_minor=1000,
        stock_count=5,
        margin_minor=300,
        tags=["New"],
        attributes='{"Colour": "Green", "organic": true, "gtin": "123"}',
        published_at_s=NOON_S - 3 * DAY_S,
    ),
    row(
        2,
        category_path="Tea > Black",
        brand="Pot",
        price_minor=1200,
        stock_count=50,
        margin_minor=120,
        attributes='{"Colour": ["Red", "Black"], "weight": 250}',
        published_at_s=NOON_S - 90 * DAY_S,
        availability="preorder",
    ),
    row(3, category_path="Cups", brand="Pot", price_minor=800, tags=["new", "gift"]),
    row(4, price_minor=None),
)
# A Monday.
MONDAY_NOON = NOON_S


def test_monday_is_one() -> None:
    assert datetime.fromtimestamp(NOON_S, UTC).isoweekday() == 1


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ({"categories": ["Tea"]}, [0, 1]),
        ({"categories": ["Tea > Black", "Cups"]}, [1, 2]),
        ({"categories": ["Te"]}, []),
        ({"brands": ["Pot"]}, [1, 2]),
        ({"brands": ["Leaf", "Pot", "Gone"]}, [0, 1, 2]),
        ({"tags": ["NEW"]}, [0, 2]),
        ({"tags": ["gift", "gone"]}, [2]),
        ({"attributes": {"colour": ["green"]}}, [0]),
        ({"attributes": {"colour": ["black", "green"]}}, [0, 1]),
        ({"attributes": {"organic": ["yes"]}}, [0]),
        ({"attributes": {"weight": ["250"]}}, [1]),
        ({"attributes": {"gtin": ["123"]}}, []),
        ({"attributes": {"colour": ["red"], "weight": ["251"]}}, []),
        ({"product_ids": ["e4", "e1", "gone"]}, [0, 3]),
        ({"availability": ["preorder"]}, [1]),
        ({"availability": ["in_stock", "preorder"]}, [0, 1, 2, 3]),
        ({"price_from_minor": 1000}, [0, 1]),
        ({"price_until_minor": 1000}, [0, 2]),
        ({"stock_from": 5}, [0, 1]),
        ({"stock_until": 5}, [0]),
        ({"margin_from_percent": 10}, [0, 1]),
        ({"margin_until_percent": 29.9}, [1]),
        ({"age_until_days": 3}, [0]),
        ({"age_from_days": 3}, [0, 1]),
        ({"brands": ["Pot"], "tags": ["new"]}, [2]),
    ],
)
def test_a_target_means(target: dict[str, Any], meant: list[int]) -> None:
    parsed = rule_parse({"action": {"type": "exclude"}, "target": target}).target
    assert target_mask(parsed, SHOT, now_s=NOON_S).nonzero()[0].tolist() == meant


def test_sets_of_tags_and_attributes_are_shared_and_follow_a_change() -> None:
    shot = snapshot(row(1, tags=["a", "b"]), row(2, tags=["b", "a"]), row(3))
    assert shot.facet_sets.tolist() == [1, 1, 0]
    parsed = Target(tags=("b",))
    assert target_mask(parsed, shot, now_s=0).tolist() == [True, True, False]


def compiled(*documents: dict[str, Any], **dates: Any) -> ServingRules:
    rules = rules_compile(
        [RuleSettings(n + 1, f"Rule {n}", each, **dates) for n, each in enumerate(documents)],
        [SegmentSettings("phones", "Phones", {"type": "device", "devices": ["mobile"]})],
        SHOT,
        placements=["here", "there"],
        time_zone="Europe/Berlin",
        now_s=NOON_S,
    )
    assert rules is not None
    assert not rules.problems
    return rules


def context(page: list[int] | None = None, *, category: str | None = None, now_s: int = NOON_S,
            **request: Any) -> Context:  # fmt: skip
    return context_on(SHOT, page or [], category, now_s=now_s, **request)


def counts(rules: ServingRules, here: Context, slug: str = "here", page: str = "product") -> bool:
    return rules.active(here, slug=slug, page_type=page) is not None


def only_if(**condition: Any) -> ServingRules:
    return compiled(
        {"action": {"type": "exclude"}, "target": {"product_ids": ["e1"]}, "condition": condition}
    )


@pytest.mark.parametrize(
    ("viewed", "pages"),
    [
        ({"categories": ["Tea"]}, [0, 1]),
        ({"categories": ["Cups", "Tea > Green"]}, [0, 2]),
        ({"brands": ["Pot"]}, [1, 2]),
        ({"tags": ["new"]}, [0, 2]),
        ({"attributes": {"colour": ["Red"]}}, [1]),
        ({"price_from_minor": 1000}, [0, 1]),
        ({"price_until_minor": 1000}, [0, 2]),
        ({"brands": ["Pot"], "categories": ["Tea"]}, [1]),
    ],
)
def test_a_rule_counts_by_what_is_in_view(viewed: dict[str, Any], pages: list[int]) -> None:
    rules = only_if(viewed=viewed)
    assert [page for page in range(4) if counts(rules, context([page]))] == pages
    assert not counts(rules, context())


def test_a_category_page_counts_as_its_category() -> None:
    rules = only_if(viewed={"categories": ["Tea"]})
    assert counts(rules, context(category="Tea > Green"))
    assert not counts(rules, context(category="Teapots"))


def test_placement_page_device_locale_and_segment() -> None:
    assert [
        counts(only_if(placements=["here"]), context(), slug) for slug in ("here", "there")
    ] == [
        True,
        False,
    ]
    assert [counts(only_if(page_types=["home"]), context(), page=page) for page in ("home", "cart")] == [
        True,
        False,
    ]  # fmt: skip
    for rules in (only_if(devices=["mobile"]), only_if(segments=["phones"])):
        assert counts(rules, context(device="mobile"))
        assert not counts(rules, context(device="desktop"))
        assert not counts(rules, context())
    rules = only_if(locales=["de", "fr-CH"])
    asked = ("de", "de-AT", "DE_de", "den", "fr", "fr-ch", None)
    assert [counts(rules, context(locale=locale)) for locale in asked] == [
        True, True, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "hours"),
    [
        ({"from_time": "13:00", "until_time": "14:00"}, [13]),
        ({"from_time": "22:00", "until_time": "02:00"}, [0, 1, 22, 23]),
        ({"until_time": "01:00"}, [0]),
        ({"from_time": "23:00"}, [23]),
        ({"weekdays": [1]}, list(range(24))),
        ({"weekdays": [2, 7]}, []),
    ],
)
def test_hours_and_weekdays_are_those_of_the_store(
    condition: dict[str, Any], hours: list[int]
) -> None:
    """Berlin is one hour ahead in March."""
    rules = only_if(**condition)
    midnight = NOON_S - 13 * 3600
    found = [h for h in range(24) if counts(rules, context(now_s=midnight + h * 3600))]
    assert found == hours


def test_dates_hold_from_the_first_second_to_before_the_last() -> None:
    rules = compiled(
        {"action": {"type": "exclude"}, "target": {"brands": ["Pot"]}},
        starts_s=NOON_S,
        ends_s=NOON_S + 60,
    )
    for moment, expected in ((-1, False), (0, True), (59, True), (60, False), (-1, False)):
        assert counts(rules, context(now_s=NOON_S + moment)) is expected


def test_ages_are_looked_at_again_after_an_hour() -> None:
    rules = compiled({"action": {"type": "exclude"}, "target": {"age_until_days": 3}})
    assert not rules.is_stale(NOON_S + 3_599)
    assert rules.is_stale(NOON_S + 3_600)
    assert not compiled({"action": {"type": "exclude"}, "target": {"brands": ["Pot"]}}).is_stale(
        NOON_S + DAY_S
    )


def test_comparisons_are_made_on_the_candidates_and_only_where_something_is_in_view() -> None:
    def left(target: dict[str, Any], page: list[int], action: str = "include_only") -> list[int]:
        rules = compiled({"action": {"type": action}, "target": target})
        here = context(page)
        here.rules = rules.active(here, slug="here", page_type="product")
        rows = np.arange(3, dtype=np.int32)
        found: list[int] = rows[here.allowed(rows)].tolist()
        return found

    assert left({"same_brand": True}, [1]) == [1, 2]
    assert left({"same_brand": True}, [1], "exclude") == [0]
    assert left({"same_category": True}, [1]) == [1]
    assert left({"price_within_percent": 20}, [0]) == [0, 1, 2]
    assert left({"price_within_percent": 19.9}, [0]) == [0]
    assert left({"compared": "dearer"}, [0]) == [1]
    assert left({"compared": "cheaper", "brands": ["Pot"]}, [0]) == [2]
    assert left({"compared": "cheaper"}, []) == [0, 1, 2]
    assert left({"compared": "cheaper"}, [3]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "action"),
        ({"action": {"type": "boost", "factor": 11}, "target": {"tags": ["a"]}}, "10.0"),
        ({"action": {"type": "boost", "factor": 1}, "target": {"tags": ["a"]}}, "1.1"),
        ({"action": {"type": "exclude"}}, "which products"),
        ({"action": {"type": "pin", "product_ids": []}}, "length >= 1"),
        ({"action": {"type": "pin", "product_ids": ["a"]}, "target": {"tags": ["a"]}}, "itself"),
        ({"action": {"type": "exclude"}, "target": {"tagz": ["a"]}}, "tagz"),
        ({"action": {"type": "exclude"}, "target": {"availability": ["sold"]}}, "sold"),
        (
            {"action": {"type": "exclude"}, "target": {"stock_from": 9, "stock_until": 1}},
            "nothing is between",
        ),
        (
            {
                "action": {"type": "exclude"},
                "target": {"tags": ["a"]},
                "condition": {"from_time": "25:00"},
            },
            "25:00",
        ),
        (
            {
                "action": {"type": "exclude"},
                "target": {"tags": ["a"]},
                "condition": {"weekdays": [8]},
            },
            "<= 7",
        ),
        (
            {
                "action": {"type": "exclude"},
                "target": {"same_brand": True},
                "guard": {"stop_when_stock_below": 1},
            },
            "guard",
        ),
        ({"schema": 2, "action": {"type": "exclude"}, "target": {"tags": ["a"]}}, "schema"),
        ("text", "object"),
    ],
)
def test_what_cannot_be_a_rule_says_why(document: Any, words: str) -> None:
    with pytest.raises(InvalidRuleError, match=words):
        rule_parse(document)


def test_a_stored_document_says_only_what_was_said() -> None:
    document = {"action": {"type": "boost", "factor": 2}, "target": {"tags": ["a"]}}
    stored = rule_json(rule_parse(document))
    assert stored == {**document, "schema": 1}
    assert rule_parse(stored) == rule_parse(document)


# -------------------------------------------------------------------------------------- engine


@given(
    fixed=st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.integers(0, 15), max_size=4, unique=True)),
        max_size=4,
    ),
    order=st.lists(st.integers(0, 15), unique=True, max_size=12),
    n_wanted=st.integers(0, 10),
)
def test_settling_loses_nobody_and_shows_nobody_twice(
    fixed: list[tuple[int, list[int]]], order: list[int], n_wanted: int
) -> None:
    settled = settle(fixed, order, n_wanted=n_wanted)
    assert len(settled) == len(set(settled)) <= n_wanted
    pinned = {each for _, rows in fixed for each in rows}
    others = [each for each in order if each not in pinned]
    assert [each for each in settled if each not in pinned] == others[: len(set(settled) - pinned)]
    if len(settled) < n_wanted:
        assert set(order) <= set(settled)


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.booleans(), min_size=9, max_size=9)), max_size=6)
)
def test_includes_and_excludes_combine_as_masks_do(rules: list[tuple[bool, list[bool]]]) -> None:
    eligible = np.array([True] * 8 + [False])
    effects = [
        Effect(Does.INCLUDE_ONLY if include else Does.EXCLUDE, np.packbits(np.array(mask)))
        for include, mask in rules
    ]
    expected = eligible.copy()
    for include, mask in rules:
        expected &= np.array(mask) if include else ~np.array(mask)
    sets = product_sets([effect.packed for effect in effects], n_items=9)
    combined = combine(effects, range(len(effects)), sets)
    allowed = eligible if combined.allowed is None else eligible & combined.allowed[sets.codes]
    np.testing.assert_array_equal(allowed, expected)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.1, 0.5, 2.0, 10.0]), st.lists(st.booleans(), min_size=9, max_size=9)
        ),
        max_size=8,
    )
)
def test_factors_multiply_up_to_a_hundred(rules: list[tuple[float, list[bool]]]) -> None:
    effects = [Effect(Does.SCALE, np.packbits(np.array(m)), factor=f) for f, m in rules]
    expected = np.ones(9)
    for factor, mask in rules:
        expected = np.where(mask, expected * factor, expected)
    expected = np.clip(expected, 0.01, 100)
    sets = product_sets([effect.packed for effect in effects], n_items=9)
    combined = combine(effects, range(len(effects)), sets)
    found = np.ones(9) if combined.factors is None else combined.factors[sets.codes]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    rows = np.array([8, 0, 3], np.int32)
    for effect, (_, mask) in zip(effects, rules, strict=True):
        assert effect.holds(rows).tolist() == [mask[8], mask[0], mask[3]]
