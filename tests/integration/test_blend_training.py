"""Weights of learned blends: from what shoppers wanted next, from what they clicked, and guarded."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from catalog.models import Store
from recommender.artifacts.reader import artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.online.blending import Blended
from recommender.engine.online.learned_blend import Situation, learned_blend
from recommender.models import Artifact, Run
from recommender.selectors.blend import MAX_OF_ONE_SHOPPER, clicked_answers, learned_blend_is_live
from recommender.services.recommend import recommend
from recommender.services.training import blend as blend_training
from recommender.services.training.blend_past import EarlierData, runtime_now
from recommender.services.training.blend_quality import Hits
from recommender.services.training.blend_questions import (
    Asker,
    Past,
    Question,
    learned_places,
)
from recommender.services.training.execution import run_execute
from recommender.services.training.increments import increments_learn
from recommender.services.training.runs import run_request
from recommender.services.training.schedule import runs_due
from recommender.services.training.trained import TrainingData
from recommender.serving import blend_step
from recommender.serving.blends import CONTEXT
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.blend_worlds import (
    Pairs,
    clicked_answer,
    hand_made_blend,
    learned_document,
    pairs,
    show_strategy,
)
from tests.factories import make_event, make_order
from tests.worlds import train_all

SLUG = "product-similar"
# The strategy itself trusts what is new three times as much.
DOCUMENT = learned_document("new_arrivals", "next_click")
NAMES = ("next_click", "new_arrivals")


@pytest.fixture
def world(store: Store) -> Pairs:
    return pairs(store)


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty visits after the cut, instead of hundreds."""
    monkeypatch.setattr(blend_training, "MIN_LESSONS", 20)
    monkeypatch.setattr(blend_training, "MIN_HELD_OUT", 5)
    monkeypatch.setattr(blend_training, "MIN_CLICKS", 20)


def train(store: Store) -> Run:
    run = run_request(store=store, family=Run.Family.BLEND, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run)


def shown(store: Store, *product_ids: str) -> list[str]:
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(product_ids=product_ids),
        placements=[PlacementRequest(slug=SLUG, limit=3)],
        log_impressions=False,
    )
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return [runtime.snapshot.external_ids[row] for row in page.recommendations[0].rows]


def counts(run: Run) -> dict[str, float]:
    return {name: size for _, name, size in run.parameters["blends"][0]["counts"]}


# ------------------------------------------------------------------ from history


def test_history_teaches_which_source_finds_what_is_wanted_next(
    world: Pairs, few_are_enough: None
) -> None:
    train_all(world.store)
    show_strategy(world.store, SLUG, DOCUMENT)
    assert shown(world.store, "left-2")[0].startswith("new-")

    run = train(world.store)

    assert (run.state, run.message) == (Run.State.PUBLISHED, "")
    (said,) = run.parameters["blends"]
    assert tuple(said["sources"]) == NAMES
    assert said["clicks"] == 0
    assert said["placements"] == [SLUG]
    assert said["hits"]["learned"] == 1.0
    assert run.quality["blend_hit_rate_at_10"] >= run.quality["equal_blend_hit_rate_at_10"]
    assert counts(run)["next_click"] > counts(run)["new_arrivals"]
    assert shown(world.store, "left-2")[0] == "right-2"


def test_a_strategy_that_no_placement_shows_learns_nothing(world: Pairs) -> None:
    run = train(world.store)

    assert run.state == Run.State.REJECTED
    assert run.message == "No placement shows a strategy with a learned blend."


def test_a_training_that_finds_a_model_broken_ends_with_words(world: Pairs) -> None:
    store = world.store
    run_execute(
        run=run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.COMMAND)
    )
    content = Artifact.objects.get(store=store, family=Run.Family.CONTENT, serving=True)
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=store.pk,
        family=content.family,
        version=content.version,
    )
    shutil.rmtree(folder)
    show_strategy(store, SLUG, DOCUMENT)

    run = train(store)

    assert run.state == Run.State.FAILED
    assert run.message.startswith("Something that was learned before can't be read from the disk.")
    assert str(settings.ARTIFACT_DIR) not in run.message


