"""What participants did on each day, and what they were shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from analytics.metrics.latency import latency_counts
from analytics.models import Participant, ParticipantDay, VariantDay
from analytics.services.participant_lists import fallback_slots
from analytics.services.participants import experiment_rebuild, experiment_refresh
from catalog.models import EventType, Store
from recommender.artifacts.writer import artifact_write
from recommender.models import Artifact, Experiment, Exposure, Impression, Run
from tests.experiment_worlds import START, ShopOfTests, make_shop
from tests.factories import days, make_impression

NOW = START + timedelta(days=6)
HOUR = timedelta(hours=1)
SEEN, CLICK = EventType.RECOMMENDATION_VIEW, EventType.RECOMMENDATION_CLICK


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    shop = make_shop(store)
    shop.expose("ann", shown=shop.products[:2])
    return shop


def refresh(shop: ShopOfTests) -> None:
    experiment_refresh(experiment=shop.experiment, now=NOW)


def orders(shop: ShopOfTests, person: str = "ann") -> dict[int, tuple[int, int]]:
    """Orders and revenue by day of March."""
    return {
        day.day.day: (day.n_orders, day.revenue_minor)
        for day in shop.days_of(person)
        if day.n_orders
    }


def test_a_day_sums_what_was_done_after_exposure(shop: ShopOfTests) -> None:
    shop.event("ann", at=START - HOUR)
    shop.event("ann", at=START)
    shop.event("ann", EventType.ADD_TO_CART, at=START + HOUR)
    shop.order("ann", at=START + HOUR, quantity=3, value_minor=None, price_minor=250)
    refresh(shop)
    (day,) = shop.days_of("ann")
    assert (day.n_views, day.n_carts, day.n_orders, day.n_units) == (1, 1, 1, 3)
    assert day.revenue_minor == 750


def test_an_order_of_three_lines_is_one(shop: ShopOfTests) -> None:
    first = shop.order("ann", at=START + HOUR, order_id="1")
    for line in (1, 2):
        shop.order("ann", at=START + HOUR, order_id="1", event_id=first.event_id, line=line)
    refresh(shop)
    assert orders(shop) == {2: (1, 3000)}


@pytest.mark.parametrize("later", [HOUR, days(1)])
def test_an_order_that_is_reported_again_counts_on_the_day_of_the_first_report(
    shop: ShopOfTests, later: timedelta
) -> None:
    shop.order("ann", at=START + HOUR + later, order_id="1", value_minor=900)
    refresh(shop)
    # The first report comes in last.
    shop.order("ann", at=START + HOUR, order_id="1")
    refresh(shop)
    assert orders(shop) == {2: (1, 1000)}


def test_an_order_from_before_the_exposure_is_none_when_it_is_reported_again(
    shop: ShopOfTests,
) -> None:
    shop.order("ann", at=START - HOUR, order_id="1")
    shop.order("ann", at=START + HOUR, order_id="1")
    refresh(shop)
    assert orders(shop) == {}
    assert shop.participant("ann").pre_orders == 1


def test_the_same_order_id_of_somebody_else_is_another_order(shop: ShopOfTests) -> None:
    shop.expose("ben")
    for name in ("ann", "ben"):
        shop.order(name, at=START + HOUR, order_id="1")
    refresh(shop)
    assert orders(shop) == orders(shop, "ben") == {2: (1, 1000)}


def test_a_late_event_changes_the_day_it_happened_on(shop: ShopOfTests) -> None:
    shop.order("ann", at=START + days(3))
    refresh(shop)
    shop.order("ann", at=START + days(1))
    refresh(shop)
    assert orders(shop) == {3: (1, 1000), 5: (1, 1000)}


def test_what_a_customer_buys_on_another_device_counts_for_the_guest_who_was_exposed(
    shop: ShopOfTests,
) -> None:
    shop.order("customer", at=START + HOUR)
    shop.order("customer", at=START - HOUR)
    refresh(shop)
    assert orders(shop) == {}
    link = shop.link("ann", "customer", at=NOW)
    refresh(shop)
    assert orders(shop, "customer") == {2: (1, 1000)}
    link.undone_at = NOW + HOUR
    link.save()
    refresh(shop)
    assert orders(shop) == {}
    assert not ParticipantDay.objects.filter(person="customer").exists()


def test_what_machines_did_does_not_count(shop: ShopOfTests) -> None:
    shop.order("ann", at=START + HOUR, is_bot=True)
    refresh(shop)
    assert orders(shop) == {}


def test_what_happens_after_the_stop_does_not_count(shop: ShopOfTests) -> None:
    shop.order("ann", at=START + days(1))
    shop.experiment.stopped_at = START + days(2)
    shop.experiment.save()
    shop.order("ann", at=START + days(2))
    shop.show("ann", at=START + days(2))
    shop.expose("ben", at=START + days(2))
    refresh(shop)
    assert orders(shop) == {3: (1, 1000)}
    assert sum(day.n_impressions for day in shop.days_of("ann")) == 1
    assert not Participant.objects.filter(person="ben").exists()


def test_only_recommendations_of_the_experiment_are_seen_and_clicked_each_once(
    shop: ShopOfTests,
) -> None:
    ours = shop.show("ann", at=START + HOUR, shown=shop.products[:3])
    plain = make_impression(shop.store, shop.placement, "ann", shop.products[:3], at=START + HOUR)
    for recommendation in (ours, plain.recommendation_id):
        for later in (2 * HOUR, 3 * HOUR, days(1)):
            shop.event("ann", SEEN, at=START + later, recommendation_id=recommendation)
            for product in shop.products[:2]:
                shop.event(
                    "ann",
                    CLICK,
                    at=START + later,
                    product=product,
                    recommendation_id=recommendation,
                )
    refresh(shop)
    assert [(day.n_seen, day.n_clicks) for day in shop.days_of("ann")] == [(1, 2)]


def test_a_recommendation_that_somebody_else_was_shown_is_not_seen(shop: ShopOfTests) -> None:
    shop.expose("ben")
    theirs = shop.show("ben", at=START + HOUR, shown=shop.products[:3])
    shop.event("ann", SEEN, at=START + 2 * HOUR, recommendation_id=theirs)
    refresh(shop)
    assert sum(day.n_seen for day in shop.days_of("ann")) == 0


def test_a_click_on_the_next_day_finds_the_answer_of_the_day_before(shop: ShopOfTests) -> None:
    shown = shop.show("ann", at=START + HOUR, shown=shop.products[:3])
    shop.show("ann", at=START + days(2))
    refresh(shop)
    shop.event("ann", CLICK, at=START + days(3), recommendation_id=shown)
    refresh(shop)
    assert {day.day.day: day.n_clicks for day in shop.days_of("ann")} == {2: 0, 4: 0, 5: 1}


def test_a_click_that_is_known_before_its_answer_counts_when_the_answer_is(
    shop: ShopOfTests,
) -> None:
    shown = shop.show("ann", at=START + HOUR)
    fields = {"at": START + HOUR, "recommendation_id": shown}
    shop.event("ann", CLICK, at=START + days(1), recommendation_id=shown)
    Impression.objects.filter(recommendation_id=shown).delete()
    refresh(shop)
    assert sum(day.n_clicks for day in shop.days_of("ann")) == 0
    shop.show("ann", **fields)  # type: ignore[arg-type]
    refresh(shop)
    assert {day.day.day: day.n_clicks for day in shop.days_of("ann")} == {2: 0, 3: 1}


def test_impressions_slots_and_empty_answers_are_counted(shop: ShopOfTests) -> None:
    shop.show("ann", at=START - HOUR, shown=shop.products)
    shop.show("ann", at=START + HOUR)
    shop.show(
        "ann",
        at=START + 2 * HOUR,
        shown=shop.products[:3],
        sources=["trending", "new_arrivals", "new_arrivals"],
        fallback="new_arrivals",
    )
    refresh(shop)
    (day,) = shop.days_of("ann")
    assert (day.n_impressions, day.n_slots, day.n_empty) == (3, 5, 1)
    assert day.n_fallback_slots == 2


@pytest.mark.parametrize(
    ("sources", "fallback", "n"),
    [
        (["a", "b"], None, 0),
        (["a", "b", "f"], "f", 1),
        (["a", "f", "g", "f"], "f", 3),
        (["f", "f"], "f", 2),
        # The strategy's own places of the same source are told apart by what follows them.
        (["f", "a", "f"], "f", 1),
        (["pinned", "a", "f", "pinned"], "f", 1),
        (["g", "f"], "f", 1),
        ([], "f", 0),
    ],
)
def test_places_filled_by_fallback_are_the_end_of_the_list(
    sources: list[str], fallback: str | None, n: int
) -> None:
    assert fallback_slots(sources, fallback, own={"a", "b", "f"}, chain={"f", "g"}) == n


# ------------------------------------------------------------------------------------------- lists


def content(shop: ShopOfTests, vectors: list[list[float]]) -> None:
    """A content model with a unit vector for each of the first products."""
    now = timezone.now()
    run = Run.objects.create(
        store=shop.store, family=Run.Family.CONTENT, state=Run.State.PUBLISHED, trigger="command"
    )
    manifest = artifact_write(
        Path(settings.ARTIFACT_DIR),
        store_id=shop.store.pk,
        family=Run.Family.CONTENT,
        version=f"test-{run.pk}",
        created_at_s=now.timestamp(),
        as_of_s=now.timestamp(),
        arrays={
            "item_ids": np.array([each.pk for each in shop.products[: len(vectors)]], np.int64),
            "vectors": np.array(vectors, np.float32),
        },
        parameters={},
        counts={},
        quality={},
    )
    Artifact.objects.create(
        store=shop.store,
        run=run,
        family=Run.Family.CONTENT,
        version=manifest.version,
        size_bytes=1,
        manifest={},
        serving=True,
    )


def test_diversity_is_summed_over_lists_that_have_one(shop: ShopOfTests) -> None:
    content(shop, [[1, 0], [0, 1], [1, 0]])
    shop.show("ann", at=START + HOUR, shown=[shop.products[0], shop.products[2]])
    shop.show("ann", at=START + HOUR, shown=[shop.products[0]])
    refresh(shop)
    (day,) = shop.days_of("ann")
    # The first answer showed two products without anything in common, the second two that are alike.
    assert (day.diversity_sum, day.n_diversity) == (1.0, 2)


def test_novelty_goes_by_the_ninety_days_before_the_start(shop: ShopOfTests) -> None:
    one, two = shop.products[:2]
    for _ in range(3):
        shop.event("ben", at=START - days(1), product=one)
    shop.order("ben", at=START - days(2), product=two)
    for at in (START - days(91), START + HOUR):
        shop.event("ben", at=at, product=two)
    refresh(shop)
    (day,) = shop.days_of("ann")
    assert (day.novelty_sum, day.n_novelty) == (round(-np.log2(3 / 4) + 2, 9), 2)


def test_without_any_views_there_is_no_novelty(shop: ShopOfTests) -> None:
    refresh(shop)
    assert [day.n_novelty for day in shop.days_of("ann")] == [0]


def test_serendipity_is_what_was_useful_and_unlike_the_days_before(shop: ShopOfTests) -> None:
    content(shop, [[1, 0], [0, 1], [1, 0], [0, 1]])
    shop.event("ann", at=START - days(2), product=shop.products[0])
    shown = shop.show("ann", at=START + days(1), shown=shop.products[1:4])
    shop.event("ann", CLICK, at=START + days(1), product=shop.products[1], recommendation_id=shown)
    shop.order("ann", at=START + days(1) + HOUR, product=shop.products[2])
    refresh(shop)
    # One of three was clicked and has nothing in common with the history; one bought, but no surprise.
    day = shop.days_of("ann")[1]
    assert (day.serendipity_sum, day.n_serendipity) == (round(1 / 3, 9), 1)


def test_calibration_compares_with_the_categories_of_the_days_before(shop: ShopOfTests) -> None:
    # On the day itself there may be an answer to the list: no history.
    shop.event("ann", at=START + HOUR, product=shop.products[0])
    shop.show("ann", at=START + days(1), shown=[shop.products[0]])
    shop.show("ann", at=START + days(1), shown=[shop.products[1]])
    refresh(shop)
    first, second = shop.days_of("ann")
    assert (first.n_calibration, second.n_calibration) == (0, 2)
    # One list is the history's own category, the other has nothing of it: ln(1 / 0.01).
    assert second.calibration_sum == pytest.approx(np.log(100), abs=1e-8)


# ----------------------------------------------------------------------------- variants and hold-outs


def test_response_times_are_counted_by_variant_and_day(shop: ShopOfTests) -> None:
    shop.show("ann", at=START + HOUR, took_us=5)
    shop.expose("ben", shop.other, at=START + days(1), took_us=20)
    refresh(shop)
    shop.show("ann", at=START + 2 * HOUR + days(1), took_us=10**9)
    refresh(shop)
    found = {(row.variant_id, row.day.day): row.latency_counts for row in VariantDay.objects.all()}
    assert found == {
        (shop.control.pk, 2): latency_counts(np.array([1000, 5])).tolist(),
        (shop.control.pk, 3): latency_counts(np.array([10**9])).tolist(),
        (shop.other.pk, 3): latency_counts(np.array([20])).tolist(),
    }


def test_whatever_the_shoppers_of_a_hold_out_are_shown_belongs_to_it(store: Store) -> None:
    shop = make_shop(store, kind=Experiment.Kind.HOLDOUT)
    test = make_shop(store)
    shop.expose("held", shop.control)
    # Everybody else: exposed to the hold-out, answered by another experiment or by none.
    first = test.expose("ben", test.other, shown=shop.products[:2])
    Exposure.objects.create(
        store_id=store.pk,
        experiment_id=shop.experiment.pk,
        shopper_external_id="ben",
        variant_id=shop.other.pk,
        exposed_at=START,
        recommendation_id=first,
    )
    make_impression(store, shop.placement, "ben", shop.products[:1], at=START + HOUR)
    shop.event("ben", SEEN, at=START + HOUR, recommendation_id=first)
    refresh(shop)
    assert shop.participant("ben").placement_id == test.placement.pk
    assert not shop.participant("ben").is_crossover
    (day,) = shop.days_of("ben")
    assert (day.n_impressions, day.n_slots, day.n_seen) == (2, 3, 1)
    assert [day.n_impressions for day in shop.days_of("held")] == [1]
    counts = {row.variant_id: sum(row.latency_counts) for row in VariantDay.objects.all()}
    assert counts == {shop.control.pk: 1, shop.other.pk: 2}


def test_the_days_of_a_change_of_clocks_are_those_of_the_store(store: Store) -> None:
    store.time_zone = "America/New_York"
    store.save()
    shop = make_shop(store)
    shop.experiment.store.refresh_from_db()
    # Summer time begins on 8 March 2026 at 2 o'clock: the day has 23 hours, from 5:00 to 4:00 UTC.
    for hour in ((8, 4, 59), (8, 5, 0), (9, 3, 59), (9, 4, 0)):
        day, hours, minutes = hour
        at = datetime(2026, 3, day, hours, minutes, tzinfo=UTC)
        shop.expose(f"at {hour}", at=at)
        shop.order(f"at {hour}", at=at)
    refresh(shop)
    found = sorted((row.person, row.day.day) for row in ParticipantDay.objects.all())
    assert [day for _, day in found] == [7, 8, 8, 9]
    assert {row.day.day for row in Participant.objects.all()} == {7, 8, 9}


def test_a_rebuild_is_the_same_as_the_refreshes(shop: ShopOfTests) -> None:
    shop.order("ann", at=START + days(1))
    refresh(shop)
    before = shop.rows()
    experiment_rebuild(experiment=shop.experiment, now=NOW)
    assert shop.rows() == before
