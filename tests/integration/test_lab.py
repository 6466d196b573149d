"""The Lab: a store's history as tasks, comparisons from request to table, and the method of choice."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import AuditEntry, EventType, Product, ShopperLink, Store, User
from recommender import tasks
from recommender.console.reason_words import shown_products
from recommender.engine.errors import EmptyInputError
from recommender.engine.evaluation.leaderboard import board_from_document
from recommender.engine.methods.base import Model
from recommender.engine.methods.inputs import Query
from recommender.engine.methods.registry import METHODS
from recommender.engine.types import Candidates
from recommender.management.commands import lab as lab_command
from recommender.models import Artifact, LabChoice, LabRun, Placement, Run
from recommender.selectors import lab as lab_selectors
from recommender.selectors import lab_data
from recommender.selectors.lab import history_stocks
from recommender.selectors.lab_data import lab_tasks
from recommender.selectors.lab_history import LabHistory, lab_history
from recommender.services import lab as lab_services
from recommender.services import lab_running
from recommender.services.lab import (
    LabBusy,
    LabRefused,
    NotMeasured,
    lab_cancel,
    lab_request,
    lab_use,
    labs_bury_dead,
    labs_forgotten,
)
from recommender.services.lab_running import lab_execute, lab_take
from recommender.services.lab_shelf import METHOD_OF, PROTOCOLS, QUICK
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.services.training.chosen_method import neighbour_lists
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from recommender.services.training.schedule import runs_due
from recommender.serving.answer import answer_json
from recommender.serving.models import bind_models
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.stores.session_state import SessionEntry, sessions_restore
from tests.factories import days, make_event, make_order, make_product, make_shopper
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, two_tastes

pytestmark = pytest.mark.django_db

FEW = ("bestsellers", "also_viewed")


def history_of(store: Store) -> LabHistory:
    return lab_history(store_id=store.pk, since=timezone.now() - timedelta(days=730))


def rows_of(history: LabHistory, products: list[Product]) -> list[int]:
    rows: list[int] = history.item_ids.rows_of([each.pk for each in products]).tolist()
    return rows


def request(store: Store, **changes: Any) -> LabRun:
    values: dict[str, Any] = {
        "protocol": "next-purchases",
        "methods": FEW,
        "minutes": 0.05,
    } | changes
    return lab_request(store=store, **values)


@pytest.fixture
def world(store: Store) -> TwoTastes:
    return two_tastes(store)


# ------------------------------------------------------------------------------------ the history


def test_customers_of_both_sides_of_the_cut_are_the_questions(store: Store) -> None:
    now = timezone.now()
    tea, jam, oats = (make_product(store, name) for name in ("tea", "jam", "oats"))
    ann, ben, new = (make_shopper(store, name) for name in ("ann", "ben", "new"))
    # Two lines of one order are one purchase.
    make_order(store, ann, [tea, jam, tea], at=now - days(100))
    make_order(store, ann, [tea], at=now - days(50))
    make_order(store, ann, [oats, tea], at=now - days(2))
    make_order(store, ben, [jam], at=now - days(60))
    make_order(store, new, [tea], at=now - days(1))
    history = history_of(store)
    tea_row, jam_row, oats_row = rows_of(history, [tea, jam, oats])
    found = lab_tasks(history, "next-purchases", days=28, min_queries=1, seed=1)
    (query,), (relevant,) = found.test.queries, found.test.relevant
    bought = dict(zip(query.rows.tolist(), query.counts.tolist(), strict=True))
    assert bought == {tea_row: 2, jam_row: 1}
    assert sorted(relevant.tolist()) == sorted([tea_row, oats_row])
    purchases = found.test.training.purchases
    assert purchases is not None
    assert len(purchases.item_rows) == 4
    assert found.test.training.baskets is not None
    assert found.test.training.baskets.shape == (3, 3)
    # 50 days are left, of which the last fifth is cut off: Ann's tea.
    assert found.validation is not None
    assert [each.tolist() for each in found.validation.relevant] == [[tea_row]]
    # The test begins 28 days before the last order, the validation 10 before the order of Ann's.
    assert (found.cut_s - found.validation.training.now_s) // 86_400 == 50 - 29 + 10
    since = found.test.training.facts.since_s
    assert since is not None
    assert since[oats_row] == found.cut_s


def test_of_each_later_order_one_product_is_hidden(store: Store) -> None:
    now = timezone.now()
    products = [make_product(store, f"p{i}") for i in range(5)]
    ann = make_shopper(store, "ann")
    make_order(store, ann, products, at=now - days(90))
    make_order(store, ann, products[:4], at=now - days(3))
    make_order(store, ann, products[:2], at=now - days(1))
    found = lab_tasks(history_of(store), "basket-completion", days=28, min_queries=1, seed=1)
    (query,), (relevant,) = found.test.queries, found.test.relevant
    assert sorted([*query.rows.tolist(), *relevant.tolist()]) == [0, 1, 2, 3]
    assert query.removed.tolist() == query.rows.tolist()
    assert found.test.training.baskets is not None
    assert found.test.training.baskets.sum() == 5


def test_each_beginning_of_a_later_visit_is_a_question(store: Store) -> None:
    now = timezone.now()
    tea, jam, oats = (make_product(store, name) for name in ("tea", "jam", "oats"))
    ann = make_shopper(store, "ann")
    for minutes, product in ((0, tea), (1, jam)):
        make_event(store, ann, product, at=now - days(90) + timedelta(minutes=minutes))
    # Looked at, put into the cart, and on: one step each product.
    for minutes, product, kind in (
        (0, jam, EventType.VIEW_ITEM),
        (1, jam, EventType.ADD_TO_CART),
        (2, oats, EventType.VIEW_ITEM),
        (3, tea, EventType.VIEW_ITEM),
    ):
        at = now - days(1) + timedelta(minutes=minutes)
        make_event(store, ann, product, type=kind, at=at)
    make_order(store, ann, [tea, oats], at=now)
    history = history_of(store)
    tea_row, jam_row, oats_row = rows_of(history, [tea, jam, oats])
    found = lab_tasks(history, "next-click", days=28, min_queries=1, seed=1).test
    asked = [
        (q.rows.tolist(), r.tolist()) for q, r in zip(found.queries, found.relevant, strict=True)
    ]
    assert asked == [([jam_row], [oats_row]), ([jam_row, oats_row], [tea_row])]
    assert found.training.sessions is not None
    assert found.training.sessions.item_rows.tolist() == [tea_row, jam_row]


def test_a_visit_to_the_whole_catalog_is_not_all_that_is_asked_about(store: Store) -> None:
    now = timezone.now()
    tea, jam = (make_product(store, name) for name in ("tea", "jam"))
    ann, machine = make_shopper(store, "ann"), make_shopper(store, "machine")
    for age in (90, 2):
        for minutes, product in ((0, tea), (1, jam)):
            make_event(store, ann, product, at=now - days(age) + timedelta(minutes=minutes))
    for step in range(60):
        at = now - days(1) + timedelta(seconds=step)
        make_event(store, machine, (tea, jam)[step % 2], at=at)
    queries = lab_tasks(
        history_of(store), "next-click", days=28, min_queries=1, seed=1
    ).test.queries
    assert len(queries) == 51
    assert max(len(query.rows) for query in queries) == 50


def test_the_history_is_what_training_reads_and_one_store_s_alone(
    store: Store, other_store: Store
) -> None:
    now = timezone.now()
    tea, hidden = make_product(store, "tea"), make_product(store, "hidden", hidden=True)
    ann, guest = make_shopper(store, "ann"), make_shopper(store, "guest")
    make_order(store, ann, [tea, hidden], at=now - days(3))
    make_order(store, guest, [tea], at=now - days(2))
    ShopperLink.objects.create(
        store=store, shopper=guest, customer=ann, linked_by=ShopperLink.LinkedBy.API
    )
    kinds: dict[str, Any] = {"type": EventType.PURCHASE, "at": now - days(1)}
    make_event(store, ann, tea, consent=0, **kinds)
    make_event(store, ann, tea, is_bot=True, **kinds)
    make_event(store, ann, None, **kinds)
    theirs = make_product(other_store, "theirs")
    make_order(other_store, make_shopper(other_store, "ann"), [theirs], at=now - days(1))
    history = history_of(store)
    assert history.item_ids.ids.tolist() == [tea.pk]
    assert len(history.events) == 2
    assert len(set(history.events.shopper_rows.tolist())) == 1
    assert history_of(other_store).item_ids.ids.tolist() == [theirs.pk]


def test_the_catalog_says_brands_prices_dates_and_own_vectors(store: Store) -> None:
    now = timezone.now()
    tea = make_product(
        store, "tea", title="Green tea", brand="Leaf", category_path="Drinks > Tea",
        attributes={"size": "100 g"}, price_minor=350, vector=[1.0, 0.0],
        published_at=now - days(500),
    )  # fmt: skip
    jam = make_product(store, "jam", brand="", price_minor=None)
    make_order(store, make_shopper(store, "ann"), [tea, jam], at=now - days(2))
    history = history_of(store)
    tea_row, jam_row = rows_of(history, [tea, jam])
    facts = history.facts
    assert facts.texts is not None
    assert facts.texts[tea_row] == "Green tea Leaf Drinks Tea size 100 g"
    assert facts.prices is not None
    assert facts.prices[tea_row] == 350
    assert np.isnan(facts.prices[jam_row])
    assert facts.brand_codes is not None
    assert (history.brands, int(facts.brand_codes[jam_row])) == (["Leaf"], -1)
    assert facts.vectors is not None
    assert facts.vectors[[tea_row, jam_row]].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert history.published_s[tea_row] == int((now - days(500)).timestamp())


def test_own_vectors_of_another_length_are_left_out_and_huge_numbers_stay_numbers(
    store: Store, other_store: Store
) -> None:
    vectors = {"tea": [1e300, 5e299], "jam": [0.0, -2.0], "oats": [1.0, 2.0, 3.0], "rice": None}
    products = [make_product(store, name, vector=each) for name, each in vectors.items()]
    theirs = [make_product(other_store, f"p{i}", vector=[0.0, 0.0]) for i in range(3)]
    now = timezone.now()
    make_order(store, make_shopper(store, "ann"), products, at=now - days(2))
    make_order(other_store, make_shopper(other_store, "ben"), theirs, at=now - days(2))
    history = history_of(store)
    assert history.facts.vectors is not None
    found = history.facts.vectors[rows_of(history, products)]
    assert found.tolist() == [[1.0, 0.5], [0.0, -1.0], [0.0, 0.0], [0.0, 0.0]]
    # Nothing but zeros says nothing.
    assert history_of(other_store).facts.vectors is None


def test_many_long_vectors_are_kept_by_their_leading_directions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    sent = rng.normal(size=(5, 80))
    products = [make_product(store, f"p{i}", vector=line.tolist()) for i, line in enumerate(sent)]
    make_order(store, make_shopper(store, "ann"), products, at=timezone.now() - days(2))
    monkeypatch.setattr("recommender.selectors.lab_history.MOST_VECTOR_NUMBERS", 5 * 80 - 1)
    history = history_of(store)
    assert history.facts.vectors is not None
    found = history.facts.vectors[rows_of(history, products)]
    assert found.shape == (5, 64)
    # Five products differ in four directions, so nothing is lost but what all of them share.
    units = sent / np.linalg.norm(sent, axis=1, keepdims=True)
    centred = units - units.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-5)


def test_a_history_that_is_too_short_says_what_is_missing(world: TwoTastes, store: Store) -> None:
    history = history_of(store)
    with pytest.raises(EmptyInputError, match=r"has 24 questions .* 500 are needed"):
        lab_tasks(history, "next-purchases", days=28, min_queries=500, seed=1)
    with pytest.raises(EmptyInputError, match="nothing in the history"):
        lab_tasks(history, "next-click", days=28, min_queries=1, seed=1)


def test_the_stocks_are_counted_for_one_store(world: TwoTastes, other_store: Store) -> None:
    assert history_stocks(store=world.store, enough={"customers": 50}) == {
        "customers": 24,
        "baskets": 96,
        "visits": 0,
    }
    assert set(history_stocks(store=other_store, enough={"customers": 50}).values()) == {0}


def test_of_a_large_store_more_events_are_counted_where_the_newest_are_not_enough(
    world: TwoTastes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 288 lines, those of the last day: nobody ordered twice.
    monkeypatch.setattr(lab_selectors, "N_NEWEST", 72)
    with CaptureQueriesContext(connection) as queries:
        stocks = history_stocks(store=store, enough={"baskets": 24})
    assert (stocks["customers"], stocks["baskets"], len(queries)) == (0, 24, 1)
    stocks = history_stocks(store=store, enough={"customers": 20, "baskets": 24})
    assert (stocks["customers"], stocks["baskets"]) == (24, 96)


def test_the_shelf_in_words_is_the_engine_s() -> None:
    here = {key: (each.title, each.quick) for key, each in METHOD_OF.items()}
    assert here == {key: (each.title, each.cheap) for key, each in METHODS.items()}
    assert {each.key for each in PROTOCOLS} == {
        "next-purchases",
        "basket-completion",
        "next-click",
    }


# ---------------------------------------------------------------------------------- a comparison


def test_a_comparison_measures_methods_and_says_who_is_served_well(
    world: TwoTastes, store: Store
) -> None:
    seen: list[tuple[str, float]] = []
    run = lab_execute(
        run=request(store, methods=(*FEW, "biased_svd")), say=lambda *at: seen.append(at)
    )
    assert (run.state, run.progress, run.message) == (LabRun.State.DONE, 1.0, "")
    board = board_from_document(run.document["board"])
    assert (board.protocol, board.n_queries, board.data) == ("next-purchases", 24, store.name)
    best, second, missing = board.rows
    assert {best.key, second.key} == set(FEW)
    assert best.metrics["recall@20"].value == 1.0
    assert (missing.key, missing.missing) == ("biased_svd", "there are no ratings to learn from")
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    report = run.document["reports"][0]
    assert report["key"] == best.key
    assert sum(group["n"] for group in report["shoppers"]) == 24
    assert {each["of"] for each in report["fairness"]} >= {"brands", "popularity"}
    assert run.document["history"]["n_events"] == 24 * 4 * 3
    assert run.document["history"]["untuned"] == ""
    assert lab_execute(run=run).finished_at == run.finished_at


def test_a_comparison_can_be_cancelled_while_it_runs_and_keeps_its_rows(
    world: TwoTastes, store: Store, owner: User
) -> None:
    run = request(store)

    def cancel(step: str, share: float) -> None:
        if "2 of 2" in step:
            lab_cancel(store=store, lab_id=run.pk, actor=owner)

    done = lab_execute(run=run, say=cancel)
    assert done.state == LabRun.State.CANCELLED
    assert [row["key"] for row in done.document["board"]["rows"]] == ["bestsellers"]
    assert "reports" not in done.document
    entry = AuditEntry.objects.get(store=store, action="lab.cancel")
    assert entry.actor == owner


def test_a_long_history_takes_the_defaults_and_says_what_choosing_takes(
    world: TwoTastes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_running, "TUNED_EVENTS_PER_MINUTE", 100)
    run = lab_execute(run=request(store))
    assert run.document["history"]["untuned"].endswith("so long a history, give it 3 minutes")
    assert {row["tried"] for row in run.document["board"]["rows"]} == {0}


def test_a_cancelled_comparison_is_not_begun(world: TwoTastes, store: Store) -> None:
    run = request(store)
    lab_cancel(store=store, lab_id=run.pk)
    run.refresh_from_db()
    assert lab_execute(run=run).document == {}


def test_a_short_history_ends_with_words(store: Store) -> None:
    run = lab_execute(run=request(store))
    assert run.state == LabRun.State.FAILED
    assert run.message.startswith("The history is too short: there is nothing")


def test_one_that_was_killed_is_not_begun_again(world: TwoTastes, store: Store) -> None:
    run = request(store)
    LabRun.objects.filter(pk=run.pk).update(state=LabRun.State.RUNNING)
    run.refresh_from_db()
    assert lab_execute(run=run).message == "The process that compared was killed."


def test_one_without_a_pulse_is_buried_when_another_is_asked_for(store: Store) -> None:
    run = request(store)
    with pytest.raises(LabBusy):
        request(store)
    old = timezone.now() - timedelta(hours=1)
    LabRun.objects.filter(pk=run.pk).update(state=LabRun.State.RUNNING, heartbeat_at=old)
    request(store)
    run.refresh_from_db()
    assert run.state == LabRun.State.FAILED


def test_the_schedule_buries_what_nobody_makes_any_more(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, alive = request(store), request(other_store)
    now = timezone.now()
    for run, seconds in ((silent, 200), (alive, 20)):
        LabRun.objects.filter(pk=run.pk).update(
            state=LabRun.State.RUNNING, heartbeat_at=now - timedelta(seconds=seconds)
        )
    monkeypatch.setattr(tasks, "run_hand_over", lambda *, run: None)
    with monkeypatch.context() as somebody_trains:
        somebody_trains.setattr(lab_services, "turn", lambda name: nullcontext(False))
        tasks.train_due()
    silent.refresh_from_db()
    assert silent.state == LabRun.State.RUNNING
    tasks.train_due()
    silent.refresh_from_db()
    alive.refresh_from_db()
    assert (silent.state, alive.state) == (LabRun.State.FAILED, LabRun.State.RUNNING)
    assert silent.message == "The process that compared stopped answering."
    assert silent.finished_at is not None


def test_two_stores_may_compare_at_once_and_a_forgotten_one_is_handed_over(
    store: Store, other_store: Store
) -> None:
    ours, theirs = request(store), request(other_store)
    assert labs_forgotten() == []
    LabRun.objects.filter(pk=theirs.pk).update(queued_at=timezone.now() - timedelta(minutes=2))
    assert labs_forgotten() == [theirs]
    with pytest.raises(LabRun.DoesNotExist):
        lab_cancel(store=store, lab_id=theirs.pk)
    assert labs_bury_dead(store=store) == 0
    assert ours.settings["methods"] == list(FEW)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"protocol": "magic"}, "protocol"),
        ({"methods": ()}, "methods"),
        ({"methods": ("magic",)}, "methods"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 61}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
    ],
)
def test_what_makes_no_sense_is_refused(store: Store, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(LabRefused) as refused:
        request(store, **wrong)
    assert set(refused.value.fields) == {field}
    assert not LabRun.objects.exists()


def test_the_diversity_of_a_store_with_content_is_by_its_content(
    world: TwoTastes, store: Store
) -> None:
    run_execute(
        run=run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.COMMAND)
    )
    run = lab_execute(run=request(store))
    assert run.document["board"]["diversity_of"] == "texts"


# ----------------------------------------------------------------------------------- "use this"


def done(store: Store, **changes: Any) -> LabRun:
    run = lab_execute(run=request(store, **changes))
    assert run.state == LabRun.State.DONE, run.message
    return run


def test_a_method_with_a_source_becomes_a_strategy_of_it(
    world: TwoTastes, store: Store, owner: User
) -> None:
    run = done(store)
    used = lab_use(run=run, method="also_viewed", actor=owner)
    assert (used.source, used.run) == ("also_viewed", None)
    version = used.strategy.versions.get()
    assert version.document["sources"] == [{"source": "also_viewed", "weight": 1.0}]
    assert f"Comparison {run.pk}, recall@20" in version.note
    again = lab_use(run=run, method="also_viewed", actor=owner)
    assert again.strategy.name == f"{used.strategy.name} 2"
    assert not LabChoice.objects.exists()
    with pytest.raises(NotMeasured):
        lab_use(run=run, method="slim", actor=owner)


def test_a_method_without_a_source_becomes_the_lab_s_choice_and_serves(
    world: TwoTastes, store: Store, owner: User, other_store: Store
) -> None:
    run = done(store, methods=("item_knn_cosine",), protocol="basket-completion")
    used = lab_use(run=run, method="item_knn_cosine", actor=owner)
    assert used.source == "chosen"
    assert used.run is not None
    choice = LabChoice.objects.get(store=store)
    assert (choice.method, choice.protocol) == ("item_knn_cosine", "basket-completion")
    trained = run_execute(run=used.run)
    assert (trained.state, trained.message) == (Run.State.PUBLISHED, "")
    assert trained.quality["item_knn_cosine_hr_at_20"] > 0.9
    assert Artifact.objects.get(store=store, family="chosen_method").serving
    # A training is on; another choice is taken nevertheless.
    run_request(store=store, family="chosen_method", trigger=Run.Trigger.SCHEDULE)
    other = done(store, methods=("item_knn_jaccard",), protocol="basket-completion")
    assert lab_use(run=other, method="item_knn_jaccard", actor=owner).run is None
    assert LabChoice.objects.get(store=store).method == "item_knn_jaccard"
    assert not LabChoice.objects.filter(store=other_store).exists()


def test_a_method_that_was_chosen_while_another_was_trained_is_trained_right_after_it(
    world: TwoTastes, store: Store
) -> None:
    def is_due() -> bool:
        return "chosen_method" in {run.family for run in runs_due() if run.store_id == store.pk}

    LabChoice.objects.create(store=store, method="svd", title="SVD", protocol="basket-completion")
    began = timezone.now() + timedelta(minutes=1)
    run = Run.objects.create(
        store=store,
        family=Run.Family.CHOSEN_METHOD,
        trigger=Run.Trigger.MEMBER,
        state=Run.State.RUNNING,
        queued_at=began,
        started_at=began,
        heartbeat_at=began,
    )
    LabChoice.objects.filter(store=store).update(chosen_at=began + timedelta(seconds=5))
    assert not is_due()
    Run.objects.filter(pk=run.pk).update(state=Run.State.PUBLISHED)
    assert is_due()
    later = {"state": Run.State.PUBLISHED, "started_at": began + timedelta(minutes=1)}
    Run.objects.filter(store=store, family=Run.Family.CHOSEN_METHOD).update(**later)
    assert not is_due()


def test_only_a_store_with_a_choice_is_trained_for_it(world: TwoTastes, other_store: Store) -> None:
    assert "chosen_method" not in {run.family for run in runs_due()}
    two_tastes(other_store, shoppers_per_taste=1, orders=1)
    LabChoice.objects.create(
        store=other_store, method="svd", title="SVD", protocol="next-purchases"
    )
    due = {(run.store_id, run.family) for run in runs_due()}
    assert (other_store.pk, "chosen_method") in due
    assert (world.store.pk, "chosen_method") not in due


def test_without_a_choice_or_with_one_that_is_gone_nothing_is_published(
    world: TwoTastes, store: Store
) -> None:
    def train() -> Run:
        return run_execute(
            run=run_request(store=store, family="chosen_method", trigger=Run.Trigger.MEMBER)
        )

    assert "No method was chosen" in train().message
    LabChoice.objects.create(store=store, method="gone", title="Gone", protocol="next-purchases")
    refused = train()
    assert refused.state == Run.State.REJECTED
    assert "has no “Gone”" in refused.message


def test_the_quick_ones_are_those_that_are_ticked() -> None:
    assert set(QUICK) == {key for key, method in METHODS.items() if method.cheap}
    assert lab_data.MIN_BASKET == 3
    assert lab_running.REPORTED >= 1


# ----------------------------------------------------------------------------- the Lab's choice


@pytest.fixture
def chosen(world: TwoTastes, store: Store) -> TwoTastes:
    """A world whose cart placement is answered by the Lab's choice, trained."""
    LabChoice.objects.create(
        store=store,
        method="item_knn_cosine",
        title="Item kNN, cosine",
        parameters={"k": 10, "gone": 1},
        protocol="basket-completion",
    )
    for family in (Run.Family.CHOSEN_METHOD, Run.Family.PROFILES):
        run = run_execute(run=run_request(store=store, family=family, trigger=Run.Trigger.COMMAND))
        assert run.state == Run.State.PUBLISHED, run.message
    placement = Placement.objects.get(store=store, slug="home-for-you")
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "chosen", "weight": 1}], "fallback": [], "diversity": 0},
    )
    placement.save()
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()
    return world