def test_too_few_choices_are_said_and_nothing_is_published(world: Pairs) -> None:
    show_strategy(world.store, SLUG, DOCUMENT)

    run = train(world.store)

    assert run.state == Run.State.REJECTED
    assert "choices to learn from, 50 are needed" in run.message
    assert "100 answers with a click, of which there are 0" in run.message
    assert not Artifact.objects.filter(store=world.store, family=Run.Family.BLEND).exists()


def test_weights_that_find_less_than_equal_ones_are_not_served(
    world: Pairs, few_are_enough: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_strategy(world.store, SLUG, DOCUMENT)
    monkeypatch.setattr(
        blend_training, "hits_of", lambda *_args, **_named: Hits(0.10, 0.20, 0.15, 40)
    )

    run = train(world.store)

    assert run.state == Run.State.REJECTED
    assert "found less than equal weights (10.0% against 20.0% of 40 questions)" in run.message


def clock(situation: Situation) -> tuple[float, float, float]:
    """What a situation says of the moment."""
    told = dict(zip(CONTEXT, situation.context.tolist(), strict=True))
    return told["hour_sine"], told["hour_cosine"], told["weekend"]


def by_the_clocks(at: datetime, zone: str) -> tuple[float, float, float]:
    """The same, worked out by hand."""
    local = at.astimezone(ZoneInfo(zone))
    turned = 2 * math.pi * (local.hour + local.minute / 60 + local.second / 3_600) / 24
    return math.sin(turned), math.cos(turned), float(local.isoweekday() > 5)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Pacific/Auckland"])
def test_the_hours_are_the_shop_s_in_learning_and_in_serving_alike(
    world: Pairs, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    store = world.store
    store.time_zone = zone
    store.save()
    placement = show_strategy(store, SLUG, DOCUMENT)
    for k in range(2):
        at = world.now - timedelta(hours=5 + 9 * k)
        clicked_answer(world, placement, k, at=at, clicked=world.right[k])
    runtime = runtime_now(store_id=store.pk)
    asker, places = Asker(runtime), learned_places(runtime.settings)

    past = Past.of(TrainingData(store_id=store.pk, now=timezone.now()))
    since_s = int((world.now - timedelta(hours=30)).timestamp())
    questions = past.questions("product", since_s=since_s, seed=1)
    queries = asker.queries(places[0], past, questions)
    assert len(queries) == 30
    for question, query in zip(questions, queries, strict=True):
        at = datetime.fromtimestamp(question.at_s, UTC)
        assert clock(query.situation) == pytest.approx(by_the_clocks(at, zone), abs=1e-6)

    answers = clicked_answers(
        store_id=store.pk,
        placement_ids={placement.pk},
        since=world.now - timedelta(days=2),
        until=world.now,
        limit=9,
    )
    assert len(answers) == 2
    for (_, answer), taught in zip(answers, asker.impressions(places, answers), strict=True):
        at = datetime.fromtimestamp(int(answer.delivered_at_s), UTC)
        assert clock(taught.situation) == pytest.approx(by_the_clocks(at, zone), abs=1e-6)

    served: list[Situation] = []

    def watched(*args: Any, **named: Any) -> Blended:
        served.append(args[2])
        return learned_blend(*args, **named)

    monkeypatch.setattr(blend_step, "learned_blend", watched)
    hand_made_blend(store, NAMES, scaled={"new_arrivals": 1.0})
    at = datetime(2026, 10, 23, 20, 45, tzinfo=UTC)
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(product_ids=("left-1",)),
        placements=[PlacementRequest(slug=SLUG, limit=3)],
        log_impressions=False,
        at=at,
    )
    assert page.recommendations[0].rows
    assert [clock(each) for each in served] == [pytest.approx(by_the_clocks(at, zone), abs=1e-6)]


def test_the_sources_are_asked_as_they_were_before_what_is_wanted(world: Pairs) -> None:
    data = TrainingData(store_id=world.store.pk, now=timezone.now())
    cut_s = int((world.now - timedelta(hours=50)).timestamp())

    past = EarlierData(data, until_s=cut_s)

    assert 0 < len(past.events) < len(data.events)
    assert past.events.times_s.max() < cut_s
    assert past.newest_s < cut_s


# ------------------------------------------------------------------ questions


def questions(store: Store, page_type: str, world: Pairs) -> list[Question]:
    data = TrainingData(store_id=store.pk, now=timezone.now())
    since_s = int((world.now - timedelta(hours=10)).timestamp())
    return Past.of(data).questions(page_type, since_s=since_s, seed=1)


def test_a_product_page_asks_what_was_looked_at_next(world: Pairs) -> None:
    found = questions(world.store, "product", world)

    ids = {product.pk: k for k, product in enumerate(world.left)}
    assert len(found) == 10
    assert [question.at_s for question in found] == sorted(q.at_s for q in found)
    for question in found:
        (in_view,) = question.product_ids
        assert question.wanted.tolist() == [world.right[ids[in_view]].pk]


def test_a_home_page_asks_what_a_visit_was_about_with_what_was_known_before(world: Pairs) -> None:
    data = TrainingData(store_id=world.store.pk, now=timezone.now())
    past = Past.of(data)
    found = past.questions(
        "home", since_s=int((world.now - timedelta(hours=10)).timestamp()), seed=1
    )

    assert len(found) == 10
    for question in found:
        state = past.state(question)
        assert len(question.wanted) == 2
        # Nine visits of two pages before it.
        assert len(state.at_s) == 18
        assert state.at_s.max() < question.at_s


def test_a_cart_asks_for_one_product_of_an_order_without_its_own_visit(world: Pairs) -> None:
    at = world.now - timedelta(minutes=90)
    bought = [world.left[0], world.left[1], world.right[3]]
    make_event(world.store, world.shoppers[3], world.right[3], at=at - timedelta(minutes=2))
    make_order(world.store, world.shoppers[3], bought, at=at)
    data = TrainingData(store_id=world.store.pk, now=timezone.now())
    past = Past.of(data)

    (question,) = past.questions("cart", since_s=int(at.timestamp()) - 60, seed=1)

    assert question.cart is not None
    assert {*question.cart, *question.wanted.tolist()} == {product.pk for product in bought}
    assert len(question.cart) == 2
    assert past.state(question).at_s.max(initial=0) < at.timestamp() - 600


# ------------------------------------------------------------------ from clicks


def test_clicks_have_the_last_word_where_there_are_enough(
    world: Pairs, few_are_enough: None
) -> None:
    placement = show_strategy(world.store, SLUG, DOCUMENT)
    without = counts(train(world.store))
    first = world.store.products.get(external_id="new-0")
    for k in range(40):
        at = world.now - timedelta(minutes=600 - 10 * k)
        clicked_answer(world, placement, k, at=at, clicked=first)

    run = train(world.store)

    assert run.parameters["blends"][0]["clicks"] == 40
    assert counts(run)["new_arrivals"] > without["new_arrivals"]


def test_clicks_of_another_store_or_placement_are_not_read(
    world: Pairs, other_store: Store, few_are_enough: None
) -> None:
    placement = show_strategy(world.store, SLUG, DOCUMENT)
    elsewhere = show_strategy(
        world.store, "product-bought-together", {**DOCUMENT, "blend": "weights"}
    )
    at = world.now - timedelta(hours=2)
    clicked_answer(world, placement, 1, at=at, clicked=world.right[1])
    clicked_answer(world, elsewhere, 2, at=at, clicked=world.right[2])

    def read(store: Store) -> list[int]:
        found = clicked_answers(
            store_id=store.pk,
            placement_ids=[placement.pk],
            since=at - timedelta(hours=1),
            until=at + timedelta(hours=1),
            limit=10,
        )
        return [placement_id for placement_id, _ in found]

    assert read(world.store) == [placement.pk]
    assert read(other_store) == []


def test_one_shopper_is_heard_so_often_and_everybody_else_all_the_same(world: Pairs) -> None:
    placement = show_strategy(world.store, SLUG, DOCUMENT)
    # The same shopper is shown the same product.
    once_around = len(world.shoppers) * len(world.right)
    for k in range(MAX_OF_ONE_SHOPPER + 3):
        at = world.now - timedelta(hours=2, seconds=-10 * k)
        clicked_answer(world, placement, once_around * k, at=at, clicked=world.right[0])
    clicked_answer(world, placement, 1, at=world.now - timedelta(hours=3), clicked=world.right[1])

    found = clicked_answers(
        store_id=world.store.pk,
        placement_ids=[placement.pk],
        since=world.now - timedelta(hours=4),
        until=world.now,
        limit=100,
    )

    heard = Counter(answer.shopper_external_id for _, answer in found)
    keen, other = (world.shoppers[k].external_id for k in (0, 1))
    assert heard == {keen: MAX_OF_ONE_SHOPPER, other: 1}
    # The newest of them, oldest first.
    times = [answer.delivered_at_s for _, answer in found if answer.shopper_external_id == keen]
    assert times == sorted(times)
    assert times[0] == (world.now - timedelta(hours=2, seconds=-30)).timestamp()


# ------------------------------------------------------------------ increments


def learned_artifact(store: Store) -> dict[str, Any]:
    serving = Artifact.objects.get(store=store, family=Run.Family.BLEND, serving=True)
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR), store_id=store.pk, family="blend", version=serving.version
    )
    return {"serving": serving, **artifact_open(folder, training=True).arrays}


