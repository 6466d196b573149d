"""Daily figures name a strategy only for answers that it gave."""

from __future__ import annotations

import pytest
from django.utils import timezone

from analytics.metrics.periods import Period
from analytics.models import AttributedLine, DailyRollup, RecommendationDay
from analytics.selectors.insights import Dimension, Figures, period_slices
from analytics.services.insights_lists import known_forget
from analytics.services.insights_rollups import insights_refresh
from analytics.services.rollups import rollups_refresh
from catalog.models import EventType, Store
from recommender.models import Placement
from tests.factories import (
    NOON,
    days,
    make_event,
    make_impression,
    make_order,
    make_product,
    make_shopper,
)


@pytest.fixture
def placement(store: Store) -> Placement:
    known_forget()
    return Placement.objects.select_related("strategy_version").get(
        store=store, slug="cart-cross-sell"
    )


def figures(store: Store, dimension: Dimension | None) -> dict[object, Figures]:
    rollups_refresh(store=store, now=timezone.now())
    insights_refresh(store=store, now=timezone.now())
    period = Period(1, NOON.date())
    slices = period_slices(store=store, period=period, dimension=dimension)
    return {key: now for key, (now, _) in slices.items()}


def test_who_is_held_out_got_no_recommendation_and_no_empty_one(
    store: Store, placement: Placement
) -> None:
    mug = make_product(store, "mug")
    make_impression(store, placement, "anna", [mug])
    make_impression(store, placement, "berta", reason="all_excluded")
    for n in range(3):
        make_impression(store, placement, f"held-{n}", reason="held_out")
    found = figures(store, Dimension.STRATEGY)[placement.strategy_version.strategy_id]
    assert (found.n_impressions, found.n_empty) == (2, 1)
    day = DailyRollup.objects.get(store=store)
    assert (day.n_recommendations, day.n_empty) == (2, 1)


def test_an_interleaved_list_counts_for_its_placement_and_for_neither_strategy(
    store: Store, placement: Placement
) -> None:
    mug, cup = make_product(store, "mug"), make_product(store, "cup")
    anna = make_shopper(store, "anna")
    make_event(store, anna, mug, at=NOON - days(7))
    make_impression(store, placement, "berta", [mug])
    both = make_impression(store, placement, "anna", [mug, cup], teams=[0, 1])
    make_event(
        store,
        anna,
        cup,
        type=EventType.RECOMMENDATION_CLICK,
        recommendation_id=both.recommendation_id,
    )
    make_order(store, anna, [cup])
    whole = figures(store, Dimension.PLACEMENT)[placement.pk]
    assert (whole.n_impressions, whole.n_clicks, whole.n_orders) == (2, 1, 1)
    by_strategy = figures(store, Dimension.STRATEGY)
    own = by_strategy[placement.strategy_version.strategy_id]
    assert (own.n_impressions, own.n_clicks, own.n_orders) == (1, 0, 0)
    neither = by_strategy[None]
    assert (neither.n_impressions, neither.n_clicks, neither.n_orders) == (1, 1, 1)
    assert neither.revenue_minor == whole.revenue_minor > 0
    # What is measured of lists finds its row.
    rows = RecommendationDay.objects.values_list("strategy_version_id", "n_novelty")
    assert dict(rows) == {0: 2, placement.strategy_version_id: 1}
    assert AttributedLine.objects.get().strategy_version_id == 0
