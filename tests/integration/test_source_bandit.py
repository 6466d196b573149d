"""Places given to chance whose source is learned: what is served, logged, counted and concluded."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from catalog.models import Product, Shopper, Store
from recommender import tasks
from recommender.artifacts.reader import artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.config.celery import app
from recommender.engine.online.source_bandit import (
    LEAST_CHANCE,
    N_SITUATIONS,
    SITUATION,
    situation_levels,
    situation_number,
)
from recommender.models import Artifact, Impression, Placement, Run
from recommender.selectors.source_bandit import (
    BY_CHANCE_BELOW,
    MAX_A_DAY,
    source_bandit_is_live,
)
from recommender.services.erasure import shopper_erase
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.training import increments
from recommender.services.training.execution import run_execute
from recommender.services.training.increments import increments_learn
from recommender.services.training.runs import run_request
from recommender.services.training.schedule import runs_due
from recommender.services.training.trained import TrainingData
from recommender.serving.pipeline import recommend_placement
from recommender.serving.request import PlacementRequest, Recommendation, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.serving.strategy import MAX_EXPLORATION
from recommender.stores.session_state import NO_STATE
from tests.bandit_worlds import (
    bandit_document,
    click,
    hand_made_table,
    random_places,
    told_of,
)
from tests.blend_worlds import show_strategy
from tests.factories import make_product, make_shopper

SLUG = "product-similar"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
SOURCES = ("new_arrivals", "on_sale")
# A morning in UTC.
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def shelf(store: Store) -> Store:
    """Thirty mugs, mug-00 the newest. The ten oldest are on sale, mug-29 by most."""
    for number in range(30):
        make_product(
            store,
            f"mug-{number:02}",
            price_minor=500,
            list_price_minor=500 + 50 * (number - 19) if number >= 20 else None,
            published_at=NEWEST - timedelta(days=number),
        )
    return store


def answer(store: Store, seed: int, *, now: datetime = AT, **context: Any) -> Recommendation:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return recommend_placement(
        runtime,
        runtime.placements[SLUG],
        RecommendationRequest(**context),
        NO_STATE,
        limit=5,
        shown=set(),
        now_s=now.timestamp(),
        seed=seed,
    )


def exploration_step(told: Recommendation) -> dict[str, Any]:
    assert told.trace is not None
    return next(each for each in told.trace.steps if each["step"] == "exploration")


# ------------------------------------------------------------------ serving


def test_without_a_table_chance_draws_by_score_and_the_trace_says_so(shelf: Store) -> None:
    show_strategy(shelf, SLUG, bandit_document(*SOURCES, explore_by="score"))
    by_score = [answer(shelf, seed) for seed in range(50)]

    show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    by_bandit = [answer(shelf, seed) for seed in range(50)]

    assert [each.rows for each in by_bandit] == [each.rows for each in by_score]
    assert [each.propensities for each in by_bandit] == [each.propensities for each in by_score]
    step = exploration_step(answer(shelf, 1, explain=True))
    assert (step["by"], step["chances"]) == ("score", {})


def test_propensities_are_the_frequencies_of_20_000_answers_that_a_table_drew(
    shelf: Store,
) -> None:
    placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    hand_made_table(shelf, placement, {"new_arrivals": 0.2, "on_sale": 0.8})
    n_answers, k = 20_000, 5
    counts: Counter[tuple[int, int]] = Counter()
    stated: dict[tuple[int, int], float] = {}
    for seed in range(n_answers):
        found = answer(shelf, seed)
        for place, (row, chance) in enumerate(zip(found.rows, found.propensities, strict=True)):
            counts[place, row] += 1
            assert stated.setdefault((place, row), chance) == chance
    for cell, chance in stated.items():
        error = abs(counts[cell] / n_answers - chance)
        assert error <= 5 * np.sqrt(chance * (1 - chance) / n_answers), cell
    for place in range(k):
        at_place = [chance for cell, chance in stated.items() if cell[0] == place]
        assert sum(at_place) == pytest.approx(1)


def share_of_sale(store: Store, n: int = 400) -> float:
    """Of the places given to chance, those that went to what is on sale."""
    sources = [
        source
        for seed in range(n)
        for found in [answer(store, seed)]
        for source, chance in zip(found.sources, found.propensities, strict=True)
        if chance < BY_CHANCE_BELOW
    ]
    return sources.count("on_sale") / len(sources)


def test_the_table_moves_the_places_to_the_source_that_it_trusts(shelf: Store) -> None:
    placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    hand_made_table(shelf, placement, {"new_arrivals": 1.0, "on_sale": 0.0})
    few = share_of_sale(shelf)
    hand_made_table(shelf, placement, {"new_arrivals": 0.0, "on_sale": 1.0})
    many = share_of_sale(shelf)

    # `explore` draws no candidate less than a tenth as often as the likeliest one.
    assert few < 0.2
    assert many > 0.75


def test_the_table_of_another_placement_isn_t_asked(shelf: Store) -> None:
    show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    other = Placement.objects.exclude(slug=SLUG).filter(store=shelf)[0]
    hand_made_table(shelf, other, {"new_arrivals": 0.0, "on_sale": 1.0})
    assert exploration_step(answer(shelf, 1, explain=True))["by"] == "score"


def test_a_table_of_situations_in_another_order_is_refused(shelf: Store) -> None:
    placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    backwards = [[name, list(levels)[::-1]] for name, levels in SITUATION]
    hand_made_table(shelf, placement, {"new_arrivals": 0.0, "on_sale": 1.0}, grid=backwards)
    assert exploration_step(answer(shelf, 1, explain=True))["by"] == "score"


def test_the_trace_says_what_each_source_s_chance_is_in_this_situation(shelf: Store) -> None:
    placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    hand_made_table(shelf, placement, {"new_arrivals": 0.0, "on_sale": 1.0})

    step = exploration_step(answer(shelf, 1, explain=True, device="phone", category="Things"))

    assert step["by"] == "sources"
    assert step["chances"] == {
        "new_arrivals": LEAST_CHANCE,
        "on_sale": 1 - LEAST_CHANCE,
    }
    assert step["situation"] == {
        "view": "category",
        "device": "mobile",
        "shopper": "new",
        "visit": "none",
        "hours": "morning",
    }


def test_the_hour_is_that_of_the_shop(shelf: Store) -> None:
    show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    Store.objects.filter(pk=shelf.pk).update(time_zone="Asia/Tokyo")
    RUNTIMES.clear()
    step = exploration_step(answer(shelf, 1, explain=True))
    assert step["situation"]["hours"] == "evening"


def test_an_answer_can_be_repeated_from_its_id_with_its_situation(shelf: Store) -> None:
    placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES))
    hand_made_table(shelf, placement, {"new_arrivals": 0.5, "on_sale": 0.5})
    page = recommend(
        store_id=shelf.pk,
        request=RecommendationRequest(shopper_id="anna", product_ids=("mug-03",)),
        placements=[PlacementRequest(slug=SLUG, limit=5)],
    )
    IMPRESSIONS.flush()
    logged = Impression.objects.get(store=shelf)
    again = answer(
        shelf,
        page.recommendations[0].recommendation_id.int,
        now=logged.delivered_at,
        shopper_id="anna",
        product_ids=("mug-03",),
    )

    assert logged.situation is not None
    assert situation_levels(logged.situation)["view"] == "product"
    assert situation_levels(logged.situation)["visit"] == "some"
    assert (again.sources, again.propensities) == (logged.sources, logged.propensities)
    assert again.situation == logged.situation


def test_only_strategies_that_learn_from_it_log_a_situation(shelf: Store) -> None:
    show_strategy(shelf, SLUG, bandit_document(*SOURCES, explore_by="score"))
    assert answer(shelf, 1).situation is None
    show_strategy(shelf, SLUG, bandit_document(*SOURCES, exploration=0.0))
    assert answer(shelf, 1).situation is None


def test_the_propensity_tells_a_place_given_to_chance_whatever_the_share(shelf: Store) -> None:
    assert MAX_EXPLORATION < BY_CHANCE_BELOW < 1 - MAX_EXPLORATION
    for share in (0.01, 0.13, MAX_EXPLORATION):
        placement = show_strategy(shelf, SLUG, bandit_document(*SOURCES, exploration=share))
        hand_made_table(shelf, placement, {"new_arrivals": 0.9, "on_sale": 0.1})
        for seed in range(40):
            found = answer(shelf, seed, explain=True)
            by_chance = [
                place
                for place, chance in enumerate(found.propensities, start=1)
                if chance < BY_CHANCE_BELOW
            ]
            assert by_chance == exploration_step(found)["places"]


# ------------------------------------------------------------------ learning


@pytest.fixture
def placement(store: Store) -> Placement:
    return show_strategy(store, SLUG, bandit_document(*SOURCES))


@pytest.fixture
def mug(store: Store) -> Product:
    return make_product(store, "mug")


@pytest.fixture
def anna(store: Store) -> Shopper:
    return make_shopper(store, "anna")


def train(store: Store, *, now: datetime | None = None) -> Run:
    run = run_request(store=store, family=Run.Family.SOURCE_BANDIT, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run, data=TrainingData(store_id=store.pk, now=now or timezone.now()))


def learn(store: Store, *, now: datetime | None = None) -> list[Run]:
    learned = increments_learn(
        families=(Run.Family.SOURCE_BANDIT,), store=store, at_once=True, now=now
    )
    assert learned.rebuilds == []
    return learned.published


def table(store: Store) -> np.ndarray[Any, np.dtype[np.float32]]:
    serving = Artifact.objects.get(store=store, family=Run.Family.SOURCE_BANDIT, serving=True)
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=store.pk,
        family=Run.Family.SOURCE_BANDIT,
        version=serving.version,
    )
    return np.array(artifact_open(folder)["chances_0"])


def test_before_the_first_answer_nothing_is_concluded_and_increments_go_on_from_there(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    noon = timezone.now() - timedelta(hours=3)
    run = train(store, now=noon)
    assert run.state == Run.State.PUBLISHED
    assert run.parameters["placements"] == []
    assert learn(store) == []

    random_places(
        placement, anna, mug, source="on_sale", n=3, n_clicked=1, at=noon + timedelta(hours=1)
    )

    (added,) = learn(store)
    assert told_of(added, placement) == {"on_sale": (3, 1)}


def test_clicks_move_the_table_in_the_situations_in_which_they_were_made(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = timezone.now() - timedelta(hours=2)
    known, new = (situation_number({"shopper": level}) for level in ("known", "new"))
    for situation, clicks in ((known, (2, 30)), (new, (30, 2))):
        for source, n_clicked in zip(SOURCES, clicks, strict=True):
            random_places(
                placement,
                anna,
                mug,
                source=source,
                n=80,
                n_clicked=n_clicked,
                at=at,
                situation=situation,
            )

    run = train(store)

    assert told_of(run, placement) == {"new_arrivals": (160, 32), "on_sale": (160, 32)}
    chances = table(store)
    assert chances.shape == (N_SITUATIONS, 2)
    assert chances[known, 1] > 0.99
    assert chances[new, 0] > 0.99
    # A situation that never occurred takes after those that share its features.
    evening = situation_number({"shopper": "known", "hours": "evening"})
    assert chances[evening, 1] > 0.9
    levels = {
        each["level"]: [source["chance"] for source in each["sources"]]
        for each in run.parameters["placements"][0]["situations"]
        if each["feature"] == "shopper"
    }
    assert levels["known"][1] > 0.99
    assert levels["new"][0] > 0.99


def test_looking_twice_counts_once_and_equals_counting_everything_anew(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    now = timezone.now()
    for hours, source in ((30, "on_sale"), (5, "new_arrivals")):
        at = now - timedelta(hours=hours)
        random_places(placement, anna, mug, source=source, n=20, n_clicked=3, at=at)
    train(store, now=now - timedelta(hours=6))

    (added,) = learn(store, now=now - timedelta(hours=2))
    assert told_of(added, placement) == {"new_arrivals": (20, 3), "on_sale": (20, 3)}
    assert learn(store, now=now - timedelta(hours=2)) == []
    assert learn(store, now=now) == []
    random_places(
        placement, anna, mug, source="on_sale", n=5, n_clicked=1, at=now - timedelta(hours=1)
    )
    (again,) = learn(store, now=now)

    assert told_of(again, placement) == {"new_arrivals": (20, 3), "on_sale": (25, 4)}
    added_up = table(store)
    whole = train(store, now=now)
    assert whole.parameters == again.parameters
    np.testing.assert_array_equal(table(store), added_up)


def test_an_answer_counts_once_it_is_half_an_hour_old(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    now = timezone.now()
    train(store, now=now - timedelta(days=1))
    random_places(
        placement, anna, mug, source="on_sale", n=4, n_clicked=0, at=now - timedelta(minutes=20)
    )
    assert learn(store, now=now) == []
    (run,) = learn(store, now=now + timedelta(minutes=11))
    assert told_of(run, placement) == {"on_sale": (4, 0)}


def test_a_click_that_comes_late_is_counted_at_the_latest_at_night(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    now = timezone.now()
    at = now - timedelta(days=2)
    (shown, *_) = random_places(placement, anna, mug, source="on_sale", n=2, n_clicked=0, at=at)
    assert told_of(train(store, now=now - timedelta(days=1)), placement) == {"on_sale": (2, 0)}
    click(shown, anna, mug, at=at + timedelta(hours=2))
    assert told_of(train(store, now=now), placement) == {"on_sale": (2, 1)}


def test_places_by_rank_bots_interleaved_lists_and_who_denied_consent_don_t_count(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = timezone.now() - timedelta(hours=2)

    def log(**fields: Any) -> list[Any]:
        return random_places(
            placement, anna, mug, source="on_sale", n=1, n_clicked=0, at=at, **fields
        )

    (counted,) = log()
    log(propensities=[1.0, 1.0])
    log(teams=[0, 1])
    log(situation=None)
    (nobody,) = log()
    Impression.objects.filter(recommendation_id=nobody.recommendation_id).update(
        shopper_external_id=None
    )
    for fields in ({"is_bot": True}, {"consent": 0}):
        click(counted, anna, mug, at=at, **fields)

    assert told_of(train(store), placement) == {"on_sale": (1, 0)}
    click(counted, anna, mug, at=at)
    click(counted, anna, mug, at=at + timedelta(seconds=5))
    assert told_of(train(store), placement) == {"on_sale": (1, 1)}


def test_of_one_shopper_the_first_answers_of_a_day_count(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = (timezone.now() - timedelta(days=2)).replace(hour=10)
    shown = random_places(placement, anna, mug, source="on_sale", n=MAX_A_DAY, n_clicked=0, at=at)
    later = random_places(placement, anna, mug, source="on_sale", n=3, n_clicked=3, at=at)
    # All of them are hers: who clicks all day is heard as much as a keen customer.
    Impression.objects.filter(
        recommendation_id__in=[each.recommendation_id for each in later]
    ).update(shopper_external_id=anna.external_id, delivered_at=at + timedelta(minutes=5))
    click(shown[0], anna, mug, at=at)
    assert told_of(train(store), placement) == {"on_sale": (MAX_A_DAY, 1)}
    # Another day is another chance.
    random_places(
        placement, anna, mug, source="on_sale", n=2, n_clicked=1, at=at - timedelta(days=1)
    )
    assert told_of(train(store), placement) == {"on_sale": (MAX_A_DAY + 2, 2)}


def test_stores_and_placements_learn_for_themselves(
    store: Store, other_store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = timezone.now() - timedelta(hours=2)
    elsewhere = show_strategy(store, "home-for-you", bandit_document(*SOURCES))
    neighbours = show_strategy(other_store, SLUG, bandit_document(*SOURCES))
    their_mug, ben = make_product(other_store, "mug"), make_shopper(other_store, "ben")
    random_places(placement, anna, mug, source="on_sale", n=2, n_clicked=1, at=at)
    random_places(elsewhere, anna, mug, source="on_sale", n=3, n_clicked=0, at=at)
    random_places(neighbours, ben, their_mug, source="on_sale", n=4, n_clicked=4, at=at)

    run, theirs = train(store), train(other_store)

    assert told_of(run, placement) == {"on_sale": (2, 1)}
    assert told_of(run, elsewhere) == {"on_sale": (3, 0)}
    assert len(run.parameters["placements"]) == 2
    assert told_of(theirs, neighbours) == {"on_sale": (4, 4)}
    assert len(theirs.parameters["placements"]) == 1


def test_who_is_erased_is_out_of_the_sums_after_the_next_full_training(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = timezone.now() - timedelta(hours=2)
    ben = make_shopper(store, "ben")
    random_places(placement, anna, mug, source="on_sale", n=2, n_clicked=1, at=at)
    random_places(placement, ben, mug, source="on_sale", n=5, n_clicked=1, at=at)
    assert told_of(train(store), placement) == {"on_sale": (7, 2)}

    shopper_erase(store=store, external_id="ben")

    assert told_of(train(store), placement) == {"on_sale": (2, 1)}


def test_a_worker_that_is_killed_before_it_publishes_loses_nothing(
    store: Store,
    placement: Placement,
    mug: Product,
    anna: Shopper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(store, now=timezone.now() - timedelta(hours=3))
    at = timezone.now() - timedelta(hours=2)
    random_places(placement, anna, mug, source="on_sale", n=2, n_clicked=1, at=at)

    class Killed(BaseException):
        pass

    def killed(**_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(increments, "increment_publish", killed)
        with pytest.raises(Killed):
            learn(store)

    (run,) = learn(store)
    assert told_of(run, placement) == {"on_sale": (2, 1)}


def test_what_is_learned_is_what_is_served(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    at = timezone.now() - timedelta(hours=2)
    for source, n_clicked in (("new_arrivals", 0), ("on_sale", 40)):
        random_places(placement, anna, mug, source=source, n=120, n_clicked=n_clicked, at=at)
    for number in range(12):
        make_product(
            store,
            f"tea-{number}",
            list_price_minor=300 + number if number > 5 else None,
            published_at=NEWEST - timedelta(days=number),
        )
    train(store)
    RUNTIMES.clear()

    step = exploration_step(answer(store, 1, explain=True))

    assert step["by"] == "sources"
    assert step["chances"]["on_sale"] > 0.9


# ------------------------------------------------------------------ schedule


def test_it_is_due_only_where_a_strategy_that_explores_asks_for_it(
    store: Store, other_store: Store, mug: Product
) -> None:
    make_product(other_store, "mug")
    show_strategy(other_store, SLUG, bandit_document(*SOURCES, exploration=0.0))
    assert not source_bandit_is_live(store_id=store.pk)
    show_strategy(store, SLUG, bandit_document(*SOURCES))

    assert source_bandit_is_live(store_id=store.pk)
    assert not source_bandit_is_live(store_id=other_store.pk)
    due = [run for run in runs_due() if run.family == Run.Family.SOURCE_BANDIT]
    assert [run.store_id for run in due] == [store.pk]


def test_the_task_adds_what_is_due_and_is_in_the_timetable(
    store: Store, placement: Placement, mug: Product, anna: Shopper
) -> None:
    train(store, now=timezone.now() - timedelta(hours=3))
    random_places(
        placement,
        anna,
        mug,
        source="on_sale",
        n=1,
        n_clicked=1,
        at=timezone.now() - timedelta(hours=1),
    )
    serving = Artifact.objects.filter(store=store, family=Run.Family.SOURCE_BANDIT, serving=True)
    before = serving.get()

    tasks.learn_source_bandits()
    assert serving.get() == before
    serving.update(created_at=timezone.now() - timedelta(minutes=5))
    tasks.learn_source_bandits()

    assert serving.get() != before
    names = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert "recommender.tasks.learn_source_bandits" in names
