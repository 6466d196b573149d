"""An experiment from the draft to its end, as members steer it and shoppers meet it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from catalog.models import AuditEntry, Store, User
from recommender.engine.online.bucketing import bucket_of, bucket_ranges, variant_of
from recommender.models import (
    ExclusionGroup,
    Experiment,
    ExperimentPhase,
    Exposure,
    Impression,
    Metric,
    Placement,
    Segment,
    StrategyVersion,
)
from recommender.selectors.experiments import (
    exclusion_groups,
    experiment_get,
    experiment_list,
    experiments_live_by_placement,
    variant_shows,
)
from recommender.selectors.strategies import strategy_variants
from recommender.services.experiments import (
    ArmDraft,
    ExperimentDraft,
    ExperimentRefused,
    exclusion_group_create,
    exclusion_group_delete,
    exclusion_group_rename,
    experiment_create,
    experiment_delete,
    experiment_edit,
    experiment_pause,
    experiment_ramp,
    experiment_resume,
    experiment_start,
    experiment_stop,
    experiment_weights_learn,
)
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.segments import (
    SegmentRefused,
    segment_create,
    segment_delete,
    segment_edit,
)
from recommender.services.strategies import strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.serving.signing import qa_token
from tests.factories import make_product

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOPPERS = [f"shopper-{n}" for n in range(40)]


@pytest.fixture
def placement(store: Store) -> Placement:
    for n in range(6):
        make_product(store, f"tea-{n}", published_at=NOW)
    return Placement.objects.select_related("store", "strategy_version__strategy").get(
        store=store, slug="home-trending"
    )


@pytest.fixture
def second_placement(store: Store) -> Placement:
    return Placement.objects.get(store=store, slug="home-for-you")


@pytest.fixture
def challenger(placement: Placement) -> StrategyVersion:
    return strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 1}]},
    )


@pytest.fixture
def draft(placement: Placement, challenger: StrategyVersion) -> ExperimentDraft:
    return ExperimentDraft(
        name="Newer products",
        kind="ab",
        hypothesis="Who sees what is new comes back for it.",
        placement_ids=(placement.pk,),
        arms=(
            ArmDraft("a", "As it is"),
            ArmDraft("b", "New arrivals", 1.0, {None: challenger.pk}),
        ),
    )


@pytest.fixture
def experiment(store: Store, draft: ExperimentDraft, owner: User) -> Experiment:
    return experiment_create(store=store, draft=draft, actor=owner)


def start(experiment: Experiment, *, now: datetime = NOW, actor: User | None = None) -> None:
    experiment_start(experiment=experiment, actor=actor, now=now)


def actions(store: Store) -> list[str]:
    return list(
        AuditEntry.objects.filter(store=store).order_by("pk").values_list("action", flat=True)
    )


def phases(experiment: Experiment) -> list[tuple[str, float, list[float], bool]]:
    return [
        (each.cause, each.coverage, each.weights, each.ended_at is None)
        for each in ExperimentPhase.objects.filter(experiment=experiment).order_by("pk")
    ]


def variants_shown(store: Store) -> dict[str, str | None]:
    RUNTIMES.refresh()
    shown = {}
    for shopper in SHOPPERS:
        answer = recommend(
            store_id=store.pk,
            request=RecommendationRequest(shopper_id=shopper),
            placements=[PlacementRequest(slug="home-trending")],
        ).recommendations[0]
        shown[shopper] = answer.variant.key if answer.variant is not None else None
    IMPRESSIONS.flush()
    return shown


# -------------------------------------------------------------------------------- drafts


def test_a_draft_has_a_key_of_its_own_and_pins_what_the_placement_shows(
    store: Store, draft: ExperimentDraft, experiment: Experiment, placement: Placement, owner: User
) -> None:
    again = experiment_create(store=store, draft=draft, actor=owner)
    assert (experiment.key, again.key) == ("newer-products", "newer-products-2")
    assert experiment.seed != again.seed
    assert experiment.state == Experiment.State.DRAFT
    before = placement.strategy_version_id
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "bestsellers", "weight": 1}]},
    )
    placement.save()
    found = experiment_get(store=store, key="newer-products")
    assert found is not None
    shown = variant_shows(found.variants.all()[0], placement)
    assert shown is not None
    assert shown.pk == before


def test_names_that_are_addresses_or_have_no_letter_still_get_a_key(
    store: Store, draft: ExperimentDraft
) -> None:
    keys = [
        experiment_create(store=store, draft=replace(draft, name=name), actor=None).key
        for name in ("New", "Groups", "新しい", "x" * 120)
    ]
    assert keys == ["new-2", "groups-2", "experiment", "x" * 56]


def test_a_draft_divides_nobody(store: Store, experiment: Experiment) -> None:
    assert set(variants_shown(store).values()) == {None}
    assert not Exposure.objects.filter(store_id=store.pk).exists()


def test_editing_a_draft_says_what_changed_and_the_same_again_changes_nothing(
    store: Store, experiment: Experiment, draft: ExperimentDraft, owner: User
) -> None:
    wanted = replace(
        draft,
        name="Newest products",
        coverage=0.5,
        guardrails=((Metric.REVENUE, 0.03),),
        arms=(draft.arms[0], replace(draft.arms[1], weight=3.0)),
    )
    changed = experiment_edit(experiment=experiment, draft=wanted, actor=owner)
    assert set(changed) == {"name", "coverage", "guardrails", "variants"}
    assert changed["guardrails"] == {"revenue_per_shopper": 0.03}
    experiment.refresh_from_db()
    assert (experiment.key, experiment.name) == ("newer-products", "Newest products")
    assert [v.weight for v in experiment.variants.all()] == [1.0, 3.0]
    assert experiment_edit(experiment=experiment, draft=wanted, actor=owner) == {}
    assert actions(store).count("experiment.edit") == 1


def test_a_link_to_a_variant_of_a_draft_survives_that_the_draft_is_saved(
    store: Store, placement: Placement, experiment: Experiment, draft: ExperimentDraft
) -> None:
    variant = experiment.variants.get(key="b")
    token = qa_token(bytes(store.signing_secret), experiment.pk, variant.pk)
    newest = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"sources": [{"source": "new_arrivals", "weight": 2}], "diversity": 0.5},
    )
    arms = (
        ArmDraft("c", "Another"),
        replace(draft.arms[1], name="Newest", strategies={None: newest.pk}),
    )
    experiment_edit(experiment=experiment, draft=replace(draft, arms=arms), actor=None)
    assert [(v.key, v.position) for v in experiment.variants.all()] == [("c", 0), ("b", 1)]
    variant.refresh_from_db()
    assert variant.name == "Newest"
    RUNTIMES.refresh()
    answer = recommend(
        store_id=store.pk,
        request=RecommendationRequest(qa=token),
        placements=[PlacementRequest(slug=placement.slug)],
    ).recommendations[0]
    assert (answer.is_look, answer.strategy_version_id) == (True, newest.pk)


def test_from_the_start_on_everything_is_locked(
    store: Store, experiment: Experiment, draft: ExperimentDraft
) -> None:
    start(experiment)
    before = experiment.variants.order_by("pk").values_list("pk", flat=True)[0]
    with pytest.raises(ExperimentRefused, match="running, not draft"):
        experiment_edit(experiment=experiment, draft=replace(draft, name="Other"), actor=None)
    with pytest.raises(ExperimentRefused, match="running, not draft"):
        experiment_delete(experiment=experiment, actor=None)
    experiment.refresh_from_db()
    assert experiment.name == "Newer products"
    assert experiment.variants.order_by("pk").values_list("pk", flat=True)[0] == before


def test_a_draft_can_be_deleted_once(store: Store, experiment: Experiment, owner: User) -> None:
    same = Experiment.objects.get(pk=experiment.pk)
    experiment_delete(experiment=experiment, actor=owner)
    with pytest.raises(ExperimentRefused, match="deleted"):
        experiment_delete(experiment=same, actor=owner)
    assert actions(store)[-1] == "experiment.delete"
    assert not Experiment.objects.filter(store=store).exists()


Change = Callable[[ExperimentDraft, dict[str, int]], ExperimentDraft]


@pytest.mark.parametrize(
    ("field", "words", "change"),
    [
        ("name", "name of up to", lambda d, _: replace(d, name="  ")),
        ("kind", "what kind", lambda d, _: replace(d, kind="holdout")),
        ("placements", "at least one", lambda d, _: replace(d, placement_ids=())),
        ("placements", "this store", lambda d, x: replace(d, placement_ids=(x["placement"],))),
        ("placements", "each once", lambda d, _: replace(d, placement_ids=d.placement_ids * 2)),
        ("arms", "at least two", lambda d, _: replace(d, arms=d.arms[:1])),
        ("arms", "exactly two", lambda d, _: replace(
            d, kind="interleaving", arms=(*d.arms, replace(d.arms[1], key="c", name="C")))),
        ("arms", "of this store", lambda d, x: replace(
            d, arms=(d.arms[0], replace(d.arms[1], strategies={None: x["version"]})))),
        ("arms", "choose a strategy for “Home: trending", lambda d, _: replace(
            d, arms=(d.arms[0], replace(d.arms[1], strategies={})))),
        ("arms", "isn't on", lambda d, x: replace(
            d, arms=(d.arms[0], replace(d.arms[1], strategies={
                None: d.arms[1].strategies[None], x["mine"]: d.arms[1].strategies[None]})))),
        ("arms", "show the same", lambda d, _: replace(d, kind="aa")),
        ("arms", "make it an A/A", lambda d, _: replace(
            d, arms=(replace(d.arms[0], strategies=d.arms[1].strategies), d.arms[1]))),
        ("arms", "weight above 0", lambda d, _: replace(
            d, arms=(d.arms[0], replace(d.arms[1], weight=0.0)))),
        ("arms", "weight above 0", lambda d, _: replace(
            d, arms=(d.arms[0], replace(d.arms[1], weight=float("nan"))))),
        ("arms", "key of its own", lambda d, _: replace(
            d, arms=(d.arms[0], replace(d.arms[1], key="a")))),
        ("arms", "small letters", lambda d, _: replace(
            d, arms=(d.arms[0], replace(d.arms[1], key="B b")))),
        ("arms", "only a variant of an A/B", lambda d, _: replace(
            d, kind="bandit", arms=(d.arms[0], ArmDraft("b", "B", shows_nothing=True)))),
        ("coverage", "share", lambda d, _: replace(d, coverage=0.0)),
        ("coverage", "share", lambda d, _: replace(d, coverage=1.5)),
        ("segment", "this store", lambda d, x: replace(d, segment_id=x["segment"])),
        ("group", "this store", lambda d, x: replace(d, group_id=x["group"])),
        ("primary_metric", "Conversion rate", lambda d, _: replace(d, primary_metric="novelty")),
        ("guardrails", "of the list", lambda d, _: replace(d, guardrails=(("luck", 0.1),))),
        ("guardrails", "once", lambda d, _: replace(d, guardrails=(("novelty", 0.1),) * 2)),
        ("guardrails", "decides", lambda d, _: replace(d, guardrails=(("conversion_rate", 0.1),))),
        ("guardrails", "accepted", lambda d, _: replace(d, guardrails=(("novelty", 0.0),))),
        ("smallest_lift", "rise", lambda d, _: replace(d, smallest_lift=0.0)),
        ("planned_days", "7 days", lambda d, _: replace(d, planned_days=6)),
        ("planned_days", "365", lambda d, _: replace(d, planned_days=366)),
    ],
)  # fmt: skip
def test_what_can_not_be_a_test_is_refused_in_words_and_nothing_is_made(
    store: Store,
    other_store: Store,
    draft: ExperimentDraft,
    second_placement: Placement,
    field: str,
    words: str,
    change: Change,
) -> None:
    theirs = Placement.objects.filter(store=other_store)[0]
    elsewhere = {
        "placement": theirs.pk,
        "version": theirs.strategy_version_id,
        "mine": second_placement.pk,
        "segment": Segment.objects.create(
            store=other_store, key="s", name="S", document={"type": "new"}
        ).pk,
        "group": exclusion_group_create(store=other_store, name="G", actor=None).pk,
    }
    entries = len(actions(store))
    with pytest.raises(ExperimentRefused) as refused:
        experiment_create(store=store, draft=change(draft, elsewhere), actor=None)
    assert words in refused.value.fields[field]
    assert not Experiment.objects.exists()
    assert len(actions(store)) == entries


def test_on_several_placements_each_variant_has_its_strategy_for_each(
    store: Store, draft: ExperimentDraft, placement: Placement, second_placement: Placement,
    challenger: StrategyVersion,
) -> None:  # fmt: skip
    other = strategy_version_create(
        strategy=challenger.strategy, document={"sources": [{"source": "bestsellers", "weight": 1}]}
    )
    arm = replace(draft.arms[1], strategies={None: challenger.pk, second_placement.pk: other.pk})
    wide = replace(
        draft, placement_ids=(placement.pk, second_placement.pk), arms=(draft.arms[0], arm)
    )
    experiment_create(store=store, draft=wide, actor=None)
    found = experiment_get(store=store, key="newer-products")
    assert found is not None
    shown = [
        [variant_shows(variant, each) for each in (placement, second_placement)]
        for variant in found.variants.all()
    ]
    assert shown == [
        [placement.strategy_version, second_placement.strategy_version],
        [challenger, other],
    ]
    rows = strategy_variants(strategy=challenger.strategy)
    assert {(row.variant.key, row.placement) for row in rows} == {
        ("a", placement),
        ("b", placement),
        ("b", second_placement),
    }


def test_in_an_a_a_test_all_variants_show_what_the_placement_shows(
    store: Store, draft: ExperimentDraft, placement: Placement
) -> None:
    arms = (ArmDraft("a", "A"), ArmDraft("b", "B"))
    made = experiment_create(store=store, draft=replace(draft, kind="aa", arms=arms), actor=None)
    found = experiment_get(store=store, key=made.key)
    assert found is not None
    assert [variant_shows(v, placement) for v in found.variants.all()] == [
        placement.strategy_version
    ] * 2


# -------------------------------------------------------------------------------- shoppers


def test_shoppers_are_divided_and_stay_where_they_are(store: Store, experiment: Experiment) -> None:
    start(experiment)
    first = variants_shown(store)
    assert set(first.values()) == {"a", "b"}
    assert variants_shown(store) == first


def test_what_is_shown_is_the_variants_strategy_and_is_logged_with_it(
    store: Store, experiment: Experiment, placement: Placement, challenger: StrategyVersion
) -> None:
    start(experiment)
    shown = variants_shown(store)
    versions = {"a": placement.strategy_version_id, "b": challenger.pk}
    numbers = {v.pk: v.key for v in experiment.variants.all()}
    impressions = list(Impression.objects.filter(store_id=store.pk))
    assert len(impressions) == len(SHOPPERS)
    for impression in impressions:
        assert impression.experiment_id == experiment.pk
        key = numbers[impression.variant_id or 0]
        assert shown[impression.shopper_external_id or ""] == key
        assert impression.strategy_version_id == versions[key]


def test_everybody_is_exposed_once_in_either_arm_and_keeps_the_first_time(
    store: Store, experiment: Experiment
) -> None:
    start(experiment)
    shown = variants_shown(store)
    numbers = {v.pk: v.key for v in experiment.variants.all()}

    def exposed() -> dict[str, tuple[str, datetime]]:
        rows = Exposure.objects.filter(store_id=store.pk, experiment_id=experiment.pk)
        return {r.shopper_external_id: (numbers[r.variant_id], r.exposed_at) for r in rows}

    before = exposed()
    assert {shopper: key for shopper, (key, _) in before.items()} == shown
    # Another process doesn't know who is written down already.
    variants_shown(store)
    IMPRESSIONS.clear()
    variants_shown(store)
    assert exposed() == before


def test_a_visitor_without_an_id_takes_no_part(
    store: Store, experiment: Experiment, placement: Placement
) -> None:
    start(experiment)
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(),
        placements=[PlacementRequest(slug="home-trending")],
    )
    assert page.recommendations[0].variant is None
    assert page.recommendations[0].strategy_version_id == placement.strategy_version_id


def test_coverage_leaves_the_others_with_the_placements_own_strategy(
    store: Store, draft: ExperimentDraft
) -> None:
    half = experiment_create(store=store, draft=replace(draft, coverage=0.5), actor=None)
    start(half)
    assert set(variants_shown(store).values()) == {None, "a", "b"}


def test_paused_and_stopped_experiments_divide_nobody(
    store: Store, experiment: Experiment, owner: User
) -> None:
    start(experiment, actor=owner)
    first = variants_shown(store)
    experiment_pause(experiment=experiment, actor=owner, now=NOW + timedelta(days=1))
    assert set(variants_shown(store).values()) == {None}
    experiment_resume(experiment=experiment, actor=owner, now=NOW + timedelta(days=2))
    assert variants_shown(store) == first
    experiment_stop(experiment=experiment, actor=owner, now=NOW + timedelta(days=3))
    assert set(variants_shown(store).values()) == {None}
    with pytest.raises(ExperimentRefused, match="stopped, not draft"):
        start(experiment)
    assert (experiment.started_at, experiment.stopped_at) == (NOW, NOW + timedelta(days=3))
    assert phases(experiment) == [
        ("start", 1.0, [1.0, 1.0], False),
        ("resume", 1.0, [1.0, 1.0], False),
    ]
    assert [a for a in actions(store) if a.startswith("experiment.")] == [
        "experiment.create",
        "experiment.start",
        "experiment.pause",
        "experiment.resume",
        "experiment.stop",
    ]
    assert AuditEntry.objects.filter(store=store, action="experiment.stop", actor=owner).exists()


def test_the_answer_names_experiment_and_variant(
    store: Store, experiment: Experiment, publishable_key: str, client: Client
) -> None:
    start(experiment)
    RUNTIMES.refresh()
    answer = client.get(
        "/v1/placements/home-trending/recommendations?shopper_id=shopper-1",
        headers={"Authorization": f"Bearer {publishable_key}"},
    ).json()
    assert answer["experiment"]["key"] == "newer-products"
    assert answer["experiment"]["variant"] in ("a", "b")


def test_what_the_planner_knew_is_kept_from_the_start(experiment: Experiment) -> None:
    experiment_start(
        experiment=experiment, actor=None, now=NOW, plan={"n_days": 12}, planned_shoppers=61_200
    )
    experiment.refresh_from_db()
    assert (experiment.plan, experiment.planned_shoppers) == ({"n_days": 12}, 61_200)


# -------------------------------------------------------------------------------- neighbours


def test_a_second_experiment_on_the_placement_has_to_wait_for_the_first_one_by_name(
    store: Store, experiment: Experiment, draft: ExperimentDraft, second_placement: Placement
) -> None:
    start(experiment)
    both = (second_placement.pk, *draft.placement_ids)
    wide = replace(draft, name="Second", placement_ids=both)
    second = experiment_create(store=store, draft=wide, actor=None)
    with pytest.raises(ExperimentRefused, match="“Newer products” runs on “Home: trending”"):
        start(second)
    experiment_pause(experiment=experiment, actor=None, now=NOW)
    with pytest.raises(ExperimentRefused, match="“Newer products” is paused"):
        start(second)
    second.refresh_from_db()
    assert second.state == Experiment.State.DRAFT
    assert phases(second) == []
    experiment_stop(experiment=experiment, actor=None, now=NOW)
    start(second)
    live = experiments_live_by_placement(store=store)
    assert {pk: [e.name for e in found] for pk, found in live.items()} == {
        pk: ["Second"] for pk in both
    }


def test_experiments_of_one_group_share_a_placement_and_no_shopper(
    store: Store, draft: ExperimentDraft
) -> None:
    group = exclusion_group_create(store=store, name="Home page", actor=None)
    made = [
        experiment_create(
            store=store,
            draft=replace(draft, name=name, group_id=group.pk, group_share=share),
            actor=None,
        )
        for name, share in (("One", 0.5), ("Two", 0.3), ("Three", 0.3))
    ]
    assert [e.group_start for e in made] == [0.0] * 3
    start(made[0])
    start(made[1])
    with pytest.raises(ExperimentRefused) as refused:
        start(made[2])
    assert "no room for 30%" in refused.value.fields["group_share"]
    assert "“One”, “Two”" in refused.value.fields["group_share"]
    (row,) = exclusion_groups(store=store)
    assert (row.free_share, row.largest_gap, row.n_experiments) == (0.2, 0.2, 3)
    experiment_stop(experiment=made[0], actor=None, now=NOW)
    start(made[2])
    ranges = [(e.group_start, e.group_end) for e in made]
    assert ranges == [(0.0, 0.5), (0.5, 0.8), (0.0, 0.3)]


def test_a_test_outside_of_the_group_still_has_to_wait(
    store: Store, draft: ExperimentDraft, experiment: Experiment
) -> None:
    group = exclusion_group_create(store=store, name="Home page", actor=None)
    inside = replace(draft, name="Inside", group_id=group.pk, group_share=0.5)
    start(experiment_create(store=store, draft=inside, actor=None))
    with pytest.raises(ExperimentRefused, match="“Inside” runs"):
        start(experiment)


@pytest.mark.django_db(transaction=True)
def test_of_two_members_who_start_on_one_placement_at_once_one_is_refused(
    store: Store, draft: ExperimentDraft
) -> None:
    made = [experiment_create(store=store, draft=draft, actor=None) for _ in range(2)]
    together, outcomes = threading.Barrier(2), []

    def press_start(experiment: Experiment) -> None:
        try:
            together.wait(timeout=10)
            start(experiment)
            outcomes.append("started")
        except ExperimentRefused as refused:
            outcomes.append(str(refused)[:22])
        finally:
            connection.close()

    threads = [threading.Thread(target=press_start, args=(each,)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == ["started", "“Newer products” runs "]
    states = Experiment.objects.filter(store=store).values_list("state", flat=True)
    assert sorted(states) == ["draft", "running"]


def test_groups_are_named_once_and_kept_while_anybody_was_divided_by_them(
    store: Store, other_store: Store, draft: ExperimentDraft, owner: User
) -> None:
    group = exclusion_group_create(store=store, name=" Home page ", actor=owner)
    assert group.name == "Home page"
    exclusion_group_create(store=other_store, name="Home page", actor=None)
    with pytest.raises(ExperimentRefused) as refused:
        exclusion_group_create(store=store, name="home PAGE", actor=owner)
    assert refused.value.fields == {"name": "There is a group of this name."}
    exclusion_group_rename(group=group, name="Home", actor=owner)
    made = experiment_create(
        store=store, draft=replace(draft, group_id=group.pk, group_share=0.5), actor=None
    )
    with pytest.raises(ExperimentRefused, match="“Newer products” is part of it"):
        exclusion_group_delete(group=group, actor=owner)
    experiment_delete(experiment=made, actor=None)
    exclusion_group_delete(group=group, actor=owner)
    assert not ExclusionGroup.objects.filter(store=store).exists()
    assert [a for a in actions(store) if a.startswith("exclusion")] == [
        "exclusion_group.create",
        "exclusion_group.rename",
        "exclusion_group.delete",
    ]


# -------------------------------------------------------------------------------- ramps


def assigned(experiment: Experiment) -> dict[str, int]:
    weights = [v.weight for v in experiment.variants.order_by("position")]
    ranges = bucket_ranges(weights, experiment.coverage)
    people = [f"person-{n}" for n in range(4_000)]
    return {each: variant_of(bucket_of(experiment.seed, each), ranges) for each in people}


def test_more_coverage_keeps_everybody_where_they_are(
    store: Store, draft: ExperimentDraft, owner: User
) -> None:
    experiment = experiment_create(store=store, draft=replace(draft, coverage=0.1), actor=None)
    start(experiment)
    before = assigned(experiment)
    later = NOW + timedelta(days=1)
    moved = experiment_ramp(
        experiment=experiment, coverage=1.0, weights=None, actor=owner, now=later
    )
    experiment.refresh_from_db()
    after = assigned(experiment)
    assert moved == 0.0
    assert all(after[who] == place for who, place in before.items() if place >= 0)
    assert sum(place >= 0 for place in before.values()) < 500
    assert phases(experiment) == [
        ("start", 0.1, [1.0, 1.0], False),
        ("ramp", 1.0, [1.0, 1.0], True),
    ]
    assert experiment.phases.get(cause="start").ended_at == later
    assert experiment.phases.get(cause="ramp").started_at == later
    entry = AuditEntry.objects.get(store=store, action="experiment.ramp")
    assert entry.before == {"coverage": 0.1, "weights": [1.0, 1.0]}
    assert entry.after == {"coverage": 1.0, "weights": [1.0, 1.0], "moved": 0.0}


def test_other_weights_move_the_share_that_was_said(store: Store, experiment: Experiment) -> None:
    start(experiment)
    before = assigned(experiment)
    moved = experiment_ramp(
        experiment=experiment, coverage=None, weights=[3.0, 1.0], actor=None, now=NOW
    )
    assert moved == pytest.approx(0.25)
    after = assigned(experiment)
    n_moved = sum(after[who] != place for who, place in before.items())
    # 4,000 people, p = .25: four standard deviations are .027.
    assert n_moved / len(before) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("coverage", {"coverage": 0.0, "weights": None}),
        ("coverage", {"coverage": float("nan"), "weights": None}),
        ("weights", {"coverage": None, "weights": [1.0]}),
        ("weights", {"coverage": None, "weights": [0.0, 0.0]}),
        ("weights", {"coverage": None, "weights": [-1.0, 2.0]}),
    ],
)
def test_shares_that_can_not_be_are_refused_and_nothing_changes(
    store: Store, experiment: Experiment, field: str, wanted: dict[str, Any]
) -> None:
    start(experiment)
    with pytest.raises(ExperimentRefused) as refused:
        experiment_ramp(experiment=experiment, actor=None, now=NOW, **wanted)
    assert list(refused.value.fields) == [field]
    assert phases(experiment) == [("start", 1.0, [1.0, 1.0], True)]


def test_only_a_running_experiment_is_ramped_and_the_same_shares_change_nothing(
    store: Store, experiment: Experiment
) -> None:
    with pytest.raises(ExperimentRefused, match="draft, not running"):
        experiment_ramp(experiment=experiment, coverage=0.5, weights=None, actor=None, now=NOW)
    start(experiment)
    experiment_ramp(experiment=experiment, coverage=1.0, weights=[1.0, 1.0], actor=None, now=NOW)
    assert len(phases(experiment)) == 1
    assert "experiment.ramp" not in actions(store)


def test_a_segment_that_an_experiment_was_for_is_kept(store: Store, draft: ExperimentDraft) -> None:
    segment = segment_create(
        store=store, name="New ones", document={"type": "new", "days": 1}, member=None
    )
    made = experiment_create(store=store, draft=replace(draft, segment_id=segment.pk), actor=None)
    with pytest.raises(SegmentRefused, match="“Newer products” is for it"):
        segment_delete(segment=segment, member=None)
    experiment_delete(experiment=made, actor=None)
    segment_delete(segment=segment, member=None)
    assert not Segment.objects.filter(store=store).exists()


def test_what_a_segment_says_stays_while_an_experiment_for_it_goes_on(
    store: Store, draft: ExperimentDraft
) -> None:
    document = {"type": "new", "days": 1}
    segment = segment_create(store=store, name="New ones", document=document, member=None)
    made = experiment_create(store=store, draft=replace(draft, segment_id=segment.pk), actor=None)

    def change(days: int, name: str = "New ones") -> None:
        segment_edit(segment=segment, name=name, document={**document, "days": days}, member=None)

    change(2)
    start(made)
    change(2, name="Newcomers")
    for state in ("running", "paused"):
        with pytest.raises(SegmentRefused, match="“Newer products” is for it"):
            change(3)
        segment.refresh_from_db()
        assert (segment.name, segment.document["days"]) == ("Newcomers", 2), state
        if state == "running":
            experiment_pause(experiment=made, actor=None, now=NOW)
    experiment_stop(experiment=made, actor=None, now=NOW)
    change(3)


def test_nothing_happens_to_an_experiment_before_what_happened_last(
    store: Store, experiment: Experiment
) -> None:
    """Whoever waited for the lock had read the clock before."""
    start(experiment)
    early, late = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)
    experiment_ramp(experiment=experiment, coverage=0.5, weights=None, actor=None, now=late)
    experiment_ramp(experiment=experiment, coverage=0.6, weights=None, actor=None, now=early)
    experiment_pause(experiment=experiment, actor=None, now=early)
    experiment_resume(experiment=experiment, actor=None, now=NOW)
    experiment_stop(experiment=experiment, actor=None, now=early)
    found = list(ExperimentPhase.objects.filter(experiment=experiment).order_by("pk"))
    assert [each.started_at for each in found] == [NOW, late, late, late]
    assert [each.ended_at for each in found] == [late] * 4
    assert experiment.stopped_at == late


def test_a_bandit_learns_its_weights_and_is_not_told_any(
    store: Store, draft: ExperimentDraft
) -> None:
    bandit = experiment_create(store=store, draft=replace(draft, kind="bandit"), actor=None)
    assert not experiment_weights_learn(experiment=bandit, weights=[0.2, 0.8], now=NOW)
    start(bandit)
    with pytest.raises(ExperimentRefused, match="learns its weights"):
        experiment_ramp(experiment=bandit, coverage=None, weights=[1, 2], actor=None, now=NOW)
    assert not experiment_weights_learn(experiment=bandit, weights=[0.505, 0.495], now=NOW)
    assert experiment_weights_learn(experiment=bandit, weights=[0.2, 0.8], now=NOW)
    assert phases(bandit)[-1] == ("bandit", 1.0, [0.2, 0.8], True)
    assert len(phases(bandit)) == 2


# -------------------------------------------------------------------------------- reads


def test_the_list_takes_the_same_queries_however_many_experiments_there_are(
    store: Store, other_store: Store, draft: ExperimentDraft, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        start_me = experiment_create(store=store, draft=draft, actor=None)
    start(start_me)
    with django_assert_num_queries(5):
        found = experiment_list(store=store)
        for each in found:
            for variant in each.variants.all():
                [variant_shows(variant, on.placement) for on in each.on.all()]
                [str(shown.strategy_version) for shown in variant.strategies.all()]
            assert list(each.phases.all()) or each.state == "draft"
    assert [each.key for each in found] == [
        "newer-products-3",
        "newer-products-2",
        "newer-products",
    ]
    assert experiment_list(store=other_store) == []
    assert experiment_get(store=other_store, key="newer-products") is None