def answered(world: TwoTastes, **context: Any) -> tuple[list[str], str | None]:
    page = recommend(
        store_id=world.store.pk,
        request=RecommendationRequest(**context),
        placements=[PlacementRequest(slug="home-for-you")],
    )
    found = page.recommendations[0]
    return [page.snapshot.external_ids[row] for row in found.rows], found.reason


def test_the_choice_answers_from_the_view_the_session_or_the_past(chosen: TwoTastes) -> None:
    seen, _ = answered(chosen, product_ids=("muesli",))
    assert seen[0] == "milk"
    assert set(seen) <= set(BREAKFAST)
    sessions_restore(
        chosen.store.pk,
        {"visitor": [SessionEntry(int(time.time()), EventType.VIEW_ITEM, chosen.id_of("saw"))]},
    )
    visited, _ = answered(chosen, shopper_id="visitor")
    assert visited
    assert set(visited) <= set(TOOLS)
    known, _ = answered(chosen, shopper_id="breakfast-3")
    assert known
    assert set(known) <= set(BREAKFAST)
    both, _ = answered(chosen, shopper_id="breakfast-3", product_ids=("hammer",))
    assert both[0] == "nails"
    assert answered(chosen, shopper_id="stranger") == ([], "unknown_shopper")


def test_what_the_choice_shows_is_explained_in_the_method_s_own_words(chosen: TwoTastes) -> None:
    page = recommend(
        store_id=chosen.store.pk,
        request=RecommendationRequest(product_ids=("muesli",), explain=True),
        placements=[PlacementRequest(slug="home-for-you")],
    )
    answer = page.recommendations[0]
    assert answer.trace is not None
    told = answer.trace.products["milk"]
    title = chosen.products["muesli"].title
    words = {"method": "Item kNN, cosine", "words": f"often found with “{title}”"}
    assert (told["because"], told["parts"]["chosen"]["because"]) == ("muesli", "muesli")
    assert {name: told[name] for name in words} == words
    assert {name: told["parts"]["chosen"][name] for name in words} == words
    milk = next(each for each in shown_products(answer, page.snapshot) if each.position == 1)
    assert milk.reasons[0].startswith(
        f"The Lab's choice (Item kNN, cosine): often found with “{title}”, place 1 of "
    )
    home = orjson.loads(answer_json(answer, page.snapshot, secret=b"x" * 32))
    assert words.items() <= home["trace"]["products"]["milk"]["parts"]["chosen"].items()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        # Of shoppers alike no single product speaks, though the lists are partners of one.
        (
            {"title": "User kNN, cosine", "because": "", "otherwise": "liked by shoppers like you"},
            "The Lab's choice (User kNN, cosine): liked by shoppers like you, place 1 of ",
        ),
        # As an older release trained it.
        ({"because": "liked by shoppers like you"}, "The Lab's choice: goes with “"),
    ],
)
def test_a_method_that_names_no_product_explains_itself_without_one(
    chosen: TwoTastes, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], words: str
) -> None:
    runtime = RUNTIMES.get(chosen.store.pk)
    assert runtime is not None
    artifact = runtime.artifacts["chosen_method"]
    kept = {
        name: value
        for name, value in artifact.manifest.parameters.items()
        if name not in ("title", "because", "otherwise")
    }
    manifest = msgspec.structs.replace(artifact.manifest, parameters=kept | said)
    models = bind_models(
        {**runtime.artifacts, "chosen_method": replace(artifact, manifest=manifest)},
        runtime.snapshot,
    )
    monkeypatch.setattr(RUNTIMES, "get", lambda store_id: replace(runtime, models=models))
    page = recommend(
        store_id=chosen.store.pk,
        request=RecommendationRequest(product_ids=("muesli",), explain=True),
        placements=[PlacementRequest(slug="home-for-you")],
    )
    (first, *_) = shown_products(page.recommendations[0], page.snapshot)
    assert first.reasons[0].startswith(words)