def clicks_now(world: Pairs, n: int) -> None:
    placement = show_strategy(world.store, SLUG, DOCUMENT)
    fresh = world.store.products.get(external_id="new-0")
    for k in range(n):
        at = timezone.now() - timedelta(minutes=20, seconds=-5 * k)
        clicked_answer(world, placement, k, at=at, clicked=fresh)


def test_clicks_of_the_last_minutes_move_the_weights_a_little(
    world: Pairs, few_are_enough: None
) -> None:
    train_all(world.store)
    show_strategy(world.store, SLUG, DOCUMENT)
    train(world.store)
    before = learned_artifact(world.store)
    marks = before["serving"].manifest["marks"]
    Artifact.objects.filter(pk=before["serving"].pk).update(
        manifest={**before["serving"].manifest, "marks": {"clicks_us": marks["clicks_us"] - 10**10}}
    )
    clicks_now(world, 110)

    learned = increments_learn(families=(Run.Family.BLEND,), store=world.store, at_once=True)

    (run,) = learned.published
    after = learned_artifact(world.store)
    assert run.parameters["blends"][0]["clicks"] == 110
    moved = np.abs(after["weights_0"] - before["weights_0"]).max()
    assert moved > 0
    assert after["serving"].manifest["marks"]["clicks_us"] > marks["clicks_us"] - 10**10
    # The same clicks don't count twice.
    again = increments_learn(families=(Run.Family.BLEND,), store=world.store, at_once=True)
    assert again.published == []


