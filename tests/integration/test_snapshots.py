"""Results that are kept: the latest, the first verdict, the planned end, days, decisions, ranges."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from analytics import tasks
from analytics.models import ExperimentSnapshot, Participant
from analytics.results.document import Results, results_read
from analytics.services.participants import experiment_refresh
from analytics.services.snapshots import (
    Kind,
    snapshot_freeze,
    snapshot_range_ask,
    snapshot_range_compute,
    snapshot_refresh,
)
from catalog.models import Event, EventType, Shopper, Store
from recommender.models import Experiment, ExperimentPhase, Exposure
from tests.experiment_worlds import START, ShopOfTests, make_shop
from tests.factories import days

HOUR = timedelta(hours=1)
MINUTES = timedelta(minutes=5)


@pytest.fixture
def shop(store: Store) -> ShopOfTests:
    shop = make_shop(store)
    shop.expose("ann")
    return shop


def look(shop: ShopOfTests, at: datetime, **fields: Any) -> Results | None:
    experiment = Experiment.objects.select_related("store").get(pk=shop.experiment.pk)
    return snapshot_refresh(experiment=experiment, now=at, **fields).results


def kept(shop: ShopOfTests, kind: str) -> list[ExperimentSnapshot]:
    return list(
        ExperimentSnapshot.objects.filter(experiment=shop.experiment, kind=kind).order_by(
            "last_day"
        )
    )


def read(shop: ShopOfTests, kind: str) -> Results:
    (snapshot,) = kept(shop, kind)
    return results_read(snapshot.document)


def many(shop: ShopOfTests, *, per_arm: int = 200, better: float = 0.6, worse: float = 0.2) -> None:
    """Shoppers of both arms; nearly all of the other one buy, hardly any of the control."""
    people = [(arm, i) for arm in (0, 1) for i in range(per_arm)]
    Shopper.objects.bulk_create(
        Shopper(store=shop.store, external_id=f"{arm}-{i}", first_seen_at=START, last_seen_at=START)
        for arm, i in people
    )
    ids = dict(Shopper.objects.filter(store=shop.store).values_list("external_id", "pk"))
    Exposure.objects.bulk_create(
        Exposure(
            store_id=shop.store.pk,
            experiment_id=shop.experiment.pk,
            shopper_external_id=f"{arm}-{i}",
            variant_id=shop.variants[arm].pk,
            exposed_at=START + timedelta(hours=i % 100),
        )
        for arm, i in people
    )
    Event.objects.bulk_create(
        Event(
            store=shop.store,
            event_id=uuid.uuid4(),
            occurred_on=(START + days(6)).date(),
            occurred_at=START + days(6),
            type=EventType.PURCHASE,
            shopper_id=ids[f"{arm}-{i}"],
            product=shop.products[0],
            value_minor=1000 + i,
            order_id=f"{arm}-{i}",
        )
        for arm, i in people
        if i < per_arm * (better if arm else worse)
    )


def test_a_look_writes_the_latest_results(shop: ShopOfTests) -> None:
    results = look(shop, START + HOUR)
    assert results is not None
    (latest,) = kept(shop, Kind.LATEST)
    assert results_read(latest.document) == results
    assert (latest.computed_at, results.computed_at) == (START + HOUR, START + HOUR)
    assert latest.took_ms is not None
    assert [arm.n_shoppers for arm in results.arms] == [1, 0]


def test_without_news_only_the_time_of_the_look_changes(shop: ShopOfTests) -> None:
    look(shop, START + HOUR)
    before = read(shop, Kind.LATEST)
    assert look(shop, START + HOUR + MINUTES) is None
    (latest,) = kept(shop, Kind.LATEST)
    assert latest.computed_at == START + HOUR + MINUTES
    after = results_read(latest.document)
    assert after.computed_at == START + HOUR + MINUTES
    assert after.arms == before.arms


def test_a_look_does_not_count_again_what_the_look_before_saw(shop: ShopOfTests) -> None:
    shop.order("ann", at=START + MINUTES, received_at=START + MINUTES)
    looked = [
        snapshot_refresh(experiment=shop.experiment, now=START + i * HOUR).refreshed for i in (2, 3)
    ]
    assert [each.n_touched for each in looked if each is not None] == [1, 0]


def test_news_that_another_refresh_found_are_judged(shop: ShopOfTests) -> None:
    look(shop, START + HOUR)
    shop.expose("ben", shop.other)
    experiment_refresh(experiment=shop.experiment, now=START + HOUR + MINUTES)
    results = look(shop, START + HOUR + 2 * MINUTES)
    assert results is not None
    assert [arm.n_shoppers for arm in results.arms] == [1, 1]


def test_a_pause_is_news(shop: ShopOfTests) -> None:
    look(shop, START + HOUR)
    ExperimentPhase.objects.update(ended_at=START + HOUR + MINUTES)
    Experiment.objects.update(state=Experiment.State.PAUSED)
    results = look(shop, START + HOUR + 2 * MINUTES)
    assert results is not None
    assert results.status == "paused"


def test_if_judging_fails_the_next_look_finds_the_news(
    shop: ShopOfTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(shop, START + HOUR)
    shop.expose("ben", shop.other)
    with monkeypatch.context() as broken:
        broken.setattr("analytics.services.snapshots._judged", _fails)
        with pytest.raises(ValueError, match="broken"):
            look(shop, START + HOUR + MINUTES)
    assert Participant.objects.count() == 1
    assert look(shop, START + HOUR + 2 * MINUTES) is not None


def _fails(*_: object) -> Results:
    raise ValueError("broken")


def test_each_day_keeps_its_last_look(store: Store, shop: ShopOfTests) -> None:
    for at in (START, START + 2 * HOUR, START + days(1), START + days(1) + HOUR, START + days(3)):
        look(shop, at)
    found = kept(shop, Kind.DAY)
    assert [(each.last_day.day, each.computed_at) for each in found if each.last_day] == [
        (2, START + 2 * HOUR),
        (3, START + days(1) + HOUR),
    ]
    assert all(each.document is not None for each in found)


def test_a_new_day_is_judged_anew(shop: ShopOfTests) -> None:
    look(shop, START + HOUR)
    assert look(shop, START + days(1)) is not None


def test_a_verdict_that_was_found_stands(shop: ShopOfTests) -> None:
    many(shop)
    first = look(shop, START + days(8))
    assert first is not None
    found_at = first.verdicts[0].found_at
    assert (first.verdicts[0].state, found_at) == ("better", START + days(8))
    assert [each.last_day for each in kept(shop, Kind.FOUND)] == [(START + days(8)).date()]
    # Now the control buys as much.
    for i in range(200):
        shop.order(f"0-{i}", at=START + days(8))
    later = look(shop, START + days(9))
    assert later is not None
    assert (later.verdicts[0].state, later.verdicts[0].found_at) == ("better", found_at)
    assert len(kept(shop, Kind.FOUND)) == 1


def test_the_planned_end_is_one_look(shop: ShopOfTests) -> None:
    end = START + days(shop.experiment.planned_days)
    look(shop, end - HOUR)
    assert kept(shop, Kind.PLANNED_END) == []
    at_end = look(shop, end + HOUR)
    assert at_end is not None
    assert at_end.moment == "planned_end"
    shop.expose("ben")
    later = look(shop, end + 2 * HOUR)
    assert later is not None
    assert later.moment == "after"
    assert read(shop, Kind.PLANNED_END) == at_end


def test_an_experiment_that_was_stopped_early_has_no_planned_end(shop: ShopOfTests) -> None:
    stop(shop, START + days(3))
    look(shop, START + days(40))
    assert kept(shop, Kind.PLANNED_END) == []


def test_a_pause_that_ends_with_the_stop_brings_no_planned_end(shop: ShopOfTests) -> None:
    paused_at, length = START + days(7), days(shop.experiment.planned_days)
    ExperimentPhase.objects.update(ended_at=paused_at)
    stopped_at = START + length + days(3)
    Experiment.objects.update(state=Experiment.State.STOPPED, stopped_at=stopped_at)
    results = look(shop, stopped_at + MINUTES)
    assert results is not None
    assert results.moment == "running"
    assert kept(shop, Kind.PLANNED_END) == []


def stop(shop: ShopOfTests, at: datetime) -> None:
    ExperimentPhase.objects.update(ended_at=at)
    Experiment.objects.update(state=Experiment.State.STOPPED, stopped_at=at)
    shop.experiment.refresh_from_db()


def test_after_the_stop_there_is_a_last_look_and_others_only_for_late_facts(
    shop: ShopOfTests,
) -> None:
    look(shop, START + days(2))
    stop(shop, START + days(3))
    last = look(shop, START + days(3) + MINUTES)
    assert last is not None
    assert last.status == "stopped"
    assert look(shop, START + days(5)) is None
    shop.order("ann", at=START + days(3) + HOUR)
    assert look(shop, START + days(6)) is None
    shop.order("ann", at=START + days(2))
    late = look(shop, START + days(7))
    assert late is not None
    assert late.arms[0].n_orders == 1
    shop.order("ann", at=START + days(1))
    assert look(shop, START + days(18)) is None
    assert read(shop, Kind.LATEST).arms[0].n_orders == 1


def test_a_worker_that_was_away_still_takes_the_last_look(shop: ShopOfTests) -> None:
    look(shop, START + days(2))
    stop(shop, START + days(3))
    assert look(shop, START + days(60)) is not None


def test_a_decision_freezes_what_was_known(shop: ShopOfTests) -> None:
    assert snapshot_freeze(experiment=shop.experiment, kind=Kind.DECISION) is None
    results = look(shop, START + HOUR)
    frozen = snapshot_freeze(experiment=shop.experiment, kind=Kind.DECISION)
    assert frozen is not None
    shop.expose("ben")
    look(shop, START + 2 * HOUR)
    assert read(shop, Kind.DECISION) == results


def test_a_range_waits_for_a_worker_and_leaves_the_others_alone(shop: ShopOfTests) -> None:
    shop.expose("ben", shop.other, at=START + days(2))
    look(shop, START + days(3))
    latest = read(shop, Kind.LATEST)
    first, last = (START + days(1)).date(), (START + days(2)).date()
    asked = snapshot_range_ask(
        experiment=shop.experiment, first_day=last, last_day=first, now=START + days(3)
    )
    assert asked.document is None
    again = snapshot_range_ask(
        experiment=shop.experiment, first_day=first, last_day=last, now=START + days(3)
    )
    assert again.pk == asked.pk
    snapshot_range_compute(snapshot=asked, now=START + days(3))
    found = read(shop, Kind.RANGE)
    assert (found.first_day, found.last_day) == (first, last)
    assert [arm.n_shoppers for arm in found.arms] == [0, 1]
    assert read(shop, Kind.LATEST) == latest
    done = snapshot_range_ask(
        experiment=shop.experiment, first_day=first, last_day=last, now=START + days(3)
    )
    assert done.document is not None
    # It is asked for again after another look: there may be late events.
    look(shop, START + days(4))
    stale = snapshot_range_ask(
        experiment=shop.experiment, first_day=first, last_day=last, now=START + days(4)
    )
    assert stale.document is None
    look(shop, START + days(20))
    assert kept(shop, Kind.RANGE) == []


def test_a_range_has_its_own_days_and_no_verdict(shop: ShopOfTests) -> None:
    many(shop)
    whole = look(shop, START + days(8))
    assert whole is not None
    assert whole.status == "ship"
    for first, n_days, state in ((0, 8.0, "running"), (1, 7.5, "running"), (3, 5.5, "not_enough")):
        asked = snapshot_range_ask(
            experiment=shop.experiment,
            first_day=(START + days(first)).date(),
            last_day=(START + days(8)).date(),
        )
        snapshot_range_compute(snapshot=asked, now=START + days(8))
        some = results_read(asked.document)
        (verdict,) = some.verdicts
        assert some.days == n_days
        assert (some.status, verdict.state, verdict.advice) == ("range", state, None)
        assert (verdict.found_by, verdict.found_at) == (None, None)
        assert some.headline == f"In these days: {verdict.sentence}".replace(
            ": Too little", ": too little"
        )


def test_each_started_experiment_is_a_task_of_its_own(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shops = [make_shop(store), make_shop(other_store), make_shop(store)]
    draft = make_shop(store, state=Experiment.State.DRAFT)
    for each in shops:
        each.expose("ann")
    asked: list[int] = []
    monkeypatch.setattr(
        tasks.refresh_experiment, "apply_async", lambda args, expires: asked.append(args[0])
    )
    tasks.refresh_experiments()
    assert sorted(asked) == sorted(each.experiment.pk for each in shops)
    tasks.refresh_experiment(draft.experiment.pk)
    assert not kept(draft, Kind.LATEST)


def test_tasks_look_at_one_experiment_and_work_out_a_range(shop: ShopOfTests) -> None:
    tasks.refresh_experiment(shop.experiment.pk)
    assert len(kept(shop, Kind.LATEST)) == 1
    asked = snapshot_range_ask(
        experiment=shop.experiment, first_day=START.date(), last_day=START.date()
    )
    tasks.compute_range(asked.pk)
    asked.refresh_from_db()
    assert asked.computed_at is not None
    assert timezone.now() - asked.computed_at < MINUTES


def test_the_command_counts_anew_and_says_what_it_found(
    shop: ShopOfTests, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("experiments", "--store", shop.store.slug)
    assert "corner/" in capsys.readouterr().out
    Participant.objects.all().delete()
    call_command("experiments", "--experiment", shop.experiment.key, "--rebuild")
    assert "1 participants" in capsys.readouterr().out
    assert Participant.objects.count() == 1
    with pytest.raises(CommandError, match="no started experiment"):
        call_command("experiments", "--store", "elsewhere")
