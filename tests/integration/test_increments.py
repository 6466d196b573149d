"""Increments: what is new is added exactly once, and comes out as if all had been counted at once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from catalog.contract.products import ProductDraft
from catalog.models import Event, EventType, Product, ShopperLink, Store
from catalog.services.products import products_upsert
from recommender import tasks
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.offline.next_click import fit_next_click
from recommender.models import Artifact, EventWeights, Placement, Run
from recommender.services import publishing
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.services.training import content, increments, sessions
from recommender.services.training.execution import run_execute, run_take
from recommender.services.training.increments import INCREMENTS, Learned, increments_learn
from recommender.services.training.runs import run_request
from recommender.services.training.schedule import increment_is_due, runs_due
from recommender.services.training.trained import TrainingData
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_event, make_product, make_shopper
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, train_all, two_tastes

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(store: Store) -> TwoTastes:
    made = two_tastes(store)
    # Long ago, so that what a test adds comes in after everything that was trained.
    Event.objects.filter(store=store).update(received_at=made.now - 2 * HOUR)
    runs = train_all(store)
    assert {run.state for run in runs.values()} == {Run.State.PUBLISHED}
    return made


def serving(store: Store, family: str) -> LoadedArtifact:
    artifact = Artifact.objects.get(store=store, family=family, serving=True)
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR), store_id=store.pk, family=family, version=artifact.version
    )
    return artifact_open(folder, training=True)


def by_product(artifact: LoadedArtifact, name: str) -> dict[int, float]:
    """A value per product that has one."""
    pairs = zip(artifact["item_ids"].tolist(), artifact[name].tolist(), strict=True)
    return {key: value for key, value in pairs if value}


def add(store: Store, family: str, *, now: datetime | None = None) -> Learned:
    return increments_learn(families=(family,), store=store, at_once=True, now=now)


def train(store: Store, family: str) -> Run:
    run = run_request(store=store, family=family, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run)


def happen(
    world: TwoTastes, who: str, what: str, *, at: datetime, received: datetime, **fields: Any
) -> Event:
    fields.setdefault("type", EventType.VIEW_ITEM)
    return make_event(
        world.store,
        world.shoppers[who],
        world.products[what],
        at=at,
        received_at=received,
        **fields,
    )


# ------------------------------------------------------------------------------------- popularity


@pytest.mark.parametrize("seed", range(3))
def test_popularity_by_increments_is_that_of_a_full_training_in_any_order_of_arrival(
    world: TwoTastes, seed: int
) -> None:
    chance = random.Random(seed)
    begin = world.now - HOUR
    n_chunks = 5
    for chunk in range(n_chunks):
        for _ in range(40):
            # The same few shoppers and products again and again: most are counted already today.
            happen(
                world,
                chance.choice(["breakfast-1", "breakfast-2", "tools-3"]),
                chance.choice([*BREAKFAST, "tofu"]),
                type=chance.choice(
                    [EventType.VIEW_ITEM, EventType.ADD_TO_CART, EventType.PURCHASE]
                ),
                at=world.now - timedelta(days=chance.random() * 4),
                # Within its chunk the order of arrival is any.
                received=begin + (chunk + chance.random()) * 10 * MINUTE,
            )
        assert len(add(world.store, "popularity").published) == 1
    grown = serving(world.store, "popularity")
    run = train(world.store, "popularity")
    full = serving(world.store, "popularity")
    assert grown.manifest.marks == full.manifest.marks
    assert grown.manifest.as_of_s == full.manifest.as_of_s
    assert grown.manifest.counts == full.manifest.counts == run.counts
    # Trending is a small difference of two sums of float32, each off by its own rounding.
    for name, rounding in (("bestsellers", 1e-6), ("recent_counts", 1e-6), ("trending", 2e-6)):
        wanted = pytest.approx(by_product(full, name), rel=1e-4, abs=rounding)
        assert by_product(grown, name) == wanted, name


def test_an_event_that_is_committed_late_counts_once(world: TwoTastes) -> None:
    mark = world.now - HOUR
    happen(world, "tools-1", "tofu", at=mark, received=mark)
    add(world.store, "popularity")
    # Received before, stored after: its transaction was slow.
    happen(world, "tools-2", "tofu", at=mark, received=mark - MINUTE)
    happen(world, "tools-3", "saw", at=mark, received=mark + MINUTE)
    add(world.store, "popularity")
    happen(world, "tools-4", "saw", at=mark, received=mark + 2 * MINUTE)
    add(world.store, "popularity")
    tofu = world.id_of("tofu")
    counted = by_product(serving(world.store, "popularity"), "bestsellers")[tofu]
    train(world.store, "popularity")
    assert counted == pytest.approx(
        by_product(serving(world.store, "popularity"), "bestsellers")[tofu], rel=1e-5
    )
    assert counted == pytest.approx(0.2, rel=0.01)


def test_what_teaches_nothing_is_left_out_of_increments_too(world: TwoTastes) -> None:
    at = world.now - HOUR
    Product.objects.filter(pk=world.id_of("glue")).update(hidden=True)
    happen(world, "tools-1", "tofu", at=at, received=at, is_bot=True)
    happen(world, "tools-2", "tofu", at=at, received=at, consent=0)
    happen(world, "tools-3", "glue", at=at, received=at)
    happen(world, "tools-4", "saw", at=at, received=at)
    add(world.store, "popularity")
    counts = by_product(serving(world.store, "popularity"), "bestsellers")
    assert {world.id_of("tofu"), world.id_of("glue")}.isdisjoint(counts)


def test_a_guest_and_the_customer_count_as_one_on_a_day(world: TwoTastes) -> None:
    at = world.now - HOUR
    happen(world, "tools-1", "tofu", at=at, received=at)
    add(world.store, "popularity")
    ShopperLink.objects.create(
        store=world.store,
        shopper=world.shoppers["tools-1"],
        customer=world.shoppers["tools-2"],
        linked_by=ShopperLink.LinkedBy.API,
    )
    happen(world, "tools-2", "tofu", at=at, received=at + MINUTE)
    add(world.store, "popularity")
    counts = by_product(serving(world.store, "popularity"), "bestsellers")
    assert counts[world.id_of("tofu")] == pytest.approx(0.1, rel=0.01)


def test_without_news_there_is_no_run_and_no_version(world: TwoTastes) -> None:
    before = list(Run.objects.values_list("pk", flat=True))
    make_event(
        world.store, world.shoppers["tools-1"], None, type=EventType.SEARCH, received_at=world.now
    )
    assert increments_learn(store=world.store, at_once=True) == Learned([], [])
    assert list(Run.objects.values_list("pk", flat=True)) == before


def test_an_increment_leaves_the_other_store_alone(world: TwoTastes, other_store: Store) -> None:
    stranger = make_shopper(other_store, "stranger")
    thing = make_product(other_store, "thing")
    make_event(other_store, stranger, thing, received_at=world.now)
    assert increments_learn(at_once=True) == Learned([], [])
    assert not Run.objects.filter(store=other_store).exists()


def test_other_event_weights_ask_for_a_full_training(world: TwoTastes) -> None:
    EventWeights.objects.create(store=world.store, weights={"view_item": 0.7})
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    Run.objects.update(queued_at=world.now - HOUR)
    learned = add(world.store, "popularity")
    assert [(run.family, run.trigger) for run in learned.rebuilds] == [("popularity", "schedule")]
    # The next one waits for it.
    assert add(world.store, "popularity") == Learned([], [])


def test_very_many_new_events_are_counted_in_full(
    world: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increments, "MAX_EVENTS", 1)
    Run.objects.update(queued_at=world.now - HOUR)
    for who in ("tools-1", "tools-2"):
        happen(world, who, "saw", at=world.now, received=world.now)
    assert [run.family for run in add(world.store, "popularity").rebuilds] == ["popularity"]


def test_after_an_erasure_a_full_training_knows_nothing_of_it(world: TwoTastes) -> None:
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    add(world.store, "popularity")
    assert world.id_of("tofu") in by_product(serving(world.store, "popularity"), "bestsellers")
    Event.objects.filter(shopper=world.shoppers["tools-1"]).delete()
    train(world.store, "popularity")
    assert world.id_of("tofu") not in by_product(serving(world.store, "popularity"), "bestsellers")


# ------------------------------------------------------------------------------- side by side


def test_an_increment_gives_way_to_a_full_training_that_was_faster(
    world: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    usual = INCREMENTS["popularity"]

    def overtaken(base: Any, now: datetime) -> Any:
        trained = usual.add(base, now)
        train(world.store, "popularity")
        return trained

    monkeypatch.setitem(INCREMENTS, "popularity", replace(usual, add=overtaken))
    assert add(world.store, "popularity") == Learned([], [])
    now_serving = Artifact.objects.get(store=world.store, family="popularity", serving=True)
    assert now_serving.run.trigger == Run.Trigger.COMMAND
    folders = Path(settings.ARTIFACT_DIR, str(world.store.pk), "popularity").iterdir()
    known = Artifact.objects.filter(store=world.store, family="popularity")
    assert {folder.name for folder in folders} == set(known.values_list("version", flat=True))


def test_an_increment_and_a_full_training_do_not_wait_for_each_other(world: TwoTastes) -> None:
    full = run_request(store=world.store, family="popularity", trigger=Run.Trigger.MEMBER)
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    assert len(add(world.store, "popularity").published) == 1
    assert run_execute(run=full).state == Run.State.PUBLISHED
    happen(world, "tools-2", "tofu", at=world.now, received=world.now + MINUTE)
    add(world.store, "popularity")
    counts = by_product(serving(world.store, "popularity"), "bestsellers")
    assert counts[world.id_of("tofu")] == pytest.approx(0.2, rel=0.01)


@pytest.fixture
def another_process(db: None) -> Iterator[psycopg.Connection[Any]]:
    """A second connection to the test's database."""
    wanted = ("host", "port", "dbname", "user", "password")
    parameters = connection.get_connection_params()
    with psycopg.connect(**{k: v for k, v in parameters.items() if k in wanted}) as other:
        yield other