def test_before_it_is_trained_the_choice_says_so(world: TwoTastes, store: Store) -> None:
    placement = Placement.objects.get(store=store, slug="home-for-you")
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "chosen", "weight": 1}], "fallback": []},
    )
    placement.save()
    settings_touch(store_id=store.pk)
    assert answered(world, product_ids=("muesli",)) == ([], "not_trained")


def test_scores_below_zero_become_places() -> None:
    class Below(Model):
        def recommend(self, query: Query, limit: int) -> Candidates:
            rows = np.array([row for row in range(3) if row not in query.removed], np.int32)
            scores = np.array([0.5, -2.0], np.float32)
            return Candidates(rows, scores, np.full(2, -1, np.int32))

    found = neighbour_lists(Below(), 3, lambda step, share: None)
    assert found.indices[:, :3].tolist() == [[1, 2, -1], [0, 2, -1], [0, 1, -1]]
    assert found.scores[0, :3].tolist() == [1.0, 0.5, 0.0]


# ------------------------------------------------------------------------------- the command line


def test_the_command_prints_the_same_table(
    world: TwoTastes, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("lab", store="corner", methods="bestsellers", minutes=0.05, reports=True)
    said = capsys.readouterr().out
    assert "Corner shop, next-purchases: 24 queries, 10 items" in said
    assert "Who is served well by Popularity, decayed" in said
    run = LabRun.objects.get(store=store)
    assert (run.state, run.asked_by) == (LabRun.State.DONE, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": "nowhere"}, "no store 'nowhere'"),
        ({"store": "corner", "methods": "magic"}, "at least one method"),
        ({"store": "corner", "methods": "bestsellers"}, "too short"),
    ],
)
def test_the_command_says_what_is_wrong(store: Store, options: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("lab", verbosity=0, **options)


@pytest.mark.parametrize("seed", ["-1", "4294967296", "many", "²"])
def test_a_seed_that_no_generator_takes_is_refused(seed: str) -> None:
    with pytest.raises(CommandError, match="isn't a whole number from 0 to 4,294,967,295"):
        call_command("lab", "--store=corner", f"--seed={seed}")


def test_while_something_is_trained_the_command_waits_for_another_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_command, "turn", lambda name: nullcontext(False))
    with pytest.raises(CommandError, match="being trained"):
        call_command("lab", store="corner")
    assert not LabRun.objects.exists()


def test_a_worker_whose_turn_it_isn_t_leaves_the_comparison_queued(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = request(store)
    monkeypatch.setattr(lab_running, "turn", lambda name: nullcontext(False))
    assert lab_take(run_id=run.pk) is None
    run.refresh_from_db()
    assert run.state == LabRun.State.QUEUED


def test_after_a_comparison_the_next_training_gets_the_turn(world: TwoTastes, store: Store) -> None:
    waiting = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.SCHEDULE)
    run = request(store)
    assert lab_take(run_id=run.pk) == waiting
    run.refresh_from_db()
    assert run.state == LabRun.State.DONE
