"""The arrays that results are worked out from: what is in the tables, and nobody who doesn't count."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from django.db import transaction
from psycopg.errors import DivisionByZero

from analytics.results.facts import MEASURES, PRE_MEASURES, Facts
from analytics.selectors.array_copy import copy_lists
from analytics.selectors.experiment_facts import experiment_ends_at, experiment_facts
from analytics.services.participants import experiment_refresh
from catalog.models import EventType, Product, Store
from recommender.models import Experiment, ExperimentPhase, Impression
from tests.experiment_worlds import START, ShopOfTests, make_shop, random_facts
from tests.factories import days, make_impression, make_product

NOW = START + timedelta(days=6)
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    return make_shop(store)


def facts_of(shop: ShopOfTests, **fields: object) -> Facts:
    experiment_refresh(experiment=shop.experiment, now=NOW)
    return experiment_facts(experiment=shop.experiment, now=NOW, **fields)  # type: ignore[arg-type]


def test_arrays_say_what_the_tables_say(store: Store) -> None:
    shop = make_shop(store)
    for happen in random_facts(shop, random.Random(5), 80):
        happen(NOW)
    facts = facts_of(shop)
    rows = shop.rows()
    kept = [row for row in rows["Participant"] if not (row["is_crossover"] or row["is_bot"])]
    arms = {variant.pk: i for i, variant in enumerate(shop.variants)}
    placements = {shop.placement.name: shop.placement.pk}
    found = Counter(
        (
            int(facts.participants.arm[i]),
            int(facts.participants.day[i]),
            facts.devices[facts.participants.device[i]]
            if facts.participants.device[i] >= 0
            else None,
            placements[facts.placements[facts.participants.placement[i]]],
            bool(facts.participants.returning[i]),
            *(int(facts.participants.pre[name][i]) for name in PRE_MEASURES),
        )
        for i in range(len(facts.participants))
    )
    assert facts.first_day is not None
    first_day = facts.first_day
    assert found == Counter(
        (
            arms[row["variant_id"]],
            (row["day"] - first_day).days,
            row["device"],
            row["placement_id"],
            row["is_returning"],
            *(row[name] for name in PRE_MEASURES),
        )
        for row in kept
    )
    persons = {row["person"]: row for row in kept}
    expected = [row for row in rows["ParticipantDay"] if row["person"] in persons]
    assert len(facts.days.day) == len(expected) > 5
    assert sorted(
        (int(facts.participants.arm[p]), int(day), *(facts.days.measures[n][i] for n in MEASURES))
        for i, (p, day) in enumerate(zip(facts.days.participant, facts.days.day, strict=True))
    ) == sorted(
        (
            arms[persons[row["person"]]["variant_id"]],
            (row["day"] - first_day).days,
            *(row[n] for n in MEASURES),
        )
        for row in expected
    )


def test_a_last_day_is_the_state_of_that_day(shop: ShopOfTests) -> None:
    shop.expose("ann")
    shop.expose("ben", at=START + days(2))
    shop.order("ann", at=START + days(1))
    shop.order("ann", at=START + days(3))
    first, last = START.date(), (START + days(1)).date()
    facts = facts_of(shop, last_day=last)
    assert len(facts.participants) == 1
    assert facts.days.measures["n_orders"].sum() == 1
    assert (facts.first_day, facts.last_day) == (first, last)
    assert facts.now == START.replace(day=4, hour=0)
    assert facts.latency.sum() == 1


def test_a_first_day_leaves_out_who_was_exposed_before(shop: ShopOfTests) -> None:
    shop.expose("ann", shown=shop.products[:1])
    shop.expose("ben", at=START + days(2), shown=shop.products[:1])
    shop.order("ann", at=START + days(3))
    shop.order("ben", at=START + days(3))
    facts = facts_of(shop, first_day=(START + days(1)).date())
    assert facts.participants.day.tolist() == [1]
    assert facts.days.measures["n_orders"].sum() == 1
    assert facts.phases[0].exposed == (1, 0)
    assert len(facts.shown.times) == 1


def test_the_catalog_of_an_experiment_is_what_may_be_shown_or_was(shop: ShopOfTests) -> None:
    before = facts_of(shop).shown.n_products
    shop.expose("ann", shown=shop.products[:1])
    make_product(shop.store, "sold-out", stock_count=0)
    make_product(shop.store, "free", price_minor=None)
    Product.objects.filter(pk__in=[each.pk for each in shop.products[:2]]).update(hidden=True)
    # Two are hidden, of which Ann was shown one.
    assert facts_of(shop).shown.n_products == before - 1


def test_crossovers_and_machines_are_left_out_and_counted(shop: ShopOfTests) -> None:
    for name in ("ann", "crossing", "machine", "both"):
        shop.expose(name)
    shop.show("crossing", shop.other, at=START + HOUR, shown=shop.products)
    shop.show("both", shop.other, at=START + HOUR)
    for name in ("machine", "both"):
        shop.event(name, at=START + HOUR, is_bot=True)
    shop.event("ann", at=START + HOUR)
    facts = facts_of(shop)
    control, other = facts.arms
    assert len(facts.participants) == 1
    assert (control.n_crossovers, control.n_bots) == (2, 1)
    assert (other.n_crossovers, other.n_bots) == (0, 0)
    assert facts.phases[0].exposed == (4, 0)
    assert len(facts.shown.times) == 0


def test_a_bandit_keeps_who_was_moved_to_another_arm(store: Store) -> None:
    shop = make_shop(store, kind=Experiment.Kind.BANDIT)
    shop.expose("ann")
    shop.expose("moved", shown=shop.products[:1])
    shop.show("moved", shop.other, at=START + HOUR, shown=shop.products[1:2])
    shop.expose("machine")
    shop.event("machine", at=START + HOUR, is_bot=True)
    facts = facts_of(shop)
    assert shop.participant("moved").is_crossover
    assert facts.participants.arm.tolist() == [0, 0]
    assert [(arm.n_crossovers, arm.n_bots) for arm in facts.arms] == [(0, 1), (0, 0)]
    assert len(facts.shown.times) == 2


def test_orders_reported_again_are_counted_as_such(shop: ShopOfTests) -> None:
    shop.expose("guest")
    shop.link("guest", "customer")
    # Reported thrice, one of it from before; and one of the same id by somebody else.
    shop.order("guest", at=START - HOUR, order_id="1")
    shop.order("guest", at=START + HOUR, order_id="1")
    shop.order("customer", at=START + days(1), order_id="1")
    shop.order("stranger", at=START + days(1), order_id="1")
    shop.order("guest", at=START + HOUR, order_id="2")
    facts = facts_of(shop)
    assert facts.arms[0].n_duplicate_orders == 2
    assert facts.days.measures["n_orders"].sum() == 1


def test_silent_shoppers_and_answers_that_never_came_are_counted(shop: ShopOfTests) -> None:
    shop.expose("unheard of")
    # Known well, and gone since.
    shop.expose("silent")
    shop.event("silent", at=START - HOUR)
    # Another device of the same person goes on.
    shop.expose("guest")
    shop.link("guest", "customer")
    shop.event("customer", EventType.SEARCH, at=START + HOUR)
    identity = shop.expose("unlogged", shop.other)
    shop.event("unlogged", at=START + HOUR)
    Impression.objects.filter(recommendation_id=identity).delete()
    facts = facts_of(shop)
    assert [(arm.n_silent, arm.n_unlogged) for arm in facts.arms] == [(2, 0), (0, 1)]
    shop.event("silent", at=START + days(1))
    assert [arm.n_silent for arm in facts_of(shop).arms] == [1, 0]


def test_phases_have_their_own_exposures_and_pauses_put_the_end_off(shop: ShopOfTests) -> None:
    experiment = shop.experiment
    first = experiment.phases.get()
    first.ended_at = START + days(1)
    first.save()
    second = ExperimentPhase.objects.create(
        store=shop.store, experiment=experiment, cause="resume", coverage=1.0, weights=[1.0, 3.0],
        started_at=START + days(3),
    )  # fmt: skip
    shop.expose("ann")
    # Who answered hadn't heard of the pause.
    shop.expose("ben", shop.other, at=START + days(1) + timedelta(seconds=1))
    shop.expose("cem", shop.other, at=START + days(3))
    facts = facts_of(shop)
    assert [phase.exposed for phase in facts.phases] == [(1, 1), (0, 1)]
    assert facts.ends_at == START + days(experiment.planned_days + 2)
    assert [arm.share for arm in facts.arms] == [0.25, 0.75]
    second.ended_at = START + days(4)
    second.save()
    experiment.state = Experiment.State.PAUSED
    assert experiment_ends_at(
        experiment=experiment, phases=list(experiment.phases.all()), now=START + days(5)
    ) == START + days(experiment.planned_days + 3)
    # The pause goes on until the stop.
    experiment.state, experiment.stopped_at = Experiment.State.STOPPED, START + days(10)
    assert experiment_ends_at(
        experiment=experiment, phases=list(experiment.phases.all()), now=START + days(40)
    ) == START + days(experiment.planned_days + 8)


def test_what_was_shown_is_counted_by_participant_and_product(
    shop: ShopOfTests, other_store: Store
) -> None:
    make_product(other_store, "theirs")
    make_product(shop.store, "hidden", hidden=True)
    one, two, three = shop.products[:3]
    shop.expose("guest", shown=[one, two])
    shop.link("guest", "customer")
    shop.show("customer", at=START + HOUR, shown=[two, three])
    shop.show("customer", at=START + days(1))
    shop.show("guest", at=START - HOUR, shown=[three])
    make_impression(shop.store, shop.placement, "guest", [three], at=START + HOUR)
    shop.show("stranger", at=START + HOUR, shown=[one])
    facts = facts_of(shop)
    ids = sorted(product.pk for product in shop.products)
    assert facts.shown.n_products == len(ids)
    assert {
        ids[product]: times
        for product, times in zip(
            facts.shown.product.tolist(), facts.shown.times.tolist(), strict=True
        )
    } == {one.pk: 1, two.pk: 2, three.pk: 1}
    assert set(facts.shown.participant.tolist()) == {0}
    assert facts.shown.since is None


def test_products_that_left_the_catalog_are_numbered_if_they_were_shown(shop: ShopOfTests) -> None:
    gone = make_product(shop.store, "gone", hidden=True)
    shop.expose("ann", shown=[gone])
    facts = facts_of(shop)
    assert facts.shown.n_products == len(shop.products) + 1
    assert facts.shown.times.tolist() == [1]


def test_of_a_hold_out_the_last_four_weeks_of_lists_are_read(store: Store) -> None:
    shop = make_shop(store, kind=Experiment.Kind.HOLDOUT)
    shop.expose("ann", shown=shop.products[:1])
    shop.show("ann", at=START + days(40), shown=shop.products[1:2])
    experiment_refresh(experiment=shop.experiment, now=START + days(41))
    facts = experiment_facts(experiment=shop.experiment, now=START + days(41))
    assert facts.shown.since == (START + days(41 - 27)).date()
    assert len(facts.shown.times) == 1


def test_votes_are_clicks_by_side_a_product_of_a_list_once(store: Store) -> None:
    shop = make_shop(store, kind=Experiment.Kind.INTERLEAVING)
    shown = shop.expose("ann", shown=shop.products[:3], teams=[0, 1, 1])
    theirs = shop.expose("ben", shown=shop.products[:2], teams=[0, 1])
    for product in (0, 1, 1, 5):
        shop.event(
            "ann",
            EventType.RECOMMENDATION_CLICK,
            at=START + HOUR,
            product=shop.products[product],
            recommendation_id=shown,
        )
    shop.event("ann", EventType.RECOMMENDATION_CLICK, at=START + HOUR, recommendation_id=theirs)
    facts = facts_of(shop)
    assert facts.votes is not None
    assert facts.votes.credits == ((1, 1),)
    assert facts_of(make_shop(store)).votes is None


def test_an_experiment_without_anybody_has_empty_arrays(shop: ShopOfTests) -> None:
    facts = facts_of(shop)
    assert len(facts.participants) == len(facts.days.day) == len(facts.shown.times) == 0
    assert facts.latency.sum() == 0
    assert [arm.key for arm in facts.arms] == ["a", "b"]
    assert facts.facts_until is None


def test_two_stores_do_not_mix(store: Store, other_store: Store) -> None:
    ours, theirs = make_shop(store), make_shop(other_store)
    for shop in (ours, theirs):
        shop.expose("ann", shown=shop.products)
    theirs.order("ann", at=START + HOUR)
    facts = facts_of(ours)
    facts_of(theirs)
    assert facts.days.measures["n_orders"].sum() == 0
    assert facts.shown.n_products == len(ours.products)


def test_lists_of_any_length_are_read_in_the_order_of_their_key(shop: ShopOfTests) -> None:
    lengths = [3, 0, 1, 3, 2, 0]
    for number, length in enumerate(lengths):
        Impression.objects.create(
            store=shop.store, recommendation_id=uuid.uuid4(), delivered_on=START.date(),
            delivered_at=START, placement_id=number, strategy_version_id=1,
            product_ids=[10 * number + i for i in range(length)], sources=[], propensities=[],
            took_us=1,
        )  # fmt: skip
    found = copy_lists(
        "SELECT 5 - placement_id, placement_id, product_ids FROM recommender_impression"
        " WHERE store_id = %(store)s",
        {"store": shop.store.pk},
        n_keys=2,
    )
    assert found.keys.tolist() == [[5 - n, n] for n in reversed(range(6))]
    assert [
        found.values[a:b].tolist() for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)
    ] == [[10 * n + i for i in range(lengths[n])] for n in reversed(range(6))]
    none = copy_lists(
        "SELECT placement_id, product_ids FROM recommender_impression WHERE false", {}, n_keys=1
    )
    assert none.starts.tolist() == [0]
    assert none.values.dtype == np.int64


def test_a_copy_that_fails_midway_says_why_and_the_connection_goes_on(store: Store) -> None:
    query = "SELECT n, ARRAY[1 / (30000 - n)]::bigint[] FROM generate_series(1, 40000) AS n"
    with pytest.raises(DivisionByZero), transaction.atomic():
        copy_lists(query, {}, n_keys=1)
    assert Store.objects.filter(pk=store.pk).exists()
