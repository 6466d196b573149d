"""Who takes part in which experiment, what they see there, and what is written down of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Store
from recommender.engine.online.bucketing import bucket_of, bucket_ranges, variant_of
from recommender.models import (
    ExclusionGroup,
    Experiment,
    Exposure,
    Impression,
    Placement,
    Rule,
    Segment,
    StrategyVersion,
    Variant,
)
from recommender.selectors.serving_settings import store_settings
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving import segments as serving_segments
from recommender.serving.pipeline import recommend_placement
from recommender.serving.request import PlacementRequest, Recommendation, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.serving.signing import qa_token
from recommender.stores.session_state import NO_STATE
from tests.factories import make_experiment, make_product

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOPPERS = [f"shopper-{n}" for n in range(60)]
MANY = [f"visitor-{n}" for n in range(1_000)]
KINDS = Experiment.Kind


@pytest.fixture(autouse=True)
def nothing_waits(db: None) -> Iterator[None]:
    yield
    IMPRESSIONS.clear()


@pytest.fixture
def shelf(store: Store) -> list[str]:
    names = [f"tea-{n:02}" for n in range(24)]
    for name in names:
        make_product(store, name, published_at=NOW)
    return names


@pytest.fixture
def home(store: Store, shelf: list[str]) -> Placement:
    return placement_of(store, "home-trending")


@pytest.fixture
def cart(store: Store, shelf: list[str]) -> Placement:
    return placement_of(store, "cart-cross-sell")


def placement_of(store: Store, slug: str) -> Placement:
    return Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug=slug
    )


def showing(placement: Placement, names: Sequence[str]) -> StrategyVersion:
    """A version that shows these products, in this order."""
    return strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={
            "sources": [{"source": "handpicked", "weight": 1}],
            "handpicked": list(names),
            "diversity": 0,
            "fallback": ["new_arrivals"],
        },
    )


def ask(store: Store, slug: str, shopper: str | None = "me", **more: Any) -> Recommendation:
    return page(store, [slug], shopper, **more)[0]


def page(
    store: Store, slugs: Sequence[str], shopper: str | None = "me", **more: Any
) -> list[Recommendation]:
    RUNTIMES.refresh()
    return recommend(
        store_id=store.pk,
        request=RecommendationRequest(shopper_id=shopper, **more),
        placements=[PlacementRequest(slug=slug) for slug in slugs],
    ).recommendations


def part_in(answer: Recommendation) -> tuple[str | None, str | None]:
    """Keys of the experiment and of the variant."""
    experiment, variant = answer.experiment, answer.variant
    return (
        None if experiment is None else experiment.key,
        None if variant is None else variant.key,
    )


def names_shown(store: Store, answer: Recommendation) -> list[str]:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return [runtime.snapshot.external_ids[row] for row in answer.rows]


def exposures() -> dict[tuple[str, str], str]:
    """Experiment key and shopper → variant key."""
    IMPRESSIONS.flush()
    experiments = dict(Experiment.objects.values_list("pk", "key"))
    variants = dict(Variant.objects.values_list("pk", "key"))
    return {
        (experiments[row.experiment_id], row.shopper_external_id): variants[row.variant_id]
        for row in Exposure.objects.all()
    }


# ---------------------------------------------------------------------------- several placements


def test_an_experiment_on_two_placements_shows_each_its_own_version(
    store: Store, home: Placement, cart: Placement, shelf: list[str]
) -> None:
    at_home, in_cart = showing(home, shelf[:12]), showing(cart, shelf[12:])
    make_experiment(store, [home, cart], [None, {home: at_home, cart: in_cart}], key="both")
    seen = set()
    for shopper in SHOPPERS:
        first, second = page(store, [home.slug, cart.slug], shopper)
        assert part_in(first) == part_in(second)
        seen.add(part_in(first))
        if part_in(first) == ("both", "b"):
            assert first.strategy_version_id == at_home.pk
            assert second.strategy_version_id == in_cart.pk
            assert names_shown(store, first) == shelf[: home.n_products]
        else:
            assert first.strategy_version_id == home.strategy_version_id
            assert second.strategy_version_id == cart.strategy_version_id
    assert seen == {("both", "a"), ("both", "b")}
    # One experiment, one exposure, however many placements.
    assert {key for key, _ in exposures()} == {"both"}
    assert Exposure.objects.count() == len(SHOPPERS)
    other = ask(store, "home-for-you", SHOPPERS[0])
    assert part_in(other) == (None, None)


def test_a_version_for_all_placements_gives_way_to_that_of_the_placement(
    store: Store, home: Placement, cart: Placement, shelf: list[str]
) -> None:
    own, everywhere = showing(home, shelf[:5]), showing(home, shelf[5:])
    experiment = make_experiment(
        store, [home, cart], [None, everywhere], weights=[0, 1], key="where"
    )
    experiment.variants.get(key="b").strategies.create(
        store=store, placement=home, strategy_version=own
    )
    settings_touch(store_id=store.pk)
    first, second = page(store, [home.slug, cart.slug])
    assert (first.strategy_version_id, second.strategy_version_id) == (own.pk, everywhere.pk)


def test_the_settings_are_read_in_as_many_queries_however_much_runs(
    store: Store, home: Placement, cart: Placement, shelf: list[str]
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            store_settings(store_id=store.pk)
        return len(seen)

    make_experiment(store, [home], [None, showing(home, shelf[:5])])
    one = queries()
    for n in range(3):
        make_experiment(store, [home, cart], [None, showing(home, shelf[n : n + 5])])
    make_experiment(store, kind=KINDS.HOLDOUT, weights=[1, 9])
    assert queries() == one <= 10


@pytest.mark.parametrize("state", ["draft", "paused", "stopped"])
def test_what_does_not_run_divides_nobody(store: Store, home: Placement, state: str) -> None:
    make_experiment(store, [home], state=state)
    assert {part_in(ask(store, home.slug, shopper)) for shopper in SHOPPERS} == {(None, None)}
    assert exposures() == {}


def test_a_paused_placement_exposes_nobody(store: Store, home: Placement) -> None:
    make_experiment(store, [home])
    make_experiment(store, kind=KINDS.HOLDOUT)
    Placement.objects.filter(pk=home.pk).update(paused=True)
    answer = ask(store, home.slug)
    assert (answer.reason, part_in(answer)) == ("placement_paused", (None, None))
    assert exposures() == {}


# ---------------------------------------------------------------------------- what is written down


def test_an_exposure_says_where_the_hash_put_them_and_which_answer_was_the_first(
    store: Store, home: Placement
) -> None:
    experiment = make_experiment(store, [home])
    first = ask(store, home.slug)
    ask(store, home.slug)
    IMPRESSIONS.flush()
    ask(store, home.slug)
    exposures()
    [row] = Exposure.objects.all()
    assert row.recommendation_id == first.recommendation_id
    assert row.bucket == bucket_of(experiment.seed, "me")
    assert first.variant is not None
    assert row.variant_id == first.variant.variant_id
    assert set(Impression.objects.values_list("experiment_id", "variant_id")) == {
        (experiment.pk, row.variant_id)
    }


def test_an_empty_answer_exposes_as_well(store: Store) -> None:
    make_experiment(store, [placement_of(store, "home-trending")], key="bare")
    answer = ask(store, "home-trending")
    assert (answer.rows, answer.reason) == ([], "empty_catalog")
    assert list(exposures()) == [("bare", "me")]


def test_consent_denied_takes_no_part(store: Store, home: Placement) -> None:
    make_experiment(store, [home])
    make_experiment(store, kind=KINDS.HOLDOUT, control_shows_nothing=True, weights=[1, 0])
    answer = ask(store, home.slug, None)
    assert answer.reason != "held_out"
    assert part_in(answer) == (None, None)
    assert exposures() == {}


# ---------------------------------------------------------------------------- hold-out


def test_who_is_held_out_sees_the_baseline_everywhere_and_takes_part_in_nothing_else(
    store: Store, home: Placement, cart: Placement, shelf: list[str]
) -> None:
    baseline = showing(home, shelf[:12])
    make_experiment(store, [home], [None, None], key="test")
    make_experiment(store, kind=KINDS.HOLDOUT, arms=[baseline, None], weights=[3, 7], key="holdout")
    for shopper in SHOPPERS:
        first, second = page(store, [home.slug, cart.slug], shopper)
        if part_in(first) == ("holdout", "a"):
            assert part_in(second) == ("holdout", "a")
            assert {first.strategy_version_id, second.strategy_version_id} == {baseline.pk}
        else:
            assert part_in(first)[0] == "test"
            assert [each.experiment.key for each in first.exposures] == ["holdout", "test"]
            assert part_in(second) == ("holdout", "b")
            assert first.strategy_version_id == home.strategy_version_id
    known = exposures()
    held = {shopper for (key, shopper), arm in known.items() if (key, arm) == ("holdout", "a")}
    free = {shopper for (key, shopper), arm in known.items() if (key, arm) == ("holdout", "b")}
    assert held | free == set(SHOPPERS)
    assert 0 < len(held) < len(SHOPPERS) / 2
    assert {shopper for key, shopper in known if key == "test"} == free
    # An impression names the test, and the hold-out where there is none.
    slugs = dict(Placement.objects.values_list("pk", "slug"))
    keys = {each.pk: each.key for each in Experiment.objects.all()}
    by_placement = {
        (slugs[row.placement_id], keys[row.experiment_id or 0]) for row in Impression.objects.all()
    }
    assert by_placement == {(home.slug, "test"), (home.slug, "holdout"), (cart.slug, "holdout")}


def test_a_hold_out_without_a_baseline_shows_nothing_and_says_why(
    store: Store, home: Placement, cart: Placement
) -> None:
    make_experiment(
        store, kind=KINDS.HOLDOUT, weights=[1, 0], control_shows_nothing=True, key="holdout"
    )
    for answer in page(store, [home.slug, cart.slug], explain=True, why_not=("tea-01",)):
        assert (answer.rows, answer.reason, answer.fallback) == ([], "held_out", None)
        assert part_in(answer) == ("holdout", "a")
        assert answer.trace is not None
        assert answer.trace.dropped["tea-01"]["step"] == "placement"
    assert exposures() == {("holdout", "me"): "a"}
    assert set(Impression.objects.values_list("reason", "strategy_version_id")) == {
        ("held_out", home.strategy_version_id),
        ("held_out", cart.strategy_version_id),
    }


# ---------------------------------------------------------------------------- groups, ramps


def test_experiments_of_a_group_never_share_a_shopper_and_both_run_on_one_placement(
    store: Store, home: Placement
) -> None:
    group = ExclusionGroup.objects.create(store=store, name="Home", seed="the group")
    for key, start, end in (("early", 0.0, 0.4), ("late", 0.4, 0.9)):
        make_experiment(store, [home], key=key, group=group, group_start=start, group_end=end)
    RUNTIMES.refresh()
    parts = Counter(part_in(ask(store, home.slug, shopper)) for shopper in MANY)
    known = exposures()
    assert len(known) == len({shopper for _, shopper in known})
    for key, shopper in known:
        bucket = bucket_of("the group", shopper)
        assert (0 <= bucket < 0.4) if key == "early" else (0.4 <= bucket < 0.9)
    assert {key for key, _ in parts} == {"early", "late", None}
    by_key = Counter(key for key, _ in known)
    assert abs(by_key["early"] - 400) < 65
    assert abs(by_key["late"] - 500) < 65
    # Within an experiment of a group the arms are as ever.
    assert abs(parts["late", "a"] - parts["late", "b"]) < 90


def test_an_experiment_without_a_range_has_none_of_its_group(store: Store, home: Placement) -> None:
    group = ExclusionGroup.objects.create(store=store, name="Home", seed="the group")
    make_experiment(store, [home], group=group)
    assert {part_in(ask(store, home.slug, each)) for each in SHOPPERS} == {(None, None)}


def test_a_ramp_moves_nobody_from_one_arm_to_another(store: Store, home: Placement) -> None:
    experiment = make_experiment(store, [home], coverage=0.2, weights=[1, 1, 2], arms=[None] * 3)
    before: dict[str, str] = {}
    for coverage in (0.2, 0.6, 1.0):
        Experiment.objects.filter(pk=experiment.pk).update(coverage=coverage)
        settings_touch(store_id=store.pk)
        now = {
            shopper: arm
            for shopper in MANY
            if (arm := part_in(ask(store, home.slug, shopper))[1]) is not None
        }
        assert abs(len(now) - 1_000 * coverage) < 65
        assert before.items() <= now.items()
        before = now


# ---------------------------------------------------------------------------- segment


def test_only_the_segment_takes_part_and_is_worked_out_once_for_a_page(
    store: Store, home: Placement, cart: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    mobile = Segment.objects.create(
        store=store, key="mobile", name="Mobile", document={"type": "device", "devices": ["mobile"]}
    )
    make_experiment(store, [home, cart], key="small", segment=mobile)
    asked: list[object] = []
    really = serving_segments.shopper_in

    def counted(*args: Any, **more: Any) -> bool:
        asked.append(args[0])
        return really(*args, **more)

    monkeypatch.setattr(serving_segments, "shopper_in", counted)
    for answer in page(store, [home.slug, cart.slug], device="mobile"):
        assert part_in(answer)[0] == "small"
    assert len(asked) == 1
    for answer in page(store, [home.slug, cart.slug], "you", device="desktop"):
        assert part_in(answer) == (None, None)
    page(store, ["home-for-you"], device="mobile")
    assert len(asked) == 2
    assert [shopper for _, shopper in exposures()] == ["me"]


def test_nobody_is_in_a_segment_that_can_not_be_read(store: Store, home: Placement) -> None:
    broken = Segment.objects.create(store=store, key="x", name="X", document={"type": "gone"})
    make_experiment(store, [home], segment=broken)
    assert part_in(ask(store, home.slug)) == (None, None)


# ---------------------------------------------------------------------------- QA link


def link(experiment: Experiment, key: str) -> str:
    variant = experiment.variants.get(key=key)
    return qa_token(bytes(experiment.store.signing_secret), experiment.pk, variant.pk)


@pytest.mark.parametrize("state", ["draft", "running", "paused"])
def test_a_qa_link_forces_the_variant_and_nothing_of_it_is_logged(
    store: Store, home: Placement, cart: Placement, shelf: list[str], state: str
) -> None:
    version = showing(home, shelf[3:15])
    experiment = make_experiment(store, [home], [None, version], state=state, key="looked-at")
    make_experiment(store, kind=KINDS.HOLDOUT, weights=[1, 0], control_shows_nothing=True)
    for shopper in (*SHOPPERS[:5], None):
        seen, elsewhere = page(store, [home.slug, cart.slug], shopper, qa=link(experiment, "b"))
        assert (part_in(seen), seen.is_look) == (("looked-at", "b"), True)
        assert names_shown(store, seen)[:2] == shelf[3:5]
        assert (part_in(elsewhere), elsewhere.is_look) == ((None, None), False)
    control = ask(store, home.slug, qa=link(experiment, "a"))
    assert part_in(control) == ("looked-at", "a")
    assert control.strategy_version_id == home.strategy_version_id
    assert exposures() == {}
    assert Impression.objects.count() == 0


def test_a_draft_is_looked_at_as_it_is_now(store: Store, home: Placement, shelf: list[str]) -> None:
    experiment = make_experiment(
        store, [home], [None, showing(home, shelf[:3])], state=Experiment.State.DRAFT
    )
    ask(store, home.slug, qa=link(experiment, "b"))
    changed = showing(home, shelf[9:15])
    experiment.variants.get(key="b").strategies.update(strategy_version=changed)
    answer = ask(store, home.slug, qa=link(experiment, "b"))
    assert answer.strategy_version_id == changed.pk


def test_the_link_of_an_experiment_that_is_over_forces_nothing_and_counts_nothing(
    store: Store, home: Placement, shelf: list[str]
) -> None:
    experiment = make_experiment(store, [home], [None, showing(home, shelf[:3])], state="stopped")
    answer = ask(store, home.slug, qa=link(experiment, "b"))
    assert (part_in(answer), answer.strategy_version_id) == ((None, None), home.strategy_version_id)
    IMPRESSIONS.flush()
    assert Impression.objects.count() == 0


def test_a_token_that_is_not_the_stores_has_no_effect(
    store: Store, other_store: Store, home: Placement, shelf: list[str]
) -> None:
    experiment = make_experiment(store, [home], [None, showing(home, shelf[:3])], weights=[1, 0])
    variant = experiment.variants.get(key="b")
    theirs = qa_token(bytes(other_store.signing_secret), experiment.pk, variant.pk)
    for token in (theirs, "", "x", "not a token", f"{link(experiment, 'b')[:-1]}", "é" * 9):
        answer = ask(store, home.slug, qa=token)
        assert part_in(answer) == (experiment.key, "a")
    IMPRESSIONS.flush()
    assert Impression.objects.count() == 6


def test_a_token_of_this_store_for_an_experiment_of_another_shows_nothing_of_it(
    store: Store, other_store: Store, home: Placement
) -> None:
    foreign = make_experiment(other_store)
    token = qa_token(bytes(store.signing_secret), foreign.pk, foreign.variants.get(key="b").pk)
    assert part_in(ask(store, home.slug, qa=token)) == (None, None)


# ---------------------------------------------------------------------------- interleaving


def test_an_interleaved_list_is_of_both_and_logged_with_its_teams(
    store: Store, home: Placement, shelf: list[str]
) -> None:
    first, second = shelf[:12], shelf[8:20]
    experiment = make_experiment(
        store,
        [home],
        [showing(home, first), showing(home, second)],
        kind=KINDS.INTERLEAVING,
        key="turns",
    )
    leaders = Counter[int]()
    lists = set()
    for shopper in SHOPPERS:
        answer = ask(store, home.slug, shopper)
        assert part_in(answer) == ("turns", None)
        names = names_shown(store, answer)
        assert answer.teams is not None
        assert len(names) == len(set(names)) == len(answer.teams) == home.n_products
        assert all(
            name in (first, second)[team] for name, team in zip(names, answer.teams, strict=True)
        )
        assert abs(answer.teams.count(0) - answer.teams.count(1)) <= home.n_products % 2
        leaders[answer.teams[0]] += 1
        lists.add(tuple(names))
    assert min(leaders.values()) > 15
    assert len(lists) > 5
    assert len(exposures()) == len(SHOPPERS)
    row = Impression.objects.get(recommendation_id=answer.recommendation_id)
    assert (row.experiment_id, row.variant_id) == (experiment.pk, None)
    assert row.teams == answer.teams is not None
    assert len(row.propensities) == len(row.product_ids) == len(answer.propensities)


def test_an_interleaved_answer_is_repeated_by_its_id(
    store: Store, home: Placement, shelf: list[str]
) -> None:
    make_experiment(
        store,
        [home],
        [showing(home, shelf[:12]), showing(home, shelf[12:])],
        kind=KINDS.INTERLEAVING,
    )
    logged = ask(store, home.slug)
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    again = recommend_placement(
        runtime,
        runtime.placements[home.slug],
        RecommendationRequest(shopper_id="me"),
        NO_STATE,
        limit=None,
        shown=set(),
        now_s=NOW.timestamp(),
        seed=logged.recommendation_id.int,
    )
    assert (again.rows, again.teams) == (logged.rows, logged.teams)


def test_the_fallback_fills_what_both_leave_and_is_on_neither_team(
    store: Store, home: Placement, shelf: list[str]
) -> None:
    Placement.objects.filter(pk=home.pk).update(n_minimum=6, n_products=8)
    make_experiment(
        store,
        [home],
        [showing(home, shelf[:2]), showing(home, shelf[1:3])],
        kind=KINDS.INTERLEAVING,
    )
    answer = ask(store, home.slug)
    assert answer.teams is not None
    assert set(names_shown(store, answer)[:3]) == set(shelf[:3])
    assert {*answer.teams[:3]} <= {0, 1}
    assert answer.teams[3:] == [-1] * 5
    assert answer.fallback == "new_arrivals"


def rule(store: Store, action: dict[str, Any], target: dict[str, Any] | None = None) -> None:
    Rule.objects.create(
        store=store,
        name=action["type"],
        document={"action": action, "target": target or {}, "condition": {}},
    )
    settings_touch(store_id=store.pk)


@pytest.mark.parametrize("found_by", [(), (0,), (1,), (0, 1)])
def test_what_a_rule_pins_is_on_neither_team_and_costs_neither_a_place(
    store: Store, home: Placement, shelf: list[str], found_by: tuple[int, ...]
) -> None:
    pinned = shelf[23]
    lists = [shelf[:11], shelf[11:22]]
    for team in found_by:
        lists[team].insert(1, pinned)
    make_experiment(store, [home], [showing(home, each) for each in lists], kind=KINDS.INTERLEAVING)
    rule(store, {"type": "pin", "product_ids": [pinned], "position": 3})
    n_more = Counter[int]()
    for shopper in SHOPPERS:
        answer = ask(store, home.slug, shopper)
        names, teams = names_shown(store, answer), answer.teams
        assert teams is not None
        assert len(names) == home.n_products
        assert [names.index(pinned), teams.index(-1), teams.count(-1)] == [2, 2, 1]
        n_more[teams.count(0) - teams.count(1)] += 1
    if home.n_products % 2:
        assert set(n_more) == {0}
    else:
        # One place is left over: the coin gives it to either.
        assert set(n_more) == {-1, 1}
        assert min(n_more.values()) > 15


def test_what_a_reserved_slot_moves_up_is_on_neither_team_and_costs_neither_a_place(
    store: Store, home: Placement, shelf: list[str]
) -> None:
    lists = [shelf[:12], shelf[12:]]
    make_experiment(store, [home], [showing(home, each) for each in lists], kind=KINDS.INTERLEAVING)
    # Only the first strategy has what the slot is for.
    slot = {"type": "reserve", "slots": 1, "position": 1}
    rule(store, slot, {"product_ids": shelf[1:3]})
    n_more = Counter[int]()
    for shopper in SHOPPERS:
        answer = ask(store, home.slug, shopper)
        assert answer.teams is not None
        assert names_shown(store, answer)[0] == shelf[1]
        assert [answer.teams.index(-1), answer.teams.count(-1)] == [0, 1]
        n_more[answer.teams.count(0) - answer.teams.count(1)] += 1
    if home.n_products % 2:
        assert set(n_more) == {0}
    else:
        assert set(n_more) == {-1, 1}
        assert min(n_more.values()) > 15


def test_two_strategies_of_which_one_shows_nothing_are_not_interleaved(
    store: Store, home: Placement
) -> None:
    make_experiment(store, [home], kind=KINDS.INTERLEAVING, control_shows_nothing=True)
    answer = ask(store, home.slug)
    assert (part_in(answer), answer.teams) == ((None, None), None)
    assert answer.strategy_version_id == home.strategy_version_id


# ---------------------------------------------------------------------------- the hash


def test_the_variant_is_that_of_the_published_hash(store: Store, home: Placement) -> None:
    experiment = make_experiment(store, [home], weights=[1, 3])
    ranges = bucket_ranges([1, 3], 1.0)
    for shopper in SHOPPERS:
        expected = "ab"[variant_of(bucket_of(experiment.seed, shopper), ranges)]
        assert part_in(ask(store, home.slug, shopper)) == (experiment.key, expected)
