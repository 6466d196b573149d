"""What events weigh: the store's own numbers, in training and in serving."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalog.models import EventType, Store, User
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import EventWeights
from recommender.selectors.event_weights import event_weights
from recommender.selectors.serving_settings import store_settings
from recommender.services.event_weights import (
    WeightsRefused,
    event_weights_restore,
    event_weights_save,
)
from recommender.services.training.weights import type_weights_of
from recommender.serving.runtime import RUNTIMES

pytestmark = pytest.mark.django_db


def test_a_store_without_weights_of_its_own_has_the_defaults(store: Store) -> None:
    assert event_weights(store_id=store.pk) == EVENT_WEIGHTS


def test_saved_weights_count_in_this_store_and_in_no_other(
    store: Store, other_store: Store, owner: User
) -> None:
    row = event_weights_save(
        store=store, weights={"view_item": 0.4, "purchase": 1.0, "hide_item": -5}, member=owner
    )
    # What equals the default isn't kept: it follows the defaults of later versions.
    assert row.weights == {"view_item": 0.4, "hide_item": -5.0}
    assert row.updated_by == owner
    assert event_weights(store_id=store.pk) == {
        **EVENT_WEIGHTS,
        "view_item": 0.4,
        "hide_item": -5.0,
    }
    assert event_weights(store_id=other_store.pk) == EVENT_WEIGHTS
    event_weights_restore(store=store, member=owner)
    assert event_weights(store_id=store.pk) == EVENT_WEIGHTS


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({"view_item": 5.1}, "view_item"),
        ({"view_item": -5.1}, "view_item"),
        ({"view_item": math.nan}, "view_item"),
        ({"view_item": math.inf}, "view_item"),
        ({"looked_at": 1.0}, "looked_at"),
        ({"recommendation_view": 1.0}, "recommendation_view"),
        (dict.fromkeys(EVENT_WEIGHTS, 0.0), "purchase"),
    ],
)
def test_weights_that_cannot_be_are_refused_and_nothing_changes(
    store: Store, weights: dict[str, float], field: str
) -> None:
    event_weights_save(store=store, weights={"view_item": 0.4}, member=None)
    store.refresh_from_db()
    before = store.settings_version
    with pytest.raises(WeightsRefused) as refused:
        event_weights_save(store=store, weights=weights, member=None)
    assert list(refused.value.fields) == [field]
    assert EventWeights.objects.get().weights == {"view_item": 0.4}
    store.refresh_from_db()
    assert store.settings_version == before


def test_a_serving_process_follows_at_its_next_look(store: Store) -> None:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    before = runtime.event_weights[EventType.VIEW_ITEM]
    event_weights_save(store=store, weights={"view_item": 0.4}, member=None)
    RUNTIMES.refresh()
    after = RUNTIMES.get(store.pk)
    assert after is not None
    assert before == np.float32(EVENT_WEIGHTS["view_item"])
    assert after.event_weights[EventType.VIEW_ITEM] == np.float32(0.4)
    assert after.event_weights[EventType.SEARCH] == np.float32(EVENT_WEIGHTS["search"])


def test_a_stored_weight_that_no_form_of_ours_wrote_is_the_default(store: Store) -> None:
    EventWeights.objects.create(
        store=store, weights={"view_item": "much", "purchase": True, "search": 99, "old_event": 1}
    )
    assert event_weights(store_id=store.pk) == EVENT_WEIGHTS
    settings = store_settings(store_id=store.pk)
    assert settings is not None
    assert settings.event_weights == EVENT_WEIGHTS


def test_training_weighs_every_type_by_its_name() -> None:
    table = type_weights_of({"view_item": 0.25, "hide_item": -2.0})
    assert table[EventType.VIEW_ITEM] == 0.25
    assert table[EventType.HIDE_ITEM] == -2.0
    assert table[EventType.PURCHASE] == 0.0
    assert len(table) == max(EventType.values) + 1