def test_two_workers_do_not_add_the_same_news(
    world: TwoTastes, another_process: psycopg.Connection[Any]
) -> None:
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    name = f"increment:{world.store.pk}:popularity"
    another_process.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    assert add(world.store, "popularity") == Learned([], [])
    another_process.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    assert len(add(world.store, "popularity").published) == 1


def test_one_full_training_runs_at_a_time_and_the_others_stay_in_line(
    world: TwoTastes, another_process: psycopg.Connection[Any]
) -> None:
    first = run_request(store=world.store, family="popularity", trigger=Run.Trigger.MEMBER)
    second = run_request(store=world.store, family="content", trigger=Run.Trigger.MEMBER)
    another_process.execute("SELECT pg_advisory_lock(hashtextextended('training', 0))")
    assert run_take(run_id=first.pk) is None
    first.refresh_from_db()
    assert first.state == Run.State.QUEUED
    another_process.execute("SELECT pg_advisory_unlock(hashtextextended('training', 0))")
    assert run_take(run_id=first.pk) == second
    first.refresh_from_db()
    assert first.state == Run.State.PUBLISHED


def test_a_failed_increment_is_noted_and_tried_again_later(
    world: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(world, "tools-1", "tofu", at=world.now, received=world.now)
    before = serving(world.store, "popularity").manifest.version

    def disk_full(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(publishing, "artifact_write", disk_full)
    add(world.store, "popularity")
    run = Run.objects.get(store=world.store, trigger=Run.Trigger.INCREMENT)
    assert run.state == Run.State.FAILED
    assert run.message == (
        "The disk or the network refused: No space left on device. The log says where."
    )
    assert serving(world.store, "popularity").manifest.version == before
    base = Artifact.objects.get(store=world.store, family="popularity", serving=True)
    later = base.created_at + 61 * timedelta(seconds=1)
    assert not increment_is_due(base=base, now=run.queued_at + timedelta(seconds=30))
    assert increment_is_due(base=base, now=max(later, run.queued_at + 61 * timedelta(seconds=1)))
    monkeypatch.undo()
    assert len(add(world.store, "popularity").published) == 1


# --------------------------------------------------------------------------------------- sessions


def sessions_of(artifact: LoadedArtifact) -> list[tuple[int, list[int]]]:
    """End and products of every session in the index, sorted."""
    ids, offsets = artifact["item_ids"], artifact["index_session_offsets"]
    return sorted(
        (end, ids[artifact["index_session_items"][start:stop]].tolist())
        for end, start, stop in zip(
            artifact["index_session_times_s"].tolist(), offsets[:-1], offsets[1:], strict=True
        )
    )


def clicks_of(artifact: LoadedArtifact) -> dict[int, list[float]]:
    """Per product what the next-click model counts: clicks, starts, ends, recent clicks."""
    pairs = zip(artifact["item_ids"].tolist(), artifact["counts_item_counts"].tolist(), strict=True)
    return {key: values for key, values in pairs if any(values)}


def train_at(store: Store, family: str, now: datetime) -> Run:
    run = run_request(store=store, family=family, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run, data=TrainingData(store_id=store.pk, now=now))


@pytest.mark.parametrize("seed", range(2))
def test_sessions_by_increments_are_those_of_a_full_training_in_any_order_of_arrival(
    world: TwoTastes, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    world.products["late"] = make_product(world.store, "late", title="Came later")
    arriving = []
    for who in ("breakfast-1", "breakfast-2", "tools-3", "tools-4"):
        at = world.now
        for _ in range(20):
            # Some gaps end a session, and events come up to five minutes late.
            at += chance.choice([1, 2, 10, 28, 33, 70]) * MINUTE + chance.random() * MINUTE / 2
            arriving.append((at + chance.random() * 5 * MINUTE, at, who))
    arriving.sort()
    clock, n_published = world.now, 0
    end = arriving[-1][0] + HOUR
    while clock < end:
        clock += 3 * MINUTE
        while arriving and arriving[0][0] <= clock:
            received, at, who = arriving.pop(0)
            what = chance.choice([*BREAKFAST, *TOOLS, "late"])
            happen(world, who, what, at=at, received=received)
        n_published += len(add(world.store, "sessions", now=clock).published)
    assert n_published > 10
    grown = serving(world.store, "sessions")
    half_lives = grown["counts_half_lives_s"]
    monkeypatch.setattr(
        sessions,
        "fit_next_click",
        partial(fit_next_click, half_lives_s=half_lives),
    )
    train_at(world.store, "sessions", clock)
    full = serving(world.store, "sessions")
    assert sessions_of(grown) == sessions_of(full)
    assert grown.manifest.marks == full.manifest.marks
    assert len(grown["open_people"]) == len(full["open_people"]) == 0
    n_events = Event.objects.filter(store=world.store).count()
    assert grown.manifest.counts["steps"] == full.manifest.counts["steps"] == n_events
    counted, whole = clicks_of(grown), clicks_of(full)
    assert counted.keys() == whole.keys()
    for product, values in whole.items():
        assert counted[product] == pytest.approx(values, rel=1e-3), product


def test_an_event_joins_once_however_late_it_comes(world: TwoTastes) -> None:
    n_before = serving(world.store, "sessions").manifest.counts["steps"]
    at = world.now
    happen(world, "tools-1", "saw", at=at, received=at)
    happen(world, "tools-1", "glue", at=at + MINUTE, received=at + MINUTE)
    assert len(add(world.store, "sessions", now=at + 2 * HOUR).published) == 1
    # From the middle of a session that is counted already, and from one that is still open.
    happen(world, "tools-1", "nails", at=at + MINUTE / 2, received=at + 3 * HOUR)
    happen(world, "tools-2", "milk", at=at + 3.9 * HOUR, received=at + 3.9 * HOUR)
    assert len(add(world.store, "sessions", now=at + 4 * HOUR).published) == 1
    assert len(add(world.store, "sessions", now=at + 5 * HOUR).published) == 1
    grown = serving(world.store, "sessions")
    assert grown.manifest.counts["steps"] == n_before + 4
    own = [
        [world.id_of(name) for name in names] for names in (("saw", "glue"), ("nails",), ("milk",))
    ]
    # The straggler's session stands where it came in, beside the one that was newest by then.
    assert sorted(items for _, items in sessions_of(grown)[-3:]) == sorted(own)


def test_an_open_session_is_held_back_and_no_version_is_made_for_it(world: TwoTastes) -> None:
    happen(world, "tools-1", "saw", at=world.now, received=world.now)
    assert add(world.store, "sessions", now=world.now + 20 * MINUTE) == Learned([], [])
    # A full training holds it back too, and hands it on.
    train_at(world.store, "sessions", world.now + 20 * MINUTE)
    held = serving(world.store, "sessions")
    assert held["open_product_ids"].tolist() == [world.id_of("saw")]
    add(world.store, "sessions", now=world.now + 40 * MINUTE)
    grown = serving(world.store, "sessions")
    assert grown.manifest.counts["sessions"] == held.manifest.counts["sessions"] + 1
    assert add(world.store, "sessions", now=world.now + 2 * HOUR) == Learned([], [])


# ---------------------------------------------------------------------------------- new products


def upsert(store: Store, external_id: str, title: str, category: str, brand: str) -> None:
    products_upsert(
        store_id=store.pk,
        drafts=[
            ProductDraft(
                external_id=external_id,
                title=title,
                currency=store.currency,
                price_minor=250,
                brand=brand,
                category_path=category,
            )
        ],
    )


def similar_to(store: Store, external_id: str) -> list[str]:
    """An answer of `similar_content`, by a web process that looks for news once a second."""
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(product_ids=(external_id,)),
        placements=[PlacementRequest(slug="product-similar")],
    )
    answer = page.recommendations[0]
    return [
        page.snapshot.external_ids[row]
        for row, source in zip(answer.rows, answer.sources, strict=True)
        if source == "similar_content"
    ]


@pytest.fixture
def by_content(world: TwoTastes) -> TwoTastes:
    """A shop whose similar products are chosen by their texts alone."""
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=world.store, slug="product-similar"
    )
    version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={
            **placement.strategy_version.document,
            "sources": [{"source": "similar_content", "weight": 1}],
        },
    )
    Placement.objects.filter(pk=placement.pk).update(strategy_version=version, n_products=12)
    settings_touch(store_id=world.store.pk)
    # The full training is a while ago.
    Artifact.objects.update(created_at=world.now - HOUR)
    return world


