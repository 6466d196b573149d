"""The document of a strategy: old ones stay readable, differences are said in words."""

from __future__ import annotations

from typing import Any

import pytest

from recommender.serving.sources import SOURCES
from recommender.serving.strategy import (
    FALLBACK_NAMES,
    SOURCE_NAMES,
    InvalidStrategyError,
    ServingStrategy,
    strategy_digest,
    strategy_parse,
)
from recommender.serving.strategy_changes import strategy_changes

OLD: dict[str, Any] = {
    "sources": [{"source": "trending", "weight": 1}, {"source": "for_you", "weight": 0.3}],
    "diversity": 0.2,
    "max_per_brand": 2,
    "max_per_category": None,
    "category": "any",
    "exclude": {"in_cart": True, "purchased": True, "viewed": False},
    "fallback": ["trending", "bestsellers"],
}


def document(**fields: Any) -> dict[str, Any]:
    return {"sources": [{"source": "similar_content", "weight": 1}], **fields}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return strategy_changes(strategy_parse(before), strategy_parse(after))


def test_a_document_from_before_these_fields_means_and_is_the_same() -> None:
    parsed = strategy_parse(OLD)
    assert (parsed.price_band.kind, parsed.prefer.kind) == ("none", "none")
    assert (parsed.exploration, parsed.minimum_relevance, parsed.handpicked) == (0, 0, ())
    # As it was stored with the version, before there were these fields.
    assert strategy_digest(parsed) == (
        "0d766392431b8b20ebcf72d3aa9f8a00155c6898f29751bd1dbdb769668ca40d"
    )


def test_what_a_new_field_says_is_part_of_the_digest() -> None:
    plain = strategy_digest(strategy_parse(document()))
    for field in (
        {"price_band": {"kind": "up", "percent": 20}},
        {"prefer": {"kind": "fresh"}},
        {"exploration": 0.1},
        {"minimum_relevance": 0.1},
        {"handpicked": ["a"]},
        {"blend": "learned"},
        {"blend": "reciprocal_rank"},
        {"explore_by": "bandit"},
    ):
        assert strategy_digest(strategy_parse(document(**field))) != plain


