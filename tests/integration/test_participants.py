"""Who takes part in an experiment: one row per person, true whatever comes late."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection

from analytics.models import ExperimentWatermark, Participant, ParticipantDay
from analytics.services.participants import experiment_rebuild, experiment_refresh
from catalog.models import Event, EventType, Shopper, Store
from recommender.models import Experiment, Exposure, Impression
from tests.experiment_worlds import START, Row, ShopOfTests, make_shop, random_facts
from tests.factories import days

NOW = START + timedelta(days=6)
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    return make_shop(store)


def differences(found: dict[str, list[Row]], expected: dict[str, list[Row]]) -> list[str]:
    """What is other in two countings, in a form that can be read."""
    wrong = []
    for table, rows in expected.items():
        keys = ("person", "day") if table == "ParticipantDay" else ("person", "variant_id", "day")
        left, right = (
            {tuple(str(row.get(key)) for key in keys): row for row in each}
            for each in (found[table], rows)
        )
        for key in sorted(left.keys() | right.keys()):
            one, other = left.get(key), right.get(key)
            if one is None or other is None:
                wrong.append(f"{table} {key}: {'missing' if one is None else 'left over'}")
            elif one != other:
                # Late events from before the start make products better known to later lists.
                names = [n for n in one if one[n] != other[n] and n != "novelty_sum"]
                if names:
                    wrong.append(f"{table} {key}: " + str({n: (one[n], other[n]) for n in names}))
    return wrong


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [Experiment.Kind.AB, Experiment.Kind.HOLDOUT])
def test_refreshes_in_any_slices_are_the_same_as_one_rebuild(
    store: Store, kind: str, seed: int
) -> None:
    shop = make_shop(store, kind=kind)
    rng = random.Random(seed)
    facts = random_facts(shop, rng, 60)
    known_at = NOW
    while facts:
        n = rng.randrange(1, 15)
        for happen in facts[:n]:
            known_at += timedelta(seconds=rng.randrange(1, 400))
            happen(known_at)
        facts = facts[n:]
        experiment_refresh(experiment=shop.experiment, now=known_at)
        if rng.random() < 0.5:
            assert experiment_refresh(experiment=shop.experiment, now=known_at).n_changed == 0
    found = shop.rows()
    experiment_rebuild(experiment=shop.experiment, now=known_at)
    expected = shop.rows()
    assert differences(found, expected) == []
    assert expected["Participant"]
    assert expected["ParticipantDay"]


def refresh(shop: ShopOfTests, minutes: float = 0) -> None:
    experiment_refresh(experiment=shop.experiment, now=NOW + timedelta(minutes=minutes))


def test_a_participant_is_in_the_variant_of_the_first_exposure(shop: ShopOfTests) -> None:
    shop.expose("ann", shop.other, at=START + HOUR, device="mobile")
    refresh(shop)
    ann = shop.participant("ann")
    assert (ann.variant_id, ann.exposed_at, ann.day) == (
        shop.other.pk,
        START + HOUR,
        (START + HOUR).date(),
    )
    assert (ann.device, ann.placement_id) == ("mobile", shop.placement.pk)
    assert (ann.is_crossover, ann.is_bot, ann.is_returning) == (False, False, False)


def test_an_exposure_whose_answer_was_never_written_down_has_no_placement_until_it_is(
    shop: ShopOfTests,
) -> None:
    identity = shop.expose("ann")
    Impression.objects.filter(recommendation_id=identity).delete()
    refresh(shop)
    assert shop.participant("ann").placement_id is None
    shop.show("ann", at=START, recommendation_id=identity, device="tablet")
    refresh(shop)
    ann = shop.participant("ann")
    assert (ann.placement_id, ann.device) == (shop.placement.pk, "tablet")


def test_exposures_to_the_microsecond_find_answers_to_the_millisecond(shop: ShopOfTests) -> None:
    identity = shop.expose("ann", at=START + timedelta(microseconds=700))
    Impression.objects.filter(recommendation_id=identity).update(delivered_at=START)
    refresh(shop)
    assert shop.participant("ann").placement_id == shop.placement.pk
    assert [day.n_impressions for day in shop.days_of("ann")] == [1]


def test_a_guest_and_the_customer_are_one_person_in_from_the_earlier_exposure(
    shop: ShopOfTests,
) -> None:
    shop.expose("guest", shop.other, at=START)
    shop.expose("customer", shop.other, at=START + days(1))
    refresh(shop)
    assert set(Participant.objects.values_list("person", flat=True)) == {"guest", "customer"}
    shop.link("guest", "customer", at=NOW)
    refresh(shop)
    person = Participant.objects.get()
    assert (person.person, person.exposed_at, person.is_crossover) == ("customer", START, False)
    assert {day.person for day in ParticipantDay.objects.all()} == {"customer"}


def test_a_link_across_variants_is_a_crossover_until_it_is_undone(shop: ShopOfTests) -> None:
    shop.expose("guest", shop.other, at=START)
    shop.expose("customer", shop.control, at=START + days(1))
    link = shop.link("guest", "customer", at=NOW)
    refresh(shop)
    person = shop.participant("customer")
    assert (person.is_crossover, person.variant_id) == (True, shop.other.pk)
    link.undone_at = NOW + HOUR
    link.save()
    refresh(shop)
    assert not Participant.objects.filter(is_crossover=True).exists()
    assert shop.participant("guest").variant_id == shop.other.pk
    assert shop.participant("customer").variant_id == shop.control.pk


def test_a_guest_who_was_never_exposed_brings_what_they_did_to_the_customer_who_was(
    shop: ShopOfTests,
) -> None:
    shop.expose("customer")
    shop.order("guest", at=START + HOUR, received_at=START + HOUR)
    # Newer by far: what is looked at again is looked at because of the link.
    shop.event("somebody", at=START + HOUR, received_at=NOW)
    shop.expose("somebody", at=START + days(2))
    refresh(shop)
    assert [day.n_orders for day in shop.days_of("customer")] == [0]
    link = shop.link("guest", "customer", at=NOW)
    refresh(shop)
    assert [day.n_orders for day in shop.days_of("customer")] == [1]
    link.undone_at = NOW + HOUR
    link.save()
    refresh(shop)
    assert [day.n_orders for day in shop.days_of("customer")] == [0]


def test_links_in_a_chain_lead_to_its_end(shop: ShopOfTests) -> None:
    shop.expose("phone", at=START)
    shop.link("phone", "laptop")
    shop.link("laptop", "customer")
    shop.order("laptop", at=START + HOUR)
    refresh(shop)
    assert [day.n_orders for day in shop.days_of("customer")] == [1]


def test_whoever_is_shown_another_variant_later_is_a_crossover(shop: ShopOfTests) -> None:
    shop.expose("ann", shop.control)
    shop.expose("ben", shop.control)
    shop.show("ann", shop.control, at=START + days(1))
    refresh(shop)
    assert not shop.participant("ann").is_crossover
    shop.show("ann", shop.other, at=START + days(2))
    refresh(shop)
    assert shop.participant("ann").is_crossover
    assert not shop.participant("ben").is_crossover
    # Nothing but later answers is looked at the next time.
    shop.show("ann", shop.control, at=START + days(4))
    refresh(shop)
    assert shop.participant("ann").is_crossover


def test_interleaved_lists_have_no_crossovers(store: Store) -> None:
    shop = make_shop(store, kind=Experiment.Kind.INTERLEAVING)
    shop.expose("ann", shop.control)
    shop.show("ann", shop.other, at=START + HOUR)
    refresh(shop)
    assert not shop.participant("ann").is_crossover


def test_a_machine_is_known_by_any_event_after_exposure(shop: ShopOfTests) -> None:
    for name in ("before", "after"):
        shop.expose(name)
    shop.event("before", at=START - HOUR, is_bot=True)
    shop.event("after", at=START + HOUR, is_bot=True)
    refresh(shop)
    assert not shop.participant("before").is_bot
    assert shop.participant("after").is_bot


def test_the_upgrade_knows_who_is_silent_as_a_refresh_does(shop: ShopOfTests) -> None:
    for happen in random_facts(shop, random.Random(3), 60):
        happen(NOW)
    shop.expose("ann")
    shop.expose("unheard of")
    shop.event("ann", at=START - HOUR)
    shop.link("first", "second")
    shop.link("second", "third")
    shop.expose("third", at=START)
    shop.event("first", at=START + HOUR)
    refresh(shop)
    found = shop.rows()
    assert {row["is_silent"] for row in found["Participant"]} == {False, True}
    assert not shop.participant("third").is_silent
    Participant.objects.update(is_silent=False)
    with connection.cursor() as cursor:
        cursor.execute(import_module("analytics.migrations.0007_silent_participants").RECOUNT)
    assert shop.rows() == found


def test_whoever_was_seen_before_the_day_of_exposure_returns(shop: ShopOfTests) -> None:
    for name, at in (("old", START - days(1)), ("new", START - HOUR)):
        shop.event(name, at=at)
        shop.expose(name)
    refresh(shop)
    assert shop.participant("old").is_returning
    assert not shop.participant("new").is_returning


def test_the_fourteen_days_before_exposure_are_counted_and_nothing_else(shop: ShopOfTests) -> None:
    shop.expose("ann")
    shown = shop.show("ann", at=START - days(2))
    for at in (START - days(14), START - days(14) - timedelta(seconds=1), START):
        shop.order("ann", at=at)
    shop.order("ann", at=START - days(3), order_id="twice")
    shop.order("ann", at=START - days(2), order_id="twice")
    shop.event("ann", EventType.ADD_TO_CART, at=START - HOUR)
    for kind in (EventType.RECOMMENDATION_VIEW, EventType.RECOMMENDATION_CLICK):
        for _ in range(2):
            shop.event("ann", kind, at=START - days(1), recommendation_id=shown)
    refresh(shop)
    ann = shop.participant("ann")
    assert (ann.pre_orders, ann.pre_revenue_minor, ann.pre_carts) == (2, 2000, 1)
    assert (ann.pre_seen, ann.pre_clicks) == (1, 1)


def test_an_event_from_before_the_exposure_that_comes_late_changes_what_was_before(
    shop: ShopOfTests,
) -> None:
    shop.expose("ann")
    refresh(shop)
    shop.order("ann", at=START - days(1))
    refresh(shop)
    assert shop.participant("ann").pre_orders == 1
    assert [day.n_orders for day in shop.days_of("ann")] == [0]


def test_who_was_erased_is_gone_with_their_days(shop: ShopOfTests) -> None:
    for name in ("ann", "ben"):
        shop.expose(name)
        shop.order(name, at=START + HOUR)
    refresh(shop)
    shopper = Shopper.objects.get(external_id="ann")
    Event.objects.filter(shopper=shopper).delete()
    for model in (Impression, Exposure):
        model.objects.filter(shopper_external_id="ann").delete()
    shopper.delete()
    refresh(shop)
    for counted in (Participant, ParticipantDay):
        assert set(counted.objects.values_list("person", flat=True)) == {"ben"}


def test_two_stores_with_the_same_ids_stay_apart(store: Store, other_store: Store) -> None:
    ours, theirs = make_shop(store), make_shop(other_store)
    ours.expose("ann")
    theirs.expose("ann")
    theirs.link("guest", "ann")
    theirs.order("ann", at=START + HOUR, order_id="1")
    ours.event("ann", at=START + HOUR)
    refresh(ours)
    refresh(theirs)
    assert [day.n_orders for day in ours.days_of("ann")] == [0]
    assert [day.n_orders for day in theirs.days_of("ann")] == [1]
    experiment_rebuild(experiment=ours.experiment, now=NOW)
    assert theirs.participant("ann").store_id == other_store.pk


def test_a_second_refresh_changes_nothing_and_says_so(shop: ShopOfTests) -> None:
    shop.expose("ann", shown=shop.products[:3])
    shop.order("ann", at=START + HOUR)
    first = experiment_refresh(experiment=shop.experiment, now=NOW)
    before = shop.rows()
    second = experiment_refresh(experiment=shop.experiment, now=NOW + HOUR)
    assert first.n_changed > 0
    assert second.n_changed == 0
    assert shop.rows() == before
    # When something changed last, for whoever judges.
    assert ExperimentWatermark.objects.get().computed_at == NOW


def test_what_came_in_at_once_long_before_a_refresh_is_not_counted_again(shop: ShopOfTests) -> None:
    for name in ("ann", "ben"):
        shop.expose(name)
        shop.order(name, at=START + HOUR, received_at=NOW - HOUR)
    refresh(shop)
    later = NOW + timedelta(minutes=5)

    def touched(refreshed_at: datetime | None) -> int:
        return experiment_refresh(
            experiment=shop.experiment, now=later, refreshed_at=refreshed_at
        ).n_touched

    assert touched(NOW) == 0
    assert touched(None) == 2
    # Stamped before that refresh, committed after it.
    shop.order("ann", at=START + 2 * HOUR, received_at=NOW - timedelta(minutes=1))
    assert touched(NOW) == 1
    assert sum(day.n_orders for day in shop.days_of("ann")) == 2


def test_another_time_zone_counts_everything_anew(store: Store, shop: ShopOfTests) -> None:
    shop.expose("ann", at=START + timedelta(hours=11))
    refresh(shop)
    assert str(shop.participant("ann").day) == "2026-03-02"
    store.time_zone = "Asia/Tokyo"
    store.save()
    shop.experiment.store.refresh_from_db()
    refresh(shop)
    assert str(shop.participant("ann").day) == "2026-03-03"
    assert [str(day.day) for day in shop.days_of("ann")] == ["2026-03-03"]


def test_what_never_started_is_refused(store: Store) -> None:
    draft = make_shop(store, state=Experiment.State.DRAFT)
    with pytest.raises(ValueError, match="never started"):
        refresh(draft)