def test_a_new_product_is_recommended_by_its_content_and_stands_in_old_lists(
    by_content: TwoTastes,
) -> None:
    store = by_content.store
    assert "oats" not in similar_to(store, "muesli")
    upsert(store, "oats", "Muesli of the house with oats", "Breakfast > Muesli", "Breakfast")
    tasks.learn_products()
    assert "oats" in similar_to(store, "muesli")
    assert similar_to(store, "oats")[0] == "muesli"
    run = Run.objects.get(store=store, trigger=Run.Trigger.INCREMENT)
    assert (run.family, run.state, run.counts["products_changed"]) == ("content", "published", 1)


def test_a_changed_text_is_embedded_again_and_another_price_is_not(by_content: TwoTastes) -> None:
    store = by_content.store
    upsert(store, "glue", "Glue of the house", "Tools > Glue", "Tools")
    tasks.learn_products()
    Run.objects.filter(trigger=Run.Trigger.INCREMENT).delete()
    version = serving(store, "content").manifest.version
    Product.objects.filter(pk=by_content.id_of("glue")).update(
        price_minor=99, updated_at=timezone.now()
    )
    Store.objects.update(catalog_version=F("catalog_version") + 1)
    assert add(store, "content") == Learned([], [])
    assert serving(store, "content").manifest.version == version
    # Looked at once, it isn't looked at again.
    marks = Artifact.objects.get(store=store, family="content", serving=True).manifest["marks"]
    assert marks["catalog_version"] == Store.objects.get(pk=store.pk).catalog_version
    upsert(store, "glue", "Honey of the house", "Breakfast > Honey", "Breakfast")
    assert len(add(store, "content").published) == 1
    assert similar_to(store, "glue")[0] == "honey"