@pytest.mark.parametrize(
    "wrong",
    [
        {"exploration": 0.31},
        {"minimum_relevance": -0.1},
        {"price_band": {"kind": "around"}},
        {"price_band": {"kind": "up", "percent": 0}},
        {"price_band": {"kind": "down", "percent": 101}},
        {"prefer": {"kind": "fresh", "strength": 1.1}},
        {"handpicked": [""]},
        {"handpicked": [str(n) for n in range(101)]},
        {"sources": [{"source": "handpicked", "weight": 1}]},
        {"fallback": ["handpicked"]},
        {"explore_by": "magic"},
        {"no_such_field": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidStrategyError):
        strategy_parse(document(**wrong))


def test_every_source_and_fallback_is_one_that_serving_has() -> None:
    assert set(SOURCE_NAMES) == set(SOURCES)
    assert set(FALLBACK_NAMES) < set(SOURCES)


@pytest.mark.parametrize(
    ("fields", "same_for_everybody"),
    [
        ({}, True),
        ({"minimum_relevance": 0.5}, True),
        ({"exploration": 0.1}, False),
        ({"price_band": {"kind": "same"}}, False),
        ({"prefer": {"kind": "popular"}}, False),
        ({"blend": "reciprocal_rank"}, True),
        ({"blend": "learned"}, False),
    ],
)
def test_an_answer_is_kept_for_everybody_only_if_it_is_the_same_for_everybody(
    fields: dict[str, Any], same_for_everybody: bool
) -> None:
    assert ServingStrategy(1, strategy_parse(document(**fields))).contextual == same_for_everybody


def test_a_learned_blend_asks_each_source_once_in_one_order_whatever_the_document_s_is() -> None:
    sources = [
        {"source": "trending", "weight": 1},
        {"source": "also_viewed", "weight": 2},
        {"source": "trending", "weight": 0.5},
    ]
    learned = ServingStrategy(1, strategy_parse({"sources": sources, "blend": "learned"}))
    assert (learned.names, learned.weights) == (["also_viewed", "trending"], [2, 1.5])
    assert learned.needs_history
    assert learned.needs_events
    by_weights = ServingStrategy(1, strategy_parse({"sources": sources}))
    assert by_weights.names == ["trending", "also_viewed", "trending"]


def test_who_learns_whom_chance_draws_looks_at_history_and_events_only_if_there_is_chance() -> None:
    def strategy(**fields: Any) -> ServingStrategy:
        return ServingStrategy(1, strategy_parse(document(explore_by="bandit", **fields)))

    assert strategy(exploration=0.1).needs_history
    assert strategy(exploration=0.1).needs_events
    assert strategy().contextual
    assert not strategy().needs_history


def test_a_placement_may_leave_out_otherwise_than_its_strategy() -> None:
    parsed = strategy_parse(document(exclude={"in_cart": True, "viewed": True}))
    strategy = ServingStrategy(1, parsed, exclude={"viewed": False, "purchased": True})
    exclude = strategy.document.exclude
    assert (exclude.in_cart, exclude.viewed, exclude.purchased) == (True, False, True)
    assert strategy.needs_history
    assert not ServingStrategy(1, parsed).needs_history
    assert ServingStrategy(1, parsed, exclude=None).document is parsed


# ------------------------------------------------------------------ differences in words


def test_the_same_document_has_no_changes_and_neither_has_the_same_meaning() -> None:
    assert changes(OLD, OLD) == []
    twice = {**OLD, "sources": [{**each, "weight": each["weight"] * 2} for each in OLD["sources"]]}
    assert changes(OLD, twice) == []
    assert changes(document(), document(prefer={"kind": "fresh", "strength": 0})) == []


def test_shares_that_moved_are_said_with_both_numbers() -> None:
    def mix(**weights: float) -> dict[str, Any]:
        return {"sources": [{"source": name, "weight": w} for name, w in weights.items()]}

    assert changes(mix(bought_together=3, trending=7), mix(bought_together=5, trending=5)) == [
        "Bought together 30 % → 50 %",
        "Trending 70 % → 50 %",
    ]
    assert changes(mix(trending=1), mix(trending=2, for_you=1)) == [
        "Trending 100 % → 66.7 %",
        "For you added with 33.3 %",
    ]
    assert changes(mix(trending=1, for_you=3), mix(for_you=1)) == [
        "For you 75 % → 100 %",
        "Trending removed, was 25 %",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"diversity": 0.35}, "Diversity: 20 % → 35 %"),
        ({"max_per_brand": 2}, "At most of one brand: no limit → 2"),
        ({"max_per_category": 1}, "At most of one category: no limit → 1"),
        ({"category": "same"}, "Categories: any category → only the category in view"),
        (
            {"price_band": {"kind": "up", "percent": 50}},
            "Price beside the product in view: any → dearer by up to 50 %",
        ),
        (
            {"price_band": {"kind": "same", "percent": 10}},
            "Price beside the product in view: any → the same ± 10 %",
        ),
        (
            {"price_band": {"kind": "down", "percent": 10}},
            "Price beside the product in view: any → cheaper by up to 10 %",
        ),
        (
            {"prefer": {"kind": "popular", "strength": 0.5}},
            "Preference: none → what sells, strength 50 %",
        ),
        ({"exploration": 0.05}, "Places given to chance: 0 % → 5 %"),
        (
            {"explore_by": "bandit"},
            "Chance draws: by score → the source that it learned deserves the place",
        ),
        ({"minimum_relevance": 0.125}, "Minimum relevance: 0 % → 12.5 %"),
        ({"exclude": {"in_cart": False}}, "Shows again what is in the cart"),
        ({"exclude": {"purchased": True}}, "Leaves out what the shopper bought before"),
        ({"fallback": []}, "Fallback: Trending, then Bestsellers → none"),
        (
            {"fallback": ["bestsellers", "trending"]},
            "Fallback: Trending, then Bestsellers → Bestsellers, then Trending",
        ),
        ({"handpicked": ["a", "b"]}, "Handpicked products: added a, b"),
        ({"blend": "learned"}, "Blend: by weights → learned"),
    ],
)
def test_each_field_has_its_sentence(fields: dict[str, Any], words: str) -> None:
    assert changes(document(), document(**fields)) == [words]


def test_handpicked_products_say_what_came_and_went() -> None:
    before, after = document(handpicked=["a", "b"]), document(handpicked=["b", "c"])
    assert changes(before, after) == ["Handpicked products: added c; removed a"]
    assert changes(before, document(handpicked=["b", "a"])) == [
        "Handpicked products in another order"
    ]
    many = document(handpicked=[str(n) for n in range(8)])
    assert changes(document(), many) == ["Handpicked products: added 0, 1, 2, 3, 4 and 3 more"]
