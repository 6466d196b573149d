"""What of a shopper's state a page takes for its session, its seeds and its scope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from catalog.models.events import EventType
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.serving.context import Context, category_scope
from recommender.serving.models import Chart, ServingModels
from recommender.serving.recent import Recent
from recommender.serving.request import RecommendationRequest
from recommender.serving.runtime import event_weight_table
from recommender.serving.strategy import StrategyDocument, strategy_parse
from recommender.stores.session_state import NO_STATE
from tests.unit.serving.test_snapshot import NOON_S, row, snapshot

VIEW, CART, BUY, HIDE = (
    EventType.VIEW_ITEM,
    EventType.ADD_TO_CART,
    EventType.PURCHASE,
    EventType.HIDE_ITEM,
)
MINUTE = 60
SHOT = snapshot(
    row(1, category_path="Tea > Green"),
    row(2, category_path="Tea > Black"),
    row(3, category_path="Cups"),
    row(4),
)


def context(
    events: Sequence[tuple[int, EventType, int]] = (),
    *,
    page: Sequence[int] = (),
    cart: Sequence[int] = (),
    category: str | None = None,
) -> Context:
    """`events` are (seconds before now, type, row), oldest first."""
    types = np.array([kind for _, kind, _ in events], np.int32)
    return Context(
        request=RecommendationRequest(),
        snapshot=SHOT,
        models=ServingModels(),
        state=NO_STATE,
        now_s=NOON_S,
        page_rows=list(page),
        cart_rows=list(cart),
        event_rows=np.array([at for _, _, at in events], np.int32),
        event_types=types,
        event_at_s=np.array([NOON_S - ago for ago, _, _ in events], np.int64),
        event_weights=event_weight_table(EVENT_WEIGHTS).take(types),
        category=category,
        history=None,
        eligible=SHOT.eligible,
    )


def strategy(category: str) -> StrategyDocument:
    return strategy_parse({"sources": [{"source": "trending", "weight": 1}], "category": category})


def test_half_an_hour_of_silence_begins_a_new_session() -> None:
    before = context([(70 * MINUTE, VIEW, 0), (39 * MINUTE, VIEW, 1), (5 * MINUTE, VIEW, 2)])
    assert before.session_rows() == [2]
    without = context([(60 * MINUTE, VIEW, 0), (35 * MINUTE, VIEW, 1), (5 * MINUTE, VIEW, 2)])
    assert without.session_rows() == [0, 1, 2]


def test_the_product_in_view_is_the_newest_and_not_told_twice() -> None:
    assert context([(60, VIEW, 0), (1, VIEW, 1)], page=[1]).session_rows() == [0, 1]
    assert context([(60, VIEW, 0)], page=[2]).session_rows() == [0, 2]
    assert context(page=[3]).session_rows() == [3]


def test_what_was_hidden_or_taken_out_is_not_followed() -> None:
    events = [(9, VIEW, 0), (8, HIDE, 1), (7, EventType.REMOVE_FROM_CART, 2), (6, CART, 3)]
    assert context(events).session_rows() == [0, 3]


def test_a_session_of_the_day_before_yesterday_is_over() -> None:
    assert context([(48 * 60 * MINUTE, VIEW, 0)]).session_rows() == []


def test_seeds_are_the_page_then_the_cart_then_the_last_looks() -> None:
    events = [(9, VIEW, 0), (8, VIEW, 1), (7, BUY, 3), (6, VIEW, 2), (5, VIEW, 0)]
    assert context(events, page=[3], cart=[1]).seeds()[0] == [3]
    assert context(events, cart=[1]).seeds()[0] == [1]
    rows, weights = context(events).seeds()
    assert rows == [1, 2, 0]
    assert list(weights) == sorted(weights)
    assert context([(9, VIEW, 2)]).seeds()[1].tolist() == [1.0]


@pytest.mark.parametrize(
    ("condition", "page", "category", "expected"),
    [
        ("any", [0], "Tea > Green", [0, 1, 2, 3]),
        ("same", [0], "Tea > Green", [0]),
        ("same", [], "Tea", [0, 1]),
        ("same", [], None, [0, 1, 2, 3]),
        ("other", [0, 2], "Tea > Green", [1, 3]),
        ("other", [3], None, [0, 1, 2, 3]),
    ],
)
def test_a_scope_is_the_category_in_view_or_everything_but(
    condition: str, page: list[int], category: str | None, expected: list[int]
) -> None:
    here = context(page=page, category=category)
    here.scope = category_scope(here, strategy(condition))
    everything = np.arange(4, dtype=np.int32)
    assert everything[here.allowed(everything)].tolist() == expected


def test_a_chart_is_ranked_within_a_category_and_its_levels() -> None:
    chart = Chart(np.array([1, 3, 9, 0], np.float32), np.array([2, 1, 0], np.int32))
    assert chart.ranking_inside("Tea", SHOT).tolist() == [1, 0]
    assert chart.ranking_inside("Nowhere", SHOT).tolist() == []


def test_what_was_asked_for_last_is_kept_and_the_rest_made_again() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    recent: Recent[str, str] = Recent(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(key, lambda key=key: make(key)) == key.upper()  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    assert len(recent) == 2