def test_lists_by_increments_are_those_of_all_vectors_at_once(by_content: TwoTastes) -> None:
    store = by_content.store
    for number, (department, kind) in enumerate(
        [("Breakfast", "Milk"), ("Tools", "Saw"), ("Tools", "Nails"), ("Breakfast", "Milk")]
    ):
        upsert(store, f"new-{number}", f"{kind} of the house", f"{department} > {kind}", department)
        assert len(add(store, "content").published) == 1
    grown = serving(store, "content")
    whole = fit_content_neighbours(
        grown["vectors"], k=content.NEIGHBOURS, priority=grown["priority"], max_per_variation=1
    )
    np.testing.assert_array_equal(grown["neighbour_rows"], whole.indices)
    np.testing.assert_allclose(grown["neighbour_scores"], whole.scores, atol=1e-5)
    rows = {pk: row for row, pk in enumerate(grown["item_ids"].tolist())}
    twins = Product.objects.filter(store=store, external_id__in=("milk", "new-0", "new-3"))
    assert (
        len({grown["vectors"][rows[pk]].tobytes() for pk in twins.values_list("pk", flat=True)})
        == 1
    )


def test_a_bulk_import_is_trained_and_not_added(
    by_content: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = by_content.store
    Run.objects.update(queued_at=by_content.now - HOUR)
    monkeypatch.setattr(content, "MAX_CHANGED", 2)
    for number in range(3):
        upsert(store, f"bulk-{number}", f"Bulk {number}", "Bulk", "Bulk")
    handed: list[Run] = []
    monkeypatch.setattr(tasks, "run_hand_over", lambda *, run: handed.append(run))
    tasks.learn_products()
    assert [(run.family, run.state) for run in handed] == [("content", Run.State.QUEUED)]
    assert not Run.objects.filter(trigger=Run.Trigger.INCREMENT).exists()


def test_words_that_only_new_products_have_are_learned_in_full(world: TwoTastes) -> None:
    Artifact.objects.filter(family="content").update(
        manifest={"marks": {"added": 4}, "headline": ""}, created_at=world.now
    )
    Run.objects.update(queued_at=world.now - HOUR)
    upsert(world.store, "x", "X", "X", "X")
    due = [run.family for run in runs_due() if run.family == "content"]
    assert due == ["content"]


# ----------------------------------------------------------------------------------- housekeeping


def test_old_increments_are_forgotten_and_their_files_deleted_but_not_what_is_being_opened(
    world: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "KEPT_INCREMENT_RUNS", 3)
    n_increments = 8
    for number in range(n_increments):
        at = world.now + number * MINUTE
        happen(world, "tools-1", "saw", at=at, received=at)
        add(world.store, "popularity")
    folder = Path(settings.ARTIFACT_DIR, str(world.store.pk), "popularity")
    # All were replaced within seconds: a web process may be opening any of them.
    assert len(list(folder.iterdir())) == n_increments + 1
    monkeypatch.setattr(publishing, "OPENING", timedelta(0))
    at = world.now + HOUR
    happen(world, "tools-1", "saw", at=at, received=at)
    add(world.store, "popularity")
    kept = Artifact.objects.filter(store=world.store, family="popularity")
    assert kept.count() == 1 + publishing.KEPT_VERSIONS
    assert {each.name for each in folder.iterdir()} == set(kept.values_list("version", flat=True))
    runs = Run.objects.filter(store=world.store, family="popularity")
    assert runs.filter(trigger=Run.Trigger.INCREMENT).count() == 3
    # Full trainings are the store's history; they stay.
    assert runs.exclude(trigger=Run.Trigger.INCREMENT).count() == 1


def test_what_a_killed_process_left_on_disk_is_deleted_after_a_while(world: TwoTastes) -> None:
    parent = Path(settings.ARTIFACT_DIR, str(world.store.pk), "popularity")
    old, new = parent / ".20260101T000000-7.123", parent / "20260101T000000-8"
    for folder in (old, new):
        folder.mkdir()
        (folder / "bestsellers.npy").write_bytes(b"x")
    two_hours_ago = (timezone.now() - 2 * HOUR).timestamp()
    os.utime(old, (two_hours_ago, two_hours_ago))
    publishing.versions_tidy(store_id=world.store.pk, family="popularity")
    assert (old.exists(), new.exists()) == (False, True)


def test_the_command_adds_and_says_what(
    world: TwoTastes, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("train", "--store", world.store.slug, "--increment")
    assert "Nothing is new." in capsys.readouterr().out
    happen(world, "tools-1", "saw", at=world.now, received=world.now)
    call_command("train", "--store", world.store.slug, "--increment", "--family", "popularity")
    assert "published" in capsys.readouterr().out
    with pytest.raises(CommandError, match="only trained in full: profiles"):
        call_command("train", "--store", world.store.slug, "--increment", "--family", "profiles")