def test_a_handful_of_clicks_changes_nothing(world: Pairs, few_are_enough: None) -> None:
    show_strategy(world.store, SLUG, DOCUMENT)
    train(world.store)
    serving = learned_artifact(world.store)["serving"]
    Artifact.objects.filter(pk=serving.pk).update(
        manifest={**serving.manifest, "marks": {"clicks_us": 1}}
    )
    clicks_now(world, 10)

    learned = increments_learn(families=(Run.Family.BLEND,), store=world.store, at_once=True)

    assert learned.published == []
    assert learned.rebuilds == []
    kept = learned_artifact(world.store)["serving"]
    assert kept.pk == serving.pk
    assert kept.manifest["marks"]["clicks_us"] > 1


# ------------------------------------------------------------------ schedule


def test_blend_weights_are_due_only_where_a_learned_blend_is_shown(
    world: Pairs, other_store: Store
) -> None:
    assert not learned_blend_is_live(store_id=world.store.pk)
    assert Run.Family.BLEND not in {run.family for run in runs_due()}

    show_strategy(world.store, SLUG, DOCUMENT)

    assert learned_blend_is_live(store_id=world.store.pk)
    assert not learned_blend_is_live(store_id=other_store.pk)
    due = [run for run in runs_due() if run.family == Run.Family.BLEND]
    assert [run.store_id for run in due] == [world.store.pk]
