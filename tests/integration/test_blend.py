"""How the sources of a strategy become one list: by weights, by places, or as was learned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.models import Store
from recommender.services.recommend import recommend
from recommender.serving.request import PlacementRequest, Recommendation, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.blend_worlds import hand_made_blend, learned_document, show_strategy
from tests.factories import make_product

SLUG = "product-similar"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
# In the order of SOURCE_NAMES, by which learned weights are found.
SOURCES = ("new_arrivals", "on_sale")


@pytest.fixture
def shelf(store: Store) -> Store:
    """Eight mugs, mug-0 the newest; the old mug-7 and mug-6 are on sale, mug-7 by more."""
    for number in range(8):
        make_product(
            store,
            f"mug-{number}",
            price_minor=500 + number,
            list_price_minor={6: 800, 7: 2_000}.get(number),
            published_at=NEWEST - timedelta(days=number),
        )
    return store


def ask(store: Store, **context: Any) -> Recommendation:
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(**context),
        placements=[PlacementRequest(slug=SLUG, limit=4)],
        log_impressions=False,
    )
    return page.recommendations[0]


def ids(store: Store, answer: Recommendation) -> list[str]:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return [runtime.snapshot.external_ids[row] for row in answer.rows]


def blend_step(answer: Recommendation) -> dict[str, Any]:
    assert answer.trace is not None
    return next(each for each in answer.trace.steps if each["step"] == "blend")


def test_as_long_as_nothing_is_learned_the_weights_decide_and_the_trace_says_so(
    shelf: Store,
) -> None:
    document = learned_document(*SOURCES)
    show_strategy(shelf, SLUG, {**document, "blend": "weights"})
    by_weights = ids(shelf, ask(shelf))

    show_strategy(shelf, SLUG, document)
    answer = ask(shelf, explain=True)

    assert ids(shelf, answer) == by_weights
    assert blend_step(answer)["blend"] == "learned"
    assert blend_step(answer)["by"] == "weights"


def test_learned_weights_order_the_list_against_the_strategy_s_own(shelf: Store) -> None:
    show_strategy(shelf, SLUG, learned_document(*SOURCES))
    assert ids(shelf, ask(shelf))[0] == "mug-0"

    hand_made_blend(shelf, SOURCES, scaled={"on_sale": 5.0, "new_arrivals": 0.1})
    answer = ask(shelf, explain=True)

    assert ids(shelf, answer)[:2] == ["mug-7", "mug-6"]
    assert answer.sources[:2] == ["on_sale", "on_sale"]
    assert blend_step(answer) == {
        "step": "blend",
        "candidates": 8,
        "blend": "learned",
        "by": "learned",
        "version": "3",
    }


def test_the_reasons_of_a_product_share_its_learned_score_among_the_sources(shelf: Store) -> None:
    show_strategy(shelf, SLUG, learned_document(*SOURCES))
    hand_made_blend(shelf, SOURCES, scaled={"on_sale": 12.0, "new_arrivals": 8.0})

    answer = ask(shelf, explain=True)

    assert answer.trace is not None
    told = answer.trace.products["mug-7"]
    # 12 for the first of the sale, an eighth of 8 for the last of the new ones.
    parts = told["parts"]
    assert parts["on_sale"]["rank"] == 1
    assert parts["new_arrivals"]["rank"] == 8
    assert parts["on_sale"]["score"] / told["score"] == pytest.approx(12 / 13, abs=1e-4)


def test_weights_of_other_sources_are_not_used(shelf: Store) -> None:
    show_strategy(shelf, SLUG, learned_document("new_arrivals"))

    hand_made_blend(shelf, SOURCES, scaled={"on_sale": 5.0})
    answer = ask(shelf, explain=True)

    assert blend_step(answer)["by"] == "weights"
    assert ids(shelf, answer) == ["mug-0", "mug-1", "mug-2", "mug-3"]


def test_a_learned_weight_of_the_price_prefers_what_is_dearer_than_usual(shelf: Store) -> None:
    make_product(shelf, "cheap", price_minor=100, published_at=NEWEST - timedelta(days=20))
    make_product(shelf, "gold", price_minor=50_000, published_at=NEWEST - timedelta(days=30))
    show_strategy(shelf, SLUG, learned_document("new_arrivals"))

    hand_made_blend(shelf, ("new_arrivals",), scaled={}, other={"price": 1.0})

    # Nothing but the price counts: it is the dearest first.
    assert ids(shelf, ask(shelf))[0] == "gold"


def test_places_alone_decide_by_reciprocal_rank(shelf: Store) -> None:
    document = learned_document(*SOURCES)
    show_strategy(shelf, SLUG, {**document, "blend": "reciprocal_rank"})

    answer = ask(shelf, explain=True)

    # Two lists name them: 2 · 61/67 + 61/62 = 2.805 for mug-6, 2 · 61/68 + 61/61 = 2.794 for mug-7.
    assert blend_step(answer) == {"step": "blend", "candidates": 8, "blend": "reciprocal_rank"}
    assert ids(shelf, answer)[:2] == ["mug-6", "mug-7"]


def test_a_product_that_lost_in_a_learned_blend_is_told_its_place_there(shelf: Store) -> None:
    show_strategy(shelf, SLUG, learned_document(*SOURCES))
    hand_made_blend(shelf, SOURCES, scaled={"on_sale": 5.0, "new_arrivals": 1.0})

    answer = ask(shelf, explain=True, why_not=("mug-5",))

    assert answer.trace is not None
    dropped = answer.trace.dropped["mug-5"]
    assert dropped["step"] == "places"
    assert dropped["place"] == 8
